//! Processes from outside: signals, memory, a port, a span of time.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// Signals processes that we started, by their ids. One that has ended meanwhile is no mistake.
pub async fn signal(name: &str, pids: &[u32]) {
    // The shell has a kill of its own wherever there is a shell.
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    let command = format!("kill -{name} {} 2>/dev/null", pids.join(" "));
    let sent = Command::new("sh").args(["-c", &command]).status().await;
    sent.expect("sh runs");
}

/// The children of a process.
pub fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("there is a /proc");
    let pids = processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// The most memory that a process has had at once so far, in KiB.
pub fn peak_memory_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|text| text.split_whitespace().next()?.parse().ok());
    peak.unwrap_or_default()
}

/// Whether we are root.
pub async fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().await;
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// An address of loopback that nobody has, and that nobody gets while its owner is down: connections
/// and all other servers of tests are at 127.0.0.1, and each process has addresses of its own beside.
pub fn free_address() -> SocketAddr {
    static NUMBER: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let own = Ipv4Addr::new(127, high, low, NUMBER.fetch_add(1, Ordering::Relaxed));
    let listener = TcpListener::bind((own, 0)).expect("loopback has a free port");
    listener.local_addr().expect("it is bound")
}

/// Lets time pass: here time itself is what the gateway is tested with.
pub async fn pass(span: Duration) {
    let _ = timeout(span, std::future::pending::<()>()).await;
}

/// The library that gives a process another clock.
pub fn faketime() -> PathBuf {
    let directories = std::fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten();
    let mut found = directories.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    found.find(|path| path.exists()).expect(
        "libfaketimeMT is there: install Debian's package faketime, or run `cargo xtask test`",
    )
}

//! One gateway process: killed, stopped, continued, started with another clock, and asked for its
//! memory. It always listens at the same address, as behind a load balancer.

use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::Method;
use tokio::process::{Child, Command};

use crate::process::{faketime, free_address, peak_memory_kib, signal};
use crate::support::api::Api;
use crate::support::eventually::eventually;

/// The admin key of all nodes.
pub const API_KEY: &str = "hl_three_nodes_and_one_ledger_0123456789";
/// What seals secrets, the same on all nodes.
const ENCRYPTION_KEY: &str = "dGhyZWUgbm9kZXMgc2VhbCB0aGVpciBzZWNyZXRzISE=";
const BINARY: &str = env!("CARGO_BIN_EXE_hooklatch");
/// How much of a log is shown when the test fails.
const LOG_BYTES_SHOWN: usize = 24 * 1024;

/// What a node's clock shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The time.
    Right,
    /// An hour more.
    Ahead,
    /// An hour less.
    Behind,
}

impl Clock {
    const fn offset_seconds(self) -> i64 {
        match self {
            Self::Right => 0,
            Self::Ahead => 3_600,
            Self::Behind => -3_600,
        }
    }
}

/// A node.
pub struct Node {
    /// Where it listens.
    pub address: SocketAddr,
    database_url: String,
    log: PathBuf,
    child: Option<Child>,
    peak_kib: u64,
}

impl Node {
    /// A node that does not run yet, and the directory for what it says.
    pub fn new(number: usize, database_url: String, directory: &Path) -> Self {
        Self {
            address: free_address(),
            database_url,
            log: directory.join(format!("node-{number}.log")),
            child: None,
            peak_kib: 0,
        }
    }

    /// A client with the admin key.
    pub fn api(&self) -> Api {
        Api::new(self.address, API_KEY)
    }

    /// Starts it.
    pub fn spawn(&mut self, clock: Clock) {
        let log = self.log_file();
        let mut command = Command::new(BINARY);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HOOKLATCH_") {
                command.env_remove(name);
            }
        }
        command
            .args(["serve", "--dev", "--listen", &self.address.to_string()])
            .env("HOOKLATCH_DATABASE_URL", &self.database_url)
            .env("HOOKLATCH_ENCRYPTION_KEY", ENCRYPTION_KEY)
            .env("HOOKLATCH_API_KEY", API_KEY);
        if clock != Clock::Right {
            command
                .env("LD_PRELOAD", faketime())
                .env("FAKETIME", format!("{:+}", clock.offset_seconds()))
                // A clock that somebody set wrongly: spans are as long as ever.
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        self.child = Some(command.spawn().expect("the binary starts"));
    }

    fn log_file(&self) -> File {
        let opened = OpenOptions::new().create(true).append(true).open(&self.log);
        opened.expect("the temporary directory can be written to")
    }

    /// Waits until it answers.
    pub async fn answers(&mut self) {
        let (address, child) = (self.address, self.child.as_mut());
        let child = child.expect("it was started");
        eventually("a node answers", || {
            let ended = child.try_wait().expect("it is our child");
            assert!(ended.is_none(), "a node ended at its start: {ended:?}");
            async move {
                let api = Api::new(address, API_KEY);
                let asked = api.ask(Method::GET, "/readyz", Bytes::new()).await;
                asked.ok().filter(|answer| answer.status == 200)
            }
        })
        .await;
    }

    /// By how many seconds its clock is off ours, as its `Date` says.
    pub async fn off_seconds(&self) -> i64 {
        let answer = self.api().get("/healthz").await;
        let date = jiff::fmt::rfc2822::parse(answer.header("date"));
        let date = date.expect("HTTP has such dates").timestamp().as_second();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        date - now.expect("it is not before 1970").as_secs() as i64
    }

    /// kill -9.
    pub async fn kill(&mut self) {
        self.note_memory();
        let mut child = self.child.take().expect("it runs");
        child.kill().await.expect("it is ours to kill");
    }

    /// SIGSTOP.
    pub async fn freeze(&self) {
        signal("STOP", &[self.pid()]).await;
    }

    /// SIGCONT.
    pub async fn thaw(&self) {
        signal("CONT", &[self.pid()]).await;
    }

    fn pid(&self) -> u32 {
        let child = self.child.as_ref().expect("it runs");
        child.id().expect("it has not been waited for")
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        let child = self.child.as_mut();
        child.is_some_and(|child| child.try_wait().expect("it is our child").is_none())
    }

    fn note_memory(&mut self) {
        self.peak_kib = self.peak_kib.max(peak_memory_kib(self.pid()));
    }

    /// The most memory that it has had at once, over all its lives, in KiB.
    pub fn peak_memory_kib(&mut self) -> u64 {
        self.note_memory();
        self.peak_kib
    }

    /// Lines that tell of a bug: a panic, or an assertion that did not hold.
    pub fn bugs(&self) -> Vec<String> {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let tells = |line: &&str| {
            ["panicked", "INV-", "a bug "]
                .iter()
                .any(|word| line.contains(word))
        };
        log.lines().filter(tells).map(str::to_owned).collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read(&self.log).unwrap_or_default();
            let shown = &log[log.len().saturating_sub(LOG_BYTES_SHOWN)..];
            let shown = String::from_utf8_lossy(shown);
            eprintln!("--- the end of {}\n{shown}", self.log.display());
        }
    }
}

/// Whether a clock is off as it was told to be.
pub fn is_as_told(clock: Clock, off_seconds: i64) -> bool {
    // The date is a second's, and may be a cached one.
    off_seconds.abs_diff(clock.offset_seconds()) <= Duration::from_secs(5).as_secs()
}

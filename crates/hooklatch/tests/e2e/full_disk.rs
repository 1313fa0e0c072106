//! A disk without room. The gateway says 503 and when to come back, keeps what it has
//! acknowledged, and goes on by itself once there is room.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use http::Method;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::api::text;
use crate::support::gateway::{BINARY, configure};
use crate::support::{Api, Gateway, eventually};

/// Payloads that fill the disk soon.
const PAYLOAD_BYTES: usize = 64 * 1024;
/// More than the disk can hold.
const SENDS_MAX: usize = 1_000;
/// How long it goes on being asked while it is full.
const SENDS_WHILE_FULL: usize = 20;

/// A disk that has 8 MiB now and can have more later.
#[derive(Debug, Clone, Copy)]
enum SmallDisk {
    /// A file system of its own, which only the gateway sees; it ends with it. Needs privileges.
    FileSystem,
    /// A limit on the size of each file, for everybody else.
    FileLimit,
}

impl SmallDisk {
    async fn choose() -> Self {
        let mount = "mount -t tmpfs -o size=8m tmpfs /mnt";
        let may_mount = shell_command("unshare", &["--mount", "sh", "-c", mount]).await;
        if may_mount {
            Self::FileSystem
        } else {
            Self::FileLimit
        }
    }

    /// A command that becomes the gateway with its data on this disk.
    fn serve(self, data: &Path) -> Command {
        let serve = format!(
            "exec '{BINARY}' serve --dev --listen 127.0.0.1:0 --data-dir '{}'",
            data.display()
        );
        let mut command = match self {
            Self::FileSystem => {
                let mount = format!("mount -t tmpfs -o size=8m tmpfs '{}'", data.display());
                let mut command = Command::new("unshare");
                command.args(["--mount", "sh", "-c", &format!("{mount} && {serve}")]);
                command
            }
            // Writing past the limit is an error only where the signal for it is ignored. The
            // limit counts blocks of 512 bytes.
            Self::FileLimit => {
                let mut command = Command::new("sh");
                let limit = "trap '' XFSZ && ulimit -S -f 8192";
                command.args(["-c", &format!("{limit} && {serve}")]);
                command
            }
        };
        configure(&mut command);
        command
    }

    /// Makes room while the gateway runs.
    async fn grow(self, gateway: &Gateway, data: &Path) {
        let pid = gateway.pid().to_string();
        let data = data.display().to_string();
        let grown = match self {
            Self::FileSystem => {
                let mount = ["mount", "-o", "remount,size=128m", &data];
                shell_command(
                    "nsenter",
                    &[&["--mount", "--target", &pid][..], &mount].concat(),
                )
                .await
            }
            Self::FileLimit => {
                shell_command("prlimit", &["--pid", &pid, "--fsize=unlimited"]).await
            }
        };
        assert!(grown, "{self:?} does not grow");
    }
}

async fn shell_command(command: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(command);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    command.status().await.is_ok_and(|status| status.success())
}

#[tokio::test]
async fn c8_a_full_disk_is_said_and_loses_nothing() {
    let directory = TempDir::new().unwrap();
    let data: PathBuf = directory.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let disk = SmallDisk::choose().await;
    let gateway = Gateway::start_with(disk.serve(&data)).await;
    let api = gateway.api();

    let acknowledged = fill(&api).await;
    assert!(
        acknowledged.len() > 10,
        "{disk:?} was full after {}",
        acknowledged.len()
    );
    while_full(&api, &acknowledged).await;

    disk.grow(&gateway, &data).await;
    eventually("it goes on when there is room", || async {
        (send(&api, acknowledged.len()).await == Sent::New).then_some(())
    })
    .await;
    for (number, id) in acknowledged.iter().enumerate() {
        let message = api.read(&format!("/v1/messages/{id}")).await;
        assert_eq!(message["idempotency_key"], json!(key(number)), "{message}");
        assert_eq!(send(&api, number).await, Sent::Again(id.clone()));
    }
    // The log says it, of which request, and not once for each.
    let said = gateway.said();
    let answered = |line: &&str| line.contains("ERROR") && line.contains("no room left");
    let lines = said.lines().filter(answered);
    let lines: Vec<&str> = lines.collect();
    assert!((1..SENDS_WHILE_FULL).contains(&lines.len()), "{lines:?}");
    let named = |line: &&str| line.contains(" request_id=call_") && line.contains(" left_out=");
    assert!(lines.iter().all(named), "{lines:?}");
}

/// What became of a send.
#[derive(Debug, PartialEq, Eq)]
enum Sent {
    New,
    Again(String),
    Refused,
}

fn key(number: usize) -> String {
    format!("key-{number}")
}

/// Sends with a key of its own, to customers of whom there are none.
async fn send(api: &Api, number: usize) -> Sent {
    match send_for_id(api, number).await {
        (202, _) => Sent::New,
        (200, id) => Sent::Again(id),
        (503, _) => Sent::Refused,
        (status, text) => panic!("{status}: {text}"),
    }
}

/// The status, and the message's id if there is one.
async fn send_for_id(api: &Api, number: usize) -> (u16, String) {
    let body = json!({
        "tenant": "nobody",
        "idempotency_key": key(number),
        "payload": {"number": number, "filling": "x".repeat(PAYLOAD_BYTES)},
    });
    let answer = api.request(Method::POST, "/v1/webhooks/send", &body).await;
    match answer.status {
        200 | 202 => (answer.status, text(&answer.json(), "id")),
        503 => {
            let seconds: Option<u64> = answer.header("retry-after").parse().ok();
            assert!(
                seconds > Some(0),
                "503 without a time to come back: {:?}",
                answer.headers
            );
            (503, String::new())
        }
        status => (status, answer.text()),
    }
}

/// Sends until there is no room; what was acknowledged, in order.
async fn fill(api: &Api) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0..SENDS_MAX {
        match send_for_id(api, number).await {
            (202, id) => acknowledged.push(id),
            (503, _) => return acknowledged,
            (status, text) => panic!("{status}: {text}"),
        }
    }
    panic!("the disk took {SENDS_MAX} payloads and is not full");
}

/// It stays up, refuses what is new, and shows what it has.
async fn while_full(api: &Api, acknowledged: &[String]) {
    for _ in 0..SENDS_WHILE_FULL {
        // A little room may be left over; then the key is taken, and stays so.
        let sent = send(api, SENDS_MAX).await;
        assert!(
            matches!(sent, Sent::Refused | Sent::New | Sent::Again(_)),
            "{sent:?}"
        );
    }
    assert_eq!(api.get("/healthz").await.status, 200);
    for id in acknowledged {
        assert_eq!(api.get(&format!("/v1/messages/{id}")).await.status, 200);
    }
}

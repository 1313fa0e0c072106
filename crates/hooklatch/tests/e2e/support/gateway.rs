//! The gateway as a child process on a free port. Whatever happens, it ends with the test: the
//! child is killed by its own id when it is dropped.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Api, DEADLINE, Data};

/// The admin key that every gateway of the tests is started with.
pub const API_KEY: &str = "hl_end_to_end_tests_0123456789abcdef";
/// The binary.
pub const BINARY: &str = env!("CARGO_BIN_EXE_hooklatch");
/// How much of its log a child may fill.
const LOG_BYTES_KEPT: usize = 256 * 1024;

/// A running gateway.
pub struct Gateway {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    log: Log,
}

type Log = Arc<Mutex<String>>;

impl Gateway {
    /// Starts it with `--dev`.
    pub async fn start(data: &Data) -> Self {
        let mut command = serve(data);
        command.arg("--dev");
        Self::start_with(command).await
    }

    /// Starts a command that becomes the gateway, and waits until it listens.
    pub async fn start_with(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary starts");
        let log = Log::default();
        let stderr = child.stderr.take().expect("stderr is piped");
        let (found, listening) = oneshot::channel();
        tokio::spawn(keep_log(stderr, Arc::clone(&log), found));
        let address = match timeout(DEADLINE, listening).await {
            Ok(Ok(address)) => address,
            Ok(Err(_)) | Err(_) => panic!("it never listened:\n{}", text(&log)),
        };
        Self {
            address,
            child,
            log,
        }
    }

    /// A client with the admin key.
    pub fn api(&self) -> Api {
        Api::new(self.address, API_KEY)
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it has not ended")
    }

    /// kill -9, and waits until it is gone.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("it is ours to kill");
    }

    /// Asks it to stop, as a service manager does.
    pub async fn terminate(&self) {
        // The shell has a kill of its own wherever there is a shell.
        let command = format!("kill -TERM {}", self.pid());
        let asked = Command::new("sh").args(["-c", &command]).status().await;
        assert!(asked.expect("sh runs").success(), "{command}");
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let ended = timeout(DEADLINE, self.child.wait()).await;
        ended.expect("it does not stop").expect("it is our child")
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        text(&self.log)
    }

    /// Whether it is still there.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the gateway's log:\n{}", text(&self.log));
        }
    }
}

/// `hooklatch serve` on a free port of loopback, with nothing of the caller's environment.
pub fn serve(data: &Data) -> Command {
    let mut command = Command::new(BINARY);
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    configure(&mut command);
    data.configure(&mut command);
    command
}

/// Gives a command the tests' key and none of the caller's settings.
pub fn configure(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("HOOKLATCH_") || name.starts_with("OTEL_") {
            command.env_remove(&*name);
        }
    }
    command.env("HOOKLATCH_API_KEY", API_KEY);
}

async fn keep_log(stderr: impl AsyncRead + Unpin, log: Log, found: oneshot::Sender<SocketAddr>) {
    let mut found = Some(found);
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(address) = listening_on(&line)
            && let Some(found) = found.take()
        {
            let _ = found.send(address);
        }
        let mut log = log.lock().expect("nobody panics with the log");
        if log.len() < LOG_BYTES_KEPT {
            log.push_str(&line);
            log.push('\n');
        }
    }
}

fn listening_on(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening")?;
    let (_, address) = rest.split_once("://")?;
    address.split_whitespace().next()?.parse().ok()
}

fn text(log: &Log) -> String {
    log.lock().map(|log| log.clone()).unwrap_or_default()
}

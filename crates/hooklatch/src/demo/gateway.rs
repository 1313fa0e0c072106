//! The gateway of the demo: `hooklatch serve`, as a process of its own that can be killed.

use std::fs::OpenOptions;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hooklatch_client::Client;
use tempfile::TempDir;

use crate::connect::API_KEY_VARIABLE;
use crate::failure::Failure;

/// How long a start may take.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// How often a starting gateway is asked whether it is up.
const POLL: Duration = Duration::from_millis(20);
/// How much of its log is shown when it does not start.
const LOG_LINES_SHOWN: usize = 20;

/// A gateway on a temporary store.
pub(crate) struct Gateway {
    // The process goes before the directory that it writes to.
    process: Process,
    directory: TempDir,
    port: u16,
    /// Its API key.
    pub api_key: String,
    /// A client of it.
    pub client: Client,
}

/// A child process that ends with its owner, however the owner ends.
struct Process(Child);

impl Process {
    /// Ends it as `kill -9` does, and waits until it is gone.
    fn kill(&mut self) -> io::Result<()> {
        self.0.kill()?;
        self.0.wait().map(drop)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already, and there is nobody left to tell.
        let _ = self.kill();
    }
}

impl Gateway {
    /// Starts one on a free port of this machine.
    pub async fn start() -> Result<Self, Failure> {
        let failed = |error| Failure::failed("the demo's gateway cannot be started", error);
        let directory = TempDir::with_prefix("hooklatch-demo-").map_err(failed)?;
        let port = free_port().map_err(failed)?;
        let api_key = format!("hl_demo{:032x}", rand::random::<u128>());
        let client = Client::new(&url(port), &api_key)?;
        let process = spawn(directory.path(), port, &api_key).map_err(failed)?;
        let mut gateway = Self {
            process,
            directory,
            port,
            api_key,
            client,
        };
        gateway.wait_until_up().await?;
        Ok(gateway)
    }

    /// Its address.
    pub fn url(&self) -> String {
        url(self.port)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Ends it without any warning.
    pub fn kill(&mut self) -> Result<(), Failure> {
        let killed = self.process.kill();
        killed.map_err(|error| Failure::failed("the gateway cannot be killed", error))
    }

    /// Starts it again, on the same port and the same store.
    pub async fn restart(&mut self) -> Result<(), Failure> {
        self.process = spawn(self.directory.path(), self.port, &self.api_key)
            .map_err(|error| Failure::failed("the gateway cannot be started again", error))?;
        self.wait_until_up().await
    }

    async fn wait_until_up(&mut self) -> Result<(), Failure> {
        let started = Instant::now();
        while self.client.healthz().await.is_err() {
            let ended = matches!(self.process.0.try_wait(), Ok(Some(_)));
            if ended || started.elapsed() > START_TIMEOUT {
                let log = last_lines(&self.directory.path().join(LOG));
                return Err(Failure::Failed(format!(
                    "the gateway did not start:\n{log}"
                )));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

const LOG: &str = "gateway.log";

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// A port that is free now. Nothing keeps it free until it is used, but the system hands out
/// another one next time.
fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

fn spawn(directory: &Path, port: u16, api_key: &str) -> io::Result<Process> {
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.join(LOG))?;
    let mut command = Command::new(std::env::current_exe()?);
    // What the caller has set for a gateway of their own is not meant for this one.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HOOKLATCH_") {
            command.env_remove(name);
        }
    }
    command
        .arg("serve")
        .args(["--listen", &format!("127.0.0.1:{port}"), "--dev"])
        .arg("--data-dir")
        .arg(directory.join("data"))
        .env(API_KEY_VARIABLE, api_key)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    command.spawn().map(Process)
}

fn last_lines(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_log_only_the_end_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LOG);
        let text: String = (1..=30).map(|line| format!("{line}\n")).collect();
        std::fs::write(&path, text).unwrap();
        let shown = last_lines(&path);
        assert!(
            shown.starts_with("11\n") && shown.ends_with("\n30"),
            "{shown}"
        );
        assert_eq!(last_lines(&dir.path().join("none")), "");
    }
}

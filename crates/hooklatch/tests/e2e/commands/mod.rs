//! The commands that a person types, through the binary: what they print, what they change, and how
//! they end.

mod backup;
mod doctor;
mod resources;
mod shell;
mod tail;

use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::{DEADLINE, Gateway, gateway};

/// What a command came to.
#[derive(Debug)]
pub struct Said {
    /// Its exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Each line of standard output as JSON.
    pub fn lines(&self) -> Vec<Value> {
        let read = |line| serde_json::from_str(line);
        let lines: Result<_, _> = self.out.lines().map(read).collect();
        lines.unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The same, which must have succeeded.
    pub fn done(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }
}

/// The binary with these words and nothing of the caller's settings.
pub fn command(words: &[&str]) -> Command {
    let mut command = Command::new(gateway::BINARY);
    gateway::configure(&mut command);
    command.args(words).kill_on_drop(true);
    command
}

/// The same, about a gateway.
pub fn about(gateway: &Gateway, words: &[&str]) -> Command {
    let mut command = command(words);
    command.env("HOOKLATCH_SERVER", format!("http://{}", gateway.address));
    command
}

/// Runs it to its end, with nobody to ask.
pub async fn end(mut command: Command) -> Said {
    command.stdin(Stdio::null());
    let output = timeout(DEADLINE, command.output()).await;
    of(output.expect("it ends").expect("the binary starts"))
}

/// Runs it to its end, with something to read.
pub async fn end_with(mut command: Command, input: &str) -> Said {
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(input.as_bytes()).await.expect("it reads");
    drop(stdin);
    let output = timeout(DEADLINE, child.wait_with_output()).await;
    of(output.expect("it ends").expect("it is our child"))
}

fn of(output: std::process::Output) -> Said {
    Said {
        code: output.status.code().expect("it ended by itself"),
        out: String::from_utf8(output.stdout).expect("it prints UTF-8"),
        err: String::from_utf8(output.stderr).expect("it prints UTF-8"),
    }
}

/// Runs words about a gateway to their end.
pub async fn say(gateway: &Gateway, words: &[&str]) -> Said {
    end(about(gateway, words)).await
}

//! A server in a process of its own, so that its processor time can be told from ours. It lives as
//! long as the value that stands for it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::Failure;

/// A server says on its standard error that it is listening, and then its URL.
const LISTENING: &str = "listening";
const SCHEME: &str = "http://";

const START_MAX: Duration = Duration::from_secs(30);
const LAST_WORDS_LINES: usize = 20;

type LastWords = Arc<Mutex<VecDeque<String>>>;

/// A running server; dropping it kills it.
pub(crate) struct Server {
    child: Child,
    last_words: LastWords,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts it and waits until it says where it listens.
    pub(crate) fn start(command: &mut Command) -> Result<Self, Failure> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{program} did not start: {error}"))?;
        let stderr = child.stderr.take().expect("standard error was asked for");
        let last_words = LastWords::default();
        let listening = listen_to(stderr, Arc::clone(&last_words));
        // From here on the value's end is the child's end.
        let mut server = Self {
            child,
            last_words,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        server.address = listening.recv_timeout(START_MAX).map_err(|_| {
            format!(
                "{program} did not say where it listens:\n{}",
                server.last_words()
            )
        })?;
        Ok(server)
    }

    /// The number under which the system knows it.
    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// The last lines that it wrote.
    pub(crate) fn last_words(&self) -> String {
        let lines = self
            .last_words
            .lock()
            .expect("no thread panics while it holds the lines");
        lines
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads all that it writes, so that it never waits for a reader.
fn listen_to(stderr: ChildStderr, last_words: LastWords) -> Receiver<SocketAddr> {
    let (address, listening) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            announce(&line, &address);
            let mut lines = last_words
                .lock()
                .expect("no thread panics while it holds the lines");
            if lines.len() == LAST_WORDS_LINES {
                lines.pop_front();
            }
            lines.push_back(line);
        }
    });
    listening
}

fn announce(line: &str, to: &Sender<SocketAddr>) {
    if let Some(address) = address_in(line) {
        // Nobody waits for a second announcement.
        let _ = to.send(address);
    }
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once(LISTENING)?.1.split_once(SCHEME)?;
    let end = rest
        .find(|c: char| !matches!(c, '0'..='9' | '.' | ':'))
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_from_a_line_with_words_around_it() {
        let expected = Some(SocketAddr::from(([127, 0, 0, 1], 80)));
        assert_eq!(address_in("listening on http://127.0.0.1:80"), expected);
        assert_eq!(
            address_in("INFO listening on http://127.0.0.1:80/ now"),
            expected
        );
        assert_eq!(address_in("listening on http://nowhere"), None);
        assert_eq!(address_in("url http://127.0.0.1:80"), None);
    }

    #[test]
    fn a_program_that_ends_at_once_is_reported_with_its_last_words() {
        let failure = Server::start(Command::new("sh").args(["-c", "echo no luck >&2"]));
        let failure = failure.err().unwrap().to_string();
        assert!(
            failure.contains("did not say where it listens:\nno luck"),
            "{failure}"
        );
    }
}

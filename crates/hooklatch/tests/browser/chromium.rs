//! A headless Chromium, driven over a pipe by its own protocol: no port, no driver, no dependency.
//!
//! Messages are JSON texts with a zero byte after each. Calls are answered under their number;
//! everything else is an event, which is kept for whoever asks what happened.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::support::DEADLINE;

/// The browser: Debian's, or what the environment names.
const PROGRAM: &str = "HOOKLATCH_TEST_CHROMIUM";
/// Where the pipe of the protocol is: from 3 it reads, to 4 it writes.
const PIPES: &str = r#"exec 3<&0 4>&1; exec "$0" "$@" </dev/null >/dev/null 2>&1"#;

/// A browser. It ends with this.
pub struct Chromium {
    link: Link,
    // The process goes before the directory that it writes to.
    _child: Child,
    _profile: TempDir,
}

/// How to talk to a browser; cheap to clone.
#[derive(Clone)]
pub struct Link {
    calls: mpsc::UnboundedSender<(Value, oneshot::Sender<Value>)>,
    events: Arc<Mutex<Vec<Value>>>,
}

impl Chromium {
    /// Starts one, with a profile of its own.
    pub async fn start() -> Self {
        let profile = TempDir::new().expect("a temporary directory");
        let program = std::env::var(PROGRAM).unwrap_or_else(|_| "chromium".to_owned());
        let mut child = Command::new("sh")
            .args([
                "-c",
                PIPES,
                &program,
                "--headless=new",
                "--remote-debugging-pipe",
            ])
            .args([
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-dev-shm-usage",
            ])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
            ])
            .args([
                "--hide-scrollbars",
                "--force-color-profile=srgb",
                "--lang=en-GB",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("sh runs");
        let stdin = child.stdin.take().expect("stdin is piped");
        let stdout = child.stdout.take().expect("stdout is piped");
        let (calls, asked) = mpsc::unbounded_channel();
        let events = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(attend(stdin, stdout, asked, Arc::clone(&events)));
        Self {
            link: Link { calls, events },
            _child: child,
            _profile: profile,
        }
    }

    /// How to talk to it.
    pub fn link(&self) -> Link {
        self.link.clone()
    }
}

impl Link {
    /// Calls a method, in a session if one is named; an error is an answer with `error`.
    pub async fn call(&self, session: Option<&str>, method: &str, parameters: Value) -> Value {
        let mut call = json!({"method": method, "params": parameters});
        if let Some(session) = session {
            call["sessionId"] = json!(session);
        }
        let (answer, answered) = oneshot::channel();
        let sent = self.calls.send((call, answer));
        assert!(sent.is_ok(), "the browser has ended");
        match timeout(DEADLINE, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => panic!("the browser ended during {method}: is chromium installed?"),
            Err(_) => panic!("{method}: not answered within {DEADLINE:?}"),
        }
    }

    /// What happened, by the name of the event.
    pub fn events(&self, method: &str) -> Vec<Value> {
        let events = self.events.lock().expect("nobody panics with the events");
        let named = |event: &&Value| event["method"] == method;
        events
            .iter()
            .filter(named)
            .map(|event| event["params"].clone())
            .collect()
    }

    /// Forgets what happened so far.
    pub fn forget(&self) {
        self.events
            .lock()
            .expect("nobody panics with the events")
            .clear();
    }
}

/// Carries calls and answers until either side ends.
async fn attend(
    mut stdin: ChildStdin,
    stdout: ChildStdout,
    mut asked: mpsc::UnboundedReceiver<(Value, oneshot::Sender<Value>)>,
    events: Arc<Mutex<Vec<Value>>>,
) {
    let (messages, mut come) = mpsc::unbounded_channel();
    tokio::spawn(read(stdout, messages));
    let mut waiting: HashMap<u64, oneshot::Sender<Value>> = HashMap::new();
    let mut number = 0;
    loop {
        tokio::select! {
            call = asked.recv() => {
                let Some((mut call, answer)) = call else { return };
                number += 1;
                call["id"] = json!(number);
                waiting.insert(number, answer);
                if write(&mut stdin, &call).await.is_err() { return }
            }
            message = come.recv() => {
                let Some(message): Option<Value> = message else { return };
                if let Some(answer) = message["id"].as_u64().and_then(|id| waiting.remove(&id)) {
                    let _ = answer.send(message);
                    continue;
                }
                // Whoever tests means what they do: every question is answered with yes.
                if message["method"] == "Page.javascriptDialogOpening" {
                    number += 1;
                    let yes = json!({"id": number, "sessionId": message["sessionId"],
                        "method": "Page.handleJavaScriptDialog", "params": {"accept": true}});
                    if write(&mut stdin, &yes).await.is_err() { return }
                }
                events.lock().expect("nobody panics with the events").push(message);
            }
        }
    }
}

async fn write(stdin: &mut ChildStdin, message: &Value) -> std::io::Result<()> {
    let mut text = message.to_string().into_bytes();
    text.push(0);
    stdin.write_all(&text).await
}

/// Reading is a task of its own: half a message must not be lost when something else comes first.
async fn read(stdout: ChildStdout, messages: mpsc::UnboundedSender<Value>) {
    let mut stdout = BufReader::new(stdout);
    loop {
        let mut text = Vec::new();
        match stdout.read_until(0, &mut text).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        text.pop();
        if let Ok(message) = serde_json::from_slice(&text)
            && messages.send(message).is_err()
        {
            return;
        }
    }
}

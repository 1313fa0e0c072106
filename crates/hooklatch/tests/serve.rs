//! `hooklatch serve` as a process: how it starts, how it refuses to, and how it ends.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use tempfile::TempDir;

const KEY: &str = "hl_0123456789abcdef0123456789abcdef";

/// A gateway that ends with the test.
struct Serving {
    child: Child,
    stderr: BufReader<ChildStderr>,
    banner: Vec<String>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(data: &Path) -> Command {
    command_on(data, "127.0.0.1:0")
}

fn command_on(data: &Path, listen: &str) -> Command {
    let mut command = serve();
    command.arg("--data-dir").arg(data);
    command.args(["--listen", listen]);
    command
}

/// `hooklatch serve` with nothing of the caller's settings.
fn serve() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hooklatch"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HOOKLATCH_") {
            command.env_remove(name);
        }
    }
    command.arg("serve");
    command
}

/// The same in memory, in a directory where nothing may be left.
fn in_memory(beside: &Path) -> Command {
    let mut command = serve();
    command.args(["--in-memory", "--listen", "127.0.0.1:0"]);
    command.current_dir(beside);
    command
}

impl Serving {
    /// Starts one and reads what it says until it is up.
    fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let banner = read_until(&mut stderr, "the gateway is up");
        Self {
            child,
            stderr,
            banner,
        }
    }

    fn said(&self, label: &str) -> Option<&str> {
        let lines = self.banner.iter();
        let mut values = lines.filter_map(|line| line.trim().strip_prefix(label));
        values.next().map(str::trim)
    }

    fn get(&self, path: &str, key: &str) -> String {
        self.call("GET", path, key, "")
    }

    fn call(&self, method: &str, path: &str, key: &str, body: &str) -> String {
        let listening = self.said("listening").unwrap();
        let address = listening.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end; answers the exit code and what was said last.
    fn ended(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        (code, rest)
    }

    fn end(self, signal: &str) -> (Option<i32>, String) {
        self.signal(signal);
        self.ended()
    }
}

fn read_until(stderr: &mut BufReader<ChildStderr>, text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        let read = stderr.read_line(&mut line).unwrap();
        assert_ne!(read, 0, "it ended without {text:?}: {lines:?}");
        let found = line.contains(text);
        lines.push(line);
        if found {
            return lines;
        }
    }
}

fn refused(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn the_first_key_is_shown_once_and_opens_the_api() {
    let dir = TempDir::new().unwrap();
    let first = Serving::start(&mut command(dir.path()));
    let key = first
        .said("API key")
        .expect("a new store has a new key")
        .to_owned();
    assert!(first.get("/v1/sources", &key).starts_with("HTTP/1.1 200 "));
    assert!(first.get("/v1/sources", KEY).starts_with("HTTP/1.1 401 "));
    let (code, rest) = first.end("-TERM");
    assert_eq!(code, Some(0), "{rest}");
    assert!(rest.contains("the gateway has stopped"), "{rest}");

    let next = Serving::start(&mut command(dir.path()));
    assert_eq!(next.said("API key"), None);
    assert!(next.get("/v1/sources", &key).starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_key_from_the_environment_is_used_and_never_printed() {
    let dir = TempDir::new().unwrap();
    let serving = Serving::start(command(dir.path()).env("HOOKLATCH_API_KEY", KEY));
    assert!(serving.get("/v1/sources", KEY).starts_with("HTTP/1.1 200 "));
    let banner = serving.banner.concat();
    let (_, rest) = serving.end("-INT");
    assert!(
        !banner.contains(KEY) && !rest.contains(KEY),
        "{banner}{rest}"
    );
}

#[test]
fn a_second_process_on_the_data_is_refused_in_one_line() {
    let dir = TempDir::new().unwrap();
    let first = Serving::start(&mut command(dir.path()));
    let (code, text) = refused(&mut command(dir.path()));
    assert_eq!(code, Some(1), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains(&dir.path().display().to_string()), "{text}");
    assert!(first.get("/healthz", "").starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_taken_address_is_refused_before_a_key_is_made() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = TempDir::new().unwrap();
    let (code, text) = refused(&mut command_on(dir.path(), &address));
    assert_eq!(code, Some(1), "{text}");
    let expected = format!("hooklatch: cannot listen on {address}: ");
    assert!(text.starts_with(&expected), "{text}");
    assert!(
        Serving::start(&mut command(dir.path()))
            .said("API key")
            .is_some()
    );
}

#[test]
fn a_flag_goes_before_the_environment_and_that_before_the_file() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("hooklatch.toml");
    std::fs::write(
        &file,
        "log = \"info,file=warn\"\npublic_url = \"http://file\"\n",
    )
    .unwrap();
    let mut command = command(&dir.path().join("data"));
    command.env("HOOKLATCH_CONFIG", &file);
    let from_file = Serving::start(&mut command);
    assert_eq!(from_file.said("public"), Some("http://file"));
    drop(from_file);
    command.env("HOOKLATCH_PUBLIC_URL", "http://environment");
    let from_environment = Serving::start(&mut command);
    assert_eq!(from_environment.said("public"), Some("http://environment"));
    drop(from_environment);
    command.args(["--public-url", "http://flag"]);
    assert_eq!(
        Serving::start(&mut command).said("public"),
        Some("http://flag")
    );
}

#[test]
fn what_is_not_understood_ends_with_code_2() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("hooklatch.toml");
    std::fs::write(&file, "dev = true\nlissten = \"x\"\n").unwrap();
    let (code, text) = refused(command(dir.path()).arg("--config").arg(&file));
    assert_eq!(code, Some(2), "{text}");
    let expected = format!(
        "hooklatch: {}, line 2: unknown key `lissten`",
        file.display()
    );
    assert!(text.starts_with(&expected), "{text}");
    let (code, _) = refused(command(dir.path()).arg("--no-such-flag"));
    assert_eq!(code, Some(2));
    let (code, text) = refused(command(dir.path()).env("HOOKLATCH_API_KEY", "sesame"));
    assert_eq!(code, Some(2));
    assert!(!text.contains("sesame"), "{text}");
}

#[test]
fn a_lost_key_file_is_not_replaced() {
    let dir = TempDir::new().unwrap();
    drop(Serving::start(&mut command(dir.path())));
    std::fs::remove_file(dir.path().join("encryption.key")).unwrap();
    let (code, text) = refused(&mut command(dir.path()));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("encryption.key is missing"), "{text}");
}

/// A gateway in the middle of an attempt, and the receiver's end of it.
fn in_the_middle_of_an_attempt(mut command: Command) -> (Serving, TcpStream) {
    let receiver = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", receiver.local_addr().unwrap());
    let serving = Serving::start(command.arg("--dev").env("HOOKLATCH_API_KEY", KEY));
    let body = format!(r#"{{"url": "{url}", "payload": {{}}}}"#);
    let answer = serving.call("POST", "/v1/webhooks/send", KEY, &body);
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    let (attempt, _) = receiver.accept().unwrap();
    (serving, attempt)
}

#[test]
fn a_graceful_end_waits_for_the_attempt_under_way() {
    let dir = TempDir::new().unwrap();
    let (mut serving, mut attempt) = in_the_middle_of_an_attempt(command(dir.path()));
    serving.signal("-TERM");
    read_until(&mut serving.stderr, "stopping");
    attempt
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .unwrap();
    let (code, rest) = serving.ended();
    assert_eq!(code, Some(0), "{rest}");
    assert!(!rest.contains("cut short"), "{rest}");
}

#[test]
fn a_second_signal_ends_at_once() {
    let dir = TempDir::new().unwrap();
    // The receiver never answers: without the second signal this would take half a minute.
    let (mut serving, _attempt) = in_the_middle_of_an_attempt(command(dir.path()));
    serving.signal("-TERM");
    read_until(&mut serving.stderr, "stopping");
    let (code, rest) = serving.end("-TERM");
    assert_eq!(code, Some(1), "{rest}");
    assert!(rest.contains("ended at once"), "{rest}");
}

#[test]
fn a_misspelt_variable_is_pointed_out() {
    let dir = TempDir::new().unwrap();
    let serving = Serving::start(command(dir.path()).env("HOOKLATCH_DATADIR", "/tmp"));
    let banner = serving.banner.concat();
    assert!(
        banner.contains("HOOKLATCH_DATADIR means nothing"),
        "{banner}"
    );
}

#[test]
fn in_memory_everything_works_nothing_is_written_and_nothing_is_left() {
    let dir = TempDir::new().unwrap();
    let first = Serving::start(&mut in_memory(dir.path()));
    let banner = first.banner.concat();
    assert_eq!(first.said("data"), Some("memory"), "{banner}");
    assert!(banner.contains("lost when this process ends"), "{banner}");
    let key = first.said("API key").expect("it has a new key").to_owned();
    assert!(first.get("/v1/sources", &key).starts_with("HTTP/1.1 200 "));
    let ready = first.get("/readyz", "");
    assert!(ready.contains(r#""store":"memory""#), "{ready}");
    let (code, rest) = first.end("-TERM");
    assert_eq!(code, Some(0), "{rest}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);

    let mut next = in_memory(dir.path());
    let next = Serving::start(next.env("HOOKLATCH_API_KEY", KEY));
    assert!(next.get("/v1/sources", &key).starts_with("HTTP/1.1 401 "));
    assert!(next.get("/v1/sources", KEY).starts_with("HTTP/1.1 200 "));
}

#[test]
fn in_memory_and_somewhere_else_is_refused_and_says_what_to_do() {
    let dir = TempDir::new().unwrap();
    let url = "postgres://me@127.0.0.1:1/x";
    let elsewhere: [(&str, &str); 3] = [
        ("HOOKLATCH_DATA_DIR", "elsewhere"),
        ("HOOKLATCH_DATABASE_URL", url),
        ("HOOKLATCH_DATABASE_URL_FILE", "url"),
    ];
    for (name, value) in elsewhere {
        let (code, text) = refused(in_memory(dir.path()).env(name, value));
        assert_eq!(code, Some(2), "{name}: {text}");
        assert!(text.contains("choose one of them"), "{name}: {text}");
    }
    let mut by_environment = serve();
    by_environment.env("HOOKLATCH_IN_MEMORY", "yes");
    by_environment.args(["--data-dir", "elsewhere"]);
    let (code, text) = refused(&mut by_environment);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("in_memory, data_dir"), "{text}");
}

#[test]
fn in_memory_a_second_signal_says_that_everything_is_lost() {
    let dir = TempDir::new().unwrap();
    let (mut serving, _attempt) = in_the_middle_of_an_attempt(in_memory(dir.path()));
    serving.signal("-TERM");
    read_until(&mut serving.stderr, "stopping");
    let (code, rest) = serving.end("-TERM");
    assert_eq!(code, Some(1), "{rest}");
    assert!(rest.contains("in memory, and is lost"), "{rest}");
}

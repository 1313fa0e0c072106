//! The gateway under test: started on a store of its own, as one process or as several nodes, with a
//! target for every kind of request, and with a memory of what was sent to each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Failure;
use crate::api;
use crate::child::Server;
use crate::request::{Request, SIGNATURE_HEADER};
use crate::scenario::{Shape, Target};
use crate::sink::Sink;

/// Only loopback ever sees it, and it dies with the store.
pub(crate) const API_KEY: &str = "hl_bench_0123456789abcdef0123456789abcdef";
/// The same holds for the secret of the verified sources.
pub(crate) const SECRET: &str = "whsec-of-the-load-generator";

/// The key with which its nodes seal those: 32 bytes.
const ENCRYPTION_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Where a gateway keeps what it is sent.
#[derive(Clone, Copy)]
pub(crate) enum Store<'a> {
    /// In a directory of its own.
    Directory,
    /// In a database, as so many nodes that share it.
    Shared {
        /// The database's URL.
        url: &'a str,
        /// How many nodes.
        nodes: usize,
    },
}

/// A gateway, its store, and what it was told.
pub(crate) struct Gateway {
    // Fields end in this order: the processes first, then their directory.
    nodes: Vec<Server>,
    directory: TempDir,
    targets: Vec<(Target, Request)>,
    sent: Vec<(Target, u64)>,
}

impl Gateway {
    /// Starts it on an empty store and sets up every target.
    pub(crate) fn start(
        binary: &Path,
        work_dir: &Path,
        sink: &Sink,
        endpoint_concurrency: u16,
        store: Store<'_>,
    ) -> Result<Self, Failure> {
        sink.forget();
        let directory = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(work_dir)?;
        let first = Server::start(&mut command(binary, directory.path(), store))?;
        let mut gateway = Self {
            nodes: vec![first],
            targets: Vec::new(),
            sent: Target::ALL.map(|t| (t, 0)).into(),
            directory,
        };
        gateway
            .set_up(sink, endpoint_concurrency)
            .map_err(|failure| {
                format!(
                    "{failure}\nThe gateway's last words:\n{}",
                    gateway.nodes[0].last_words()
                )
            })?;
        // The others find everything set up, and so need not hear of it.
        for _ in 1..store.nodes() {
            let mut node = command(binary, gateway.directory.path(), store);
            gateway.nodes.push(Server::start(&mut node)?);
        }
        Ok(gateway)
    }

    fn set_up(&mut self, sink: &Sink, concurrency: u16) -> Result<(), Failure> {
        let endpoint = json!({
            "name": "sink",
            "url": format!("http://{}/", sink.address),
            "rate_limit": {"concurrency": concurrency},
        });
        let endpoint = self.post("/v1/endpoints", &endpoint)?;
        let endpoint_id = api::text(&endpoint, "id")?;
        for target in Target::ALL {
            let request = match target.shape() {
                Shape::Send => Request::send(endpoint_id, API_KEY),
                Shape::Claim => Request::claim(API_KEY),
                Shape::Plain | Shape::Signed => self.make_source(target, endpoint_id)?,
            };
            self.targets.push((target, request));
        }
        Ok(())
    }

    fn make_source(&self, target: Target, endpoint_id: &str) -> Result<Request, Failure> {
        let secret = (target.shape() == Shape::Signed).then_some(SECRET);
        let verifier = secret.map_or(json!({"type": "none"}), |secret| {
            json!({
                "type": "hmac",
                "header": SIGNATURE_HEADER,
                "algorithm": "sha256",
                "encoding": "hex",
                "secret": secret,
            })
        });
        let name = format!("{target:?}").to_lowercase();
        let source =
            json!({"name": name, "verifier": verifier, "key": {"locations": ["body:$.id"]}});
        let source = self.post("/v1/sources", &source)?;
        if target.delivers() {
            let source_id = api::text(&source, "id")?;
            let connection =
                json!({"name": name, "source_id": source_id, "endpoint_id": endpoint_id});
            self.post("/v1/connections", &connection)?;
        }
        Ok(Request::ingest(
            &path_of(api::text(&source, "ingest_url")?),
            secret,
        ))
    }

    fn post(&self, path: &str, resource: &Value) -> Result<Value, Failure> {
        api::post(self.nodes[0].address, API_KEY, path, resource)
    }

    /// Its processes.
    pub(crate) fn nodes(&self) -> &[Server] {
        &self.nodes
    }

    /// The request of every message to that target.
    pub(crate) fn request(&self, target: Target) -> Request {
        let found = self.targets.iter().find(|(of, _)| *of == target);
        found.expect("every target was set up").1.clone()
    }

    /// How many messages that target was sent: their numbers lie below.
    pub(crate) fn sent(&self, target: Target) -> u64 {
        let found = self.sent.iter().find(|(of, _)| *of == target);
        found.expect("every target has a count").1
    }

    /// How many messages were sent in all.
    pub(crate) fn messages(&self) -> u64 {
        self.sent.iter().map(|(_, messages)| messages).sum()
    }

    /// Remembers new messages.
    pub(crate) fn add_sent(&mut self, target: Target, messages: u64) {
        for (_, sent) in self.sent.iter_mut().filter(|(of, _)| *of == target) {
            *sent += messages;
        }
    }

    /// The size of the store's files.
    pub(crate) fn store_bytes(&self) -> Result<u64, Failure> {
        Ok(bytes_below(&self.directory.path().join("store"))?)
    }
}

impl Store<'_> {
    fn nodes(self) -> usize {
        match self {
            Self::Directory => 1,
            Self::Shared { nodes, .. } => nodes,
        }
    }
}

/// The command that starts a gateway in a directory, on a store of its own or on a shared one.
pub(crate) fn command(binary: &Path, directory: &Path, store: Store<'_>) -> Command {
    let mut command = Command::new(binary);
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--dev"])
        .current_dir(directory)
        // Whoever measures may have a gateway of his own.
        .env_remove("HOOKLATCH_CONFIG")
        .env_remove("HOOKLATCH_DATA_DIR")
        .env_remove("HOOKLATCH_DATABASE_URL")
        .env_remove("HOOKLATCH_DATABASE_URL_FILE")
        .env("HOOKLATCH_API_KEY", API_KEY);
    match store {
        Store::Directory => command.arg("--data-dir").arg(directory.join("store")),
        Store::Shared { url, .. } => command
            .env("HOOKLATCH_DATABASE_URL", url)
            .env("HOOKLATCH_ENCRYPTION_KEY", ENCRYPTION_KEY),
    };
    command
}

/// The path of a URL: the address may be another than the one that is dialled.
pub(crate) fn path_of(url: &str) -> String {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    after_scheme
        .find('/')
        .map_or("/", |at| &after_scheme[at..])
        .to_owned()
}

/// A file may vanish between the listing and the look at it: a checkpoint does that.
fn bytes_below(directory: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    let mut waiting: Vec<PathBuf> = vec![directory.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next)? {
            let entry = entry?;
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => waiting.push(entry.path()),
                Ok(metadata) => bytes += metadata.len(),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_what_follows_the_host() {
        assert_eq!(
            path_of("http://127.0.0.1:80/ingest/abc?x=1"),
            "/ingest/abc?x=1"
        );
        assert_eq!(path_of("/ingest/abc"), "/ingest/abc");
        assert_eq!(path_of("http://host"), "/");
    }

    #[test]
    fn bytes_are_those_of_all_files_below() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("inner")).unwrap();
        fs::write(directory.path().join("one"), [0; 10]).unwrap();
        fs::write(directory.path().join("inner/two"), [0; 5]).unwrap();
        assert_eq!(bytes_below(directory.path()).unwrap(), 15);
        assert!(bytes_below(&directory.path().join("none")).is_err());
    }
}

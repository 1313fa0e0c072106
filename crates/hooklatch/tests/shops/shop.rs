//! A shop as a process, with a script that kills it and one that starts it: what a user of
//! `hooklatch prove` has.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

use crate::gateway::DEADLINE;

/// Which shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Rust,
    Node,
    Python,
}

/// Which of its forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handler {
    Naive,
    Kit,
}

/// A running shop; it ends with this.
pub struct Shop {
    /// Where it listens.
    pub url: String,
    directory: TempDir,
}

/// A port of loopback that nobody has now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("it is bound").port()
}

impl Shop {
    /// Starts it, and waits until it takes connections.
    pub async fn start(
        language: Language,
        handler: Handler,
        port: u16,
        database: &str,
        secret: &str,
    ) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let handler = match handler {
            Handler::Naive => "naive",
            Handler::Kit => "kit",
        };
        let start = format!(
            "cd '{0}'\n\
             PORT={port} DATABASE_URL='{database}' WEBHOOK_SECRET='{secret}' HANDLER={handler} \
             {1} >> log 2>&1 &\n\
             echo $! > pid\n",
            directory.path().display(),
            language.command()
        );
        let kill = format!("kill -KILL $(cat '{}/pid')\n", directory.path().display());
        for (name, text) in [("start", start), ("kill", kill)] {
            std::fs::write(directory.path().join(name), text).expect("a script is written");
        }
        let shop = Self {
            url: format!("http://127.0.0.1:{port}"),
            directory,
        };
        run(&shop.script("start"));
        shop.wait_for(port).await;
        shop
    }

    /// The command that does what a script says.
    pub fn script(&self, name: &str) -> String {
        format!("sh '{}'", self.directory.path().join(name).display())
    }

    /// What it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    async fn wait_for(&self, port: u16) {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut look = interval(Duration::from_millis(50));
        let listens = timeout(DEADLINE, async {
            while TcpStream::connect(address).await.is_err() {
                look.tick().await;
            }
        });
        assert!(
            listens.await.is_ok(),
            "the shop does not listen:\n{}",
            self.log()
        );
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        run(&self.script("kill"));
        if std::thread::panicking() {
            eprintln!("the shop's log:\n{}", self.log());
        }
    }
}

impl Language {
    /// What starts it; all was installed before.
    fn command(self) -> String {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        let (program, script) = match self {
            Self::Rust => return quoted(&rust_shop()),
            Self::Node => (PathBuf::from("node"), examples.join("shop-node/shop.js")),
            Self::Python => {
                let directory = examples.join("shop-python");
                (
                    directory.join(".venv/bin/python"),
                    directory.join("shop.py"),
                )
            }
        };
        let installed = match self {
            Self::Rust | Self::Node => examples.join("shop-node/node_modules"),
            Self::Python => program.clone(),
        };
        assert!(
            installed.exists(),
            "the shop is not installed: run `cargo xtask test`, or examples/install"
        );
        format!("{} {}", quoted(&program), quoted(&script))
    }
}

/// The shop's binary, which a build of the workspace leaves beside the gateway's; where only a part
/// was built, it is built now.
fn rust_shop() -> PathBuf {
    let gateway = Path::new(env!("CARGO_BIN_EXE_hooklatch"));
    let shop = gateway.with_file_name("hooklatch-shop");
    if !shop.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--package", "hooklatch-shop"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(
            built.expect("cargo runs").success(),
            "the shop does not build"
        );
    }
    shop
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}

fn run(command: &str) {
    // One that has died already is no mistake.
    let _ = Command::new("sh").args(["-c", command]).status();
}

//! A PostgreSQL of this test alone, because it is killed. Its durability is the default one.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

use crate::process::{children, free_address, is_root, pass, signal};
use crate::support::DEADLINE;

/// The user that owns the cluster where we are root: the server refuses to be root.
const USER: &str = "postgres";
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// A cluster and its server.
pub struct Postgres {
    /// Where it listens.
    pub address: SocketAddr,
    directory: TempDir,
    programs: PathBuf,
    as_user: Option<&'static str>,
    server: Option<Child>,
}

impl Postgres {
    /// Makes a cluster and starts its server.
    pub async fn start() -> Self {
        let mut postgres = Self {
            address: free_address(),
            directory: TempDir::new().expect("a temporary directory"),
            programs: programs(),
            as_user: is_root().await.then_some(USER),
            server: None,
        };
        if let Some(user) = postgres.as_user {
            let path = postgres.directory.path().display().to_string();
            run(Command::new("chown").args([user, &path])).await;
        }
        let mut made = postgres.command("initdb");
        made.args(["--username", USER, "--auth=trust", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync", "--pgdata"])
            .arg(postgres.cluster());
        run(&mut made).await;
        postgres.up().await;
        postgres
    }

    /// How a node gets to it through `address`.
    pub fn url(&self, address: SocketAddr) -> String {
        format!("postgres://{USER}@{address}/{USER}?sslmode=disable")
    }

    /// A session for the test itself.
    pub async fn client(&self) -> Client {
        let connected = self.try_client().await;
        connected.expect("the PostgreSQL of the test answers")
    }

    async fn try_client(&self) -> Result<Client, tokio_postgres::Error> {
        let url = self.url(self.address);
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Starts the server and waits until it lets somebody in.
    pub async fn up(&mut self) {
        let begun = timeout(DEADLINE, async {
            // After a kill -9 the old one's last children may still hold the cluster.
            while !self.try_up().await {
                pass(PAUSE).await;
            }
        });
        assert!(begun.await.is_ok(), "PostgreSQL does not start");
    }

    async fn try_up(&mut self) -> bool {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.cluster());
        command.args(["-p", &self.address.port().to_string()]);
        let listen = format!("listen_addresses={}", self.address.ip());
        for setting in [
            listen.as_str(),
            "unix_socket_directories=",
            "max_connections=100",
        ] {
            command.args(["-c", setting]);
        }
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = command.kill_on_drop(true).spawn().expect("postgres runs");
        while server.try_wait().expect("it is our child").is_none() {
            if self.try_client().await.is_ok() {
                self.server = Some(server);
                return true;
            }
            pass(PAUSE).await;
        }
        false
    }

    /// Ends it as an administrator does who is in a hurry: sessions are cut off.
    pub async fn stop_fast(&mut self) {
        let mut server = self.server.take().expect("it runs");
        signal("INT", &[server.id().expect("it runs")]).await;
        let ended = timeout(DEADLINE, server.wait()).await;
        ended.expect("it does not stop").expect("it is our child");
    }

    /// kill -9 of the server and of all its processes.
    pub async fn kill(&mut self) {
        let mut server = self.server.take().expect("it runs");
        let pid = server.id().expect("it runs");
        let mut all = vec![pid];
        all.extend(children(pid));
        signal("KILL", &all).await;
        server.wait().await.expect("it is our child");
    }

    fn cluster(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A program as the cluster's owner, told to end if we do.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "INT"]);
        if let Some(user) = self.as_user {
            command.args(["--reuid", user, "--regid", user, "--init-groups"]);
        }
        command
            .arg(self.programs.join(program))
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        command
    }
}

/// The directory of the newest version's programs: Debian keeps them out of the path.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let newest = versions
        .flatten()
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, path)| path.join("initdb").exists())
        .max_by_key(|(version, _)| *version);
    if let Some((_, path)) = newest {
        return path;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut path = std::env::split_paths(&path);
    path.find(|path| has_initdb(path))
        .expect("PostgreSQL is there: install Debian's package postgresql")
}

fn has_initdb(path: &Path) -> bool {
    path.join("initdb").exists()
}

async fn run(command: &mut Command) {
    let output = command.output().await.expect("the program is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

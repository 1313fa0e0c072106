//! Services to run stores on: those that the environment names, or else started here, on loopback,
//! on a free port, in a temporary directory, and ended with the test. One that is missing fails
//! the test.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a service may take until it accepts connections.
const START_MAX: Duration = Duration::from_secs(60);

/// A service that runs at least as long as this lives.
pub struct Service {
    /// Its URL, or for Memcached its address.
    pub address: String,
    running: Option<(Child, TempDir)>,
}

impl Service {
    fn from_environment(name: &str) -> Option<Self> {
        let address = std::env::var(name).ok()?;
        Some(Self {
            address,
            running: None,
        })
    }

    fn started(address: String, port: u16, mut child: Child, dir: TempDir) -> Self {
        wait_for(port, &mut child, dir.path());
        Self {
            address,
            running: Some((child, dir)),
        }
    }

    /// The process, of a service that was started here.
    pub fn process(&self) -> Option<u32> {
        self.running.as_ref().map(|(child, _)| child.id())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.running {
            // It may have ended by itself; its directory goes in any case.
            let _killed = child.kill();
            let _ended = child.wait();
        }
    }
}

/// Whether a database syncs to the disk: tests need not wait for it, measurements must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    Synced,
    Unsynced,
}

/// A database that no other test has: several run at once on one server.
fn name_of_database() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let made = MADE.fetch_add(1, Ordering::Relaxed);
    format!("receiver_{}_{made}", std::process::id())
}

/// The same server, another database.
fn in_database(url: &str, name: &str) -> String {
    let (server, _) = url.rsplit_once('/').expect("the URL names a database");
    format!("{server}/{name}")
}

fn make_in_mariadb(url: &str, name: &str) {
    let url: url::Url = url.parse().expect("the URL is one");
    let made = Command::new("mariadb")
        .arg("--no-defaults")
        .args(["--protocol=tcp", "--host", url.host_str().unwrap()])
        .args(["--port", &url.port().unwrap_or(3306).to_string()])
        .args(["--user", url.username()])
        .env("MYSQL_PWD", url.password().unwrap_or_default())
        .args(["--execute", &format!("CREATE DATABASE {name}")])
        .status()
        .expect("mariadb runs");
    assert!(made.success(), "mariadb failed");
}

/// PostgreSQL, with a URL for the user `postgres`.
pub fn postgres(disk: Disk) -> Service {
    if let Some(mut service) = Service::from_environment("HOOKLATCH_TEST_POSTGRES_URL") {
        let name = name_of_database();
        let create = format!("CREATE DATABASE {name}");
        let made = Command::new("psql")
            .args([
                &service.address,
                "--no-psqlrc",
                "--quiet",
                "--command",
                &create,
            ])
            .status()
            .expect("psql runs");
        assert!(made.success(), "psql failed");
        service.address = in_database(&service.address, &name);
        return service;
    }
    let (dir, port) = (dir_for("postgres"), free_port());
    let cluster = dir.path().join("data");
    let initdb = run_as("postgres", &postgres_program("initdb"))
        .args([
            "--auth=trust",
            "--username=postgres",
            "--no-sync",
            "--encoding=UTF8",
            "-D",
        ])
        .arg(&cluster)
        .stdout(Stdio::null())
        .status()
        .expect("initdb runs");
    assert!(initdb.success(), "initdb failed");
    let fsync = match disk {
        Disk::Synced => "fsync=on",
        Disk::Unsynced => "fsync=off",
    };
    let child = run_as("postgres", &postgres_program("postgres"))
        .arg("-D")
        .arg(&cluster)
        .args([
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            &format!("port={port}"),
        ])
        .args([
            "-c",
            "unix_socket_directories=",
            "-c",
            fsync,
            "-c",
            "max_connections=200",
        ])
        .stdout(Stdio::null())
        .stderr(log(dir.path()))
        .spawn()
        .expect("postgres starts");
    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
    Service::started(url, port, child, dir)
}

/// MariaDB, with a URL for a database `hooklatch`.
pub fn mariadb(disk: Disk) -> Service {
    if let Some(mut service) = Service::from_environment("HOOKLATCH_TEST_MARIADB_URL") {
        let name = name_of_database();
        make_in_mariadb(&service.address, &name);
        service.address = in_database(&service.address, &name);
        return service;
    }
    let (dir, port) = (dir_for("mysql"), free_port());
    let tables = dir.path().join("data");
    let install = run_as("mysql", Path::new("mariadb-install-db"))
        .args([
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ])
        .arg(format!("--datadir={}", tables.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("mariadb-install-db runs");
    assert!(install.success(), "mariadb-install-db failed");
    let flush = match disk {
        Disk::Synced => 1,
        Disk::Unsynced => 0,
    };
    let init = dir.path().join("init.sql");
    std::fs::write(&init, "CREATE DATABASE IF NOT EXISTS hooklatch;\n").unwrap();
    let child = run_as("mysql", Path::new("mariadbd"))
        .args([
            "--no-defaults",
            "--skip-grant-tables",
            "--bind-address=127.0.0.1",
        ])
        .arg(format!("--datadir={}", tables.display()))
        .arg(format!("--socket={}", dir.path().join("socket").display()))
        .arg(format!("--pid-file={}", dir.path().join("pid").display()))
        .arg(format!("--init-file={}", init.display()))
        .arg(format!("--port={port}"))
        .arg(format!("--innodb-flush-log-at-trx-commit={flush}"))
        .stdout(Stdio::null())
        .stderr(log(dir.path()))
        .spawn()
        .expect("mariadbd starts");
    let url = format!("mysql://root@127.0.0.1:{port}/hooklatch");
    Service::started(url, port, child, dir)
}

/// Redis, with an append-only file and whatever else is asked for.
pub fn redis(arguments: &[&str]) -> Service {
    if let (Some(service), true) = (
        Service::from_environment("HOOKLATCH_TEST_REDIS_URL"),
        arguments.is_empty(),
    ) {
        return service;
    }
    let (dir, port) = (dir_for("redis"), free_port());
    let child = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"])
        .args(["--port", &port.to_string()])
        .arg("--dir")
        .arg(dir.path())
        .args(arguments)
        .stdout(log(dir.path()))
        .spawn()
        .expect("redis-server starts");
    let url = format!("redis://127.0.0.1:{port}/");
    Service::started(url, port, child, dir)
}

/// Memcached, with so many megabytes.
pub fn memcached(megabytes: u32) -> Service {
    if let (Some(service), 64) = (
        Service::from_environment("HOOKLATCH_TEST_MEMCACHED_ADDR"),
        megabytes,
    ) {
        return service;
    }
    let (dir, port) = (dir_for("memcached"), free_port());
    let child = Command::new("memcached")
        .args(["-l", "127.0.0.1", "-U", "0", "-u", "nobody"])
        .args(["-p", &port.to_string(), "-m", &megabytes.to_string()])
        .stderr(log(dir.path()))
        .spawn()
        .expect("memcached starts");
    Service::started(format!("127.0.0.1:{port}"), port, child, dir)
}

/// A database server does not run as root.
fn run_as(user: &str, program: &Path) -> Command {
    if id_of("root", 2) != Some(current_user()) {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--clear-groups"])
        .arg(format!("--reuid={user}"))
        .arg(format!("--regid={user}"))
        .arg(program);
    command
}

fn current_user() -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").expect("a Linux").uid()
}

/// A field of a user's line in the table of users: 2 is its id, 3 that of its group.
fn id_of(user: &str, field: usize) -> Option<u32> {
    let users = std::fs::read_to_string("/etc/passwd").expect("a table of users");
    let line = users
        .lines()
        .find(|line| line.split(':').next() == Some(user))?;
    line.split(':').nth(field)?.parse().ok()
}

fn dir_for(user: &str) -> TempDir {
    let dir = TempDir::with_prefix("hooklatch-receiver-").expect("a temporary directory");
    if Some(current_user()) == id_of("root", 2) && id_of(user, 2).is_some() {
        std::os::unix::fs::chown(dir.path(), id_of(user, 2), id_of(user, 3)).unwrap();
    }
    dir
}

fn postgres_program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut programs: Vec<PathBuf> = versions
        .flatten()
        .map(|version| version.path().join("bin").join(name))
        .filter(|program| program.exists())
        .collect();
    programs.sort();
    programs.pop().unwrap_or_else(|| PathBuf::from(name))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

fn log(dir: &Path) -> Stdio {
    std::fs::File::create(dir.join("log"))
        .expect("a file for its log")
        .into()
}

fn wait_for(port: u16, child: &mut Child, dir: &Path) {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let start = Instant::now();
    loop {
        if TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok() {
            return;
        }
        let ended = child.try_wait().expect("it can be asked");
        if ended.is_some() || start.elapsed() > START_MAX {
            let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
            panic!("the service did not start: {ended:?}\n{log}");
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A server accepts connections a moment before it answers them.
pub async fn until_it_answers<F, T, E>(ask: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, E>>,
    E: std::fmt::Debug,
{
    let start = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => assert!(start.elapsed() < START_MAX, "{error:?}"),
        }
        tick.tick().await;
    }
}

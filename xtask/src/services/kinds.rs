//! Which servers there are, and how each is made and started: with the durability that it has by
//! default, or a test of durability would show nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{Place, Running, Stop, free_port, random_word};
use crate::Failure;

/// A server that tests talk to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Postgres,
    Mariadb,
    Redis,
    Memcached,
}

/// The database, and the user, of the tests.
const NAME: &str = "hooklatch";

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Postgres, Self::Mariadb, Self::Redis, Self::Memcached];

    /// The variable in which tests look for it.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "HOOKLATCH_TEST_POSTGRES_URL",
            Self::Mariadb => "HOOKLATCH_TEST_MARIADB_URL",
            Self::Redis => "HOOKLATCH_TEST_REDIS_URL",
            Self::Memcached => "HOOKLATCH_TEST_MEMCACHED_ADDR",
        }
    }

    /// Its name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Mariadb => "MariaDB",
            Self::Redis => "Redis",
            Self::Memcached => "Memcached",
        }
    }

    /// Debian's package that brings it.
    pub const fn package(self) -> &'static str {
        match self {
            Self::Postgres => "postgresql",
            Self::Mariadb => "mariadb-server",
            Self::Redis => "redis-server",
            Self::Memcached => "memcached",
        }
    }

    /// The user that it runs as where we are root: some refuse to be root.
    pub const fn user(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mariadb => "mysql",
            Self::Redis => "redis",
            Self::Memcached => "memcache",
        }
    }

    /// Where its program is.
    pub fn program(self) -> Option<PathBuf> {
        match self {
            // Debian keeps the programs of a server out of the path: there may be several versions.
            // A link in the path leads to where the others are.
            Self::Postgres => find("initdb", &postgres_directories())?.canonicalize().ok(),
            Self::Mariadb => find("mariadbd", &["/usr/sbin".into()]),
            Self::Redis => find("redis-server", &[]),
            Self::Memcached => find("memcached", &[]),
        }
    }

    /// Starts it, and waits until it answers; answers where it is.
    pub fn start(self, place: &Place) -> Result<(Running, String), Failure> {
        let program = self.program().ok_or("it was there a moment ago")?;
        let port = free_port()?;
        match self {
            Self::Postgres => postgres(place, &program, port, &["shared_buffers=512MB"]),
            Self::Mariadb => mariadb(place, &program, port),
            Self::Redis => redis(place, &program, port),
            Self::Memcached => memcached(place, &program, port),
        }
    }
}

/// Starts a PostgreSQL with these settings, and waits until it answers; answers where it is.
pub fn start_postgres(place: &Place, settings: &[&str]) -> Result<(Running, String), Failure> {
    let initdb = Kind::Postgres
        .program()
        .ok_or("it was there a moment ago")?;
    postgres(place, &initdb, free_port()?, settings)
}

fn postgres(
    place: &Place,
    initdb: &Path,
    port: u16,
    settings: &[&str],
) -> Result<(Running, String), Failure> {
    let password = random_word()?;
    let password_file = place.write("password", &password)?;
    let cluster = place.path("data");
    let mut made = place.command(initdb, Stop::Interrupt);
    made.arg("--pgdata")
        .arg(&cluster)
        .args([
            "--username",
            NAME,
            "--auth=scram-sha-256",
            "--encoding=UTF8",
        ])
        .args(["--locale=C", "--no-sync", "--pwfile"])
        .arg(&password_file);
    place.run(&mut made)?;
    let mut server = place.command(&initdb.with_file_name("postgres"), Stop::Interrupt);
    server
        .arg("-D")
        .arg(&cluster)
        .arg("-p")
        .arg(port.to_string());
    let everywhere = [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "max_connections=200",
    ];
    for setting in everywhere.iter().chain(settings) {
        server.args(["-c", setting]);
    }
    let mut running = place.start(&mut server, Stop::Interrupt)?;
    let is_ready = initdb.with_file_name("pg_isready");
    let port = port.to_string();
    running.wait_until(|| {
        let asked = Command::new(&is_ready)
            .args(["--quiet", "--host=127.0.0.1", "--port", &port])
            .status();
        asked.is_ok_and(|status| status.success())
    })?;
    let url = format!("postgres://{NAME}:{password}@127.0.0.1:{port}/postgres");
    Ok((running, url))
}

fn mariadb(place: &Place, program: &Path, port: u16) -> Result<(Running, String), Failure> {
    let password = random_word()?;
    let data = place.path("data");
    let install = find("mariadb-install-db", &[]).ok_or("mariadb-install-db is missing")?;
    let mut made = place.command(&install, Stop::Terminate);
    made.args(["--no-defaults", "--skip-test-db"])
        .arg("--auth-root-authentication-method=normal")
        .arg(option("--datadir", &data));
    place.run(&mut made)?;
    let statements = format!(
        "CREATE DATABASE {NAME};\n\
         CREATE USER '{NAME}'@'127.0.0.1' IDENTIFIED BY '{password}';\n\
         GRANT ALL ON *.* TO '{NAME}'@'127.0.0.1';\n"
    );
    let init_file = place.write("init.sql", &statements)?;
    let mut server = place.command(program, Stop::Terminate);
    server
        .args(["--no-defaults", "--bind-address=127.0.0.1"])
        .args(["--skip-name-resolve", "--max-connections=200"])
        .arg(format!("--port={port}"))
        .arg(option("--datadir", &data))
        .arg(option("--socket", &place.path("socket")))
        .arg(option("--pid-file", &place.path("pid")))
        .arg(option("--init-file", &init_file));
    let mut running = place.start(&mut server, Stop::Terminate)?;
    running.wait_for_port(port)?;
    let url = format!("mysql://{NAME}:{password}@127.0.0.1:{port}/{NAME}");
    Ok((running, url))
}

fn redis(place: &Place, program: &Path, port: u16) -> Result<(Running, String), Failure> {
    let mut server = place.command(program, Stop::Terminate);
    server
        .args(["--bind", "127.0.0.1", "--save", "", "--port"])
        .arg(port.to_string())
        .arg("--dir")
        .arg(place.path(""));
    let mut running = place.start(&mut server, Stop::Terminate)?;
    running.wait_for_port(port)?;
    Ok((running, format!("redis://127.0.0.1:{port}/")))
}

fn memcached(place: &Place, program: &Path, port: u16) -> Result<(Running, String), Failure> {
    let mut server = place.command(program, Stop::Terminate);
    server
        .args(["--listen=127.0.0.1", "--udp-port=0", "--port"])
        .arg(port.to_string());
    let mut running = place.start(&mut server, Stop::Terminate)?;
    running.wait_for_port(port)?;
    Ok((running, format!("127.0.0.1:{port}")))
}

fn option(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

/// The directories of PostgreSQL's versions, the newest first.
fn postgres_directories() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut versions: Vec<(u32, PathBuf)> = versions
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort_unstable_by(|one, two| two.cmp(one));
    versions.into_iter().map(|(_, path)| path).collect()
}

/// A program in the path, or in one of these directories.
fn find(name: &str, more: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(more.iter().cloned());
    let mut programs = directories.map(|directory| directory.join(name));
    programs.find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_in_the_path_or_where_else_it_may_be() {
        assert!(find("sh", &[]).is_some());
        assert!(find("no-such-program-anywhere", &["/usr/sbin".into()]).is_none());
        let exe = std::env::current_exe().unwrap();
        let (directory, name) = (exe.parent().unwrap(), exe.file_name().unwrap());
        let found = find(name.to_str().unwrap(), &[directory.to_owned()]);
        assert_eq!(found, Some(exe));
    }

    #[test]
    fn every_kind_has_a_variable_of_its_own() {
        let variables = Kind::ALL.map(Kind::variable);
        for (n, variable) in variables.iter().enumerate() {
            assert!(variable.starts_with("HOOKLATCH_TEST_"), "{variable}");
            assert!(!variables[..n].contains(variable), "{variable}");
        }
    }
}

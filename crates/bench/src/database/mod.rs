//! The database that nodes share: databases of our own on a server that is there, what it has done,
//! and what it can do without a gateway.
//!
//! Nothing that lies in the database of the URL is touched: every measurement makes an empty database
//! beside it, and drops it again.

mod address;
mod counters;
mod session;
pub(crate) mod template;

use std::cell::Cell;
use std::rc::Rc;

use serde::Serialize;

pub(crate) use address::Address;
pub(crate) use counters::{Counters, PerMessage};
pub(crate) use session::Session;

use crate::{Failure, process};

/// What decides how durable a commit is and how much fits into memory.
const SETTINGS: [&str; 10] = [
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_level",
    "synchronous_standby_names",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "shared_preload_libraries",
];

/// A server.
pub(crate) struct Cluster {
    address: Address,
    session: Session,
    /// The server's first process, if it runs on this machine.
    postmaster: Option<u32>,
    made: Cell<u32>,
}

/// A setting of the server.
#[derive(Debug, Serialize)]
pub(crate) struct Setting {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// An empty database; dropped with this value.
pub(crate) struct Database {
    cluster: Rc<Cluster>,
    name: String,
    /// Its address.
    pub address: Address,
    /// A session in it.
    pub session: Session,
    /// Whether the server counts statements.
    counts_statements: bool,
}

impl Cluster {
    /// Looks at the server of a URL.
    pub(crate) fn reach(url: &str) -> Result<Rc<Self>, Failure> {
        let address = Address::parse(url)?;
        let session = Session::open(&address)?;
        let sql = "SELECT pg_backend_pid(), \
                   inet_client_addr() IS NOT DISTINCT FROM inet_server_addr()";
        let row = session.row(sql, &[])?;
        let (backend, here): (i32, bool) = (row.try_get(0)?, row.try_get(1)?);
        let backend = u32::try_from(backend).ok().filter(|_| here);
        Ok(Rc::new(Self {
            address,
            session,
            postmaster: backend.and_then(|backend| process::parent_of(backend, "postgres")),
            made: Cell::new(0),
        }))
    }

    /// How it is set.
    pub(crate) fn settings(&self) -> Result<Vec<Setting>, Failure> {
        let sql = "SELECT name, current_setting(name, true) FROM unnest($1::text[]) name";
        let rows = self.session.rows(sql, &[&SETTINGS.as_slice()])?;
        let settings = rows.iter().map(|row| {
            let value: Option<String> = row.try_get(1)?;
            Ok(Setting {
                name: row.try_get(0)?,
                value: value.unwrap_or_default(),
            })
        });
        settings.collect()
    }

    /// Makes an empty database.
    pub(crate) fn make_database(self: &Rc<Self>) -> Result<Database, Failure> {
        let number = self.made.get() + 1;
        self.made.set(number);
        let name = format!("hooklatch_bench_{}_{number}", std::process::id());
        self.session
            .execute(&format!("CREATE DATABASE {name} TEMPLATE template0"))?;
        let address = self.address.with_database(&name);
        let session = Session::open(&address)?;
        // Fails for whoever may not; reading fails where the library was not loaded at the start.
        let counts_statements = session
            .execute(
                "CREATE EXTENSION IF NOT EXISTS pg_stat_statements; \
                 SELECT FROM pg_stat_statements LIMIT 1",
            )
            .is_ok();
        Ok(Database {
            cluster: Rc::clone(self),
            name,
            address,
            session,
            counts_statements,
        })
    }
}

impl Database {
    /// What the server has done so far; statements are those in this database.
    pub(crate) fn counters(&self) -> Result<Counters, Failure> {
        let sql = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::float8, \
                   pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8";
        let row = self.session.row(sql, &[])?;
        let cpu_ms = self.cluster.postmaster.map(process::family_cpu_ms);
        Ok(Counters {
            cpu_ms: cpu_ms.transpose()?,
            statements: self.statements()?,
            commits: row.try_get(0)?,
            wal_bytes: row.try_get(1)?,
        })
    }

    fn statements(&self) -> Result<Option<f64>, Failure> {
        if !self.counts_statements {
            return Ok(None);
        }
        let sql = "SELECT COALESCE(sum(calls), 0)::float8 FROM pg_stat_statements \
                   JOIN pg_database ON pg_database.oid = dbid \
                   WHERE datname = current_database()";
        Ok(Some(self.session.row(sql, &[])?.try_get(0)?))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        if let Err(failure) = self.cluster.session.execute(&sql) {
            eprintln!("bench: {} is left behind: {failure}", self.name);
        }
    }
}

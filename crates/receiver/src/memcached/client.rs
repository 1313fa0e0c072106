//! The two commands of Memcached's text protocol that the store needs (`gets`, and `ms` to add and to
//! swap; protocol.txt in its sources), over a few connections that are used again. `ms` says which
//! version it has written, so that what this process wrote it can swap without reading it first.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

/// How long to wait for a connection or an answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Connections that are kept while nobody uses them.
const IDLE_MAX: usize = 32;
/// A longer line is no answer of Memcached's.
const LINE_BYTES_MAX: u64 = 1024;
/// Its own limit of an item, with room to spare.
const VALUE_BYTES_MAX: usize = 2 * 1024 * 1024;

type Error = Box<dyn std::error::Error + Send + Sync>;

struct Connection {
    stream: BufStream<TcpStream>,
    /// Which one of this client's it is.
    number: u64,
}

/// A server, and connections to it.
pub(super) struct Client {
    address: SocketAddr,
    idle: Mutex<Vec<Connection>>,
    opened: AtomicU64,
}

/// One state of an item. A server that is started again counts from the beginning, so that a number
/// means something only beside the connection that it came over: that ends with its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    unique: u64,
    connection: u64,
}

/// An item as it was read.
pub(super) struct Item {
    pub(super) value: Vec<u8>,
    pub(super) version: Version,
}

/// Whether a write took place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// As this version, if the server says so.
    Stored(Option<Version>),
    /// Somebody else was faster, or the connection is not at hand that knows the version.
    Lost,
}

impl Client {
    pub(super) const fn new(address: SocketAddr) -> Self {
        Self {
            address,
            idle: Mutex::new(Vec::new()),
            opened: AtomicU64::new(0),
        }
    }

    pub(super) async fn gets(&self, key: &str) -> Result<Option<Item>, Error> {
        let connection = self.any().await?;
        self.ask(connection, async |connection| {
            let line = format!("gets {key}\r\n");
            connection.stream.write_all(line.as_bytes()).await?;
            connection.stream.flush().await?;
            read_item(connection, key).await
        })
        .await
    }

    /// Writes an item that is not there.
    pub(super) async fn add(&self, key: &str, expiry: u64, value: &[u8]) -> Result<Written, Error> {
        let connection = self.any().await?;
        let line = format!("ms {key} {} T{expiry} ME c\r\n", value.len());
        self.write(connection, &line, value).await
    }

    /// Writes an item that has not changed since.
    pub(super) async fn swap(
        &self,
        key: &str,
        expiry: u64,
        value: &[u8],
        since: Version,
    ) -> Result<Written, Error> {
        let Some(connection) = self.take(since.connection) else {
            return Ok(Written::Lost);
        };
        let (length, unique) = (value.len(), since.unique);
        let line = format!("ms {key} {length} T{expiry} C{unique} c\r\n");
        self.write(connection, &line, value).await
    }

    async fn write(
        &self,
        connection: Connection,
        line: &str,
        value: &[u8],
    ) -> Result<Written, Error> {
        self.ask(connection, async |connection| {
            let stream = &mut connection.stream;
            stream.write_all(line.as_bytes()).await?;
            stream.write_all(value).await?;
            stream.write_all(b"\r\n").await?;
            stream.flush().await?;
            let answer = read_line(stream).await?;
            let mut words = answer.split(' ');
            match words.next() {
                Some("HD") => {
                    let unique = words.find_map(|flag| flag.strip_prefix('c'));
                    let unique = unique.map(str::parse).transpose()?;
                    Ok(Written::Stored(unique.map(|unique| Version {
                        unique,
                        connection: connection.number,
                    })))
                }
                Some("NS" | "EX" | "NF") => Ok(Written::Lost),
                Some(_) | None => Err(refused(&answer)),
            }
        })
        .await
    }

    /// Asks on a connection; one on which anything went wrong is not used again.
    async fn ask<T>(
        &self,
        mut connection: Connection,
        exchange: impl AsyncFnOnce(&mut Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let answer = in_time(exchange(&mut connection)).await?;
        let mut idle = self.lock();
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
        Ok(answer)
    }

    async fn any(&self) -> Result<Connection, Error> {
        let idle = self.lock().pop();
        if let Some(connection) = idle {
            return Ok(connection);
        }
        let stream = in_time(async { Ok(TcpStream::connect(self.address).await?) }).await?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream: BufStream::new(stream),
            number: self.opened.fetch_add(1, Ordering::Relaxed),
        })
    }

    fn take(&self, number: u64) -> Option<Connection> {
        let mut idle = self.lock();
        let at = idle
            .iter()
            .rposition(|connection| connection.number == number)?;
        Some(idle.remove(at))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn in_time<T>(exchange: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let answer = tokio::time::timeout(ANSWER_MAX, exchange).await;
    answer.map_err(Error::from).flatten()
}

async fn read_item(connection: &mut Connection, key: &str) -> Result<Option<Item>, Error> {
    let number = connection.number;
    let connection = &mut connection.stream;
    let line = read_line(connection).await?;
    if line == "END" {
        return Ok(None);
    }
    let mut words = line.split(' ');
    let (Some("VALUE"), Some(of), Some(_flags)) = (words.next(), words.next(), words.next()) else {
        return Err(refused(&line));
    };
    let length: usize = words.next().unwrap_or_default().parse()?;
    let unique: u64 = words.next().unwrap_or_default().parse()?;
    if of != key || length > VALUE_BYTES_MAX {
        return Err(refused(&line));
    }
    let mut value = vec![0; length + 2];
    connection.read_exact(&mut value).await?;
    value.truncate(length);
    match read_line(connection).await?.as_str() {
        "END" => {
            let version = Version {
                unique,
                connection: number,
            };
            Ok(Some(Item { value, version }))
        }
        other => Err(refused(other)),
    }
}

async fn read_line(connection: &mut BufStream<TcpStream>) -> Result<String, Error> {
    let mut line = String::new();
    let mut limited = connection.take(LINE_BYTES_MAX);
    limited.read_line(&mut line).await?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None => Err(refused(&line)),
    }
}

fn refused(line: &str) -> Error {
    format!("the server answered {line:?}").into()
}

//! The three commands of Memcached's text protocol that the store needs (`add`, `gets`, `cas`;
//! protocol.txt in its sources), over a few connections that are used again.

use std::net::SocketAddr;
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
type Connection = BufStream<TcpStream>;

/// A server, and connections to it.
pub(super) struct Client {
    address: SocketAddr,
    idle: Mutex<Vec<Connection>>,
}

/// An item as it was read, and what `cas` wants to hear about it.
pub(super) struct Item {
    pub(super) value: Vec<u8>,
    pub(super) unique: u64,
}

/// Whether a write took place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Stored,
    /// Somebody else was faster.
    Lost,
}

impl Client {
    pub(super) const fn new(address: SocketAddr) -> Self {
        Self {
            address,
            idle: Mutex::new(Vec::new()),
        }
    }

    pub(super) async fn gets(&self, key: &str) -> Result<Option<Item>, Error> {
        self.ask(async |connection| {
            connection
                .write_all(format!("gets {key}\r\n").as_bytes())
                .await?;
            connection.flush().await?;
            read_item(connection, key).await
        })
        .await
    }

    pub(super) async fn add(&self, key: &str, expiry: u64, value: &[u8]) -> Result<Written, Error> {
        let line = format!("add {key} 0 {expiry} {}\r\n", value.len());
        self.write(&line, value).await
    }

    pub(super) async fn cas(
        &self,
        key: &str,
        expiry: u64,
        value: &[u8],
        unique: u64,
    ) -> Result<Written, Error> {
        let line = format!("cas {key} 0 {expiry} {} {unique}\r\n", value.len());
        self.write(&line, value).await
    }

    async fn write(&self, line: &str, value: &[u8]) -> Result<Written, Error> {
        self.ask(async |connection| {
            connection.write_all(line.as_bytes()).await?;
            connection.write_all(value).await?;
            connection.write_all(b"\r\n").await?;
            connection.flush().await?;
            match read_line(connection).await?.as_str() {
                "STORED" => Ok(Written::Stored),
                "NOT_STORED" | "EXISTS" | "NOT_FOUND" => Ok(Written::Lost),
                other => Err(refused(other)),
            }
        })
        .await
    }

    /// Lends a connection; one on which anything went wrong is not used again.
    async fn ask<T>(
        &self,
        exchange: impl AsyncFnOnce(&mut Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let exchange = async {
            let idle = self.lock().pop();
            let mut connection = match idle {
                Some(connection) => connection,
                None => {
                    let stream = TcpStream::connect(self.address).await?;
                    stream.set_nodelay(true)?;
                    BufStream::new(stream)
                }
            };
            let answer = exchange(&mut connection).await?;
            Ok((connection, answer))
        };
        let (connection, answer) = tokio::time::timeout(ANSWER_MAX, exchange)
            .await
            .map_err(Error::from)
            .flatten()?;
        let mut idle = self.lock();
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
        Ok(answer)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read_item(connection: &mut Connection, key: &str) -> Result<Option<Item>, Error> {
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
        "END" => Ok(Some(Item { value, unique })),
        other => Err(refused(other)),
    }
}

async fn read_line(connection: &mut Connection) -> Result<String, Error> {
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

//! A bare connection, for requests that no HTTP library would send.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::DEADLINE;

/// A connection to the gateway.
pub struct Raw(TcpStream);

impl Raw {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.expect("it listens"))
    }

    /// Writes; false once the other side does not take any more.
    pub async fn write(&mut self, bytes: &[u8]) -> bool {
        match timeout(DEADLINE, self.0.write_all(bytes)).await {
            Ok(written) => written.is_ok(),
            Err(_) => panic!("it neither reads nor closes"),
        }
    }

    /// Everything until the other side closes; it must, before the deadline.
    pub async fn read_to_end(mut self) -> String {
        let mut bytes = Vec::new();
        // A reset is an end as well.
        let read = timeout(DEADLINE, self.0.read_to_end(&mut bytes)).await;
        assert!(read.is_ok(), "the connection is held for ever");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

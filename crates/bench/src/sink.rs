//! The sink: an endpoint that answers every delivery with 200 at once, and counts deliveries and the
//! different messages among them.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::Failure;
use crate::head::Head;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
/// More than any delivery of a measurement; a longer one ends its connection.
const DELIVERY_BYTES_MAX: usize = 64 * 1_024;

/// A running sink. It ends with this program.
pub(crate) struct Sink {
    counts: Arc<Counts>,
    /// Where it listens.
    pub address: SocketAddr,
}

/// What has come so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    /// Deliveries.
    pub deliveries: u64,
    /// Different messages, by their `webhook-id`.
    pub messages: u64,
}

#[derive(Default)]
struct Counts {
    deliveries: AtomicU64,
    messages: AtomicU64,
    /// Hashes of the ids: 64 bits hold a hundred million of them apart, all but surely.
    seen: Mutex<HashSet<u64>>,
}

impl Sink {
    /// Starts it, on a thread of its own.
    pub(crate) fn start() -> Result<Self, Failure> {
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        let (announce, announced) = mpsc::channel();
        thread::Builder::new().name("sink".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(accept(shared, announce))
        })?;
        let address = announced
            .recv()
            .map_err(|_| "the sink cannot listen on loopback")?;
        Ok(Self { counts, address })
    }

    /// Takes every message for new from now on, because another gateway sends them.
    pub(crate) fn forget(&self) {
        self.counts
            .seen
            .lock()
            .expect("no thread panics while it holds the ids")
            .clear();
    }

    /// What has come so far.
    pub(crate) fn received(&self) -> Received {
        Received {
            deliveries: self.counts.deliveries.load(Relaxed),
            messages: self.counts.messages.load(Relaxed),
        }
    }
}

async fn accept(counts: Arc<Counts>, announce: mpsc::Sender<SocketAddr>) -> Result<(), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    announce.send(listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let counts = Arc::clone(&counts);
        // What breaks off is not counted, and so is missing in the report.
        tokio::spawn(async move { drop(receive(stream, &counts).await) });
    }
}

async fn receive(mut stream: TcpStream, counts: &Counts) -> Result<(), Failure> {
    let mut buffer = Vec::with_capacity(DELIVERY_BYTES_MAX);
    while stream.read_buf(&mut buffer).await? > 0 {
        let mut done = 0;
        let mut answers = 0;
        while let Some(length) = take(&buffer[done..], counts)? {
            done += length;
            answers += 1;
        }
        buffer.drain(..done);
        for _ in 0..answers {
            stream.write_all(ANSWER).await?;
        }
        if buffer.len() == DELIVERY_BYTES_MAX {
            return Err("a delivery is too long".into());
        }
    }
    Ok(())
}

/// Counts the delivery that these bytes begin with, if it has come whole, and gives its length.
fn take(received: &[u8], counts: &Counts) -> Result<Option<usize>, Failure> {
    let Some(head) = Head::find(received) else {
        return Ok(None);
    };
    let length = head.bytes + head.content_length()?;
    if received.len() < length {
        return Ok(None);
    }
    let mut hasher = DefaultHasher::new();
    head.field("webhook-id")
        .ok_or("a delivery without webhook-id")?
        .hash(&mut hasher);
    let mut seen = counts
        .seen
        .lock()
        .expect("no thread panics while it holds the ids");
    if seen.insert(hasher.finish()) {
        counts.messages.fetch_add(1, Relaxed);
    }
    counts.deliveries.fetch_add(1, Relaxed);
    Ok(Some(length))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    fn delivery(id: &str) -> String {
        format!("POST / HTTP/1.1\r\nWebhook-Id: {id}\r\ncontent-length: 2\r\n\r\n{{}}")
    }

    #[test]
    fn a_repeated_delivery_is_one_message() {
        let sink = Sink::start().unwrap();
        let mut stream = std::net::TcpStream::connect(sink.address).unwrap();
        for id in ["msg_1", "msg_2", "msg_1"] {
            stream.write_all(delivery(id).as_bytes()).unwrap();
            let mut answer = [0; ANSWER.len()];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(answer, ANSWER);
        }
        assert_eq!(
            sink.received(),
            Received {
                deliveries: 3,
                messages: 2
            }
        );
    }

    #[test]
    fn a_delivery_counts_when_its_last_byte_has_come() {
        let counts = Counts::default();
        let whole = delivery("msg_1");
        for shorter in 0..whole.len() {
            assert_eq!(take(&whole.as_bytes()[..shorter], &counts).unwrap(), None);
        }
        assert_eq!(take(whole.as_bytes(), &counts).unwrap(), Some(whole.len()));
        assert_eq!(counts.deliveries.load(Relaxed), 1);
    }

    #[test]
    fn a_delivery_without_an_id_ends_its_connection() {
        let without = b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n";
        assert!(take(without, &Counts::default()).is_err());
    }
}

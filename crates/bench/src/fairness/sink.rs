//! A sink with endpoints that work, take seconds, or fail; it times what comes to those that work.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::Failure;
use crate::head::Head;
use crate::histogram::Histogram;

/// How long the slow one takes.
const SLOW: Duration = Duration::from_secs(5);
/// More than any delivery here.
const DELIVERY_BYTES_MAX: usize = 64 * 1_024;

/// What an endpoint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It answers at once.
    Working,
    /// It takes seconds.
    Slow,
    /// It answers with 500.
    Failing,
    /// It answers at once, and is sent much.
    Flood,
}

/// A running sink. It ends with this program.
pub(crate) struct TimedSink {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    started: Instant,
    counts: [AtomicU64; 4],
    times: Mutex<Histogram>,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Working, Self::Slow, Self::Failing, Self::Flood];

    fn path(self) -> &'static str {
        match self {
            Self::Working => "/working",
            Self::Slow => "/slow",
            Self::Failing => "/failing",
            Self::Flood => "/flood",
        }
    }

    /// Whose request this is, by its first line.
    fn of(request: &[u8]) -> Option<Self> {
        let mut parts = request.split(|byte| *byte == b' ');
        let path = parts.nth(1)?;
        let mut kinds = Self::ALL.into_iter();
        kinds.find(|kind| kind.path().as_bytes() == path)
    }

    fn answer(self) -> &'static [u8] {
        match self {
            Self::Working | Self::Slow | Self::Flood => {
                b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
            }
            Self::Failing => b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
        }
    }
}

impl TimedSink {
    /// Starts it, on a thread of its own.
    pub(crate) fn start() -> Result<Self, Failure> {
        let shared = Arc::new(Shared {
            started: Instant::now(),
            counts: Default::default(),
            times: Mutex::new(Histogram::new()),
        });
        let accepting = Arc::clone(&shared);
        let (announce, announced) = mpsc::channel();
        thread::Builder::new()
            .name("timed sink".into())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                runtime.block_on(accept(accepting, announce))
            })?;
        let address = announced
            .recv()
            .map_err(|_| "the sink cannot listen on loopback")?;
        Ok(Self { address, shared })
    }

    /// Where an endpoint is.
    pub(crate) fn url(&self, kind: Kind) -> String {
        format!("http://{}{}", self.address, kind.path())
    }

    /// The time, in microseconds since the sink was started.
    pub(crate) fn now_us(&self) -> u64 {
        self.shared.now_us()
    }

    /// How many deliveries came to an endpoint.
    pub(crate) fn count(&self, kind: Kind) -> u64 {
        self.shared.counts[kind as usize].load(Relaxed)
    }

    /// Forgets how long deliveries took.
    pub(crate) fn forget_times(&self) {
        *self.shared.times.lock().expect("no thread panics with it") = Histogram::new();
    }

    /// How long deliveries to the endpoints that work took.
    pub(crate) fn times(&self) -> Histogram {
        let mut times = Histogram::new();
        times.merge(&self.shared.times.lock().expect("no thread panics with it"));
        times
    }
}

impl Shared {
    fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Notes a delivery that has come whole.
    fn note(&self, kind: Kind, body: &[u8]) {
        self.counts[kind as usize].fetch_add(1, Relaxed);
        let sent = serde_json::from_slice::<Value>(body)
            .ok()
            .and_then(|body| body["sent_us"].as_u64());
        if let (Kind::Working, Some(sent)) = (kind, sent) {
            let took = Duration::from_micros(self.now_us().saturating_sub(sent));
            self.times
                .lock()
                .expect("no thread panics with it")
                .add(took);
        }
    }
}

async fn accept(shared: Arc<Shared>, announce: mpsc::Sender<SocketAddr>) -> Result<(), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    announce.send(listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let shared = Arc::clone(&shared);
        // What breaks off is not counted, and so is missed.
        tokio::spawn(async move { drop(receive(stream, &shared).await) });
    }
}

async fn receive(mut stream: TcpStream, shared: &Shared) -> Result<(), Failure> {
    let mut buffer = Vec::with_capacity(DELIVERY_BYTES_MAX);
    while stream.read_buf(&mut buffer).await? > 0 {
        let Some(head) = Head::find(&buffer) else {
            continue;
        };
        let length = head.bytes + head.content_length()?;
        if buffer.len() < length {
            continue;
        }
        let kind = Kind::of(&buffer).ok_or("a delivery to nobody")?;
        shared.note(kind, &buffer[head.bytes..length]);
        buffer.drain(..length);
        if kind == Kind::Slow {
            tokio::time::sleep(SLOW).await;
        }
        stream.write_all(kind.answer()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn what_comes_to_a_working_endpoint_is_timed_and_a_failing_one_fails() {
        let sink = TimedSink::start().unwrap();
        for (kind, status) in [(Kind::Working, "200"), (Kind::Failing, "500")] {
            let body = format!(r#"{{"sent_us":{}}}"#, sink.now_us());
            let request = format!(
                "POST {} HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}",
                kind.path(),
                body.len()
            );
            let mut stream = std::net::TcpStream::connect(sink.address).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = vec![0; kind.answer().len()];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer[9..12], status.as_bytes());
            assert_eq!(sink.count(kind), 1);
        }
        assert_eq!(sink.times().count(), 1);
        sink.forget_times();
        assert_eq!(sink.times().count(), 0);
    }
}

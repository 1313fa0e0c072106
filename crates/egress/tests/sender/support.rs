//! Raw servers and scripted names for the tests of the sender.

use std::collections::VecDeque;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hooklatch_core::address::Reach;
use hooklatch_egress::{Call, Resolve, Resolving, Sender, SenderSettings, Target};
use http::{HeaderMap, Method};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A server that counts its connections and keeps the requests it read.
pub struct Server {
    pub address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    open: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

/// One accepted connection.
pub struct Peer<S = TcpStream> {
    pub stream: S,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Listens, and runs `serve` for every connection.
    pub async fn start<F, Done>(serve: F) -> Self
    where
        F: Fn(Peer) -> Done + Send + 'static,
        Done: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let open = Arc::new(Mutex::new(Vec::new()));
        let (counter, record) = (Arc::clone(&accepted), Arc::clone(&requests));
        let connections = Arc::clone(&open);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                let requests = Arc::clone(&record);
                let connection = tokio::spawn(serve(Peer { stream, requests }));
                connections.lock().unwrap().push(connection);
            }
        });
        Self {
            address,
            accepted,
            requests,
            open,
        }
    }

    /// Answers every request with the same bytes.
    pub async fn answering(answer: impl Into<String>) -> Self {
        let answer: Arc<str> = answer.into().into();
        Self::start(move |mut peer| {
            let answer = Arc::clone(&answer);
            async move {
                while peer.request().await.is_some() {
                    peer.write(&answer).await;
                }
            }
        })
        .await
    }

    /// Closes every connection, and returns when they are closed.
    pub async fn close_connections(&self) {
        let open = std::mem::take(&mut *self.open.lock().unwrap());
        for connection in open {
            connection.abort();
            let _ = connection.await;
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/in", self.address)
    }

    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl<S> Peer<S> {
    /// The same connection, once its bytes go through `stream`.
    pub fn over<T>(self, wrap: impl FnOnce(S) -> T) -> Peer<T> {
        Peer {
            stream: wrap(self.stream),
            requests: self.requests,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// Reads one request to its end; `None` once the client is gone.
    pub async fn request(&mut self) -> Option<String> {
        let mut text = Vec::new();
        while !is_whole(&text) {
            text.push(self.stream.read_u8().await.ok()?);
        }
        let text = String::from_utf8(text).unwrap();
        self.requests.lock().unwrap().push(text.clone());
        Some(text)
    }

    /// Writes what can still be written.
    pub async fn write(&mut self, answer: &str) {
        let _ = self.stream.write_all(answer.as_bytes()).await;
        let _ = self.stream.flush().await;
    }

    /// Keeps the connection open, silently, until the client closes it.
    pub async fn hold(&mut self) {
        let mut rest = [0; 1_024];
        while matches!(self.stream.read(&mut rest).await, Ok(1..)) {}
    }
}

fn is_whole(text: &[u8]) -> bool {
    let Some(head) = text.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let length = String::from_utf8_lossy(&text[..head])
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
        .unwrap_or(0);
    text.len() == head + 4 + length
}

/// Returns when the runtime has seen every network event that happened before the call: events
/// are seen in order, and this waits for one of its own.
pub async fn events_seen() {
    let echo = Server::start(|mut peer| async move {
        let byte = peer.stream.read_u8().await.unwrap();
        peer.stream.write_u8(byte).await.unwrap();
    })
    .await;
    let mut probe = TcpStream::connect(echo.address).await.unwrap();
    probe.write_u8(7).await.unwrap();
    assert_eq!(probe.read_u8().await.unwrap(), 7);
}

/// Names that resolve to what the test says, answer after answer; the last one stays.
pub struct Names {
    answers: Mutex<VecDeque<Vec<SocketAddr>>>,
    asked: AtomicUsize,
}

impl Names {
    pub fn answering(answers: impl IntoIterator<Item = Vec<SocketAddr>>) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new(answers.into_iter().collect()),
            asked: AtomicUsize::new(0),
        })
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, _: &'a str, _: u16) -> Resolving<'a> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let answer = match answers.len() {
            1 => answers[0].clone(),
            _ => answers.pop_front().unwrap(),
        };
        Box::pin(async move { Ok(answer) })
    }
}

pub fn settings(reach: Reach) -> SenderSettings {
    SenderSettings {
        reach,
        ..SenderSettings::default()
    }
}

/// A sender that may reach this machine.
pub fn sender() -> Sender {
    Sender::with_system_resolver(settings(Reach::LoopbackToo))
}

/// A small POST with limits that no test should meet by accident.
pub fn post(url: &str) -> Call {
    Call {
        method: Method::POST,
        target: Target::parse(url).unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"{\"id\":1}"),
        timeout: Duration::from_secs(30),
        response_bytes_max: 64 * 1_024,
    }
}

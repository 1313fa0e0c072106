//! The way from one node to the database, which can be cut: then nothing passes any more, and
//! nobody is told. What was on its way is delivered when the way is whole again, as a network does.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Bytes that are passed on at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// A way that can be cut.
pub struct Proxy {
    /// Where it begins.
    pub address: SocketAddr,
    whole: watch::Sender<bool>,
}

impl Proxy {
    /// Opens a way to `to`.
    pub async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let (whole, is_whole) = watch::channel(true);
        tokio::spawn(accept(listener, to, is_whole));
        Self { address, whole }
    }

    /// Cuts it.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Makes it whole again.
    pub fn heal(&self) {
        self.whole.send_replace(true);
    }
}

type Whole = watch::Receiver<bool>;

async fn accept(listener: TcpListener, to: SocketAddr, whole: Whole) {
    while let Ok((near, _)) = listener.accept().await {
        tokio::spawn(pass(near, to, whole.clone()));
    }
}

async fn pass(near: TcpStream, to: SocketAddr, mut whole: Whole) {
    if whole.wait_for(|whole| *whole).await.is_err() {
        return;
    }
    // A database that is down refuses; so do we, by closing.
    let Ok(far) = TcpStream::connect(to).await else {
        return;
    };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_from, near_to) = near.into_split();
    let (far_from, far_to) = far.into_split();
    let there = copy(near_from, far_to, whole.clone());
    let back = copy(far_from, near_to, whole);
    tokio::join!(there, back);
}

/// Passes bytes on, and the end, while the way is whole.
async fn copy(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut whole: Whole,
) {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = from.read(&mut chunk).await.unwrap_or(0);
        if whole.wait_for(|whole| *whole).await.is_err() {
            return;
        }
        if read == 0 || to.write_all(&chunk[..read]).await.is_err() {
            // The end is passed on by dropping this half.
            let _ = to.shutdown().await;
            return;
        }
    }
}

//! A database of a shop's own, and a way to it that takes time, as from one machine to another: a
//! shop that dies does so between two statements, and not always before or after all of them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::NoTls;
use url::Url;

/// How long a byte is under way, in each direction.
const DISTANCE: Duration = Duration::from_millis(30);
/// Where PostgreSQL is, for tests: a URL of a user that may make databases.
const POSTGRES_URL: &str = "HOOKLATCH_TEST_POSTGRES_URL";

/// A database that is dropped with this.
pub struct Database {
    server: String,
    name: String,
    far: SocketAddr,
}

impl Database {
    /// Makes an empty one.
    pub async fn create() -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let server = std::env::var(POSTGRES_URL).unwrap_or_else(|_| {
            panic!("{POSTGRES_URL} is not set: run the tests with `cargo xtask test`")
        });
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("hooklatch_shop_{}_{number}", std::process::id());
        execute(&server, &format!("CREATE DATABASE {name}")).await;
        let url: Url = server.parse().expect("the URL is one");
        let host = url.host_str().expect("it names a host");
        let near = (host.to_owned(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("loopback has a free port");
        let far = listener.local_addr().expect("it is bound");
        tokio::spawn(accept(listener, near));
        Self { server, name, far }
    }

    /// How to get to it by the long way.
    pub fn far_url(&self) -> String {
        let mut url: Url = self.server.parse().expect("the URL is one");
        url.set_path(&self.name);
        let ip = self.far.ip();
        url.set_ip_host(ip).expect("a database's URL has a host");
        let port = Some(self.far.port());
        url.set_port(port).expect("a database's URL has a port");
        url.into()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let server = self.server.clone();
        // A drop cannot wait on the runtime that it is dropped in.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime starts");
            runtime.block_on(execute(&server, &sql));
        });
        if dropped.join().is_err() && !std::thread::panicking() {
            panic!("the database of the test could not be dropped");
        }
    }
}

async fn execute(url: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .expect("the PostgreSQL of the tests answers");
    tokio::spawn(connection);
    client.batch_execute(sql).await.expect("the statement runs");
}

async fn accept(listener: TcpListener, near: (String, u16)) {
    while let Ok((shop, _)) = listener.accept().await {
        let Ok(server) = TcpStream::connect((near.0.as_str(), near.1)).await else {
            continue;
        };
        let _ = (shop.set_nodelay(true), server.set_nodelay(true));
        let (from_shop, to_shop) = shop.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::spawn(carry(from_shop, to_server));
        tokio::spawn(carry(from_server, to_shop));
    }
}

/// Carries bytes, and the end. What a shop has sent before it died arrives.
async fn carry(mut from: OwnedReadHalf, to: OwnedWriteHalf) {
    let (send, under_way) = mpsc::unbounded_channel();
    tokio::spawn(arrive(under_way, to));
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut chunk).await.unwrap_or(0);
        let arrives = Instant::now() + DISTANCE;
        let sent = send.send((arrives, chunk[..read].to_vec()));
        if read == 0 || sent.is_err() {
            return;
        }
    }
}

async fn arrive(
    mut under_way: mpsc::UnboundedReceiver<(Instant, Vec<u8>)>,
    mut to: OwnedWriteHalf,
) {
    while let Some((arrives, bytes)) = under_way.recv().await {
        // Distance is what this is about: nothing can be waited for instead.
        let _ = timeout_at(arrives, std::future::pending::<()>()).await;
        if bytes.is_empty() || to.write_all(&bytes).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

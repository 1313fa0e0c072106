//! What is fetched for a request goes through the guard: addresses are judged when they are dialled,
//! redirects are answers, and nothing is longer than it may be.

#![expect(
    clippy::unwrap_used,
    reason = "what a test calls is a test, which the lint does not see"
)]

use std::net::SocketAddr;
use std::sync::Arc;

use hooklatch_core::address::Reach;
use hooklatch_egress::{Resolve, Resolving, Sender, SenderSettings};
use hooklatch_engine::{Fetch, FetchError, GuardedFetch};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Every name is this machine.
struct Here(SocketAddr);

impl Resolve for Here {
    fn resolve<'a>(&'a self, _: &'a str, _: u16) -> Resolving<'a> {
        Box::pin(std::future::ready(Ok(vec![self.0])))
    }
}

/// Answers every connection so.
async fn server(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 1_024];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

fn fetch(reach: Reach, address: SocketAddr) -> GuardedFetch {
    let settings = SenderSettings {
        reach,
        ..SenderSettings::default()
    };
    GuardedFetch::new(Sender::new(settings, Arc::new(Here(address))))
}

const FILE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfile";
const MOVED: &str =
    "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn a_document_comes_whole_or_not_at_all() {
    let fetch = fetch(Reach::LoopbackToo, server(FILE).await);
    let url = "http://sns.eu-west-1.amazonaws.com/file.pem";
    assert_eq!(fetch.get(url, 4).await.unwrap(), "file");
    assert_eq!(fetch.get(url, 3).await, Err(FetchError::TooLong(3)));
}

#[tokio::test]
async fn a_certificates_name_that_leads_inside_is_refused_when_it_is_dialled() {
    let address = server(FILE).await;
    let guarded = fetch(Reach::PublicOnly, address);
    for url in [
        "http://sns.eu-west-1.amazonaws.com/file.pem",
        "http://169.254.169.254/file.pem",
        "http://[::ffff:169.254.169.254]/file.pem",
        "http://metadata.google.internal/file.pem",
        "http://localhost/file.pem",
    ] {
        let Err(FetchError::Failed(detail)) = guarded.get(url, 4).await else {
            panic!("{url} was fetched");
        };
        assert!(detail.contains("was not sent"), "{url}: {detail}");
    }
    let inside = fetch(Reach::LoopbackToo, "169.254.169.254:80".parse().unwrap());
    let refused = inside.get("http://sns.eu-west-1.amazonaws.com/x", 4).await;
    assert!(matches!(refused, Err(FetchError::Failed(detail)) if detail.contains("metadata")));
}

#[tokio::test]
async fn a_redirect_is_no_document() {
    let fetch = fetch(Reach::LoopbackToo, server(MOVED).await);
    let moved = fetch.get("http://sns.eu-west-1.amazonaws.com/x", 4).await;
    assert_eq!(moved, Err(FetchError::Status(302)));
}

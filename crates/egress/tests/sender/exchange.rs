//! One attempt is at most one request, bounded in time and size, and known or uncertain (O5).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{OK, Server, events_seen, post, sender, settings};
use bytes::Bytes;
use hooklatch_core::address::Reach;
use hooklatch_egress::{Phase, Resolve, Resolving, SendError, Sender};
use http::Method;
use tokio::sync::oneshot;

const SHORT: Duration = Duration::from_millis(100);

/// Sends with a short deadline, and says where it hit and whether the request was written.
async fn timeout_of(sender: &Sender, url: &str) -> (Phase, bool) {
    let mut call = post(url);
    call.timeout = SHORT;
    let attempted = sender.send(call).await;
    assert!(attempted.timing.total >= SHORT);
    match attempted.result {
        Err(SendError::Timeout {
            phase,
            request_written,
            ..
        }) => (phase, request_written),
        other => panic!("no timeout but: {other:?}"),
    }
}

#[tokio::test]
async fn o6_the_stored_bytes_arrive_with_their_length_and_the_answer_comes_back() {
    let server =
        Server::answering("HTTP/1.1 201 Created\r\nX-A: \u{e9}\r\nContent-Length: 4\r\n\r\nmade")
            .await;
    let mut call = post(&server.url());
    call.headers
        .insert("x-github-event", http::HeaderValue::from_static("push"));
    let attempted = sender().send(call).await;
    let answer = attempted.result.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (201, &b"made"[..]));
    assert_eq!(answer.headers[0], ("x-a".to_owned(), "\u{e9}".to_owned()));
    assert!(!answer.body_truncated);
    assert_eq!(attempted.address, Some(server.address));
    let host = server.address;
    assert_eq!(
        server.requests(),
        [format!(
            "POST /in HTTP/1.1\r\nx-github-event: push\r\nhost: {host}\r\ncontent-length: 8\r\n\r\n{{\"id\":1}}"
        )]
    );
}

#[tokio::test]
async fn a_fresh_connection_has_times_and_a_reused_one_has_none() {
    let server = Server::answering(OK).await;
    let url = format!("http://localhost:{}/", server.address.port());
    let sender = sender();
    let fresh = sender.send(post(&url)).await;
    assert!(!fresh.reused);
    assert!(fresh.timing.dns.is_some() && fresh.timing.tcp.is_some());
    assert!(fresh.timing.tls.is_none() && fresh.timing.first_byte.is_some());
    assert!(fresh.timing.total >= fresh.timing.first_byte.unwrap());

    let reused = sender.send(post(&url)).await;
    assert!(reused.reused);
    assert!(reused.timing.dns.is_none() && reused.timing.tcp.is_none());
    assert!(reused.timing.first_byte.is_some());
    assert_eq!(reused.address, Some(server.address));
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn o5_a_connection_cut_before_the_answer_is_uncertain_and_sent_once() {
    let server = Server::start(|mut peer| async move {
        peer.request().await;
    })
    .await;
    let error = sender().send(post(&server.url())).await.result.unwrap_err();
    assert!(
        matches!(
            error,
            SendError::Broken {
                request_written: true,
                status: None,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.request_written());
    assert_eq!((server.requests().len(), server.accepted()), (1, 1));
}

#[tokio::test]
async fn o5_a_reused_connection_cut_before_the_answer_is_uncertain_and_not_repeated() {
    let server = Server::start(|mut peer| async move {
        peer.request().await;
        peer.write(OK).await;
        peer.request().await;
    })
    .await;
    let sender = sender();
    assert!(sender.send(post(&server.url())).await.result.is_ok());
    let second = sender.send(post(&server.url())).await;
    assert!(second.reused);
    assert!(second.result.unwrap_err().request_written());
    assert_eq!((server.requests().len(), server.accepted()), (2, 1));
}

#[tokio::test]
async fn o5_a_body_cut_in_the_middle_is_uncertain_and_names_the_status() {
    let server = Server::start(|mut peer| async move {
        peer.request().await;
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            .await;
    })
    .await;
    let error = sender().send(post(&server.url())).await.result.unwrap_err();
    assert!(
        matches!(
            error,
            SendError::Broken {
                request_written: true,
                status: Some(200),
                ..
            }
        ),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .ends_with("(it had begun to answer with status 200)")
    );
}

#[tokio::test]
async fn a_stale_connection_is_replaced_once_and_the_request_served_once() {
    let server = Server::answering(OK).await;
    let sender = sender();
    assert!(sender.send(post(&server.url())).await.result.is_ok());
    assert_eq!(sender.idle_connections(), 1);
    server.close_connections().await;
    events_seen().await;

    let second = sender.send(post(&server.url())).await;
    assert_eq!(second.result.unwrap().status, 200);
    assert!(!second.reused);
    assert!(second.timing.tcp.is_some());
    assert_eq!((server.requests().len(), server.accepted()), (2, 2));
}

#[tokio::test]
async fn a_refused_connection_is_known_not_to_have_sent() {
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let attempted = sender()
        .send(post(&format!("http://{closed}/?token=secret")))
        .await;
    let error = attempted.result.unwrap_err();
    assert!(!error.request_written());
    assert!(
        error
            .to_string()
            .starts_with(&format!("connecting to {closed} failed: "))
    );
    assert_eq!((attempted.address, attempted.timing.tcp), (None, None));
}

#[tokio::test]
async fn a_name_without_an_answer_times_out_before_anything_is_sent() {
    struct Silent;
    impl Resolve for Silent {
        fn resolve<'a>(&'a self, _: &'a str, _: u16) -> Resolving<'a> {
            Box::pin(std::future::pending())
        }
    }
    let sender = Sender::new(settings(Reach::LoopbackToo), Arc::new(Silent));
    let hit = timeout_of(&sender, "http://hooks.example/").await;
    assert_eq!(hit, (Phase::Dns, false));
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_times_out_before_anything_is_sent() {
    let server = Server::start(|mut peer| async move { peer.hold().await }).await;
    let hit = timeout_of(&sender(), &format!("https://{}/", server.address)).await;
    assert_eq!(hit, (Phase::Tls, false));
}

#[tokio::test]
async fn o5_a_silent_server_times_out_uncertain() {
    let server = Server::start(|mut peer| async move {
        peer.request().await;
        peer.hold().await;
    })
    .await;
    let sender = sender();
    let hit = timeout_of(&sender, &server.url()).await;
    assert_eq!(hit, (Phase::Head, true));
    assert_eq!(sender.idle_connections(), 0);
}

#[tokio::test]
async fn o5_a_head_that_stops_half_way_times_out_uncertain() {
    let server = Server::start(|mut peer| async move {
        peer.request().await;
        peer.write("HTTP/1.1 200 OK\r\nContent-Le").await;
        peer.hold().await;
    })
    .await;
    let mut call = post(&server.url());
    call.timeout = SHORT;
    let attempted = sender().send(call).await;
    assert!(attempted.timing.first_byte.is_some());
    let error = attempted.result.unwrap_err();
    assert!(error.request_written());
    assert!(matches!(
        error,
        SendError::Timeout {
            phase: Phase::Head,
            status: None,
            ..
        }
    ));
}

#[tokio::test]
async fn o5_a_body_that_stalls_times_out_by_the_total_deadline() {
    let (gone, was_gone) = oneshot::channel();
    let gone = Arc::new(Mutex::new(Some(gone)));
    let server = Server::start(move |mut peer| {
        let gone = Arc::clone(&gone);
        async move {
            peer.request().await;
            peer.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
                .await;
            peer.hold().await;
            let gone = gone.lock().unwrap().take().unwrap();
            gone.send(()).unwrap();
        }
    })
    .await;
    let hit = timeout_of(&sender(), &server.url()).await;
    assert_eq!(hit, (Phase::Body, true));
    was_gone
        .await
        .expect("the connection was closed at the deadline");
}

#[tokio::test]
async fn o5_a_body_that_drips_times_out_by_the_total_deadline() {
    let server = Server::start(|mut peer| async move {
        peer.request().await;
        peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        let mut pause = tokio::time::interval(SHORT / 10);
        while !peer_is_gone(&peer.stream) {
            pause.tick().await;
            peer.write("1\r\nx\r\n").await;
        }
    })
    .await;
    let hit = timeout_of(&sender(), &server.url()).await;
    assert_eq!(hit, (Phase::Body, true));
}

fn peer_is_gone(stream: &tokio::net::TcpStream) -> bool {
    !matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

#[tokio::test]
async fn an_endless_body_is_cut_and_its_connection_closed() {
    let (gone, was_gone) = oneshot::channel();
    let gone = Arc::new(Mutex::new(Some(gone)));
    let server = Server::start(move |mut peer| {
        let gone = Arc::clone(&gone);
        async move {
            use tokio::io::AsyncWriteExt;
            peer.request().await;
            peer.write("HTTP/1.1 200 OK\r\n\r\n").await;
            while peer.stream.write_all(&[b'x'; 1_000]).await.is_ok() {}
            let gone = gone.lock().unwrap().take().unwrap();
            gone.send(()).unwrap();
        }
    })
    .await;
    let sender = sender();
    let mut call = post(&server.url());
    call.response_bytes_max = 2_500;
    let answer = sender.send(call).await.result.unwrap();
    assert_eq!(answer.body, Bytes::from(vec![b'x'; 2_500]));
    assert!(answer.body_truncated);
    assert_eq!(sender.idle_connections(), 0);
    was_gone.await.expect("the connection was closed");
}

#[tokio::test]
async fn a_body_of_just_the_limit_is_whole_and_one_byte_more_is_not() {
    let server = Server::answering(OK).await;
    let sender = sender();
    for (bytes_max, kept, truncated) in [(2, "ok", false), (1, "o", true), (0, "", true)] {
        let mut call = post(&server.url());
        call.response_bytes_max = bytes_max;
        let answer = sender.send(call).await.result.unwrap();
        assert_eq!(
            (&answer.body[..], answer.body_truncated),
            (kept.as_bytes(), truncated)
        );
        assert_eq!(sender.idle_connections(), usize::from(!truncated));
    }
}

#[tokio::test]
async fn o5_a_head_that_is_too_large_is_refused() {
    let long_line = format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "a".repeat(70_000));
    let many_lines = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-A: a\r\n".repeat(101));
    for answer in [long_line, many_lines] {
        let server = Server::answering(answer).await;
        let error = sender().send(post(&server.url())).await.result.unwrap_err();
        assert!(
            matches!(
                error,
                SendError::HeadTooLarge {
                    request_written: true
                }
            ),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn o5_an_answer_that_is_not_http_is_refused() {
    let server = Server::answering("SSH-2.0-OpenSSH_9.9\r\n").await;
    let error = sender().send(post(&server.url())).await.result.unwrap_err();
    assert!(
        matches!(
            error,
            SendError::BadAnswer {
                request_written: true,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_informational_answer_is_not_the_answer() {
    let server = Server::answering(format!(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{OK}"
    ))
    .await;
    let answer = sender().send(post(&server.url())).await.result.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (200, &b"ok"[..]));
}

#[tokio::test]
async fn bytes_after_an_answer_are_never_taken_for_the_next_one() {
    let server = Server::start(|mut peer| async move {
        if peer.request().await.is_some() {
            peer.write(&format!(
                "{OK}HTTP/1.1 500 Forged\r\nContent-Length: 0\r\n\r\n"
            ))
            .await;
        }
        peer.hold().await;
    })
    .await;
    let sender = sender();
    for sent in 1..=2 {
        let answer = sender.send(post(&server.url())).await.result.unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!((server.requests().len(), server.accepted()), (sent, sent));
    }
}

#[tokio::test]
async fn a_connection_that_will_close_is_not_kept() {
    for answer in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ] {
        let server = Server::answering(answer).await;
        let sender = sender();
        assert!(sender.send(post(&server.url())).await.result.is_ok());
        assert_eq!(sender.idle_connections(), 0, "{answer}");
    }
}

#[tokio::test]
async fn an_answer_before_the_whole_request_was_read_is_taken() {
    let server = Server::start(|mut peer| async move {
        use tokio::io::AsyncReadExt;
        peer.stream.read_u8().await.unwrap();
        peer.write("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
            .await;
        peer.hold().await;
    })
    .await;
    let sender = sender();
    let mut call = post(&server.url());
    call.body = Bytes::from(vec![b'x'; 20 * 1_024 * 1_024]);
    let attempted = sender.send(call).await;
    assert_eq!(attempted.result.unwrap().status, 413);
    assert_eq!(sender.idle_connections(), 0);
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    let server = Server::answering(OK).await;
    let mut call = post(&server.url());
    call.body = Bytes::from(vec![b'y'; 300_000]);
    call.method = Method::PUT;
    assert_eq!(sender().send(call).await.result.unwrap().status, 200);
    assert!(server.requests()[0].ends_with(&"y".repeat(300_000)));
}

//! The vetted address is the one that is dialled, and nothing leads anywhere else.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::support::{Names, OK, Server, post, sender, settings};
use hooklatch_core::address::{AddressKind, Reach, check_url};
use hooklatch_egress::{SendError, Sender, SenderSettings};

fn refused(error: SendError) -> AddressKind {
    assert!(!error.request_written());
    match error {
        SendError::Refused(refusal) => refusal.kind,
        other => panic!("not refused but: {other}"),
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[tokio::test]
async fn every_spelling_of_loopback_is_refused_at_connect_and_reached_with_dev() {
    let server = Server::answering(OK).await;
    let port = server.address.port();
    let public = Sender::with_system_resolver(settings(Reach::PublicOnly));
    let spellings = [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "017700000001",
        "%31%32%37.0.0.1",
        "①②⑦.⓪.⓪.①",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "LocalHost",
    ];
    for host in spellings {
        let url = format!("http://{host}:{port}/");
        let attempted = public.send(post(&url)).await;
        let kind = refused(attempted.result.unwrap_err());
        assert_eq!(kind, AddressKind::Loopback, "{host}");
    }
    assert_eq!(server.accepted(), 0);

    let dev = sender();
    for (number, host) in spellings.iter().enumerate() {
        let url = format!("http://{host}:{port}/");
        let attempted = dev.send(post(&url)).await;
        assert_eq!(attempted.result.unwrap().status, 200, "{host}");
        assert_eq!(server.requests().len(), number + 1);
    }
}

#[tokio::test]
async fn other_addresses_are_refused_even_with_dev() {
    let dev = sender();
    for (host, kind) in [
        ("0.0.0.0", AddressKind::Unspecified),
        ("0", AddressKind::Unspecified),
        ("[::]", AddressKind::Unspecified),
        ("10.0.0.1", AddressKind::Private),
        ("169.254.169.254", AddressKind::Metadata),
        ("0xa9fea9fe", AddressKind::Metadata),
        ("[::ffff:a9fe:a9fe]", AddressKind::Metadata),
        ("[64:ff9b::7f00:1]", AddressKind::Tunnel),
        ("metadata.google.internal", AddressKind::Metadata),
        ("printer.local", AddressKind::LocalName),
    ] {
        let attempted = dev.send(post(&format!("http://{host}/"))).await;
        assert_eq!(refused(attempted.result.unwrap_err()), kind, "{host}");
        assert_eq!(attempted.address, None);
    }
}

#[tokio::test]
async fn a_name_that_was_fine_when_saved_is_refused_when_it_leads_inside() {
    let server = Server::answering(OK).await;
    let url = format!("http://hooks.example:{}/", server.address.port());
    assert!(check_url(&url, Reach::PublicOnly).is_ok());
    let names = Names::answering([vec![server.address]]);
    let sender = Sender::new(settings(Reach::PublicOnly), names);
    let attempted = sender.send(post(&url)).await;
    assert_eq!(
        attempted.result.unwrap_err().to_string(),
        "the request was not sent: 127.0.0.1 is a loopback address; start with --dev to allow it"
    );
    assert_eq!(server.accepted(), 0);
}

#[tokio::test]
async fn a_name_that_is_rebound_after_its_first_answer_is_refused() {
    let server =
        Server::answering("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            .await;
    let names = Names::answering([vec![server.address], vec![address("169.254.169.254:80")]]);
    let settings = SenderSettings {
        dns_ttl: std::time::Duration::ZERO,
        ..settings(Reach::LoopbackToo)
    };
    let sender = Sender::new(settings, Arc::clone(&names) as _);
    let first = sender.send(post("http://hooks.example/")).await;
    assert_eq!(first.result.unwrap().status, 200);
    let second = sender.send(post("http://hooks.example/")).await;
    assert_eq!(refused(second.result.unwrap_err()), AddressKind::Metadata);
    assert_eq!(names.asked(), 2);
}

#[tokio::test]
async fn the_vetted_answer_is_dialled_without_asking_again() {
    let vetted = Server::answering(OK).await;
    let rebound = Server::answering(OK).await;
    let names = Names::answering([vec![vetted.address], vec![rebound.address]]);
    let sender = Sender::new(settings(Reach::LoopbackToo), Arc::clone(&names) as _);
    let attempted = sender.send(post("http://hooks.example/")).await;
    assert_eq!(attempted.address, Some(vetted.address));
    assert_eq!((vetted.requests().len(), rebound.requests().len()), (1, 0));
    assert_eq!(names.asked(), 1);
}

#[tokio::test]
async fn one_refused_address_among_good_ones_refuses_the_name() {
    let server = Server::answering(OK).await;
    let inside = address("[::ffff:10.0.0.1]:80");
    for mixed in [vec![server.address, inside], vec![inside, server.address]] {
        let sender = Sender::new(settings(Reach::LoopbackToo), Names::answering([mixed]));
        let attempted = sender.send(post("http://hooks.example/")).await;
        assert_eq!(refused(attempted.result.unwrap_err()), AddressKind::Private);
    }
    assert_eq!(server.accepted(), 0);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let inside = Server::answering(OK).await;
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
        inside.url()
    );
    let server = Server::answering(redirect).await;
    let answer = sender().send(post(&server.url())).await.result.unwrap();
    assert_eq!(answer.status, 302);
    assert_eq!(answer.headers[0], ("location".to_owned(), inside.url()));
    assert_eq!((server.requests().len(), inside.accepted()), (1, 0));
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_does_not_answer() {
    let server = Server::answering(OK).await;
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let names = Names::answering([vec![closed, server.address]]);
    let sender = Sender::new(settings(Reach::LoopbackToo), names);
    let attempted = sender.send(post("http://hooks.example/")).await;
    assert_eq!(attempted.result.unwrap().status, 200);
    assert_eq!(attempted.address, Some(server.address));
}

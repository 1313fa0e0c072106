//! Connections are reused, and kept within their bounds.

use std::time::Duration;

use crate::support::{OK, Server, post, settings};
use hooklatch_core::address::Reach;
use hooklatch_egress::{Sender, SenderSettings};
use tokio::task::JoinSet;

async fn send_at_once(sender: &Sender, url: &str, count: usize) {
    let mut sends = JoinSet::new();
    for _ in 0..count {
        let (sender, call) = (sender.clone(), post(url));
        sends.spawn(async move { sender.send(call).await.result.unwrap().status });
    }
    let statuses = sends.join_all().await;
    assert_eq!(statuses, vec![200; count]);
}

#[tokio::test]
async fn a_hundred_sends_at_once_keep_a_bounded_number_of_connections_and_reuse_them() {
    let server = Server::answering(OK).await;
    let sender = Sender::with_system_resolver(SenderSettings {
        idle_per_host: 8,
        ..settings(Reach::LoopbackToo)
    });
    send_at_once(&sender, &server.url(), 100).await;
    assert_eq!(sender.idle_connections(), 8);
    let opened = server.accepted();
    assert!(opened <= 100);

    for _ in 0..25 {
        send_at_once(&sender, &server.url(), 8).await;
    }
    assert_eq!(server.accepted(), opened);
    assert_eq!(server.requests().len(), 300);
    assert_eq!(sender.idle_connections(), 8);
}

#[tokio::test]
async fn the_longest_idle_connection_makes_room_for_another_host() {
    let sender = Sender::with_system_resolver(SenderSettings {
        idle_total: 2,
        ..settings(Reach::LoopbackToo)
    });
    let mut servers = Vec::new();
    for _ in 0..3 {
        servers.push(Server::answering(OK).await);
    }
    for server in &servers {
        send_at_once(&sender, &server.url(), 1).await;
    }
    assert_eq!(sender.idle_connections(), 2);
    for server in servers.iter().rev() {
        send_at_once(&sender, &server.url(), 1).await;
    }
    let accepted: Vec<_> = servers.iter().map(Server::accepted).collect();
    assert_eq!(accepted, [2, 1, 1]);
}

#[tokio::test]
async fn hosts_ports_and_names_do_not_share_connections() {
    let first = Server::answering(OK).await;
    let second = Server::answering(OK).await;
    let sender = Sender::with_system_resolver(settings(Reach::LoopbackToo));
    let by_name = format!("http://localhost:{}/", first.address.port());
    for url in [first.url(), second.url(), by_name] {
        send_at_once(&sender, &url, 1).await;
        send_at_once(&sender, &url, 1).await;
    }
    assert_eq!((first.accepted(), second.accepted()), (2, 1));
}

#[tokio::test]
async fn a_connection_older_than_its_limits_is_not_used_again() {
    for limits in [
        SenderSettings {
            idle_timeout: Duration::ZERO,
            ..settings(Reach::LoopbackToo)
        },
        SenderSettings {
            connection_age_max: Duration::ZERO,
            ..settings(Reach::LoopbackToo)
        },
    ] {
        let server = Server::answering(OK).await;
        let sender = Sender::with_system_resolver(limits);
        send_at_once(&sender, &server.url(), 1).await;
        send_at_once(&sender, &server.url(), 1).await;
        assert_eq!(server.accepted(), 2);
        assert_eq!(sender.idle_connections(), 0);
    }
}

#[tokio::test]
async fn the_sweep_closes_what_nobody_takes() {
    let (gone, mut was_gone) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(move |mut peer| {
        let gone = gone.clone();
        async move {
            peer.request().await;
            peer.write(OK).await;
            peer.hold().await;
            gone.send(()).unwrap();
        }
    })
    .await;
    let sender = Sender::with_system_resolver(SenderSettings {
        idle_timeout: Duration::from_millis(50),
        ..settings(Reach::LoopbackToo)
    });
    send_at_once(&sender, &server.url(), 1).await;
    was_gone
        .recv()
        .await
        .expect("the idle connection was closed");
    assert_eq!(sender.idle_connections(), 0);
}

#[tokio::test]
async fn the_sweep_forgets_what_the_other_side_closed() {
    let server = Server::answering(OK).await;
    let sender = Sender::with_system_resolver(SenderSettings {
        idle_timeout: Duration::from_secs(2),
        ..settings(Reach::LoopbackToo)
    });
    let kept = tokio::time::timeout(Duration::from_millis(1_500), async {
        send_at_once(&sender, &server.url(), 1).await;
        assert_eq!(sender.idle_connections(), 1);
        server.close_connections().await;
        while sender.idle_connections() > 0 {
            tokio::task::yield_now().await;
        }
    });
    kept.await.expect("it went before its idle timeout");
}

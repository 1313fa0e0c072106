//! The table of hosts that nothing is sent to, tried where it counts: when a request is sent. And
//! names that lead there, by whatever way: only what is about to be dialled says where a name leads.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use crate::support::{Names, OK, Server, post, settings};
use hooklatch_core::address::Reach;
use hooklatch_egress::{Call, Resolve, Resolving, Sender, SenderSettings, Target};

/// Every host of the table with what is said of it.
fn refused_hosts() -> Vec<(&'static str, &'static str)> {
    let lines = include_str!("../refused.txt").lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once('|').unwrap()).collect()
}

/// What is said when a request is sent to this URL.
async fn said(sender: &Sender, url: &str) -> String {
    match Target::parse(url) {
        Err(refusal) => refusal.to_string(),
        Ok(target) => {
            let call = Call {
                target,
                ..post("http://example.com/")
            };
            let attempted = sender.send(call).await;
            let Err(error) = attempted.result else {
                panic!("{url} was sent to");
            };
            assert!(!error.request_written(), "{url}: {error}");
            assert_eq!(attempted.address, None, "{url} was dialled");
            error.to_string()
        }
    }
}

#[tokio::test]
async fn nothing_is_sent_to_a_host_of_the_refusal_table() {
    let sender = Sender::with_system_resolver(settings(Reach::PublicOnly));
    let hosts = refused_hosts();
    assert!(hosts.len() >= 60, "{}", hosts.len());
    for (host, expected) in hosts {
        for scheme in ["http", "https"] {
            let said = said(&sender, &format!("{scheme}://{host}/hook")).await;
            assert!(said.contains(expected), "{host}: {said}");
        }
    }
}

#[tokio::test]
async fn a_name_that_resolves_to_an_address_of_the_refusal_table_is_not_dialled() {
    let mut tried = 0;
    for (host, expected) in refused_hosts() {
        let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() else {
            continue;
        };
        let names = Names::answering([vec![SocketAddr::new(address, 443)]]);
        let sender = Sender::new(settings(Reach::PublicOnly), names);
        let said = said(&sender, "https://hooks.example.com/in").await;
        assert!(said.contains(expected), "{host}: {said}");
        tried += 1;
    }
    assert!(tried >= 50, "{tried}");
}

/// A zone with aliases, whose records a test can change: an owner of a name who is not a friend.
#[derive(Default)]
struct Zone(Mutex<HashMap<&'static str, Record>>);

#[derive(Clone)]
enum Record {
    Alias(&'static str),
    Addresses(Vec<SocketAddr>),
}

impl Zone {
    fn set(&self, name: &'static str, record: Record) {
        self.0.lock().unwrap().insert(name, record);
    }

    fn look_up(&self, name: &str) -> std::io::Result<Vec<SocketAddr>> {
        let mut name = name.to_owned();
        for _ in 0..8 {
            match self.0.lock().unwrap().get(name.as_str()) {
                Some(Record::Addresses(addresses)) => return Ok(addresses.clone()),
                Some(Record::Alias(other)) => (*other).clone_into(&mut name),
                None => break,
            }
        }
        Err(std::io::Error::other("no such name"))
    }
}

impl Resolve for Zone {
    fn resolve<'a>(&'a self, host: &'a str, _: u16) -> Resolving<'a> {
        Box::pin(std::future::ready(self.look_up(host)))
    }
}

fn inside() -> SocketAddr {
    "169.254.169.254:80".parse().unwrap()
}

/// A sender that looks every name up anew, over a zone.
fn over(zone: &Arc<Zone>) -> Sender {
    let settings = SenderSettings {
        dns_ttl: std::time::Duration::ZERO,
        ..settings(Reach::LoopbackToo)
    };
    Sender::new(settings, Arc::clone(zone) as Arc<dyn Resolve>)
}

#[tokio::test]
async fn an_alias_of_a_private_name_is_refused_by_where_it_leads() {
    let zone = Arc::new(Zone::default());
    zone.set("hooks.example", Record::Alias("edge.example"));
    zone.set("edge.example", Record::Alias("meta.example"));
    zone.set("meta.example", Record::Addresses(vec![inside()]));
    let said = said(&over(&zone), "http://hooks.example/").await;
    assert!(said.contains("is a cloud metadata address"), "{said}");
}

#[tokio::test]
async fn rebinding_between_two_attempts_sends_nothing_to_the_new_address() {
    let server =
        Server::answering("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            .await;
    let zone = Arc::new(Zone::default());
    zone.set("hooks.example", Record::Alias("edge.example"));
    zone.set("edge.example", Record::Addresses(vec![server.address]));
    let sender = over(&zone);
    let first = sender.send(post("http://hooks.example/")).await;
    assert_eq!(first.result.unwrap().status, 200);
    for moved in [
        Record::Addresses(vec![inside()]),
        Record::Addresses(vec![server.address, inside()]),
        Record::Addresses(vec![inside(), server.address]),
        Record::Alias("elsewhere.example"),
    ] {
        zone.set("elsewhere.example", Record::Addresses(vec![inside()]));
        zone.set("edge.example", moved);
        let said = said(&sender, "http://hooks.example/").await;
        assert!(said.contains("is a cloud metadata address"), "{said}");
    }
    zone.set("edge.example", Record::Addresses(vec![server.address]));
    let back = sender.send(post("http://hooks.example/")).await;
    assert_eq!(
        back.address,
        Some(server.address),
        "the vetted address is the one dialled"
    );
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn rebinding_between_the_check_and_the_connect_finds_no_second_lookup() {
    let vetted = Server::answering(OK).await;
    // Whoever asks twice in one attempt is led inside.
    let names = Names::answering([vec![vetted.address], vec![inside()]]);
    let sender = Sender::new(settings(Reach::LoopbackToo), Arc::clone(&names) as _);
    let attempted = sender.send(post("http://hooks.example/")).await;
    assert_eq!(attempted.result.unwrap().status, 200);
    assert_eq!(
        (attempted.address, names.asked()),
        (Some(vetted.address), 1)
    );
}

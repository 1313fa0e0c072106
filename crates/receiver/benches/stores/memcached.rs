//! Memcached.

use std::sync::{Arc, Mutex};

use hooklatch_receiver::memcached::MemcachedStore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::measure::{CALLERS, call, compare_leased, key, kit, leased};
use crate::support::services;

/// Connections that speak for themselves, without a client.
#[derive(Clone)]
struct Raw {
    idle: Arc<Mutex<Vec<TcpStream>>>,
}

impl Raw {
    async fn connect(address: &str) -> Self {
        let mut idle = Vec::new();
        for _ in 0..CALLERS {
            let stream = TcpStream::connect(address).await.expect("it answers");
            stream.set_nodelay(true).expect("a socket");
            idle.push(stream);
        }
        let idle = Arc::new(Mutex::new(idle));
        Self { idle }
    }

    async fn ask(&self, line: String, expected: &str) {
        let stream = self.idle.lock().expect("no panic").pop();
        let mut stream = stream.expect("one for each caller");
        let written = stream.write_all(line.as_bytes()).await;
        written.expect("it answers");
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer).await.expect("it answers");
        assert_eq!(answer, expected.as_bytes());
        self.idle.lock().expect("no panic").push(stream);
    }
}

/// Measures the one mode.
pub async fn measure(events: usize) {
    let service = services::memcached(64);
    let raw = Raw::connect(&service.address).await;
    let (first, second) = (raw.clone(), raw);
    let one = call(move || {
        let raw = first.clone();
        async move {
            let add = format!("add {} 0 600 1\r\n1\r\n", key());
            raw.ask(add, "STORED\r\n").await;
        }
    });
    let two = call(move || {
        let (raw, key) = (second.clone(), key());
        async move {
            let add = format!("add {key} 0 600 1\r\n1\r\n");
            raw.ask(add, "STORED\r\n").await;
            // Without a look at it nobody could know that it is still the same.
            let value = format!("VALUE {key} 0 1\r\n1\r\nEND\r\n");
            raw.ask(format!("get {key}\r\n"), &value).await;
            let replace = format!("replace {key} 0 600 1\r\n2\r\n");
            raw.ask(replace, "STORED\r\n").await;
        }
    });
    let address = service.address.parse().expect("an address");
    let kit = kit(MemcachedStore::new(address));
    let ours = call(move || leased(kit.clone()));
    compare_leased("memcached", events, one, two, ours).await;
}

//! A load at a fixed rate, whatever the answers take: each request has a time at which it is to be
//! sent, and its answer is timed from there, so that a server that stalls is not spared.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Failure;
use crate::head::Head;
use crate::histogram::Histogram;
use crate::request::Request;

/// Over how many connections.
const CONNECTIONS: u32 = 32;
const ANSWER_BYTES_MAX: usize = 16 * 1_024;

/// What is sent.
#[derive(Clone)]
pub(super) struct Paced {
    pub address: SocketAddr,
    pub request: Request,
    /// Requests a second, over all connections.
    pub per_second: u32,
    /// The first message's number; the others follow.
    pub first: u64,
    /// Answers that are due earlier are warm-up.
    pub count_from: Instant,
    pub until: Instant,
}

/// How it went.
pub(super) struct Went {
    pub latencies: Histogram,
    pub sent: u64,
    pub refused: u64,
}

/// Sends it all.
pub(super) fn run(paced: &Paced) -> Result<Went, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let mut connections = JoinSet::new();
            for number in 0..CONNECTIONS {
                connections.spawn(connection(paced.clone(), number));
            }
            let mut all = Went::nothing();
            while let Some(went) = connections.join_next().await {
                let went = went??;
                all.latencies.merge(&went.latencies);
                all.sent += went.sent;
                all.refused += went.refused;
            }
            Ok(all)
        })
}

impl Went {
    fn nothing() -> Self {
        Self {
            latencies: Histogram::new(),
            sent: 0,
            refused: 0,
        }
    }
}

async fn connection(mut paced: Paced, number: u32) -> Result<Went, Failure> {
    let mut stream = TcpStream::connect(paced.address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; ANSWER_BYTES_MAX];
    let mut went = Went::nothing();
    let every = Duration::from_secs(1) * CONNECTIONS / paced.per_second;
    let mut due = Instant::now() + every * number / CONNECTIONS;
    while due < paced.until {
        tokio::time::sleep_until(due.into()).await;
        let message = paced.first + went.sent * u64::from(CONNECTIONS) + u64::from(number);
        stream.write_all(paced.request.stamp(message)).await?;
        went.sent += 1;
        let accepted = answered(&mut stream, &mut buffer).await?;
        went.refused += u64::from(!accepted);
        if due >= paced.count_from {
            went.latencies.add(due.elapsed());
        }
        due += every;
    }
    Ok(went)
}

/// Reads an answer; whether it was 2xx.
async fn answered(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<bool, Failure> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Err("the server closed a connection, or its answer is too long".into());
        }
        filled += read;
        if let Some(head) = Head::find(&buffer[..filled])
            && filled >= head.bytes + head.content_length()?
        {
            return Ok((200..300).contains(&head.status()?));
        }
    }
}

//! The load generator: every connection sends a request, waits for its answer, and sends the next
//! (a closed loop). One thread serves all connections, and requests are only stamped, so that it
//! takes as little as possible of the cores that it shares with what it measures.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Failure;
use crate::head::Head;
use crate::histogram::Histogram;
use crate::request::Request;

const ANSWER_BYTES_MAX: usize = 64 * 1_024;
/// A server that is silent for that long after the end is given up.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// What is to be sent, and for how long.
#[derive(Clone)]
pub(crate) struct Load {
    /// To whom; the connections take turns.
    pub addresses: Vec<SocketAddr>,
    /// Over how many connections.
    pub connections: u16,
    /// The request of every message.
    pub request: Request,
    /// Which messages.
    pub numbers: Numbers,
    /// No more than so many requests.
    pub requests_max: u64,
    /// Answers that come earlier are warm-up.
    pub count_from: Instant,
    /// No request is sent after that, and no answer that comes later is measured.
    pub until: Instant,
    /// How much is remembered of each answer.
    pub memory: Memory,
}

/// How much is remembered of the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// Counts alone.
    Counts,
    /// When each one came, too.
    Each,
}

/// Which messages a load consists of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Numbers {
    /// New ones, counted up from here.
    From(u64),
    /// Any of the first so many, which were all sent before.
    Below(u64),
}

impl Numbers {
    fn of(self, request: u64) -> u64 {
        match self {
            Self::From(first) => first + request,
            // Multiplying by an odd constant and taking the upper bits scatters them.
            Self::Below(end) => (request.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16) % end,
        }
    }
}

/// What came of it.
pub(crate) struct Outcome {
    /// How long the measured answers took.
    pub latencies: Histogram,
    /// How many requests were sent, warm-up included.
    pub sent: u64,
    /// How they were answered, warm-up included.
    pub answers: Answers,
    /// When the measured answers came and how long they took, where that was to be remembered.
    pub each: Vec<(Instant, Duration)>,
}

/// Answers, by what they say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answers {
    /// 2xx.
    pub accepted: u64,
    /// 2xx with `Idempotent-Replayed: true`.
    pub replayed: u64,
    /// Any other status.
    pub refused: u64,
}

/// Sends it all, and returns when the last answer has come.
pub(crate) fn run(load: Load) -> Result<Outcome, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(send_all(load))
}

async fn send_all(load: Load) -> Result<Outcome, Failure> {
    let sent = Arc::new(AtomicU64::new(0));
    let deadline = tokio::time::Instant::from_std(load.until) + SILENCE_MAX;
    let mut connections = JoinSet::new();
    for number in 0..usize::from(load.connections) {
        let address = load.addresses[number % load.addresses.len()];
        connections.spawn(Connection::new(load.clone(), Arc::clone(&sent)).run(address));
    }
    let mut outcome = Outcome {
        latencies: Histogram::new(),
        sent: 0,
        answers: Answers::default(),
        each: Vec::new(),
    };
    let joined = tokio::time::timeout_at(deadline, async {
        while let Some(connection) = connections.join_next().await {
            outcome.add(&connection??);
        }
        Ok::<(), Failure>(())
    });
    joined
        .await
        .map_err(|_| "the server did not answer any more")??;
    outcome.sent = sent.load(Relaxed).min(load.requests_max);
    Ok(outcome)
}

impl Outcome {
    fn add(&mut self, connection: &Connection) {
        self.latencies.merge(&connection.latencies);
        self.answers.accepted += connection.answers.accepted;
        self.answers.replayed += connection.answers.replayed;
        self.answers.refused += connection.answers.refused;
        self.each.extend_from_slice(&connection.each);
    }
}

struct Connection {
    load: Load,
    sent: Arc<AtomicU64>,
    latencies: Histogram,
    answers: Answers,
    each: Vec<(Instant, Duration)>,
}

enum Answer {
    Accepted,
    Replayed,
    Refused,
}

impl Answer {
    /// Of two requests that are one service.
    fn and(self, second: Self) -> Self {
        match (self, second) {
            (Self::Refused, _) | (_, Self::Refused) => Self::Refused,
            (Self::Replayed, _) | (_, Self::Replayed) => Self::Replayed,
            (Self::Accepted, Self::Accepted) => Self::Accepted,
        }
    }
}

impl Connection {
    fn new(load: Load, sent: Arc<AtomicU64>) -> Self {
        Self {
            load,
            sent,
            latencies: Histogram::new(),
            answers: Answers::default(),
            each: Vec::new(),
        }
    }

    async fn run(mut self, address: SocketAddr) -> Result<Self, Failure> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut buffer = vec![0; ANSWER_BYTES_MAX];
        let mut started = Instant::now();
        while started < self.load.until {
            let request = self.sent.fetch_add(1, Relaxed);
            if request >= self.load.requests_max {
                break;
            }
            let number = self.load.numbers.of(request);
            stream.write_all(self.load.request.stamp(number)).await?;
            let mut answer = read_answer(&mut stream, &mut buffer).await?;
            if let Some(then) = self.load.request.then(number) {
                stream.write_all(then).await?;
                let second = read_answer(&mut stream, &mut buffer).await?;
                answer = answer.and(second);
            }
            let finished = Instant::now();
            self.count(&answer, started, finished);
            started = finished;
        }
        Ok(self)
    }

    /// A refusal is no service: it counts, and its time does not.
    fn count(&mut self, answer: &Answer, started: Instant, finished: Instant) {
        let measured = finished >= self.load.count_from && finished <= self.load.until;
        match answer {
            Answer::Accepted => self.answers.accepted += 1,
            Answer::Replayed => self.answers.replayed += 1,
            Answer::Refused => {
                self.answers.refused += 1;
                return;
            }
        }
        if measured {
            self.latencies.add(finished - started);
            if self.load.memory == Memory::Each {
                self.each.push((finished, finished - started));
            }
        }
    }
}

async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<Answer, Failure> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Err("the server closed a connection, or its answer is too long".into());
        }
        filled += read;
        let Some(head) = Head::find(&buffer[..filled]) else {
            continue;
        };
        let length = head.bytes + head.content_length()?;
        if filled > length {
            return Err("the server sent more than one answer".into());
        }
        if filled == length {
            return understand(&head);
        }
    }
}

fn understand(head: &Head<'_>) -> Result<Answer, Failure> {
    if !(200..300).contains(&head.status()?) {
        return Ok(Answer::Refused);
    }
    let replayed = head.field("idempotent-replayed") == Some(b"true");
    Ok(if replayed {
        Answer::Replayed
    } else {
        Answer::Accepted
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Gives these answers in turn on one connection, then closes it.
    fn server(answers: &'static [&'static str]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![0; Request::ingest("/", None).stamp(0).len()];
            for answer in answers {
                stream.read_exact(&mut request).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        address
    }

    fn load(address: SocketAddr, requests_max: u64) -> Load {
        let now = Instant::now();
        Load {
            addresses: vec![address],
            connections: 1,
            request: Request::ingest("/", None),
            numbers: Numbers::From(0),
            requests_max,
            count_from: now,
            until: now + Duration::from_secs(60),
            memory: Memory::Each,
        }
    }

    #[test]
    fn answers_are_told_apart_and_refusals_have_no_latency() {
        let address = server(&[
            "HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nidempotent-replayed: true\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
        ]);
        let outcome = run(load(address, 3)).unwrap();
        assert_eq!(
            outcome.answers,
            Answers {
                accepted: 1,
                replayed: 1,
                refused: 1
            }
        );
        assert_eq!(outcome.sent, 3);
        assert_eq!(outcome.latencies.count(), 2);
        assert_eq!(outcome.each.len(), 2);
    }

    #[test]
    fn connections_take_turns_at_the_addresses() {
        let answer: &[&str] = &["HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"];
        let mut load = load(server(answer), 2);
        load.addresses.push(server(answer));
        load.connections = 2;
        assert_eq!(run(load).unwrap().answers.accepted, 2);
    }

    #[test]
    fn a_connection_that_the_server_closes_fails_the_load() {
        let address = server(&["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]);
        assert!(run(load(address, 2)).is_err());
    }

    #[test]
    fn known_numbers_scatter_over_all_that_were_sent() {
        let drawn: BTreeSet<u64> = (0..10_000).map(|n| Numbers::Below(100).of(n)).collect();
        assert_eq!(drawn.len(), 100);
        assert_eq!(drawn.last(), Some(&99));
        assert_eq!(Numbers::From(5).of(2), 7);
    }
}

//! The providers: they send signed events, lose answers, hang up, send one event from several
//! machines in one moment, and go on until the gateway has answered each event with a 2xx.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hooklatch_client::Source;
use indicatif::ProgressBar;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::book::Book;
use super::plan::{Event, Habit, Provider};
use super::sign;
use crate::failure::Failure;

/// Events under way at once.
const WORKERS: usize = 8;
/// How many machines send an event of [`Habit::AtOnce`].
const MACHINES: usize = 8;
/// How long a provider waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause before a further try grows by this, up to ten times.
const PAUSE: Duration = Duration::from_millis(30);

/// Where one provider's events go, and how they are signed.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    authority: String,
    path: String,
    secret: String,
}

impl Route {
    /// To this source.
    pub fn to(source: &Source, secret: &str) -> Result<Self, Failure> {
        let odd = || Failure::Failed(format!("{:?} is no ingest URL", source.ingest_url));
        let uri: http::Uri = source.ingest_url.parse().map_err(|_| odd())?;
        Ok(Self {
            authority: uri.authority().ok_or_else(odd)?.to_string(),
            path: uri.path().to_owned(),
            secret: secret.to_owned(),
        })
    }
}

/// Both providers.
pub(crate) struct Providers {
    pub payments: Route,
    pub code_host: Route,
    pub book: Arc<Book>,
    /// How many events have been acknowledged.
    pub acknowledged: watch::Sender<usize>,
    pub bar: ProgressBar,
}

/// How a provider ends its side of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    ReadsAnswer,
    LosesAnswer,
    HangsUp,
}

impl Providers {
    /// Sends every event as its habit says, several at once, until each has been acknowledged.
    pub async fn send_all(self: &Arc<Self>, events: &[Event]) -> Result<(), Failure> {
        self.each(events, |providers, event| async move {
            providers.send(&event).await?;
            providers.acknowledged.send_modify(|count| *count += 1);
            providers.bar.inc(1);
            Ok(())
        })
        .await
    }

    /// A person has these events sent again.
    pub async fn send_again(self: &Arc<Self>, events: &[Event]) -> Result<(), Failure> {
        self.each(events, |providers, event| async move {
            providers.until_acknowledged(&event).await
        })
        .await
    }

    async fn each<F>(
        self: &Arc<Self>,
        events: &[Event],
        work: impl Fn(Arc<Self>, Event) -> F,
    ) -> Result<(), Failure>
    where
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let workers = Arc::new(Semaphore::new(WORKERS));
        let mut tasks = JoinSet::new();
        for event in events {
            let worker = Arc::clone(&workers).acquire_owned().await;
            let worker = worker.expect("the workers are never closed");
            let task = work(Arc::clone(self), event.clone());
            tasks.spawn(async move {
                let outcome = task.await;
                drop(worker);
                outcome
            });
        }
        all_of(tasks).await
    }

    async fn send(self: &Arc<Self>, event: &Event) -> Result<(), Failure> {
        match event.habit {
            Habit::Once | Habit::ResentLater => self.until_acknowledged(event).await,
            Habit::AnswerLost => self.lose_one(event, Ending::LosesAnswer).await,
            Habit::HangsUp => self.lose_one(event, Ending::HangsUp).await,
            Habit::AtOnce => {
                let mut machines = JoinSet::new();
                for _ in 0..MACHINES {
                    let (providers, event) = (Arc::clone(self), event.clone());
                    machines.spawn(async move { providers.until_acknowledged(&event).await });
                }
                all_of(machines).await
            }
        }
    }

    async fn lose_one(&self, event: &Event, ending: Ending) -> Result<(), Failure> {
        // Whether this try got through does not matter: the provider cannot know.
        let _ = self.call(event, ending).await;
        self.until_acknowledged(event).await
    }

    /// What a provider does that takes its duty seriously: again and again, until a 2xx.
    async fn until_acknowledged(&self, event: &Event) -> Result<(), Failure> {
        for tried in 1_u32.. {
            match self.call(event, Ending::ReadsAnswer).await {
                Ok(200..300) => return Ok(()),
                // Repeating would not help: something is wrong with the demo itself.
                Ok(status @ (400..=428 | 430..500)) => {
                    let text = format!("the gateway refused {} with status {status}", event.id);
                    return Err(Failure::Failed(text));
                }
                Ok(_) | Err(_) => tokio::time::sleep(PAUSE * tried.min(10)).await,
            }
        }
        unreachable!("there are more numbers than the demo has time for")
    }

    /// One call. Zero stands for an answer that nobody read.
    async fn call(&self, event: &Event, ending: Ending) -> io::Result<u16> {
        let route = match event.provider {
            Provider::Payments => &self.payments,
            Provider::CodeHost => &self.code_host,
        };
        self.book.called();
        let exchange = exchange(&route.authority, request(route, event), ending);
        tokio::time::timeout(PATIENCE, exchange).await?
    }
}

async fn all_of(mut tasks: JoinSet<Result<(), Failure>>) -> Result<(), Failure> {
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| Failure::failed("a provider stumbled", error))??;
    }
    Ok(())
}

fn request(route: &Route, event: &Event) -> String {
    let body = &event.body;
    let headers = match event.provider {
        Provider::Payments => {
            let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            let signature = sign::stripe(&route.secret, now.as_secs(), body);
            format!("stripe-signature: {signature}\r\n")
        }
        Provider::CodeHost => format!(
            "x-github-event: {}\r\nx-github-delivery: {}\r\nx-hub-signature-256: {}\r\n",
            event.kind,
            event.id,
            sign::github(&route.secret, body)
        ),
    };
    format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n{headers}\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        route.path,
        route.authority,
        body.len()
    )
}

async fn exchange(authority: &str, request: String, ending: Ending) -> io::Result<u16> {
    let mut stream = TcpStream::connect(authority).await?;
    stream.set_nodelay(true)?;
    stream.write_all(request.as_bytes()).await?;
    match ending {
        Ending::HangsUp => Ok(0),
        Ending::LosesAnswer => {
            // The answer is there, and nobody reads it.
            stream.readable().await?;
            Ok(0)
        }
        Ending::ReadsAnswer => {
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            status(&answer).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
        }
    }
}

fn status(answer: &[u8]) -> Option<u16> {
    let digits = answer.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::plan;

    #[test]
    fn the_status_is_read_from_the_first_line() {
        assert_eq!(status(b"HTTP/1.1 200 OK\r\n\r\n{}"), Some(200));
        assert_eq!(status(b"HTTP/1.1 20"), None);
        assert_eq!(status(b""), None);
    }

    #[test]
    fn a_request_carries_the_provider_s_own_headers() {
        let route = Route {
            authority: "127.0.0.1:1".into(),
            path: "/ingest/t".into(),
            secret: "s".into(),
        };
        let events = plan::events(1, 20);
        let payment = request(&route, &events[0]);
        assert!(payment.starts_with("POST /ingest/t HTTP/1.1\r\n"));
        assert!(payment.contains("\r\nstripe-signature: t="));
        assert!(payment.ends_with(&format!("\r\n\r\n{}", events[0].body)));
        let push = request(&route, &events[20]);
        assert!(push.contains("\r\nx-github-delivery: push-0001\r\n"));
    }
}

//! Plays the scenarios: delivers, cuts, kills, waits, and lets the probe count.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hooklatch_core::secret::Secret;
use http::Method;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use url::Url;

use super::answer::Answer;
use super::command;
use super::message::{Event, KEY, Template, WEBHOOK_ID};
use super::plan::{Fraction, Scenario, Step, wait_before_next};
use super::probe::Probe;
use super::sign::Signer;
use super::verdict::Seen;
use super::wire::{Call, Target};
use crate::failure::Failure;

/// Between two looks at a receiver that starts.
const LOOK: Duration = Duration::from_millis(50);
/// How many times the settling time an effect is waited for that does not come.
const SETTLE_TIMES: u32 = 10;

/// What the scenarios are played with.
pub(super) struct Stage {
    /// The receiver's URL, in which placeholders may stand.
    pub url: String,
    /// How long a connection or an answer may take.
    pub timeout: Duration,
    /// How long an event is insisted on.
    pub patience: Duration,
    /// How long effects may take.
    pub settle: Duration,
    /// What events are made from.
    pub template: Template,
    /// How they are signed.
    pub signer: Arc<Signer>,
    /// What counts.
    pub probe: Probe,
    /// What kills the receiver.
    pub kill: Option<Secret>,
    /// What starts it again.
    pub restart: Option<Secret>,
}

/// A scenario that was played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Played {
    /// Its name.
    pub name: String,
    /// The event's key.
    pub key: String,
    /// Its `webhook-id`.
    pub webhook_id: String,
    /// How many deliveries were made, and how many got which answer.
    pub answers: BTreeMap<String, usize>,
    /// How many answers had which receipt.
    pub receipts: BTreeMap<String, usize>,
    /// What the probe counted.
    pub seen: Seen,
}

impl Played {
    /// How many deliveries were made.
    pub fn sent(&self) -> usize {
        self.answers.values().sum()
    }
}

/// Deliveries of one event.
#[derive(Clone)]
struct Sender {
    target: Target,
    signer: Arc<Signer>,
    event: Arc<Event>,
    log: Arc<Mutex<Vec<Answer>>>,
    patience: Duration,
}

/// Which of the event's payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Payload {
    Own,
    Other,
}

impl Stage {
    /// Plays one scenario. `usual` is how long the receiver usually takes, once it is known.
    pub async fn play(
        &self,
        scenario: &Scenario,
        usual: &mut Option<Duration>,
    ) -> Result<Played, Failure> {
        let event = self.template.event(rand::random());
        let event = Arc::new(event.map_err(|error| Failure::Usage(error.to_string()))?);
        let sender = Sender {
            target: Target::new(self.url_of(&event)?, self.timeout),
            signer: Arc::clone(&self.signer),
            event: Arc::clone(&event),
            log: Arc::default(),
            patience: self.patience,
        };
        let before = self.count(&event).await?;
        let mut acknowledged = true;
        for step in &scenario.steps {
            let began = Instant::now();
            acknowledged &= self.step(*step, &sender, usual.unwrap_or_default()).await?;
            if *step == Step::Insist && usual.is_none() {
                *usual = Some(began.elapsed());
            }
        }
        let after = self.settled(&event, before).await?;
        let answers = sender.log.lock().unwrap_or_else(PoisonError::into_inner);
        let receipts = answers.iter().filter_map(Answer::receipt);
        Ok(Played {
            name: scenario.name.clone(),
            key: event.key.clone(),
            webhook_id: event.webhook_id.clone(),
            receipts: tally(receipts.map(str::to_owned)),
            answers: tally(answers.iter().map(Answer::label)),
            seen: Seen {
                before,
                after,
                acknowledged,
            },
        })
    }

    /// Does one step; whether all that was insisted on was acknowledged.
    async fn step(&self, step: Step, sender: &Sender, usual: Duration) -> Result<bool, Failure> {
        match step {
            Step::Insist => Ok(sender.insist(None).await),
            Step::AtOnce(count) => Ok(sender.at_once(count).await),
            Step::OtherPayload => {
                sender.deliver(Payload::Other, None).await;
                Ok(true)
            }
            Step::Cut(cut) => {
                let answer = match sender.target.connect().await {
                    Err(_) => Answer::Unreachable,
                    Ok(link) => {
                        let call = sender.call(Payload::Own);
                        match sender.target.cut(link, &call, cut).await {
                            Ok(()) => Answer::Cut,
                            Err(_) => Answer::Broken,
                        }
                    }
                };
                sender.note(answer);
                Ok(true)
            }
            Step::Wait(span) => {
                sleep(span).await;
                Ok(true)
            }
            Step::Kill(at) => {
                self.kill(at, sender, usual).await?;
                Ok(true)
            }
        }
    }

    /// Lets the receiver die in the middle of a delivery, and live again.
    async fn kill(&self, at: Fraction, sender: &Sender, usual: Duration) -> Result<(), Failure> {
        let delivering = {
            let sender = sender.clone();
            tokio::spawn(async move { sender.deliver(Payload::Own, None).await })
        };
        sleep(at.of(usual)).await;
        for (what, text) in [("kills", &self.kill), ("restarts", &self.restart)] {
            let Some(text) = text else { continue };
            let ran = command::run(text.expose()).await;
            let said = format!("the command that {what} the receiver did not do so");
            ran.map_err(|error| Failure::failed(said, error))?;
        }
        let ended = delivering.await;
        ended.map_err(|error| Failure::failed("a delivery did not end", error))?;
        let give_up = Instant::now() + self.patience;
        while sender.target.connect().await.is_err() {
            if Instant::now() > give_up {
                let text = "the receiver did not come back after it was killed";
                return Err(Failure::Failed(text.to_owned()));
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    fn url_of(&self, event: &Event) -> Result<Url, Failure> {
        let text = self.url.replace(KEY, &event.key);
        let text = text.replace(WEBHOOK_ID, &event.webhook_id);
        let url = hooklatch_core::address::parse_url(&text);
        url.map_err(|error| Failure::Usage(format!("the receiver's URL cannot be used: {error}")))
    }

    async fn count(&self, event: &Event) -> Result<u64, Failure> {
        let counted = self.probe.count(event).await;
        counted.map_err(|error| Failure::failed("effects cannot be counted", error))
    }

    /// What the probe counts once effects have had their time. One that does not come is waited
    /// for longer, so that slow is not taken for lost.
    async fn settled(&self, event: &Event, before: u64) -> Result<u64, Failure> {
        let give_up = Instant::now() + self.settle * SETTLE_TIMES;
        loop {
            sleep(self.settle).await;
            let count = self.count(event).await?;
            if count > before || Instant::now() >= give_up {
                return Ok(count);
            }
        }
    }
}

impl Sender {
    /// Delivers until it is acknowledged, or patience has run out. The first connection waits at
    /// the barrier, if there is one.
    async fn insist(&self, barrier: Option<&Barrier>) -> bool {
        let give_up = Instant::now() + self.patience;
        let mut barrier = barrier;
        for tries in 1.. {
            let answer = self.deliver(Payload::Own, barrier.take()).await;
            if answer.acknowledges() {
                return true;
            }
            let wait = wait_before_next(tries, answer.retry_after());
            if Instant::now() + wait > give_up {
                return false;
            }
            sleep(wait).await;
        }
        false
    }

    async fn at_once(&self, count: usize) -> bool {
        let barrier = Arc::new(Barrier::new(count));
        let mut senders = JoinSet::new();
        for _ in 0..count {
            let (sender, barrier) = (self.clone(), Arc::clone(&barrier));
            senders.spawn(async move { sender.insist(Some(&barrier)).await });
        }
        let acknowledged = senders.join_all().await;
        acknowledged.into_iter().all(|it| it)
    }

    async fn deliver(&self, payload: Payload, barrier: Option<&Barrier>) -> Answer {
        let link = self.target.connect().await;
        if let Some(barrier) = barrier {
            barrier.wait().await;
        }
        let answer = match link {
            Err(_) => Answer::Unreachable,
            Ok(link) => {
                let call = self.call(payload);
                let exchanged = self.target.exchange(link, &call).await;
                exchanged.map_or_else(|failed| failed, |whole| whole.answer)
            }
        };
        self.note(answer.clone());
        answer
    }

    /// The request, signed now.
    fn call(&self, payload: Payload) -> Call {
        let event = &self.event;
        let body = match payload {
            Payload::Own => &event.body,
            Payload::Other => &event.other_body,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = now.map_or(0, |span| span.as_secs()).cast_signed();
        let signed = self
            .signer
            .headers(&event.webhook_id, seconds, body.as_bytes());
        let mut headers = event.headers.clone();
        headers.retain(|(name, _)| !signed.iter().any(|(other, _)| other == name));
        headers.extend(signed);
        Call {
            method: Method::POST,
            headers,
            body: Bytes::from(body.clone()),
        }
    }

    fn note(&self, answer: Answer) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(answer);
    }
}

fn tally(labels: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for label in labels {
        *counts.entry(label).or_default() += 1;
    }
    counts
}

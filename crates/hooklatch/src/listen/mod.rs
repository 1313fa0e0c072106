//! `hooklatch listen`: what arrives at a source, sent on to this machine while somebody works on
//! it. The gateway is asked for what is new, so no port is opened and no endpoint is made.

pub(crate) mod arguments;
mod feed;
mod forward;

use std::time::Duration;

use hooklatch_client::{Client, Message};
use hooklatch_core::address::Reach;
use hooklatch_core::ids::MessageId;
use hooklatch_core::secret::Secret;
use hooklatch_core::signature::SigningSecret;
use hooklatch_core::time::Timestamp;
use hooklatch_egress::{Attempted, Sender, SenderSettings, Target};
use hooklatch_store::{Clock, SystemClock};
use serde_json::json;

use crate::failure::Failure;
use crate::lookup;
use crate::signals::Signals;
use arguments::ListenArgs;
use feed::Feed;
use forward::Forwarder;

/// How often the gateway is asked.
const LOOK: Duration = Duration::from_millis(300);
/// How long an outage of the gateway is slept over before it is asked again.
const OUTAGE: Duration = Duration::from_secs(2);
/// How often a receiver that cannot be reached is tried: it may be starting anew.
const TRIES: u32 = 5;
/// Between two tries.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Listens until it is told to end.
pub(crate) async fn run(arguments: Box<ListenArgs>) -> Result<(), Failure> {
    let client = arguments.connect.client()?;
    let forwarder = Forwarder {
        sender: Sender::with_system_resolver(SenderSettings {
            reach: Reach::LoopbackToo,
            ..SenderSettings::default()
        }),
        target: target(&arguments.forward_to)?,
        secret: signing_secret(arguments.secret.as_ref())?,
    };
    let after = after(arguments.after.as_deref())?;
    let source = lookup::source(&client, &arguments.source).await?;
    let feed = Feed::begin(&client, source, after).await?;
    let mut listener = Listener {
        client,
        forwarder,
        feed,
        json: arguments.json,
        left: arguments.count,
    };
    listener.greet(&arguments);
    let mut signals = Signals::listen()
        .map_err(|error| Failure::failed("signals cannot be listened to", error))?;
    tokio::select! {
        () = listener.listen() => {}
        _ = signals.next() => {}
    }
    if !arguments.json {
        println!("go on with --after {}", listener.feed.last());
    }
    Ok(())
}

fn target(url: &str) -> Result<Target, Failure> {
    Target::parse(url).map_err(|error| Failure::Usage(format!("--forward-to {url}: {error}")))
}

fn signing_secret(given: Option<&Secret>) -> Result<SigningSecret, Failure> {
    match given {
        Some(text) => SigningSecret::parse(text.expose())
            .map_err(|error| Failure::Usage(format!("--secret: {error}"))),
        None => Ok(SigningSecret::generate_hmac(rand::random())),
    }
}

fn after(text: Option<&str>) -> Result<Option<MessageId>, Failure> {
    let id = text.map(str::parse).transpose();
    id.map_err(|error| Failure::Usage(format!("--after: {error}")))
}

struct Listener {
    client: Client,
    forwarder: Forwarder,
    feed: Feed,
    json: bool,
    /// How many more messages, where that was said.
    left: Option<u64>,
}

impl Listener {
    fn greet(&self, arguments: &ListenArgs) {
        if self.json {
            return;
        }
        let (source, to) = (&arguments.source, &arguments.forward_to);
        println!("listening to {source}, forwarding to {to}");
        if arguments.secret.is_none() {
            let secret = self.forwarder.secret.to_text();
            println!("signed with {}", secret.expose());
        }
    }

    /// Forwards what comes, one after the other, so that their order is kept.
    async fn listen(&mut self) {
        let mut away = false;
        while self.left != Some(0) {
            let pause = match self.feed.look(&self.client).await {
                Ok(new) => {
                    if std::mem::take(&mut away) {
                        eprintln!("hooklatch: the gateway answers again");
                    }
                    self.forward_all(new).await;
                    LOOK
                }
                Err(error) => {
                    if !std::mem::replace(&mut away, true) {
                        eprintln!("hooklatch: the gateway does not answer; waiting: {error}");
                    }
                    OUTAGE
                }
            };
            if self.left != Some(0) {
                tokio::time::sleep(pause).await;
            }
        }
    }

    async fn forward_all(&mut self, new: Vec<(MessageId, Message)>) {
        for (id, message) in new {
            let Some(message) = self.whole(message).await else {
                // It is looked for again, with all that comes after it.
                return;
            };
            let attempted = self.forward(id, &message).await;
            self.feed.taken(id);
            self.tell(&message, &attempted);
            self.left = self.left.map(|left| left.saturating_sub(1));
            if self.left == Some(0) {
                return;
            }
        }
    }

    /// The message with its payload, which lists leave out where it is large.
    async fn whole(&self, message: Message) -> Option<Message> {
        if message.payload_encoding.is_some() {
            return Some(message);
        }
        self.client.message(&message.id).await.ok()
    }

    /// Sends it until the receiver can be reached, or for a while. A receiver that has answered has
    /// it, whatever the answer says.
    async fn forward(&self, id: MessageId, message: &Message) -> Attempted {
        let mut number = 1;
        loop {
            let now = SystemClock.now();
            let attempted = self.forwarder.forward((id, message), number, now).await;
            let unreached = attempted
                .result
                .as_ref()
                .is_err_and(|error| !error.request_written());
            if !unreached || number == TRIES {
                return attempted;
            }
            number += 1;
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }

    fn tell(&self, message: &Message, attempted: &Attempted) {
        let ms = attempted.timing.total.as_millis();
        let status = attempted.result.as_ref().ok().map(|answer| answer.status);
        let error = attempted.result.as_ref().err().map(ToString::to_string);
        let event_type = message.event_type.as_deref().unwrap_or("-");
        if self.json {
            let line = json!({
                "at": SystemClock.now(), "id": message.id, "event_type": message.event_type,
                "status_code": status, "error": error, "duration_ms": u64::try_from(ms).ok(),
            });
            println!("{line}");
            return;
        }
        let came = status.map(|status| status.to_string()).or(error);
        println!(
            "{}  {event_type:32}  {}  {}  {ms} ms",
            clock_time(SystemClock.now()),
            message.id,
            came.unwrap_or_default(),
        );
    }
}

/// The time of the day, in UTC.
fn clock_time(now: Timestamp) -> String {
    let text = now.to_string();
    let time = text.split('T').nth(1).unwrap_or(&text);
    time.trim_end_matches('Z').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_the_day_is_told() {
        let now = Timestamp::from_millis(1_700_000_000_123);
        assert_eq!(clock_time(now), "22:13:20.123");
    }

    #[test]
    fn what_cannot_be_used_is_a_usage_error() {
        assert!(matches!(after(Some("msg_x")), Err(Failure::Usage(_))));
        assert!(matches!(after(None), Ok(None)));
        assert!(target("not a url").is_err());
        let secret = Secret::from("short");
        assert!(signing_secret(Some(&secret)).is_err());
    }
}

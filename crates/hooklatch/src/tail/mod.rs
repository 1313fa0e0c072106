//! `hooklatch tail`: the gateway's live log, for people or line by line for machines.
//!
//! The log is a stream of the API. Where the connection breaks it is opened again from the place
//! that was reached; what the gateway then shows a second time is known by its text and left out.

pub(crate) mod arguments;
mod line;
mod names;

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::io::{ErrorKind, Write as _};
use std::time::Duration;

use hooklatch_client::{Client, Error, StreamEvent, StreamFilter};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::failure::Failure;
use crate::lookup;
use crate::signals::Signals;
use crate::terminal::Colours;
use arguments::TailArgs;
use names::Names;

/// Waits between two tries to open the log again: from this, doubled each time, up to that.
const AGAIN_MIN: Duration = Duration::from_millis(500);
const AGAIN_MAX: Duration = Duration::from_secs(10);
/// Events that are recognised when they are shown again: as many as the gateway shows after a break.
const SHOWN_MAX: usize = 4_096;

/// Shows the log until it is told to end.
pub(crate) async fn run(arguments: Box<TailArgs>) -> Result<(), Failure> {
    let client = arguments.connect.client()?;
    let filter = filter(&client, &arguments).await?;
    let mut tail = Tail {
        names: Names::new(client.clone()),
        client,
        filter,
        place: arguments.after.clone(),
        shown: Shown::default(),
        json: arguments.json,
        colours: Colours::of_stdout(),
        left: arguments.count,
    };
    let mut signals = Signals::listen()
        .map_err(|error| Failure::failed("signals cannot be listened to", error))?;
    tokio::select! {
        ended = tail.follow() => ended?,
        _ = signals.next() => {}
    }
    if let (false, Some(place)) = (tail.json, &tail.place) {
        eprintln!("hooklatch: go on with --after {place}");
    }
    Ok(())
}

async fn filter(client: &Client, arguments: &TailArgs) -> Result<StreamFilter, Failure> {
    let mut filter = StreamFilter {
        kind: arguments.kind.clone(),
        outcome: arguments.outcome.clone(),
        cause: arguments.cause.clone(),
        event_type: arguments.event_type.clone(),
        ..StreamFilter::default()
    };
    if let Some(name) = &arguments.source {
        filter.source_id = Some(lookup::source(client, name).await?);
    }
    if let Some(name) = &arguments.endpoint {
        filter.endpoint_id = Some(lookup::endpoint(client, name).await?);
    }
    Ok(filter)
}

struct Tail {
    client: Client,
    names: Names,
    filter: StreamFilter,
    place: Option<String>,
    shown: Shown,
    json: bool,
    colours: Colours,
    /// How many more lines, where that was said.
    left: Option<u64>,
}

impl Tail {
    /// Follows until enough was shown, or the gateway refuses for good.
    async fn follow(&mut self) -> Result<(), Failure> {
        let mut wait = AGAIN_MIN;
        let mut away = false;
        while self.left != Some(0) {
            let broke = match self
                .client
                .stream(&self.filter, self.place.as_deref())
                .await
            {
                Ok(mut stream) => {
                    if std::mem::take(&mut away) {
                        eprintln!("hooklatch: the gateway answers again");
                    }
                    wait = AGAIN_MIN;
                    self.show_all(&mut stream).await?
                }
                Err(error) if is_passing(&error) => Some(error),
                Err(error) => return Err(error.into()),
            };
            if self.left == Some(0) {
                break;
            }
            if !std::mem::replace(&mut away, true) {
                let why = broke.map_or_else(|| "the log ended".to_owned(), |it| it.to_string());
                eprintln!("hooklatch: {why}; waiting for the gateway");
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(AGAIN_MAX);
        }
        Ok(())
    }

    /// Shows what a stream brings; answers how it broke, if it did.
    async fn show_all(
        &mut self,
        stream: &mut hooklatch_client::Stream,
    ) -> Result<Option<Error>, Failure> {
        while self.left != Some(0) {
            let event = match stream.next().await {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(None),
                Err(error) => return Ok(Some(error)),
            };
            if let Some(place) = stream.place() {
                self.place = Some(place.to_owned());
            }
            if self.shown.is_new(&event) {
                self.show(&event).await?;
            }
        }
        Ok(None)
    }

    async fn show(&mut self, event: &StreamEvent) -> Result<(), Failure> {
        let line = if self.json {
            as_json(event, self.place.as_deref())?
        } else {
            self.in_words(event).await
        };
        let mut out = std::io::stdout().lock();
        // Whoever reads the pipe sees each line at once.
        match writeln!(out, "{line}").and_then(|()| out.flush()) {
            // Whoever read has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.left = Some(0),
            Err(error) => return Err(Failure::failed("standard output takes no more", error)),
            Ok(()) => self.left = self.left.map(|left| left.saturating_sub(1)),
        }
        Ok(())
    }

    async fn in_words(&mut self, event: &StreamEvent) -> String {
        let record: Value = serde_json::from_str(event.record.get()).unwrap_or_default();
        if event.kind == "missed" {
            let detail = record["detail"].as_str().unwrap_or_default();
            return format!("-- missed: {}", crate::terminal::plain(detail));
        }
        let (kind, id) = match record["source_id"].as_str() {
            Some(id) => ("sources", id),
            None => ("endpoints", record["endpoint_id"].as_str().unwrap_or("-")),
        };
        let of = match id {
            "-" => "-".to_owned(),
            id => self.names.of(kind, id).await,
        };
        line::line(&event.kind, &record, &of, self.colours)
    }
}

/// Whether the log may be there later.
fn is_passing(error: &Error) -> bool {
    match error {
        Error::Unreachable { .. } | Error::Interrupted { .. } | Error::TimedOut { .. } => true,
        Error::Refused(problem) => matches!(problem.status, 429 | 502 | 503 | 504),
        Error::BaseUrl { .. } | Error::ApiKey | Error::Payload(_) | Error::Unreadable { .. } => {
            false
        }
    }
}

fn as_json(event: &StreamEvent, place: Option<&str>) -> Result<String, Failure> {
    #[derive(Serialize)]
    struct Line<'a> {
        event: &'a str,
        place: Option<&'a str>,
        record: &'a RawValue,
    }
    let line = Line {
        event: &event.kind,
        place,
        record: &event.record,
    };
    serde_json::to_string(&line)
        .map_err(|error| Failure::failed("the event cannot be shown", error))
}

/// What was shown lately, by a number for its text.
#[derive(Default)]
struct Shown {
    numbers: HashSet<u64>,
    order: VecDeque<u64>,
    hasher: RandomState,
}

impl Shown {
    /// Whether an event was not shown lately; it is now.
    fn is_new(&mut self, event: &StreamEvent) -> bool {
        if event.kind == "missed" {
            return true;
        }
        let number = self.hasher.hash_one((&event.kind, event.record.get()));
        if !self.numbers.insert(number) {
            return false;
        }
        self.order.push_back(number);
        if self.order.len() > SHOWN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.numbers.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, record: &str) -> StreamEvent {
        StreamEvent {
            kind: kind.to_owned(),
            record: RawValue::from_string(record.to_owned()).unwrap(),
        }
    }

    #[test]
    fn what_comes_twice_after_a_break_is_shown_once() {
        let mut shown = Shown::default();
        let first = event("attempt", r#"{"id":"att_1"}"#);
        assert!(shown.is_new(&first) && !shown.is_new(&first));
        assert!(shown.is_new(&event("delivery", r#"{"id":"att_1"}"#)));
        let missed = event("missed", r#"{"detail":"x"}"#);
        assert!(shown.is_new(&missed) && shown.is_new(&missed));
        for number in 0..SHOWN_MAX {
            shown.is_new(&event("request", &number.to_string()));
        }
        assert_eq!(shown.numbers.len(), SHOWN_MAX);
        assert!(shown.is_new(&first), "it is forgotten once it is long ago");
    }

    #[test]
    fn a_line_for_machines_names_its_place_and_keeps_its_record() {
        let line = as_json(&event("request", r#"{"n":1.0}"#), Some("1-1")).unwrap();
        assert_eq!(
            line,
            r#"{"event":"request","place":"1-1","record":{"n":1.0}}"#
        );
    }
}

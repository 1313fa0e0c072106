//! The live log: server-sent events, read one after the other.
//!
//! A stream ends when the connection does. Where it stood is known by the place of its last event,
//! and [`Client::stream`] goes on from there; around the break an event may be shown twice.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::value::RawValue;

use crate::call::{Call, Repeat};
use crate::resources::Query;
use crate::wire::PageRequest;
use crate::{Client, Error};

/// The gateway gives a sign of life every 15 seconds; after this long without one it is gone.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// Bytes of one event; a record has no bodies.
const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Which events.
#[derive(Debug, Clone, Default)]
pub struct StreamFilter {
    /// Of this kind: `request`, `attempt` or `delivery`.
    pub kind: Option<String>,
    /// Through this source: requests.
    pub source_id: Option<String>,
    /// To this endpoint: attempts and deliveries.
    pub endpoint_id: Option<String>,
    /// With this outcome: requests or attempts.
    pub outcome: Option<String>,
    /// With this cause: repetitions.
    pub cause: Option<String>,
    /// Of this type: requests.
    pub event_type: Option<String>,
}

/// One line of the live log.
#[derive(Debug, Clone)]
pub struct StreamEvent {
    /// `request`, `attempt`, `delivery`, or `missed` where there was more than could be shown.
    pub kind: String,
    /// The record, as it was written.
    pub record: Box<RawValue>,
}

/// A stream under way.
#[derive(Debug)]
pub struct Stream {
    server: String,
    body: Incoming,
    parser: Parser,
}

impl Client {
    /// Opens the live log: what is recorded from now on, or after the place of an earlier stream.
    ///
    /// # Errors
    /// Where the gateway cannot be reached, or refuses.
    pub async fn stream(
        &self,
        filter: &StreamFilter,
        place: Option<&str>,
    ) -> Result<Stream, Error> {
        let mut query = Query::of(&PageRequest::default());
        query.add("type", filter.kind.as_deref());
        query.add("source_id", filter.source_id.as_deref());
        query.add("endpoint_id", filter.endpoint_id.as_deref());
        query.add("outcome", filter.outcome.as_deref());
        query.add("cause", filter.cause.as_deref());
        query.add("event_type", filter.event_type.as_deref());
        query.add("last_event_id", place);
        let call = Call {
            method: Method::GET,
            path: query.path("/v1/stream"),
            body: Bytes::new(),
            repeat: Repeat::Never,
        };
        let accepted = HeaderValue::from_static("text/event-stream");
        let answer = self.server().open(&call, accepted).await?;
        Ok(Stream {
            server: self.server().base.clone(),
            body: answer.into_body(),
            parser: Parser::default(),
        })
    }
}

impl Stream {
    /// The next event; none at the stream's end.
    ///
    /// # Errors
    /// Where the connection breaks, or nothing is heard for 45 seconds.
    pub async fn next(&mut self) -> Result<Option<StreamEvent>, Error> {
        loop {
            if let Some(event) = self.parser.events.pop_front() {
                return Ok(Some(event));
            }
            let frame = tokio::time::timeout(SILENCE_MAX, self.body.frame()).await;
            let frame = frame.map_err(|_elapsed| Error::TimedOut {
                server: self.server.clone(),
                after: SILENCE_MAX,
            })?;
            let Some(frame) = frame else {
                return Ok(None);
            };
            let frame = frame.map_err(|error| self.interrupted(error.into()))?;
            if let Ok(bytes) = frame.into_data() {
                let taken = self.parser.take(&bytes);
                taken.map_err(|why| self.interrupted(why.into()))?;
            }
        }
    }

    /// Up to where the log was read: [`Client::stream`] goes on from here.
    pub fn place(&self) -> Option<&str> {
        self.parser.place.as_deref()
    }

    fn interrupted(&self, source: Box<dyn std::error::Error + Send + Sync>) -> Error {
        Error::Interrupted {
            server: self.server.clone(),
            source,
        }
    }
}

/// Reads the lines of `text/event-stream`.
#[derive(Debug, Default)]
struct Parser {
    rest: Vec<u8>,
    kind: String,
    data: String,
    id: Option<String>,
    /// The id of the last event that was complete.
    place: Option<String>,
    events: VecDeque<StreamEvent>,
}

impl Parser {
    fn take(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        self.rest.extend_from_slice(bytes);
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n');
        if let Some(end) = whole {
            let lines: Vec<u8> = self.rest.drain(..=end).collect();
            let last = lines.len() - 1;
            for line in lines[..last].split(|byte| *byte == b'\n') {
                self.line(line)?;
            }
        }
        if self.rest.len() + self.data.len() > EVENT_BYTES_MAX {
            return Err("an event without end");
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let line = std::str::from_utf8(line).map_err(|_| "an event that is not UTF-8")?;
        let line = line.trim_end_matches('\r');
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.kind),
            "id" => self.id = Some(value.to_owned()),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            // The end of an event; comments and fields that we do not know say nothing.
            "" if line.is_empty() => return self.end(),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), &'static str> {
        let kind = std::mem::take(&mut self.kind);
        let data = std::mem::take(&mut self.data);
        if let Some(id) = self.id.take() {
            self.place = Some(id);
        }
        if data.is_empty() {
            return Ok(());
        }
        let record = RawValue::from_string(data).map_err(|_| "an event that is not JSON")?;
        self.events.push_back(StreamEvent { kind, record });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "retry: 1000\nid: 1-1\n: connected\n\n\
        event: request\nid: 1-1\ndata: {\"id\":\"req_1\"}\n\n\
        : still here\n\n\
        event: attempt\nid: 2-2\ndata: {\"id\":\ndata: \"att_1\"}\n\n";

    fn read(pieces: impl Iterator<Item = &'static [u8]>) -> (Vec<(String, String)>, String) {
        let mut parser = Parser::default();
        for piece in pieces {
            parser.take(piece).unwrap();
        }
        let events = parser.events.into_iter();
        let events = events.map(|event| (event.kind, event.record.get().to_owned()));
        (events.collect(), parser.place.unwrap())
    }

    #[test]
    fn events_are_read_however_they_are_cut_into_pieces() {
        let whole = read(std::iter::once(TEXT.as_bytes()));
        assert_eq!(whole.0.len(), 2);
        assert_eq!(
            whole.0[0],
            ("request".to_owned(), "{\"id\":\"req_1\"}".to_owned())
        );
        assert_eq!(whole.0[1].1, "{\"id\":\n\"att_1\"}");
        assert_eq!(whole.1, "2-2");
        for size in 1..9 {
            assert_eq!(read(TEXT.as_bytes().chunks(size)), whole, "{size}");
        }
    }

    #[test]
    fn a_place_counts_once_its_event_is_complete() {
        let mut parser = Parser::default();
        parser
            .take(b"id: 1-1\n\nevent: request\nid: 2-2\n")
            .unwrap();
        assert_eq!(parser.place.as_deref(), Some("1-1"));
        parser.take(b"data: 1\n\n").unwrap();
        assert_eq!(parser.place.as_deref(), Some("2-2"));
    }

    #[test]
    fn what_is_no_event_stream_is_an_error() {
        assert!(Parser::default().take(b"data: {\n\n").is_err());
        assert!(Parser::default().take(b"data: \xff\n").is_err());
        let endless = vec![b'x'; EVENT_BYTES_MAX + 1];
        assert!(Parser::default().take(&endless).is_err());
    }
}

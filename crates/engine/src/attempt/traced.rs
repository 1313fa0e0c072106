//! What an attempt says of its trace, and the span that is recorded of it.

use hooklatch_core::delivery::verdict::Verdict;
use hooklatch_core::message::Direction;
use hooklatch_core::trace::{TraceContext, TraceHeaders, TracedArrival};
use hooklatch_store::Lease;

use super::Work;
use crate::sent::Sent;
use crate::trace::{Attribute, Began, Kind, Name, Span, Subject};

/// An attempt's place in a trace.
pub(super) struct Traced {
    began: Began,
    /// None where its arrival is not recorded.
    place: Option<TracedArrival>,
    /// What its request says in place of what came with the original.
    pub headers: Option<TraceHeaders>,
}

/// What an attempt's lines of the log are about.
pub(super) fn subject_of(lease: &Lease) -> Subject {
    let headers = &lease.parcel.envelope.headers;
    let context = TraceContext::of_arrival(headers).or_else(|| TraceContext::came_with(headers));
    Subject {
        name: Name::Request(lease.parcel.message.request_id),
        trace: context.map(|context| context.trace),
    }
}

impl Work<'_> {
    /// The attempt's place, by the headers of the original, whatever a script made of them.
    pub(super) fn traced(&self) -> Traced {
        let parcel = &self.lease.parcel;
        let headers = &parcel.envelope.headers;
        let tracer = self.shared.tracer.as_ref();
        let place = tracer.and_then(|tracer| tracer.attempt(headers));
        Traced {
            began: Began::now(),
            place,
            headers: match (place, parcel.message.direction) {
                (Some(place), _) => Some(TraceHeaders::of_attempt(place.context, headers)),
                (None, Direction::Outbound) => TraceHeaders::as_it_came(headers),
                // They go on among all others.
                (None, Direction::Inbound) => None,
            },
        }
    }

    /// Records the attempt's span, if it has one.
    pub(super) fn record_span(&self, traced: &Traced, sent: &Sent, verdict: &Verdict) {
        if let (Some(tracer), Some(place)) = (&self.shared.tracer, traced.place) {
            let span = traced.began.end("attempt", Kind::Client, place);
            tracer.record(self.told(span, sent, verdict));
        }
    }

    fn told(&self, mut span: Span, sent: &Sent, verdict: &Verdict) -> Span {
        let delivery = &self.lease.delivery;
        let mut say = |name, value: Attribute| span.attributes.push((name, value));
        say(
            "hooklatch.message.id",
            delivery.message_id.to_string().into(),
        );
        say("hooklatch.delivery.id", delivery.id.to_string().into());
        say(
            "hooklatch.attempt.id",
            self.tenure.attempt_id.to_string().into(),
        );
        say(
            "hooklatch.attempt.number",
            i64::from(delivery.attempts).into(),
        );
        say(
            "hooklatch.attempt.trigger",
            delivery.trigger.as_str().into(),
        );
        say("hooklatch.attempt.outcome", verdict.outcome.as_str().into());
        if let Some(endpoint) = delivery.endpoint_id {
            say("hooklatch.endpoint.id", endpoint.to_string().into());
        }
        if let Ok(wire) = self.destination.wire(self.now()) {
            say("http.request.method", wire.method.to_string().into());
            if let Some(host) = wire.url.host_str() {
                say("server.address", host.to_owned().into());
            }
            if let Some(port) = wire.url.port_or_known_default() {
                say("server.port", i64::from(port).into());
            }
        }
        let answered = sent.answer.as_ref().map(|answer| answer.status);
        let status = answered.or(sent.status_seen);
        if let Some(status) = status {
            say("http.response.status_code", i64::from(status).into());
        }
        span.error = match (&sent.error, status) {
            (Some(error), _) => Some(error.clone()),
            (None, Some(status)) if status >= 400 => Some(format!("answered {status}")),
            (None, _) => None,
        };
        span
    }
}

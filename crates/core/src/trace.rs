//! The trace that a request belongs to, by the headers of W3C Trace Context
//! (<https://www.w3.org/TR/trace-context/>), so that one trace leads from an arrival to each of
//! its attempts.
//!
//! What came lies among the headers of the stored request anyway, so that nothing else has to be
//! stored while no traces are recorded: it goes on with every attempt as it came. Where an arrival
//! is recorded, its own context is kept as one more header, under a name that never goes on, and
//! every attempt is a child of it, on whatever node and after however long.

use std::fmt;
use std::str;

/// The header that names a trace and the span in it from which a request comes.
pub const TRACEPARENT: &str = "traceparent";
/// The header in which tracing systems keep what else they want to know.
pub const TRACESTATE: &str = "tracestate";
/// The header under which an envelope keeps the span of its own arrival. It is a reserved name, so
/// that no receiver sees it.
pub const ARRIVAL: &str = "hooklatch-trace";

/// Characters of `tracestate` that are kept of a send; the standard asks for no more.
const TRACESTATE_CHARS_MAX: usize = 512;
/// Characters of `traceparent` in the one version that there is.
const TRACEPARENT_CHARS: usize = 55;
/// The only flag that we know: the trace is recorded.
const SAMPLED: u8 = 1;

/// Names a trace. Never zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// Names a span of a trace. Never zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

/// A place in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// Whether the trace is recorded.
    pub sampled: bool,
}

/// An arrival that is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TracedArrival {
    /// Its own span.
    pub context: TraceContext,
    /// The span that it comes from, of whoever sent it.
    pub parent: Option<SpanId>,
}

/// What an attempt says of its trace, in place of what came with the original.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceHeaders {
    /// The value of `traceparent`.
    pub traceparent: String,
    /// The value of `tracestate`.
    pub tracestate: Option<String>,
}

/// The share of the traces begun here that are recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleRatio(f64);

impl TraceId {
    /// The id of these random bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        if bytes == [0; 16] {
            Self([1; 16])
        } else {
            Self(bytes)
        }
    }
}

impl SpanId {
    /// The id of these random bytes.
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        if bytes == [0; 8] {
            Self([1; 8])
        } else {
            Self(bytes)
        }
    }
}

impl SampleRatio {
    /// All of them.
    pub const ALL: Self = Self(1.0);

    /// A share from 0 to 1; none for anything else.
    pub fn new(share: f64) -> Option<Self> {
        (0.0..=1.0).contains(&share).then_some(Self(share))
    }

    /// Whether the trace of these random bytes is among the share.
    fn takes(self, random: [u8; 8]) -> bool {
        // Two to the power of 53 numbers have an exact place among the fractions.
        let fraction = (u64::from_be_bytes(random) >> 11) as f64 / (1_u64 << 53) as f64;
        fraction < self.0
    }
}

/// What is recorded of an arrival. A trace that came is recorded if its sender records it; one that
/// begins here, if it is among the share.
pub fn arrive(
    came: Option<TraceContext>,
    ratio: SampleRatio,
    random: [u8; 32],
) -> Option<TracedArrival> {
    let (of_trace, rest) = random.split_at(16);
    let (of_span, of_sample) = rest.split_at(8);
    let eight = |bytes: &[u8]| <[u8; 8]>::try_from(bytes).expect("the parts have eight bytes");
    let span = SpanId::from_bytes(eight(of_span));
    if let Some(came) = came {
        return came.sampled.then_some(TracedArrival {
            context: came.child(span),
            parent: Some(came.span),
        });
    }
    let trace = <[u8; 16]>::try_from(of_trace).expect("the part has sixteen bytes");
    ratio.takes(eight(of_sample)).then_some(TracedArrival {
        context: TraceContext {
            trace: TraceId::from_bytes(trace),
            span,
            sampled: true,
        },
        parent: None,
    })
}

impl TraceContext {
    /// A place from the value of `traceparent`; none where it is not one, and then the trace ends
    /// there and `tracestate` means nothing.
    pub fn parse(value: &str) -> Option<Self> {
        let bytes = value.as_bytes();
        let (version, rest) = (byte(bytes.get(..2)?)?, bytes.get(TRACEPARENT_CHARS..)?);
        // A later version may have more behind; its beginning is read as ours.
        let fits = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest[0] == b'-',
        };
        if !fits || [2, 35, 52].iter().any(|at| bytes[*at] != b'-') {
            return None;
        }
        let trace = TraceId(hex(&bytes[3..35])?);
        let span = SpanId(hex(&bytes[36..52])?);
        let sampled = byte(&bytes[53..55])? & SAMPLED == SAMPLED;
        let named = trace.0 != [0; 16] && span.0 != [0; 8];
        named.then_some(Self {
            trace,
            span,
            sampled,
        })
    }

    /// The place that a request comes from, by the values of its `traceparent`: more than one is as
    /// good as none.
    pub fn only<'a>(mut values: impl Iterator<Item = &'a str>) -> Option<Self> {
        let first = values.next()?;
        match values.next() {
            None => Self::parse(first),
            Some(_) => None,
        }
    }

    /// The place that a recorded request came from, by its headers.
    pub fn came_with(headers: &[(String, String)]) -> Option<Self> {
        Self::only(values(headers, TRACEPARENT))
    }

    /// The span of a recorded request's arrival, where that was recorded.
    pub fn of_arrival(headers: &[(String, String)]) -> Option<Self> {
        // Ours is put behind what came.
        values(headers, ARRIVAL).last().and_then(Self::parse)
    }

    /// A span under this one.
    #[must_use]
    pub const fn child(self, span: SpanId) -> Self {
        Self { span, ..self }
    }
}

impl TraceHeaders {
    /// What an attempt says whose own span is `attempt`, of a request that came with `headers`.
    pub fn of_attempt(attempt: TraceContext, headers: &[(String, String)]) -> Self {
        let came = TraceContext::came_with(headers);
        let goes_on = came.is_some_and(|came| came.trace == attempt.trace);
        Self {
            traceparent: attempt.to_string(),
            tracestate: joined(headers).filter(|_| goes_on),
        }
    }

    /// What goes on as it came, for requests of which no other header does.
    pub fn as_it_came(headers: &[(String, String)]) -> Option<Self> {
        let came = TraceContext::came_with(headers)?;
        Some(Self {
            traceparent: came.to_string(),
            tracestate: joined(headers),
        })
    }
}

/// What is kept of the headers with which the send API was called: its trace, if it has one.
pub fn kept_of_send<'a>(
    traceparents: impl Iterator<Item = &'a str>,
    tracestates: impl Iterator<Item = &'a str>,
) -> Vec<(String, String)> {
    let Some(came) = TraceContext::only(traceparents) else {
        return Vec::new();
    };
    let mut kept = vec![(TRACEPARENT.to_owned(), came.to_string())];
    let state = tracestates.collect::<Vec<_>>().join(",");
    if !state.is_empty() && state.len() <= TRACESTATE_CHARS_MAX {
        kept.push((TRACESTATE.to_owned(), state));
    }
    kept
}

fn values<'a>(headers: &'a [(String, String)], name: &'a str) -> impl Iterator<Item = &'a str> {
    let named = headers.iter().filter(move |(known, _)| known == name);
    named.map(|(_, value)| value.as_str())
}

fn joined(headers: &[(String, String)]) -> Option<String> {
    let states: Vec<&str> = values(headers, TRACESTATE).collect();
    (!states.is_empty()).then(|| states.join(","))
}

/// Bytes from lower-case hexadecimal digits; the standard allows no others.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (place, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *place = byte(pair)?;
    }
    Some(bytes)
}

fn byte(pair: &[u8]) -> Option<u8> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    Some((digit(pair[0])? << 4) | digit(pair[1])?)
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::hex::write(f, &self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::hex::write(f, &self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::hex::write(f, &self.0)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::hex::write(f, &self.0)
    }
}

/// The value of `traceparent`, in the standard's version 00.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled);
        write!(f, "00-{}-{}-{flags:02x}", self.trace, self.span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAME: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(lines: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        lines.iter().map(owned).collect()
    }

    #[test]
    fn a_traceparent_is_read_as_the_standard_has_it() {
        let context = TraceContext::parse(CAME).unwrap();
        assert_eq!(context.to_string(), CAME);
        assert!(context.sampled);
        for fits in [
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes",
        ] {
            assert!(TraceContext::parse(fits).is_some(), "{fits}");
        }
        for wrong in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.what",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333é-1",
            "é0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        ] {
            assert_eq!(TraceContext::parse(wrong), None, "{wrong}");
        }
        let twice = headers(&[(TRACEPARENT, CAME), (TRACEPARENT, CAME)]);
        assert_eq!(TraceContext::came_with(&twice), None);
    }

    #[test]
    fn a_trace_that_came_is_recorded_if_its_sender_records_it() {
        let came = TraceContext::parse(CAME).unwrap();
        let none = SampleRatio::new(0.0).unwrap();
        let arrival = arrive(Some(came), none, [7; 32]).unwrap();
        assert_eq!(arrival.parent, Some(came.span));
        assert_eq!(arrival.context.trace, came.trace);
        assert_ne!(arrival.context.span, came.span);
        let unsampled = TraceContext {
            sampled: false,
            ..came
        };
        assert_eq!(arrive(Some(unsampled), SampleRatio::ALL, [7; 32]), None);
    }

    #[test]
    fn of_the_traces_that_begin_here_a_share_is_recorded() {
        let ratio = |share: f64| SampleRatio::new(share).unwrap();
        assert_eq!(SampleRatio::new(1.1), None);
        assert_eq!(SampleRatio::new(-0.1), None);
        assert_eq!(SampleRatio::new(f64::NAN), None);
        let arrived = |share: f64, random: u8| arrive(None, ratio(share), [random; 32]);
        assert_eq!(arrived(0.0, 0), None);
        assert_eq!(arrived(1.0, 255).unwrap().parent, None);
        let taken = (0..=255).filter(|random| arrived(0.25, *random).is_some());
        assert_eq!(taken.count(), 64);
        // A context is never zero, whatever chance says.
        let zero = arrived(1.0, 0).unwrap().context;
        assert_eq!(TraceContext::parse(&zero.to_string()), Some(zero));
    }

    #[test]
    fn an_attempt_is_a_child_of_the_arrival_and_takes_the_state_of_the_same_trace_along() {
        let came = TraceContext::parse(CAME).unwrap();
        let arrival = arrive(Some(came), SampleRatio::ALL, [7; 32]).unwrap();
        let kept = arrival.context.to_string();
        let with_state = headers(&[
            (TRACEPARENT, CAME),
            (TRACESTATE, "a=1"),
            (TRACESTATE, "b=2"),
            (ARRIVAL, "whatever the sender wrote"),
            (ARRIVAL, &kept),
        ]);
        let parent = TraceContext::of_arrival(&with_state).unwrap();
        assert_eq!(parent, arrival.context);
        let attempt = parent.child(SpanId::from_bytes([9; 8]));
        let said = TraceHeaders::of_attempt(attempt, &with_state);
        assert_eq!(said.traceparent, attempt.to_string());
        assert_eq!(said.tracestate.as_deref(), Some("a=1,b=2"));
        // What was said to a trace that could not be read is not said to another one.
        let of_another = headers(&[(TRACEPARENT, "00-nonsense"), (TRACESTATE, "a=1")]);
        let said = TraceHeaders::of_attempt(attempt, &of_another);
        assert_eq!(said.tracestate, None);
    }

    #[test]
    fn of_a_send_the_trace_is_kept_and_goes_on_as_it_came() {
        let long = "a".repeat(TRACESTATE_CHARS_MAX + 1);
        let kept = |parents: &[&str], state: &str| {
            let states = [state].into_iter().filter(|state| !state.is_empty());
            kept_of_send(parents.iter().copied(), states)
        };
        let whole = kept(&[CAME], "a=1");
        assert_eq!(whole, headers(&[(TRACEPARENT, CAME), (TRACESTATE, "a=1")]));
        let said = TraceHeaders::as_it_came(&whole).unwrap();
        assert_eq!(
            (said.traceparent.as_str(), said.tracestate.as_deref()),
            (CAME, Some("a=1"))
        );
        assert_eq!(kept(&[CAME], &long), headers(&[(TRACEPARENT, CAME)]));
        assert_eq!(kept(&[], "a=1"), []);
        assert_eq!(kept(&["nonsense"], "a=1"), []);
        assert_eq!(TraceHeaders::as_it_came(&[]), None);
    }
}

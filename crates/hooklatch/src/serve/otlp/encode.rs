//! Spans as OTLP's JSON encoding has them
//! (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>): ids in hexadecimal, 64-bit
//! numbers as texts, enums as numbers.

use std::time::{Duration, SystemTime};

use hooklatch_engine::trace::{Attribute, Kind, Span};
use serde_json::{Value, json};

/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;

/// What says it.
#[derive(Debug)]
pub(super) struct Resource {
    pub service: String,
    /// Tells this process from others of the service.
    pub instance: String,
}

/// One export.
pub(super) fn request(resource: &Resource, spans: &[Span]) -> Value {
    let version = env!("CARGO_PKG_VERSION");
    let attributes = [
        ("service.name", resource.service.as_str()),
        ("service.version", version),
        ("service.instance.id", resource.instance.as_str()),
    ];
    let attributes =
        attributes.map(|(name, text)| json!({"key": name, "value": {"stringValue": text}}));
    json!({"resourceSpans": [{
        "resource": {"attributes": attributes},
        "scopeSpans": [{
            "scope": {"name": "hooklatch", "version": version},
            "spans": spans.iter().map(one).collect::<Vec<_>>(),
        }],
    }]})
}

fn one(span: &Span) -> Value {
    let context = span.place.context;
    let mut written = json!({
        "traceId": context.trace.to_string(),
        "spanId": context.span.to_string(),
        "flags": 1,
        "name": span.name,
        "kind": kind(span.kind),
        "startTimeUnixNano": nanos(span.began),
        "endTimeUnixNano": nanos(span.began + span.took),
        "attributes": span.attributes.iter().map(attribute).collect::<Vec<_>>(),
    });
    if let Some(parent) = span.place.parent {
        written["parentSpanId"] = parent.to_string().into();
    }
    if let Some(error) = &span.error {
        written["status"] = json!({"code": ERROR, "message": error});
    }
    written
}

const fn kind(kind: Kind) -> u8 {
    match kind {
        Kind::Server => 2,
        Kind::Client => 3,
    }
}

fn nanos(at: SystemTime) -> String {
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    // A clock before 1970 is wrong anyway.
    since.unwrap_or(Duration::ZERO).as_nanos().to_string()
}

fn attribute((name, value): &(&'static str, Attribute)) -> Value {
    let value = match value {
        Attribute::Text(text) => json!({"stringValue": text}),
        Attribute::Number(number) => json!({"intValue": number.to_string()}),
    };
    json!({"key": name, "value": value})
}

#[cfg(test)]
mod tests {
    use hooklatch_core::trace::{SampleRatio, TraceContext, arrive};

    use super::*;

    #[test]
    fn a_span_is_written_as_the_protocol_has_it() {
        let came = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let came = TraceContext::parse(came);
        let place = arrive(came, SampleRatio::ALL, [1; 32]).unwrap();
        let span = Span {
            name: "ingest",
            kind: Kind::Server,
            place,
            began: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_000),
            took: Duration::from_micros(1_500),
            attributes: vec![
                ("http.response.status_code", Attribute::Number(503)),
                ("hooklatch.outcome", "accepted".into()),
            ],
            error: Some("answered 503".to_owned()),
        };
        let resource = Resource {
            service: "hooks".to_owned(),
            instance: "7".to_owned(),
        };
        let written = request(&resource, &[span]);
        let of_resource = &written["resourceSpans"][0];
        let name = &of_resource["resource"]["attributes"][0];
        assert_eq!(
            *name,
            json!({"key": "service.name", "value": {"stringValue": "hooks"}})
        );
        assert_eq!(
            of_resource["scopeSpans"][0]["spans"][0],
            json!({
                "traceId": "0af7651916cd43dd8448eb211c80319c",
                "spanId": "0101010101010101",
                "parentSpanId": "b7ad6b7169203331",
                "flags": 1,
                "name": "ingest",
                "kind": 2,
                "startTimeUnixNano": "1700000000000000000",
                "endTimeUnixNano": "1700000000001500000",
                "attributes": [
                    {"key": "http.response.status_code", "value": {"intValue": "503"}},
                    {"key": "hooklatch.outcome", "value": {"stringValue": "accepted"}},
                ],
                "status": {"code": 2, "message": "answered 503"},
            })
        );
    }
}

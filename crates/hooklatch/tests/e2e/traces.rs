//! A trace from a request that arrives to each attempt that it leads to: passed on without a
//! collector, and recorded with one.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::gateway::serve;
use crate::support::{
    Backend, Data, Delivered, Endpoint, Gateway, Receiver, Reply, Source, eventually, on_each_store,
};

on_each_store! {
    one_trace_leads_from_an_arrival_over_two_attempts
    a_send_begins_a_trace_or_goes_on_with_its_callers
    without_a_collector_a_trace_goes_on_as_it_came
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

struct World {
    gateway: Gateway,
    collector: Receiver,
    receiver: Receiver,
    source: Source,
    endpoint: Endpoint,
    _data: Data,
}

/// A gateway between a source and a receiver that does not take the first delivery.
async fn world(on: Backend, traced: bool) -> World {
    let data = Data::new(on).await;
    let collector = Receiver::obliging().await;
    let mut command = serve(&data);
    command.arg("--dev");
    if traced {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url(""));
        command.env("OTEL_EXPORTER_OTLP_HEADERS", "x-team=red%20one");
    }
    let gateway = Gateway::start_with(command).await;
    let came = AtomicUsize::new(0);
    let receiver = Receiver::start(move |_| match came.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::Status(500),
        _ => Reply::Status(200),
    })
    .await;
    let api = gateway.api();
    let source = api.source(&json!({"name": "provider"})).await;
    let retry = json!({"retry": {"strategy": "fixed", "base_seconds": 1, "max_attempts": 3}});
    let endpoint = api.endpoint("orders", &receiver.url("/in"), retry).await;
    api.connect(&source, &endpoint).await;
    World {
        gateway,
        collector,
        receiver,
        source,
        endpoint,
        _data: data,
    }
}

impl World {
    async fn ingest(&self, headers: &[(&str, &str)]) {
        let answer = self.gateway.api().ingest(&self.source, headers, "{}").await;
        assert_eq!(answer.unwrap().status, 200);
    }

    /// Sends with these headers about a trace.
    async fn send(&self, trace: &[(&str, &str)]) {
        let body = json!({"endpoint_id": self.endpoint.id, "payload": {}}).to_string();
        let key = format!("Bearer {}", crate::support::gateway::API_KEY);
        let mut headers = vec![
            ("authorization", key.as_str()),
            ("content-type", "application/json"),
        ];
        headers.extend(trace);
        let (address, path) = (self.gateway.address, "/v1/webhooks/send");
        let call = crate::support::http::call;
        let answer = call(address, http::Method::POST, path, &headers, body.into()).await;
        assert_eq!(answer.unwrap().status, 202);
    }

    /// The spans that the collector has, once there are so many.
    async fn spans(&self, count: usize) -> Vec<Value> {
        let all = || spans_of(&self.collector.seen());
        eventually(&format!("{count} spans"), || async {
            Some(all()).filter(|spans| spans.len() >= count)
        })
        .await
    }
}

fn spans_of(exports: &[std::sync::Arc<Delivered>]) -> Vec<Value> {
    let mut spans = Vec::new();
    for export in exports {
        assert_eq!(export.header("content-type"), "application/json");
        assert_eq!(export.header("x-team"), "red one");
        let body: Value = serde_json::from_slice(&export.body).unwrap();
        let scopes = &body["resourceSpans"][0]["scopeSpans"];
        spans.extend(scopes[0]["spans"].as_array().unwrap().clone());
    }
    spans
}

fn attribute<'a>(span: &'a Value, name: &str) -> &'a Value {
    let mut attributes = span["attributes"].as_array().unwrap().iter();
    let found = attributes.find(|attribute| attribute["key"] == name);
    let value = &found.unwrap_or_else(|| panic!("no {name} in {span}"))["value"];
    value.as_object().unwrap().values().next().unwrap()
}

/// The trace, the span and the flags that a delivery names.
fn parts(delivered: &Delivered) -> [String; 3] {
    let value = delivered.header("traceparent").to_owned();
    let parts: Vec<&str> = value.split('-').collect();
    assert_eq!((parts.len(), parts[0]), (4, "00"), "{value}");
    [1, 2, 3].map(|part: usize| parts[part].to_owned())
}

async fn one_trace_leads_from_an_arrival_over_two_attempts(on: Backend) {
    let world = world(on, true).await;
    let came = format!("00-{TRACE}-{PARENT}-01");
    let forged = format!("00-{}-{PARENT}-01", "1".repeat(32));
    world
        .ingest(&[
            ("traceparent", &came),
            ("tracestate", "vendor=1"),
            ("hooklatch-trace", &forged),
        ])
        .await;

    let attempts = world.receiver.wait_for_count(2).await;
    let spans = world.spans(3).await;
    assert_eq!(spans.len(), 3);
    let named = |name: &str| {
        let of_it = spans.iter().filter(|span| span["name"] == name);
        of_it.cloned().collect::<Vec<Value>>()
    };
    let [arrival] = <[Value; 1]>::try_from(named("ingest")).unwrap();
    assert_eq!(arrival["traceId"], TRACE);
    assert_eq!(arrival["parentSpanId"], PARENT);
    assert_eq!(*attribute(&arrival, "hooklatch.outcome"), "accepted");
    assert_eq!(*attribute(&arrival, "http.response.status_code"), "200");

    let recorded = named("attempt");
    for (number, (span, sent)) in recorded.iter().zip(&attempts).enumerate() {
        assert_eq!(span["traceId"], TRACE);
        assert_eq!(span["parentSpanId"], arrival["spanId"]);
        let [trace, own, flags] = parts(sent);
        assert_eq!((trace.as_str(), flags.as_str()), (TRACE, "01"));
        assert_eq!(span["spanId"], json!(own));
        assert_eq!(sent.header("tracestate"), "vendor=1");
        assert_eq!(sent.header("hooklatch-trace"), "");
        let count = (number + 1).to_string();
        assert_eq!(*attribute(span, "hooklatch.attempt.number"), json!(count));
        let message = attribute(span, "hooklatch.message.id");
        assert_eq!(message, attribute(&arrival, "hooklatch.message.id"));
    }
    assert_ne!(recorded[0]["spanId"], recorded[1]["spanId"]);
    let outcome = |span: &Value| attribute(span, "hooklatch.attempt.outcome").clone();
    assert_eq!(
        recorded.iter().map(outcome).collect::<Vec<_>>(),
        ["failed", "delivered"]
    );
    assert_eq!(recorded[0]["status"]["code"], 2);
    assert_eq!(recorded[1].get("status"), None);
    let metrics = world.gateway.api().get("/metrics").await.text();
    assert!(
        metrics.contains("hooklatch_spans_exported_total 3"),
        "{metrics}"
    );
}

async fn a_send_begins_a_trace_or_goes_on_with_its_callers(on: Backend) {
    let world = world(on, true).await;
    world.send(&[]).await;
    let attempts = world.receiver.wait_for_count(2).await;
    let [began, _, _] = parts(&attempts[0]);
    assert_eq!(parts(&attempts[1])[0], began);

    let came = format!("00-{TRACE}-{PARENT}-01");
    let state = ("tracestate", "vendor=2");
    world.send(&[("traceparent", &came), state]).await;
    let attempts = world.receiver.wait_for_count(3).await;
    let [trace, own, _] = parts(&attempts[2]);
    assert_eq!(trace, TRACE);
    assert_ne!(own, PARENT);
    assert_eq!(attempts[2].header("tracestate"), "vendor=2");

    // What its sender does not record is not recorded here, and goes on as it came.
    let unsampled = format!("00-{TRACE}-{PARENT}-00");
    world.send(&[("traceparent", &unsampled)]).await;
    let attempts = world.receiver.wait_for_count(4).await;
    assert_eq!(attempts[3].header("traceparent"), unsampled);

    // Refused calls leave no span, and the end of the process leaves none behind.
    let api = world.gateway.api();
    let nowhere = json!({"endpoint_id": "ep_0000000000000", "payload": {}});
    assert_eq!(api.post("/v1/webhooks/send", &nowhere).await.status, 404);
    world.gateway.terminate().await;
    let spans = world.spans(5).await;
    let sends = spans.iter().filter(|span| span["name"] == "send");
    let parents: Vec<_> = sends.map(|span| span.get("parentSpanId")).collect();
    assert_eq!(parents, [None, Some(&json!(PARENT))]);
    let of_began = spans.iter().filter(|span| span["traceId"] == json!(began));
    assert_eq!(of_began.count(), 3);
    assert_eq!(spans.len(), 5);
}

async fn without_a_collector_a_trace_goes_on_as_it_came(on: Backend) {
    let world = world(on, false).await;
    let came = format!("00-{TRACE}-{PARENT}-01");
    let trace = [("traceparent", came.as_str()), ("tracestate", "vendor=1")];
    let forged = format!("00-{}-{PARENT}-01", "1".repeat(32));
    let mut arrived = Vec::from(trace);
    arrived.push(("hooklatch-trace", forged.as_str()));
    world.ingest(&arrived).await;
    let attempts = world.receiver.wait_for_count(2).await;
    let api = world.gateway.api();
    let request = api.get("/v1/requests").await.json()["data"][0]["id"].clone();
    let path = format!("/v1/requests/{}", request.as_str().unwrap());
    let kept = api.get(&path).await.text();
    assert!(kept.contains("vendor=1"), "{kept}");
    assert!(!kept.contains("hooklatch-trace"), "{kept}");
    world.send(&trace).await;
    let sent = world.receiver.wait_for_count(3).await;
    world.send(&[]).await;
    let bare = world.receiver.wait_for_count(4).await;
    for one in [&attempts[0], &attempts[1], &sent[2]] {
        assert_eq!(one.header("traceparent"), came);
        assert_eq!(one.header("tracestate"), "vendor=1");
        assert_eq!(one.header("hooklatch-trace"), "");
    }
    assert_eq!(bare[3].header("traceparent"), "");
    assert!(world.collector.seen().is_empty());
    let metrics = world.gateway.api().get("/metrics").await.text();
    assert!(!metrics.contains("hooklatch_spans"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_costs_spans_and_nothing_else() {
    let data = Data::new(Backend::Sqlite).await;
    let receiver = Receiver::obliging().await;
    let mut command = serve(&data);
    // Nothing listens on the port of the discard protocol.
    command.args(["--dev", "--otlp-endpoint", "http://127.0.0.1:9"]);
    let mut gateway = Gateway::start_with(command).await;
    let api = gateway.api();
    let source = api.source(&json!({"name": "provider"})).await;
    let endpoint = api.endpoint("orders", &receiver.url("/"), json!({})).await;
    api.connect(&source, &endpoint).await;
    api.ingest_json(&source, "{}").await;
    receiver.wait_for_count(1).await;
    let dropped = "hooklatch_spans_dropped_total{reason=\"export_failed\"} 2";
    eventually("they are dropped and counted", || async {
        let metrics = api.get("/metrics").await.text();
        metrics.contains(dropped).then_some(())
    })
    .await;
    let said = gateway.said();
    assert!(
        said.contains("the collector does not take traces"),
        "{said}"
    );
    gateway.terminate().await;
    assert_eq!(gateway.ended().await.code(), Some(0));
}

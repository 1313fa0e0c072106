//! `hooklatch tail`: the live log, over the end of a gateway and its beginning again.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::time::timeout;

use super::{about, command, end, say};
use crate::support::{
    Backend, DEADLINE, Data, Gateway, Receiver, Reply, Source, on_each_lasting_store,
};

on_each_lasting_store! {
    "It is killed, and the log of the next process is gone on with":
    the_log_is_followed_filtered_and_gone_on_with
}

struct Tail {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Tail {
    fn start(gateway: &Gateway, words: &[&str]) -> Self {
        let mut command = about(gateway, &[&["tail"][..], words].concat());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let stdout = child.stdout.take().expect("it is piped");
        let lines = BufReader::new(stdout).lines();
        Self { child, lines }
    }

    async fn line(&mut self) -> String {
        let line = timeout(DEADLINE, self.lines.next_line()).await;
        let line = line.expect("a line comes").expect("it is readable");
        line.expect("it goes on")
    }

    async fn record(&mut self) -> (String, Value) {
        let line: Value = serde_json::from_str(&self.line().await).expect("a line is JSON");
        let event = line["event"].as_str().expect("an event").to_owned();
        (event, line["record"].clone())
    }
}

/// Sends events until the log shows one: it shows what is recorded after it was opened.
async fn until_it_follows(gateway: &Gateway, source: &Source, tail: &mut Tail) -> Value {
    let mut n = 0;
    loop {
        n += 1;
        let body = format!("{{\"id\": \"before_{n}\"}}");
        gateway.api().ingest_json(source, &body).await;
        let first = timeout(
            std::time::Duration::from_millis(700),
            tail.lines.next_line(),
        )
        .await;
        if let Ok(line) = first {
            let line = line.expect("it is readable").expect("it goes on");
            return serde_json::from_str(&line).expect("a line is JSON");
        }
    }
}

async fn the_log_is_followed_filtered_and_gone_on_with(on: Backend) {
    let data = Data::new(on).await;
    let mut gateway = Gateway::start(&data).await;
    let receiver = Receiver::start(|_| Reply::Status(200)).await;
    let api = gateway.api();
    let source = json!({"name": "shop", "key": {"locations": ["body:$.id"]}});
    let source = api.source(&source).await;
    let endpoint = api.endpoint("orders", &receiver.url("/"), json!({})).await;
    api.connect(&source, &endpoint).await;

    let mut tail = Tail::start(
        &gateway,
        &["--type", "request", "--source", "shop", "--json"],
    );
    let first = until_it_follows(&gateway, &source, &mut tail).await;
    assert_eq!(first["event"], "request", "{first}");
    let place = first["place"].as_str().expect("a place").to_owned();
    api.ingest_json(&source, "{\"id\": \"marked\"}").await;
    api.ingest_json(&source, "{\"id\": \"marked\"}").await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let (event, record) = tail.record().await;
        assert_eq!(event, "request");
        if record["key"] == "marked" {
            seen.push(record["outcome"].as_str().expect("an outcome").to_owned());
        }
    }
    assert_eq!(seen, ["accepted", "duplicate"]);

    // The gateway goes and comes back at the same address: the log is gone on with, and nothing of
    // it comes twice.
    gateway.kill().await;
    let address = gateway.address.to_string();
    let mut again = command(&["serve", "--dev", "--listen", &address]);
    data.configure(&mut again);
    let gateway = Gateway::start_with(again).await;
    gateway
        .api()
        .ingest_json(&source, "{\"id\": \"after\"}")
        .await;
    loop {
        let (_, record) = tail.record().await;
        assert_ne!(record["key"], "marked", "it was shown before");
        if record["key"] == "after" {
            break;
        }
    }
    tail.child.kill().await.expect("it is ours to kill");

    from_the_first_place_all_is_shown(&gateway, &place).await;
}

/// Each once, to a run of its own.
async fn from_the_first_place_all_is_shown(gateway: &Gateway, place: &str) {
    let words = [
        "tail",
        "--after",
        place,
        "--outcome",
        "duplicate",
        "--count",
        "1",
    ];
    let shown = say(gateway, &words).await.done();
    assert!(
        shown.out.contains("marked") && shown.out.contains("duplicate"),
        "{shown:?}"
    );
    assert!(
        !shown.out.contains('\u{1b}'),
        "colours are for terminals: {shown:?}"
    );
    assert!(shown.out.contains("shop"), "it names the source: {shown:?}");
    assert!(shown.err.contains("go on with --after"), "{shown:?}");
    let words = [
        "tail",
        "--after",
        place,
        "--type",
        "attempt",
        "--endpoint",
        "orders",
    ];
    let words = [&words[..], &["--outcome", "delivered", "--count", "1"]].concat();
    let shown = say(gateway, &words).await.done();
    assert!(
        shown.out.contains("orders") && shown.out.contains("200"),
        "{shown:?}"
    );
}

#[tokio::test]
async fn what_can_never_be_followed_is_refused() {
    let data = Data::new(Backend::Sqlite).await;
    let gateway = Gateway::start(&data).await;
    for (words, code, expected) in [
        (
            &["tail", "--source", "none"][..],
            1,
            "no source with the name",
        ),
        (&["tail", "--after", "somewhere"], 1, "last_event_id"),
        (&["tail", "--type", "odd"], 2, "possible values: request"),
        (&["tail", "--cause", "odd"], 2, "provider_retry"),
    ] {
        let said = say(&gateway, words).await;
        assert_eq!(said.code, code, "{words:?}: {said:?}");
        assert!(said.err.contains(expected), "{words:?}: {said:?}");
    }
    let mut wrong = about(&gateway, &["tail"]);
    wrong.env(
        "HOOKLATCH_API_KEY",
        "hl_another_key_that_opens_nothing_here",
    );
    let wrong = end(wrong).await;
    assert_eq!(wrong.code, 1, "{wrong:?}");
    assert!(wrong.err.contains("401"), "{wrong:?}");
}

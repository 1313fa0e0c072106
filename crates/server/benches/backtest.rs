//! How long a backtest takes over stored requests of the embedded store. Run with
//! `cargo bench -p hooklatch-server --bench backtest`; `BACKTEST_REQUESTS` says how many there are,
//! 1,000,000 unless it is set.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hooklatch_core::admission::{Arrival, OnConflict, OnFailedOriginal, Policy};
use hooklatch_core::backtest::Trial;
use hooklatch_core::fingerprint::Fingerprint;
use hooklatch_core::ids::{ProjectId, SourceId};
use hooklatch_core::key::KeyRule;
use hooklatch_core::message::{Direction, Envelope};
use hooklatch_core::time::Millis;
use hooklatch_core::window::Window;
use hooklatch_server::backtest::run;
use hooklatch_store::{Admissions, ScanOf, ScanStep, Store, SystemClock};
use hooklatch_store_sqlite::{Options, SqliteStore};

const PROJECT: ProjectId = ProjectId::from_number(1);
const SOURCE: SourceId = SourceId::from_number(11);
const PER_CALL: usize = 500;

fn arrival(store: &SqliteStore, envelope: &Envelope, n: usize) -> Arrival {
    // One in twenty repeats an earlier one.
    let id = if n % 20 == 19 { n - 7 } else { n };
    let body = format!(
        r#"{{"id":"evt_{id:012}","type":"invoice.paid","created":17{id:08},"data":{{"object":{{"id":"in_{n:010}","amount":{n},"currency":"eur","customer":"cus_{id:08}"}}}}}}"#
    );
    Arrival {
        project_id: PROJECT,
        direction: Direction::Inbound,
        source_id: Some(SOURCE),
        received_at: store.now(),
        envelope: Arc::new(envelope.clone()),
        body: Bytes::from(body),
        event_type: None,
        tenant: None,
        fingerprint: Fingerprint::from_bytes([7; 32]),
        keys: Vec::new(),
        policy: Policy {
            window: Window::default(),
            sliding: false,
            on_conflict: OnConflict::Suppress,
            on_failed_original: OnFailedOriginal::Suppress,
        },
        destinations: Vec::new(),
        rulings: Vec::new(),
        shadow: None,
        disabled: Arc::default(),
        hints: Arc::default(),
        delay: Millis::ZERO,
        target: None,
        extra_headers: Vec::new(),
        warnings: Vec::new(),
        response_status: 200,
        payload_kept: None,
    }
}

async fn fill(store: &SqliteStore, requests: usize) {
    let headers = [
        ("content-type", "application/json"),
        ("user-agent", "Provider/1.0 (+https://provider.example)"),
        (
            "x-provider-signature",
            "t=1700000000,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff",
        ),
        ("accept", "*/*"),
    ];
    let envelope = Envelope {
        method: "POST".to_owned(),
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..Envelope::default()
    };
    for first in (0..requests).step_by(PER_CALL) {
        let last = (first + PER_CALL).min(requests);
        let arrivals = (first..last)
            .map(|n| arrival(store, &envelope, n))
            .collect();
        store.admit(arrivals).await.expect("the store is there");
    }
}

#[tokio::main]
async fn main() {
    let requests = std::env::var("BACKTEST_REQUESTS").ok();
    let requests = requests
        .and_then(|text| text.parse().ok())
        .unwrap_or(1_000_000);
    let dir = tempfile::tempdir().expect("there is a place for temporary files");
    let options = Options::default();
    let store = SqliteStore::open(dir.path(), Arc::new(SystemClock), options);
    let store = store.expect("an empty directory can be opened");
    let began = Instant::now();
    fill(&store, requests).await;
    println!(
        "{requests} requests stored in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    let trial = Trial::Key {
        rule: KeyRule::new(vec!["body:$.id".parse().expect("a location")]),
        split: None,
        exclude: Vec::new(),
        event_type: None,
        window: Window::Forever,
    };
    let step = ScanStep {
        project: PROJECT,
        of: ScanOf::Source(SOURCE),
        from: 0,
        below: i64::MAX,
        rows_max: 4_096,
        bytes_max: 16 * 1024 * 1024,
    };
    let store: Arc<dyn Store> = store;
    let trial = Arc::new(trial);
    for _ in 0..3 {
        let began = Instant::now();
        let ran = run(&store, Arc::clone(&trial), step, u64::MAX, |_| true).await;
        let report = ran.expect("the store is there").report;
        println!(
            "backtest of {} in {:.2} s: {} would be suppressed, {} with another payload",
            report.looked_at,
            began.elapsed().as_secs_f64(),
            report.would_be_suppressed,
            report.payload_differs
        );
        assert_eq!(report.looked_at, requests as u64);
    }
}

//! The official libraries of others and we agree: those of Standard Webhooks take our deliveries,
//! those of providers take the presets' samples, we take what they sign; and nobody takes any of it
//! once it has been changed.

use std::path::PathBuf;
use std::process::Stdio;

use serde::Deserialize;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::support::api::text;
use crate::support::inputs;
use crate::support::{Backend, Data, Delivered, Gateway, Receiver};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/official/");
const SAMPLES: [&str; 4] = [
    include_str!("../../../core/src/provider/samples/github.json"),
    include_str!("../../../core/src/provider/samples/slack.json"),
    include_str!("../../../core/src/provider/samples/standard_webhooks.json"),
    include_str!("../../../core/src/provider/samples/stripe.json"),
];
/// A secret that nobody signs with.
const STRANGER: &str = "whsec_YW5vdGhlciBzZWNyZXQgb2YgMjQgYnl0ZQ==";
const STANDARD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What the libraries of one language said.
#[derive(Debug, Deserialize)]
struct Said {
    deliveries: Vec<Verdicts>,
    samples: std::collections::BTreeMap<String, Vec<Verdicts>>,
    signed: std::collections::BTreeMap<String, std::collections::BTreeMap<String, String>>,
}

/// Whether each of these requests was taken.
#[derive(Debug, Deserialize)]
struct Verdicts {
    accepted: Vec<bool>,
    tampered: Vec<bool>,
    strangers: Vec<bool>,
}

impl Verdicts {
    fn assert_right(&self, what: &str) {
        let all = |verdicts: &[bool]| !verdicts.is_empty() && verdicts.iter().all(|it| *it);
        let none = |verdicts: &[bool]| !verdicts.is_empty() && verdicts.iter().all(|it| !*it);
        assert!(all(&self.accepted), "{what}: {self:?}");
        assert!(none(&self.tampered), "{what}: {self:?}");
        assert!(none(&self.strangers), "{what}: {self:?}");
    }
}

async fn asked(program: PathBuf, script: &str, job: &Value) -> Said {
    let mut child = Command::new(program)
        .arg(format!("{SCRIPTS}{script}"))
        .env("NODE_PATH", inputs::modules())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(job.to_string().as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// JavaScript's and Python's libraries, on the same job.
async fn everybody(job: &Value) -> [(&'static str, Said); 2] {
    let (javascript, python) = tokio::join!(
        asked("node".into(), "official.cjs", job),
        asked(inputs::python(), "official.py", job),
    );
    [("JavaScript", javascript), ("Python", python)]
}

/// A delivery as the scripts take it, with the secrets that may verify it.
fn as_job(delivered: &Delivered, secrets: &[&str], strangers: &[&str]) -> Value {
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let header = |name: &&str| ((*name).to_owned(), json!(delivered.header(name)));
    json!({
        "headers": names.iter().map(header).collect::<serde_json::Map<_, _>>(),
        "body": String::from_utf8(delivered.body.to_vec()).unwrap(),
        "secrets": secrets,
        "strangers": strangers,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o1_the_official_libraries_take_our_deliveries_by_every_live_secret_and_no_changed_one() {
    let data = Data::new(Backend::Sqlite).await;
    let gateway = Gateway::start(&data).await;
    let receiver = Receiver::obliging().await;
    let api = gateway.api();
    let endpoint = api
        .endpoint("shop", &receiver.url("/hook"), json!({}))
        .await;
    let send = |number: u32| {
        let payload = json!({"order": number, "note": "Größe „L“, 50 € ✓ 🎉"});
        json!({"endpoint_id": endpoint.id, "event_type": "order.paid", "payload": payload})
    };
    api.create("/v1/webhooks/send", &send(1)).await;
    receiver.wait_for_count(1).await;
    let rotate = format!("/v1/endpoints/{}/rotate-secret", endpoint.id);
    let rotated = api
        .create(&rotate, &json!({"overlap_seconds": 3_600}))
        .await;
    let newer = text(&rotated, "secret");
    api.create("/v1/webhooks/send", &send(2)).await;
    let seen = receiver.wait_for_count(2).await;

    let older = endpoint.secret.as_str();
    let one = as_job(&seen[0], &[older], &[STRANGER, &newer]);
    let both = as_job(&seen[1], &[older, &newer], &[STRANGER]);
    for (delivered, secret) in [(0, older), (1, older), (1, newer.as_str())] {
        seen[delivered].assert_signed_with(secret);
        let webhook = Webhook::new(secret).unwrap();
        let mut changed = seen[delivered].body.to_vec();
        changed[5] ^= 1;
        assert!(webhook.verify(&changed, &seen[delivered].headers).is_err());
    }
    let stranger = Webhook::new(STRANGER).unwrap();
    assert!(stranger.verify(&seen[1].body, &seen[1].headers).is_err());
    let job = json!({"deliveries": [one, both], "samples": []});
    for (language, said) in everybody(&job).await {
        assert_eq!(said.deliveries[0].accepted.len(), 1);
        assert_eq!(said.deliveries[1].accepted.len(), 2);
        for verdicts in &said.deliveries {
            verdicts.assert_right(language);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k7_the_providers_own_libraries_take_the_presets_samples_and_no_changed_one() {
    let read = |text: &&str| serde_json::from_str::<Value>(text).unwrap();
    let samples: Vec<Value> = SAMPLES.iter().map(read).collect();
    let job = json!({"deliveries": [], "samples": samples});
    let mut judged = Vec::new();
    for (language, said) in everybody(&job).await {
        for (provider, tries) in said.samples {
            assert_eq!(tries.len(), 2);
            for verdicts in tries {
                verdicts.assert_right(&format!("{language}, {provider}"));
            }
            judged.push(provider);
        }
    }
    judged.sort_unstable();
    let expected = ["github", "slack", "standard_webhooks", "stripe", "stripe"];
    assert_eq!(judged, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k7_what_the_providers_own_libraries_sign_comes_in_and_what_is_changed_does_not() {
    let data = Data::new(Backend::Sqlite).await;
    let gateway = Gateway::start(&data).await;
    let api = gateway.api();
    let body = r#"{"id": "evt_1", "event_id": "Ev1", "type": "x", "amount": 4200}"#;
    let secrets = json!({
        "stripe": "whsec_stripe", "github": "github", "slack": "slack", "standard": STANDARD,
        "body": body,
    });
    let job = json!({"deliveries": [], "samples": [], "sign": secrets});
    let mut signed = Vec::new();
    for (_, said) in everybody(&job).await {
        signed.extend(said.signed);
    }
    assert_eq!(signed.len(), 4);
    for (provider, headers) in signed {
        let secret = match provider.as_str() {
            "standard_webhooks" => &secrets["standard"],
            other => &secrets[other],
        };
        let source =
            json!({"name": provider, "provider": provider, "verifier": {"secret": secret}});
        let source = api.source(&source).await;
        let mut lines = vec![("content-type", "application/json")];
        lines.extend(
            headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        let changed = api.ingest(&source, &lines, body.replace("4200", "4201"));
        assert_eq!(changed.await.unwrap().status, 401, "{provider}");
        let taken = api.ingest(&source, &lines, body).await.unwrap();
        assert_eq!(
            taken.json()["outcome"],
            "accepted",
            "{provider}: {}",
            taken.text()
        );
    }
}

//! What providers publish about their own webhooks, fetched by `cargo xtask test`, and their
//! signatures.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::Sha256;
use tokio::process::Command;

/// Made from Stripe's own library.
const SIGN_STRIPE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/sign_stripe.cjs");

/// One of GitHub's published examples.
pub struct GithubExample {
    /// The event's name, as the header has it.
    pub event: String,
    /// The payload, byte for byte as it was published.
    pub body: Bytes,
}

/// An event that Stripe's library signed.
#[derive(Deserialize)]
pub struct StripeEvent {
    /// Its id.
    pub id: String,
    /// The raw body.
    pub payload: String,
    /// The header that goes with it.
    pub signature: String,
}

/// The Python that has the fetched packages.
pub fn python() -> PathBuf {
    inputs().join("python/bin/python")
}

/// Where fetched packages lie.
pub fn modules() -> PathBuf {
    inputs().join("node_modules")
}

fn inputs() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    let inputs = target
        .expect("it lies in the target directory")
        .join("test-inputs");
    assert!(
        inputs.exists(),
        "no {}: `cargo xtask test` fetches it",
        inputs.display()
    );
    inputs
}

/// Every example payload that GitHub's octokit publishes.
pub fn github_examples() -> Vec<GithubExample> {
    #[derive(Deserialize)]
    struct Event {
        name: String,
        examples: Vec<Box<RawValue>>,
    }
    let path = modules().join("@octokit/webhooks-examples/api.github.com/index.json");
    let text = std::fs::read_to_string(&path).expect("the examples were fetched");
    let events: Vec<Event> = serde_json::from_str(&text).expect("the examples are JSON");
    let examples = events.into_iter().flat_map(|event| {
        let example = move |body: Box<RawValue>| GithubExample {
            event: event.name.clone(),
            body: Bytes::copy_from_slice(body.get().as_bytes()),
        };
        event.examples.into_iter().map(example)
    });
    examples.collect()
}

/// The value of `X-Hub-Signature-256`.
pub fn github_signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key will do");
    mac.update(body);
    let digest = mac.finalize().into_bytes();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

/// Events of many types, signed just now.
pub async fn stripe_events(secret: &str) -> Vec<StripeEvent> {
    let output = Command::new("node")
        .args([SIGN_STRIPE, secret])
        .env("NODE_PATH", modules())
        .kill_on_drop(true)
        .output()
        .await
        .expect("node runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).expect("the script prints JSON")
}

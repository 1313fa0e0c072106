//! `hooklatch prove`, and what it said.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use crate::gateway::{BINARY, Gateway, configure};
use crate::shop::Shop;

/// How long a proof may take: a dozen starts of a shop on a busy machine are among it.
const DEADLINE: Duration = Duration::from_secs(300);

/// What came of a proof.
pub struct Proof {
    /// The exit code.
    pub code: Option<i32>,
    /// All that it and the shop have said, for whoever looks for what went wrong.
    pub said: String,
    report: Value,
}

impl Proof {
    /// Proves a shop with copies of a message that the gateway has delivered to it.
    pub async fn of(shop: &Shop, gateway: &Gateway, message: &str, secret: &str) -> Self {
        let mut command = Command::new(BINARY);
        configure(&mut command);
        command
            .args(["prove", &format!("{}/webhooks", shop.url), "--json"])
            .args(["--message-id", message, "--server", &gateway.url])
            .args(["--key", "body:$.order_id"])
            .args(["--probe-url", &format!("{}/effects", shop.url)])
            .args(["--probe-path", "$.effects[{key}]"])
            .args(["--kill-command", &shop.script("kill")])
            .args(["--restart-command", &shop.script("start")])
            .args(["--late-seconds", "1", "--settle-seconds", "0.1"])
            .env("HOOKLATCH_PROVE_SECRET", secret)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = timeout(DEADLINE, command.output()).await;
        let output = output.expect("it ends").expect("the binary starts");
        let out = String::from_utf8_lossy(&output.stdout);
        let err = String::from_utf8_lossy(&output.stderr);
        let said = format!("{out}\n{err}\n{}", shop.log());
        assert!(!said.contains(secret), "a secret was printed: {said}");
        Self {
            code: output.status.code(),
            report: serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {said}")),
            said,
        }
    }

    /// Each scenario and its verdict.
    pub fn verdicts(&self) -> Vec<(String, String)> {
        let text = |scenario: &Value, name: &str| {
            let text = scenario[name].as_str();
            text.expect("a report has it").to_owned()
        };
        let scenarios = self.report["scenarios"].as_array();
        let scenarios = scenarios.expect("a report has scenarios").iter();
        scenarios
            .map(|it| (text(it, "scenario"), text(it, "verdict")))
            .collect()
    }
}

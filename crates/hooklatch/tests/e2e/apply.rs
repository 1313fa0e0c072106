//! Declared sources, endpoints and connections, brought about and kept.

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::{Api, Backend, Data, Gateway, gateway, on_each_store};

on_each_store! {
    a_file_is_shown_then_carried_out_and_then_finds_nothing_to_do
}

struct World {
    api: Api,
    gateway: Gateway,
    dir: TempDir,
    _data: Data,
}

const FIRST: &str = r#"
[[sources]]
name = "shop"
key = { locations = ["body.id"] }
verifier = { type = "hmac", header = "x-sign", algorithm = "sha256", encoding = "hex", secret = "env:SHOP_SECRET" }

[[endpoints]]
name = "orders"
url = "http://127.0.0.1:9/orders"

[[connections]]
name = "shop to orders"
source = "shop"
endpoint = "orders"
rules = [{ type = "filter", body = { kind = "paid" } }]
"#;

impl World {
    async fn apply(&self, text: &str, words: &[&str]) -> (i32, Value, String) {
        self.apply_with("s3same-s3same", text, words).await
    }

    async fn apply_with(&self, secret: &str, text: &str, words: &[&str]) -> (i32, Value, String) {
        let path = self.dir.path().join("hooks.toml");
        std::fs::write(&path, text).expect("the directory is ours");
        let mut command = Command::new(gateway::BINARY);
        gateway::configure(&mut command);
        command.env("SHOP_SECRET", secret);
        command.arg("apply").arg(&path).arg("--json").args(words);
        let server = format!("http://{}", self.gateway.address);
        let output = command.args(["--server", &server]).output().await;
        let output = output.expect("the binary starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !said.contains(secret) && !error.contains(secret),
            "{said}{error}"
        );
        let code = output.status.code().expect("it ended by itself");
        (code, serde_json::from_str(&said).unwrap_or_default(), error)
    }

    async fn names(&self, kind: &str) -> Vec<String> {
        let all = self.api.list(&format!("/v1/{kind}")).await;
        let name = |it: &Value| it["name"].as_str().unwrap_or_default().to_owned();
        all.iter().map(name).collect()
    }
}

fn actions(plan: &Value) -> Vec<&str> {
    let steps = plan["plan"].as_array().expect("a plan");
    steps
        .iter()
        .filter_map(|step| step["action"].as_str())
        .collect()
}

async fn a_file_is_shown_then_carried_out_and_then_finds_nothing_to_do(on: Backend) {
    let data = Data::new(on).await;
    let gateway = Gateway::start(&data).await;
    let world = World {
        api: gateway.api(),
        gateway,
        dir: TempDir::new().expect("a temporary directory"),
        _data: data,
    };
    let (code, plan, _) = world.apply(FIRST, &[]).await;
    assert_eq!((code, actions(&plan)), (0, vec!["create"; 3]), "{plan}");
    assert!(
        world.names("sources").await.is_empty(),
        "nothing was changed"
    );
    let (code, _, error) = world.apply(FIRST, &["--check"]).await;
    assert_eq!(code, 1, "{error}");
    let (code, plan, error) = world.apply(FIRST, &["--yes"]).await;
    assert_eq!(code, 0, "{error}");
    let secret = plan["secrets"][0]["secret"].as_str();
    assert!(secret.is_some_and(|it| it.starts_with("whsec_")), "{plan}");
    assert_eq!(world.names("connections").await, ["shop to orders"]);
    let (code, plan, _) = world.apply(FIRST, &["--check"]).await;
    assert_eq!((code, actions(&plan)), (0, vec!["keep"; 3]), "{plan}");
    let other = "another-s3cret";
    let (code, plan, _) = world.apply_with(other, FIRST, &["--check"]).await;
    assert_eq!((code, actions(&plan)), (1, vec!["change", "keep", "keep"]));
    let source = &plan["plan"][0];
    assert_eq!(source["secret_changes"], json!(["verifier"]), "{plan}");
    assert_eq!(source["changes"], json!({}), "nothing else does, {plan}");
    let (code, _, error) = world.apply_with(other, FIRST, &["--yes"]).await;
    assert_eq!(code, 0, "{error}");
    let (code, plan, _) = world.apply_with(other, FIRST, &["--check"]).await;
    assert_eq!((code, actions(&plan)), (0, vec!["keep"; 3]), "{plan}");
    let (code, _, _) = world.apply(FIRST, &["--yes"]).await;
    assert_eq!(code, 0, "and back");
    let changed = FIRST.replace("/orders\"", "/paid\"");
    let (_, plan, _) = world.apply(&changed, &["--yes"]).await;
    assert_eq!(actions(&plan), ["keep", "change", "keep"]);
    let url = &plan["plan"][1]["changes"]["url"];
    assert_eq!(url["after"], "http://127.0.0.1:9/paid", "{plan}");
    let (code, _, error) = world
        .apply(
            &FIRST.replace("endpoint = \"orders\"", "endpoint = \"x\""),
            &[],
        )
        .await;
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("no endpoint is named \"x\""), "{error}");
    let (code, _, error) = world
        .apply(&FIRST.replace("body.id", "body.a[]"), &["--yes"])
        .await;
    assert_eq!(code, 1, "{error}");
    let (_, plan, error) = world.apply("", &["--prune", "--yes"]).await;
    assert_eq!(actions(&plan), vec!["delete"; 3], "{error}");
    for kind in ["sources", "endpoints", "connections"] {
        assert!(world.names(kind).await.is_empty(), "{kind}");
    }
}

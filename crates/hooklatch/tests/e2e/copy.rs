//! `hooklatch copy`: from a directory into a database, killed on the way, and afterwards the same
//! answers to the same questions.

use std::fs;
use std::process::Stdio;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::process::Command;
use tokio_postgres::{Client, NoTls};

use crate::copy_work::{self, Claimed, Replayed};
use crate::database::{run, said};
use crate::support::api::text;
use crate::support::data::execute;
use crate::support::gateway::{BINARY, configure, serve};
use crate::support::{
    Api, Backend, Data, Delivered, Endpoint, Gateway, Receiver, Reply, Source, eventually,
};

/// Messages sent in bulk: enough for several pieces.
const SENT: usize = 2_400;
/// Calls that send them.
const BATCHES: usize = 3;
/// Messages that wait for a paused endpoint.
const WAITING: usize = 40;
/// Deliveries that are surely copied when the first copy is killed.
const COPIED_BEFORE: i64 = 1_000;

/// A directory with something of everything.
struct Filled {
    source: Source,
    paused: Endpoint,
    failing: Endpoint,
    claimed: Claimed,
    replayed: Replayed,
    /// A message that was accepted first and repeated later, and its body.
    original: (String, String),
    /// Delivered requests.
    delivered: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_was_killed_goes_on_and_then_the_database_answers_as_the_directory_did() {
    let directory = Data::new(Backend::Sqlite).await;
    let database = Data::new(Backend::Postgres).await;
    let receiver = Receiver::start(as_its_endpoint_says).await;
    let mut gateway = Gateway::start(&directory).await;
    let filled = fill(&gateway.api(), &receiver).await;
    let before = everything(&gateway.api()).await;
    let served = copy(&directory, &database).await;
    assert_eq!(served.status, Some(1), "{}", served.said);
    assert!(served.said.contains("in use by another"), "{}", served.said);
    gateway.terminate().await;
    assert_eq!(gateway.ended().await.code(), Some(0));

    kill_a_copy(&directory, &database).await;
    let refused = serve(&database).output().await.unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(
        said(&refused).contains("run `hooklatch copy` again"),
        "{}",
        said(&refused)
    );
    let resumed = copy(&directory, &database).await;
    assert_eq!(resumed.status, Some(0), "{}", resumed.said);
    assert_copied(&resumed.told);
    let again = copy(&directory, &database).await;
    assert_eq!(again.status, Some(0), "{}", again.said);
    assert_eq!(again.told["complete"], true, "{}", again.told);

    let key = fs::read_to_string(directory.path().join("encryption.key")).unwrap();
    let mut command = serve(&database);
    command
        .arg("--dev")
        .env("HOOKLATCH_ENCRYPTION_KEY", key.trim());
    let gateway = Gateway::start_with(command).await;
    let api = gateway.api();
    same(&before, &everything(&api).await);
    goes_on(&api, &receiver, &filled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_says_what_it_cannot_copy_and_where_to() {
    let empty = Data::new(Backend::Sqlite).await;
    let database = Data::new(Backend::Postgres).await;
    let nothing = copy(&empty, &database).await;
    assert_eq!(nothing.status, Some(1), "{}", nothing.said);
    assert!(nothing.said.contains("holds no data"), "{}", nothing.said);

    let mut gateway = Gateway::start(&empty).await;
    gateway.terminate().await;
    gateway.ended().await;
    let mut gateway = Gateway::start(&database).await;
    gateway.kill().await;
    let filled = copy(&empty, &database).await;
    assert_eq!(filled.status, Some(1), "{}", filled.said);
    assert!(filled.said.contains("an empty one"), "{}", filled.said);
    let from = empty.path().display().to_string();
    let nowhere = run(&["copy", "--from", &from], &[]).await;
    assert_eq!(nowhere.status.code(), Some(2), "{}", said(&nowhere));
    let everywhere = run(&["copy"], &[]).await;
    assert_eq!(everywhere.status.code(), Some(2), "{}", said(&everywhere));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_differs_from_its_directory_is_told_and_not_served() {
    let directory = Data::new(Backend::Sqlite).await;
    let database = Data::new(Backend::Postgres).await;
    let mut gateway = Gateway::start(&directory).await;
    gateway.api().source(&json!({"name": "provider"})).await;
    gateway.terminate().await;
    gateway.ended().await;
    let url = url(&database);
    let migrated = run(&["migrate"], &[("HOOKLATCH_DATABASE_URL", &url)]).await;
    assert_eq!(migrated.status.code(), Some(0), "{}", said(&migrated));
    execute(&url, SPOIL).await;

    let differs = copy(&directory, &database).await;
    assert_eq!(differs.status, Some(1), "{}", differs.said);
    assert_eq!(differs.told["complete"], false, "{}", differs.told);
    for table in differs.told["tables"].as_array().unwrap() {
        assert_eq!(table["same"], table["table"] != "config", "{table}");
    }
    let from = directory.path().display().to_string();
    let shown = run(&["copy", "--from", &from, "--to", &url], &[]).await;
    assert_eq!(shown.status.code(), Some(1), "{}", said(&shown));
    assert!(said(&shown).contains("DIFFERENT ROWS"), "{}", said(&shown));
    let refused = serve(&database).output().await.unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
}

/// Lets the database change what is written into it.
const SPOIL: &str = "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS \
     $$ BEGIN NEW.revision := NEW.revision + 1; RETURN NEW; END $$; \
     CREATE TRIGGER spoil BEFORE INSERT ON hooklatch.config \
     FOR EACH ROW EXECUTE FUNCTION spoil()";

/// An endpoint's own header says how its receiver answers.
fn as_its_endpoint_says(delivered: &Delivered) -> Reply {
    Reply::Status(delivered.header("x-reply").parse().unwrap_or(200))
}

/// Something of everything, and at the end only what is paused waits.
async fn fill(api: &Api, receiver: &Receiver) -> Filled {
    let url = receiver.url("/hook");
    let orders = api.endpoint("orders", &url, json!({})).await;
    let failing = json!({"headers": {"x-reply": "500"}, "retry": {"max_attempts": 1}});
    let failing = api.endpoint("failing", &url, failing).await;
    let paused = api.endpoint("paused", &url, json!({})).await;
    let pause = format!("/v1/endpoints/{}/pause", paused.id);
    assert_eq!(api.post(&pause, &json!({})).await.status, 200);

    let source = json!({"name": "provider", "event_type": "body:$.type",
        "key": {"locations": ["body:$.id"]}});
    let source = api.source(&source).await;
    api.connect(&source, &orders).await;
    let body = r#"{"id": "evt_1", "type": "order.paid"}"#;
    let original = text(&api.ingest_json(&source, body).await, "message_id");
    for repeated in [body, r#"{"id": "evt_1", "type": "order.paid", "more": 1}"#] {
        let answer = api.ingest_json(&source, repeated).await;
        assert_eq!(answer["outcome"], "duplicate", "{answer}");
    }
    let strange = r#"{"id": "a\u0000b", "type": "nul.\u0000\u0001.type"}"#;
    api.ingest_json(&source, strange).await;
    fill_more(api, &orders, &failing).await;

    send(api, &orders, SENT).await;
    let delivered = SENT + 5;
    receiver.wait_for_count(delivered).await;
    send(api, &paused, WAITING).await;
    eventually("only what is paused waits", || async {
        let pending = api.list("/v1/messages?status=pending").await.len();
        let delivering = api.list("/v1/messages?status=delivering").await.len();
        (pending == WAITING && delivering == 0).then_some(())
    })
    .await;
    let claimed = copy_work::claim(api).await;
    let replayed = copy_work::replay(api, &original, &failing).await;
    Filled {
        source,
        paused,
        failing,
        claimed,
        replayed,
        original: (original, body.to_owned()),
        // What failed for its replay came later.
        delivered: delivered + 1,
    }
}

/// What failed, was held, refused or freed; four requests are delivered, one of them in vain.
async fn fill_more(api: &Api, orders: &Endpoint, failing: &Endpoint) {
    let doubtful = json!({"name": "doubtful", "on_conflict": "quarantine",
        "key": {"locations": ["body:$.id", "body:$.part"], "missing_key": "reject"}});
    let doubtful = api.source(&doubtful).await;
    api.connect(&doubtful, failing).await;
    api.ingest_json(&doubtful, r#"{"id": 1, "part": "a", "total": 1}"#)
        .await;
    let held = api
        .ingest_json(&doubtful, r#"{"id": 1, "part": "a", "total": 2}"#)
        .await;
    assert_eq!(held["outcome"], "conflict", "{held}");
    let headers = [("content-type", "application/json")];
    let refused = api.ingest(&doubtful, &headers, r#"{"id": 1}"#).await;
    assert_eq!(refused.unwrap().status, 422);

    let send = |total: u32| {
        json!({"endpoint_id": orders.id, "idempotency_key": "order-7", "event_type": "order.paid",
            "payload": {"total": total}})
    };
    let sent = api.create("/v1/webhooks/send", &send(1)).await;
    let again = api.create("/v1/webhooks/send", &send(1)).await;
    assert_eq!(sent["id"], again["id"]);
    let conflict = api.post("/v1/webhooks/send", &send(2)).await;
    assert_eq!(conflict.status, 409, "{}", conflict.text());

    let mut freed = send(1);
    freed["idempotency_key"] = json!("to-be-freed");
    api.create("/v1/webhooks/send", &freed).await;
    let claims = api.list("/v1/keys/to-be-freed").await;
    assert_eq!(claims.len(), 1);
    let scope = text(&claims[0], "scope");
    let path = format!("/v1/keys/to-be-freed?scope={scope}&reason=test");
    api.delete(&path).await;
}

async fn send(api: &Api, endpoint: &Endpoint, many: usize) {
    for batch in 0..BATCHES {
        let items = (batch..many).step_by(BATCHES).map(|n| {
            json!({"endpoint_id": endpoint.id, "event_type": "bulk", "payload": {"n": n},
                "idempotency_key": format!("{}-{n}", endpoint.id)})
        });
        let items = json!({"items": items.collect::<Vec<_>>()});
        api.create("/v1/webhooks/send/batch", &items).await;
    }
}

/// The answers to many questions.
async fn everything(api: &Api) -> Vec<(String, Value)> {
    let mut answers = Vec::new();
    for list in [
        "/v1/messages",
        "/v1/requests",
        "/v1/attempts",
        "/v1/endpoints",
        "/v1/connections",
        "/v1/messages?status=failed",
        "/v1/messages?status=held",
        "/v1/messages?event_type=order.paid",
        "/v1/messages?key=order-7",
        "/v1/requests?outcome=duplicate",
        "/v1/requests?outcome=conflict",
        "/v1/requests?outcome=rejected",
        "/v1/attempts?outcome=failed",
        "/v1/keys/evt_1",
        "/v1/keys/order-7",
        "/v1/keys/to-be-freed",
        // A part of a composite key.
        "/v1/keys?key=a",
        "/v1/replays",
        "/v1/audit",
    ] {
        answers.push((list.to_owned(), Value::Array(api.list(list).await)));
    }
    for key in ["held", "done"] {
        let path = format!("/v1/claims?scope=billing&key={key}");
        let mut found = api.read(&path).await;
        // It grows shorter while the copy goes on.
        found["data"][0]["retry_after_seconds"].take();
        answers.push((path, found));
    }
    let figures = api.read("/v1/stats").await;
    for (of, by) in [
        ("requests", "by_outcome"),
        ("requests", "by_cause"),
        ("attempts", "by_outcome"),
        ("attempts", "by_trigger"),
    ] {
        answers.push((format!("{by} of {of}"), figures[of][by].clone()));
    }
    let mut sources = api.list("/v1/sources").await;
    for source in &mut sources {
        // It names the port, which is another after each start.
        source["ingest_url"].take();
    }
    answers.push(("/v1/sources".to_owned(), Value::Array(sources)));
    let messages = api.list("/v1/messages").await;
    let of_interest = messages
        .iter()
        .filter(|it| it["event_type"] != "bulk" || it["status"] == "pending");
    for message in of_interest {
        let id = text(message, "id");
        for path in [
            format!("/v1/messages/{id}"),
            format!("/v1/messages/{id}/requests"),
            format!("/v1/messages/{id}/deliveries"),
        ] {
            answers.push((path.clone(), api.read(&path).await));
        }
        for delivery in message["deliveries"].as_array().unwrap() {
            let path = format!("/v1/deliveries/{}/attempts", text(delivery, "id"));
            answers.push((path.clone(), api.read(&path).await));
        }
    }
    answers
}

fn same(before: &[(String, Value)], after: &[(String, Value)]) {
    assert_eq!(before.len(), after.len());
    for ((path, before), (_, after)) in before.iter().zip(after) {
        let length = |value: &Value| value.as_array().map(Vec::len);
        assert_eq!(length(before), length(after), "{path}");
        assert!(before == after, "{path}\nwas {before}\nis {after}");
    }
}

/// What a `copy --json` came to.
struct Copied {
    status: Option<i32>,
    told: Value,
    said: String,
}

fn url(database: &Data) -> String {
    match database {
        Data::Database(database) => database.url(),
        Data::Directory(directory) => panic!("{} is no database", directory.path().display()),
        Data::Memory => panic!("memory is no database"),
    }
}

async fn copy(from: &Data, to: &Data) -> Copied {
    let (from, to) = (from.path().display().to_string(), url(to));
    let given = [("HOOKLATCH_DATABASE_URL", to.as_str())];
    let output = run(&["copy", "--json", "--from", &from], &given).await;
    Copied {
        status: output.status.code(),
        told: serde_json::from_slice(&output.stdout).unwrap_or_default(),
        said: said(&output),
    }
}

/// Begins a copy, and kills it in the middle of the deliveries: a part of them is there, and the
/// next part, some of which is live, is held up.
async fn kill_a_copy(from: &Data, to: &Data) {
    let url = url(to);
    let migrated = run(&["migrate"], &[("HOOKLATCH_DATABASE_URL", &url)]).await;
    assert_eq!(migrated.status.code(), Some(0), "{}", said(&migrated));
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let hold = "BEGIN; LOCK TABLE hooklatch.deliveries_live IN EXCLUSIVE MODE";
    client.batch_execute(hold).await.unwrap();
    let client = Arc::new(client);

    let mut command = Command::new(BINARY);
    command
        .args(["copy", "--to", &url, "--from"])
        .arg(from.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    configure(&mut command);
    let mut copying = command.spawn().unwrap();
    eventually("some deliveries are copied", || async {
        (copied(&client, "deliveries").await >= COPIED_BEFORE).then_some(())
    })
    .await;
    assert!(copying.try_wait().unwrap().is_none(), "it ended too early");
    copying.kill().await.unwrap();
    client.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(copied(&client, "attempts").await, 0);
}

/// Rows of a table that a copy has brought.
async fn copied(client: &Client, table: &str) -> i64 {
    let sql = "SELECT rows FROM hooklatch.copy WHERE name = $1";
    let found = client.query_opt(sql, &[&table]).await.unwrap();
    found.map_or(0, |row| row.get(0))
}

fn assert_copied(told: &Value) {
    assert_eq!(told["complete"], true, "{told}");
    assert!(
        told["copied_before"].as_i64().unwrap() > COPIED_BEFORE,
        "{told}"
    );
    for table in told["tables"].as_array().unwrap() {
        assert_eq!(table["same"], true, "{table}");
        // Deliveries that came later than their message, what scripts made, payloads whose senders
        // said when they go, and attempts that took very long are not among what was filled in.
        let empty = ["strays", "transformed", "payload_ends", "stats_late"];
        let filled = !empty.iter().any(|name| table["table"] == *name);
        assert_eq!(table["rows"].as_u64().unwrap() > 0, filled, "{table}");
    }
    assert!(text(told, "key_file").ends_with("encryption.key"));
}

/// An old event is a duplicate, what waited is delivered, and new events are taken.
async fn goes_on(api: &Api, receiver: &Receiver, filled: &Filled) {
    let (original, body) = &filled.original;
    let answer = api.ingest_json(&filled.source, body).await;
    assert_eq!(answer["outcome"], "duplicate", "{answer}");
    assert_eq!(answer["effect"], "suppressed", "{answer}");
    assert_eq!(answer["message_id"], original.as_str(), "{answer}");
    let new = api.ingest_json(&filled.source, r#"{"id": "evt_2"}"#).await;
    assert_eq!(new["outcome"], "accepted", "{new}");
    filled.claimed.goes_on(api).await;
    filled.replayed.goes_on(api, &filled.failing).await;
    // The new event, and one of each replay.
    let delivered = filled.delivered + 3;
    receiver.wait_for_count(delivered).await;

    let resume = format!("/v1/endpoints/{}/resume", filled.paused.id);
    assert_eq!(api.post(&resume, &json!({})).await.status, 200);
    receiver.wait_for_count(delivered + WAITING).await;
    eventually("nothing waits any more", || async {
        let pending = api.list("/v1/messages?status=pending").await.len();
        let delivering = api.list("/v1/messages?status=delivering").await.len();
        (pending + delivering == 0).then_some(())
    })
    .await;
    let all = receiver.seen().len();
    assert_eq!(all, delivered + WAITING, "something came twice");
    let signed = receiver.seen();
    let waited = signed.last().expect("it was waited for");
    waited.assert_signed_with(&filled.paused.secret);
}

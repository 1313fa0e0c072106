//! Whatever an arrival says, it is text: it runs nothing, loads nothing and builds nothing.

use serde_json::json;

use crate::support::eventually_ok;
use crate::world::World;

const SCRIPTS: [&str; 5] = [
    "<script>window.ran = 1</script>",
    "\"><img src=x onerror=\"window.ran = 1\">",
    "</pre></details><svg onload=\"window.ran = 1\">",
    "javascript:window.ran=1",
    "<style>body{display:none}</style><iframe src=\"http://evil.example/\"></iframe>",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payload_full_of_scripts_runs_nothing() {
    let world = World::signed_in().await;
    let (source, _) = world.connected().await;
    let mut messages = Vec::new();
    for script in SCRIPTS {
        let event = json!({"id": script, "type": script, script: {script: [script]}}).to_string();
        let headers = [("content-type", "application/json"), ("x-hostile", script)];
        let answer = world
            .api
            .ingest(&source, &headers, event)
            .await
            .expect("it is taken");
        messages.push(
            answer.json()["message_id"]
                .as_str()
                .expect("it is accepted")
                .to_owned(),
        );
        let other = json!({"id": script, "type": script, script: "<b id=other>"}).to_string();
        world.api.ingest_json(&source, &other).await;
    }
    let wait = || async {
        match world.receiver.seen().len() == SCRIPTS.len() {
            true => Ok(()),
            false => Err("not all are delivered".to_owned()),
        }
    };
    eventually_ok("deliveries", wait).await;
    let page = &world.page;
    page.forget().await;
    let mut paths = vec!["/messages".to_owned(), "/requests".to_owned()];
    paths.extend(messages.iter().map(|id| format!("/messages/{id}")));
    for request in world.api.list("/v1/requests").await {
        paths.push(format!(
            "/requests/{}",
            request["id"].as_str().unwrap_or_default()
        ));
    }
    let key = form(SCRIPTS[0]);
    paths.push(format!("/keys?key={key}"));
    paths.push(format!(
        "/messages?event_type={key}&tenant={key}&status={key}"
    ));
    paths.push(format!("/start?source={key}"));
    for path in &paths {
        page.go(path).await;
        let built = "[window.ran === undefined, document.scripts.length, \
                     document.querySelectorAll('main img, main iframe, main style, #other, [onload], [onerror], a[href^=javascript]').length]";
        assert_eq!(page.eval(built).await, json!([true, 1, 0]), "{path}");
    }
    assert_eq!(page.complaints(), Vec::<String>::new());
    let base = format!("http://{}/", world.gateway.address);
    let elsewhere: Vec<_> = page
        .asked()
        .into_iter()
        .filter(|url| !url.starts_with(&base))
        .collect();
    assert_eq!(elsewhere, Vec::<String>::new());
}

fn form(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payload_is_handed_out_as_a_file_that_no_browser_opens_as_a_page() {
    let world = World::signed_in().await;
    let (source, _) = world.connected().await;
    let headers = [("content-type", "text/html")];
    let answer = world
        .api
        .ingest(&source, &headers, "<script>window.ran = 1</script>")
        .await;
    let id = answer.expect("it is taken").json()["message_id"]
        .as_str()
        .expect("it is accepted")
        .to_owned();
    let asked = format!(
        "fetch('/messages/{id}/payload').then(async (answer) => [await answer.text(), \
         ...['content-type', 'content-disposition', 'content-security-policy', 'x-content-type-options'].map((name) => answer.headers.get(name))])"
    );
    let got = world.page.eval(&asked).await;
    let expected = json!([
        "<script>window.ran = 1</script>",
        "application/octet-stream",
        format!("attachment; filename=\"{id}.txt\""),
        "sandbox",
        "nosniff",
    ]);
    assert_eq!(got, expected);
}

//! The dashboard as people use it: in a browser, through the real binary.

mod chromium;
mod every_page;
mod hostile;
mod looking;
mod operating;
mod page;
mod support;
mod world;

use http::Method;
use serde_json::json;

use support::gateway::API_KEY;
use support::http::call;
use world::{World, payments};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_start_leads_by_the_hand() {
    let world = World::empty().await;
    let page = &world.page;
    page.go("/messages").await;
    assert_eq!(page.place().await, "/sign-in?next=%2Fmessages");
    page.fill("#api_key", "hl_a_wrong_key_that_nobody_knows_0000")
        .await;
    page.press_button("Sign in").await;
    page.reads("No project has this API key").await;
    page.fill("#api_key", API_KEY).await;
    page.press_button("Sign in").await;
    assert_eq!(page.place().await, "/messages");
    page.reads("Nothing has arrived yet").await;

    page.press_button("Start here").await;
    page.fill("#name", "orders").await;
    page.press_button("Make the source").await;
    page.reads("Waiting for it").await;
    let command = page
        .eval("document.querySelector('#command').textContent")
        .await;
    let command = command.as_str().expect("the command is a text").to_owned();
    let sent = tokio::process::Command::new("sh")
        .args(["-c", &command])
        .output();
    let sent = sent.await.expect("sh runs");
    let answer = String::from_utf8_lossy(&sent.stdout).into_owned();
    assert!(answer.contains("accepted"), "{command}: {answer}");
    page.until(
        "the first event",
        "document.querySelector('#arrived .rows') !== null",
    )
    .await;
    page.reads("order.paid").await;

    page.fill("#url", &world.receiver.url("/hooks")).await;
    page.press_button("Connect").await;
    page.reads("Connected").await;
    page.reads("whsec_").await;
    let again = command.replace("evt_1", "evt_2");
    let sent = tokio::process::Command::new("sh")
        .args(["-c", &again])
        .output();
    assert!(sent.await.expect("sh runs").status.success());
    world.receiver.wait_for_count(1).await;
    assert_eq!(page.complaints(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_appears_while_somebody_looks() {
    let world = World::signed_in().await;
    let (source, _) = world.connected().await;
    world
        .api
        .ingest_json(&source, r#"{"id": "evt_1", "type": "first"}"#)
        .await;
    world.page.go("/messages").await;
    world.page.reads("evt_1").await;
    world.page.eval("window.same = true").await;
    world
        .api
        .ingest_json(&source, r#"{"id": "evt_2", "type": "second"}"#)
        .await;
    world.page.reads("evt_2").await;
    let first =
        "document.querySelector('#rows tr').textContent.includes('evt_2') && window.same === true";
    world
        .page
        .until("the new one is the first, on the same page", first)
        .await;
    world
        .page
        .until(
            "its delivery shows",
            "!document.querySelector('#rows').textContent.includes('pending')",
        )
        .await;
    let local = "!/UTC/.test(document.querySelector('#rows time').textContent) && /UTC/.test(document.querySelector('#rows time').title)";
    assert_eq!(world.page.eval(local).await, json!(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duplicate_says_why_and_what_differs_and_leads_to_its_original_and_back() {
    let world = World::signed_in().await;
    let (source, _) = world.connected().await;
    let first = world
        .api
        .ingest_json(
            &source,
            r#"{"id": "evt_1", "type": "t", "amount": 4200.10}"#,
        )
        .await;
    let message = first["message_id"]
        .as_str()
        .expect("it is accepted")
        .to_owned();
    world.settled(&message, "delivered").await;
    world
        .api
        .ingest_json(
            &source,
            r#"{"id": "evt_1", "type": "t", "amount": 9900.10}"#,
        )
        .await;
    let page = &world.page;
    page.go("/requests?outcome=duplicate").await;
    page.reads("payload differs").await;
    page.follow("#rows a.row").await;
    page.reads("/amount").await;
    page.reads("4200.10").await;
    page.reads("9900.10").await;
    page.press_button("The original").await;
    assert_eq!(page.place().await, format!("/messages/{message}"));
    page.reads("It arrived 2 times: one message and 1 duplicate")
        .await;
    page.reads("nothing was sent again").await;
    assert_eq!(world.receiver.seen().len(), 1);
    page.follow(".timeline .duplicate a").await;
    assert!(page.place().await.starts_with("/requests/req_"));

    page.press_button("Not a duplicate: deliver it").await;
    page.reads("released by a person").await;
    world.receiver.wait_for_count(2).await;
    assert_eq!(page.complaints(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_can_be_done_by_keyboard_alone() {
    let world = World::empty().await;
    let (source, _) = world.connected().await;
    for number in 1..=3 {
        let event = format!(r#"{{"id": "evt_{number}", "type": "t{number}"}}"#);
        world.api.ingest_json(&source, &event).await;
    }
    let page = &world.page;
    page.go("/sign-in").await;
    page.type_text(API_KEY).await;
    page.mark().await;
    page.key("Enter").await;
    page.arrived().await;
    page.mark().await;
    page.key("g").await;
    page.key("m").await;
    page.arrived().await;
    page.key("j").await;
    page.key("j").await;
    let second =
        "document.activeElement.closest('tr') === document.querySelectorAll('#rows tr')[1]";
    page.until("the second row has the focus", second).await;
    page.mark().await;
    page.key("Enter").await;
    page.arrived().await;
    page.reads("What happened").await;
    assert!(page.place().await.starts_with("/messages/msg_"));
    page.mark().await;
    page.key("u").await;
    page.arrived().await;
    page.key("/").await;
    page.type_text("evt_1").await;
    page.mark().await;
    page.key("Enter").await;
    page.arrived().await;
    assert_eq!(page.place().await, "/messages?key=evt_1");
    page.until(
        "only that one",
        "document.querySelectorAll('#rows tr').length === 1",
    )
    .await;
    page.key("Escape").await;
    page.eval("document.activeElement.blur()").await;
    page.key("?").await;
    page.until("the help is open", "document.querySelector('#help').open")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_configured_can_be_made_changed_and_stopped_by_forms() {
    let world = World::signed_in().await;
    let page = &world.page;
    page.go("/sources/new").await;
    page.press_button("Save").await;
    page.reads("/name").await;
    page.fill("#name", "payments").await;
    page.fill("#locations", "body:$.id").await;
    page.press_button("Save").await;
    page.until(
        "the source's own page",
        "location.pathname.startsWith('/sources/src_')",
    )
    .await;
    page.fill("#window_seconds", "3600").await;
    page.press_button("Save").await;
    page.reads("1 h").await;
    page.press_button("Pause").await;
    page.reads("paused").await;
    page.press_button("Resume").await;
    page.reads("active").await;

    page.go("/endpoints/new").await;
    page.fill("#name", "shop").await;
    page.fill("#url", &world.receiver.url("/hooks")).await;
    page.press_button("Save").await;
    page.reads("whsec_").await;
    page.go("/connections/new").await;
    page.fill("#name", "payments to shop").await;
    page.eval("document.querySelector('#source_id').selectedIndex = 1")
        .await;
    page.fill(
        "#rules",
        r#"[{"type": "filter", "body": {"n": {"$gt": 9007199254740992}}}]"#,
    )
    .await;
    page.press_button("Save").await;
    assert_eq!(page.place().await, "/connections");
    page.reads("filter").await;
    let connections = world.api.get("/v1/connections").await.text();
    assert!(connections.contains("9007199254740992"), "{connections}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_looked_up_by_its_raw_value_and_freed_with_a_reason() {
    let world = World::signed_in().await;
    let (source, _) = world.connected().await;
    world
        .api
        .ingest_json(&source, r#"{"id": "evt_1", "type": "t"}"#)
        .await;
    let page = &world.page;
    page.go("/keys").await;
    page.fill("#search", "evt_1").await;
    page.press_button("Look up").await;
    page.reads("source payments").await;
    page.fill("[name=reason]", "the shop asked for it").await;
    page.press_button("Free this key").await;
    page.reads("No live key is this one").await;
    let again = world
        .api
        .ingest_json(&source, r#"{"id": "evt_1", "type": "t"}"#)
        .await;
    assert_eq!(again["outcome"], "accepted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_of_another_site_or_of_another_session_changes_nothing() {
    let world = World::empty().await;
    let address = world.gateway.address;
    let made = world.api.source(&payments()).await;
    let path = format!("/sources/{}/pause", made.id);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let signed_out = call(address, Method::POST, &path, &form, "".into())
        .await
        .expect("it answers");
    assert_eq!(
        (signed_out.status, signed_out.header("location")),
        (303, "/sign-in?next=%2F")
    );

    let body = format!("api_key={API_KEY}");
    let answer = call(
        address,
        Method::POST,
        "/sign-in",
        &form,
        body.clone().into(),
    )
    .await
    .expect("it answers");
    let cookie = answer.header("set-cookie").to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap_or_default();
    let with_cookie = [form[0], ("cookie", cookie)];
    let without_token = call(address, Method::POST, &path, &with_cookie, "".into())
        .await
        .expect("it answers");
    assert_eq!(without_token.status, 403);
    let elsewhere = [
        form[0],
        ("cookie", cookie),
        ("origin", "http://evil.example"),
    ];
    let forged = call(address, Method::POST, &path, &elsewhere, "".into())
        .await
        .expect("it answers");
    assert_eq!(forged.status, 403);
    let led_away = format!("{body}&next=//evil.example");
    let answer = call(address, Method::POST, "/sign-in", &form, led_away.into())
        .await
        .expect("it answers");
    assert_eq!(answer.header("location"), "/");
    let source = world.api.read(&format!("/v1/sources/{}", made.id)).await;
    assert_eq!(source["paused"], false);
}

//! What operators do: look at the figures, try a rule, replay what failed, hand out keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::support::gateway::API_KEY;
use crate::support::{Receiver, Reply};
use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_overview_counts_arrivals_and_duplicates_by_cause() {
    let world = World::signed_in().await;
    let (source, _) = world.connected().await;
    for event in ["evt_1", "evt_2", "evt_1"] {
        let event = json!({"id": event, "type": "t"}).to_string();
        world.api.ingest_json(&source, &event).await;
    }
    let page = &world.page;
    page.go("/?span=1h").await;
    let figure = |name: &str| {
        format!(
            "[...document.querySelectorAll('.totals div')].find((one) => one.querySelector('dt').textContent === '{name}').querySelector('strong').textContent"
        )
    };
    for (name, count) in [
        ("Arrivals", "3"),
        ("Accepted", "2"),
        ("Duplicates", "1"),
        ("Delivered", "2"),
    ] {
        page.until(name, &format!("{} === '{count}'", figure(name)))
            .await;
    }
    page.follow(".shares a").await;
    assert!(
        page.place()
            .await
            .starts_with("/requests?outcome=duplicate&cause=")
    );
    assert_eq!(page.complaints(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_is_planned_first_then_started_and_watched_to_its_end() {
    let well = Arc::new(AtomicBool::new(false));
    let seen_well = Arc::clone(&well);
    let receiver = Receiver::start(move |_| {
        Reply::Status(if seen_well.load(Ordering::Relaxed) {
            200
        } else {
            500
        })
    });
    let world = World::with_receiver(receiver.await).await;
    world.page.sign_in(API_KEY).await;
    let once = json!({"retry": {"strategy": "fixed", "base_seconds": 1, "max_attempts": 1}});
    let (source, _) = world.connected_with(once).await;
    for number in 1..=3 {
        let event = json!({"id": format!("evt_{number}"), "type": "t"}).to_string();
        let answer = world.api.ingest_json(&source, &event).await;
        let id = answer["message_id"]
            .as_str()
            .expect("it is accepted")
            .to_owned();
        world.settled(&id, "failed").await;
    }
    well.store(true, Ordering::Relaxed);
    let page = &world.page;
    page.go("/replays").await;
    page.press_button("Plan a replay").await;
    page.eval("document.querySelector('#status').value = 'failed'")
        .await;
    page.press_button("Make the plan").await;
    page.reads("3 will be sent once it is started").await;
    assert_eq!(world.receiver.seen().len(), 3);
    page.press_button("Start").await;
    page.until(
        "it is done",
        "document.querySelector('#replay .badge').textContent.trim() === 'done'",
    )
    .await;
    page.until(
        "all of it",
        "document.querySelector('progress').value === 3",
    )
    .await;
    world.receiver.wait_for_count(6).await;
    assert_eq!(page.complaints(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_rule_is_tried_on_what_is_stored_while_it_is_written() {
    let world = World::signed_in().await;
    let (source, _) = world.connected().await;
    for number in 1..=4 {
        let event =
            json!({"id": format!("evt_{number}"), "type": "t", "order": number / 2}).to_string();
        world.api.ingest_json(&source, &event).await;
    }
    let page = &world.page;
    page.go(&format!("/sources/{}", source.id)).await;
    page.fill("#locations", "body:$.order").await;
    page.reads("Of the last 4 stored requests").await;
    let suppressed = "[...document.querySelectorAll('#trial dt')].find((one) => one.textContent === 'Would be suppressed').nextElementSibling.textContent === '1'";
    page.until("evt_3 has the order of evt_2", suppressed).await;
    let record = world.api.read(&format!("/v1/sources/{}", source.id)).await;
    assert_eq!(record["key"]["locations"], json!(["body:$.id"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_handed_out_with_its_scopes_and_revoked_with_its_sessions() {
    let world = World::signed_in().await;
    let page = &world.page;
    page.go("/settings").await;
    page.fill("#key_name", "onlooker").await;
    page.eval("document.querySelector('#read').checked = true")
        .await;
    page.press_button("Make the key").await;
    page.reads("it is shown this once").await;
    let key = page
        .eval("document.querySelector('.copyable code').textContent")
        .await;
    let key = key.as_str().expect("a key is a text").to_owned();

    let other = world.another_page().await;
    other.sign_in(&key).await;
    other.go("/sources").await;
    other
        .until(
            "nothing to change",
            "!document.body.innerText.includes('New source')",
        )
        .await;
    other.go("/settings").await;
    other.reads("need an admin key").await;

    page.go("/settings").await;
    let revoke = "[...document.querySelectorAll('tr')].find((row) => row.textContent.includes('onlooker')).querySelector('button').click()";
    page.leads_on(revoke).await;
    page.until(
        "it is gone",
        "![...document.querySelectorAll('.rows')][0].textContent.includes('onlooker')",
    )
    .await;
    other.go("/messages").await;
    assert_eq!(other.place().await, "/sign-in?next=%2Fmessages");
}

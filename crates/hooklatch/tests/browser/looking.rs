//! What people look for and set: a text in payloads, what passes a connection, how long the past is
//! kept.

use serde_json::json;

use crate::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_in_a_payload_is_found_by_the_form_and_by_the_link() {
    let world = World::signed_in().await;
    let (source, _) = world.connected().await;
    for (event, name) in [("evt_1", "Ada"), ("evt_2", "Grace")] {
        let event = json!({"id": event, "type": "t", "customer": {"name": name}}).to_string();
        world.api.ingest_json(&source, &event).await;
    }
    let page = &world.page;
    page.go("/messages").await;
    page.fill("[name=q]", "grace").await;
    page.press_button("Filter").await;
    assert_eq!(page.place().await, "/messages?q=grace");
    let rows = "[...document.querySelectorAll('#rows tr')].map((row) => row.querySelector('.key').textContent.trim()).join() === 'evt_2'";
    page.until("only the one that has it", rows).await;
    page.press_button("Show all").await;
    page.reads("evt_1").await;
    page.go("/messages?cause=provider_retry").await;
    assert_eq!(
        page.place().await,
        "/requests?cause=provider_retry&outcome=duplicate"
    );
    assert_eq!(page.complaints(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_picture_says_what_passes_and_a_paused_connection_waits() {
    let world = World::signed_in().await;
    let (source, _) = world.connected().await;
    let event = |number: u32| json!({"id": format!("evt_{number}"), "type": "t"}).to_string();
    world.api.ingest_json(&source, &event(1)).await;
    world.receiver.wait_for_count(1).await;
    let page = &world.page;
    page.go("/connections").await;
    page.until(
        "what arrives and what is attempted",
        "document.querySelector('#picture').textContent.includes('/min arrive') && document.querySelector('#picture').textContent.includes('/min attempts')",
    )
    .await;
    page.follow("a.row").await;
    page.press_button("Pause").await;
    page.reads("It is paused").await;
    let answer = world.api.ingest_json(&source, &event(2)).await;
    let id = answer["message_id"].as_str().expect("it is accepted");
    world.settled(id, "pending").await;
    page.press_button("Resume").await;
    world.receiver.wait_for_count(2).await;
    assert_eq!(page.complaints(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_long_the_past_is_kept_is_set_and_a_mistake_is_said_at_its_field() {
    let world = World::signed_in().await;
    let page = &world.page;
    page.go("/settings").await;
    page.fill("#payload_days", "4000").await;
    page.press_button("Keep it so long").await;
    page.reads("should be from 1 to 3650 days").await;
    let said = page
        .eval("document.querySelector('#payload_days').value")
        .await;
    assert_eq!(said, "4000", "what was written is not lost");
    page.fill("#payload_days", "30").await;
    page.press_button("Keep it so long").await;
    page.until(
        "it is shown",
        "document.querySelector('#payload_days').value === '30' && document.body.innerText.includes('30 d')",
    )
    .await;
    let kept = world.api.read("/v1/retention").await;
    assert_eq!(kept["payload_days"], 30);
    assert_eq!(page.complaints(), Vec::<String>::new());
}

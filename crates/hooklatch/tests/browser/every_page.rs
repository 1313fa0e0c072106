//! What holds of every page: anybody can use it, it is light, it fits a phone, and it keeps to
//! itself. On the way the pictures of the documentation are taken, where somebody asks for them.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Backend, inputs};
use crate::world::{Full, World};

/// The most that the first view of a page may weigh, with style and script.
const WEIGHT_MAX: u64 = 150 * 1024;
/// Where pictures go; none are taken without it.
const SCREENSHOTS: &str = "HOOKLATCH_TEST_SCREENSHOTS";

/// The pages, with the names of their pictures.
fn pages(full: &Full) -> Vec<(&'static str, String)> {
    vec![
        ("overview", "/?span=1h".to_owned()),
        ("messages", "/messages".to_owned()),
        ("message", format!("/messages/{}", full.message)),
        ("requests", "/requests".to_owned()),
        ("request", format!("/requests/{}", full.duplicate)),
        ("sources", "/sources".to_owned()),
        ("source", format!("/sources/{}", full.source)),
        ("source-new", "/sources/new".to_owned()),
        ("endpoints", "/endpoints".to_owned()),
        ("endpoint", format!("/endpoints/{}", full.endpoint)),
        ("endpoint-new", "/endpoints/new".to_owned()),
        ("connections", "/connections".to_owned()),
        ("connection", format!("/connections/{}", full.connection)),
        ("keys", format!("/keys?key={}", full.key)),
        ("replays", "/replays".to_owned()),
        ("replay", format!("/replays/{}", full.replay)),
        ("replay-new", "/replays/new".to_owned()),
        ("settings", "/settings".to_owned()),
        ("start", "/start".to_owned()),
        ("start-source", format!("/start?source={}", full.source)),
        ("empty", "/messages?event_type=nothing".to_owned()),
        ("error", "/messages/msg_0000000000000".to_owned()),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_light_and_asks_nobody_else() {
    let full = Full::new().await;
    let page = &full.world.page;
    let base = format!("http://{}/", full.world.gateway.address);
    for (name, path) in pages(&full) {
        page.go("/sign-in").await;
        page.forget().await;
        page.go(&path).await;
        let weight = page.weight();
        assert!(
            weight > 1_000 && weight < WEIGHT_MAX,
            "{name} weighs {weight}"
        );
        for url in page.asked() {
            assert!(url.starts_with(&base), "{name} asks for {url}");
        }
        assert_eq!(page.complaints(), Vec::<String>::new(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_there_in_memory_and_the_settings_say_what_that_means() {
    let full = Full::on(Backend::Memory).await;
    let page = &full.world.page;
    for (name, path) in pages(&full) {
        page.go(&path).await;
        assert_eq!(page.complaints(), Vec::<String>::new(), "{name}");
    }
    page.go("/settings").await;
    page.reads("lost when the gateway's process ends").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_fits_a_phone() {
    let full = Full::new().await;
    let page = &full.world.page;
    page.size(360, 780).await;
    for (name, path) in pages(&full) {
        page.go(&path).await;
        let width = page.eval("document.documentElement.scrollWidth").await;
        assert_eq!(width, 360, "{name}");
        taken(
            &full.world,
            &format!("phone-{name}"),
            360,
            900,
            &["overview", "messages", "message"],
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_accessible_in_light_and_in_dark() {
    let full = Full::new().await;
    let page = &full.world.page;
    let axe = inputs::modules().join("axe-core").join("axe.min.js");
    let axe =
        std::fs::read_to_string(&axe).unwrap_or_else(|error| panic!("{}: {error}", axe.display()));
    for scheme in ["light", "dark"] {
        page.scheme(scheme).await;
        for (name, path) in pages(&full) {
            page.go(&path).await;
            page.eval(
                "for (const element of document.querySelectorAll('details')) element.open = true",
            )
            .await;
            page.eval(&format!("{axe}; undefined")).await;
            let found = page.eval("axe.run(document).then((found) => found.violations.map((one) => [one.id, one.help, one.nodes.slice(0, 3).map((node) => node.html + ' ' + node.failureSummary)]))").await;
            assert_eq!(found, Value::Array(Vec::new()), "{name}, {scheme}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_of_every_page() {
    let full = Full::new().await;
    let page = &full.world.page;
    for (name, path) in pages(&full) {
        page.size(1280, 800).await;
        page.go(&path).await;
        page.until(
            "it has a title",
            "document.querySelector('h1').textContent.length > 0",
        )
        .await;
        taken(&full.world, name, 1280, 1_400, &[]).await;
    }
    page.scheme("dark").await;
    for (name, path) in pages(&full).into_iter().take(3) {
        page.size(1280, 800).await;
        page.go(&path).await;
        taken(&full.world, &format!("{name}-dark"), 1280, 1_400, &[]).await;
    }
}

/// Takes a picture if somebody asked for pictures; of a phone only of some pages.
async fn taken(world: &World, name: &str, width: u32, most: u32, only: &[&str]) {
    let wanted = only.is_empty() || only.iter().any(|one| name == format!("phone-{one}"));
    let Some(directory) = std::env::var_os(SCREENSHOTS)
        .map(PathBuf::from)
        .filter(|_| wanted)
    else {
        return;
    };
    let path: &Path = &directory.join(format!("{name}.png"));
    world.page.screenshot(path, width, most).await;
    if width < 600 {
        world.page.size(width, 780).await;
    }
}

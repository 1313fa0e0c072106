//! The shops of `examples`, behind a gateway and on a database that is some way off, before
//! `hooklatch prove`: each naive one is caught, each in its own mistake, and the kit's passes. Built
//! and installed by `cargo xtask test`.

mod database;
mod gateway;
mod proof;
mod shop;

use database::Database;
use gateway::Gateway;
use proof::Proof;
use shop::{Handler, Language, Shop};

/// A shop behind a gateway, proved with an order that the gateway has delivered to it.
async fn proved(language: Language, handler: Handler) -> Proof {
    let database = Database::create().await;
    let gateway = Gateway::start().await;
    let port = shop::free_port();
    let (endpoint, secret) = gateway.endpoint(port).await;
    let shop = Shop::start(language, handler, port, &database.far_url(), &secret).await;
    let message = gateway.delivered(&endpoint).await;
    Proof::of(&shop, &gateway, &message, &secret).await
}

/// The mistake of this shop shows in that scenario, and nothing else is wrong with the proof.
fn assert_caught(proof: &Proof, scenarios: &str, verdict: &str) {
    assert_eq!(proof.code, Some(1), "{}", proof.said);
    let found = proof.verdicts();
    let shows = |(name, found): &(String, String)| name.starts_with(scenarios) && found == verdict;
    assert!(found.iter().any(shows), "{scenarios}: {}", proof.said);
    // Every naive shop stands what its author has thought of.
    for stood in ["once", "twice in a row", "another payload"] {
        let once = (stood.to_owned(), "once".to_owned());
        assert!(found.contains(&once), "{stood}: {}", proof.said);
    }
}

fn assert_passed(proof: &Proof) {
    assert_eq!(proof.code, Some(0), "{}", proof.said);
    let found = proof.verdicts();
    assert_eq!(found.len(), 13, "{}", proof.said);
    let once = |(_, verdict): &(String, String)| verdict == "once";
    assert!(found.iter().all(once), "{}", proof.said);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v3_the_rust_shop_forgets_with_its_process_and_with_the_kit_it_does_not() {
    assert_caught(
        &proved(Language::Rust, Handler::Naive).await,
        "killed at",
        "twice",
    );
    assert_passed(&proved(Language::Rust, Handler::Kit).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v3_the_node_shop_loses_an_order_that_it_has_noted_and_with_the_kit_it_does_not() {
    assert_caught(
        &proved(Language::Node, Handler::Naive).await,
        "killed at",
        "lost",
    );
    assert_passed(&proved(Language::Node, Handler::Kit).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v3_the_python_shop_books_twice_at_once_and_with_the_kit_it_does_not() {
    assert_caught(
        &proved(Language::Python, Handler::Naive).await,
        "16 at once",
        "twice",
    );
    assert_passed(&proved(Language::Python, Handler::Kit).await);
}

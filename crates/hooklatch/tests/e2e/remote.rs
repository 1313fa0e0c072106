//! The receiver kit on the claim API of a real gateway.

use std::sync::Arc;
use std::time::Duration;

use hooklatch_receiver::key::{Fingerprint, Scope, ScopeKey};
use hooklatch_receiver::kit::{Delivery, Receiver};
use hooklatch_receiver::once::Outcome;
use hooklatch_receiver::remote::RemoteStore;
use hooklatch_receiver::run::Settings;
use hooklatch_receiver::store::{Clock, Effect, Memory, Promise, Store};

use crate::support::gateway::API_KEY;
use crate::support::{Backend, Data, Gateway, on_each_lasting_store, on_each_store};
use crate::vectors::runner::{Bench, Time, passes_every_vector};

on_each_store! {
    v4_remote_passes_every_vector
}

on_each_lasting_store! {
    "It is killed, and the next process has the handler's result":
    v4_a_handler_runs_once_and_its_result_outlives_a_kill
}

fn store(gateway: &Gateway) -> RemoteStore {
    let url = format!("http://{}", gateway.address);
    let store = RemoteStore::new(&url, API_KEY, "shop").expect("the address is usable");
    store.with_timeout(Duration::from_secs(30))
}

async fn v4_remote_passes_every_vector(on: Backend) {
    let data = Data::new(on).await;
    let gateway = Gateway::start(&data).await;
    let store = Arc::new(store(&gateway));
    let promise = Promise {
        memory: Memory::Durable,
        effect: Effect::AtLeastOnce,
        clock: Clock::Server,
    };
    assert_eq!(store.promise(), promise);
    passes_every_vector(|| Bench {
        store: Arc::clone(&store),
        time: Time::Real,
    })
    .await;
}

async fn v4_a_handler_runs_once_and_its_result_outlives_a_kill(on: Backend) {
    let data = Data::new(on).await;
    let mut gateway = Gateway::start(&data).await;
    let scope = Scope {
        source: "stripe",
        ..Scope::default()
    };
    let key = ScopeKey::derive(&scope, &["evt_1"]).expect("it is short");
    let delivery = Delivery::new(key, Fingerprint::of(b"{}"));
    let kit = Receiver::new(store(&gateway), Settings::default());
    let ran = kit.once(delivery.clone(), async |_| Ok(b"\x00charged".to_vec()));
    let ran = ran.await.expect("the gateway answers");
    assert!(matches!(ran, Outcome::Ran { .. }), "{ran:?}");
    gateway.kill().await;
    let refused = kit.once(delivery.clone(), async |_| Ok(Vec::new())).await;
    assert!(refused.is_err(), "nobody answers: {refused:?}");
    let gateway = Gateway::start(&data).await;
    let kit = Receiver::new(store(&gateway), Settings::default());
    let again = kit.once(delivery, async |_| panic!("it has run")).await;
    let result = Some(b"\x00charged".to_vec());
    assert_eq!(
        again.expect("the gateway answers"),
        Outcome::Done { result }
    );
}

//! Every store passes the vectors that the kits in all languages share, and stores with one rule
//! broken do not.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hooklatch_receiver::key::{Scope, ScopeKey};
use hooklatch_receiver::memory::MemoryStore;
use hooklatch_receiver::store::{Memory, Store};

use support::file::file;
use support::mutant::{Mutant, Mutation};
use support::runner::{Bench, Time, failures, passes_every_vector};

#[test]
fn k4_keys_and_step_keys_are_what_every_kit_derives() {
    let file = file();
    assert_eq!(file.version, 1);
    for vector in &file.keys {
        let scope = Scope {
            tenant: &vector.tenant,
            source: &vector.source,
            consumer: &vector.consumer,
        };
        let parts: Vec<&str> = vector.parts.iter().map(String::as_str).collect();
        let key = ScopeKey::derive(&scope, &parts).unwrap();
        assert_eq!(key.to_string(), vector.scope_key, "{}", vector.name);
    }
    for vector in &file.step_keys {
        let key = file
            .keys
            .iter()
            .find(|key| key.scope_key == vector.scope_key)
            .map_or_else(|| parse(&vector.scope_key), |key| parse(&key.scope_key));
        let step_key = key.step(&vector.step, vector.generation).unwrap();
        assert_eq!(step_key.to_string(), vector.step_key, "{}", vector.name);
    }
}

fn parse(hex: &str) -> ScopeKey {
    let byte = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex");
    ScopeKey::from_bytes(std::array::from_fn(byte))
}

fn clock() -> Arc<AtomicU64> {
    Arc::new(AtomicU64::new(1_767_225_600_000))
}

#[tokio::test(flavor = "multi_thread")]
async fn v4_memory_passes_every_vector() {
    passes_every_vector(|| {
        let now = clock();
        let own = Arc::clone(&now);
        let store = MemoryStore::with_clock(move || own.load(Ordering::SeqCst));
        assert_eq!(store.promise().memory, Memory::Process);
        Bench {
            store: Arc::new(store),
            time: Time::Set(now),
        }
    })
    .await;
}

async fn broken_by(mutation: Mutation) -> Vec<String> {
    let bench = || {
        let now = clock();
        Bench {
            store: Arc::new(Mutant::new(mutation, Arc::clone(&now))),
            time: Time::Set(now),
        }
    };
    let failures = failures(file().machine, bench).await;
    failures.into_iter().map(|(id, _)| id).collect()
}

#[tokio::test]
async fn every_mutant_fails_the_vectors_that_are_there_for_it() {
    let expected: [(Mutation, &[&str]); 10] = [
        (Mutation::None, &[]),
        (
            Mutation::CompleteWithoutToken,
            &["v04", "v14", "v20", "v24", "v25", "v27"],
        ),
        (
            Mutation::ReleaseDeletes,
            &[
                "v08", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v25",
            ],
        ),
        (
            Mutation::ReleaseDeletesFenced,
            &["v10", "v11", "v12", "v13", "v14", "v15", "v16"],
        ),
        (Mutation::RenewWithoutToken, &["v15", "v25"]),
        (Mutation::CompleteOnlyInsideLease, &["v17"]),
        (Mutation::CheckThenWrite, &["v26", "v27"]),
        (Mutation::CounterAsToken, &["v25"]),
        (Mutation::FingerprintIgnored, &["v03", "v07", "v11", "v18"]),
        (Mutation::OneClock, &["v19", "v20", "v27"]),
    ];
    let mut found = Vec::new();
    for (mutation, _) in expected {
        found.push((mutation, broken_by(mutation).await));
    }
    let expected =
        expected.map(|(mutation, ids)| (mutation, ids.iter().map(|id| (*id).to_owned()).collect()));
    assert_eq!(found, expected);
}

//! Who changed what, and which keys are in use.

use hooklatch_core::ids::ApiKeyId;
use hooklatch_core::time::Millis;

use super::world::{PROJECT, STRANGER};
use super::{Fixture, World};
use crate::{
    AuditEntry, AuditLine, AuditView, ConfigKind, ConfigRecord, Expected, PageRequest, Saved,
};

fn record(number: i64, name: &str) -> ConfigRecord {
    ConfigRecord {
        kind: ConfigKind::Endpoint,
        number,
        project_id: PROJECT,
        name: Some(name.to_owned()),
        document: "{}".to_owned(),
        revision: 0,
    }
}

fn save<F: Fixture>(world: &World<F>, record: ConfigRecord, action: &str) -> Saved {
    let store = world.store();
    let line = AuditLine {
        entry: AuditEntry {
            at: store.now(),
            actor: Some(ApiKeyId::from_number(7)),
            action: action.to_owned(),
            subject: "ep_\u{0}1".to_owned(),
            reason: None,
        },
        before: None,
        after: Some("{\"name\":\"a\"}".to_owned()),
    };
    let saved = store.save_audited(record, Expected::Nothing, line);
    world.fixture.wait(saved).expect("the store is available")
}

fn log<F: Fixture>(world: &World<F>, limit: usize) -> Vec<AuditView> {
    let store = world.store();
    let mut found = Vec::new();
    let mut below = None;
    loop {
        let page = store.audits(PROJECT, PageRequest { limit, below });
        let page = world.fixture.wait(page).expect("the store is available");
        found.extend(page.items);
        below = page.next;
        if below.is_none() {
            return found;
        }
    }
}

/// What is saved is in the log, and nothing else is.
pub fn a_change_and_its_line_are_one_commit<F: Fixture>() {
    let mut world = World::<F>::new();
    let saved = save(&world, record(1, "a"), "endpoint.create");
    assert_eq!(saved, Saved::Done { revision: 1 });
    assert_eq!(save(&world, record(1, "a"), "stale"), Saved::Stale);
    assert_eq!(save(&world, record(2, "a"), "taken"), Saved::NameTaken);
    world.fixture.crash();
    let found = log(&world, 10);
    let [only] = &found[..] else {
        panic!("one line: {found:?}");
    };
    let entry = &only.line.entry;
    assert_eq!(entry.action, "endpoint.create");
    assert_eq!(entry.subject, "ep_\u{0}1");
    assert_eq!(entry.actor, Some(ApiKeyId::from_number(7)));
    assert_eq!(only.line.before, None);
    assert_eq!(only.line.after.as_deref(), Some("{\"name\":\"a\"}"));
    let store = world.store();
    let page = PageRequest {
        limit: 10,
        below: None,
    };
    let strangers = world.fixture.wait(store.audits(STRANGER, page));
    assert!(strangers.expect("available").items.is_empty());
}

/// Pages.
pub fn the_log_goes_from_the_newest_to_the_oldest<F: Fixture>() {
    let world = World::<F>::new();
    for n in 1..=7 {
        save(&world, record(n, &n.to_string()), &n.to_string());
        world.advance(Millis::new(n % 2));
    }
    for limit in [1, 3, 7, 100] {
        let actions: Vec<String> = log(&world, limit)
            .into_iter()
            .map(|view| view.line.entry.action)
            .collect();
        assert_eq!(actions, ["7", "6", "5", "4", "3", "2", "1"], "{limit}");
    }
}

/// Keys.
pub fn the_last_use_of_a_key_is_kept<F: Fixture>() {
    let mut world = World::<F>::new();
    let (one, two) = (ApiKeyId::from_number(1), ApiKeyId::from_number(2));
    let store = world.store();
    let now = store.now();
    let earlier = now - Millis::from_seconds(60);
    for used in [vec![(one, now)], vec![(one, earlier)]] {
        let noted = world.fixture.wait(store.note_used(used));
        noted.expect("the store is available");
    }
    world.fixture.crash();
    let store = world.store();
    let used = world.fixture.wait(store.last_used(vec![two, one]));
    assert_eq!(used.expect("available"), [None, Some(now)]);
}

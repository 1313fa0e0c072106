//! L2 and V1 to V6: the claims of receivers.

use std::time::Duration;

use hooklatch_core::ids::{ApiKeyId, ProjectId};
use hooklatch_core::receiving::call::{Answer, Call, ClaimId, Entry, Kept, Outcome, Step};
use hooklatch_core::receiving::claim::{
    Claim, Claimed, Completion, Grant, Hold, Intent, Metadata, Origin, StateName,
};
use hooklatch_core::receiving::key::{Fingerprint, ScopeKey};
use hooklatch_core::receiving::token::Token;
use hooklatch_core::time::Millis;

use super::world::{PROJECT, STRANGER};
use super::{Fixture, World};
use crate::AuditEntry;

const LEASE: Duration = Duration::from_secs(10);
const WINDOW: Duration = Duration::from_secs(3_600);
const SCOPE: &str = "shop";
/// Longer than a lease.
const PAST_THE_LEASE: Millis = Millis::from_seconds(11);
/// Longer than a window.
const PAST_THE_WINDOW: Millis = Millis::from_seconds(3_601);

fn key(name: &str) -> ScopeKey {
    ClaimId::of(SCOPE, name)
        .expect("the suite's keys are short")
        .0
}

const fn token(n: u8) -> Token {
    Token::from_bytes([n; 16])
}

fn wish(name: &str, n: u8) -> Claim {
    Claim {
        key: key(name),
        fingerprint: Fingerprint::of(b"{}"),
        token: token(n),
        lease: LEASE,
        attempts_max: 3,
        retention: WINDOW,
        intent: Intent::Delivery,
        metadata: Metadata::new("stripe", "charge.succeeded", Some(1_700_000_000_123)),
    }
}

fn audit<F: Fixture>(world: &World<F>) -> AuditEntry {
    AuditEntry {
        at: world.store().now(),
        actor: Some(ApiKeyId::from_number(5)),
        action: "claim.replay".into(),
        subject: "clm".into(),
        reason: None,
    }
}

impl<F: Fixture> World<F> {
    fn on_claim(&self, project: ProjectId, name: &str, call: Call) -> Answer {
        let store = self.store();
        let answer = store.call_claim(project, key(name), call, audit(self));
        self.fixture.wait(answer).expect("the store is available")
    }

    fn claim_by(&self, project: ProjectId, name: &str, wish: Claim) -> Claimed {
        let call = Call::Claim {
            scope: SCOPE.to_owned(),
            key: name.to_owned(),
            wish,
        };
        match self.on_claim(project, name, call).outcome {
            Outcome::Claimed(claimed) => claimed,
            other => panic!("a claim is answered as one: {other:?}"),
        }
    }

    fn claim(&self, name: &str, n: u8) -> Claimed {
        self.claim_by(PROJECT, name, wish(name, n))
    }

    fn granted(&self, name: &str, n: u8) -> Grant {
        match self.claim(name, n) {
            Claimed::Run(grant) => grant,
            other => panic!("{name} is ours to run: {other:?}"),
        }
    }

    fn complete(&self, name: &str, n: u8, result: &[u8]) -> Outcome {
        let call = Call::Complete {
            token: token(n),
            result: Some(result.to_vec()),
            retention: None,
        };
        self.on_claim(PROJECT, name, call).outcome
    }

    fn release(&self, name: &str, n: u8, after: Duration) -> Outcome {
        let call = Call::Release {
            token: token(n),
            successor: token(200 + n),
            retry_after: after,
            error: "the bank is closed".to_owned(),
        };
        self.on_claim(PROJECT, name, call).outcome
    }

    fn renew(&self, name: &str, n: u8) -> Answer {
        let call = Call::Renew {
            token: token(n),
            lease: None,
        };
        self.on_claim(PROJECT, name, call)
    }

    fn fail(&self, name: &str, n: u8) -> Outcome {
        let call = Call::Fail {
            token: token(n),
            error: "no such account".to_owned(),
            retention: None,
        };
        self.on_claim(PROJECT, name, call).outcome
    }

    fn entry(&self, project: ProjectId, name: &str) -> Option<Entry> {
        let store = self.store();
        let entry = self.fixture.wait(store.claim_entry(project, key(name)));
        entry.expect("the store is available")
    }

    fn keep(&self, name: &str, n: u8, step: &str, result: &[u8]) -> Kept {
        let step = Step {
            token: token(n),
            name: step.to_owned(),
            result: result.to_vec(),
        };
        let store = self.store();
        let kept = store.keep_claim_step(PROJECT, key(name), step);
        self.fixture.wait(kept).expect("the store is available")
    }

    fn step(&self, name: &str, generation: u32, step: &str) -> Option<Vec<u8>> {
        let store = self.store();
        let found = store.claim_step(PROJECT, key(name), generation, step.to_owned());
        self.fixture.wait(found).expect("the store is available")
    }

    fn sweep(&self, limit: usize) -> usize {
        let store = self.store();
        let swept = self.fixture.wait(store.sweep_claims(limit));
        swept.expect("the store is available")
    }
}

const FENCED: Outcome = Outcome::Held(Hold::Fenced);
const KEPT: Outcome = Outcome::Held(Hold::Kept);
const APPLIED: Outcome = Outcome::Completed(Completion::Applied);

fn done(result: &[u8]) -> Claimed {
    Claimed::Done {
        result: Some(result.to_vec()),
    }
}

/// L2, V1.
pub fn l2_a_claim_is_run_once_and_its_result_survives_a_crash<F: Fixture>() {
    let mut world = World::<F>::new();
    let grant = world.granted("evt_1", 1);
    assert_eq!((grant.attempt, grant.generation), (1, 1));
    assert_eq!(grant.origin, Origin::First);
    let retry_after = LEASE;
    assert_eq!(world.claim("evt_1", 2), Claimed::Busy { retry_after });
    assert_eq!(world.complete("evt_1", 1, b"paid"), APPLIED);
    world.fixture.crash();
    assert_eq!(world.claim("evt_1", 3), done(b"paid"));
    let again = Outcome::Completed(Completion::AlreadyComplete);
    assert_eq!(world.complete("evt_1", 1, b"twice"), again);
    assert_eq!(world.claim("evt_1", 4), done(b"paid"));
}

/// L2, V1: what people see of it.
pub fn l2_an_entry_keeps_everything_that_was_said<F: Fixture>() {
    let mut world = World::<F>::new();
    let long = "é".repeat(512);
    world.granted(&long, 1);
    assert_eq!(world.complete(&long, 1, &[7; 65_537]), APPLIED);
    world.fixture.crash();
    let entry = world.entry(PROJECT, &long).expect("it is kept");
    assert_eq!((entry.scope.as_str(), &entry.key), (SCOPE, &long));
    assert_eq!((entry.lease, entry.retention), (LEASE, WINDOW));
    let now_ms = u64::try_from(world.store().now().as_millis()).expect("it is past 1970");
    let seen = entry.sighting(now_ms).expect("it has not expired");
    assert_eq!(seen.state, StateName::Completed);
    assert_eq!(seen.fingerprint, Fingerprint::of(b"{}"));
    assert_eq!(seen.result, Some(vec![7; 65_537]));
    assert_eq!(seen.metadata, wish(&long, 1).metadata);
    assert_eq!(world.entry(STRANGER, &long), None);
    assert_eq!(world.entry(PROJECT, "another"), None);
}

/// L2: another payload is a conflict in every state.
pub fn l2_another_payload_is_a_conflict_however_far_the_first_is<F: Fixture>() {
    let world = World::<F>::new();
    let other = || {
        let fingerprint = Fingerprint::of(b"[]");
        let wish = wish("evt_1", 9);
        world.claim_by(
            PROJECT,
            "evt_1",
            Claim {
                fingerprint,
                ..wish
            },
        )
    };
    let conflict = |state| Claimed::Conflict { state };
    world.granted("evt_1", 1);
    assert_eq!(other(), conflict(StateName::Processing));
    assert_eq!(world.release("evt_1", 1, Duration::ZERO), KEPT);
    assert_eq!(other(), conflict(StateName::Released));
    world.granted("evt_1", 2);
    assert_eq!(world.fail("evt_1", 2), KEPT);
    assert_eq!(other(), conflict(StateName::Dead));
}

/// L2: many at once.
pub fn l2_of_many_at_once_exactly_one_runs<F: Fixture>() {
    let world = World::<F>::new();
    for round in ["first", "second"] {
        let claims: Vec<Claimed> = std::thread::scope(|scope| {
            let threads: Vec<_> = (1..=32)
                .map(|n| {
                    let world = &world;
                    scope.spawn(move || world.claim("evt_1", n))
                })
                .collect();
            let ended = threads.into_iter().map(|thread| thread.join());
            ended.map(|claimed| claimed.expect("no panic")).collect()
        });
        let run = |claimed: &&Claimed| matches!(claimed, Claimed::Run(_));
        let busy = |claimed: &&Claimed| matches!(claimed, Claimed::Busy { .. });
        assert_eq!(claims.iter().filter(run).count(), 1, "{round}: {claims:?}");
        assert_eq!(
            claims.iter().filter(busy).count(),
            31,
            "{round}: {claims:?}"
        );
        // The second round is one of takeovers.
        world.advance(PAST_THE_LEASE);
    }
}

/// L2: the first answer was lost.
pub fn l2_the_same_token_again_is_the_same_claim<F: Fixture>() {
    let world = World::<F>::new();
    let first = world.granted("evt_1", 1);
    assert_eq!(world.granted("evt_1", 1), first);
    assert!(matches!(world.claim("evt_1", 2), Claimed::Busy { .. }));
}

/// L2: nobody meets another project's claims.
pub fn l2_two_projects_never_meet<F: Fixture>() {
    let world = World::<F>::new();
    world.granted("evt_1", 1);
    let strange = world.claim_by(STRANGER, "evt_1", wish("evt_1", 2));
    assert!(matches!(strange, Claimed::Run(_)), "{strange:?}");
    assert_eq!(world.complete("evt_1", 1, b"ours"), APPLIED);
    let strange = world.claim_by(STRANGER, "evt_1", wish("evt_1", 3));
    assert!(matches!(strange, Claimed::Busy { .. }), "{strange:?}");
}

/// L2: a token that nobody gave out, and a claim that nobody made.
pub fn l2_what_was_never_claimed_is_gone<F: Fixture>() {
    let world = World::<F>::new();
    assert_eq!(world.complete("evt_1", 1, b"paid"), Outcome::Gone);
    assert_eq!(world.release("evt_1", 1, Duration::ZERO), Outcome::Gone);
    assert_eq!(world.renew("evt_1", 1).outcome, Outcome::Gone);
    assert_eq!(world.fail("evt_1", 1), Outcome::Gone);
    assert_eq!(world.entry(PROJECT, "evt_1"), None);
    assert_eq!(world.keep("evt_1", 1, "charge", b""), Kept::Fenced);
}

/// V2: lease and record are two things.
pub fn v2_a_lapsed_lease_is_taken_over_and_the_old_token_is_fenced<F: Fixture>() {
    let mut world = World::<F>::new();
    let first = world.granted("evt_1", 1);
    world.fixture.crash();
    assert!(matches!(world.claim("evt_1", 2), Claimed::Busy { .. }));
    world.advance(PAST_THE_LEASE);
    let second = world.granted("evt_1", 2);
    assert_eq!((second.attempt, second.origin), (2, Origin::Takeover));
    assert!(second.fence > first.fence);
    assert_eq!(world.release("evt_1", 1, Duration::ZERO), FENCED);
    assert_eq!(world.renew("evt_1", 1).outcome, FENCED);
    assert_eq!(world.fail("evt_1", 1), FENCED);
    let fenced = Outcome::Completed(Completion::Fenced);
    assert_eq!(world.complete("evt_1", 1, b"old"), fenced);
    assert_eq!(world.complete("evt_1", 2, b"new"), APPLIED);
    assert_eq!(world.claim("evt_1", 3), done(b"new"));
}

/// V2: refusing a slow success would make a second effect.
pub fn v2_a_slow_holder_completes_where_nobody_took_over<F: Fixture>() {
    let world = World::<F>::new();
    world.granted("evt_1", 1);
    world.advance(PAST_THE_LEASE);
    assert_eq!(world.complete("evt_1", 1, b"paid"), APPLIED);
    assert_eq!(world.claim("evt_1", 2), done(b"paid"));
}

/// V2: a renewal begins the lease anew.
pub fn v2_a_renewed_lease_holds<F: Fixture>() {
    let world = World::<F>::new();
    world.granted("evt_1", 1);
    world.advance(Millis::from_seconds(8));
    let renewed = world.renew("evt_1", 1);
    assert_eq!(renewed.outcome, KEPT);
    let end = world.store().now() + Millis::from_seconds(10);
    assert_eq!(renewed.until_ms, u64::try_from(end.as_millis()).ok());
    world.advance(Millis::from_seconds(8));
    assert!(matches!(world.claim("evt_1", 2), Claimed::Busy { .. }));
}

/// V2: a release ends the lease in place.
pub fn v2_a_release_keeps_the_count_and_waits<F: Fixture>() {
    let world = World::<F>::new();
    world.granted("evt_1", 1);
    assert_eq!(world.release("evt_1", 1, Duration::from_secs(5)), KEPT);
    assert_eq!(world.release("evt_1", 1, Duration::ZERO), FENCED);
    let retry_after = Duration::from_secs(5);
    assert_eq!(world.claim("evt_1", 2), Claimed::Busy { retry_after });
    world.advance(Millis::from_seconds(5));
    let second = world.granted("evt_1", 2);
    assert_eq!((second.attempt, second.origin), (2, Origin::Retry));
}

/// V1: the poison cap holds for those that are released and for those that die.
pub fn v1_an_event_whose_attempts_are_used_up_is_dead<F: Fixture>() {
    let mut world = World::<F>::new();
    world.granted("evt_1", 1);
    assert_eq!(world.release("evt_1", 1, Duration::ZERO), KEPT);
    world.granted("evt_1", 2);
    world.advance(PAST_THE_LEASE);
    world.granted("evt_1", 3);
    assert_eq!(world.release("evt_1", 3, Duration::ZERO), KEPT);
    let error = "gave up after 3 attempts: the bank is closed".to_owned();
    let dead = Claimed::Dead { error };
    assert_eq!(world.claim("evt_1", 4), dead);
    world.fixture.crash();
    assert_eq!(world.claim("evt_1", 5), dead);
}

/// L2: an operator's replay is the next generation, and somebody is named.
pub fn l2_a_replay_begins_the_next_generation_and_is_audited<F: Fixture>() {
    let mut world = World::<F>::new();
    let first = world.granted("evt_1", 1);
    assert_eq!(world.complete("evt_1", 1, b"paid"), APPLIED);
    let intent = Intent::Replay;
    let replay = |n| Claim {
        intent,
        ..wish("evt_1", n)
    };
    let Claimed::Run(grant) = world.claim_by(PROJECT, "evt_1", replay(2)) else {
        panic!("a replay runs what is completed")
    };
    assert_eq!((grant.generation, grant.attempt), (2, 1));
    assert!(grant.fence > first.fence);
    let busy = world.claim_by(PROJECT, "evt_1", replay(3));
    assert!(matches!(busy, Claimed::Busy { .. }), "{busy:?}");
    let entry = audit(&world);
    world.fixture.crash();
    let store = world.store();
    let log = world.fixture.wait(store.audit_log(PROJECT, 10));
    assert_eq!(log.expect("the store is available"), [entry]);
}

/// V1: recovery points.
pub fn v1_a_takeover_finds_the_steps_that_were_done<F: Fixture>() {
    let mut world = World::<F>::new();
    world.granted("evt_1", 1);
    assert_eq!(world.keep("evt_1", 1, "charge", b"ch_1"), Kept::Saved);
    assert_eq!(world.keep("evt_1", 1, "charge", b"ch_2"), Kept::Saved);
    assert_eq!(world.keep("evt_1", 7, "mail", b""), Kept::Fenced);
    world.fixture.crash();
    world.advance(PAST_THE_LEASE);
    world.granted("evt_1", 2);
    assert_eq!(world.keep("evt_1", 1, "mail", b"late"), Kept::Fenced);
    assert_eq!(world.step("evt_1", 1, "charge"), Some(b"ch_1".to_vec()));
    assert_eq!(world.step("evt_1", 1, "mail"), None);
    assert_eq!(world.step("evt_1", 2, "charge"), None);
    assert_eq!(world.complete("evt_1", 2, b"paid"), APPLIED);
    world.advance(PAST_THE_WINDOW);
    world.granted("evt_1", 3);
    assert_eq!(world.step("evt_1", 1, "charge"), None, "another record");
}

/// V6: expiry is judged by comparing times.
pub fn v6_an_expired_claim_is_free_whether_or_not_it_was_swept<F: Fixture>() {
    for swept in [false, true] {
        let world = World::<F>::new();
        let first = world.granted("evt_1", 1);
        assert_eq!(world.complete("evt_1", 1, b"paid"), APPLIED);
        world.advance(PAST_THE_WINDOW);
        if swept {
            world.sweep(10);
            assert_eq!(world.entry(PROJECT, "evt_1"), None);
        }
        let fingerprint = Fingerprint::of(b"[]");
        let wish = wish("evt_1", 2);
        let again = world.claim_by(
            PROJECT,
            "evt_1",
            Claim {
                fingerprint,
                ..wish
            },
        );
        let Claimed::Run(grant) = again else {
            panic!("its window is over: {again:?}")
        };
        assert_eq!(grant.attempt, 1);
        assert!(grant.fence > first.fence, "a fence never comes again");
        assert_eq!(world.release("evt_1", 1, Duration::ZERO), FENCED);
    }
}

/// V6: bounded, and only what is final and expired.
pub fn v6_a_sweep_is_bounded_and_takes_only_what_has_expired<F: Fixture>() {
    let world = World::<F>::new();
    for name in ["a", "b", "c"] {
        world.granted(name, 1);
        assert_eq!(world.keep(name, 1, "charge", b"paid"), Kept::Saved);
        assert_eq!(world.complete(name, 1, b"done"), APPLIED);
    }
    world.granted("dead", 1);
    assert_eq!(world.fail("dead", 1), KEPT);
    world.granted("processing", 1);
    world.granted("released", 1);
    assert_eq!(world.release("released", 1, Duration::ZERO), KEPT);
    world.advance(Millis::from_seconds(60));
    world.granted("young", 1);
    assert_eq!(world.complete("young", 1, b"done"), APPLIED);
    assert_eq!(world.sweep(10), 0);
    world.advance(Millis::from_seconds(3_570));
    // A backend may have swept by itself meanwhile, so that no more is left than there was.
    let (first, rest) = (world.sweep(2), world.sweep(10));
    assert!(first <= 2 && first + rest <= 4, "{first} and {rest}");
    for name in ["a", "b", "c", "dead"] {
        assert_eq!(world.entry(PROJECT, name), None, "{name}");
        assert_eq!(world.step(name, 1, "charge"), None, "{name}");
    }
    for name in ["processing", "released", "young"] {
        assert!(world.entry(PROJECT, name).is_some(), "{name}");
    }
}

/// C8: who is not answered can rely on nothing.
pub fn c8_a_closed_store_grants_no_claim<F: Fixture>() {
    let world = World::<F>::new();
    let store = world.store();
    world.fixture.wait(store.close()).expect("it closes");
    let call = Call::Claim {
        scope: SCOPE.to_owned(),
        key: "evt_1".to_owned(),
        wish: wish("evt_1", 1),
    };
    let answer = store.call_claim(PROJECT, key("evt_1"), call, audit(&world));
    assert!(world.fixture.wait(answer).is_err());
}

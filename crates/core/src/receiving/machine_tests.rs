//! Properties of the state machine: whatever is asked of it in whatever order, one token holds,
//! and nothing final is undone.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::receiving::claim::Metadata;
use crate::receiving::key::{Fingerprint, ScopeKey};

const RETENTION: Duration = Duration::from_millis(50);
const ATTEMPTS_MAX: u32 = 3;

#[derive(Debug, Clone)]
enum Step {
    Claim { fingerprint: u8, replay: bool },
    Complete { token: usize },
    Release { token: usize, after_ms: u64 },
    Renew { token: usize },
    Fail { token: usize },
    Pass { ms: u64 },
    Sweep,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let token = 0_usize..6;
    let step = prop_oneof![
        4 => (1_u8..3, prop::bool::weighted(0.1))
            .prop_map(|(fingerprint, replay)| Step::Claim { fingerprint, replay }),
        2 => token.clone().prop_map(|token| Step::Complete { token }),
        2 => (token.clone(), 0_u64..20)
            .prop_map(|(token, after_ms)| Step::Release { token, after_ms }),
        1 => token.clone().prop_map(|token| Step::Renew { token }),
        1 => token.prop_map(|token| Step::Fail { token }),
        3 => (0_u64..30).prop_map(|ms| Step::Pass { ms }),
        1 => Just(Step::Sweep),
    ];
    prop::collection::vec(step, 1..60)
}

/// The machine under a clock, with every token that was ever given out.
#[derive(Default)]
struct World {
    record: Option<Record>,
    now_ms: u64,
    fence: u64,
    tokens: Vec<Token>,
}

impl World {
    fn token(&self, index: usize) -> Token {
        let from_last = index % self.tokens.len().max(1);
        let at = self.tokens.len().checked_sub(1 + from_last);
        at.map_or(Token::from_bytes([0; 16]), |at| self.tokens[at])
    }

    fn write<T>(&mut self, change: Change<T>) -> T {
        if let Some(record) = change.write {
            self.record = Some(record);
        }
        change.answer
    }

    fn claim(&mut self, fingerprint: u8, replay: bool) -> Claimed {
        self.fence += 1;
        let number = u128::from(self.fence);
        let wish = Claim {
            key: ScopeKey::from_bytes([1; 32]),
            fingerprint: Fingerprint::from_bytes([fingerprint; 32]),
            token: Token::from_bytes(number.to_be_bytes()),
            lease: Duration::from_millis(10),
            attempts_max: ATTEMPTS_MAX,
            retention: RETENTION,
            intent: if replay {
                Intent::Replay
            } else {
                Intent::Delivery
            },
            metadata: Metadata::default(),
        };
        let at = Moment {
            now_ms: self.now_ms,
            next_fence: self.fence,
        };
        let change = claim(self.record.as_ref(), &wish, at);
        if matches!(change.answer, Claimed::Run(_)) {
            self.tokens.push(wish.token);
        }
        self.write(change)
    }

    fn take(&mut self, step: &Step) -> Heard {
        let now_ms = self.now_ms;
        match step {
            Step::Claim {
                fingerprint,
                replay,
            } => Heard::Claimed(self.claim(*fingerprint, *replay)),
            Step::Complete { token } => {
                let token = self.token(*token);
                let change = complete(self.record.as_ref(), &token, None, RETENTION, now_ms);
                Heard::Completed(token, self.write(change))
            }
            Step::Release { token, after_ms } => {
                let token = self.token(*token);
                self.fence += 1;
                let successor = Token::from_bytes(u128::from(self.fence).to_be_bytes());
                let after = Duration::from_millis(*after_ms);
                let change = release(self.record.as_ref(), &token, successor, after, "no", now_ms);
                Heard::Held(token, self.write(change))
            }
            Step::Renew { token } => {
                let token = self.token(*token);
                let lease = Duration::from_millis(10);
                let change = renew(self.record.as_ref(), &token, lease, now_ms);
                Heard::Held(token, self.write(change))
            }
            Step::Fail { token } => {
                let token = self.token(*token);
                let change = fail(self.record.as_ref(), &token, "no", RETENTION, now_ms);
                Heard::Held(token, self.write(change))
            }
            Step::Pass { ms } => {
                self.now_ms += ms;
                Heard::Nothing
            }
            Step::Sweep => {
                self.record.take_if(|record| record.is_expired(now_ms));
                Heard::Nothing
            }
        }
    }
}

#[derive(Debug)]
enum Heard {
    Claimed(Claimed),
    Completed(Token, Completion),
    Held(Token, Hold),
    Nothing,
}

proptest! {
    #[test]
    fn v2_whatever_happens_only_the_last_owner_can_settle(steps in steps()) {
        let mut world = World::default();
        for step in &steps {
            let before = world.record.clone();
            let heard = world.take(step);
            let owner = before.as_ref().map(|record| record.token);
            match heard {
                Heard::Completed(token, Completion::Applied) | Heard::Held(token, Hold::Kept) => {
                    prop_assert_eq!(owner, Some(token));
                    prop_assert_eq!(world.tokens.last(), Some(&token), "an older token settled");
                }
                Heard::Completed(_, Completion::AlreadyComplete | Completion::Fenced | Completion::Gone)
                | Heard::Held(_, Hold::Fenced) => prop_assert_eq!(&before, &world.record),
                Heard::Claimed(_) | Heard::Nothing => {}
            }
        }
    }

    #[test]
    fn v2_a_claim_runs_only_what_is_free(steps in steps()) {
        let mut world = World::default();
        for step in &steps {
            let before = world.record.clone();
            let now_ms = world.now_ms;
            let Heard::Claimed(Claimed::Run(grant)) = world.take(step) else {
                continue;
            };
            let Some(before) = before.filter(|before| !before.is_expired(now_ms)) else {
                prop_assert_eq!((grant.attempt, grant.generation), (1, 1));
                continue;
            };
            prop_assert!(grant.fence > before.fence);
            prop_assert!(grant.attempt <= ATTEMPTS_MAX);
            match before.state.waits_until_ms() {
                Some(until_ms) => {
                    prop_assert!(until_ms <= now_ms, "a live lease was taken over");
                    prop_assert_eq!(grant.attempt, before.attempt + 1);
                }
                None => {
                    prop_assert_eq!(grant.origin, Origin::Replay);
                    prop_assert_eq!(grant.generation, before.generation + 1);
                }
            }
        }
    }
}

#[test]
fn what_is_said_of_used_up_attempts_names_the_last_error() {
    assert_eq!(gave_up(8, None), "gave up after 8 attempts");
    assert_eq!(gave_up(8, Some("")), "gave up after 8 attempts");
    assert_eq!(gave_up(8, Some("no")), "gave up after 8 attempts: no");
    assert!(gave_up(8, Some(&"x".repeat(5_000))).len() <= ERROR_BYTES_MAX);
}

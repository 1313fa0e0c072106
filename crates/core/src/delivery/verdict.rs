//! What an attempt means for its delivery: delivered, tried again, held or given up.
//!
//! The receiver's receipt is the best witness, but only where it agrees with the status (O3); else
//! the status decides by the endpoint's policy (O7); and where nobody knows what the receiver did,
//! the endpoint says whether that may be risked (O5). The caller sends, measures and draws the
//! jitter; nothing here reads a clock.

use super::Reason;
use super::attempt::AttemptOutcome;
use super::control::{Passage, Sample};
use super::lifecycle::Next;
use crate::config::OnUncertain;
use crate::ids::EndpointId;
use crate::outgoing::Receipt;
use crate::retry::{RetryPolicy, Verdict as StatusVerdict};
use crate::time::Millis;

/// The wait after an `in-progress` that names none.
const IN_PROGRESS_WAIT: Millis = Millis::from_seconds(5);
/// The shortest wait after an `in-progress`, whatever it names.
const IN_PROGRESS_WAIT_MIN: Millis = Millis::from_seconds(1);
/// A wait after an `in-progress` is at least this part of the delivery's age. These attempts do not
/// count, so that only this keeps a receiver that always answers so from drawing endless ones.
const IN_PROGRESS_AGE_DIVISOR: i64 = 60;
/// A lease of a paused endpoint is given back for so long.
const PAUSED_WAIT: Millis = Millis::from_seconds(5);

/// Whether an endpoint takes anything at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Open,
    /// Not for now; what is due waits.
    Paused,
    /// Not until a person enables it.
    Disabled,
    /// It is no more.
    Deleted,
}

/// What is known of a leased delivery before its attempt.
#[derive(Debug, Clone, Copy)]
pub struct LeaseFacts<'a> {
    /// Where its endpoint stands.
    pub standing: Standing,
    /// Whether the attempt before was lost, so that its outcome is not known.
    pub lost_before: bool,
    /// What the endpoint wants of such a delivery.
    pub on_uncertain: OnUncertain,
    /// The endpoint's retry policy.
    pub retry: &'a RetryPolicy,
    /// Attempts that count, the one that the lease was given for included.
    pub attempts_spent: u32,
}

/// What to do under a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Make the attempt.
    Attempt,
    /// Make none, and give the lease back.
    GiveBack(Next),
}

/// How an attempt went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// The receiver answered.
    Answered {
        /// The status of its answer.
        status: u16,
        /// The wait that it asks for.
        retry_after: Option<Millis>,
        /// Its receipt.
        receipt: Option<Receipt>,
    },
    /// No byte of the request left: no name, no address, no connection.
    NotSent,
    /// The request left, at least in part, and no whole answer came.
    Uncertain,
}

/// What is known after an attempt.
#[derive(Debug, Clone, Copy)]
pub struct AttemptFacts<'a> {
    /// How it went.
    pub happened: Happened,
    /// The endpoint's retry policy.
    pub retry: &'a RetryPolicy,
    /// What the endpoint wants where the outcome is not known.
    pub on_uncertain: OnUncertain,
    /// Attempts that count, this one included.
    pub attempts_spent: u32,
    /// How long ago the maximum age began to run.
    pub age: Millis,
    /// Drawn from 0.0 to 1.0.
    pub jitter: f64,
}

/// What an attempt means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// For its record.
    pub outcome: AttemptOutcome,
    /// For its delivery.
    pub next: Next,
    /// For its endpoint: whether it takes nothing more until a person enables it.
    pub disable_endpoint: bool,
}

/// Whether a leased delivery is attempted at all.
///
/// What has to be held is held before anything else but the endpoint's end is asked: a delivery
/// that went back to the queue would be sent again, unasked, once its endpoint takes something.
pub fn before_attempt(facts: &LeaseFacts<'_>) -> Start {
    match facts.standing {
        Standing::Deleted => Start::GiveBack(Next::Cancel(Reason::EndpointDeleted)),
        Standing::Open | Standing::Paused | Standing::Disabled if facts.must_be_held() => {
            Start::GiveBack(Next::Hold(Reason::Uncertain))
        }
        Standing::Disabled => Start::GiveBack(Next::Fail(Reason::EndpointDisabled)),
        Standing::Paused => Start::GiveBack(Next::Retry {
            after: PAUSED_WAIT,
            counts: false,
        }),
        Standing::Open if facts.gone_on_too_long() => {
            Start::GiveBack(Next::Fail(Reason::AttemptsExhausted))
        }
        Standing::Open => Start::Attempt,
    }
}

/// What an attempt means for its delivery and its endpoint.
pub fn after_attempt(facts: &AttemptFacts<'_>) -> Verdict {
    match facts.happened {
        Happened::Answered {
            status,
            retry_after,
            receipt,
        } => facts.answered(status, retry_after, receipt),
        Happened::NotSent => Verdict::of(AttemptOutcome::Failed, facts.again(None)),
        Happened::Uncertain => {
            let next = match facts.on_uncertain {
                OnUncertain::Retry => facts.again(None),
                OnUncertain::Hold => Next::Hold(Reason::Uncertain),
            };
            Verdict::of(AttemptOutcome::Uncertain, next)
        }
    }
}

/// The same start, or over to `stand_in`: where the endpoint is disabled, or the delivery was
/// leased to go around it, as its circuit is open.
pub fn unless_elsewhere(
    start: Start,
    passage: Passage,
    stand_in: impl FnOnce() -> Option<EndpointId>,
) -> Start {
    match (start, passage) {
        (Start::GiveBack(next @ Next::Fail(_)), _) => Start::GiveBack(next.or_over_to(stand_in())),
        (Start::GiveBack(next), _) => Start::GiveBack(next),
        (Start::Attempt, Passage::Through) => Start::Attempt,
        (Start::Attempt, Passage::Around) => Start::GiveBack(stand_in().map_or(
            // It was taken away in this moment: the next lease finds none.
            Next::Retry {
                after: PAUSED_WAIT,
                counts: false,
            },
            Next::FailOver,
        )),
    }
}

/// What an attempt says of its endpoint. One that answers with a receipt that agrees with its
/// status works, whatever it makes of this delivery.
pub fn sample(happened: Happened, outcome: AttemptOutcome) -> Sample {
    let agrees = match happened {
        Happened::Answered {
            status, receipt, ..
        } => receipt.is_some_and(|receipt| receipt.agrees_with(status)),
        Happened::NotSent | Happened::Uncertain => false,
    };
    match outcome {
        AttemptOutcome::Delivered | AttemptOutcome::Rejected => Sample::Success,
        AttemptOutcome::Failed if agrees => Sample::Success,
        AttemptOutcome::Failed | AttemptOutcome::Uncertain | AttemptOutcome::InProgress => {
            Sample::Failure
        }
    }
}

impl LeaseFacts<'_> {
    /// Whether a person has to decide, as nobody knows what became of the attempt before (O5).
    fn must_be_held(&self) -> bool {
        match self.on_uncertain {
            OnUncertain::Hold => self.lost_before,
            OnUncertain::Retry => false,
        }
    }

    // A delivery whose attempts always take their node down would be recovered for ever, were the
    // lost attempts not held against the policy here: `after_attempt` never ran for them.
    fn gone_on_too_long(&self) -> bool {
        self.lost_before && self.attempts_spent > self.retry.max_attempts
    }
}

impl AttemptFacts<'_> {
    fn answered(
        &self,
        status: u16,
        retry_after: Option<Millis>,
        receipt: Option<Receipt>,
    ) -> Verdict {
        match receipt.filter(|receipt| receipt.agrees_with(status)) {
            Some(Receipt::Rejected) => Verdict::of(
                AttemptOutcome::Rejected,
                Next::Fail(Reason::RejectedByReceiver),
            ),
            Some(Receipt::InProgress) => {
                Verdict::of(AttemptOutcome::Failed, self.later(retry_after))
            }
            // A 2xx says the same.
            Some(Receipt::Processed | Receipt::Duplicate) | None => {
                self.by_status(status, retry_after)
            }
        }
    }

    fn by_status(&self, status: u16, retry_after: Option<Millis>) -> Verdict {
        match self.retry.action(status) {
            StatusVerdict::Success => Verdict::of(AttemptOutcome::Delivered, Next::Deliver),
            StatusVerdict::Retry => Verdict::of(AttemptOutcome::Failed, self.again(retry_after)),
            StatusVerdict::Fail => {
                Verdict::of(AttemptOutcome::Failed, Next::Fail(Reason::StatusIsFinal))
            }
            StatusVerdict::Disable => Verdict {
                disable_endpoint: true,
                ..Verdict::of(AttemptOutcome::Failed, Next::Fail(Reason::EndpointGone))
            },
        }
    }

    /// Another attempt by the policy, no earlier than the receiver asks for.
    fn again(&self, retry_after: Option<Millis>) -> Next {
        let Some(wait) = self.retry.delay(self.attempts_spent, self.jitter) else {
            return Next::Fail(Reason::AttemptsExhausted);
        };
        self.unless_too_old(wait.max(retry_after.unwrap_or(Millis::ZERO)), true)
    }

    /// Another attempt that costs none, as the receiver is still at work on an earlier one.
    fn later(&self, retry_after: Option<Millis>) -> Next {
        let asked = retry_after.unwrap_or(IN_PROGRESS_WAIT);
        let by_age = Millis::new(self.age.get() / IN_PROGRESS_AGE_DIVISOR);
        self.unless_too_old(asked.max(IN_PROGRESS_WAIT_MIN).max(by_age), false)
    }

    fn unless_too_old(&self, after: Millis, counts: bool) -> Next {
        if self.age + after > Millis::from_seconds(self.retry.max_age_seconds) {
            Next::Fail(Reason::TooOld)
        } else {
            Next::Retry { after, counts }
        }
    }
}

impl Verdict {
    const fn of(outcome: AttemptOutcome, next: Next) -> Self {
        Self {
            outcome,
            next,
            disable_endpoint: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(value: serde_json::Value) -> RetryPolicy {
        serde_json::from_value(value).unwrap()
    }

    fn three_tries() -> RetryPolicy {
        policy(json!({"schedule_seconds": [10, 20], "max_age_seconds": 1_000}))
    }

    fn facts(retry: &RetryPolicy, happened: Happened) -> AttemptFacts<'_> {
        AttemptFacts {
            happened,
            retry,
            on_uncertain: OnUncertain::Retry,
            attempts_spent: 1,
            age: Millis::ZERO,
            jitter: 0.0,
        }
    }

    fn answered(status: u16, receipt: Option<Receipt>) -> Happened {
        Happened::Answered {
            status,
            retry_after: None,
            receipt,
        }
    }

    fn retry(seconds: i64) -> Next {
        Next::Retry {
            after: Millis::from_seconds(seconds),
            counts: true,
        }
    }

    fn free_retry(seconds: i64) -> Next {
        Next::Retry {
            after: Millis::from_seconds(seconds),
            counts: false,
        }
    }

    fn lease_facts(retry: &RetryPolicy) -> LeaseFacts<'_> {
        LeaseFacts {
            standing: Standing::Open,
            lost_before: false,
            on_uncertain: OnUncertain::Retry,
            retry,
            attempts_spent: 1,
        }
    }

    #[test]
    fn o3_a_receipt_is_obeyed_only_where_it_agrees_with_the_status() {
        use AttemptOutcome::{Delivered, Failed, Rejected};
        use Receipt::{Duplicate, InProgress, Processed, Rejected as Refused};
        let rejected = Next::Fail(Reason::RejectedByReceiver);
        for (status, receipt, outcome, next) in [
            (200, Processed, Delivered, Next::Deliver),
            (204, Duplicate, Delivered, Next::Deliver),
            (200, InProgress, Delivered, Next::Deliver),
            (200, Refused, Delivered, Next::Deliver),
            (500, Processed, Failed, retry(10)),
            (409, Duplicate, Failed, retry(10)),
            (503, InProgress, Failed, free_retry(5)),
            (500, InProgress, Failed, retry(10)),
            (400, Refused, Rejected, rejected),
            (410, Refused, Rejected, rejected),
            (429, Refused, Rejected, rejected),
            (503, Refused, Failed, retry(10)),
        ] {
            let policy = three_tries();
            let verdict = after_attempt(&facts(&policy, answered(status, Some(receipt))));
            let wanted = Verdict::of(outcome, next);
            assert_eq!(verdict, wanted, "{status} {receipt}");
        }
    }

    #[test]
    fn an_endpoint_that_says_what_it_did_works_and_one_that_fails_or_is_silent_does_not() {
        use AttemptOutcome::{Delivered, Failed, Rejected, Uncertain};
        for (happened, outcome, wanted) in [
            (answered(200, None), Delivered, Sample::Success),
            (answered(500, None), Failed, Sample::Failure),
            (answered(404, None), Failed, Sample::Failure),
            (
                answered(503, Some(Receipt::InProgress)),
                Failed,
                Sample::Success,
            ),
            (
                answered(500, Some(Receipt::InProgress)),
                Failed,
                Sample::Failure,
            ),
            (
                answered(422, Some(Receipt::Rejected)),
                Rejected,
                Sample::Success,
            ),
            (Happened::NotSent, Failed, Sample::Failure),
            (Happened::Uncertain, Uncertain, Sample::Failure),
        ] {
            assert_eq!(sample(happened, outcome), wanted, "{happened:?}");
        }
    }

    #[test]
    fn what_cannot_go_to_its_endpoint_goes_over_to_the_stand_in_and_what_is_held_stays() {
        let other = EndpointId::from_number(2);
        let there = || Some(other);
        let over = Start::GiveBack(Next::FailOver(other));
        let disabled = Start::GiveBack(Next::Fail(Reason::EndpointDisabled));
        assert_eq!(unless_elsewhere(disabled, Passage::Through, there), over);
        assert_eq!(
            unless_elsewhere(disabled, Passage::Through, || None),
            disabled
        );
        let attempt = Start::Attempt;
        assert_eq!(unless_elsewhere(attempt, Passage::Through, there), attempt);
        assert_eq!(unless_elsewhere(attempt, Passage::Around, there), over);
        let held = Start::GiveBack(Next::Hold(Reason::Uncertain));
        assert_eq!(unless_elsewhere(held, Passage::Around, there), held);
    }

    #[test]
    fn o3_in_progress_burns_no_attempt_up_to_the_maximum_age() {
        let policy = three_tries();
        let asking = |seconds| Happened::Answered {
            status: 503,
            retry_after: seconds,
            receipt: Some(Receipt::InProgress),
        };
        for (spent, age_seconds, asked, next) in [
            (3, 0, None, free_retry(5)),
            (99, 0, None, free_retry(5)),
            (3, 0, Some(0), free_retry(1)),
            (3, 0, Some(40), free_retry(40)),
            (3, 600, None, free_retry(10)),
            (3, 600, Some(1), free_retry(10)),
            (3, 990, Some(10), Next::Fail(Reason::TooOld)),
            (3, 950, Some(50), free_retry(50)),
            (3, 950, Some(51), Next::Fail(Reason::TooOld)),
        ] {
            let facts = AttemptFacts {
                attempts_spent: spent,
                age: Millis::from_seconds(age_seconds),
                ..facts(&policy, asking(asked.map(Millis::from_seconds)))
            };
            let verdict = after_attempt(&facts);
            assert_eq!(
                verdict.next, next,
                "{spent} spent, {age_seconds} s, {asked:?}"
            );
        }
    }

    #[test]
    fn o5_an_unknown_outcome_is_retried_or_held_as_the_endpoint_wants() {
        let policy = three_tries();
        for (spent, on_uncertain, next) in [
            (1, OnUncertain::Retry, retry(10)),
            (2, OnUncertain::Retry, retry(20)),
            (3, OnUncertain::Retry, Next::Fail(Reason::AttemptsExhausted)),
            (1, OnUncertain::Hold, Next::Hold(Reason::Uncertain)),
            (3, OnUncertain::Hold, Next::Hold(Reason::Uncertain)),
        ] {
            let facts = AttemptFacts {
                attempts_spent: spent,
                on_uncertain,
                ..facts(&policy, Happened::Uncertain)
            };
            let wanted = Verdict::of(AttemptOutcome::Uncertain, next);
            assert_eq!(after_attempt(&facts), wanted, "{spent} {on_uncertain:?}");
        }
    }

    #[test]
    fn o5_what_never_left_is_failed_and_not_uncertain() {
        let policy = three_tries();
        let facts = AttemptFacts {
            on_uncertain: OnUncertain::Hold,
            ..facts(&policy, Happened::NotSent)
        };
        let wanted = Verdict::of(AttemptOutcome::Failed, retry(10));
        assert_eq!(after_attempt(&facts), wanted);
    }

    #[test]
    fn o5_after_a_lost_attempt_the_endpoint_decides() {
        let policy = three_tries();
        let lost = LeaseFacts {
            lost_before: true,
            attempts_spent: 3,
            ..lease_facts(&policy)
        };
        assert_eq!(before_attempt(&lost), Start::Attempt);
        let exhausted = LeaseFacts {
            attempts_spent: 4,
            ..lost
        };
        let given_up = Start::GiveBack(Next::Fail(Reason::AttemptsExhausted));
        assert_eq!(before_attempt(&exhausted), given_up);
        let held = LeaseFacts {
            on_uncertain: OnUncertain::Hold,
            ..lost
        };
        let hold = Start::GiveBack(Next::Hold(Reason::Uncertain));
        assert_eq!(before_attempt(&held), hold);
        let not_lost = LeaseFacts {
            lost_before: false,
            ..held
        };
        assert_eq!(before_attempt(&not_lost), Start::Attempt);
    }

    #[test]
    fn an_endpoint_that_takes_nothing_gets_nothing() {
        let policy = three_tries();
        for (standing, next) in [
            (Standing::Deleted, Next::Cancel(Reason::EndpointDeleted)),
            (Standing::Disabled, Next::Fail(Reason::EndpointDisabled)),
            (Standing::Paused, free_retry(5)),
        ] {
            let facts = LeaseFacts {
                standing,
                lost_before: true,
                ..lease_facts(&policy)
            };
            assert_eq!(before_attempt(&facts), Start::GiveBack(next));
        }
    }

    #[test]
    fn o5_a_lost_attempt_is_held_though_its_endpoint_takes_nothing_now() {
        let policy = three_tries();
        let hold = Next::Hold(Reason::Uncertain);
        for (standing, next) in [
            (Standing::Open, hold),
            (Standing::Paused, hold),
            (Standing::Disabled, hold),
            (Standing::Deleted, Next::Cancel(Reason::EndpointDeleted)),
        ] {
            let facts = LeaseFacts {
                standing,
                lost_before: true,
                on_uncertain: OnUncertain::Hold,
                ..lease_facts(&policy)
            };
            assert_eq!(
                before_attempt(&facts),
                Start::GiveBack(next),
                "{standing:?}"
            );
        }
    }

    #[test]
    fn o7_the_status_decides_by_the_policy() {
        let gone = Next::Fail(Reason::EndpointGone);
        let is_final = Next::Fail(Reason::StatusIsFinal);
        for (on_status, status, next, disables) in [
            (json!({}), 200, Next::Deliver, false),
            (json!({}), 302, retry(10), false),
            (json!({}), 404, retry(10), false),
            (json!({}), 500, retry(10), false),
            (json!({}), 410, gone, true),
            (json!({"410": "retry"}), 410, retry(10), false),
            (json!({"410": "fail"}), 410, is_final, false),
            (json!({"4xx": "fail", "429": "retry"}), 404, is_final, false),
            (
                json!({"4xx": "fail", "429": "retry"}),
                429,
                retry(10),
                false,
            ),
            (json!({"404": "disable"}), 404, gone, true),
        ] {
            let policy = policy(json!({"schedule_seconds": [10], "on_status": on_status}));
            let verdict = after_attempt(&facts(&policy, answered(status, None)));
            assert_eq!(
                (verdict.next, verdict.disable_endpoint),
                (next, disables),
                "{status}"
            );
        }
    }

    #[test]
    fn o7_attempts_and_age_are_bounded() {
        let policy = three_tries();
        for (spent, age_seconds, next) in [
            (1, 0, retry(10)),
            (2, 0, retry(20)),
            (3, 0, Next::Fail(Reason::AttemptsExhausted)),
            (1, 990, retry(10)),
            (1, 991, Next::Fail(Reason::TooOld)),
            (3, 991, Next::Fail(Reason::AttemptsExhausted)),
        ] {
            let facts = AttemptFacts {
                attempts_spent: spent,
                age: Millis::from_seconds(age_seconds),
                ..facts(&policy, answered(500, None))
            };
            assert_eq!(
                after_attempt(&facts).next,
                next,
                "{spent} spent, {age_seconds} s"
            );
        }
    }

    #[test]
    fn o7_retry_after_is_a_minimum() {
        let policy = three_tries();
        for (asked, next) in [
            (5, retry(10)),
            (10, retry(10)),
            (300, retry(300)),
            (1_001, Next::Fail(Reason::TooOld)),
        ] {
            let happened = Happened::Answered {
                status: 429,
                retry_after: Some(Millis::from_seconds(asked)),
                receipt: None,
            };
            assert_eq!(
                after_attempt(&facts(&policy, happened)).next,
                next,
                "{asked}"
            );
        }
    }

    #[test]
    fn o7_jitter_lengthens_the_wait() {
        let policy = three_tries();
        let facts = AttemptFacts {
            jitter: 1.0,
            ..facts(&policy, Happened::NotSent)
        };
        assert_eq!(after_attempt(&facts).next, retry(12));
    }
}

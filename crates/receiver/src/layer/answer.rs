//! What is answered, as a table: facts in, answer out.
//!
//! | outcome | webhook mode | API mode |
//! |---|---|---|
//! | ran, and did its work | the handler's answer | the handler's answer |
//! | done before | 200 with the stored body, `idempotency-replayed: true` | the stored answer, marked |
//! | done before, answer not kept | 200, empty | 409 |
//! | busy | 503 with `Retry-After` | 409 with `Retry-After` |
//! | another payload | 200, flagged `payload_mismatch`; or 409 | 409, or 422 |
//! | no key | 400; or by the body's hash; or unprotected | the same |
//! | a key that is none | 400 | 400 |
//! | failed, may be tried again | 503 with `Retry-After` | the handler's answer |
//! | failed for good, now | the handler's answer | 500 |
//! | failed for good, before | 200; or 410 | 500 |
//! | the lease was lost | 503 with `Retry-After` | 409 with `Retry-After` |
//! | the store does not answer | 503 | 503 |
//! | not verified | 401 | 401 |
//!
//! An attempt whose completion could not be recorded is answered with the handler's success: the
//! effect has happened, and a refusal would make sure that it happens again.

use std::time::Duration;

use hooklatch_core::outgoing::Receipt;

/// How requests are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// Who calls.
    pub mode: AnswerMode,
    /// What follows where a request has no key.
    pub keyless: Keyless,
    /// What follows where a key comes with another payload.
    pub conflict: OnConflict,
    /// What is said of an event that has failed for good.
    pub dead: OnDead,
}

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AnswerMode {
    /// A provider, or the gateway: it repeats whatever is not a 2xx.
    #[default]
    Webhook,
    /// A client of an API, with an `Idempotency-Key`.
    Api,
}

/// What follows where a request has no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keyless {
    /// 400.
    #[default]
    Reject,
    /// The hash of its body is its key.
    Content,
    /// The handler runs, each time, and an event says so.
    Unprotected,
}

/// What follows where a key comes with another payload. A person should look in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnConflict {
    /// 200 and flagged to a provider, which would repeat it for ever; 409 to a client.
    #[default]
    ByMode,
    /// 409.
    Reject,
    /// 422, as the draft of the header `Idempotency-Key` has it.
    Unprocessable,
}

/// What is said to a provider of an event that has failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDead {
    /// 200, so that it stops.
    #[default]
    Accept,
    /// 410. Some providers disable the whole endpoint after that.
    Gone,
}

/// What happened to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The handler ran and answered with this status.
    Ran(u16),
    /// It has run before.
    Done {
        /// The stored status, if the answer was kept.
        kept: Option<u16>,
    },
    /// It is being run, or it was released until later.
    Busy(Duration),
    /// The key is known with another payload.
    Conflict,
    /// There is no key.
    NoKey,
    /// The key is none.
    BadKey,
    /// The handler failed, with this status if it came to one; it may be tried again.
    Failed(Option<u16>, Duration),
    /// The handler failed for good, with this status if it came to one.
    Died(Option<u16>),
    /// It failed for good before.
    Dead,
    /// Somebody else took over.
    LeaseLost(Duration),
    /// The store does not answer.
    Unavailable,
    /// Not from whom it says.
    Unverified,
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// What it says.
    pub content: Content,
    /// When to come again.
    pub retry_after: Option<Duration>,
    /// The receiver's word to the gateway; only where it agrees with the status (O3).
    pub receipt: Option<Receipt>,
}

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// What the handler said.
    Handler,
    /// What it said then.
    Stored,
    /// This, for people.
    Text(&'static str),
    /// Nothing.
    Empty,
    /// Nothing but a flag for whoever looks at the provider's log.
    Flagged,
}

/// Looks the answer up.
pub fn answer(settled: Settled, policy: Policy) -> Answer {
    let answer = match policy.mode {
        AnswerMode::Webhook => webhook(settled, policy),
        AnswerMode::Api => api(settled, policy),
    };
    Answer {
        receipt: answer
            .receipt
            .filter(|receipt| receipt.agrees_with(answer.status)),
        ..answer
    }
}

fn webhook(settled: Settled, policy: Policy) -> Answer {
    match settled {
        Settled::Ran(status) => said(status, Content::Handler, Some(Receipt::Processed)),
        Settled::Done { kept: Some(_) } => said(200, Content::Stored, Some(Receipt::Duplicate)),
        Settled::Done { kept: None } => said(200, Content::Empty, Some(Receipt::Duplicate)),
        Settled::Busy(after) => later(503, after, "this event is being worked on", BUSY),
        Settled::Conflict => match policy.conflict {
            OnConflict::ByMode => said(200, Content::Flagged, Some(Receipt::Duplicate)),
            OnConflict::Reject => refused(409, MISMATCH),
            OnConflict::Unprocessable => refused(422, MISMATCH),
        },
        Settled::Failed(_, after) => later(503, after, "the work failed; come again", None),
        Settled::Died(Some(status)) if (400..=499).contains(&status) => {
            said(status, Content::Handler, Some(Receipt::Rejected))
        }
        Settled::Died(_) | Settled::Dead => match policy.dead {
            // No receipt: it was neither processed, nor is it a duplicate of what was.
            OnDead::Accept => said(200, Content::Empty, None),
            OnDead::Gone => refused(410, "this event has failed for good"),
        },
        Settled::LeaseLost(after) => later(503, after, "this event is being worked on", BUSY),
        Settled::NoKey | Settled::BadKey | Settled::Unavailable | Settled::Unverified => {
            either(settled)
        }
    }
}

fn api(settled: Settled, policy: Policy) -> Answer {
    match settled {
        Settled::Ran(status) => said(status, Content::Handler, Some(Receipt::Processed)),
        Settled::Done { kept: Some(status) } => {
            said(status, Content::Stored, Some(Receipt::Duplicate))
        }
        Settled::Done { kept: None } => refused(
            409,
            "this request has been carried out; its answer was too large to be kept",
        ),
        Settled::Busy(after) | Settled::LeaseLost(after) => {
            later(409, after, "this request is being carried out", BUSY)
        }
        Settled::Conflict => match policy.conflict {
            OnConflict::ByMode | OnConflict::Reject => refused(409, MISMATCH),
            OnConflict::Unprocessable => refused(422, MISMATCH),
        },
        Settled::Failed(Some(status), _) => said(status, Content::Handler, None),
        Settled::Failed(None, after) => later(503, after, "the work failed; come again", None),
        Settled::Died(_) | Settled::Dead => refused(500, "this request has failed for good"),
        Settled::NoKey | Settled::BadKey | Settled::Unavailable | Settled::Unverified => {
            either(settled)
        }
    }
}

const MISMATCH: &str = "this key was used with another payload";
const BUSY: Option<Receipt> = Some(Receipt::InProgress);

/// What is the same in both modes.
fn either(settled: Settled) -> Answer {
    match settled {
        Settled::NoKey => refused(400, "the request has no idempotency key"),
        Settled::BadKey => refused(400, "the idempotency key is too long"),
        Settled::Unverified => said(401, Content::Text("the signature does not match"), None),
        // Every other outcome has an answer of its own in each mode.
        Settled::Unavailable
        | Settled::Ran(_)
        | Settled::Done { .. }
        | Settled::Busy(_)
        | Settled::Conflict
        | Settled::Failed(..)
        | Settled::Died(_)
        | Settled::Dead
        | Settled::LeaseLost(_) => later(
            503,
            Duration::from_secs(1),
            "nothing was done; repeating is safe",
            None,
        ),
    }
}

const fn said(status: u16, content: Content, receipt: Option<Receipt>) -> Answer {
    Answer {
        status,
        content,
        retry_after: None,
        receipt,
    }
}

const fn refused(status: u16, text: &'static str) -> Answer {
    said(status, Content::Text(text), Some(Receipt::Rejected))
}

const fn later(
    status: u16,
    after: Duration,
    text: &'static str,
    receipt: Option<Receipt>,
) -> Answer {
    Answer {
        status,
        content: Content::Text(text),
        retry_after: Some(after),
        receipt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(9);
    const ALL: [Settled; 16] = [
        Settled::Ran(201),
        Settled::Done { kept: Some(201) },
        Settled::Done { kept: None },
        Settled::Busy(AFTER),
        Settled::Conflict,
        Settled::NoKey,
        Settled::BadKey,
        Settled::Failed(Some(500), AFTER),
        Settled::Failed(None, AFTER),
        Settled::Died(Some(404)),
        Settled::Died(Some(500)),
        Settled::Died(None),
        Settled::Dead,
        Settled::LeaseLost(AFTER),
        Settled::Unavailable,
        Settled::Unverified,
    ];

    fn statuses(policy: Policy) -> [u16; 16] {
        ALL.map(|settled| answer(settled, policy).status)
    }

    #[test]
    fn v5_a_provider_gets_a_success_or_a_reason_to_come_again() {
        let statuses = statuses(Policy::default());
        let expected = [
            201, 200, 200, 503, 200, 400, 400, 503, 503, 404, 200, 200, 200, 503, 503, 401,
        ];
        assert_eq!(statuses, expected);
    }

    #[test]
    fn v5_a_client_gets_what_happened() {
        let policy = Policy {
            mode: AnswerMode::Api,
            ..Policy::default()
        };
        let expected = [
            201, 201, 409, 409, 409, 400, 400, 500, 503, 500, 500, 500, 500, 409, 503, 401,
        ];
        assert_eq!(statuses(policy), expected);
    }

    #[test]
    fn v5_policies_change_what_they_are_about() {
        let policy = Policy {
            conflict: OnConflict::Unprocessable,
            dead: OnDead::Gone,
            ..Policy::default()
        };
        assert_eq!(answer(Settled::Conflict, policy).status, 422);
        assert_eq!(answer(Settled::Dead, policy).status, 410);
        assert_eq!(
            answer(Settled::Dead, policy).receipt,
            Some(Receipt::Rejected)
        );
    }

    #[test]
    fn o3_a_receipt_always_agrees_with_its_status() {
        for mode in [AnswerMode::Webhook, AnswerMode::Api] {
            for settled in ALL {
                let policy = Policy {
                    mode,
                    ..Policy::default()
                };
                let answer = answer(settled, policy);
                if let Some(receipt) = answer.receipt {
                    assert!(receipt.agrees_with(answer.status), "{settled:?} {answer:?}");
                }
            }
        }
        let busy = answer(Settled::Busy(AFTER), Policy::default());
        assert_eq!((busy.receipt, busy.retry_after), (BUSY, Some(AFTER)));
        assert_eq!(answer(Settled::Dead, Policy::default()).receipt, None);
    }
}

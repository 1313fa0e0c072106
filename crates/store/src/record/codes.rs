//! The stable numbers under which stores keep our enums. A number is never used again.

use hooklatch_core::cause::Cause;
use hooklatch_core::claim::ClaimKind;
use hooklatch_core::delivery::attempt::AttemptOutcome;
use hooklatch_core::delivery::{DeliveryStatus, Reason, Trigger};
use hooklatch_core::message::{Direction, Effect, Origin, RequestOutcome};
use hooklatch_core::replay::ReplayStatus;

use super::Unreadable;
use crate::ConfigKind;

/// Something that is kept as a number. The numbers are a stored format.
pub trait Code: Sized {
    /// Its number.
    fn code(self) -> i64;

    /// What has this number.
    ///
    /// # Errors
    /// Where nothing has it.
    fn of_code(code: i64) -> Result<Self, Unreadable>;
}

macro_rules! codes {
    ($($name:ident { $($variant:ident = $code:literal,)* })*) => {$(
        impl Code for $name {
            fn code(self) -> i64 {
                match self {
                    $(Self::$variant => $code,)*
                }
            }

            fn of_code(code: i64) -> Result<Self, Unreadable> {
                match code {
                    $($code => Ok(Self::$variant),)*
                    other => {
                        let kind = stringify!($name);
                        Err(Unreadable(format!("no {kind} has the number {other}")))
                    }
                }
            }
        }
    )*};
}
codes! {
    Direction { Inbound = 0, Outbound = 1, }
    Origin {
        Accepted = 0, Released = 1, Conflicting = 2, Replayed = 3, Copied = 4, CopiedDerived = 5,
    }
    RequestOutcome { Accepted = 0, Duplicate = 1, Conflict = 2, Rejected = 3, }
    Effect {
        Routed = 0, NoRoute = 1, Suppressed = 2, Redriven = 3, Rerouted = 4, Held = 5,
        Released = 6, Discarded = 7, None = 8,
    }
    Cause {
        Concurrent = 0, ProducerRetry = 1, ProviderRetry = 2, ProviderResend = 3,
        SecondRoute = 4, Unknown = 5,
    }
    ClaimKind { Key = 0, LookAlike = 1, }
    DeliveryStatus {
        Pending = 0, Delivering = 1, Delivered = 2, Failed = 3, Held = 4, Cancelled = 5,
    }
    AttemptOutcome { Delivered = 0, Failed = 1, Uncertain = 2, InProgress = 3, Rejected = 4, }
    Trigger {
        First = 0, Retry = 1, Manual = 2, Redrive = 3, Recovery = 4, Replay = 5, Failover = 6,
    }
    ReplayStatus {
        Planning = 0, Running = 1, Ready = 2, Paused = 3, Done = 4, Cancelled = 5,
    }
    Reason {
        AttemptsExhausted = 0, TooOld = 1, StatusIsFinal = 2, RejectedByReceiver = 3,
        EndpointGone = 4, EndpointDisabled = 5, EndpointDeleted = 6, Uncertain = 7,
        CancelledByPerson = 8, TransformFailed = 9,
    }
    ConfigKind {
        Project = 1, ApiKey = 2, Source = 3, Group = 4, Endpoint = 5, Connection = 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_that_core_and_the_contract_promise() {
        for code in 0..6 {
            let status = DeliveryStatus::of_code(code).unwrap();
            assert_eq!(status.code(), code);
            assert_eq!(Code::code(status), code);
        }
        for code in 0..5 {
            let outcome = AttemptOutcome::of_code(code).unwrap();
            assert_eq!(outcome.code(), code);
            assert_eq!(Code::code(outcome), code);
        }
        for code in 0..6 {
            let status = ReplayStatus::of_code(code).unwrap();
            assert_eq!(status.code(), code);
            assert_eq!(Code::code(status), code);
        }
        for kind in ConfigKind::ALL {
            assert_eq!(kind.code(), kind as i64);
        }
    }

    #[test]
    fn an_unknown_number_is_unreadable() {
        assert!(Effect::of_code(99).is_err());
    }
}

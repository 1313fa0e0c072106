//! When a failed attempt is tried again, and when it is not (O7).
//!
//! Receivers fail in two ways: for a moment, which the first delays bridge, or for a night, which
//! the last ones outlive. A policy turns the number of attempts used and the status of the last
//! one into a verdict and a delay; the caller draws the jitter and adds the delay to its clock.

mod after;
mod status;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use after::retry_after;
pub use status::{StatusAction, StatusPattern, StatusPatternError};

use crate::config::FieldError;
use crate::limits::{
    ATTEMPTS_DEFAULT, ATTEMPTS_MAX, DELIVERY_AGE_SECONDS_DEFAULT, DELIVERY_AGE_SECONDS_MAX,
    RETRY_DELAY_SECONDS_MAX, STATUS_RULES_MAX,
};
use crate::time::{Millis, Timestamp};

/// 5 s, 30 s, 2 min, 10 min, 30 min, 2 h, 6 h, 12 h, 24 h, 24 h.
const DEFAULT_SCHEDULE: [i64; 10] = [
    5, 30, 120, 600, 1_800, 7_200, 21_600, 43_200, 86_400, 86_400,
];
const DEFAULT_BASE_SECONDS: i64 = 30;
/// The most that jitter adds to a delay. It never shortens one: a receiver that asks for a pause
/// gets at least that pause.
const JITTER_SHARE: f64 = 0.2;

/// How an endpoint's failed attempts are repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct RetryPolicy {
    /// How long to wait before each further attempt.
    pub strategy: Strategy,
    /// Attempts in all, the first one included.
    pub max_attempts: u32,
    /// No attempt starts when the delivery is older than this.
    pub max_age_seconds: i64,
    /// What to do on a status, where it differs from the default. An exact status beats its class.
    pub on_status: BTreeMap<StatusPattern, StatusAction>,
}

/// How the waits between attempts grow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strategy {
    /// The base, doubled after each further attempt, and never more than 24 hours.
    Exponential {
        /// The wait after the first attempt.
        base_seconds: i64,
    },
    /// Always the same wait.
    Fixed {
        /// The wait after each attempt.
        base_seconds: i64,
    },
    /// One wait after another; the last one repeats if attempts are left.
    Schedule {
        /// The waits in their order.
        schedule_seconds: Vec<i64>,
    },
}

/// What the status of an answer means for its delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver has it.
    Success,
    /// Try again, if an attempt is left.
    Retry,
    /// No more tries of this delivery.
    Fail,
    /// No more tries, and nothing else for this endpoint until a person enables it.
    Disable,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            strategy: Strategy::Schedule {
                schedule_seconds: DEFAULT_SCHEDULE.to_vec(),
            },
            max_attempts: ATTEMPTS_DEFAULT,
            max_age_seconds: DELIVERY_AGE_SECONDS_DEFAULT,
            on_status: BTreeMap::new(),
        }
    }
}

impl RetryPolicy {
    /// What an answer with this status means: 2xx is success, 410 disables the endpoint, all else
    /// is tried again, unless `on_status` says otherwise.
    pub fn action(&self, status: u16) -> Verdict {
        if (200..=299).contains(&status) {
            return Verdict::Success;
        }
        let class = StatusPattern::Class((status / 100) as u8);
        let named = self.on_status.get(&StatusPattern::Exact(status));
        match named.or_else(|| self.on_status.get(&class)) {
            Some(StatusAction::Retry) => Verdict::Retry,
            Some(StatusAction::Fail) => Verdict::Fail,
            Some(StatusAction::Disable) => Verdict::Disable,
            None if status == 410 => Verdict::Disable,
            None => Verdict::Retry,
        }
    }

    /// How long to wait after `attempts_used` attempts (1 is after the first), or `None` when no
    /// attempt is left. `jitter` is drawn by the caller from 0.0 to 1.0.
    pub fn delay(&self, attempts_used: u32, jitter: f64) -> Option<Millis> {
        if attempts_used >= self.max_attempts {
            return None;
        }
        let wait = Millis::from_seconds(self.wait_seconds(attempts_used.saturating_sub(1)));
        let share = if jitter.is_finite() {
            jitter.clamp(0.0, 1.0)
        } else {
            0.0
        };
        Some(wait + Millis::new((wait.get() as f64 * JITTER_SHARE * share) as i64))
    }

    /// The moment from which on a delivery that was made at `created` is not attempted any more.
    pub fn gives_up_at(&self, created: Timestamp) -> Timestamp {
        created + Millis::from_seconds(self.max_age_seconds)
    }

    /// Every field outside its bounds, with pointers relative to the policy.
    pub fn validate(&self) -> Result<(), Vec<FieldError>> {
        let mut errors = Vec::new();
        self.strategy.check(&mut errors);
        if !(1..=ATTEMPTS_MAX).contains(&self.max_attempts) {
            let detail = format!("must be from 1 to {ATTEMPTS_MAX}");
            errors.push(FieldError::new("/max_attempts", detail));
        }
        if !(1..=DELIVERY_AGE_SECONDS_MAX).contains(&self.max_age_seconds) {
            let detail = format!("must be from 1 to {DELIVERY_AGE_SECONDS_MAX} seconds");
            errors.push(FieldError::new("/max_age_seconds", detail));
        }
        if self.on_status.len() > STATUS_RULES_MAX {
            let detail = format!("may name at most {STATUS_RULES_MAX} statuses");
            errors.push(FieldError::new("/on_status", detail));
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }

    fn wait_seconds(&self, step: u32) -> i64 {
        let seconds = match &self.strategy {
            Strategy::Exponential { base_seconds } => {
                base_seconds.saturating_mul(1_i64.checked_shl(step.min(40)).unwrap_or(i64::MAX))
            }
            Strategy::Fixed { base_seconds } => *base_seconds,
            Strategy::Schedule { schedule_seconds } => {
                let step = schedule_seconds
                    .get(step as usize)
                    .or(schedule_seconds.last());
                step.copied().unwrap_or(DEFAULT_BASE_SECONDS)
            }
        };
        seconds.clamp(0, RETRY_DELAY_SECONDS_MAX)
    }
}

impl Strategy {
    fn check(&self, errors: &mut Vec<FieldError>) {
        match self {
            Self::Exponential { base_seconds } | Self::Fixed { base_seconds } => {
                if !(1..=RETRY_DELAY_SECONDS_MAX).contains(base_seconds) {
                    let detail = format!("must be from 1 to {RETRY_DELAY_SECONDS_MAX}");
                    errors.push(FieldError::new("/base_seconds", detail));
                }
            }
            Self::Schedule { schedule_seconds } => check_schedule(schedule_seconds, errors),
        }
    }
}

fn check_schedule(schedule: &[i64], errors: &mut Vec<FieldError>) {
    if schedule.is_empty() || schedule.len() >= ATTEMPTS_MAX as usize {
        let detail = format!("must have from 1 to {} waits", ATTEMPTS_MAX - 1);
        errors.push(FieldError::new("/schedule_seconds", detail));
        return;
    }
    for (position, wait) in schedule.iter().enumerate() {
        if !(0..=RETRY_DELAY_SECONDS_MAX).contains(wait) {
            let detail = format!("must be from 0 to {RETRY_DELAY_SECONDS_MAX}");
            errors.push(FieldError::new(
                format!("/schedule_seconds/{position}"),
                detail,
            ));
        }
    }
}

/// The policy as clients write and read it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    #[serde(skip_serializing_if = "Option::is_none")]
    strategy: Option<StrategyName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule_seconds: Option<Vec<i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age_seconds: Option<i64>,
    #[serde(default)]
    on_status: BTreeMap<StatusPattern, StatusAction>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StrategyName {
    Exponential,
    Fixed,
    Schedule,
}

#[derive(Debug, thiserror::Error)]
enum WireError {
    #[error("base_seconds belongs to the strategies \"exponential\" and \"fixed\": name one")]
    Base,
    #[error("schedule_seconds belongs to the strategy \"schedule\" alone")]
    Schedule,
    #[error("the strategy \"schedule\" needs schedule_seconds, a list of waits in seconds")]
    NoSchedule,
}

impl TryFrom<Wire> for RetryPolicy {
    type Error = WireError;

    fn try_from(wire: Wire) -> Result<Self, WireError> {
        let attempts = match &wire.schedule_seconds {
            Some(waits) => u32::try_from(waits.len())
                .unwrap_or(u32::MAX)
                .saturating_add(1),
            None => ATTEMPTS_DEFAULT,
        };
        Ok(Self {
            max_attempts: wire.max_attempts.unwrap_or(attempts),
            max_age_seconds: wire.max_age_seconds.unwrap_or(DELIVERY_AGE_SECONDS_DEFAULT),
            strategy: strategy(wire.strategy, wire.base_seconds, wire.schedule_seconds)?,
            on_status: wire.on_status,
        })
    }
}

fn strategy(
    name: Option<StrategyName>,
    base_seconds: Option<i64>,
    schedule_seconds: Option<Vec<i64>>,
) -> Result<Strategy, WireError> {
    let base = base_seconds.unwrap_or(DEFAULT_BASE_SECONDS);
    match (name, schedule_seconds) {
        (Some(StrategyName::Exponential | StrategyName::Fixed), Some(_)) => {
            Err(WireError::Schedule)
        }
        (Some(StrategyName::Exponential), None) => Ok(Strategy::Exponential { base_seconds: base }),
        (Some(StrategyName::Fixed), None) => Ok(Strategy::Fixed { base_seconds: base }),
        (Some(StrategyName::Schedule) | None, _) if base_seconds.is_some() => Err(WireError::Base),
        (Some(StrategyName::Schedule) | None, Some(schedule_seconds)) => {
            Ok(Strategy::Schedule { schedule_seconds })
        }
        (Some(StrategyName::Schedule), None) => Err(WireError::NoSchedule),
        (None, None) => Ok(RetryPolicy::default().strategy),
    }
}

impl From<RetryPolicy> for Wire {
    fn from(policy: RetryPolicy) -> Self {
        let (strategy, base_seconds, schedule_seconds) = match policy.strategy {
            Strategy::Exponential { base_seconds } => {
                (StrategyName::Exponential, Some(base_seconds), None)
            }
            Strategy::Fixed { base_seconds } => (StrategyName::Fixed, Some(base_seconds), None),
            Strategy::Schedule { schedule_seconds } => {
                (StrategyName::Schedule, None, Some(schedule_seconds))
            }
        };
        Self {
            strategy: Some(strategy),
            base_seconds,
            schedule_seconds,
            max_attempts: Some(policy.max_attempts),
            max_age_seconds: Some(policy.max_age_seconds),
            on_status: policy.on_status,
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

    fn seconds(policy: &RetryPolicy) -> Vec<i64> {
        (1..)
            .map_while(|used| policy.delay(used, 0.0))
            .map(|wait| wait.get() / 1_000)
            .collect()
    }

    #[test]
    fn o7_the_default_is_eleven_attempts_over_three_days() {
        let default = RetryPolicy::default();
        assert_eq!(seconds(&default), DEFAULT_SCHEDULE);
        assert_eq!(default.max_attempts, 11);
        assert_eq!(default.max_age_seconds, 604_800);
        assert_eq!(policy(json!({})), default);
        assert!(default.validate().is_ok());
    }

    #[test]
    fn o7_every_status_has_its_default_verdict() {
        let default = RetryPolicy::default();
        for (status, verdict) in [
            (200, Verdict::Success),
            (204, Verdict::Success),
            (299, Verdict::Success),
            (301, Verdict::Retry),
            (304, Verdict::Retry),
            (400, Verdict::Retry),
            (404, Verdict::Retry),
            (410, Verdict::Disable),
            (429, Verdict::Retry),
            (500, Verdict::Retry),
            (503, Verdict::Retry),
            (999, Verdict::Retry),
        ] {
            assert_eq!(default.action(status), verdict, "{status}");
        }
    }

    #[test]
    fn o7_an_exact_status_beats_its_class() {
        let policy = policy(json!({"on_status": {
            "4xx": "fail", "429": "retry", "503": "disable", "410": "retry", "3xx": "fail",
        }}));
        for (status, verdict) in [
            (404, Verdict::Fail),
            (429, Verdict::Retry),
            (410, Verdict::Retry),
            (301, Verdict::Fail),
            (503, Verdict::Disable),
            (500, Verdict::Retry),
            (200, Verdict::Success),
        ] {
            assert_eq!(policy.action(status), verdict, "{status}");
        }
    }

    #[test]
    fn a_class_covers_410_too() {
        let policy = policy(json!({"on_status": {"4xx": "fail"}}));
        assert_eq!(policy.action(410), Verdict::Fail);
    }

    #[test]
    fn exponential_waits_double_up_to_a_day() {
        let policy = policy(json!({
            "strategy": "exponential", "base_seconds": 10_000, "max_attempts": 7
        }));
        assert_eq!(
            seconds(&policy),
            [10_000, 20_000, 40_000, 80_000, 86_400, 86_400]
        );
        assert_eq!(
            RetryPolicy {
                max_attempts: u32::MAX,
                ..policy
            }
            .delay(u32::MAX - 1, 0.0),
            Some(Millis::from_seconds(86_400))
        );
    }

    #[test]
    fn fixed_waits_stay_the_same() {
        let policy = policy(json!({"strategy": "fixed", "base_seconds": 7, "max_attempts": 4}));
        assert_eq!(seconds(&policy), [7, 7, 7]);
    }

    #[test]
    fn a_schedule_sets_the_number_of_attempts_unless_it_is_given() {
        let short = policy(json!({"strategy": "schedule", "schedule_seconds": [1, 2]}));
        assert_eq!((short.max_attempts, seconds(&short)), (3, vec![1, 2]));
        let longer = policy(json!({"schedule_seconds": [1, 2], "max_attempts": 5}));
        assert_eq!(seconds(&longer), [1, 2, 2, 2]);
    }

    #[test]
    fn one_attempt_means_no_retry() {
        assert_eq!(policy(json!({"max_attempts": 1})).delay(1, 0.5), None);
    }

    #[test]
    fn jitter_lengthens_by_a_fifth_at_most_and_never_shortens() {
        let policy = policy(json!({"strategy": "fixed", "base_seconds": 100}));
        for (jitter, millis) in [
            (0.0, 100_000),
            (0.5, 110_000),
            (1.0, 120_000),
            (-3.0, 100_000),
            (9.0, 120_000),
            (f64::NAN, 100_000),
            (f64::INFINITY, 100_000),
        ] {
            assert_eq!(
                policy.delay(1, jitter),
                Some(Millis::new(millis)),
                "{jitter}"
            );
        }
    }

    #[test]
    fn a_delivery_is_given_up_at_its_maximum_age() {
        let policy = policy(json!({"max_age_seconds": 60}));
        let created = Timestamp::from_millis(5);
        assert_eq!(policy.gives_up_at(created), Timestamp::from_millis(60_005));
    }

    #[test]
    fn a_policy_survives_its_json() {
        for value in [
            json!({"strategy": "exponential", "base_seconds": 5, "max_attempts": 4,
                "max_age_seconds": 9, "on_status": {"404": "fail", "5xx": "retry"}}),
            json!({"strategy": "fixed", "base_seconds": 5, "max_attempts": 4,
                "max_age_seconds": 9, "on_status": {}}),
            json!({"strategy": "schedule", "schedule_seconds": [1, 0], "max_attempts": 4,
                "max_age_seconds": 9, "on_status": {"410": "disable"}}),
        ] {
            assert_eq!(serde_json::to_value(policy(value.clone())).unwrap(), value);
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        for (value, word) in [
            (json!({"strategy": "linear"}), "unknown variant"),
            (json!({"attempts": 3}), "unknown field"),
            (json!({"base_seconds": 3}), "name one"),
            (
                json!({"strategy": "schedule", "base_seconds": 3}),
                "name one",
            ),
            (json!({"strategy": "schedule"}), "needs schedule_seconds"),
            (
                json!({"strategy": "fixed", "schedule_seconds": [3]}),
                "alone",
            ),
            (json!({"on_status": {"4xy": "fail"}}), "4xx"),
            (json!({"on_status": {"200": "retry"}}), "2xx"),
            (json!({"on_status": {"404": "ignore"}}), "unknown variant"),
        ] {
            let error = serde_json::from_value::<RetryPolicy>(value.clone()).unwrap_err();
            assert!(error.to_string().contains(word), "{value}: {error}");
        }
    }

    #[test]
    fn every_number_has_bounds() {
        for (value, pointer) in [
            (
                json!({"strategy": "fixed", "base_seconds": 0}),
                "/base_seconds",
            ),
            (
                json!({"strategy": "exponential", "base_seconds": 86_401}),
                "/base_seconds",
            ),
            (json!({"schedule_seconds": []}), "/schedule_seconds"),
            (
                json!({"schedule_seconds": [1, -1], "max_attempts": 2}),
                "/schedule_seconds/1",
            ),
            (json!({"max_attempts": 0}), "/max_attempts"),
            (json!({"max_attempts": 101}), "/max_attempts"),
            (json!({"max_age_seconds": 0}), "/max_age_seconds"),
            (json!({"max_age_seconds": i64::MAX}), "/max_age_seconds"),
        ] {
            let errors = policy(value.clone()).validate().unwrap_err();
            assert_eq!(errors.len(), 1, "{value}: {errors:?}");
            assert_eq!(errors[0].pointer, pointer);
        }
    }
}

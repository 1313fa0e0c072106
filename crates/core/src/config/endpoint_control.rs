//! How an endpoint is spared and given up: its rate, its circuit, its patience, its stand-in.

use std::ops::Deref;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Endpoint, FieldError, RateLimit, check};
use crate::delivery::control::{Breaker, LaneControl, Patience, Rate, WhileOpen};
use crate::ids::EndpointId;
use crate::limits::{
    BURST_MAX, CIRCUIT_ATTEMPTS_DEFAULT, CIRCUIT_ATTEMPTS_MAX, CIRCUIT_COOLDOWN_SECONDS_DEFAULT,
    CIRCUIT_PERCENT_DEFAULT, CIRCUIT_SECONDS_MAX, CIRCUIT_WINDOW_SECONDS_DEFAULT,
    CONCURRENCY_DEFAULT, CONCURRENCY_MAX, DISABLE_AFTER_SECONDS_DEFAULT, DISABLE_AFTER_SECONDS_MAX,
    FAILOVER_HOPS_MAX, PER_SECOND_MAX,
};
use crate::time::{Millis, Timestamp};

/// How an endpoint is spared and given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointControl {
    /// When its circuit opens.
    pub circuit_breaker: CircuitBreaker,
    /// After so long without a success it is disabled; 0: never.
    pub disable_after_seconds: u32,
    /// What takes its deliveries while it cannot.
    pub failover: Option<EndpointId>,
    /// When a person last let it go on after a pause or after it was disabled.
    pub resumed_at: Option<Timestamp>,
}

/// When a circuit opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CircuitBreaker {
    /// Whether it opens at all.
    pub enabled: bool,
    /// It opens when so many of a hundred attempts fail,
    pub failure_percent: u32,
    /// of at least so many,
    pub minimum_attempts: u32,
    /// within so long,
    pub window_seconds: u32,
    /// and is probed after this.
    pub cooldown_seconds: u32,
}

/// A circuit breaker as a client writes it. Written without `enabled`, it is meant to be on.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "each is the setting of the same name")]
pub struct CircuitBreakerInput {
    pub enabled: Option<bool>,
    pub failure_percent: Option<u32>,
    pub minimum_attempts: Option<u32>,
    pub window_seconds: Option<u32>,
    pub cooldown_seconds: Option<u32>,
}

/// A rate limit as a client writes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimitInput {
    /// Attempts per second; left out, as many as come.
    pub per_second: Option<u32>,
    /// Attempts that may come at once before the rate holds; left out, as many as per second.
    pub burst: Option<u32>,
    /// Attempts at the same time.
    pub concurrency: Option<u32>,
}

/// What a client writes of all this.
pub(super) struct Written {
    pub circuit_breaker: Option<CircuitBreakerInput>,
    pub disable_after_seconds: Option<u32>,
    pub failover: Option<EndpointId>,
}

impl Default for EndpointControl {
    fn default() -> Self {
        Self {
            circuit_breaker: CircuitBreaker::default(),
            disable_after_seconds: DISABLE_AFTER_SECONDS_DEFAULT,
            failover: None,
            resumed_at: None,
        }
    }
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self {
            enabled: false,
            failure_percent: CIRCUIT_PERCENT_DEFAULT,
            minimum_attempts: CIRCUIT_ATTEMPTS_DEFAULT,
            window_seconds: CIRCUIT_WINDOW_SECONDS_DEFAULT,
            cooldown_seconds: CIRCUIT_COOLDOWN_SECONDS_DEFAULT,
        }
    }
}

impl CircuitBreaker {
    /// The rule, where it is on.
    pub fn rule(&self) -> Option<Breaker> {
        self.enabled.then(|| Breaker {
            failure_percent: self.failure_percent,
            minimum_attempts: self.minimum_attempts,
            window: Millis::from_seconds(self.window_seconds.into()),
            cooldown: Millis::from_seconds(self.cooldown_seconds.into()),
        })
    }
}

impl Endpoint {
    /// What limits its lane beyond its concurrency; none where nothing does. `while_open` says
    /// what becomes of what is due while its circuit is open.
    pub fn lane_control(&self, while_open: WhileOpen) -> Option<LaneControl> {
        let control = LaneControl {
            rate: self.rate_limit.rule(),
            breaker: self.control.circuit_breaker.rule(),
            resumed_at: self.control.resumed_at,
            while_open,
        };
        let limits =
            control.rate.is_some() || control.breaker.is_some() || control.resumed_at.is_some();
        limits.then_some(control)
    }

    /// When it is given up, where it ever is.
    pub fn patience(&self) -> Option<Patience> {
        let seconds = self.control.disable_after_seconds;
        (seconds > 0).then(|| Patience {
            disable_after: Millis::from_seconds(seconds.into()),
        })
    }

    /// What takes its deliveries in its place: the first along its failover endpoints that is
    /// enabled. None where there is none, or where they lead in a circle, which two nodes that
    /// save at once can make.
    pub fn stand_in<E>(&self, endpoint: impl Fn(EndpointId) -> Option<E>) -> Option<EndpointId>
    where
        E: Deref,
        E::Target: AsRef<Self>,
    {
        let mut next = self.control.failover;
        for _ in 0..FAILOVER_HOPS_MAX {
            let candidate = endpoint(next?)?;
            let candidate = (*candidate).as_ref();
            if candidate.id == self.id || candidate.project != self.project {
                return None;
            }
            if candidate.disabled.is_none() && candidate.deleted_at.is_none() {
                return Some(candidate.id);
            }
            next = candidate.control.failover;
        }
        None
    }

    /// Whether its failover endpoint can be one: it exists in the same project, and nothing along
    /// the way leads back.
    ///
    /// # Errors
    /// What is wrong with the field.
    pub fn check_failover<E>(
        &self,
        endpoint: impl Fn(EndpointId) -> Option<E>,
    ) -> Result<(), FieldError>
    where
        E: Deref,
        E::Target: AsRef<Self>,
    {
        const POINTER: &str = "/failover_endpoint_id";
        let mut next = self.control.failover;
        let mut hops = 0;
        while let Some(id) = next {
            if id == self.id {
                let detail = if hops == 0 {
                    "is the endpoint itself; name another one"
                } else {
                    "leads back to this endpoint by way of the failover endpoint's own; break the \
                     circle"
                };
                return Err(FieldError::new(POINTER, detail));
            }
            let Some(found) = endpoint(id) else {
                // One further along that was deleted just ends the way.
                if hops > 0 {
                    return Ok(());
                }
                let detail = "is no endpoint of this project; list them with GET /v1/endpoints";
                return Err(FieldError::new(POINTER, detail));
            };
            hops += 1;
            if hops > FAILOVER_HOPS_MAX {
                let detail = format!("leads over more than {FAILOVER_HOPS_MAX} endpoints");
                return Err(FieldError::new(POINTER, detail));
            }
            next = (*found).as_ref().control.failover;
        }
        Ok(())
    }

    /// Adds to what `GET` shows.
    pub(super) fn show_control(&self, shown: &mut Map<String, Value>) {
        let control = &self.control;
        shown.insert("circuit_breaker".to_owned(), json!(control.circuit_breaker));
        shown.insert(
            "disable_after_seconds".to_owned(),
            json!(control.disable_after_seconds),
        );
        shown.insert("failover_endpoint_id".to_owned(), json!(control.failover));
        shown.insert("resumed_at".to_owned(), json!(control.resumed_at));
    }
}

impl AsRef<Self> for Endpoint {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl RateLimit {
    fn rule(&self) -> Option<Rate> {
        let per_second = self.per_second?;
        Some(Rate {
            per_second,
            burst: self.burst.unwrap_or(per_second),
        })
    }
}

/// Checks what a client writes.
pub(super) fn control(written: Written, errors: &mut Vec<FieldError>) -> EndpointControl {
    let patience = written.disable_after_seconds;
    EndpointControl {
        circuit_breaker: written
            .circuit_breaker
            .map_or_else(CircuitBreaker::default, |breaker| {
                circuit_breaker(&breaker, errors)
            }),
        disable_after_seconds: check::number(
            "/disable_after_seconds",
            patience,
            (0, DISABLE_AFTER_SECONDS_DEFAULT, DISABLE_AFTER_SECONDS_MAX),
            errors,
        ),
        failover: written.failover,
        resumed_at: None,
    }
}

fn circuit_breaker(written: &CircuitBreakerInput, errors: &mut Vec<FieldError>) -> CircuitBreaker {
    let seconds = |default| (1, default, CIRCUIT_SECONDS_MAX);
    CircuitBreaker {
        enabled: written.enabled.unwrap_or(true),
        failure_percent: check::number(
            "/circuit_breaker/failure_percent",
            written.failure_percent,
            (1, CIRCUIT_PERCENT_DEFAULT, 100),
            errors,
        ),
        minimum_attempts: check::number(
            "/circuit_breaker/minimum_attempts",
            written.minimum_attempts,
            (1, CIRCUIT_ATTEMPTS_DEFAULT, CIRCUIT_ATTEMPTS_MAX),
            errors,
        ),
        window_seconds: check::number(
            "/circuit_breaker/window_seconds",
            written.window_seconds,
            seconds(CIRCUIT_WINDOW_SECONDS_DEFAULT),
            errors,
        ),
        cooldown_seconds: check::number(
            "/circuit_breaker/cooldown_seconds",
            written.cooldown_seconds,
            seconds(CIRCUIT_COOLDOWN_SECONDS_DEFAULT),
            errors,
        ),
    }
}

/// Checks a rate limit.
pub(super) fn rate_limit(written: &RateLimitInput, errors: &mut Vec<FieldError>) -> RateLimit {
    if written.burst.is_some() && written.per_second.is_none() {
        let detail = "means nothing without per_second; give both, or neither";
        errors.push(FieldError::new("/rate_limit/burst", detail));
    }
    let bounded = |pointer, value: Option<u32>, max, errors: &mut Vec<FieldError>| {
        value.map(|value| check::number(pointer, Some(value), (1, 1, max), errors))
    };
    RateLimit {
        per_second: bounded(
            "/rate_limit/per_second",
            written.per_second,
            PER_SECOND_MAX,
            errors,
        ),
        burst: bounded("/rate_limit/burst", written.burst, BURST_MAX, errors),
        concurrency: check::number(
            "/rate_limit/concurrency",
            written.concurrency,
            (1, CONCURRENCY_DEFAULT, CONCURRENCY_MAX),
            errors,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::World;

    /// Endpoints 1 to 4, of which some have a failover endpoint and some are disabled.
    fn endpoints(failovers: &[(i64, i64)], disabled: &[i64]) -> Vec<Endpoint> {
        let mut world = World::new();
        let template = world.endpoint(json!({}));
        let numbers = 1..=4;
        let one = |number| {
            let mut endpoint = template.clone();
            endpoint.id = EndpointId::from_number(number);
            let failover = failovers.iter().find(|(from, _)| *from == number);
            endpoint.control.failover = failover.map(|(_, to)| EndpointId::from_number(*to));
            endpoint.disabled = disabled.contains(&number).then(|| crate::config::Disabled {
                at: endpoint.created_at,
                reason: "gone".to_owned(),
            });
            endpoint
        };
        numbers.map(one).collect()
    }

    fn lookup<'a>(endpoints: &'a [Endpoint]) -> impl Fn(EndpointId) -> Option<&'a Endpoint> {
        |id| endpoints.iter().find(|endpoint| endpoint.id == id)
    }

    #[test]
    fn the_stand_in_is_the_first_along_the_way_that_takes_something() {
        let stand_in = |failovers, disabled| {
            let all = endpoints(failovers, disabled);
            let stand_in = all[0].stand_in(lookup(&all));
            stand_in.map(EndpointId::number)
        };
        assert_eq!(stand_in(&[], &[]), None);
        assert_eq!(stand_in(&[(1, 2)], &[]), Some(2));
        assert_eq!(stand_in(&[(1, 2), (2, 3)], &[2]), Some(3));
        assert_eq!(stand_in(&[(1, 2)], &[2]), None);
        assert_eq!(stand_in(&[(1, 9)], &[]), None, "it was deleted");
        assert_eq!(stand_in(&[(1, 2), (2, 1)], &[2]), None, "a circle");
        assert_eq!(stand_in(&[(1, 2), (2, 3), (3, 2)], &[2, 3]), None);
    }

    #[test]
    fn a_failover_endpoint_that_leads_back_is_refused() {
        let refused = |failovers: &[(i64, i64)]| {
            let all = endpoints(failovers, &[]);
            all[0].check_failover(lookup(&all)).is_err()
        };
        assert!(!refused(&[]));
        assert!(!refused(&[(1, 2), (2, 3)]));
        assert!(!refused(&[(1, 2), (2, 9)]), "a way that ends is a way");
        assert!(refused(&[(1, 1)]));
        assert!(refused(&[(1, 9)]));
        assert!(refused(&[(1, 2), (2, 3), (3, 1)]));
        assert!(refused(&[(1, 2), (2, 3), (3, 2)]), "a circle further along");
    }

    #[test]
    fn a_rate_has_a_burst_of_a_second_unless_it_says_otherwise() {
        let mut world = World::new();
        let rate = |endpoint: &Endpoint| {
            let control = endpoint.lane_control(WhileOpen::Wait);
            control.and_then(|control| control.rate)
        };
        let plain = world.endpoint(json!({}));
        assert_eq!(plain.lane_control(WhileOpen::Wait), None);
        let limited = world.endpoint(json!({"rate_limit": {"per_second": 5}}));
        let five = Rate {
            per_second: 5,
            burst: 5,
        };
        assert_eq!(rate(&limited), Some(five));
        let bursty = world.endpoint(json!({"rate_limit": {"per_second": 5, "burst": 1}}));
        assert_eq!(rate(&bursty), Some(Rate { burst: 1, ..five }));
        assert_eq!(
            world.refused_endpoint(json!({
                "name": "a", "url": "https://a.example",
                "rate_limit": {"per_second": 0, "burst": 100_001},
                "circuit_breaker": {"failure_percent": 101, "window_seconds": 0},
            })),
            [
                "/rate_limit/per_second",
                "/rate_limit/burst",
                "/circuit_breaker/failure_percent",
                "/circuit_breaker/window_seconds",
            ]
        );
    }

    #[test]
    fn a_circuit_that_is_written_down_is_on_and_patience_can_be_endless() {
        let mut world = World::new();
        let endpoint = world.endpoint(json!({
            "circuit_breaker": {"failure_percent": 20}, "disable_after_seconds": 0,
        }));
        let breaker = endpoint.control.circuit_breaker.rule().unwrap();
        assert_eq!(breaker.failure_percent, 20);
        assert_eq!(endpoint.patience(), None);
        let off = world.endpoint(json!({"circuit_breaker": {"enabled": false}}));
        assert_eq!(off.control.circuit_breaker.rule(), None);
        assert!(
            off.patience().is_some(),
            "five days where nobody says otherwise"
        );
    }
}

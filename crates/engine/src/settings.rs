//! What an operator may set about the engine.

use std::sync::Arc;
use std::time::Duration;

use hooklatch_core::delivery::scheduler::SchedulerLimits;
use hooklatch_core::time::Millis;

use crate::trace::Tracer;

/// What the engine may take upon itself.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Attempts under way at once, over all endpoints.
    pub in_flight: usize,
    /// Deliveries leased at once.
    pub lease_batch: usize,
    /// The longest time without a look for due deliveries: what another node or a lost notice
    /// left behind is found after this.
    pub poll_every: Duration,
    /// What takes the spans of attempts; none where no traces are recorded.
    pub tracer: Option<Arc<Tracer>>,
}

impl Default for Settings {
    fn default() -> Self {
        let limits = SchedulerLimits::default();
        Self {
            in_flight: limits.in_flight,
            lease_batch: limits.lease_batch,
            poll_every: Duration::from_millis(limits.poll_every.get().unsigned_abs()),
            tracer: None,
        }
    }
}

impl Settings {
    pub(crate) fn limits(&self) -> SchedulerLimits {
        SchedulerLimits {
            in_flight: self.in_flight,
            lease_batch: self.lease_batch,
            poll_every: millis(self.poll_every),
        }
    }
}

/// A measured span as the rules have it.
pub(crate) fn millis(span: Duration) -> Millis {
    Millis::new(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
}

//! What a project says about how long its past is kept.

use serde::{Deserialize, Serialize};

use crate::field::FieldError;
use crate::time::{Millis, Timestamp};

const DAY_SECONDS: i64 = 86_400;
/// Ten years.
const DAYS_MAX: u32 = 3_650;
/// What a sender may ask for one message: ten years.
pub const RETENTION_SECONDS_MAX: i64 = DAYS_MAX as i64 * DAY_SECONDS;

/// How long a project's past is kept; what is left out is kept for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionSettings {
    /// Bodies are kept for so many days.
    pub payload_days: Option<u32>,
    /// Messages, requests, deliveries and attempts are kept for so many days.
    pub history_days: Option<u32>,
    /// All bodies together have at most so many bytes: the oldest go first.
    pub payload_bytes_max: Option<u64>,
}

impl RetentionSettings {
    /// What is wrong with it.
    pub fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for (pointer, days) in [
            ("/payload_days", self.payload_days),
            ("/history_days", self.history_days),
        ] {
            if days.is_some_and(|days| !(1..=DAYS_MAX).contains(&days)) {
                let detail = format!("should be from 1 to {DAYS_MAX} days, or null for ever");
                errors.push(FieldError::new(pointer, detail));
            }
        }
        if self.payload_bytes_max == Some(0) {
            let detail = "should be at least 1 byte, or null for no limit";
            errors.push(FieldError::new("/payload_bytes_max", detail));
        }
        errors
    }

    /// The same, with what it leaves out taken from the gateway's own settings.
    #[must_use]
    pub fn or(self, gateway: Self) -> Self {
        Self {
            payload_days: self.payload_days.or(gateway.payload_days),
            history_days: self.history_days.or(gateway.history_days),
            payload_bytes_max: self.payload_bytes_max.or(gateway.payload_bytes_max),
        }
    }

    /// Bodies that arrived before this may go.
    pub fn payloads_before(self, now: Timestamp) -> Option<Timestamp> {
        days_before(self.payload_days, now)
    }

    /// History from before this may go.
    pub fn history_before(self, now: Timestamp) -> Option<Timestamp> {
        days_before(self.history_days, now)
    }
}

fn days_before(days: Option<u32>, now: Timestamp) -> Option<Timestamp> {
    Some(now - Millis::from_seconds(i64::from(days?) * DAY_SECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        let settings = RetentionSettings {
            payload_days: Some(0),
            history_days: Some(DAYS_MAX + 1),
            payload_bytes_max: Some(0),
        };
        let pointers: Vec<String> = settings.check().into_iter().map(|it| it.pointer).collect();
        assert_eq!(
            pointers,
            ["/payload_days", "/history_days", "/payload_bytes_max"]
        );
        assert!(RetentionSettings::default().check().is_empty());
        assert!(serde_json::from_str::<RetentionSettings>(r#"{"payload_day": 1}"#).is_err());
    }

    #[test]
    fn what_a_project_leaves_out_is_the_gateways() {
        let own = RetentionSettings {
            payload_days: Some(7),
            ..RetentionSettings::default()
        };
        let gateway = RetentionSettings {
            payload_days: Some(30),
            history_days: Some(90),
            payload_bytes_max: None,
        };
        let both = own.or(gateway);
        assert_eq!((both.payload_days, both.history_days), (Some(7), Some(90)));
    }
}

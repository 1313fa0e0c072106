//! What a replay shall do, as a person asked for it.

use sha2::{Digest, Sha256};

use crate::delivery::DeliveryStatus;
use crate::hex;
use crate::ids::{ConnectionId, EndpointId, MessageId, ProjectId, SourceId};
use crate::time::Timestamp;

/// What is done with each delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is sent again.
    #[default]
    Send,
    /// It is called off.
    Cancel,
}

/// A status by which deliveries are chosen; the last two choose messages without any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each names the status of the same name")]
pub enum StatusWanted {
    Pending,
    Delivering,
    Delivered,
    Failed,
    Held,
    Cancelled,
    NoRoute,
    Filtered,
}

impl StatusWanted {
    /// The status of deliveries that it names, if it names one.
    pub const fn of_delivery(self) -> Option<DeliveryStatus> {
        match self {
            Self::Pending => Some(DeliveryStatus::Pending),
            Self::Delivering => Some(DeliveryStatus::Delivering),
            Self::Delivered => Some(DeliveryStatus::Delivered),
            Self::Failed => Some(DeliveryStatus::Failed),
            Self::Held => Some(DeliveryStatus::Held),
            Self::Cancelled => Some(DeliveryStatus::Cancelled),
            Self::NoRoute | Self::Filtered => None,
        }
    }
}

/// Which deliveries. What is absent chooses nothing out.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Of these messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<MessageId>>,
    /// Of messages through this source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_id: Option<SourceId>,
    /// Made by this connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<ConnectionId>,
    /// To this endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_id: Option<EndpointId>,
    /// Of messages under this key, as the provider or the caller wrote it or as its checksum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// With this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusWanted>,
    /// Of messages of this type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// Of messages that came at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Timestamp>,
    /// Of messages that came before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Timestamp>,
}

/// What a replay shall do.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Plan {
    /// What is done with each delivery.
    pub action: Action,
    /// Which deliveries.
    pub filter: Filter,
    /// Whether those count that the receiver has already.
    pub include_delivered: bool,
    /// Whether each goes out under a new id and key (P2).
    pub as_new: bool,
    /// Where they go instead of where they went (P3).
    pub to_endpoint: Option<EndpointId>,
    /// At most so many per second.
    pub rate_per_second: u32,
}

impl Plan {
    /// The plan in its one canonical form: two that mean the same are equal.
    #[must_use]
    pub fn canonical(mut self) -> Self {
        if let Some(ids) = &mut self.filter.ids {
            ids.sort_unstable();
            ids.dedup();
        }
        self
    }

    /// What tells plans apart: lower-case hex SHA-256 of the project and the canonical plan's JSON.
    pub fn digest(&self, project: ProjectId) -> String {
        let text = serde_json::to_string(self).expect("plain values always serialise");
        hex::text(&Sha256::digest(format!("{project} {text}")))
    }

    /// Whether each is sent as a message of its own.
    pub const fn makes_messages(&self) -> bool {
        self.as_new || self.to_endpoint.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::plan;
    use super::*;

    #[test]
    fn p1_plans_that_mean_the_same_have_one_digest() {
        let ids = |numbers: &[i64]| {
            let mut plan = plan();
            plan.filter.ids = Some(
                numbers
                    .iter()
                    .copied()
                    .map(MessageId::from_number)
                    .collect(),
            );
            plan.canonical().digest(ProjectId::from_number(1))
        };
        assert_eq!(ids(&[2, 1, 2]), ids(&[1, 2]));
        assert_ne!(ids(&[1]), ids(&[1, 2]));
        let other = plan().digest(ProjectId::from_number(2));
        assert_ne!(plan().digest(ProjectId::from_number(1)), other);
    }

    #[test]
    fn a_plan_survives_its_json() {
        let text = serde_json::to_string(&plan()).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan());
    }
}

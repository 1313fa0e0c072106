//! What goes over the wire, as this client sees it. These types are its own: they leave out what
//! it does not need, and take what a newer server adds.

mod claim;
mod configuration;
mod delivery;
mod gateway;
mod message;
mod replay;
mod request;

pub use claim::{
    ClaimInput, ClaimMetadata, ClaimOrigin, ClaimResult, ClaimState, ClaimStep, ClaimToken,
    Claimed, Ended, HeldClaim, ReceiverClaim,
};
pub use configuration::{
    Connection, ConnectionInput, Endpoint, EndpointInput, KeyRule, RetryPolicy, Source, SourceInput,
};
pub use delivery::{Attempt, AttemptOutcome, Delivery, DeliveryStatus, Trigger};
pub use gateway::{
    ApiKey, ApiKeyInput, AttemptFigures, AuditLine, EndpointFigures, Project, ProjectInput,
    RequestFigures, Retention, SourceFigures, Stats, StepFigures, WaitingFigures,
};
pub(crate) use message::NewMessageBody;
pub use message::{
    Message, MessageDelivery, MessageRouting, MessageStatus, NewMessage, Target, WouldDrop,
};
pub use replay::{Replay, ReplayCounts, ReplayFilter, ReplayPlan, ReplayStatus};
pub use request::{Cause, Claim, Direction, Effect, Freed, Outcome, RequestRecord};

use serde::Deserialize;

/// A page of a list, newest first.
#[derive(Debug, Clone, Deserialize)]
pub struct Page<T> {
    /// The items.
    pub data: Vec<T>,
    /// Where the next page begins; none if this is the last.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// Which page of a list.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    /// At most so many items; the server chooses where none is given.
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// An enumeration of the wire: its names, and a place for those that a newer server adds.
macro_rules! wire_enum {
    (
        $(#[$about:meta])* $name:ident {
            $($(#[$variant_about:meta])* $variant:ident = $text:literal,)+
        }
    ) => {
        $(#[$about])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord,
            serde::Serialize, serde::Deserialize,
        )]
        pub enum $name {
            $($(#[$variant_about])* #[serde(rename = $text)] $variant,)+
            /// A value that this version of the client does not know.
            #[serde(other, rename = "other")]
            Other,
        }

        impl $name {
            /// The name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other => "other",
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
pub(crate) use wire_enum;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_without_a_cursor_is_the_last() {
        let page: Page<u8> = serde_json::from_str(r#"{"data":[3,2]}"#).unwrap();
        assert_eq!((page.data, page.next_cursor), (vec![3, 2], None));
    }

    #[test]
    fn a_name_of_a_newer_server_is_taken_as_other() {
        let known: Cause = serde_json::from_str("\"provider_retry\"").unwrap();
        let unknown: Cause = serde_json::from_str("\"moon_phase\"").unwrap();
        assert_eq!((known, unknown), (Cause::ProviderRetry, Cause::Other));
    }

    #[test]
    fn names_are_written_as_they_are_read() {
        let text = serde_json::to_string(&Outcome::Duplicate).unwrap();
        assert_eq!(text, "\"duplicate\"");
        assert_eq!(Outcome::Duplicate.to_string(), "duplicate");
    }
}

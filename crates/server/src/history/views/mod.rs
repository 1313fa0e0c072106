//! The records that the API shows: what is stored, under the names that clients rely on.
//!
//! Fields are added here, never renamed. A payload goes out byte for byte as it came in; no number
//! of it passes through a 64-bit float. Credentials are masked by [`Concealment`].

mod attempt;
mod claim;
mod concealment;
mod delivery;
mod message;
mod payload;
mod request;

pub use attempt::{AttemptRecord, PhaseTimes};
pub use claim::ClaimRecord;
pub use concealment::{Concealment, Concealments};
pub use delivery::DeliveryRecord;
pub use message::{
    DELIVERIES_LISTED_MAX, DeliveryLine, MessageRecord, RoutingLine, message_record,
};
pub use payload::{PAYLOAD_LISTED_BYTES_MAX, Payload, Shown};
pub use request::{RequestRecord, Surroundings};

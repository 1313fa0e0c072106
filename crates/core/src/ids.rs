//! Typed, time-ordered ids.
//!
//! An id is 63 bits: milliseconds since 1970 in the upper 43, a sequence in the lower 20. Stores
//! keep the bare integer, so that rows lie on disk in the order in which they came; people see a
//! prefix and 13 characters of Crockford's base 32. Two kinds of id never cross: a `MessageId` is
//! not a `DeliveryId`, though an accepted request and the message it became share their number.

use std::fmt;
use std::str::FromStr;

use crate::time::Timestamp;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const TEXT_LEN: usize = 13;
const SEQUENCE_BITS: u32 = 20;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text does not start with the prefix of this kind of id.
    #[error("an id of this kind starts with \"{0}\"")]
    Prefix(&'static str),
    /// What follows the prefix is not 13 characters of lower-case base 32.
    #[error("an id is its prefix and 13 characters of lower-case base 32")]
    Malformed,
}

/// Bits of the sequence in which a node counts, where several nodes mint at once.
const NODE_SEQUENCE_BITS: u32 = 12;

/// Which of the nodes that mint at the same time this one is: at most 256 do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeSlot(pub u8);

/// Hands out numbers that only grow, so that ids follow the order of events within one minter.
///
/// It holds no clock: the caller says what time it is. A clock that steps back does no harm, the
/// sequence simply goes on from the last number. Where several nodes mint at once, each has a slot
/// of the sequence to itself, and goes on in the next millisecond when its slot is used up.
#[derive(Debug, Clone, Default)]
pub struct Mint {
    last: i64,
    slot: Option<NodeSlot>,
}

impl Mint {
    /// A mint that goes on after `last`, the largest number in use.
    pub fn after(last: i64) -> Self {
        Self { last, slot: None }
    }

    /// The mint of one of many nodes, none of whose numbers comes before the end of `last`'s
    /// millisecond.
    pub fn in_slot(slot: NodeSlot, last: i64) -> Self {
        Self {
            last: last | ((1 << SEQUENCE_BITS) - 1),
            slot: Some(slot),
        }
    }

    /// The next number at `now`.
    pub fn next(&mut self, now: Timestamp) -> i64 {
        let floor = now.as_millis().max(0) << SEQUENCE_BITS;
        self.last = match self.slot {
            None => floor.max(self.last + 1),
            Some(slot) => self.next_in(slot, floor),
        };
        self.last
    }

    fn next_in(&self, slot: NodeSlot, floor: i64) -> i64 {
        let first_of =
            |millis: i64| (millis << SEQUENCE_BITS) | i64::from(slot.0) << NODE_SEQUENCE_BITS;
        let next = self.last + 1;
        let own = |number: i64| {
            let slots = number >> NODE_SEQUENCE_BITS;
            slots & i64::from(u8::MAX) == i64::from(slot.0)
        };
        let next = if own(next) && own(self.last) {
            next
        } else {
            first_of((self.last >> SEQUENCE_BITS) + 1)
        };
        next.max(first_of(floor >> SEQUENCE_BITS))
    }
}

/// In which slot a number was minted; 0 where one node mints alone, most of the time.
pub fn slot_of(number: i64) -> NodeSlot {
    let slots = number >> NODE_SEQUENCE_BITS;
    NodeSlot(u8::try_from(slots & i64::from(u8::MAX)).expect("it was cut to eight bits"))
}

/// The smallest number that an id minted at `time` can have: for reading a time range by id.
pub fn first_number_at(time: Timestamp) -> i64 {
    time.as_millis().clamp(0, i64::MAX >> SEQUENCE_BITS) << SEQUENCE_BITS
}

fn encode(number: i64, out: &mut [u8; TEXT_LEN]) {
    let mut rest = number as u64;
    for slot in out.iter_mut().rev() {
        *slot = ALPHABET[(rest & 31) as usize];
        rest >>= 5;
    }
}

fn decode(text: &str) -> Result<i64, IdError> {
    if text.len() != TEXT_LEN {
        return Err(IdError::Malformed);
    }
    let mut number: u128 = 0;
    for byte in text.bytes() {
        let digit = ALPHABET
            .iter()
            .position(|symbol| *symbol == byte)
            .ok_or(IdError::Malformed)?;
        number = (number << 5) | digit as u128;
    }
    i64::try_from(number).map_err(|_| IdError::Malformed)
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(i64);

        impl $name {
            /// What the text of such an id starts with.
            pub const PREFIX: &'static str = $prefix;

            /// The id with this number.
            pub const fn from_number(number: i64) -> Self {
                Self(number)
            }

            /// The bare number, as stores keep it.
            pub const fn number(self) -> i64 {
                self.0
            }

            /// When the id was minted.
            pub fn minted_at(self) -> Timestamp {
                Timestamp::from_millis(self.0 >> SEQUENCE_BITS)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; TEXT_LEN];
                encode(self.0, &mut text);
                f.write_str($prefix)?;
                f.write_str(std::str::from_utf8(&text).expect("the alphabet is ASCII"))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let rest = text.strip_prefix($prefix).ok_or(IdError::Prefix($prefix))?;
                decode(rest).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// A project: the tenant of the gateway itself.
    ProjectId = "prj_";
    /// A source: where a provider's webhooks arrive.
    SourceId = "src_";
    /// A group of sources that share one key space.
    GroupId = "grp_";
    /// An endpoint: where messages are delivered.
    EndpointId = "ep_";
    /// A connection: from a source or from event types to an endpoint.
    ConnectionId = "con_";
    /// One arrival, inbound or through the send API.
    RequestId = "req_";
    /// One business event.
    MessageId = "msg_";
    /// One message for one endpoint.
    DeliveryId = "dlv_";
    /// One HTTP try of a delivery.
    AttemptId = "att_";
    /// An API key.
    ApiKeyId = "key_";
    /// A replay: many deliveries, sent again as one job.
    ReplayId = "rpl_";
    /// A line of the audit log.
    AuditId = "aud_";
}

impl RequestId {
    /// The message that this request became when it was accepted: both share their number.
    pub const fn as_message(self) -> MessageId {
        MessageId(self.0)
    }
}

impl MessageId {
    /// The request that became this message when it was accepted: both share their number.
    pub const fn as_request(self) -> RequestId {
        RequestId(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_and_its_json() {
        for number in [0, 1, 31, 32, 1_700_000_000_000 << 20, i64::MAX] {
            let id = MessageId::from_number(number);
            assert_eq!(id.to_string().parse::<MessageId>(), Ok(id));
            let json = serde_json::to_string(&id).expect("ids serialise");
            assert_eq!(serde_json::from_str::<MessageId>(&json).ok(), Some(id));
        }
    }

    #[test]
    fn text_order_is_time_order() {
        let mut mint = Mint::default();
        let mut texts = Vec::new();
        for millis in [5, 5, 5, 9, 7, 1_700_000_000_000] {
            let number = mint.next(Timestamp::from_millis(millis));
            texts.push(MessageId::from_number(number).to_string());
        }
        assert!(texts.is_sorted_by(|a, b| a < b), "{texts:?}");
    }

    #[test]
    fn a_clock_that_steps_back_repeats_no_number() {
        let mut mint = Mint::default();
        let first = mint.next(Timestamp::from_millis(1_000));
        assert!(mint.next(Timestamp::from_millis(10)) > first);
    }

    #[test]
    fn two_nodes_never_mint_the_same_number() {
        let mut seen = std::collections::HashSet::new();
        for slot in [0, 1, 255] {
            let mut mint = Mint::in_slot(NodeSlot(slot), 0);
            let mut last = 0;
            for turn in 0..10_000 {
                let number = mint.next(Timestamp::from_millis(5 + turn / 9_000));
                assert!(number > last, "slot {slot}, turn {turn}");
                assert_eq!(slot_of(number), NodeSlot(slot), "turn {turn}");
                assert!(seen.insert(number), "slot {slot}, turn {turn}");
                last = number;
            }
        }
    }

    #[test]
    fn a_node_counts_without_gaps_inside_its_slot() {
        let mut mint = Mint::in_slot(NodeSlot(7), 99 << 20 | 3);
        let first = mint.next(Timestamp::from_millis(50));
        assert_eq!(first >> 20, 100);
        assert_eq!(mint.next(Timestamp::from_millis(50)), first + 1);
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for text in [
            "",
            "msg_",
            "dlv_0000000000000",
            "msg_000000000000",
            "msg_zzzzzzzzzzzzz",
        ] {
            assert!(text.parse::<MessageId>().is_err(), "{text}");
        }
        for text in [
            "msg_000000000000U",
            "msg_000000000000A",
            "MSG_0000000000000",
        ] {
            assert!(text.parse::<MessageId>().is_err(), "{text}");
        }
    }
}

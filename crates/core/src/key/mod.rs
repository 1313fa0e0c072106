//! What makes two requests the same event: the key.
//!
//! A [`KeyRule`] says where a source's requests carry their identity. [`extract`] reads it and
//! gives the checksum under which the ledger knows the event. A rule that yields no key says so,
//! with the places that were looked at; what follows from that is the source's `missing_key`.
//!
//! # The checksum
//!
//! A checksum is the SHA-256 of these bytes (K4), numbers in big-endian order:
//!
//! ```text
//! "hooklatch-key-v1"
//! u32 length, scope                 which the caller chooses: a source, a group, ...
//! mode                              'a' all, 'f' first, 'c' content
//! u32 number of parts
//! for each part:
//!   u32 position                    of its location in the rule, from 0
//!   type                            's' string, 'n' number, 'b' boolean, 'o' object, 'a' array;
//!                                   'h' for the hash of a body, in mode 'c'
//!   u32 length, bytes               a string's content, else the canonical JSON; 32 bytes for 'h'
//! '-'                               or, with `bind_body`: 'b', the 32 bytes of the fingerprint
//! ```
//!
//! The type is a capital letter where the value has no canonical form and its raw JSON stands for
//! it (K9). The bound fingerprint is that of the body without an event type. The hash of a body is
//! the SHA-256 of the selected canonical JSON ('h'), or of the raw body ('H').
//!
//! # Where several values could be meant
//!
//! Of header lines, query parameters and form fields that repeat a name the first counts; of
//! members of a JSON object that do, the last. This is what most receivers see.

mod body;
mod checksum;
mod content;
mod coverage;
mod extract;
mod form;
mod multipart;
mod part;
mod rule;
mod split;
mod times;

pub use crate::digest::{Checksum, DigestError};
pub use crate::field::FieldError;
pub use crate::verify::Coverage;
pub use body::{Body, Fields, Request};
pub use checksum::{candidates, checksum_of_value};
pub use coverage::unsigned_locations;
pub use extract::{Extracted, PART_TEXT_BYTES_MAX, PartText, extract, value_text_at};
pub(crate) use part::part_at;
pub use part::{Form, KeyPart, PartType};
pub use rule::{Content, KeyRule, MissingKey, Mode};
pub use split::{SplitError, split};

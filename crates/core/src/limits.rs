//! The limits on everything that comes from outside, in one place. A source, an endpoint or the
//! configuration may lower or raise some of them; none of them can be taken away.

/// Largest request body unless a source or its provider says otherwise.
pub const BODY_BYTES_DEFAULT: usize = 5 * 1024 * 1024;
/// The most that a source may set as its largest request body.
pub const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// All header names and values of a request together.
pub const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Header lines of a request.
pub const HEADERS_MAX: usize = 100;
/// One typed value that may be a part of a key (K5).
pub const KEY_PART_BYTES_MAX: usize = 64 * 1024;
/// Locations in one key rule.
pub const KEY_LOCATIONS_MAX: usize = 16;
/// The text of one location.
pub const LOCATION_BYTES_MAX: usize = 512;
/// Paths in `include`, `exclude` or `fingerprint_exclude`.
pub const EXCLUDE_PATHS_MAX: usize = 64;
/// Former key rules that are still looked up (C7).
pub const FORMER_RULES_MAX: usize = 16;
/// Elements of one split request (K10).
pub const SPLIT_ELEMENTS_MAX: usize = 10_000;
/// Fields that are read from a form or a multipart body.
pub const FORM_FIELDS_MAX: usize = 1_000;
/// Nesting of JSON that is still understood.
pub const JSON_DEPTH_MAX: usize = 128;
/// Digits of a number that still has a canonical form (K9).
pub const NUMBER_DIGITS_MAX: usize = 1_000;
/// Pointers kept of a difference between two payloads.
pub const DIFF_POINTERS_MAX: usize = 100;
/// Characters of a caller's idempotency key (S5).
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;
/// Items of one send batch (S7).
pub const SEND_BATCH_MAX: usize = 1_000;
/// Deliveries that one message may fan out to.
pub const FAN_OUT_MAX: usize = 10_000;
/// Bytes kept of an endpoint's answer.
pub const RESPONSE_BYTES_KEPT: usize = 64 * 1024;
/// Shortest window of a claim, in seconds.
pub const WINDOW_SECONDS_MIN: i64 = 1;
/// Longest window of a claim but `forever`, in seconds: 400 days.
pub const WINDOW_SECONDS_MAX: i64 = 400 * 86_400;
/// Window of a claim where nobody says otherwise, in seconds: 7 days.
pub const WINDOW_SECONDS_DEFAULT: i64 = 7 * 86_400;
/// Items of one page of a list.
pub const PAGE_MAX: usize = 250;
/// Items of a page when none is asked for.
pub const PAGE_DEFAULT: usize = 50;
/// Operations that one group commit takes.
pub const GROUP_COMMIT_MAX: usize = 256;

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
/// Characters of the name of a source, an endpoint, a connection, a group, a project or a key.
pub const NAME_CHARS_MAX: usize = 128;
/// Characters of a tenant.
pub const TENANT_CHARS_MAX: usize = 255;
/// Characters of an event type, and of a pattern for event types.
pub const EVENT_TYPE_CHARS_MAX: usize = 255;
/// Characters of an endpoint's environment.
pub const ENVIRONMENT_CHARS_MAX: usize = 64;
/// Patterns for event types of one endpoint or connection.
pub const EVENT_PATTERNS_MAX: usize = 64;
/// Custom headers of one endpoint.
pub const CUSTOM_HEADERS_MAX: usize = 32;
/// Bytes of a custom header's name.
pub const HEADER_NAME_BYTES_MAX: usize = 128;
/// Bytes of a custom header's value.
pub const HEADER_VALUE_BYTES_MAX: usize = 4_096;
/// Bytes of the body that a source may answer with.
pub const SOURCE_RESPONSE_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a content type that a source may answer with.
pub const CONTENT_TYPE_BYTES_MAX: usize = 255;
/// Shortest total time of one attempt, in seconds.
pub const TIMEOUT_SECONDS_MIN: u32 = 1;
/// Longest total time of one attempt, in seconds.
pub const TIMEOUT_SECONDS_MAX: u32 = 120;
/// Total time of one attempt where nobody says otherwise, in seconds.
pub const TIMEOUT_SECONDS_DEFAULT: u32 = 30;
/// Attempts at one endpoint at the same time, where nobody says otherwise.
pub const CONCURRENCY_DEFAULT: u32 = 64;
/// The most attempts at one endpoint at the same time.
pub const CONCURRENCY_MAX: u32 = 1_000;
/// The highest rate of attempts at one endpoint, per second.
pub const PER_SECOND_MAX: u32 = 10_000;
/// The most attempts at one endpoint that may come at once before its rate holds.
pub const BURST_MAX: u32 = 100_000;
/// The share of failed attempts, in percent, at which a circuit opens where nobody says otherwise.
pub const CIRCUIT_PERCENT_DEFAULT: u32 = 50;
/// The fewest attempts over which a circuit opens, where nobody says otherwise.
pub const CIRCUIT_ATTEMPTS_DEFAULT: u32 = 20;
/// The most attempts that a circuit may be set to wait for.
pub const CIRCUIT_ATTEMPTS_MAX: u32 = 100_000;
/// The window over which a circuit counts where nobody says otherwise, in seconds.
pub const CIRCUIT_WINDOW_SECONDS_DEFAULT: u32 = 60;
/// How long a circuit stays open before it is probed where nobody says otherwise, in seconds.
pub const CIRCUIT_COOLDOWN_SECONDS_DEFAULT: u32 = 60;
/// The longest window or cooldown of a circuit, in seconds: a day.
pub const CIRCUIT_SECONDS_MAX: u32 = 86_400;
/// After how long without a success an endpoint is disabled where nobody says otherwise, in
/// seconds: 5 days.
pub const DISABLE_AFTER_SECONDS_DEFAULT: u32 = 5 * 86_400;
/// The longest that this can be, in seconds: 400 days.
pub const DISABLE_AFTER_SECONDS_MAX: u32 = 400 * 86_400;
/// Endpoints one after the other that may stand in for each other.
pub const FAILOVER_HOPS_MAX: usize = 8;
/// Attempts of one delivery where nobody says otherwise: the first, and ten after it (O7).
pub const ATTEMPTS_DEFAULT: u32 = 11;
/// The most attempts of one delivery.
pub const ATTEMPTS_MAX: u32 = 100;
/// Longest wait between two attempts that a policy leads to, in seconds: 24 hours.
pub const RETRY_DELAY_SECONDS_MAX: i64 = 86_400;
/// Age at which a delivery is given up where nobody says otherwise, in seconds: 7 days.
pub const DELIVERY_AGE_SECONDS_DEFAULT: i64 = 7 * 86_400;
/// The greatest age at which a delivery may be given up, in seconds: 60 days.
pub const DELIVERY_AGE_SECONDS_MAX: i64 = 60 * 86_400;
/// Statuses and classes of statuses that one retry policy may name.
pub const STATUS_RULES_MAX: usize = 64;
/// The longest wait that a receiver's `Retry-After` can ask for, in seconds: 7 days.
pub const RETRY_AFTER_SECONDS_MAX: i64 = 7 * 86_400;
/// Bytes of a name, an id or an audience by which an endpoint lets us in.
pub const AUTH_TEXT_BYTES_MAX: usize = 1_024;
/// Bytes of a certificate with those that lead to its authority, and of a key or a token.
pub const CERTIFICATE_BYTES_MAX: usize = 64 * 1_024;
/// The longest overlap of two signing secrets, in seconds: 30 days.
pub const SECRET_OVERLAP_SECONDS_MAX: i64 = 30 * 86_400;
/// Signing secrets of one endpoint that are live at the same time.
pub const LIVE_SECRETS_MAX: usize = 5;
/// Rules of one connection.
pub const RULES_MAX: usize = 16;
/// Bytes of one filter.
pub const FILTER_BYTES_MAX: usize = 16 * 1024;
/// Levels of one filter.
pub const FILTER_DEPTH_MAX: usize = 32;
/// Conditions of one filter, those that hold others included.
pub const FILTER_CONDITIONS_MAX: usize = 256;
/// Regular expressions of one filter.
pub const FILTER_REGEXES_MAX: usize = 16;
/// Bytes of a regular expression as it is written.
pub const REGEX_PATTERN_BYTES_MAX: usize = 1_024;
/// Bytes that a regular expression may become in memory.
pub const REGEX_PROGRAM_BYTES_MAX: usize = 256 * 1024;
/// Bytes of one text that a regular expression looks at; what lies behind is not looked at.
pub const REGEX_BYTES_PER_TEXT_MAX: usize = 64 * 1024;
/// Bytes that the regular expressions of one filter look at in one request, together.
pub const REGEX_BYTES_PER_REQUEST_MAX: usize = 1024 * 1024;
/// The longest delay that a connection may add, in seconds: 30 days.
pub const DELAY_SECONDS_MAX: i64 = 30 * 86_400;
/// Bytes of a connection's script.
pub const SCRIPT_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a body that a script is given.
pub const TRANSFORM_INPUT_BYTES_MAX: usize = 5 * 1024 * 1024;
/// Bytes of headers and body that a script may make.
pub const TRANSFORM_OUTPUT_BYTES_MAX: usize = 5 * 1024 * 1024;
/// Characters kept of what a script says of its failure.
pub const TRANSFORM_ERROR_CHARS_MAX: usize = 400;
/// Messages that a replay may name one by one.
pub const REPLAY_IDS_MAX: usize = 1_000;
/// Deliveries that a replay sends per second at most.
pub const REPLAY_RATE_MAX: u32 = 10_000;
/// Deliveries that a replay sends per second where nobody says how many.
pub const REPLAY_RATE_DEFAULT: u32 = 100;
/// Characters of the reason that a person gives for what is audited.
pub const REASON_CHARS_MAX: usize = 1_000;

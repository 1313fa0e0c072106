//! Options of `hooklatch tail`.

use clap::Args;
use clap::builder::PossibleValuesParser;
use hooklatch_core::cause::Cause;

use crate::connect::ConnectArgs;

const EXAMPLE: &str = "\
Example:
  hooklatch tail
  hooklatch tail --source stripe --outcome duplicate
  hooklatch tail --endpoint shop --type attempt --outcome failed --json | jq .record.error

Requests are shown when they were decided on, attempts when they have ended, deliveries as they
stand after that. Sources, causes and event types are those of requests, endpoints those of attempts
and deliveries. An outage is waited for, and gone on from where it began; Ctrl-C ends it. A key with
the scope read is enough.";

/// The kinds of what is logged.
const KINDS: [&str; 3] = ["request", "attempt", "delivery"];
/// The outcomes of requests and of attempts.
const OUTCOMES: [&str; 7] = [
    "accepted",
    "duplicate",
    "conflict",
    "rejected",
    "delivered",
    "failed",
    "uncertain",
];

/// Options of `hooklatch tail`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct TailArgs {
    /// Only requests through this source (its name or id)
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,

    /// Only attempts at, and deliveries to, this endpoint (its name or id)
    #[arg(long, value_name = "NAME")]
    pub endpoint: Option<String>,

    /// Only this outcome, of requests or of attempts
    #[arg(long, value_name = "OUTCOME", value_parser = PossibleValuesParser::new(OUTCOMES))]
    pub outcome: Option<String>,

    /// Only repetitions that came for this cause
    #[arg(long, value_name = "CAUSE",
          value_parser = PossibleValuesParser::new(Cause::ALL.map(Cause::as_str)))]
    pub cause: Option<String>,

    /// Only lines of this kind
    #[arg(long = "type", value_name = "KIND", value_parser = PossibleValuesParser::new(KINDS))]
    pub kind: Option<String>,

    /// Only requests whose event has this type
    #[arg(long, value_name = "TYPE")]
    pub event_type: Option<String>,

    /// Go on after this place, which an earlier run has named; at most an hour back
    #[arg(long, value_name = "PLACE")]
    pub after: Option<String>,

    /// End after so many lines
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,

    /// Print each line as a JSON object
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub connect: ConnectArgs,
}

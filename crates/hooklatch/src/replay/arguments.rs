//! Options of `hooklatch replay`.

use clap::{Args, Subcommand};

use crate::connect::ConnectArgs;

const EXAMPLE: &str = "\
Example:
  hooklatch replay --endpoint shop --status failed --after 2h
  hooklatch replay --source stripe --after 2026-11-21T08:00:00Z --before 2026-11-21T09:00:00Z --yes
  hooklatch replay pause rpl_…

First the plan is shown: what was never attempted, is uncertain, has failed, was delivered. The
last are left out unless --include-delivered asks for them. Nothing is sent before you say yes, at
the terminal or by --yes. Ctrl-C stops watching; the replay goes on in the gateway.";

const COMMAND_EXAMPLE: &str = "\
Example:
  hooklatch replay pause rpl_06f1x2m9k3a7c";

/// Options of `hooklatch replay`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE, args_conflicts_with_subcommands = true)]
pub(crate) struct ReplayArgs {
    #[command(subcommand)]
    pub command: Option<ReplayAction>,

    #[command(flatten)]
    pub plan: PlanArgs,
}

/// What can be done with a replay that was made before.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ReplayAction {
    /// Show the newest replays
    List(ListArgs),
    /// Start it, and watch it to its end
    Start(OneArgs),
    /// Watch it to its end
    Watch(OneArgs),
    /// Hand nothing more over, for now
    Pause(OneArgs),
    /// Go on, and watch it to its end
    Resume(OneArgs),
    /// Hand nothing more over, for ever
    Cancel(OneArgs),
}

/// Which replay.
#[derive(Debug, Clone, Args)]
#[command(after_help = COMMAND_EXAMPLE)]
pub(crate) struct OneArgs {
    /// Its id
    #[arg(value_name = "ID")]
    pub id: String,

    /// Print the replay as JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// How replays are listed.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  hooklatch replay list --json")]
pub(crate) struct ListArgs {
    /// Print them as JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// What shall be sent again.
#[derive(Debug, Clone, Args)]
pub(crate) struct PlanArgs {
    /// Only messages through this source (its name or id)
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,

    /// Only deliveries of this connection (its name or id)
    #[arg(long, value_name = "NAME")]
    pub connection: Option<String>,

    /// Only deliveries to this endpoint (its name or id)
    #[arg(long, value_name = "NAME")]
    pub endpoint: Option<String>,

    /// Only messages under this key
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,

    /// Only deliveries with this status
    #[arg(long, value_name = "STATUS", value_parser = [
        "pending", "delivering", "delivered", "failed", "held", "cancelled", "no_route", "filtered",
    ])]
    pub status: Option<String>,

    /// Only messages of this type
    #[arg(long, value_name = "TYPE")]
    pub event_type: Option<String>,

    /// Only messages that came at this time or later: RFC 3339, or how long ago (90s, 30m, 2h, 3d)
    #[arg(long, value_name = "TIME")]
    pub after: Option<String>,

    /// Only messages that came before this time
    #[arg(long, value_name = "TIME")]
    pub before: Option<String>,

    /// Only these messages; can be given several times
    #[arg(long = "id", value_name = "MESSAGE")]
    pub ids: Vec<String>,

    /// Also what the receiver has already
    #[arg(long)]
    pub include_delivered: bool,

    /// Give every event a new id and key, so that receivers act on it again (needs --confirm)
    #[arg(long)]
    pub as_new: bool,

    /// Send to this endpoint instead (its name or id); the originals are not touched
    #[arg(long, value_name = "NAME")]
    pub to_endpoint: Option<String>,

    /// Confirm --as-new, or a replay that leaves its environment
    #[arg(long)]
    pub confirm: bool,

    /// At most so many per second [default: 100]
    #[arg(long, value_name = "N")]
    pub rate: Option<u32>,

    /// Why; it is noted in the audit log
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,

    /// Start without asking
    #[arg(long)]
    pub yes: bool,

    /// Print the replay as JSON at the end
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub connect: ConnectArgs,
}

//! What `hooklatch prove` takes.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use hooklatch_core::location::Location;
use hooklatch_core::secret::Secret;

const EXAMPLE: &str = "\
Example:
  hooklatch prove http://localhost:3000/webhooks --secret whsec_… \\
    --payload '{\"type\": \"order.paid\", \"order_id\": \"{key}\"}' \\
    --probe-url http://localhost:3000/effects --probe-path '$.effects[{key}]'
  hooklatch prove http://localhost:3000/stripe --provider stripe --message event.json \\
    --probe-sql 'SELECT count(*) FROM payments WHERE event_id = $1' \\
    --kill-command 'pkill -KILL -f shop.js' --restart-command './start-shop &'

The receiver gets the same event twice in a row, at once, late, with another payload under its key,
and over connections that are cut; with --kill-command or --restart-command it dies meanwhile as
well. Each scenario has a fresh key, and repeats until it is acknowledged, as a provider does. Then
the probe counts: {key} and {webhook_id} stand for the event in a payload, a URL or a path,
HOOKLATCH_PROVE_KEY and HOOKLATCH_PROVE_WEBHOOK_ID in a command's environment, $1 and $2, as texts,
in a query. What is counted may also be everything: the difference to before is what is judged.

Use a receiver made for tests: real effects happen, once for each scenario. Exit code 1 if one
happened twice, was lost, or was never acknowledged.";

/// Options of `hooklatch prove`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct ProveArgs {
    /// The receiver's URL
    #[arg(value_name = "URL")]
    pub url: String,

    #[command(flatten)]
    pub message: MessageArgs,

    #[command(flatten)]
    pub probe: ProbeArgs,

    #[command(flatten)]
    pub plan: PlanArgs,

    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,

    /// The gateway that --message-id is read from
    #[command(flatten)]
    pub connect: crate::connect::ConnectArgs,
}

/// What is delivered.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Message")]
pub(crate) struct MessageArgs {
    /// A captured message: a file with its body, or with a record of the gateway's API
    #[arg(long, value_name = "FILE", group = "captured")]
    pub message: Option<PathBuf>,

    /// A message that the gateway has taken in
    #[arg(long, value_name = "ID", group = "captured")]
    pub message_id: Option<String>,

    /// A message made here: JSON, or @FILE, in which {key} stands for the key
    #[arg(long, value_name = "JSON", group = "captured")]
    pub payload: Option<String>,

    /// The provider that the receiver expects; without it Standard Webhooks
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,

    /// The secret by which the receiver checks signatures; better given by its variable
    #[arg(
        long,
        value_name = "SECRET",
        env = "HOOKLATCH_PROVE_SECRET",
        hide_env_values = true,
        value_parser = secret,
    )]
    pub secret: Option<Secret>,

    /// A place that holds the event's key, besides the provider's: header:NAME or body:$.PATH
    #[arg(long, value_name = "LOCATION")]
    pub key: Vec<Location>,

    /// A header of each delivery
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
}

/// What counts.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Probe (one of --probe-url, --probe-command, --probe-sql)")]
pub(crate) struct ProbeArgs {
    /// A URL that answers with how often the event had its effect
    #[arg(
        long,
        value_name = "URL",
        env = "HOOKLATCH_PROVE_PROBE_URL",
        hide_env_values = true,
        value_parser = secret,
        group = "probe",
    )]
    pub probe_url: Option<Secret>,

    /// Where the number is in the JSON: a number, or an array whose length counts
    #[arg(long, value_name = "$.PATH", requires = "probe_url")]
    pub probe_path: Option<String>,

    /// A header of the probe's request
    #[arg(
        long,
        value_name = "NAME: VALUE",
        env = "HOOKLATCH_PROVE_PROBE_HEADER",
        hide_env_values = true,
        value_parser = secret,
        requires = "probe_url",
    )]
    pub probe_header: Option<Secret>,

    /// A command, run by sh, that prints the number
    #[arg(long, value_name = "COMMAND", value_parser = secret, group = "probe")]
    pub probe_command: Option<Secret>,

    /// A query of PostgreSQL that answers with the number; $1 is the key, $2 the webhook-id
    #[arg(
        long,
        value_name = "SQL",
        group = "probe",
        requires = "probe_database_url"
    )]
    pub probe_sql: Option<String>,

    /// The database of --probe-sql
    #[arg(
        long,
        value_name = "URL",
        env = "HOOKLATCH_PROVE_DATABASE_URL",
        hide_env_values = true,
        value_parser = secret,
    )]
    pub probe_database_url: Option<Secret>,
}

/// What is done.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Scenarios")]
pub(crate) struct PlanArgs {
    /// Deliveries at once
    #[arg(long, value_name = "N", default_value_t = 16,
          value_parser = clap::value_parser!(u16).range(2..=256))]
    pub at_once: u16,

    /// How late a late delivery is
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub late_seconds: Duration,

    /// A command, run by sh, that kills the receiver
    #[arg(long, value_name = "COMMAND", value_parser = secret)]
    pub kill_command: Option<Secret>,

    /// A command, run by sh, that starts it again, and ends
    #[arg(long, value_name = "COMMAND", value_parser = secret)]
    pub restart_command: Option<Secret>,

    /// How often it is killed, at moments spread over the time that a delivery takes
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=100))]
    pub kills: u32,

    /// How long a connection or an answer may take
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = seconds)]
    pub timeout_seconds: Duration,

    /// How long an event is delivered again until it is given up
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = seconds)]
    pub patience_seconds: Duration,

    /// How long effects may take after the acknowledgement
    #[arg(long, value_name = "SECONDS", default_value = "0.5", value_parser = seconds)]
    pub settle_seconds: Duration,
}

fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::from(text))
}

/// A span of up to a day.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds".to_owned())?;
    if !(0.0..=86_400.0).contains(&seconds) {
        return Err("from 0 to 86400 seconds".to_owned());
    }
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::Cli;

    fn parsed(words: &[&str]) -> Result<Cli, clap::Error> {
        let words = ["hooklatch", "prove", "http://x"].iter().chain(words);
        Cli::try_parse_from(words)
    }

    #[test]
    fn spans_have_units_and_bounds() {
        assert!(parsed(&["--late-seconds", "0.5"]).is_ok());
        for wrong in ["-1", "NaN", "1e9", "soon"] {
            assert!(parsed(&["--late-seconds", wrong]).is_err(), "{wrong}");
        }
        assert!(parsed(&["--at-once", "1"]).is_err());
    }

    #[test]
    fn there_is_one_probe_and_one_message() {
        assert!(parsed(&["--probe-url", "http://y", "--probe-command", "c"]).is_err());
        assert!(parsed(&["--probe-sql", "SELECT 1"]).is_err());
        assert!(parsed(&["--message", "f", "--payload", "{}"]).is_err());
        assert!(parsed(&["--key", "nowhere"]).is_err());
    }

    #[test]
    fn no_secret_of_a_probe_is_ever_printed() {
        let secrets = [
            ["--secret", "s3same"],
            ["--probe-url", "http://y/?key=s3same"],
            ["--probe-command", "count s3same"],
            ["--probe-database-url", "postgres://me:s3same@db/x"],
            ["--kill-command", "kill s3same"],
            ["--restart-command", "start s3same"],
        ];
        for words in secrets {
            let shown = format!("{:?}", parsed(&words).unwrap());
            assert!(!shown.contains("s3same"), "{shown}");
        }
    }
}

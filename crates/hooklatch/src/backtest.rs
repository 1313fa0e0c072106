//! `hooklatch backtest`: tries a key rule on stored requests, and says what it would have done.

use std::io::IsTerminal as _;

use clap::Args;
use hooklatch_client::Client;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

use crate::connect::ConnectArgs;
use crate::failure::Failure;
use crate::listed::{find, number};

const EXAMPLE: &str = "\
Example:
  hooklatch backtest --source stripe --key body:$.id
  hooklatch backtest --source shop --key header:x-shop --key body:$.order.id --window 86400
  hooklatch backtest --source github --content --exclude $.attempt
  hooklatch backtest --connection \"stripe to orders\"

Nothing is changed and nothing is sent. What is left out is as the source has it.";

/// Options of `hooklatch backtest`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct BacktestArgs {
    #[command(flatten)]
    pub of: OfArgs,

    /// Where the key is, in order: header:NAME, query:NAME, body:PATH, method, path
    #[arg(long = "key", value_name = "LOCATION", conflicts_with = "content")]
    pub key: Vec<String>,

    /// Take the first location that has a value, not all of them together
    #[arg(long, requires = "key")]
    pub first: bool,

    /// Take the body itself as the key
    #[arg(long)]
    pub content: bool,

    /// What fingerprints and content leave out, for example $.attempt
    #[arg(long = "exclude", value_name = "PATH")]
    pub exclude: Vec<String>,

    /// The array whose elements are events of their own, for example body:$.events
    #[arg(long, value_name = "LOCATION")]
    pub split: Option<String>,

    /// For how many seconds a key is protected, or `forever`
    #[arg(long, value_name = "SECONDS")]
    pub window: Option<String>,

    /// Only what arrived at this time or later (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub after: Option<String>,

    /// Only what arrived before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub before: Option<String>,

    /// Look at no more stored requests [default: 1000000]
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,

    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// Whose past: one of these.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct OfArgs {
    /// A source, by its name or id
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,

    /// A connection with a deduplicating rule, by its name or id
    #[arg(long, value_name = "NAME")]
    pub connection: Option<String>,
}

/// Tries the rule.
pub(crate) async fn run(arguments: Box<BacktestArgs>) -> Result<(), Failure> {
    let client = arguments.connect.client()?;
    let path = path(&client, &arguments.of).await?;
    let trial = trial(&arguments)?;
    let bar = bar(arguments.json);
    let report = client.backtest(&path, &trial, |told| {
        bar.set_length(told.expected);
        bar.set_position(told.looked_at);
    });
    let report = report.await;
    bar.finish_and_clear();
    let report = report?;
    if arguments.json {
        println!("{report}");
    } else {
        print!("{}", in_words(&report));
    }
    Ok(())
}

async fn path(client: &Client, of: &OfArgs) -> Result<String, Failure> {
    let (kind, wanted) = match (&of.source, &of.connection) {
        (Some(source), _) => ("sources", source),
        (None, Some(connection)) => ("connections", connection),
        (None, None) => unreachable!("the command line names one"),
    };
    let id = find(client, kind, wanted).await?;
    Ok(format!("/v1/{kind}/{id}/backtest"))
}

fn trial(arguments: &BacktestArgs) -> Result<Value, Failure> {
    let mut trial = Map::new();
    if arguments.of.connection.is_some() {
        let of_sources = [
            arguments.content,
            !arguments.key.is_empty(),
            !arguments.exclude.is_empty(),
            arguments.split.is_some(),
            arguments.window.is_some(),
        ];
        if of_sources.contains(&true) {
            let hint = "with --connection its own rules are tried; only --after, --before and \
                        --limit go with it";
            return Err(Failure::Usage(hint.to_owned()));
        }
    }
    if arguments.content {
        trial.insert("key".to_owned(), json!({"content": true}));
    } else if !arguments.key.is_empty() {
        let mode = if arguments.first { "first" } else { "all" };
        let key = json!({"locations": arguments.key, "mode": mode});
        trial.insert("key".to_owned(), key);
    }
    if !arguments.exclude.is_empty() {
        let exclude = json!(arguments.exclude);
        trial.insert("fingerprint_exclude".to_owned(), exclude);
    }
    if let Some(window) = &arguments.window {
        let window = match window.parse::<i64>() {
            Ok(seconds) => json!(seconds),
            Err(_) => json!(window),
        };
        trial.insert("window_seconds".to_owned(), window);
    }
    for (name, text) in [
        ("split", &arguments.split),
        ("after", &arguments.after),
        ("before", &arguments.before),
    ] {
        if let Some(text) = text {
            trial.insert(name.to_owned(), json!(text));
        }
    }
    if let Some(limit) = arguments.limit {
        trial.insert("limit".to_owned(), json!(limit));
    }
    Ok(Value::Object(trial))
}

fn bar(json: bool) -> ProgressBar {
    if json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(
        "{bar:40} {human_pos} of {human_len} stored requests, {elapsed}",
    );
    ProgressBar::new(0).with_style(style.expect("the template is well-formed"))
}

fn in_words(report: &Value) -> String {
    let count = |name: &str| number(&report[name]);
    let mut text = format!(
        "{} stored requests were looked at, from {} to {}{}\n",
        count("looked_at"),
        report["first_received_at"].as_str().unwrap_or("-"),
        report["last_received_at"].as_str().unwrap_or("-"),
        if report["truncated"] == true {
            "; there are more"
        } else {
            ""
        },
    );
    let coverage = report["coverage"].as_f64();
    let coverage = coverage.map_or("-".to_owned(), |share| format!("{:.2} %", share * 100.0));
    for (name, value) in [
        ("payload gone", count("payload_gone")),
        ("events", count("events")),
        ("with a key", coverage),
        ("would be new", count("would_be_new")),
        ("would be suppressed", count("would_be_suppressed")),
        ("  with another payload", count("payload_differs")),
        ("  accepted at the time", count("newly_suppressed")),
        (
            "duplicates that would be new",
            count("no_longer_suppressed"),
        ),
    ] {
        text.push_str(&format!("  {name:<30} {value:>12}\n"));
    }
    for (title, name) in [
        ("suppressed", "suppressed_samples"),
        ("suppressed with another payload", "differing_samples"),
    ] {
        let samples = report[name].as_array().into_iter().flatten();
        for sample in samples.take(3) {
            let of = |name: &str| sample[name].as_str().unwrap_or("-").to_owned();
            text.push_str(&format!(
                "  {title}: {} repeats {} under {}\n",
                of("request_id"),
                of("original_request_id"),
                of("key")
            ));
        }
    }
    for warning in report["warnings"].as_array().into_iter().flatten() {
        text.push_str(&format!(
            "warning: {}\n",
            warning.as_str().unwrap_or_default()
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Action, Cli};

    fn parsed(words: &[&str]) -> BacktestArgs {
        let words = ["hooklatch", "backtest"].iter().chain(words);
        match Cli::try_parse_from(words).unwrap().command {
            Action::Backtest(arguments) => *arguments,
            other => panic!("another command: {other:?}"),
        }
    }

    #[test]
    fn the_command_line_becomes_a_trial() {
        let words = ["--source", "s", "--key", "body:$.id", "--window", "60"];
        let expected = json!({
            "key": {"locations": ["body:$.id"], "mode": "all"}, "window_seconds": 60,
        });
        assert_eq!(trial(&parsed(&words)).unwrap(), expected);
        let content = trial(&parsed(&["--source", "s", "--content"])).unwrap();
        assert_eq!(content, json!({"key": {"content": true}}));
        assert_eq!(trial(&parsed(&["--source", "s"])).unwrap(), json!({}));
        let mixed = parsed(&["--connection", "c", "--window", "60"]);
        assert!(matches!(trial(&mixed), Err(Failure::Usage(_))));
    }

    #[test]
    fn the_report_says_what_would_have_happened() {
        let report = json!({
            "looked_at": 1_000_000, "coverage": 0.995, "would_be_suppressed": 12,
            "payload_differs": 2, "truncated": false, "warnings": ["the key is only a time"],
            "differing_samples": [
                {"request_id": "req_2", "original_request_id": "req_1", "key": "evt_1"}
            ],
        });
        let text = in_words(&report);
        for part in [
            "1000000 stored requests",
            "99.50 %",
            "suppressed with another payload: req_2 repeats req_1 under evt_1",
            "warning: the key is only a time",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}

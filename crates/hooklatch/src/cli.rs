//! The command line: which commands there are, and what each of them takes.

use std::convert::Infallible;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Arg, Args, Command, CommandFactory, Parser, Subcommand};
use hooklatch_core::secret::Secret;

use crate::apply::ApplyArgs;
use crate::backtest::BacktestArgs;
use crate::backup::BackupArgs;
use crate::completions::CompletionsArgs;
use crate::connect::{API_KEY_VARIABLE, ConnectArgs};
use crate::doctor::arguments::DoctorArgs;
use crate::listen::arguments::ListenArgs;
use crate::man::ManArgs;
use crate::prove::args::ProveArgs;
use crate::reference::ConfigurationArgs;
use crate::replay::arguments::ReplayArgs;
use crate::resources::command::Called;
use crate::serve::authorities::AuthorityArgs;
use crate::serve::otlp::TraceArgs;
use crate::serve::rate::RateArgs;
use crate::serve::reach::ReachArgs;
use crate::serve::secrets::SecretFileArgs;
use crate::serve::settings::{ENCRYPTION_KEY_VARIABLE, LogFormat};
use crate::serve::tls::TlsArgs;
use crate::tail::arguments::TailArgs;

const EXAMPLES: &str = "\
Example:
  hooklatch demo                  see in half a minute what it does
  hooklatch serve --dev           start a gateway on http://127.0.0.1:8420
  hooklatch send --help           send a message

Exit codes: 0 done, 1 refused or failed, 2 not understood.";

/// Takes webhooks in, recognises every repetition, and delivers each event once.
#[derive(Debug, Parser)]
#[command(name = "hooklatch", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Action,
}

/// One command.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Start the gateway
    Serve(Box<ServeArgs>),
    /// Send a message through a running gateway
    Send(Box<SendArgs>),
    /// Try a key rule on stored requests, without acting
    Backtest(Box<BacktestArgs>),
    /// Bring sources, endpoints and connections to what a file declares
    Apply(Box<ApplyArgs>),
    /// Forward what arrives at a source to this machine, live
    Listen(Box<ListenArgs>),
    /// Watch the live log
    Tail(Box<TailArgs>),
    /// Send many deliveries again, as one job with a plan
    Replay(Box<ReplayArgs>),
    /// Bring a database to the tables of this version
    Migrate(MigrateArgs),
    /// Move everything from a data directory into a database
    Copy(Box<CopyArgs>),
    /// See the whole story in under a minute, on a temporary store
    Demo(DemoArgs),
    /// Copy the data of a running gateway into a file
    Backup(Box<BackupArgs>),
    /// Look for what is wrong, or will be, and say what to do
    Doctor(Box<DoctorArgs>),
    /// Try whether a receiver of yours lets each event have its effect once
    Prove(Box<ProveArgs>),
    #[command(flatten)]
    Resource(Box<Called>),
    /// Print what a shell needs to complete this command line
    Completions(CompletionsArgs),
    /// Write the manual pages
    Man(ManArgs),
    /// Print every option of serve, with its variable, key and default
    Configuration(ConfigurationArgs),
    /// Run the scripts of connections, for a gateway that starts this by itself
    #[command(hide = true, after_help = WORKER_EXAMPLE)]
    TransformWorker,
}

impl Cli {
    /// Every environment variable that some command reads.
    pub fn variables() -> Vec<String> {
        let root = Self::command();
        // What is below a resource has the options of every other command that asks a gateway.
        let arguments = root.get_subcommands().flat_map(Command::get_arguments);
        let named = arguments.filter_map(Arg::get_env);
        let named = named.map(|name| name.to_string_lossy().into_owned());
        let secrets = [API_KEY_VARIABLE, ENCRYPTION_KEY_VARIABLE].map(str::to_owned);
        named.chain(secrets).collect()
    }
}

const WORKER_EXAMPLE: &str = "\
Example:
  hooklatch transform-worker < jobs > replies

Each job and each reply is JSON behind its length, four bytes, big-endian.";

const SERVE_EXAMPLE: &str = "\
Example:
  hooklatch serve --data-dir /var/lib/hooklatch --listen 127.0.0.1:8420
  hooklatch serve --in-memory --dev      for tests: nothing is written, nothing is left

Every option is also a key of the configuration file, with underscores: data_dir = \"/var/lib/…\".
A flag goes before its environment variable, and that before the file.

Two secrets are no flags, because a command line can be read by everybody on the machine:
  HOOKLATCH_API_KEY         the first admin key: hl_ and 29 characters or more (file: api_key);
                            without it the first start makes one and prints it once
                            (HOOKLATCH_API_KEY_FILE: a file that holds it)
  HOOKLATCH_ENCRYPTION_KEY  32 bytes in base64 that seal stored secrets (file: encryption_key);
                            without it a key file is made in the data directory; with a database
                            it is required, and the same on every node; in memory, each start
                            makes its own
                            (HOOKLATCH_ENCRYPTION_KEY_FILE: a file that holds it)
A database URL with a password is better given by its variable or by a file than by its flag.

Ctrl-C or SIGTERM ends it gracefully; a second one ends it at once. Nothing that was answered is
lost either way, but with --in-memory, where all of it is.";

/// Options of `hooklatch serve`. What is left out is looked for in the file.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = SERVE_EXAMPLE)]
pub(crate) struct ServeArgs {
    /// A configuration file (TOML)
    #[arg(long, value_name = "FILE", env = "HOOKLATCH_CONFIG")]
    pub config: Option<PathBuf>,

    /// The address to listen on [default: 127.0.0.1:8420]
    #[arg(long, value_name = "ADDR", env = "HOOKLATCH_LISTEN")]
    pub listen: Option<String>,

    /// Where everything is stored [default: ./hooklatch-data]
    #[arg(long, value_name = "DIR", env = "HOOKLATCH_DATA_DIR")]
    pub data_dir: Option<PathBuf>,

    /// Keep everything in memory, for tests and CI: all of it is lost when the process ends
    #[arg(
        long,
        value_name = "BOOL",
        env = "HOOKLATCH_IN_MEMORY",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
    )]
    pub in_memory: Option<bool>,

    #[command(flatten)]
    pub database: DatabaseArgs,

    /// Allow endpoints on this machine (loopback addresses), for development
    #[arg(
        long,
        value_name = "BOOL",
        env = "HOOKLATCH_DEV",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
    )]
    pub dev: Option<bool>,

    /// Where providers reach this gateway, for ingest URLs [default: the caller's Host header]
    #[arg(long, value_name = "URL", env = "HOOKLATCH_PUBLIC_URL")]
    pub public_url: Option<String>,

    /// How the log is written [default: text]
    #[arg(long, value_name = "FORMAT", env = "HOOKLATCH_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,

    /// What is logged, for example `warn` or `info,hooklatch_engine=debug` [default: info]
    #[arg(long, value_name = "FILTER", env = "HOOKLATCH_LOG")]
    pub log: Option<String>,

    /// How long a graceful end waits for what is under way [default: 30]
    #[arg(long, value_name = "SECONDS", env = "HOOKLATCH_DRAIN_SECONDS")]
    pub drain_seconds: Option<u64>,

    /// For how many days messages, requests and attempts are kept, unless a project says
    /// otherwise; claims are kept for their windows either way [default: for ever]
    #[arg(long, value_name = "DAYS", env = "HOOKLATCH_HISTORY_DAYS")]
    pub history_days: Option<u32>,

    /// For how many days bodies are kept, unless a project says otherwise [default: for as long as
    /// their history]
    #[arg(long, value_name = "DAYS", env = "HOOKLATCH_PAYLOAD_DAYS")]
    pub payload_days: Option<u32>,

    /// How often it is looked for what has been kept for long enough [default: 60]
    #[arg(
        long,
        value_name = "SECONDS",
        env = "HOOKLATCH_RETENTION_INTERVAL_SECONDS"
    )]
    pub retention_interval_seconds: Option<u64>,
    #[command(flatten)]
    pub rate: RateArgs,
    #[command(flatten)]
    pub tls: TlsArgs,
    #[command(flatten)]
    pub authorities: AuthorityArgs,
    #[command(flatten)]
    pub reach: ReachArgs,
    #[command(flatten)]
    pub traces: TraceArgs,

    #[command(flatten)]
    pub secrets: SecretFileArgs,
}

/// Which database, where there is one.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DatabaseArgs {
    /// A PostgreSQL database that any number of nodes share, instead of a data directory:
    /// postgres://USER:PASSWORD@HOST:5432/DATABASE
    #[arg(
        long,
        value_name = "URL",
        env = "HOOKLATCH_DATABASE_URL",
        hide_env_values = true,
        value_parser = secret,
    )]
    pub database_url: Option<Secret>,

    /// A file that holds the database URL
    #[arg(long, value_name = "FILE", env = "HOOKLATCH_DATABASE_URL_FILE")]
    pub database_url_file: Option<PathBuf>,
}

pub(crate) fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::from(text))
}

const MIGRATE_EXAMPLE: &str = "\
Example:
  hooklatch migrate --check       exit code 1 if there is something to do
  hooklatch migrate --database-url postgres://hooklatch@db.internal/hooklatch

A gateway does the same when it starts. Nodes of the version before go on beside the new tables.";

/// Options of `hooklatch migrate`.
#[derive(Debug, Clone, Args)]
#[command(after_help = MIGRATE_EXAMPLE)]
pub(crate) struct MigrateArgs {
    /// A configuration file (TOML)
    #[arg(long, value_name = "FILE", env = "HOOKLATCH_CONFIG")]
    pub config: Option<PathBuf>,

    #[command(flatten)]
    pub database: DatabaseArgs,

    /// Change nothing; only say what would be done
    #[arg(long)]
    pub check: bool,

    /// Print the versions as JSON
    #[arg(long)]
    pub json: bool,
}

const COPY_EXAMPLE: &str = "\
Example:
  hooklatch copy --from /var/lib/hooklatch --to postgres://hooklatch@db.internal/hooklatch

Stop the gateway first. What is interrupted is gone on with by the same command. At the end both
sides are read from the beginning and compared; until then no gateway opens the database. The
directory keeps everything that it has.";

/// Options of `hooklatch copy`.
#[derive(Debug, Clone, Args)]
#[command(after_help = COPY_EXAMPLE)]
pub(crate) struct CopyArgs {
    /// The data directory to copy, which no gateway has
    #[arg(long, value_name = "DIR")]
    pub from: PathBuf,

    /// The PostgreSQL database to copy into, which holds nothing of hooklatch yet
    #[arg(
        long,
        value_name = "URL",
        env = "HOOKLATCH_DATABASE_URL",
        hide_env_values = true,
        value_parser = secret,
    )]
    pub to: Option<Secret>,

    /// A file that holds the database URL
    #[arg(long, value_name = "FILE", env = "HOOKLATCH_DATABASE_URL_FILE")]
    pub to_file: Option<PathBuf>,

    /// Print what was copied as JSON
    #[arg(long)]
    pub json: bool,
}

const SEND_EXAMPLE: &str = "\
Example:
  hooklatch send --tenant acme --event-type order.paid --key order-1001-paid '{\"order\": 1001}'
  hooklatch send --url https://example.com/hook @payload.json
  jq . order.json | hooklatch send --broadcast

The same key, target and payload again sends nothing and shows the first message as it is now. The
same key with another payload is refused (exit code 1).";

/// Options of `hooklatch send`.
#[derive(Debug, Clone, Args)]
#[command(after_help = SEND_EXAMPLE)]
pub(crate) struct SendArgs {
    #[command(flatten)]
    pub target: TargetArgs,

    /// The payload as JSON, or @FILE; without it, or as `-`, it is read from standard input
    #[arg(value_name = "PAYLOAD")]
    pub payload: Option<String>,

    /// What makes two calls the same; without it one is made for this call
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,

    /// The type of the event
    #[arg(long, value_name = "TYPE")]
    pub event_type: Option<String>,

    /// A header that each delivery carries
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,

    /// Wait so long before the first attempt
    #[arg(long, value_name = "SECONDS")]
    pub delay_seconds: Option<u64>,

    /// Print the message as JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// Where a message goes: one of these.
#[derive(Debug, Clone, Default, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct TargetArgs {
    /// To one endpoint, by its id
    #[arg(long, value_name = "ID")]
    pub endpoint: Option<String>,

    /// To a URL
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,

    /// To every endpoint of a customer
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,

    /// To every endpoint
    #[arg(long)]
    pub broadcast: bool,
}

const DEMO_EXAMPLE: &str = "\
Example:
  hooklatch demo --exit           exit code 1 if anything was lost or happened twice
  hooklatch demo                  the same, then its dashboard stays up until Ctrl-C";

/// Options of `hooklatch demo`.
#[derive(Debug, Clone, Args)]
#[command(after_help = DEMO_EXAMPLE)]
pub(crate) struct DemoArgs {
    /// End after the story instead of staying up
    #[arg(long)]
    pub exit: bool,

    /// How many events the payment provider sends
    #[arg(long, value_name = "N", default_value_t = 200,
          value_parser = clap::value_parser!(u32).range(20..=5_000))]
    pub events: u32,

    /// The same seed tells the same story
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_level_of_help_has_an_example() {
        fn check(command: &mut Command, path: &str) {
            let help = command.render_help().to_string();
            assert!(help.contains("Example:\n  hooklatch"), "{path}: {help}");
            let inner = command.get_subcommands_mut();
            for command in inner.filter(|command| command.get_name() != "help") {
                let path = format!("{path} {}", command.get_name());
                check(command, &path);
            }
        }
        check(&mut Cli::command(), "hooklatch");
    }

    #[test]
    fn every_variable_is_known() {
        let variables = Cli::variables();
        for name in ["HOOKLATCH_LISTEN", "HOOKLATCH_API_KEY", "HOOKLATCH_SERVER"] {
            assert!(variables.iter().any(|known| known == name), "{name}");
        }
        // Collectors of traces are named by the variables that every program has for them.
        let ours = |name: &String| name.starts_with("HOOKLATCH_") || name.starts_with("OTEL_");
        assert!(variables.iter().all(ours));
    }

    #[test]
    fn a_send_names_exactly_one_target() {
        let with = |targets: &[&str]| {
            let words = ["hooklatch", "send"].iter().chain(targets).chain(&["{}"]);
            Cli::try_parse_from(words).is_ok()
        };
        assert!(with(&["--tenant", "acme"]));
        assert!(with(&["--broadcast"]));
        assert!(!with(&[]));
        assert!(!with(&["--tenant", "acme", "--url", "http://x"]));
    }

    #[test]
    fn a_database_url_is_never_printed() {
        let url = "postgres://me:s3same@db/hooks";
        for words in [
            &["serve", "--database-url", url][..],
            &["migrate", "--database-url", url],
            &["copy", "--from", "dir", "--to", url],
        ] {
            let words = ["hooklatch"].iter().chain(words);
            let parsed = Cli::try_parse_from(words.clone()).unwrap();
            assert!(!format!("{parsed:?}").contains("s3same"));
            let wrong = Cli::try_parse_from(words.chain(&["--no-such-flag"]));
            let error = wrong.unwrap_err().to_string();
            assert!(!error.contains("s3same"), "{error}");
        }
        let mut root = Cli::command();
        for command in root.get_subcommands_mut() {
            let is_url = |it: &&Arg| {
                let variable = it.get_env();
                variable.is_some_and(|name| name == "HOOKLATCH_DATABASE_URL")
            };
            let mut urls = command.get_arguments().filter(is_url);
            assert!(urls.all(Arg::is_hide_env_values_set));
        }
    }

    #[test]
    fn dev_can_be_said_and_unsaid() {
        let dev = |words: &[&str]| {
            let words = ["hooklatch", "serve"].iter().chain(words);
            match Cli::try_parse_from(words).unwrap().command {
                Action::Serve(serve) => serve.dev,
                Action::Send(_)
                | Action::Backtest(_)
                | Action::Apply(_)
                | Action::Listen(_)
                | Action::Tail(_)
                | Action::Replay(_)
                | Action::Migrate(_)
                | Action::Copy(_)
                | Action::Demo(_)
                | Action::Prove(_)
                | Action::Backup(_)
                | Action::Doctor(_)
                | Action::Resource(_)
                | Action::Completions(_)
                | Action::Man(_)
                | Action::Configuration(_)
                | Action::TransformWorker => {
                    panic!("another command")
                }
            }
        };
        assert_eq!(dev(&[]), None);
        assert_eq!(dev(&["--dev"]), Some(true));
        assert_eq!(dev(&["--dev=no"]), Some(false));
    }
}

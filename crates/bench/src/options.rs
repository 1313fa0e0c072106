//! What can be asked of a run. Everything is bounded, in count and in time.

use std::num::NonZeroU16;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::scenario::Scenario;

const EXAMPLES: &str = "\
Example:
  cargo xtask bench                                     everything, in about ten minutes
  cargo xtask bench --fill 0 --seconds 2                a first impression, on an empty store
  cargo xtask bench --scenario send --connections 64    one row
  cargo xtask bench --postgres --fill-claims 5000000    one node and three that share a PostgreSQL
  cargo xtask bench --fairness --seconds 10             what one endpoint's trouble costs the others
  cargo xtask bench --pages                             the dashboard on a month of history

--postgres starts a PostgreSQL in a temporary directory; --database-url takes one that is there.";

/// Measures hooklatch beside a bare server, and prints a table.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench", after_help = EXAMPLES)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    /// Something else than to measure.
    #[command(subcommand)]
    pub role: Option<Role>,
    /// What to measure.
    #[command(flatten)]
    pub options: Options,
}

/// What else this program can be.
#[derive(Subcommand)]
pub(crate) enum Role {
    /// That bare server
    #[command(hide = true)]
    Floor,
    /// A node that drops old history
    #[command(hide = true)]
    DropHistory,
}

/// The options of a run.
#[derive(Args)]
pub(crate) struct Options {
    /// How long each row is measured, after a warm-up of a fifth of that
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,

    /// How many messages the filled store holds before it is measured; 0 leaves that part out
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(..=100_000_000))]
    pub fill: u64,

    /// How many connections send at once
    #[arg(
        long,
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "1,64,256"
    )]
    pub connections: Vec<NonZeroU16>,

    /// How many attempts may be under way at the endpoint at once
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub endpoint_concurrency: u16,

    /// Only these
    #[arg(
        long = "scenario",
        value_name = "NAME,…",
        value_delimiter = ',',
        value_enum
    )]
    pub scenarios: Vec<Scenario>,

    /// Measure nodes that share a PostgreSQL, which is started for this
    #[arg(long)]
    pub postgres: bool,

    /// Measure nodes that share this PostgreSQL: databases of its own are made beside the one that is
    /// named, and dropped again; spoken to without TLS
    #[arg(
        long,
        value_name = "URL",
        env = "HOOKLATCH_BENCH_DATABASE_URL",
        hide_env_values = true
    )]
    pub database_url: Option<String>,

    /// Measure only whether deliveries to endpoints that work are slower beside one that is slow, one
    /// that fails and a tenant that is flooded
    #[arg(long)]
    pub fairness: bool,

    /// Measure only the dashboard: every page over a store with so many messages as --fill says, and
    /// what five people who watch cost those who send
    #[arg(long, conflicts_with_all = ["fairness", "postgres"])]
    pub pages: bool,

    /// Where the store for that is; it is filled if it is not there, and stays [default: one of its
    /// own, that is removed again]
    #[arg(long, value_name = "DIR", requires = "pages")]
    pub store: Option<PathBuf>,

    /// Only fill that store
    #[arg(long, requires = "store")]
    pub only_fill: bool,

    /// How many nodes share it
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1,3", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub nodes: Vec<u8>,

    /// With how many claims the ledger in it is filled before it is measured again, and a day of
    /// history dropped under load; 0 leaves that part out
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=100_000_000))]
    pub fill_claims: u64,

    /// The gateway to measure [default: `hooklatch` beside this program]
    #[arg(long, value_name = "PATH")]
    pub server_binary: Option<PathBuf>,

    /// Where the stores are made, and removed again [default: beside this program]
    #[arg(long, value_name = "DIR")]
    pub work_dir: Option<PathBuf>,

    /// Print one JSON document in place of the tables
    #[arg(long)]
    pub json: bool,
}

//! Options of `hooklatch doctor`.

use std::path::PathBuf;

use clap::Args;

use crate::serve::place::PlaceArgs;

const EXAMPLE: &str = "\
Example:
  hooklatch doctor --config /etc/hooklatch.toml
  hooklatch doctor --server http://127.0.0.1:8420 --json | jq '.checks[] | select(.state != \"ok\")'

It changes nothing and stops nothing. With a data directory or a database it looks at the machine and
the store, whether or not a gateway has them; with a gateway, at what the gateway knows (this needs
HOOKLATCH_API_KEY, with the scope read). What is not there is skipped. Each line is ok, warn or fail,
and says what to do; the exit code is 1 if anything fails.";

/// Options of `hooklatch doctor`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub place: PlaceArgs,

    /// The gateway to ask [default: http://127.0.0.1:8420, if one answers there]
    #[arg(long, value_name = "URL", env = "HOOKLATCH_SERVER")]
    pub server: Option<String>,

    /// A file that holds the API key
    #[arg(long, value_name = "FILE", env = "HOOKLATCH_API_KEY_FILE")]
    pub api_key_file: Option<PathBuf>,

    /// Connect to no endpoint: certificates are not looked at
    #[arg(long)]
    pub offline: bool,

    /// Print what was found as JSON
    #[arg(long)]
    pub json: bool,
}

//! Options of `hooklatch listen`.

use std::convert::Infallible;

use clap::Args;
use hooklatch_core::secret::Secret;

use crate::connect::ConnectArgs;

const EXAMPLE: &str = "\
Example:
  hooklatch listen --forward-to http://localhost:3000/hooks --source stripe

What arrives at the source from now on is sent to this machine as an endpoint would get it, signed
with the secret that is printed. No port is opened: the gateway is asked for what is new. The
source's own endpoints get it as ever. An outage of either side is waited for; Ctrl-C ends it, and
--after goes on where it ended. A key with the scope read is enough.";

/// Options of `hooklatch listen`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct ListenArgs {
    /// Where messages are sent, on this machine
    #[arg(long, value_name = "URL")]
    pub forward_to: String,

    /// Which source to listen to (its name or id)
    #[arg(long, value_name = "NAME")]
    pub source: String,

    /// Begin after this message instead of now: the last one of an earlier run
    #[arg(long, value_name = "MESSAGE")]
    pub after: Option<String>,

    /// What signs (whsec_…) [default: one made for this run]
    #[arg(
        long,
        value_name = "SECRET",
        env = "HOOKLATCH_LISTEN_SECRET",
        hide_env_values = true,
        value_parser = secret,
    )]
    pub secret: Option<Secret>,

    /// Print a line of JSON for each message
    #[arg(long)]
    pub json: bool,

    /// End after so many messages
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,

    #[command(flatten)]
    pub connect: ConnectArgs,
}

fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::from(text))
}

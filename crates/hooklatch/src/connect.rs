//! How a command reaches a running gateway.

use hooklatch_client::Client;

use crate::failure::Failure;

/// The environment variable that holds the API key. It is no flag: a command line can be read by
/// everybody on the machine.
pub(crate) const API_KEY_VARIABLE: &str = "HOOKLATCH_API_KEY";

/// Which gateway.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Connection (the API key is read from HOOKLATCH_API_KEY)")]
pub(crate) struct ConnectArgs {
    /// The gateway's address
    #[arg(
        long,
        value_name = "URL",
        env = "HOOKLATCH_SERVER",
        default_value = "http://127.0.0.1:8420"
    )]
    pub server: String,
}

impl ConnectArgs {
    /// A client of that gateway.
    pub fn client(&self) -> Result<Client, Failure> {
        let key = std::env::var(API_KEY_VARIABLE).map_err(|_| {
            Failure::Usage(format!(
                "{API_KEY_VARIABLE} is not set: set it to the key that `hooklatch serve` printed \
                 at its first start"
            ))
        })?;
        Client::new(&self.server, key.trim()).map_err(|error| Failure::Usage(error.to_string()))
    }
}

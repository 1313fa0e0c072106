//! How a command reaches a running gateway.

use std::path::PathBuf;

use hooklatch_client::Client;
use hooklatch_core::secret::Secret;

use crate::failure::Failure;
use crate::serve::secrets::secret;

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

    /// A file that holds the API key
    #[arg(long, value_name = "FILE", env = "HOOKLATCH_API_KEY_FILE")]
    pub api_key_file: Option<PathBuf>,
}

impl ConnectArgs {
    /// A client of that gateway.
    pub fn client(&self) -> Result<Client, Failure> {
        let key = self.key()?.ok_or_else(|| {
            Failure::Usage(format!(
                "{API_KEY_VARIABLE} is not set: set it to the key that `hooklatch serve` printed \
                 at its first start"
            ))
        })?;
        Client::new(&self.server, key.expose().trim())
            .map_err(|error| Failure::Usage(error.to_string()))
    }

    /// The API key, where there is one.
    pub fn key(&self) -> Result<Option<Secret>, Failure> {
        let said = std::env::var(API_KEY_VARIABLE).ok();
        let said = said.filter(|key| !key.is_empty()).map(Secret::new);
        secret(API_KEY_VARIABLE, said, self.api_key_file.as_deref())
            .map_err(|error| Failure::Usage(error.to_string()))
    }
}

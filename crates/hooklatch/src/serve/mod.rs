//! `hooklatch serve`: wires the gateway together, runs it until a signal, and ends it in order.

mod file;
mod keyfile;
mod logs;
pub(crate) mod settings;

use crate::cli::ServeArgs;
use crate::failure::Failure;
use settings::Settings;

/// Runs the gateway until it is told to end.
pub(crate) async fn run(arguments: Box<ServeArgs>) -> Result<(), Failure> {
    let settings = Settings::gather(*arguments, |name| std::env::var(name).ok())
        .map_err(|error| Failure::Usage(error.to_string()))?;
    logs::start(&settings)?;
    Err(Failure::Failed("wip".into()))
}

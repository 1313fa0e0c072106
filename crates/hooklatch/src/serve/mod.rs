//! `hooklatch serve`: wires the gateway together, runs it until a signal, and ends it in order.

pub(crate) mod authorities;
mod banner;
pub(crate) mod file;
mod gateway;
pub(crate) mod keyfile;
mod logs;
pub(crate) mod otlp;
pub(crate) mod place;
pub(crate) mod rate;
pub(crate) mod reach;
pub(crate) mod secrets;
pub(crate) mod settings;
pub(crate) mod tls;

use crate::cli::{Cli, ServeArgs};
use crate::failure::Failure;
use crate::signals::Signals;
use gateway::Gateway;
use place::Place;
use settings::Settings;

/// Runs the gateway until it is told to end.
pub(crate) async fn run(arguments: Box<ServeArgs>) -> Result<(), Failure> {
    let settings = Settings::gather(*arguments, |name| std::env::var(name).ok())
        .map_err(|error| Failure::Usage(error.to_string()))?;
    logs::start(&settings)?;
    for name in unknown_variables() {
        tracing::warn!("the environment variable {name} means nothing to hooklatch");
    }
    let mut signals = Signals::listen()
        .map_err(|error| Failure::failed("the gateway cannot listen to signals", error))?;
    let mut gateway = tokio::select! {
        started = Box::pin(Gateway::start(&settings)) => started?,
        signal = signals.next() => {
            return Err(Failure::Failed(format!("{signal} before the gateway was up")));
        }
    };
    let address = gateway.address();
    eprint!("{}", banner::text(&settings, address, gateway.first_key()));
    for warning in banner::warnings(&settings, address) {
        tracing::warn!("{warning}");
    }
    tracing::info!(%address, data = %settings.place, "the gateway is up");
    let by_itself = tokio::select! {
        signal = signals.next() => {
            let drain_seconds = settings.drain.as_secs();
            tracing::info!(%signal, drain_seconds, "stopping; a second signal ends at once");
            Ok(())
        }
        () = gateway.http_ended() => {
            Err(Failure::Failed("the HTTP server ended by itself".into()))
        }
    };
    tokio::select! {
        stopped = gateway.stop(settings.drain) => stopped.and(by_itself),
        _ = signals.next() => Err(Failure::Failed(at_once(&settings.place).into())),
    }
}

/// What an end without waiting means.
const fn at_once(place: &Place) -> &'static str {
    match place {
        Place::Directory(_) | Place::Database(_) => {
            "ended at once; what was answered is stored, what was under way is recovered at the \
             next start"
        }
        Place::Memory => "ended at once; everything was in memory, and is lost",
    }
}

/// A misspelt variable would otherwise go unnoticed, and its default with it.
pub(crate) fn unknown_variables() -> Vec<String> {
    let known = Cli::variables();
    std::env::vars_os()
        .map(|(name, _)| name.to_string_lossy().into_owned())
        .filter(|name| name.starts_with("HOOKLATCH_") && !known.contains(name))
        .collect()
}

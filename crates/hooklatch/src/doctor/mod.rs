//! `hooklatch doctor`: looks for what is wrong, or will be, and says what to do. It changes nothing.
//!
//! It looks at what is there: the configuration, the machine, the store, a running gateway, and what
//! is configured in whichever of the two last ones can be asked.

pub(crate) mod arguments;
mod certificates;
mod configured;
mod finding;
mod gateway;
mod machine;
mod store;

use clap::Parser;
use hooklatch_core::address::Reach;
use hooklatch_store::{Clock, SystemClock};

use crate::cli::{Action, Cli, ServeArgs};
use crate::failure::Failure;
use crate::serve;
use crate::serve::authorities;
use crate::serve::file::FileSettings;
use crate::serve::place::Place;
use crate::serve::settings::{Settings, SettingsError};
use crate::terminal::Colours;
use arguments::DoctorArgs;
use finding::{Finding, State};

/// Looks at everything, and tells.
pub(crate) async fn run(arguments: Box<DoctorArgs>) -> Result<(), Failure> {
    let findings = look(&arguments).await?;
    if arguments.json {
        println!("{}", finding::as_json(&findings));
    } else {
        println!("{}", finding::in_words(&findings, Colours::of_stdout()));
    }
    match finding::count(&findings, State::Fail) {
        0 => Ok(()),
        many => Err(Failure::Failed(format!("{many} of the checks failed"))),
    }
}

async fn look(arguments: &DoctorArgs) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    let settings = settings(arguments, &mut findings);
    findings.push(machine::open_files());
    let place = match &settings {
        Some(settings) => Some(settings.place.clone()),
        None => arguments.place.clone().place().ok(),
    };
    let mut stored = store::Looked::default();
    if let Some(place) = place.filter(|place| is_meant(place, arguments)) {
        if let Place::Directory(path) = &place {
            findings.extend(machine::directory(path));
        }
        let key = settings.as_ref().and_then(|it| it.encryption_key.as_ref());
        stored = store::look(&place, key).await;
        findings.append(&mut stored.findings);
    } else {
        let found = "no data directory or database is named, and there is no ./hooklatch-data";
        findings.push(Finding::skip("store", found));
    }
    let mut asked = gateway::look(arguments).await?;
    findings.append(&mut asked.findings);
    // What a gateway says is newer, and knows how endpoints fare.
    let (sources, endpoints) = asked
        .configured
        .unwrap_or((stored.sources, stored.endpoints));
    findings.extend(configured::sources(&sources));
    findings.extend(configured::endpoints(&endpoints));
    if !arguments.offline {
        let reach = settings.as_ref().map_or(Reach::PublicOnly, Settings::reach);
        let file = settings.and_then(|settings| settings.endpoint_ca);
        match authorities::trusted(file.as_deref()) {
            Ok(trusted) => {
                let now = SystemClock.now();
                findings.extend(certificates::of_endpoints(&endpoints, reach, trusted, now).await);
            }
            Err(error) => {
                let advice = "docs/endpoint-auth.md says what HOOKLATCH_ENDPOINT_CA names";
                findings.push(Finding::fail("configuration", error.to_string(), advice));
            }
        }
    }
    Ok(findings)
}

/// Whether a place was named, or is the usual one and there.
fn is_meant(place: &Place, arguments: &DoctorArgs) -> bool {
    let place_args = &arguments.place;
    let named = place_args.data_dir.is_some() || place_args.config.is_some();
    match place {
        Place::Directory(path) => named || path.is_dir(),
        Place::Database(_) | Place::Memory => true,
    }
}

/// The settings with which `serve` would start from here.
fn settings(arguments: &DoctorArgs, findings: &mut Vec<Finding>) -> Option<Settings> {
    let serve = match serve_arguments(arguments) {
        Ok(serve) => serve,
        Err(why) => {
            let advice = "hooklatch configuration shows every variable and what it takes";
            findings.push(Finding::fail("configuration", why, advice));
            return None;
        }
    };
    findings.extend(open_secrets(&serve));
    let gathered = Settings::gather(serve, |name| std::env::var(name).ok());
    for name in serve::unknown_variables() {
        findings.push(Finding::warn(
            "configuration",
            format!("the environment variable {name} means nothing to hooklatch"),
            "look for a slip of the pen: hooklatch configuration shows all of them",
        ));
    }
    match gathered {
        Ok(settings) => {
            let found = match &arguments.place.config {
                Some(path) => format!("{} can be used", path.display()),
                None => "flags and variables can be used".to_owned(),
            };
            findings.push(Finding::ok("configuration", found));
            Some(settings)
        }
        // Whoever only asks a gateway does not need its key.
        Err(SettingsError::NoEncryptionKey) => {
            let found = "HOOKLATCH_ENCRYPTION_KEY is not set: no gateway starts from here";
            findings.push(Finding::skip("configuration", found));
            None
        }
        Err(error) => {
            let advice = "docs/configuration.md has every key and what it takes";
            findings.push(Finding::fail("configuration", error.to_string(), advice));
            None
        }
    }
}

/// What `serve` would be told by the environment, with the place that was named here.
fn serve_arguments(arguments: &DoctorArgs) -> Result<ServeArgs, String> {
    let parsed = Cli::try_parse_from(["hooklatch", "serve"]);
    let parsed = parsed.map_err(|error| {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        first.trim_start_matches("error: ").to_owned()
    })?;
    let Action::Serve(mut serve) = parsed.command else {
        unreachable!("serve was asked for")
    };
    let place = arguments.place.clone();
    serve.config = place.config;
    serve.data_dir = place.data_dir;
    serve.database = place.database;
    Ok(*serve)
}

/// A file with secrets that others can read.
#[cfg(unix)]
fn open_secrets(serve: &ServeArgs) -> Option<Finding> {
    use std::os::unix::fs::PermissionsExt;
    let path = serve.config.as_deref()?;
    let file = FileSettings::read(path).ok()?;
    let secrets = [&file.api_key, &file.encryption_key, &file.database_url];
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    if mode & 0o004 == 0 || secrets.iter().all(|secret| secret.is_none()) {
        return None;
    }
    let shown = path.display();
    Some(Finding::warn(
        "configuration",
        format!(
            "{shown} holds a secret and has mode {mode:o}: everybody on this machine can read it"
        ),
        format!("chmod 600 {shown}, or keep the secret in a file of its own (api_key_file, …)"),
    ))
}

#[cfg(not(unix))]
fn open_secrets(_: &ServeArgs) -> Option<Finding> {
    None
}

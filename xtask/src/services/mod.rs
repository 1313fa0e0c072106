//! The real servers that some tests talk to: started on loopback, on free ports, in a directory
//! that goes away with them, and ended however the tests end.
//!
//! A server is started only if a test names the variable that says where it is, so that nobody
//! waits for, or has to install, what nothing uses.

mod kinds;
mod process;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::packages::Package;
use crate::workspace::Workspace;
use crate::{Failure, packages, workspace};
use kinds::Kind;
use process::{Place, Running};

/// Servers that run. They end, and what they wrote goes, when this is dropped.
pub struct Services {
    running: Vec<Running>,
    variables: Vec<(&'static str, String)>,
    directory: PathBuf,
}

impl Services {
    /// Starts what the tests of this workspace need.
    pub fn start(workspace: &Workspace) -> Result<Self, Failure> {
        let sources = sources(&workspace.root.join("crates"))?;
        let named = |kind: &Kind| sources.iter().any(|text| text.contains(kind.variable()));
        let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(named).collect();
        install(&kinds)?;
        let mut services = Self::none()?;
        for kind in kinds {
            // What did start is ended by the drop if another one does not.
            let place = Place::make(&services.directory, kind.name(), kind.user())?;
            let (running, address) = kind.start(&place)?;
            eprintln!("xtask: {} runs", kind.name());
            services.running.push(running);
            services.variables.push((kind.variable(), address));
        }
        Ok(services)
    }

    /// Starts a PostgreSQL alone, with these settings; answers where it is.
    pub fn postgres(settings: &[&str]) -> Result<(Self, String), Failure> {
        let kind = Kind::Postgres;
        install(&[kind])?;
        let mut services = Self::none()?;
        let place = Place::make(&services.directory, kind.name(), kind.user())?;
        let (running, address) = kinds::start_postgres(&place, settings)?;
        services.running.push(running);
        Ok((services, address))
    }

    fn none() -> Result<Self, Failure> {
        let name = format!("hooklatch-services-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory)?;
        Ok(Self {
            running: Vec::new(),
            variables: Vec::new(),
            directory,
        })
    }

    /// Where they are, for the environment of the tests.
    pub fn variables(&self) -> &[(&'static str, String)] {
        &self.variables
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.running.clear();
        // What is left of it lies among the temporary files, and goes with them.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Runs one command beside the servers.
pub fn run(words: &[String]) -> Result<ExitCode, Failure> {
    let (program, arguments) = words
        .split_first()
        .ok_or("name a command: `cargo xtask services -- cargo nextest run -p CRATE`")?;
    let services = Services::start(&workspace::read()?)?;
    let status = Command::new(program)
        .args(arguments)
        .envs(services.variables().iter().map(|(name, at)| (name, at)))
        .status()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

fn install(kinds: &[Kind]) -> Result<(), Failure> {
    let absent = |kind: &&Kind| kind.program().is_none();
    let packages: Vec<Package> = kinds
        .iter()
        .filter(absent)
        .map(|kind| Package(kind.package()))
        .collect();
    packages::install_if_we_may(&packages)?;
    match kinds.iter().find(absent) {
        None => Ok(()),
        Some(kind) => Err(format!(
            "some tests talk to {}: install it (Debian's package is {}) and start again",
            kind.name(),
            kind.package()
        )
        .into()),
    }
}

/// The text of every source file below a directory.
fn sources(directory: &Path) -> Result<Vec<String>, Failure> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            texts.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            texts.push(fs::read_to_string(&path)?);
        }
    }
    Ok(texts)
}

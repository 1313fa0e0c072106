//! Real input: what providers publish about their own webhooks, and their official libraries. It is
//! fetched by package name and exact version through npm and pip, kept beside the build, and never
//! committed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Failure;
use crate::workspace::Workspace;

/// GitHub's example payloads; the libraries of Stripe, GitHub and Standard Webhooks, which sign and
/// verify as these do; and what looks for pages that somebody cannot use.
const PACKAGES: [&str; 5] = [
    "@octokit/webhooks-examples@7.6.1",
    "@octokit/webhooks-methods@6.0.0",
    "stripe@23.1.0",
    "standardwebhooks@1.1.1",
    "axe-core@4.14.1",
];
/// The same libraries for Python, with Slack's; and what tries the API against its own document.
const PYTHON_PACKAGES: [&str; 4] = [
    "standardwebhooks==1.1.0",
    "stripe==16.1.0",
    "slack-sdk==3.47.0",
    "schemathesis==4.32.5",
];
/// Where the latter lie.
const PYTHON: &str = "python";
/// Says what was fetched. It is written last, so that it is true.
const STAMP: &str = "fetched";

/// Where the inputs lie.
pub fn directory(workspace: &Workspace) -> PathBuf {
    workspace.target.join("test-inputs")
}

/// Makes sure that the packages lie in `directory`, fetching them if they do not.
pub fn ensure(directory: &Path) -> Result<(), Failure> {
    if is_fetched(directory) {
        return Ok(());
    }
    eprintln!("xtask: fetching {}", stamp().replace('\n', ", "));
    // Beside it first: another run may read what is there now.
    let fresh = beside(directory);
    remove(&fresh)?;
    fs::create_dir_all(&fresh)?;
    fetch(&fresh)?;
    fs::write(fresh.join(STAMP), stamp())?;
    remove(directory)?;
    fs::rename(&fresh, directory)?;
    Ok(())
}

fn is_fetched(directory: &Path) -> bool {
    fs::read_to_string(directory.join(STAMP)).is_ok_and(|text| text == stamp())
}

fn stamp() -> String {
    [&PACKAGES[..], &PYTHON_PACKAGES].concat().join("\n")
}

fn beside(directory: &Path) -> PathBuf {
    directory.with_extension(format!("{}", std::process::id()))
}

fn remove(directory: &Path) -> Result<(), Failure> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    Ok(())
}

/// The Python that has the fetched packages.
pub fn python(directory: &Path) -> PathBuf {
    directory.join(PYTHON).join("bin/python")
}

fn fetch(directory: &Path) -> Result<(), Failure> {
    fetch_modules(directory)?;
    let made = Command::new("python3")
        .args(["-m", "venv", PYTHON])
        .current_dir(directory)
        .stdin(Stdio::null())
        .status()?;
    let installed = Command::new(python(directory))
        .args(["-m", "pip", "install", "--quiet"])
        .arg("--disable-pip-version-check")
        .args(PYTHON_PACKAGES)
        .stdin(Stdio::null())
        .status()?;
    if made.success() && installed.success() {
        return Ok(());
    }
    remove(directory)?;
    Err(format!(
        "pip could not fetch {}: is there a network?",
        PYTHON_PACKAGES.join(", ")
    )
    .into())
}

fn fetch_modules(directory: &Path) -> Result<(), Failure> {
    // Without a package.json here npm would install into the nearest directory above that has one.
    fs::write(directory.join("package.json"), "{\"private\": true}\n")?;
    let status = Command::new("npm")
        .args(["install", "--no-save", "--no-package-lock", "--no-audit"])
        .args(["--no-fund", "--no-progress", "--ignore-scripts"])
        .args(PACKAGES)
        .current_dir(directory)
        .stdin(Stdio::null())
        .status()?;
    if status.success() {
        return Ok(());
    }
    remove(directory)?;
    Err(format!(
        "npm could not fetch {}: is there a network?",
        PACKAGES.join(", ")
    )
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_fetched_again() {
        let directory = std::env::temp_dir().join(format!("inputs-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        assert!(!is_fetched(&directory));
        fs::write(directory.join(STAMP), "an older list").unwrap();
        assert!(!is_fetched(&directory));
        fs::write(directory.join(STAMP), stamp()).unwrap();
        assert!(ensure(&directory).is_ok());
        fs::remove_dir_all(&directory).unwrap();
    }
}

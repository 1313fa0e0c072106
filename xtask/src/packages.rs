//! Debian's packages: installed where something is missing and we may, which is so in the
//! containers that tests run in.

use std::process::{Command, Stdio};

use crate::Failure;

/// A package, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Package(pub &'static str);

/// Installs packages if we are root and there is a package manager; else does nothing.
pub fn install_if_we_may(packages: &[Package]) -> Result<(), Failure> {
    if packages.is_empty() || !is_root() || !works("apt-get", &["--version"]) {
        return Ok(());
    }
    let mut names: Vec<_> = packages.iter().map(|package| package.0).collect();
    names.dedup();
    eprintln!("xtask: installing {}", names.join(", "));
    apt_get(&["update"])?;
    let options = ["install", "--yes", "--no-install-recommends"];
    apt_get(&[&options[..], &names].concat())
}

fn apt_get(arguments: &[&str]) -> Result<(), Failure> {
    let status = Command::new("apt-get")
        .arg("--quiet")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("apt-get {} failed", arguments.join(" ")).into())
    }
}

/// Whether a command is there and ends well.
pub fn works(command: &str, arguments: &[&str]) -> bool {
    Command::new(command)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Whether we may do everything.
pub fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

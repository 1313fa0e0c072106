//! `cargo xtask configuration`: writes docs/configuration.md from the command line, so that the page
//! says what the program does. A test of the binary finds a page that is not current.

use std::process::{Command, ExitCode, Stdio};

use crate::{Failure, workspace};

const PAGE: &str = "docs/configuration.md";

/// Writes the page.
pub fn run() -> Result<ExitCode, Failure> {
    let root = workspace::read()?.root;
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["run", "--quiet", "-p", "hooklatch", "--", "configuration"])
        .current_dir(&root)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Ok(ExitCode::FAILURE);
    }
    std::fs::write(root.join(PAGE), &output.stdout)?;
    println!("{PAGE}: written");
    Ok(ExitCode::SUCCESS)
}

//! The receiver kits of other languages, tested by their own runners with the same servers; and the
//! example shops in these languages, which tests in Rust start.

use std::process::{Command, Stdio};

use super::runner::Variable;
use crate::Failure;
use crate::workspace::Workspace;

/// Installs the shops, unless they are as they should be.
pub fn install_shops(workspace: &Workspace) -> Result<(), Failure> {
    let script = workspace.root.join("examples/install");
    let status = Command::new(&script).stdin(Stdio::null()).status();
    let status = status.map_err(|error| format!("failed to run {}: {error}", script.display()))?;
    if status.success() {
        return Ok(());
    }
    Err("the example shops could not be installed: is there a network?".into())
}

/// Runs the tests of every kit; answers how that ended.
pub fn run(workspace: &Workspace, variables: &[Variable]) -> Result<u8, Failure> {
    let script = workspace.root.join("kits/run");
    let variables = variables.iter().map(|(name, value)| (*name, value));
    let status = Command::new(&script)
        .envs(variables)
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("failed to run {}: {error}", script.display()))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.unwrap_or(1))
}

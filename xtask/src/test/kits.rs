//! The receiver kits of other languages, tested by their own runners with the same servers.

use std::process::{Command, Stdio};

use super::runner::Variable;
use crate::Failure;
use crate::workspace::Workspace;

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

//! `cargo xtask bench`: builds the gateway as it is shipped, and then its load generator, which is
//! measured code too and so is never a debug build.

use std::env;
use std::ffi::OsString;
use std::process::{Command, ExitCode};

use crate::Failure;

/// Says that a gateway is there already.
const SERVER_BINARY: &str = "--server-binary";

/// Builds and measures; the arguments are the load generator's.
pub fn run(arguments: &[String]) -> Result<ExitCode, Failure> {
    let is_there = |argument: &String| {
        let name = argument.split('=').next();
        name == Some(SERVER_BINARY) || name == Some("--help")
    };
    // Two commands, because one would build the gateway with the load generator's features as well.
    let gateway = ["build", "--release", "--package", "hooklatch"];
    if !arguments.iter().any(is_there) && !cargo(&gateway, &[])? {
        return Err("the gateway does not build".into());
    }
    let generator = [
        "run",
        "--quiet",
        "--release",
        "--package",
        "hooklatch-bench",
        "--",
    ];
    // It says itself what went wrong.
    let measured = cargo(&generator, arguments)?;
    Ok(if measured {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Whether that command succeeded.
fn cargo(command: &[&str], arguments: &[String]) -> Result<bool, Failure> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let status = Command::new(cargo).args(command).args(arguments).status()?;
    Ok(status.success())
}

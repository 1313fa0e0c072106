//! `cargo xtask bench`: builds the gateway as it is shipped, and then its load generator, which is
//! measured code too and so is never a debug build. Where nodes are to share a database, it starts one
//! for them. With `--receiver` the kit for receivers is measured instead, on every store.

use std::env;
use std::ffi::OsString;
use std::process::{Command, ExitCode};

use crate::services::Services;
use crate::{Failure, workspace};

/// Says that a PostgreSQL is to be started.
const POSTGRES: &str = "--postgres";
/// Where the load generator looks for one.
const POSTGRES_VARIABLE: &str = "HOOKLATCH_BENCH_DATABASE_URL";
/// How durable its commits are is left as it comes. What is said of the buffers and of the log's size is
/// what every guide says first, for a machine of a few GiB.
const POSTGRES_SETTINGS: [&str; 4] = [
    "shared_buffers=1GB",
    "max_wal_size=4GB",
    "max_connections=400",
    "shared_preload_libraries=pg_stat_statements",
];

/// Says that the kit for receivers is to be measured, and not the gateway.
const RECEIVER: &str = "--receiver";

/// Says that a gateway is there already.
const SERVER_BINARY: &str = "--server-binary";

/// Builds and measures; the arguments are the load generator's.
pub fn run(arguments: &[String]) -> Result<ExitCode, Failure> {
    if let Some((first, rest)) = arguments.split_first()
        && first == RECEIVER
    {
        return receiver(rest);
    }
    let is_there = |argument: &String| {
        let name = argument.split('=').next();
        name == Some(SERVER_BINARY) || name == Some("--help")
    };
    // Two commands, because one would build the gateway with the load generator's features as well.
    let gateway = ["build", "--release", "--package", "hooklatch"];
    if !arguments.iter().any(is_there) && !cargo(&gateway, &[], &[])? {
        return Err("the gateway does not build".into());
    }
    let database = if arguments.iter().any(|argument| argument == POSTGRES) {
        Some(Services::postgres(&POSTGRES_SETTINGS)?)
    } else {
        None
    };
    let generator = [
        "run",
        "--quiet",
        "--release",
        "--package",
        "hooklatch-bench",
        "--",
    ];
    let url = database.map(|(services, url)| (services, [(POSTGRES_VARIABLE, url)]));
    let variables = url
        .as_ref()
        .map_or(&[][..], |(_, variables)| &variables[..]);
    ended(cargo(&generator, arguments, variables)?)
}

/// Measures the kit for receivers, beside the same servers that its tests have.
fn receiver(arguments: &[String]) -> Result<ExitCode, Failure> {
    let services = Services::start(&workspace::read()?)?;
    let bench = [
        "bench",
        "--quiet",
        "--package",
        "hooklatch-receiver",
        "--bench",
        "stores",
        "--",
    ];
    ended(cargo(&bench, arguments, services.variables())?)
}

/// What was started says itself what went wrong.
fn ended(well: bool) -> Result<ExitCode, Failure> {
    Ok(if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Whether that command succeeded.
fn cargo(
    command: &[&str],
    arguments: &[String],
    variables: &[(&str, String)],
) -> Result<bool, Failure> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let status = Command::new(cargo)
        .args(command)
        .args(arguments)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .status()?;
    Ok(status.success())
}

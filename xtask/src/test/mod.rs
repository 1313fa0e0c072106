//! `cargo xtask test`: everything that says whether the product works, with one command, on a
//! machine that has the Rust toolchain and nothing else. The servers that tests talk to are started
//! before them and ended after them, also when they fail.

mod contract;
mod inputs;
mod kits;
mod runner;
mod tools;

use std::process::ExitCode;

use crate::services::Services;
use crate::workspace::Workspace;
use crate::{Failure, tidy, workspace};

/// Prepares, checks and tests; the exit code is the first bad one.
pub fn run(filters: &[String]) -> Result<ExitCode, Failure> {
    let workspace = workspace::read()?;
    prepare(&workspace)?;
    // Whoever asks for some tests is at work on them, and tidies up at the end.
    let untidy = if filters.is_empty() {
        Some(tidy::check(&workspace)?)
    } else {
        None
    };
    let services = Services::start(&workspace)?;
    let tests = runner::tests(filters, services.variables())?;
    let doc_tests = runner::doc_tests(filters, services.variables())?;
    // Whoever asks for some tests asks for tests in Rust.
    let kits = if filters.is_empty() {
        kits::run(&workspace, services.variables())?
    } else {
        0
    };
    let contract = if filters.is_empty() {
        contract::run(&workspace)?
    } else {
        contract::Kept::default()
    };
    drop(services);

    if let Some(findings) = &untidy {
        tidy::print(findings);
    }
    println!("tests: {}", tests.closing_line);
    println!("doc tests: {}", doc_tests.closing_line);
    if let Some(line) = &contract.closing_line {
        println!("contract: {line}");
    }
    if tests.ran + doc_tests.ran == 0 {
        return Err("no test has such a name".into());
    }
    let is_tidy = untidy.is_none_or(|findings| findings.is_empty());
    let bad = [
        tests.exit_code,
        doc_tests.exit_code,
        kits,
        contract.exit_code,
    ];
    Ok(match bad.into_iter().find(|code| *code != 0) {
        None if is_tidy => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
        Some(code) => ExitCode::from(code),
    })
}

fn prepare(workspace: &Workspace) -> Result<(), Failure> {
    let readme = std::fs::read_to_string(workspace.root.join("README.md")).unwrap_or_default();
    tools::ensure(&tools::needed(&readme))?;
    inputs::ensure(&inputs::directory(workspace))?;
    kits::install_shops(workspace)
}

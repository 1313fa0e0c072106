//! `cargo xtask tidy`: what the compiler does not check, and a reader relies on. Edges between
//! crates are those of ARCHITECTURE.md, files are short and say why they exist, every rule and
//! invariant has a test that names it, no test sleeps or is ignored, and the pages of the
//! documentation lead to each other.

mod book;
mod edges;
mod rules;
mod sources;
mod words;

use std::fs;
use std::process::ExitCode;

use crate::workspace::Workspace;
use crate::{Failure, providers, workspace};

/// One thing that is not tidy, as a line that says where and what.
pub type Finding = String;

/// Checks, and prints what was found.
pub fn run() -> Result<ExitCode, Failure> {
    let findings = check(&workspace::read()?)?;
    print(&findings);
    Ok(if findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Everything that is not tidy.
pub fn check(workspace: &Workspace) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    match fs::read_to_string(workspace.root.join("ARCHITECTURE.md")) {
        Ok(text) => findings.extend(edges::check(&workspace.imports, &text)),
        Err(error) => findings.push(format!("ARCHITECTURE.md: {error}")),
    }
    findings.extend(providers::check(&workspace.root));
    let files = sources::text_files(&workspace.root)?;
    findings.extend(words::check(&files));
    findings.extend(book::check(&files, &|path| {
        workspace.root.join(path).exists()
    }));
    let sources: Vec<_> = files.into_iter().filter_map(sources::Source::new).collect();
    for source in &sources {
        findings.extend(sources::check(source));
    }
    findings.extend(rules::check(&sources));
    Ok(findings)
}

/// One line for each finding, and a closing one.
pub fn print(findings: &[Finding]) {
    for finding in findings {
        println!("tidy: {finding}");
    }
    if findings.is_empty() {
        println!("tidy: nothing found");
    }
}

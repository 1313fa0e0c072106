//! `cargo xtask screenshots`: the pictures of the dashboard, taken from the binary as it is now.
//!
//! The tests of the dashboard go to every page anyway; this has them take pictures on the way.

use std::process::{Command, ExitCode, Stdio};

use crate::{Failure, workspace};

/// What tells the tests where to put the pictures.
const VARIABLE: &str = "HOOKLATCH_TEST_SCREENSHOTS";
/// The tests that take pictures.
const TESTS: [&str; 2] = ["pictures_of_every_page", "every_page_fits_a_phone"];

/// Takes them all.
pub fn run() -> Result<ExitCode, Failure> {
    let workspace = workspace::read()?;
    let directory = workspace.root.join("docs/screenshots");
    std::fs::create_dir_all(&directory)?;
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["test", "-p", "hooklatch", "--test", "browser", "--"])
        .args(TESTS)
        .env(VARIABLE, &directory)
        .current_dir(&workspace.root)
        .stdin(Stdio::null())
        .status()?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

//! What the tests of the kit share: the vectors' runner, mutants, and services to run stores on.
#![expect(dead_code, reason = "every test binary uses a part of it")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

pub mod chaos;
pub mod file;
pub mod mutant;
pub mod runner;
pub mod services;
pub mod targets;

//! The vectors that the receiver kits share, and the kit's own runner of them.

#[path = "../../../../receiver/tests/support/file.rs"]
#[expect(
    dead_code,
    reason = "of the file only the machine's vectors are run here"
)]
pub mod file;
#[path = "../../../../receiver/tests/support/runner.rs"]
#[expect(dead_code, reason = "here time passes by itself")]
pub mod runner;

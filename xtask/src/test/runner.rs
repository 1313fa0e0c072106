//! Runs the tests through nextest where it is installed, else through cargo alone. All that they
//! print passes through; the closing line is kept, to be the last thing that is seen.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::thread;

use crate::Failure;
use crate::workspace::cargo;

/// A variable of the tests' environment.
pub type Variable = (&'static str, String);

/// How a run ended.
pub struct Ended {
    /// The runner's own.
    pub exit_code: u8,
    /// Tests that ran.
    pub ran: u64,
    /// The runner's last word.
    pub closing_line: String,
}

/// Runs every test but the doc tests.
pub fn tests(filters: &[String], variables: &[Variable]) -> Result<Ended, Failure> {
    if has_nextest() {
        let fixed = [
            "nextest",
            "run",
            "--workspace",
            "--no-fail-fast",
            "--no-tests=pass",
        ];
        let (exit_code, lines) = run(&fixed, filters, variables)?;
        return Ok(nextest_ended(exit_code, &lines));
    }
    let fixed = [
        "test",
        "--workspace",
        "--no-fail-fast",
        "--lib",
        "--bins",
        "--tests",
    ];
    let (exit_code, lines) = run(&fixed, filters, variables)?;
    Ok(cargo_ended(exit_code, &lines))
}

/// Runs the examples in the documentation, which nextest does not know.
pub fn doc_tests(filters: &[String], variables: &[Variable]) -> Result<Ended, Failure> {
    let fixed = ["test", "--workspace", "--doc", "--no-fail-fast"];
    let (exit_code, lines) = run(&fixed, filters, variables)?;
    Ok(cargo_ended(exit_code, &lines))
}

fn has_nextest() -> bool {
    Command::new(cargo())
        .args(["nextest", "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
}

/// The exit code, and the lines that may be closing ones.
fn run(
    arguments: &[&str],
    filters: &[String],
    variables: &[Variable],
) -> Result<(u8, Vec<String>), Failure> {
    let mut child = Command::new(cargo())
        .args(arguments)
        .arg("--")
        .args(filters)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let stdout = child.stdout.take().expect("stdout is piped");
    let stderr = child.stderr.take().expect("stderr is piped");
    let lines = thread::scope(|scope| {
        let errors = scope.spawn(|| pass_through(stderr, std::io::stderr()));
        let mut lines = pass_through(stdout, std::io::stdout());
        lines.extend(errors.join().expect("passing lines through does not panic"));
        lines
    });
    let code = child.wait()?.code().unwrap_or(1);
    Ok((u8::try_from(code).unwrap_or(1), lines))
}

fn pass_through(from: impl Read, mut to: impl Write) -> Vec<String> {
    let mut from = BufReader::new(from);
    let mut closing = Vec::new();
    let mut line = Vec::new();
    // A reader of ours that went away is no reason to stop testing.
    while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let _ = to.write_all(&line);
        let text = String::from_utf8_lossy(&line);
        if is_closing(text.trim()) {
            closing.push(text.trim().to_owned());
        }
        line.clear();
    }
    let _ = to.flush();
    closing
}

fn is_closing(line: &str) -> bool {
    line.starts_with("Summary [") || line.starts_with("test result: ")
}

fn nextest_ended(exit_code: u8, lines: &[String]) -> Ended {
    let closing = lines.iter().rfind(|line| line.starts_with("Summary ["));
    Ended {
        exit_code,
        ran: closing.map_or(0, |line| {
            number_before(line, " tests run")
                .or_else(|| number_before(line, " test run"))
                .unwrap_or(0)
        }),
        closing_line: closing.cloned().unwrap_or_else(|| "did not run".to_owned()),
    }
}

/// Cargo says a line for each crate; they are added up.
fn cargo_ended(exit_code: u8, lines: &[String]) -> Ended {
    let sum = |word: &str| -> u64 {
        let counts = lines.iter().filter_map(|line| number_before(line, word));
        counts.sum()
    };
    let (passed, failed) = (sum(" passed"), sum(" failed"));
    let filtered = sum(" filtered out");
    let result = if exit_code == 0 { "ok" } else { "FAILED" };
    Ended {
        exit_code,
        ran: passed + failed,
        closing_line: format!(
            "test result: {result}. {passed} passed; {failed} failed; {filtered} filtered out"
        ),
    }
}

/// The number that stands right before `word`, or before ` word` of a count such as `3/5`.
fn number_before(line: &str, word: &str) -> Option<u64> {
    let before = &line[..line.find(word)?];
    let start = before
        .rfind(|c: char| !c.is_ascii_digit())
        .map_or(0, |at| at + 1);
    before[start..].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|&line| line.to_owned()).collect()
    }

    #[test]
    fn the_last_word_of_nextest_is_kept() {
        let closing = "Summary [   1.02s] 12 tests run: 12 passed, 3 skipped";
        let ended = nextest_ended(0, &lines(&[closing]));
        assert_eq!(ended.ran, 12);
        assert_eq!(ended.closing_line, closing);
        assert_eq!(
            nextest_ended(0, &lines(&["Summary [ 0.1s] 1 test run: 1 passed"])).ran,
            1
        );
        assert_eq!(nextest_ended(101, &[]).closing_line, "did not run");
    }

    #[test]
    fn what_cargo_says_of_each_crate_is_added_up() {
        let said = lines(&[
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out; finished",
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
        ]);
        let ended = cargo_ended(101, &said);
        assert_eq!(ended.ran, 9);
        let expected = "test result: FAILED. 7 passed; 2 failed; 1 filtered out";
        assert_eq!(ended.closing_line, expected);
    }

    #[test]
    fn lines_pass_through_unchanged() {
        let mut out = Vec::new();
        let closing = pass_through(&b"a \xff b\n  Summary [ 1s] 2 tests run\nend"[..], &mut out);
        assert_eq!(out, b"a \xff b\n  Summary [ 1s] 2 tests run\nend");
        assert_eq!(closing, ["Summary [ 1s] 2 tests run"]);
    }
}

//! The files themselves: each opens with why it exists, and is short enough to read at once. What
//! belongs to a test is told apart from what does not.

use std::fs;
use std::path::{Path, PathBuf};

use super::Finding;
use crate::Failure;

/// Lines of a file that are not tests.
const LINES_MAX: usize = 400;
/// A text file longer than this is no source of ours.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A file of the repository.
pub struct TextFile {
    /// Its path below the root, with forward slashes.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// A Rust file.
pub struct Source {
    /// Its path below the root.
    pub path: String,
    code: String,
    tests: String,
}

impl Source {
    /// None if the file is not Rust.
    pub fn new(file: TextFile) -> Option<Self> {
        if !file.path.ends_with(".rs") {
            return None;
        }
        let (code, tests) = split(&file.path, file.text);
        Some(Self {
            path: file.path,
            code,
            tests,
        })
    }

    /// What is a test, or helps one.
    pub fn tests(&self) -> &str {
        &self.tests
    }
}

/// Whole files are tests by where they lie; in others the tests stand at the end.
fn split(path: &str, text: String) -> (String, String) {
    let is_test = |part: &str| matches!(part, "tests" | "suite" | "tests.rs" | "suite.rs");
    if path.split('/').any(is_test) {
        return (String::new(), text);
    }
    match text.find("\n#[cfg(test)]\nmod ") {
        // A module of its own file holds no tests here.
        Some(at) if !opens_file_module(&text[at..]) => {
            let tests = text[at..].to_owned();
            (text[..at].to_owned(), tests)
        }
        Some(_) | None => (text, String::new()),
    }
}

fn opens_file_module(rest: &str) -> bool {
    rest.lines().nth(2).is_some_and(|line| line.ends_with(';'))
}

/// Every text file below `root` but what is built, in order of path.
pub fn text_files(root: &Path) -> Result<Vec<TextFile>, Failure> {
    let mut files = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() && !is_foreign(&entry.file_name().to_string_lossy()) {
                directories.push(entry.path());
            } else if kind.is_file() {
                files.extend(text_file(root, entry.path())?);
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn is_foreign(directory: &str) -> bool {
    matches!(
        directory,
        "target" | ".git" | "node_modules" | ".venv" | "vendor" | "hooklatch-data"
    )
}

fn text_file(root: &Path, path: PathBuf) -> Result<Option<TextFile>, Failure> {
    if fs::metadata(&path)?.len() > BYTES_MAX {
        return Ok(None);
    }
    let below = path
        .strip_prefix(root)?
        .to_string_lossy()
        .replace('\\', "/");
    let text = String::from_utf8(fs::read(&path)?).ok();
    Ok(text.map(|text| TextFile { path: below, text }))
}

/// What one file shows by itself.
pub fn check(source: &Source) -> Vec<Finding> {
    let path = &source.path;
    let mut findings = Vec::new();
    let lines = source.code.lines().count();
    if lines > LINES_MAX {
        findings.push(format!(
            "{path}: {lines} lines that are not tests; {LINES_MAX} are the most"
        ));
    }
    let first = source.code.lines().chain(source.tests.lines()).next();
    if !first.is_some_and(|line| line.starts_with("//!") || line.starts_with("#!")) {
        findings.push(format!(
            "{path}: does not open with a //! that says why it exists"
        ));
    }
    for (what, instead) in [
        (
            concat!("#[", "ignore"),
            "a test that nobody runs is no test",
        ),
        (
            concat!("sle", "ep("),
            "wait for what the test needs, with a deadline",
        ),
        (
            concat!("sleep", "_until("),
            "wait for what the test needs, with a deadline",
        ),
    ] {
        if source.tests.contains(what) {
            findings.push(format!("{path}: {what} in a test: {instead}"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        let file = TextFile {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        Source::new(file).unwrap()
    }

    #[test]
    fn tests_are_told_apart_from_code() {
        let both = source(
            "crates/a/src/b.rs",
            "//! Why.\ncode\n\n#[cfg(test)]\nmod tests {\n}\n",
        );
        assert_eq!(both.code, "//! Why.\ncode\n");
        assert!(both.tests().contains("mod tests"));
        let beside = source(
            "crates/a/src/b.rs",
            "//! Why.\n\n#[cfg(test)]\nmod tests;\ncode\n",
        );
        assert_eq!(beside.tests(), "");
        for path in [
            "crates/a/tests/b.rs",
            "crates/a/src/tests.rs",
            "crates/a/src/suite/b.rs",
        ] {
            assert_eq!(source(path, "//! Why.\n").code, "");
        }
    }

    #[test]
    fn a_file_that_is_long_is_found() {
        let long = format!("//! Why.\n{}", "line\n".repeat(LINES_MAX));
        let tested = format!(
            "//! Why.\n\n#[cfg(test)]\nmod tests {{\n{}",
            "line\n".repeat(LINES_MAX)
        );
        let expected = "a.rs: 401 lines that are not tests; 400 are the most";
        assert_eq!(check(&source("a.rs", &long)), [expected]);
        assert_eq!(check(&source("a.rs", &tested)), Vec::<Finding>::new());
    }

    #[test]
    fn a_file_that_does_not_say_why_is_found() {
        let expected = "a.rs: does not open with a //! that says why it exists";
        assert_eq!(check(&source("a.rs", "use b;\n")), [expected]);
        assert_eq!(check(&source("a.rs", "")), [expected]);
    }

    #[test]
    fn a_test_that_waits_for_time_or_for_nobody_is_found() {
        let lazy = ["//! Why.\n#[", "ignore]\nfn a() { sle", "ep(SECOND) }\n"].concat();
        assert_eq!(check(&source("tests/a.rs", &lazy)).len(), 2);
        assert_eq!(check(&source("src/a.rs", &lazy)), Vec::<Finding>::new());
    }
}

//! Texts that have no place in the repository: hosts of package registries (whoever builds may use
//! a mirror, so packages go by name), and in `core` whatever would make a rule depend on more than
//! its arguments.

use super::Finding;
use super::sources::TextFile;

/// Hosts, torn so that this file does not name them.
const HOSTS: [&str; 7] = [
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("docker", ".io"),
    concat!("ghcr", ".io"),
    concat!("debian", ".org"),
];

/// What `core` would reach outside by.
const OUTSIDE: [&str; 14] = [
    "std::env",
    "std::fs",
    "TcpStream",
    "UdpSocket",
    "ToSocketAddrs",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "async fn",
    "tokio::",
    "tracing::",
    "rand::",
];

/// Where such words stand.
pub fn check(files: &[TextFile]) -> Vec<Finding> {
    files.iter().flat_map(check_file).collect()
}

fn check_file(file: &TextFile) -> Vec<Finding> {
    // Cargo writes its registry's address into the lock file, whatever registry it used.
    let hosts: &[&str] = if file.path == "Cargo.lock" {
        &[]
    } else {
        &HOSTS
    };
    let outside: &[&str] = if is_core(&file.path) { &OUTSIDE } else { &[] };
    let mut findings = Vec::new();
    for (line, number) in file.text.lines().zip(1..) {
        let at = |what: String| format!("{}:{number}: {what}", file.path);
        let code = line.split("//").next().unwrap_or(line);
        let named = hosts.iter().filter(|host| line.contains(**host));
        findings.extend(named.map(|host| at(format!("names the registry's host {host}"))));
        let reached = outside.iter().filter(|word| code.contains(**word));
        findings.extend(reached.map(|word| at(format!("core never uses {word}"))));
    }
    findings
}

fn is_core(path: &str) -> bool {
    path.starts_with("crates/core/src/") && path.ends_with(".rs") && !path.ends_with("tests.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<Finding> {
        let (path, text) = (path.to_owned(), text.to_owned());
        check(&[TextFile { path, text }])
    }

    #[test]
    fn a_registrys_host_is_found_anywhere_but_in_the_lock_file() {
        let text = format!("first\nfetch https://registry.{}/stripe", HOSTS[0]);
        let expected = format!("README.md:2: names the registry's host {}", HOSTS[0]);
        assert_eq!(found("README.md", &text), [expected]);
        assert_eq!(found("Cargo.lock", &text), Vec::<Finding>::new());
    }

    #[test]
    fn core_reaches_for_nothing_outside() {
        let text = "let now = SystemTime::now(); // not a SystemTime\n// tokio::spawn\n";
        let expected = "crates/core/src/a.rs:1: core never uses SystemTime";
        assert_eq!(found("crates/core/src/a.rs", text), [expected]);
        assert_eq!(found("crates/engine/src/a.rs", text), Vec::<Finding>::new());
    }
}

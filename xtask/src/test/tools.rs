//! Programs that some tests run: Node.js for the providers' official libraries, curl for the tour
//! of the README, faketime for a node whose clock is wrong, Python for its receiver kit, Chromium for the dashboard.
//! Where one is missing and we may, it is installed; else one sentence says so.

use crate::Failure;
use crate::packages::{Package, install_if_we_may, works};

/// A program and the Debian package that brings it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tool {
    command: &'static str,
    package: Package,
}

const fn tool(command: &'static str, package: &'static str) -> Tool {
    let package = Package(package);
    Tool { command, package }
}

/// What the tests run; the tour's commands are those that the README has.
pub fn needed(readme: &str) -> Vec<Tool> {
    let mut tools = vec![
        tool("node", "nodejs"),
        tool("npm", "npm"),
        tool("curl", "curl"),
        tool("faketime", "faketime"),
        tool("python3", "python3-venv"),
        tool("chromium", "chromium"),
    ];
    for (text, tool) in [
        ("| jq ", tool("jq", "jq")),
        ("openssl ", tool("openssl", "openssl")),
    ] {
        if readme.contains(text) {
            tools.push(tool);
        }
    }
    tools
}

/// Makes sure that all of them are there.
pub fn ensure(tools: &[Tool]) -> Result<(), Failure> {
    let missing = |tools: &[Tool]| -> Vec<Tool> {
        let absent = |tool: &&Tool| !works(tool.command, &[version(tool.command)]);
        tools.iter().filter(absent).copied().collect()
    };
    let absent = missing(tools);
    if absent.is_empty() {
        return Ok(());
    }
    let packages: Vec<_> = absent.iter().map(|tool| tool.package).collect();
    install_if_we_may(&packages)?;
    let absent = missing(&absent);
    if absent.is_empty() {
        return Ok(());
    }
    let commands: Vec<_> = absent.iter().map(|tool| tool.command).collect();
    let commands = commands.join(", ");
    Err(format!("the tests run {commands}: install what is missing and start again").into())
}

fn version(command: &str) -> &'static str {
    if command == "openssl" {
        "version"
    } else {
        "--version"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_needed_where_the_readme_uses_it() {
        let commands =
            |readme: &str| -> Vec<_> { needed(readme).iter().map(|tool| tool.command).collect() };
        let always = ["node", "npm", "curl", "faketime", "python3", "chromium"];
        assert_eq!(commands("curl $URL"), always);
        let readme = "curl | jq .id; openssl dgst";
        let more = [&always[..], &["jq", "openssl"]].concat();
        assert_eq!(commands(readme), more);
    }

    #[test]
    fn what_cannot_be_installed_is_named() {
        let nowhere = tool("no-such-command-anywhere", "no-such-package-anywhere");
        assert!(!works(nowhere.command, &["--version"]));
        assert!(ensure(&[]).is_ok());
    }
}

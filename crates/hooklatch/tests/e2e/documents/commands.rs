//! What the program understands, as its own help says.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;

use tokio::process::Command;
use tokio::time::timeout;

use crate::support::DEADLINE;

/// The help of every command, by the words that lead to it.
pub struct Help {
    levels: BTreeMap<Vec<String>, Level>,
}

/// What one command understands.
#[derive(Debug, Default)]
struct Level {
    subcommands: BTreeSet<String>,
    /// Whether one of them has to follow.
    needs_subcommand: bool,
    options: BTreeSet<String>,
}

impl Help {
    /// Asks the program for all of it.
    pub async fn of(binary: &str) -> Self {
        let mut levels = BTreeMap::new();
        let mut open = vec![Vec::new()];
        while let Some(words) = open.pop() {
            let level = Level::read(&help(binary, &words).await);
            for subcommand in &level.subcommands {
                let mut below: Vec<String> = words.clone();
                below.push(subcommand.clone());
                open.push(below);
            }
            levels.insert(words, level);
        }
        Self { levels }
    }

    /// What the program would not understand of a command line, without its own name.
    pub fn mistake(&self, command: &[String]) -> Option<String> {
        let mut words = Vec::new();
        let mut level = &self.levels[&words];
        for word in command {
            if let Some(option) = word.strip_prefix("--") {
                let name = option.split('=').next().unwrap_or(option);
                if !level.options.contains(name) {
                    return Some(format!("--{name} is no option of {words:?}"));
                }
                continue;
            }
            let alternatives = word.split('|');
            let unknown = alternatives
                .clone()
                .find(|one| !level.subcommands.contains(*one));
            match unknown {
                // One of several stands for all of them: they are alike.
                None => {
                    words.extend(alternatives.take(1).map(str::to_owned));
                    level = &self.levels[&words];
                }
                Some(unknown) if level.needs_subcommand && is_word(unknown) => {
                    return Some(format!("{unknown} is no command of {words:?}"));
                }
                Some(_) => {}
            }
        }
        None
    }
}

impl Level {
    fn read(help: &str) -> Self {
        let usage = help.lines().find(|line| line.starts_with("Usage:"));
        let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        let commands = commands.take_while(|line| !line.trim().is_empty());
        let names = commands.filter_map(|line| {
            // A name is indented by two; what is said of it goes on further in.
            let entry = line.strip_prefix("  ")?;
            let name = entry.split_whitespace().next()?;
            (!entry.starts_with(' ') && name != "help").then(|| name.to_owned())
        });
        Self {
            subcommands: names.collect(),
            needs_subcommand: usage.is_some_and(|usage| usage.contains(" <COMMAND>")),
            options: options(help),
        }
    }
}

/// The names behind `--` anywhere in a help text.
fn options(help: &str) -> BTreeSet<String> {
    let after = help.split("--").skip(1);
    let names = after.map(|rest| {
        let is_end = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
        rest.split(is_end).next().unwrap_or_default().to_owned()
    });
    names.filter(|name| !name.is_empty()).collect()
}

/// Whether it could be a command, and is no placeholder.
fn is_word(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_lowercase() || c == '-')
}

async fn help(binary: &str, words: &[String]) -> String {
    let asked = Command::new(binary).args(words).arg("--help").output();
    let Output { status, stdout, .. } = timeout(DEADLINE, asked)
        .await
        .expect("help comes at once")
        .expect("the binary starts");
    assert!(status.success(), "{words:?} --help");
    String::from_utf8(stdout).expect("help is text")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "Usage: hooklatch <COMMAND>\n\nCommands:\n  serve   Start\n          and stay\n  \
                        replay  Again\n  help    This\n\nOptions:\n  -V, --version  Print\n";
    const SERVE: &str = "Usage: hooklatch serve [OPTIONS]\n\nOptions:\n      --dev[=<BOOL>]\n";
    const REPLAY: &str = "Usage: hooklatch replay [OPTIONS]\n\nCommands:\n  start  Now\n";

    fn known() -> Help {
        let start = "Usage: hooklatch replay start <ID>\n\n  --yes\n";
        let levels = [
            (vec![], ROOT),
            (vec!["serve"], SERVE),
            (vec!["replay"], REPLAY),
            (vec!["replay", "start"], start),
        ];
        let owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect();
        let levels = levels.map(|(words, help)| (owned(words), Level::read(help)));
        Help {
            levels: levels.into(),
        }
    }

    fn mistake(command: &str) -> Option<String> {
        let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
        known().mistake(&words)
    }

    #[test]
    fn what_the_help_has_is_understood_and_nothing_else() {
        for right in [
            "serve --dev=true",
            "--version",
            "replay start rpl_1 --yes",
            "serve|replay",
            "…",
        ] {
            assert_eq!(mistake(right), None, "{right}");
        }
        for wrong in ["serve --prod", "stop", "replay --yes", "serve|stop"] {
            assert!(mistake(wrong).is_some(), "{wrong}");
        }
    }
}

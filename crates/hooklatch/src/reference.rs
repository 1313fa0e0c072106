//! `hooklatch configuration`: every option of `serve` with its variable, its key and its default, as
//! a page. It is made of the command line itself, so that it says what the program does.

use std::fmt::Write as _;
use std::io::Write as _;

use clap::{Arg, Args, Command, CommandFactory};

use crate::cli::Cli;
use crate::connect::API_KEY_VARIABLE;
use crate::failure::Failure;
use crate::serve::settings::ENCRYPTION_KEY_VARIABLE;

const EXAMPLE: &str = "\
Example:
  hooklatch configuration > configuration.md";

/// Options of `hooklatch configuration`: none.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct ConfigurationArgs {}

const HEAD: &str = "\
# Configuration

<!-- Written by `cargo xtask configuration` from the command line. Change it there. -->

`hooklatch serve` takes every setting as a flag, as an environment variable, or as a key of a TOML
file that `--config` names. A flag goes before its variable, and that before the file. A key that is
not known, a value that cannot be used, and a variable that begins with `HOOKLATCH_` and means nothing
are never passed over: the first two end the start with file, line and what may stand there, the
last is warned of. `hooklatch doctor` checks all of it, and the machine, without starting anything.

```toml
# /etc/hooklatch.toml
listen = \"127.0.0.1:8420\"
data_dir = \"/var/lib/hooklatch\"
public_url = \"https://hooks.example.com\"
encryption_key_file = \"/run/secrets/hooklatch-encryption-key\"
```

## Options of `serve`
";

const SECRETS: &str = "
## Secrets

Two secrets are no flags, because a command line can be read by everybody on the machine. Each may
also lie in a file, which is how service managers and containers hand secrets over; white space around
it does not matter. Give the one or the other, not both.

| variable | key | file with it | meaning |
|---|---|---|---|
";

const OTHERS: &str = "
## Variables of other commands

| variable | command | flag | meaning |
|---|---|---|---|
";

/// Prints the page.
pub(crate) fn run() -> Result<(), Failure> {
    std::io::stdout()
        .write_all(page().as_bytes())
        .map_err(|error| Failure::failed("the page cannot be printed", error))
}

/// The page.
pub(crate) fn page() -> String {
    let root = Cli::command();
    let mut text = HEAD.to_owned();
    text.push_str("\n| flag | variable | key | default | meaning |\n|---|---|---|---|---|\n");
    let serve = root.find_subcommand("serve");
    for option in serve.into_iter().flat_map(options) {
        option.row(&mut text);
    }
    text.push_str(SECRETS);
    for (variable, key, meaning) in [
        (
            API_KEY_VARIABLE,
            "api_key",
            "the first admin key: `hl_` and 29 characters or more. Without it the first start makes \
             one and prints it once. Other commands sign in with it",
        ),
        (
            ENCRYPTION_KEY_VARIABLE,
            "encryption_key",
            "32 bytes in base64 that seal stored secrets (`openssl rand -base64 32`). Without it a \
             key file is made in the data directory; with a database it is required, and the same \
             on every node",
        ),
    ] {
        line(
            &mut text,
            &format!("| `{variable}` | `{key}` | `{variable}_FILE`, `{key}_file` | {meaning} |"),
        );
    }
    text.push_str(OTHERS);
    others(&root, &mut text);
    text
}

/// Variables that `serve` does not read, once each.
fn others(root: &Command, text: &mut String) {
    let serve = root.find_subcommand("serve");
    let mut told: Vec<String> = serve
        .into_iter()
        .flat_map(options)
        .map(|it| it.variable)
        .collect();
    let commands = root.get_subcommands().filter(|it| !it.is_hide_set());
    for command in commands {
        // What a resource can do has the same options as the resource.
        let inner = command.get_subcommands().next().unwrap_or(command);
        for option in options(command).chain(options(inner)) {
            if !told.contains(&option.variable) {
                let name = match option.flag.as_str() {
                    "server" => "every command that asks a gateway",
                    _ => &format!("`{}`", command.get_name()),
                };
                line(
                    text,
                    &format!(
                        "| `{}` | {name} | `--{}` | {} |",
                        option.variable, option.flag, option.meaning
                    ),
                );
                told.push(option.variable);
            }
        }
    }
}

/// One option that has a variable.
struct Setting {
    flag: String,
    variable: String,
    default: String,
    meaning: String,
}

fn options(command: &Command) -> impl Iterator<Item = Setting> {
    command.get_arguments().filter_map(setting)
}

fn setting(argument: &Arg) -> Option<Setting> {
    let variable = argument.get_env()?.to_string_lossy().into_owned();
    let flag = argument.get_long()?.to_owned();
    let help = argument.get_help().map(ToString::to_string);
    let help = help.unwrap_or_default().replace('\n', " ");
    let (meaning, default) = match help.split_once("[default: ") {
        Some((meaning, default)) => (meaning, default.trim_end_matches(']')),
        None => (help.as_str(), ""),
    };
    let given: Vec<_> = argument.get_default_values().iter().collect();
    let default = match given.first() {
        Some(value) => value.to_string_lossy().into_owned(),
        None => default.to_owned(),
    };
    Some(Setting {
        flag,
        variable,
        default,
        meaning: meaning.trim().replace('|', "\\|"),
    })
}

impl Setting {
    /// The file's name for it; the file cannot name itself.
    fn key(&self) -> Option<String> {
        (self.flag != "config").then(|| self.flag.replace('-', "_"))
    }

    fn row(&self, text: &mut String) {
        let key = self.key().map(|key| format!("`{key}`"));
        line(
            text,
            &format!(
                "| `--{}` | `{}` | {} | {} | {} |",
                self.flag,
                self.variable,
                key.unwrap_or_default(),
                self.default,
                self.meaning
            ),
        );
    }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a text takes everything");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::serve::file::FileSettings;

    #[test]
    fn the_page_in_the_book_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
        let written = std::fs::read_to_string(path).unwrap();
        let current = written == page();
        assert!(
            current,
            "docs/configuration.md: run cargo xtask configuration"
        );
    }

    /// The file's own refusal names every key that it takes.
    #[test]
    fn every_option_is_a_key_and_every_key_an_option_or_a_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.toml");
        std::fs::write(&path, "no_such_key = 1\n").unwrap();
        let refusal = FileSettings::read(&path).unwrap_err().to_string();
        let (_, keys) = refusal.split_once("expected one of ").unwrap();
        let keys: BTreeSet<String> = keys.split(", ").map(|key| key.replace('`', "")).collect();
        let root = Cli::command();
        let serve = root.find_subcommand("serve").unwrap();
        let mut options: BTreeSet<String> = options(serve).filter_map(|it| it.key()).collect();
        options.extend(["api_key", "encryption_key"].map(str::to_owned));
        assert_eq!(keys, options);
    }

    #[test]
    fn every_option_says_what_it_means() {
        let root = Cli::command();
        let serve = root.find_subcommand("serve").unwrap();
        for option in options(serve) {
            assert!(!option.meaning.is_empty(), "{}", option.flag);
            let expected = option.flag.to_uppercase().replace('-', "_");
            // Collectors of traces are named by OpenTelemetry's own variables, where it has them.
            let ours = !option.variable.starts_with("OTEL_");
            assert!(!ours || option.variable == format!("HOOKLATCH_{expected}"));
        }
    }

    #[test]
    fn variables_of_other_commands_are_told_once() {
        let page = page();
        for variable in ["HOOKLATCH_SERVER", "HOOKLATCH_LISTEN_SECRET"] {
            assert_eq!(
                page.matches(&format!("| `{variable}` |")).count(),
                1,
                "{page}"
            );
        }
    }
}

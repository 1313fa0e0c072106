//! The table as commands of clap, and back.

use clap::builder::{PossibleValuesParser, ValueParser};
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, Subcommand, value_parser};

use super::table::{Flag, FlagKind, Gives, Ids, RESOURCES, Resource, Verb, Way, named};
use crate::connect::ConnectArgs;

/// Names of options that every command has, or some beside their own.
pub(super) const ID: &str = "ID";
pub(super) const FILE: &str = "file";
pub(super) const YES: &str = "yes";
pub(super) const JSON: &str = "json";
pub(super) const LIMIT: &str = "limit";
pub(super) const ALL: &str = "all";
pub(super) const CURSOR: &str = "cursor";

/// A resource command as it was given.
#[derive(Debug, Clone)]
pub(crate) struct Called {
    pub resource: &'static Resource,
    pub verb: &'static Verb,
    pub matches: ArgMatches,
}

impl FromArgMatches for Called {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let called = matches.subcommand().and_then(|(name, inner)| {
            let resource = named(name)?;
            let (word, matches) = inner.subcommand()?;
            let verb = resource.verbs.iter().find(|verb| verb.word == word)?;
            let matches = matches.clone();
            Some(Self {
                resource,
                verb,
                matches,
            })
        });
        called.ok_or_else(|| clap::Error::new(ErrorKind::MissingSubcommand))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for Called {
    fn augment_subcommands(command: Command) -> Command {
        command.subcommands(RESOURCES.iter().map(of_resource))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        named(name).is_some()
    }
}

fn of_resource(resource: &'static Resource) -> Command {
    let name = resource.name;
    let examples = resource.verbs.iter().take(3);
    let examples = examples.map(|verb| format!("\n  hooklatch {name} {}", verb.example));
    Command::new(name)
        .about(resource.about)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .after_help(format!("Example:{}", examples.collect::<String>()))
        .subcommands(resource.verbs.iter().map(|verb| of_verb(resource, verb)))
}

fn of_verb(resource: &'static Resource, verb: &'static Verb) -> Command {
    let mut command = Command::new(verb.word)
        .about(verb.about)
        .after_help(help_after(resource, verb));
    if verb.takes_id() {
        command = command.arg(id(resource, verb));
    }
    if verb.takes_document() {
        command = command.arg(file(resource));
    }
    command = command.args(verb.all_flags().map(argument));
    match verb.gives {
        Gives::List(_) if verb.takes_id() && resource.ids == Ids::Keys => {}
        Gives::List(_) => command = command.args(paging()),
        Gives::Record => {}
    }
    if verb.way == Way::Delete {
        let help = "Do it without asking";
        command = command.arg(switch(YES).help(help));
    }
    let help = match verb.gives {
        Gives::List(_) => "Print each as a JSON object on a line of its own",
        Gives::Record => "Print the answer as JSON",
    };
    ConnectArgs::augment_args(command.arg(switch(JSON).help(help)))
}

fn help_after(resource: &Resource, verb: &Verb) -> String {
    let mut text = format!("Example:\n  hooklatch {} {}", resource.name, verb.example);
    if verb.takes_document() {
        text.push_str(
            "\n\nThe file is JSON or TOML, with the fields of the API; what flags say goes before \
             it. A text under verifier,\nsecret, headers or auth may be \"env:NAME\" or \
             \"file:PATH\": the secret is read from there.",
        );
    }
    text
}

fn id(resource: &Resource, verb: &Verb) -> Arg {
    // A list of one resource may hang on another: deliveries of a message.
    let own = verb.path.starts_with(&format!("/v1/{}", resource.name));
    let help = match resource.ids {
        Ids::Keys => "The key, as it was written, or its checksum".to_owned(),
        Ids::OrNames(_) => format!("The {}: its name or id", resource.one),
        Ids::Only if own => format!("The id of the {}", resource.one),
        Ids::Only => "The id of the message".to_owned(),
    };
    let value = match resource.ids {
        Ids::Keys => "KEY",
        Ids::OrNames(_) => "NAME",
        Ids::Only => "ID",
    };
    Arg::new(ID).value_name(value).required(true).help(help)
}

fn file(resource: &Resource) -> Arg {
    let one = resource.one;
    Arg::new(FILE)
        .long(FILE)
        .short('f')
        .value_name("FILE")
        .help(format!(
            "A file that describes the {one} (- for standard input)"
        ))
}

fn paging() -> [Arg; 3] {
    [
        Arg::new(LIMIT)
            .long(LIMIT)
            .value_name("N")
            .value_parser(value_parser!(u64).range(1..))
            .default_value("50")
            .help("Show at most so many"),
        switch(ALL).conflicts_with(LIMIT).help("Show all there are"),
        Arg::new(CURSOR)
            .long(CURSOR)
            .value_name("CURSOR")
            .help("Go on where an earlier list ended"),
    ]
}

fn switch(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

fn argument(flag: &'static Flag) -> Arg {
    let parser: Option<ValueParser> = match flag.kind {
        FlagKind::OneOf(names) => Some(PossibleValuesParser::new(names.iter().copied()).into()),
        FlagKind::Number => Some(value_parser!(u64).into()),
        FlagKind::Switch => return switch(flag.long).help(flag.help),
        FlagKind::Text
        | FlagKind::Texts
        | FlagKind::Time
        | FlagKind::Of(_)
        | FlagKind::SecretFile => None,
    };
    let action = match flag.kind {
        FlagKind::Texts => ArgAction::Append,
        FlagKind::Text
        | FlagKind::OneOf(_)
        | FlagKind::Number
        | FlagKind::Switch
        | FlagKind::Time
        | FlagKind::Of(_)
        | FlagKind::SecretFile => ArgAction::Set,
    };
    let argument = Arg::new(flag.long)
        .long(flag.long)
        .value_name(flag.value)
        .action(action)
        .help(flag.help);
    match parser {
        Some(parser) => argument.value_parser(parser),
        None => argument,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use clap::Parser;

    use super::*;
    use crate::cli::{Action, Cli};

    #[test]
    fn every_example_of_the_table_can_be_given() {
        for resource in RESOURCES {
            for verb in resource.verbs {
                let words = words(&format!("hooklatch {} {}", resource.name, verb.example));
                let parsed = Cli::try_parse_from(words);
                let parsed = parsed.unwrap_or_else(|error| panic!("{}: {error}", verb.example));
                match parsed.command {
                    Action::Resource(called) => assert_eq!(called.verb.path, verb.path),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// As a shell takes a line apart, but for everything that the examples do not use.
    fn words(line: &str) -> Vec<String> {
        let pieces = line.split('\'').enumerate();
        let words = pieces.flat_map(|(n, piece)| match n % 2 {
            0 => piece.split_whitespace().map(str::to_owned).collect(),
            _ => vec![piece.to_owned()],
        });
        words.collect()
    }

    #[test]
    fn no_resource_has_a_word_or_a_flag_twice() {
        for resource in RESOURCES {
            let mut seen = HashSet::new();
            for verb in resource.verbs {
                assert!(seen.insert(verb.word), "{} {}", resource.name, verb.word);
                let mut flags = HashSet::new();
                let twice = verb.all_flags().find(|flag| !flags.insert(flag.long));
                assert!(twice.is_none(), "{twice:?}");
            }
        }
    }

    #[test]
    fn a_word_that_is_not_there_is_a_usage_error() {
        for words in [
            "sources fly",
            "sources get",
            "messages list --status odd",
            "fly list",
        ] {
            let words = format!("hooklatch {words}");
            let error = Cli::try_parse_from(words.split(' ')).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{words}: {error}");
        }
    }
}

//! What the resource commands are: every resource, what can be done with it, and by which call of
//! the API. There is one implementation for all of them; a new route needs a row here.

/// One resource, as a command.
#[derive(Debug)]
pub(crate) struct Resource {
    /// The command, as in a path.
    pub name: &'static str,
    /// As one says it of a single one.
    pub one: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Whether people name it, and what its ids begin with.
    pub ids: Ids,
    /// What can be done with it.
    pub verbs: &'static [Verb],
}

/// How single things of a resource are named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ids {
    /// By an id with this prefix, or by its name.
    OrNames(&'static str),
    /// By its id.
    Only,
    /// By a key, which may be any text.
    Keys,
}

/// One thing that can be done with a resource.
#[derive(Debug)]
pub(crate) struct Verb {
    pub word: &'static str,
    pub about: &'static str,
    /// What follows the resource's name in an example.
    pub example: &'static str,
    pub way: Way,
    /// The path, with `{id}` where a single one is meant.
    pub path: &'static str,
    pub flags: &'static [&'static [Flag]],
    pub gives: Gives,
    /// The member that is shown this once.
    pub secret: Option<&'static str>,
}

/// How a call is made, and with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Read; flags go into the query.
    Get,
    /// Do; flags go into the body.
    Post,
    /// Make, of a file and flags.
    Make,
    /// Make, or change what has the name, of a file and flags.
    Upsert,
    /// Change, of a file and flags.
    Change,
    /// Take away, once somebody has said yes; flags go into the query.
    Delete,
}

/// What a call is answered with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Gives {
    /// Pages, shown in these columns.
    List(&'static [Column]),
    /// One record.
    Record,
}

/// A column of a list: its heading, and where its value is.
pub(crate) type Column = (&'static str, &'static str);

/// An option of a command.
#[derive(Debug)]
pub(crate) struct Flag {
    pub long: &'static str,
    pub value: &'static str,
    pub help: &'static str,
    /// The query parameter, or the path of members in the body.
    pub to: &'static str,
    pub kind: FlagKind,
}

/// What an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlagKind {
    Text,
    /// One of these.
    OneOf(&'static [&'static str]),
    Number,
    /// Said or not.
    Switch,
    /// Texts; the option can be given several times.
    Texts,
    /// A time, or how long ago.
    Time,
    /// The id or the name of one of a resource.
    Of(&'static str),
    /// A file that holds a secret.
    SecretFile,
}

/// Every resource.
pub(crate) const RESOURCES: &[Resource] = &[
    super::configuration::SOURCES,
    super::configuration::ENDPOINTS,
    super::configuration::CONNECTIONS,
    super::history::MESSAGES,
    super::history::REQUESTS,
    super::history::DELIVERIES,
    super::history::ATTEMPTS,
    super::history::KEYS,
    super::configuration::PROJECTS,
    super::configuration::API_KEYS,
    super::history::AUDIT,
];

/// The resource of this name.
pub(crate) fn named(name: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|resource| resource.name == name)
}

pub(super) const fn flag(
    long: &'static str,
    value: &'static str,
    to: &'static str,
    kind: FlagKind,
    help: &'static str,
) -> Flag {
    Flag {
        long,
        value,
        help,
        to,
        kind,
    }
}

pub(super) const fn verb(
    word: &'static str,
    about: &'static str,
    example: &'static str,
    way: Way,
    path: &'static str,
    flags: &'static [&'static [Flag]],
) -> Verb {
    Verb {
        word,
        about,
        example,
        way,
        path,
        flags,
        gives: Gives::Record,
        secret: None,
    }
}

impl Verb {
    /// The same, answered with pages.
    pub(super) const fn lists(mut self, columns: &'static [Column]) -> Self {
        self.gives = Gives::List(columns);
        self
    }

    /// The same, with a secret that is shown this once.
    pub(super) const fn shows_once(mut self, member: &'static str) -> Self {
        self.secret = Some(member);
        self
    }

    /// Every option of its own.
    pub(crate) fn all_flags(&self) -> impl Iterator<Item = &'static Flag> {
        self.flags.iter().flat_map(|flags| flags.iter())
    }

    /// Whether it is about a single one.
    pub(crate) fn takes_id(&self) -> bool {
        self.path.contains("{id}")
    }

    /// Whether it takes a document.
    pub(crate) fn takes_document(&self) -> bool {
        match self.way {
            Way::Make | Way::Upsert | Way::Change => true,
            Way::Get | Way::Post | Way::Delete => false,
        }
    }
}

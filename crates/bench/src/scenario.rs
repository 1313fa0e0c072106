//! What is measured: which requests, to which target, and whether they were sent before.

use clap::ValueEnum;
use serde::Serialize;

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    /// A source without verifier and without connection, unique ids: the accept path alone
    Accept,
    /// A source verified by HMAC-SHA256, without connection, unique ids
    Ingest,
    /// Known ids at a source verified by HMAC-SHA256, their originals delivered
    IngestDuplicate,
    /// The send API with unique keys, to an endpoint that is the sink
    Send,
    /// The send API with known keys, their originals delivered
    SendDuplicate,
    /// Unique ids at a verified source that is connected with the sink
    EndToEnd,
    /// An event of the claim API: two requests, its claim and its completion
    Claim,
}

/// Where requests go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A source without verifier and without connection.
    Plain,
    /// A verified source without connection.
    Verified,
    /// A verified source, connected with the sink.
    Connected,
    /// The send API, to the sink.
    Send,
    /// The claim API.
    Claims,
}

/// What a request looks like, which decides the floor that it is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Shape {
    /// A payload, bare.
    Plain,
    /// A payload and its signature.
    Signed,
    /// A payload inside a send.
    Send,
    /// A claim and its completion.
    Claim,
}

/// Whether the messages were sent before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrivals {
    /// Every one is new.
    Unique,
    /// Every one is a duplicate.
    Known,
}

impl Scenario {
    /// Where its requests go.
    pub(crate) fn target(self) -> Target {
        match self {
            Self::Accept => Target::Plain,
            Self::Ingest => Target::Verified,
            Self::IngestDuplicate | Self::EndToEnd => Target::Connected,
            Self::Send | Self::SendDuplicate => Target::Send,
            Self::Claim => Target::Claims,
        }
    }

    /// Whether its messages were sent before.
    pub(crate) fn arrivals(self) -> Arrivals {
        match self {
            Self::Accept | Self::Ingest | Self::Send | Self::EndToEnd | Self::Claim => {
                Arrivals::Unique
            }
            Self::IngestDuplicate | Self::SendDuplicate => Arrivals::Known,
        }
    }

    /// Its name in tables and in options.
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .expect("no scenario is hidden")
            .get_name()
            .to_owned()
    }
}

impl Target {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [
        Self::Plain,
        Self::Verified,
        Self::Connected,
        Self::Send,
        Self::Claims,
    ];

    /// What its requests look like.
    pub(crate) fn shape(self) -> Shape {
        match self {
            Self::Plain => Shape::Plain,
            Self::Verified | Self::Connected => Shape::Signed,
            Self::Send => Shape::Send,
            Self::Claims => Shape::Claim,
        }
    }

    /// Whether its messages go on to the sink.
    pub(crate) fn delivers(self) -> bool {
        match self {
            Self::Plain | Self::Verified | Self::Claims => false,
            Self::Connected | Self::Send => true,
        }
    }
}

impl Shape {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Plain, Self::Signed, Self::Send, Self::Claim];

    /// What its floor is called in the table.
    pub(crate) fn floor_name(self) -> &'static str {
        match self {
            Self::Plain => "floor (plain)",
            Self::Signed => "floor (signed)",
            Self::Send => "floor (send)",
            Self::Claim => "floor (claim)",
        }
    }
}

//! Why a command ended without success: one line for people, and an exit code for scripts.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// Why a command ended without success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was asked for was refused, or did not work.
    Failed(String),
    /// What was asked for was not understood.
    Usage(String),
}

impl Failure {
    /// Something did not work, for this reason and the reasons behind it.
    pub fn failed(what: impl fmt::Display, why: impl Error) -> Self {
        Self::Failed(format!("{what}: {}", reasons(&why)))
    }

    /// The exit code that says so.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed(_) => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(text) | Self::Usage(text) => f.write_str(text),
        }
    }
}

impl Error for Failure {}

impl From<hooklatch_client::Error> for Failure {
    fn from(error: hooklatch_client::Error) -> Self {
        Self::Failed(reasons(&error))
    }
}

/// An error and what caused it, in one line. Some errors repeat their cause in their own text;
/// what has been said is not said again.
fn reasons(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    fn layers(texts: &[&'static str]) -> Layer {
        let (text, rest) = texts.split_first().unwrap();
        Layer {
            text,
            source: (!rest.is_empty()).then(|| Box::new(layers(rest))),
        }
    }

    #[test]
    fn a_failure_names_every_cause_once() {
        let error = layers(&["cannot start", "address in use", "address in use"]);
        let failure = Failure::failed("serve", error);
        assert_eq!(failure.to_string(), "serve: cannot start: address in use");
    }
}

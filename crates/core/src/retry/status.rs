//! Statuses and classes of statuses as the keys of `on_status`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One status (`404`) or a class of them (`4xx`). A 2xx is always success and cannot be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StatusPattern {
    /// One status, from 300 to 599.
    Exact(u16),
    /// All statuses with this first digit, from 3 to 5.
    Class(u8),
}

/// What to do with a delivery whose attempt was answered with a status that `on_status` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatusAction {
    /// Try again.
    Retry,
    /// Give this delivery up.
    Fail,
    /// Give this delivery up and disable the endpoint.
    Disable,
}

/// The text names no status that an answer can be judged by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no status: write one from \"300\" to \"599\", or \"3xx\", \"4xx\" or \"5xx\" \
     (a 2xx is always success)"
)]
pub struct StatusPatternError(String);

impl FromStr for StatusPattern {
    type Err = StatusPatternError;

    fn from_str(text: &str) -> Result<Self, StatusPatternError> {
        match text.as_bytes() {
            [class @ b'3'..=b'5', b'x' | b'X', b'x' | b'X'] => Ok(Self::Class(class - b'0')),
            [b'3'..=b'5', b'0'..=b'9', b'0'..=b'9'] => {
                let status = text.parse().map_err(|_| refused(text))?;
                Ok(Self::Exact(status))
            }
            _ => Err(refused(text)),
        }
    }
}

fn refused(text: &str) -> StatusPatternError {
    StatusPatternError(text.chars().take(16).collect())
}

impl fmt::Display for StatusPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(status) => write!(f, "{status}"),
            Self::Class(class) => write!(f, "{class}xx"),
        }
    }
}

impl Serialize for StatusPattern {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StatusPattern {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_survives_its_text() {
        for text in ["300", "404", "599", "3xx", "4xx", "5xx"] {
            assert_eq!(text.parse::<StatusPattern>().unwrap().to_string(), text);
        }
        assert_eq!("4XX".parse(), Ok(StatusPattern::Class(4)));
    }

    #[test]
    fn what_is_no_status_is_refused() {
        for text in [
            "", "4", "40", "4x", "xx", "2xx", "200", "100", "600", "4040", "+40", "４04",
        ] {
            assert!(text.parse::<StatusPattern>().is_err(), "{text}");
        }
    }
}

//! What can go wrong with a call, told apart by what the caller can do about it.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The base URL is not one that this client can call.
    #[error("{url:?} is no usable server address: {reason}")]
    BaseUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The API key holds characters that no header can carry.
    #[error("the API key holds characters other than visible ASCII")]
    ApiKey,
    /// What shall be sent cannot be written as JSON.
    #[error("the payload cannot be written as JSON")]
    Payload(#[source] serde_json::Error),
    /// No connection came about: nothing was sent.
    #[error("no connection to {server}; nothing was sent")]
    Unreachable {
        /// The base URL.
        server: String,
        /// What the network said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The connection broke before the answer was complete: whether the call was carried out is
    /// not known.
    #[error("the connection to {server} broke before the answer came")]
    Interrupted {
        /// The base URL.
        server: String,
        /// What the network said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer came in time: whether the call was carried out is not known.
    #[error("no answer from {server} within {} s", after.as_secs_f32())]
    TimedOut {
        /// The base URL.
        server: String,
        /// How long the client waited.
        after: Duration,
    },
    /// The server refused, and said why.
    #[error(transparent)]
    Refused(Box<Problem>),
    /// The answer is not what this client understands.
    #[error("the answer (status {status}) is not what this client understands")]
    Unreadable {
        /// Its status.
        status: u16,
        /// What could not be read.
        #[source]
        source: serde_json::Error,
    },
}

impl Error {
    /// The server's own account, if it was the server that refused.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            Self::BaseUrl { .. }
            | Self::ApiKey
            | Self::Payload(_)
            | Self::Unreachable { .. }
            | Self::Interrupted { .. }
            | Self::TimedOut { .. }
            | Self::Unreadable { .. } => None,
        }
    }

    /// Whether the same call may succeed later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Interrupted { .. } | Self::TimedOut { .. } => true,
            Self::Refused(problem) => matches!(problem.status, 429 | 502 | 503 | 504),
            Self::BaseUrl { .. } | Self::ApiKey | Self::Payload(_) | Self::Unreadable { .. } => {
                false
            }
        }
    }
}

/// A refusal as RFC 9457 has it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// A URI that names the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What happened this time, and what to do.
    pub detail: String,
    /// The id of the request, for the server's log.
    pub request_id: Option<String>,
    /// What is wrong with which field.
    pub errors: Vec<FieldProblem>,
    /// What else the server said: for a conflict the original and what differs (C6).
    #[serde(flatten)]
    pub more: Map<String, Value>,
    /// How long the server asks the caller to wait.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

/// What is wrong with one field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct FieldProblem {
    /// A JSON pointer to the field.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

/// Characters of a foreign answer that are shown.
const SHOWN_MAX: usize = 300;

impl Problem {
    /// Reads an answer that is no success. A proxy on the way may answer in its own words, so
    /// anything is taken.
    pub(crate) fn read(status: http::StatusCode, body: &[u8]) -> Self {
        let mut problem: Self = serde_json::from_slice(body).unwrap_or_default();
        problem.status = status.as_u16();
        if problem.title.is_empty() {
            problem.title = status.canonical_reason().unwrap_or("refused").to_owned();
        }
        if problem.detail.is_empty() && problem.more.is_empty() {
            let text = String::from_utf8_lossy(body);
            problem.detail = text.trim().chars().take(SHOWN_MAX).collect();
        }
        problem
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.title, self.status)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        // A single bad field is often the whole detail.
        let untold = |field: &&FieldProblem| !self.detail.contains(&field.detail);
        for field in self.errors.iter().filter(untold) {
            write!(f, "\n  {}: {}", field.pointer, field.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_keeps_what_it_does_not_know() {
        let body = br#"{"type":"t","title":"Conflict","status":409,"detail":"another payload",
            "request_id":"req_1","original_message_id":"msg_1","pointers":["/total"]}"#;
        let problem = Problem::read(http::StatusCode::CONFLICT, body);
        assert_eq!(problem.to_string(), "Conflict (409): another payload");
        assert_eq!(problem.more["original_message_id"], "msg_1");
        assert_eq!(problem.more["pointers"][0], "/total");
    }

    #[test]
    fn bad_fields_are_listed_one_a_line() {
        let body = br#"{"title":"Unprocessable","detail":"one field",
            "errors":[{"pointer":"/url","detail":"is private"}]}"#;
        let problem = Problem::read(http::StatusCode::UNPROCESSABLE_ENTITY, body);
        let text = "Unprocessable (422): one field\n  /url: is private";
        assert_eq!(problem.to_string(), text);
    }

    #[test]
    fn what_the_detail_says_is_not_said_again() {
        let body = br#"{"title":"Unprocessable","detail":"/url is private",
            "errors":[{"pointer":"/url","detail":"is private"}]}"#;
        let problem = Problem::read(http::StatusCode::UNPROCESSABLE_ENTITY, body);
        assert_eq!(problem.to_string(), "Unprocessable (422): /url is private");
    }

    #[test]
    fn a_foreign_answer_is_shown_as_it_is() {
        let problem = Problem::read(http::StatusCode::BAD_GATEWAY, b"<h1>no upstream</h1>\n");
        let text = "Bad Gateway (502): <h1>no upstream</h1>";
        assert_eq!(problem.to_string(), text);
    }
}

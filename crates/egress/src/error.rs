//! Why an attempt has no answer, in words for the delivery's log.
//!
//! The text is stored and shown, so it holds the cause itself and never a header, a query string
//! or a body.

use std::error::Error as _;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use hooklatch_core::address::AddressRefusal;

/// A step of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Finding the name's addresses.
    Dns,
    /// The TCP handshake.
    Connect,
    /// The TLS handshake.
    Tls,
    /// Writing the request and waiting for the answer's head.
    Head,
    /// Reading the answer's body.
    Body,
}

/// Why an attempt has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The host is one that requests may not be sent to.
    #[error("the request was not sent: {0}")]
    Refused(#[from] AddressRefusal),
    /// The name has no address, or nobody could say.
    #[error("the name {host} could not be resolved: {detail}")]
    Dns {
        /// The name.
        host: String,
        /// What the resolver said.
        detail: String,
    },
    /// No TCP connection came about.
    #[error("connecting to {address} failed: {detail}")]
    Connect {
        /// The address tried last.
        address: SocketAddr,
        /// What the system said.
        detail: std::io::Error,
    },
    /// No TLS session came about, or its certificate is not the host's.
    #[error("the TLS handshake with {host} failed: {detail}")]
    Tls {
        /// The name that the certificate must have.
        host: String,
        /// What the TLS library said.
        detail: std::io::Error,
    },
    /// The time was up.
    #[error("timed out after {} ms {phase}{}", .after.as_millis(), seen(*.status))]
    Timeout {
        /// What it was waiting for.
        phase: Phase,
        /// How long the whole attempt had taken.
        after: Duration,
        /// Whether the receiver may have seen the request.
        request_written: bool,
        /// The status, if the answer's head had come.
        status: Option<u16>,
    },
    /// The connection broke.
    #[error("the connection broke {}: {detail}{}", broke(*.request_written), seen(*.status))]
    Broken {
        /// Whether the receiver may have seen the request.
        request_written: bool,
        /// The status, if the answer's head had come.
        status: Option<u16>,
        /// What happened.
        detail: String,
    },
    /// What came back is not HTTP/1.
    #[error("the answer is not valid HTTP/1.1: {detail}")]
    BadAnswer {
        /// Whether the receiver may have seen the request.
        request_written: bool,
        /// What is wrong with it.
        detail: String,
    },
    /// The answer's head is larger than we read.
    #[error("the head of the answer is too large")]
    HeadTooLarge {
        /// Whether the receiver may have seen the request.
        request_written: bool,
    },
}

impl SendError {
    /// Whether bytes of the request may have left: then nobody here knows what the receiver did,
    /// and the attempt is uncertain, not failed (O5).
    pub fn request_written(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Dns { .. } | Self::Connect { .. } | Self::Tls { .. } => false,
            Self::Timeout {
                request_written, ..
            }
            | Self::Broken {
                request_written, ..
            }
            | Self::BadAnswer {
                request_written, ..
            }
            | Self::HeadTooLarge { request_written } => *request_written,
        }
    }

    /// What hyper's error means for an attempt.
    pub(crate) fn from_hyper(
        error: &hyper::Error,
        request_written: bool,
        status: Option<u16>,
    ) -> Self {
        if error.is_parse_too_large() {
            Self::HeadTooLarge { request_written }
        } else if error.is_parse() {
            Self::BadAnswer {
                request_written,
                detail: with_causes(error),
            }
        } else {
            Self::Broken {
                request_written,
                status,
                detail: with_causes(error),
            }
        }
    }
}

fn with_causes(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

fn broke(request_written: bool) -> &'static str {
    match request_written {
        true => "after the request was written",
        false => "before the request was written",
    }
}

fn seen(status: Option<u16>) -> String {
    match status {
        Some(status) => format!(" (it had begun to answer with status {status})"),
        None => String::new(),
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "while resolving the name",
            Self::Connect => "while connecting",
            Self::Tls => "during the TLS handshake",
            Self::Head => "while waiting for an answer",
            Self::Body => "while reading the answer's body",
        })
    }
}

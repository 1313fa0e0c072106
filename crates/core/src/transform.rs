//! What a connection's script is given and what it gives back, as plain data, and what follows
//! where it fails.
//!
//! A script runs at the first attempt, so that no admission waits for it. What it made is kept with
//! the delivery before anything is sent: every attempt sends the same bytes. A script that fails
//! never drops an event: its delivery is held until a person has looked at it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::delivery::Reason;
use crate::delivery::lifecycle::Next;
use crate::key::Body;
use crate::limits::TRANSFORM_INPUT_BYTES_MAX;
use crate::message::{Direction, Envelope, Message, Parcel};
use crate::time::Millis;

/// How long a delivery waits for a worker that has no room.
const BUSY_WAIT: Millis = Millis::from_seconds(5);

/// What a script is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransformInput {
    /// Header names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The parameters of the query, decoded.
    pub query: Vec<(String, String)>,
    /// What followed the ingest token in the path.
    pub path: String,
    /// The body as it came.
    pub body: Bytes,
    /// Whether the body is JSON, so that the script sees a value and not a text.
    pub is_json: bool,
}

/// What is sent in place of the original.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Transformed {
    /// The headers: of an inbound message all that go on, of a send those that its caller added.
    pub headers: Vec<(String, String)>,
    /// The body.
    #[serde(skip)]
    pub body: Bytes,
}

/// Why there is nothing to send.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransformError {
    /// The script failed, and how.
    #[error("the script failed: {0}")]
    Failed(String),
    /// It was not done in time, and was ended.
    #[error("the script was not done within {deadline_ms} ms and was ended")]
    TimedOut {
        /// How long it had.
        deadline_ms: u64,
    },
    /// Too many scripts wait already.
    #[error("too many scripts wait for a worker; repeating is safe")]
    Busy,
    /// No worker can be had.
    #[error("no worker for scripts can be had: {0}")]
    Unavailable(String),
}

impl TransformInput {
    /// What a script is given of a message.
    ///
    /// # Errors
    /// Where it is too large.
    pub fn of(
        message: &Message,
        envelope: &Envelope,
        body: &Bytes,
    ) -> Result<Self, TransformError> {
        let headers = match message.direction {
            Direction::Inbound => &envelope.headers,
            Direction::Outbound => &message.extra_headers,
        };
        let lower = |(name, value): &(String, String)| (name.to_ascii_lowercase(), value.clone());
        let query = envelope.query.as_deref().unwrap_or_default();
        let read = Body::understand(envelope.payload_type(), body);
        let input = Self {
            headers: headers.iter().map(lower).collect(),
            query: form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
            path: envelope.path.clone(),
            is_json: read.json().is_some(),
            body: body.clone(),
        };
        input.checked()
    }

    /// The same, if a script may be given so much.
    ///
    /// # Errors
    /// Where it is too large.
    pub fn checked(self) -> Result<Self, TransformError> {
        let bytes = self.body.len();
        if bytes > TRANSFORM_INPUT_BYTES_MAX {
            return Err(TransformError::Failed(format!(
                "the body has {bytes} bytes; {TRANSFORM_INPUT_BYTES_MAX} are the most for a script"
            )));
        }
        Ok(self)
    }
}

/// What is sent, by what a script made of its input: `body` is none where the script left it alone.
///
/// # Errors
/// Where a header cannot be sent.
pub fn transformed(
    input: &TransformInput,
    headers: BTreeMap<String, String>,
    body: Option<String>,
) -> Result<Transformed, TransformError> {
    for (name, value) in &headers {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let fits = !name.is_empty()
            && name.bytes().all(token)
            && !value
                .bytes()
                .any(|byte| byte.is_ascii_control() && byte != b'\t');
        if !fits {
            let name = name.escape_debug();
            let detail = format!("the header \"{name}\" cannot be sent");
            return Err(TransformError::Failed(detail));
        }
    }
    Ok(Transformed {
        headers: headers.into_iter().collect(),
        body: body.map_or_else(|| input.body.clone(), Bytes::from),
    })
}

impl Transformed {
    /// The parcel that is sent in place of the original.
    pub fn in_place_of(&self, original: &Parcel) -> Parcel {
        let mut message = original.message.clone();
        let mut envelope = Arc::clone(&original.envelope);
        match message.direction {
            Direction::Inbound => {
                let headers = self.headers.clone();
                envelope = Arc::new(Envelope {
                    headers,
                    ..Envelope::clone(&envelope)
                });
            }
            Direction::Outbound => message.extra_headers.clone_from(&self.headers),
        }
        Parcel {
            message,
            envelope,
            body: self.body.clone(),
        }
    }
}

impl TransformError {
    /// What becomes of the delivery: a failure waits for a person, a lack of workers for its end.
    pub fn next(&self) -> Next {
        match self {
            Self::Failed(_) | Self::TimedOut { .. } => Next::Hold(Reason::TransformFailed),
            Self::Busy | Self::Unavailable(_) => Next::Retry {
                after: BUSY_WAIT,
                counts: false,
            },
        }
    }

    /// Whether an attempt was made of it: a lack of workers is none.
    pub fn is_an_attempt(&self) -> bool {
        match self {
            Self::Failed(_) | Self::TimedOut { .. } => true,
            Self::Busy | Self::Unavailable(_) => false,
        }
    }
}

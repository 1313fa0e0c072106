//! What goes through the pipes: JSON, each text behind its length in four bytes, big-endian.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Bytes of one text.
pub(crate) const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a worker writes once it is ready.
pub(crate) const READY: u8 = b'+';

/// What a worker is asked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job<'a> {
    #[serde(borrow)]
    pub script: Cow<'a, str>,
    /// The argument of the script's function, as JSON; none to look only whether there is one.
    #[serde(borrow)]
    pub request: Option<&'a RawValue>,
}

/// What a worker answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// The script can be used.
    Usable,
    /// What it made of the request.
    Made(Made),
    /// It failed, and how.
    Failed(String),
}

/// What a script made of a request.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Made {
    pub headers: BTreeMap<String, String>,
    /// None where the script left the body as it was: then its bytes stay what they are, numbers
    /// that JavaScript cannot hold included.
    pub body: Option<String>,
}

/// A text behind its length.
pub(crate) fn framed(text: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(text.len()).ok()?;
    let mut frame = Vec::with_capacity(4 + text.len());
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(text);
    (text.len() <= FRAME_BYTES_MAX).then_some(frame)
}

/// The length of a text, if it may be so long.
pub(crate) fn length_of(prefix: [u8; 4]) -> Option<usize> {
    let length = usize::try_from(u32::from_be_bytes(prefix)).ok()?;
    (length <= FRAME_BYTES_MAX).then_some(length)
}

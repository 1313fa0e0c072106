//! The headers that a script made of a request's, in one JSON text: a stored format.

use super::Unreadable;

/// The headers as they are stored.
pub fn encode_headers(headers: &[(String, String)]) -> String {
    serde_json::to_string(headers).expect("strings always serialise")
}

/// Headers from their text.
///
/// # Errors
/// Where the text is no list of names and values.
pub fn decode_headers(text: &str) -> Result<Vec<(String, String)>, Unreadable> {
    Ok(serde_json::from_str(text)?)
}

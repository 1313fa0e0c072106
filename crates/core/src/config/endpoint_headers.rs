//! An endpoint's custom headers at rest.
//!
//! Any of them may be a credential for the receiver, whatever it is called, so every value is
//! sealed. What is shown is another matter: a person must be able to read the harmless ones, so
//! there the name decides.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Endpoint, FieldError, Making, check};
use crate::outgoing::may_be_secret;
use crate::seal::{Opener, SealError, SealingKey};
use crate::secret::{MASK, Secret};

/// A custom header, its value sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointHeader {
    /// Its name as it was written.
    pub name: String,
    /// The value, sealed for the endpoint.
    pub sealed: String,
}

impl Endpoint {
    /// The custom headers as they are sent.
    ///
    /// # Errors
    /// Where a value was sealed with another key.
    pub fn open_headers(
        &self,
        sealing_key: &SealingKey,
    ) -> Result<Vec<(String, String)>, SealError> {
        let owner = self.id.to_string();
        let opener = Opener::new(sealing_key, &owner);
        let mut opened = Vec::with_capacity(self.headers.len());
        for header in &self.headers {
            let value = opener.open(&header.sealed)?;
            opened.push((header.name.clone(), value.expose().to_owned()));
        }
        Ok(opened)
    }

    /// The custom headers as `GET` shows them. A value that does not open is masked as well, so
    /// that an endpoint whose key is lost can still be looked at, and mended.
    pub(super) fn shown_headers(&self, sealing_key: &SealingKey) -> Map<String, Value> {
        let owner = self.id.to_string();
        let opener = Opener::new(sealing_key, &owner);
        let shown = self.headers.iter().map(|header| {
            let value = (!may_be_secret(&header.name)).then(|| opener.open(&header.sealed));
            let value = match &value {
                Some(Ok(value)) => value.expose(),
                Some(Err(_)) | None => MASK,
            };
            (header.name.clone(), json!(value))
        });
        shown.collect()
    }
}

/// Checks the headers that a client wrote and seals them for `owner`. What `GET` masked keeps its
/// value when it is sent back.
pub(super) fn sealed(
    written: Vec<(String, String)>,
    owner: &str,
    existing: &[EndpointHeader],
    making: &mut Making<'_>,
    errors: &mut Vec<FieldError>,
) -> Vec<EndpointHeader> {
    check::headers(&written, errors);
    let mut headers = Vec::with_capacity(written.len());
    for (name, value) in written {
        let sealed = if value == MASK {
            kept(&name, existing, errors)
        } else {
            making.seal(owner, &Secret::new(value))
        };
        headers.push(EndpointHeader { name, sealed });
    }
    headers
}

fn kept(name: &str, existing: &[EndpointHeader], errors: &mut Vec<FieldError>) -> String {
    let mut same = existing.iter();
    match same.find(|header| header.name.eq_ignore_ascii_case(name)) {
        Some(header) => header.sealed.clone(),
        None => {
            let detail = format!("{MASK} keeps a value, but there is none yet; write the value");
            errors.push(FieldError::new(check::header_pointer(name), detail));
            String::new()
        }
    }
}

//! An HMAC-SHA256 over several parts of a request: time, method, URL, body. What differs from
//! provider to provider is data (`scheme`), so that a new one is a row and no code.

use super::mac::{Encoding, MacKey, Signature};
use super::request::malformed;
use super::{Header, Refusal, SignedRequest, Tolerance};
use crate::json;
use crate::time::Timestamp;

/// Where a signature is and what it covers.
pub(super) struct Form {
    /// The header that the signature is in, in lower case.
    pub(super) header: &'static str,
    pub(super) written: Written,
    pub(super) encoding: Encoding,
    /// What is hashed, in order.
    pub(super) signed: &'static [Part],
    pub(super) time: Option<SignedTime>,
}

/// How the header is written.
pub(super) enum Written {
    /// One signature behind a prefix.
    Alone { prefix: &'static str },
    /// `name=value` pairs: a time, and a signature for each live secret.
    Fields {
        separator: char,
        time: &'static str,
        signature: &'static str,
    },
    /// Several headers, with `-1`, `-2` and so on behind the name.
    Numbered,
}

/// A part of what is signed.
pub(super) enum Part {
    Text(&'static str),
    Time,
    Method,
    Url,
    Body,
}

/// The time that is signed along.
pub(super) struct SignedTime {
    pub(super) at: TimeAt,
    pub(super) unit: Unit,
    pub(super) tolerance: Option<Tolerance>,
}

/// Where the time is.
pub(super) enum TimeAt {
    /// A field of the signature's own header.
    Signature,
    /// A header of its own.
    Header(&'static str),
    /// A member of the signed JSON body.
    Body(&'static str),
}

/// How the time is written.
pub(super) enum Unit {
    Seconds,
    Milliseconds,
    /// A text that is signed as it stands, and compared with no clock.
    Text,
}

const TIME_EXPECTED: &str = "a time as the provider writes it";
/// DocuSign has at most a hundred keys, and a header for each.
const NUMBERED_MAX: usize = 100;
/// Signatures of one header; more are no provider's.
const SIGNATURES_MAX: usize = 16;

/// A form, and the live secrets.
pub(super) struct Composed {
    pub(super) form: Form,
    pub(super) keys: Vec<MacKey>,
}

impl Composed {
    /// The secret that signed the request.
    pub(super) fn signer(
        &self,
        request: &SignedRequest<'_>,
        now: Timestamp,
    ) -> Result<&MacKey, Refusal> {
        let (signatures, in_header) = self.form.signatures(request)?;
        let time = self.form.signed_text(request, in_header)?;
        let parts: Vec<&[u8]> = self
            .form
            .signed
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.as_bytes(),
                Part::Time => time.unwrap_or_default().as_bytes(),
                Part::Method => request.method.as_bytes(),
                Part::Url => request.url.as_bytes(),
                Part::Body => request.body,
            })
            .collect();
        let signer = self.keys.iter().find(|key| key.signed(&parts, &signatures));
        let signer = signer.ok_or_else(|| self.form.mismatch())?;
        // Only who has the secret learns that the time is wrong.
        self.form.check_time(request, time, now)?;
        Ok(signer)
    }
}

impl Form {
    /// Every signature of the request, and the time that came in the same header.
    fn signatures<'a>(
        &self,
        request: &SignedRequest<'a>,
    ) -> Result<(Vec<Signature>, Option<&'a str>), Refusal> {
        let unreadable = || malformed(self.header, self.expected());
        match &self.written {
            Written::Alone { prefix } => {
                let text = request.text(self.header, self.expected())?;
                let signature = text
                    .strip_prefix(prefix)
                    .and_then(|text| Signature::decode(text, self.encoding));
                Ok((vec![signature.ok_or_else(unreadable)?], None))
            }
            Written::Fields {
                separator,
                time,
                signature,
            } => {
                let text = request.text(self.header, self.expected())?;
                let found = self.fields(text, *separator, time, signature);
                let (signatures, time) = found.ok_or_else(unreadable)?;
                Ok((signatures, Some(time)))
            }
            Written::Numbered => self.numbered(request).map(|found| (found, None)),
        }
    }

    fn fields<'a>(
        &self,
        text: &'a str,
        separator: char,
        time_name: &str,
        signature_name: &str,
    ) -> Option<(Vec<Signature>, &'a str)> {
        let mut time = None;
        let mut signatures = Vec::new();
        for item in text.split(separator) {
            let (name, value) = item.trim().split_once('=')?;
            if name == time_name {
                if time.replace(value).is_some() {
                    return None;
                }
            } else if name == signature_name {
                signatures.extend(Signature::decode(value, self.encoding));
            }
        }
        let readable = !signatures.is_empty() && signatures.len() <= SIGNATURES_MAX;
        time.filter(|_| readable).map(|time| (signatures, time))
    }

    fn numbered(&self, request: &SignedRequest<'_>) -> Result<Vec<Signature>, Refusal> {
        let mut signatures = Vec::new();
        for number in 1..=NUMBERED_MAX {
            let name = format!("{}-{number}", self.header);
            if number > 1 && request.headers.header(&name) == Header::Absent {
                break;
            }
            let text = request.text(&name, self.expected())?;
            let signature = Signature::decode(text, self.encoding);
            signatures.push(signature.ok_or_else(|| malformed(&name, self.expected()))?);
        }
        Ok(signatures)
    }

    /// The time as it was signed. One that lies in the body is no part of its own.
    fn signed_text<'a>(
        &self,
        request: &SignedRequest<'a>,
        in_header: Option<&'a str>,
    ) -> Result<Option<&'a str>, Refusal> {
        match self.time.as_ref().map(|time| &time.at) {
            None | Some(TimeAt::Body(_)) => Ok(None),
            Some(TimeAt::Signature) => Ok(in_header),
            Some(TimeAt::Header(name)) => request.text(name, TIME_EXPECTED).map(Some),
        }
    }

    fn check_time(
        &self,
        request: &SignedRequest<'_>,
        signed: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let Some(time) = &self.time else {
            return Ok(());
        };
        let Some(tolerance) = time.tolerance else {
            return Ok(());
        };
        let (text, unreadable) = match time.at {
            TimeAt::Signature => (
                signed.map(str::to_owned),
                malformed(self.header, self.expected()),
            ),
            TimeAt::Header(name) => (signed.map(str::to_owned), malformed(name, TIME_EXPECTED)),
            TimeAt::Body(member) => (
                number_in_body(request.body, member),
                Refusal::MalformedBody {
                    name: member.to_owned(),
                    expected: TIME_EXPECTED,
                },
            ),
        };
        let count = text.as_deref().and_then(super::unix_seconds);
        let seconds = match (count, &time.unit) {
            (Some(count), Unit::Seconds | Unit::Text) => count,
            (Some(count), Unit::Milliseconds) => count.div_euclid(1_000),
            (None, _) => return Err(unreadable),
        };
        tolerance.check(seconds, now)
    }

    fn mismatch(&self) -> Refusal {
        let covers_url = |part: &Part| matches!(part, Part::Url);
        if self.signed.iter().any(covers_url) {
            Refusal::MismatchWithUrl
        } else {
            Refusal::Mismatch
        }
    }

    fn expected(&self) -> &'static str {
        match (&self.written, self.encoding) {
            (Written::Fields { .. }, _) => {
                "a time and signatures, each behind its name and an equals sign"
            }
            (Written::Alone { prefix: "" } | Written::Numbered, Encoding::Hex) => {
                "the signature in hex"
            }
            (Written::Alone { prefix: "" } | Written::Numbered, Encoding::Base64) => {
                "the signature in base64"
            }
            (Written::Alone { .. }, Encoding::Hex) => "v0= and the signature in hex",
            (Written::Alone { .. }, Encoding::Base64) => "a prefix and the signature in base64",
        }
    }
}

fn number_in_body(body: &[u8], member: &str) -> Option<String> {
    let document = json::parse(body).ok()?;
    match document.root().get(member)?.value() {
        json::Value::Number(text) => Some(text.to_owned()),
        json::Value::Null
        | json::Value::Bool(_)
        | json::Value::String(_)
        | json::Value::Array(_)
        | json::Value::Object(_) => None,
    }
}

//! Amazon SNS signs some members of the JSON in its body, each with its name and a line's end, with
//! RSA over SHA-1 (version 1) or SHA-256 (version 2), and names its certificate in the body.
//!
//! Anybody can have SNS sign: by a topic of one's own. So the topic has to be the source's.

use base64::Engine;

use super::certificate::{Hash, Presented, Wanted, providers_url};
use super::mac::BASE64;
use super::{Refusal, SignedRequest};
use crate::json::{Value, parse};
use crate::time::Timestamp;

const NOTIFICATION: &str = "Notification";
const SUBSCRIPTION: &str = "SubscriptionConfirmation";
const UNSUBSCRIPTION: &str = "UnsubscribeConfirmation";
/// What is signed of a notification, in order; a subject may be missing.
const OF_NOTIFICATION: &[&str] = &[
    "Message",
    "MessageId",
    "Subject",
    "Timestamp",
    "TopicArn",
    "Type",
];
/// What is signed of a message about a subscription, in order.
const OF_SUBSCRIPTION: &[&str] = &[
    "Message",
    "MessageId",
    "SubscribeURL",
    "Timestamp",
    "Token",
    "TopicArn",
    "Type",
];
/// The one that a notification may lack.
const SUBJECT: &str = "Subject";
/// Members that a message may have.
const MEMBERS_MAX: usize = 32;

/// The topic whose messages may come in.
pub(super) struct Sns {
    pub(super) topic_arn: String,
    pub(super) confirm: bool,
}

/// The members of a message that are texts.
struct Message(Vec<(String, String)>);

impl Sns {
    /// The certificate to fetch. A message of another topic is refused before that.
    pub(super) fn wanted(&self, request: &SignedRequest<'_>) -> Result<Wanted, Refusal> {
        let message = self.message(request)?;
        message.signed()?;
        let is_certificate = |url: &url::Url| {
            let path = url.path();
            path.starts_with("/SimpleNotificationService-")
                && path.ends_with(".pem")
                && url.query().is_none()
        };
        let url = providers_url(message.text("SigningCertURL")?, is_host);
        let url = url.filter(is_certificate);
        let url = url.ok_or(Refusal::CertificateUrl {
            provider: "Amazon SNS",
        })?;
        Ok(Wanted {
            url: url.to_string(),
        })
    }

    pub(super) fn verify(
        &self,
        request: &SignedRequest<'_>,
        presented: Presented<'_>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let message = self.message(request)?;
        let (hash, text, signature) = message.signed()?;
        let signed = (hash, text.as_bytes(), signature.as_slice());
        presented.signed(is_certificates_name, signed, now)
    }

    /// The URL that confirms the subscription, where a verified request asks for it and the source
    /// wants it done.
    pub(super) fn confirmation(
        &self,
        request: &SignedRequest<'_>,
    ) -> Result<Option<String>, Refusal> {
        if !self.confirm {
            return Ok(None);
        }
        let message = self.message(request)?;
        if message.text("Type")? != SUBSCRIPTION {
            return Ok(None);
        }
        let confirms = |url: &url::Url| {
            let mut pairs = url.query_pairs();
            pairs.any(|(name, value)| name == "Action" && value == "ConfirmSubscription")
        };
        let url = providers_url(message.text("SubscribeURL")?, is_host).filter(confirms);
        let url = url.ok_or_else(|| missing("SubscribeURL"))?;
        Ok(Some(url.to_string()))
    }

    fn message(&self, request: &SignedRequest<'_>) -> Result<Message, Refusal> {
        let message = Message::read(request.body)?;
        if message.text("TopicArn")? == self.topic_arn {
            Ok(message)
        } else {
            Err(Refusal::WrongTopic)
        }
    }

    /// What is signed of each kind of message.
    pub(super) fn covered() -> Vec<String> {
        let names = OF_NOTIFICATION.iter();
        names.map(|name| format!("body:$.{name}")).collect()
    }
}

impl Message {
    fn read(body: &[u8]) -> Result<Self, Refusal> {
        let unreadable = || missing("JSON");
        let document = parse(body).map_err(|_| unreadable())?;
        let Value::Object(members) = document.root().value() else {
            return Err(unreadable());
        };
        let mut texts: Vec<(String, String)> = Vec::new();
        for (count, (name, element)) in members.enumerate() {
            // Of a name that comes twice another reader would take the other value, unsigned.
            if count >= MEMBERS_MAX || texts.iter().any(|(known, _)| *known == name) {
                return Err(unreadable());
            }
            let value = match element.value() {
                Value::String(text) => text.into_owned(),
                Value::Null if name == SUBJECT => continue,
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::Array(_)
                | Value::Object(_) => String::new(),
            };
            texts.push((name.into_owned(), value));
        }
        Ok(Self(texts))
    }

    fn find(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn text(&self, name: &'static str) -> Result<&str, Refusal> {
        let text = self.find(name).filter(|text| !text.is_empty());
        text.ok_or_else(|| missing(name))
    }

    /// The hash, the text that is signed, and the signature.
    fn signed(&self) -> Result<(Hash, String, Vec<u8>), Refusal> {
        let hash = match self.text("SignatureVersion")? {
            "1" => Hash::Sha1,
            "2" => Hash::Sha256,
            _ => return Err(missing("SignatureVersion")),
        };
        let names = match self.text("Type")? {
            NOTIFICATION => OF_NOTIFICATION,
            SUBSCRIPTION | UNSUBSCRIPTION => OF_SUBSCRIPTION,
            _ => return Err(missing("Type")),
        };
        let mut text = String::new();
        for name in names {
            let value = match self.find(name) {
                // A message may be empty; what has no text was no text.
                Some(value) if !value.is_empty() || *name == "Message" => value,
                None if *name == SUBJECT => continue,
                Some(_) | None => return Err(missing(name)),
            };
            for part in [name, "\n", value, "\n"] {
                text.push_str(part);
            }
        }
        let signature = BASE64.decode(self.text("Signature")?);
        let signature = signature.map_err(|_| missing("Signature"))?;
        Ok((hash, text, signature))
    }
}

/// `sns.<region>.amazonaws.com`, or the same in China.
fn is_host(host: &str) -> bool {
    let region = host.strip_prefix("sns.").and_then(|rest| {
        rest.strip_suffix(".amazonaws.com")
            .or_else(|| rest.strip_suffix(".amazonaws.com.cn"))
    });
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    region.is_some_and(|region| region.len() >= 3 && region.bytes().all(plain))
}

/// A certificate may be for all regions, or for one.
fn is_certificates_name(name: &str) -> bool {
    let of_sns = name.starts_with("sns.") || name.starts_with("sns-");
    of_sns && (name.ends_with(".amazonaws.com") || name.ends_with(".amazonaws.com.cn"))
}

fn missing(name: &str) -> Refusal {
    Refusal::MalformedBody {
        name: name.to_owned(),
        expected: "as Amazon SNS documents it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_of_sns_count() {
        for host in [
            "sns.us-east-1.amazonaws.com",
            "sns.us-gov-west-1.amazonaws.com",
            "sns.cn-north-1.amazonaws.com.cn",
        ] {
            assert!(is_host(host), "{host}");
        }
        for host in [
            "sns.amazonaws.com",
            "sns..amazonaws.com",
            "sns.us-east-1.amazonaws.com.evil.example",
            "sns.evil.example/.amazonaws.com",
            "sns.a.b.amazonaws.com",
            "s3.us-east-1.amazonaws.com",
            "xsns.us-east-1.amazonaws.com",
            "sns.us-east-1.amazonaws.com.",
            "sns.us-east-1.amazonaws.co",
        ] {
            assert!(!is_host(host), "{host}");
        }
        assert!(is_certificates_name("sns.amazonaws.com"));
        assert!(is_certificates_name("sns.eu-south-1.amazonaws.com"));
        assert!(!is_certificates_name("ses.amazonaws.com"));
        assert!(!is_certificates_name("sns.amazonaws.com.evil.example"));
    }

    #[test]
    fn a_message_that_another_reader_would_read_otherwise_is_no_message() {
        for body in [
            r#"{"Message":"a","Message":"b"}"#,
            r#"{"Type":"Notification","Mess\u0061ge":"a","Message":"b"}"#,
            r#"{"Subject":null,"Type":"a","Type":"b"}"#,
            r#"["Message"]"#,
            "Message",
        ] {
            let refused = Message::read(body.as_bytes()).err().unwrap();
            assert_eq!(refused.reason(), "verification_malformed", "{body}");
        }
        let many = (0..40).map(|n| format!("\"m{n}\":1")).collect::<Vec<_>>();
        let many = format!("{{{}}}", many.join(","));
        assert!(Message::read(many.as_bytes()).is_err());
    }
}

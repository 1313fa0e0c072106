//! Why a request was not let in. The texts reach the sender and the log: they say what to do, and
//! never echo a secret or the signature that would have been right.

/// Why a verifier refused a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The header that carries the proof is not there.
    #[error(
        "the header {name} is missing: set the source's secret at the sender, or check that \
             no proxy drops the header"
    )]
    MissingHeader {
        /// The header, in lower case.
        name: String,
    },
    /// The query parameter that carries the proof is not there.
    #[error("the query parameter {name} is missing: add it to the URL that the sender calls")]
    MissingQuery {
        /// The parameter.
        name: String,
    },
    /// The header or query parameter is there more than once, so that what it says is open.
    #[error("{name} is there more than once: send it once")]
    Repeated {
        /// The header, in lower case, or the query parameter.
        name: String,
    },
    /// The header cannot be read.
    #[error("the header {name} cannot be read: it should be {expected}")]
    Malformed {
        /// The header, in lower case.
        name: String,
        /// What it should look like.
        expected: &'static str,
    },
    /// What the signature needs of the body is not there, or cannot be read.
    #[error("the body's {name} is missing or cannot be read: it should be {expected}")]
    MalformedBody {
        /// The member or the field.
        name: String,
        /// What it should look like.
        expected: &'static str,
    },
    /// The signature is not one of a live secret over these bytes.
    #[error(
        "the signature does not match: check that the source has the sender's current secret, \
             and that nothing on the way changes the body"
    )]
    Mismatch,
    /// The signature is not one of a live secret over these bytes and the URL that was called.
    #[error(
        "the signature does not match: it covers the URL as well, so check that the gateway's \
             public_url is where the sender calls, that the source has the sender's current \
             secret, and that nothing on the way changes the body"
    )]
    MismatchWithUrl,
    /// The message is of another topic than the source takes.
    #[error(
        "the message is of another topic: set the verifier's topic_arn to the topic that is \
             subscribed to this URL"
    )]
    WrongTopic,
    /// The certificate that the request names is not one of the provider's.
    #[error("the URL of the certificate is not one of {provider}'s: the request is not from there")]
    CertificateUrl {
        /// Who should have signed.
        provider: &'static str,
    },
    /// The certificate cannot be believed.
    #[error("the certificate that the request names cannot be trusted: {detail}")]
    Certificate {
        /// Why not.
        detail: String,
    },
    /// The signature can only be checked with a certificate that has to be fetched.
    #[error(
        "the signature needs a certificate that has to be fetched, and nothing is fetched here"
    )]
    CertificateMissing,
    /// The user name, password or API key is not that of the source.
    #[error("the credentials are wrong: compare them with those of the source")]
    WrongCredentials,
    /// The signature is older than the tolerance.
    #[error(
        "the signature was made {age_seconds} s ago, and {tolerance_seconds} s are allowed: \
             sign again before sending, and check the clocks of both sides"
    )]
    Stale {
        /// How long ago it was made.
        age_seconds: i64,
        /// How long ago it may have been made.
        tolerance_seconds: i64,
    },
    /// The signature is from the future, by more than the tolerance.
    #[error(
        "the signature was made {ahead_seconds} s in the future, and {tolerance_seconds} s \
             are allowed: check the clocks of both sides"
    )]
    Early {
        /// How far in the future it was made.
        ahead_seconds: i64,
        /// How far in the future it may have been made.
        tolerance_seconds: i64,
    },
}

impl Refusal {
    /// A short, stable word for the log and for counting.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::MissingHeader { .. } | Self::MissingQuery { .. } => "verification_missing",
            Self::Repeated { .. } | Self::Malformed { .. } | Self::MalformedBody { .. } => {
                "verification_malformed"
            }
            Self::Mismatch | Self::MismatchWithUrl => "signature_mismatch",
            Self::WrongTopic => "topic_mismatch",
            Self::CertificateUrl { .. } | Self::Certificate { .. } | Self::CertificateMissing => {
                "certificate_untrusted"
            }
            Self::WrongCredentials => "credentials_wrong",
            Self::Stale { .. } | Self::Early { .. } => "signature_out_of_time",
        }
    }
}

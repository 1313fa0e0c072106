//! Certificates that a provider's request names by URL: who may have issued them, whose they must
//! be, and what they sign.
//!
//! Nothing here fetches. A verifier says which URL it wants, which it has found to be the
//! provider's own; somebody brings what lies there, and the issuers that the file leaves out; and
//! each request is judged anew on these bytes, at the time at which it came: the chain has to lead
//! to one of the roots, the leaf has to bear the provider's name, and its key has to have signed.

use std::fmt;
use std::time::Duration;

use ring::signature::{RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, UnparsedPublicKey};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm,
    UnixTime, alg_id,
};
use url::Url;
use webpki::ring::RSA_PKCS1_2048_8192_SHA256;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, Error, KeyUsage};

pub use rustls_pki_types::TrustAnchor;

use super::Refusal;
use crate::address::URL_BYTES_MAX;
use crate::time::Timestamp;

/// Bytes of a file of certificates, at most.
pub const CERTIFICATE_BYTES_MAX: usize = 64 * 1024;
/// Certificates of a chain without its root.
const CHAIN_MAX: usize = 5;
/// The object identifier `id-ad-caIssuers` (RFC 5280, 4.2.2.1) with its tag and length, and the
/// tag of the URI that follows it.
const CA_ISSUERS: [u8; 11] = [
    0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x02, 0x86,
];

/// A certificate that has to be fetched before a request can be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where it is: a URL of the provider's.
    pub url: String,
}

/// A certificate and those of its issuers, its own first, as they were fetched: nothing about them
/// has been judged.
#[derive(Clone)]
pub struct Chain(Vec<CertificateDer<'static>>);

/// A chain, and whom to believe about it.
#[derive(Debug, Clone, Copy)]
pub struct Presented<'a> {
    /// The chain.
    pub chain: &'a Chain,
    /// The authorities that are trusted.
    pub roots: &'a [TrustAnchor<'static>],
}

/// Why a file holds no certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it holds no certificate, or more than {CHAIN_MAX}")]
pub struct NoCertificate;

/// The hash that an RSA signature is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    /// SHA-1, which SNS still uses unless a topic says otherwise.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl Chain {
    /// Reads a file: certificates in PEM, or one in DER.
    pub fn read(file: &[u8]) -> Result<Self, NoCertificate> {
        if file.len() > CERTIFICATE_BYTES_MAX {
            return Err(NoCertificate);
        }
        if EndEntityCert::try_from(&CertificateDer::from(file)).is_ok() {
            return Ok(Self(vec![CertificateDer::from(file.to_vec())]));
        }
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(file)
            .take(CHAIN_MAX + 1)
            .collect();
        match found {
            Ok(found) if (1..=CHAIN_MAX).contains(&found.len()) => Ok(Self(found)),
            Ok(_) | Err(_) => Err(NoCertificate),
        }
    }

    /// An authority to trust, from its certificate in DER.
    pub fn anchor(der: &[u8]) -> Result<TrustAnchor<'static>, NoCertificate> {
        let certificate = CertificateDer::from(der);
        let anchor = webpki::anchor_from_trusted_cert(&certificate);
        anchor
            .map(|anchor| anchor.to_owned())
            .map_err(|_| NoCertificate)
    }

    /// Takes what was fetched for [`Chain::issuer_wanted`] into the chain.
    pub fn extend(&mut self, file: &[u8]) -> Result<(), NoCertificate> {
        let more = Self::read(file)?;
        if self.0.len() + more.0.len() > CHAIN_MAX {
            return Err(NoCertificate);
        }
        self.0.extend(more.0);
        Ok(())
    }

    /// Where the next issuer can be fetched, if the chain does not reach a root without it. The
    /// last certificate says so itself. That is no more than a hint: what lies there counts only
    /// if its key has signed the certificate.
    pub fn issuer_wanted(&self, roots: &[TrustAnchor<'static>], now: Timestamp) -> Option<String> {
        let leaf = EndEntityCert::try_from(self.0.first()?).ok()?;
        let unknown = matches!(self.trusted(&leaf, roots, now), Err(Error::UnknownIssuer));
        let last = self
            .0
            .last()
            .filter(|_| unknown && self.0.len() < CHAIN_MAX)?;
        issuer_url(last)
    }

    fn trusted(
        &self,
        leaf: &EndEntityCert<'_>,
        roots: &[TrustAnchor<'static>],
        now: Timestamp,
    ) -> Result<(), Error> {
        let since_1970 = Duration::from_millis(u64::try_from(now.as_millis()).unwrap_or(0));
        let path = leaf.verify_for_usage(
            ALL_VERIFICATION_ALGS,
            roots,
            &self.0[1..],
            UnixTime::since_unix_epoch(since_1970),
            KeyUsage::server_auth(),
            None,
            None,
        );
        path.map(|_| ())
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain of {}", self.0.len())
    }
}

impl Presented<'_> {
    /// Whether the certificate may be believed, bears a name of the provider's, and its key has
    /// signed the message.
    pub(super) fn signed(
        &self,
        is_providers: impl Fn(&str) -> bool,
        (hash, message, signature): (Hash, &[u8], &[u8]),
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let untrusted = |detail: String| Refusal::Certificate { detail };
        let leaf = self.chain.0.first().map(EndEntityCert::try_from);
        let leaf = leaf
            .and_then(Result::ok)
            .ok_or_else(|| untrusted("it cannot be read".to_owned()))?;
        self.chain
            .trusted(&leaf, self.roots, now)
            .map_err(|error| untrusted(error.to_string()))?;
        if !leaf.valid_dns_names().any(is_providers) {
            return Err(untrusted("it bears no name of the provider's".to_owned()));
        }
        let algorithm: &dyn SignatureVerificationAlgorithm = match hash {
            Hash::Sha1 => &RsaSha1,
            Hash::Sha256 => RSA_PKCS1_2048_8192_SHA256,
        };
        let signed = leaf.verify_signature(algorithm, message, signature);
        signed.map_err(|_| Refusal::Mismatch)
    }
}

/// RSA (PKCS #1 v1.5) over SHA-1: for messages only, never for a certificate of the chain.
#[derive(Debug)]
struct RsaSha1;

impl SignatureVerificationAlgorithm for RsaSha1 {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        // `sha1WithRSAEncryption` (RFC 3279, 2.2.1), in DER.
        AlgorithmIdentifier::from_slice(&[
            0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05, 0x05, 0x00,
        ])
    }

    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, public_key)
            .verify(message, signature)
            .map_err(|_| InvalidSignature)
    }
}

/// Reads the URL of a certificate, or of a confirmation: HTTPS on its own port, without a user, and
/// on a host that is the provider's. Whoever sends a request can write anything there.
pub(super) fn providers_url(text: &str, is_providers: impl Fn(&str) -> bool) -> Option<Url> {
    // What the parser would mend or leave out is no URL that a provider writes.
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    if text.len() > URL_BYTES_MAX || !text.bytes().all(plain) {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let usual = url.scheme() == "https"
        && url.port().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none();
    (usual && is_providers(url.host_str()?)).then_some(url)
}

/// The address of the issuer's certificate. The bytes are looked for rather than parsed: whatever
/// is found, the guard judges the address and the chain the certificate.
fn issuer_url(certificate: &CertificateDer<'_>) -> Option<String> {
    let der: &[u8] = certificate;
    let start = der
        .windows(CA_ISSUERS.len())
        .position(|window| window == CA_ISSUERS)?;
    let (length, rest) = der[start + CA_ISSUERS.len()..].split_first()?;
    // A length of 128 and more takes further bytes: no such URL is taken.
    let text = rest
        .get(..usize::from(*length))
        .filter(|_| *length < 0x80)?;
    let text = std::str::from_utf8(text).ok()?;
    let url = Url::parse(text).ok()?;
    matches!(url.scheme(), "http" | "https").then(|| url.to_string())
}

//! Who we are to an endpoint that wants a certificate of us.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};

/// Certificates of one chain, at most.
const CHAIN_MAX: usize = 10;

static NUMBERED: AtomicU64 = AtomicU64::new(1);

/// A certificate with its private key. Each has its own connections: whoever was let in by one
/// must not be carried over a connection of another.
#[derive(Clone)]
pub struct Identity {
    number: u64,
    certified: Arc<CertifiedKey>,
}

/// Why a certificate and a key cannot be used. The text shows neither.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// There is no certificate, or too many, or it is not PEM.
    #[error("the certificate should be PEM: one to {CHAIN_MAX} blocks of BEGIN CERTIFICATE")]
    Certificate,
    /// There is no key, or it is not PEM.
    #[error("the key should be PEM: BEGIN PRIVATE KEY, without a passphrase")]
    Key,
    /// They are not a pair, or of a kind that is not supported.
    #[error("the key does not fit the certificate, or is of an unknown kind")]
    NoPair,
}

impl Identity {
    /// Reads a certificate, with those that lead to its authority, and its key, both in PEM.
    ///
    /// # Errors
    /// Where they are no PEM or no pair.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, IdentityError> {
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes());
        let chain: Result<Vec<_>, _> = chain.take(CHAIN_MAX + 1).collect();
        let chain = chain.map_err(|_| IdentityError::Certificate)?;
        if chain.is_empty() || chain.len() > CHAIN_MAX {
            return Err(IdentityError::Certificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| IdentityError::Key)?;
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider());
        Ok(Self {
            number: NUMBERED.fetch_add(1, Ordering::Relaxed),
            certified: Arc::new(certified.map_err(|_| IdentityError::NoPair)?),
        })
    }

    /// Tells it from every other of this process.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.number)
    }
}

/// How TLS is spoken: with these authorities, and as somebody or as nobody. HTTP/1.1 only.
pub(crate) fn tls_config(roots: &Arc<RootCertStore>, identity: Option<&Identity>) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions")
        .with_root_certificates(Arc::clone(roots));
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let resolver = SingleCertAndKey::from(Arc::clone(identity.certified()));
            let mut config = builder.with_client_cert_resolver(Arc::new(resolver));
            // A session of one identity must never be resumed by another.
            config.resumption = Resumption::disabled();
            config
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

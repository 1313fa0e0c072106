//! What an operator may set about outgoing requests, with defaults that suit production.

use std::time::Duration;

use hooklatch_core::address::Reach;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

/// The limits and the trust of a [`Sender`](crate::Sender).
#[derive(Debug, Clone)]
pub struct SenderSettings {
    /// How far requests may reach.
    pub reach: Reach,
    /// How long an unused connection is kept. Below the idle timeout of common servers and load
    /// balancers, so that we close first and seldom write into a closing connection.
    pub idle_timeout: Duration,
    /// How old a connection may get, so that a busy one follows a change of the name in time.
    pub connection_age_max: Duration,
    /// Unused connections kept for one scheme, host and port.
    pub idle_per_host: usize,
    /// Unused connections kept in all.
    pub idle_total: usize,
    /// Name lookups at the same time. The system's cannot be cancelled and each takes a thread.
    pub dns_concurrency: usize,
    /// How long one lookup may take.
    pub dns_timeout: Duration,
    /// How long an answer is used again for new connections. Failures are never kept.
    pub dns_ttl: Duration,
    /// Names whose answers are kept.
    pub dns_names_max: usize,
    /// How long TCP may take over all addresses of a name, and TLS after it.
    pub connect_timeout: Duration,
    /// Bytes of an answer's head.
    pub head_bytes_max: usize,
    /// The certificate authorities that are trusted.
    pub roots: RootCertStore,
}

impl SenderSettings {
    /// Trusts one more certificate authority, for endpoints with certificates of a house's own.
    pub fn trust_also(&mut self, authority: CertificateDer<'_>) -> Result<(), rustls::Error> {
        self.roots.add(authority)
    }
}

impl Default for SenderSettings {
    fn default() -> Self {
        Self {
            reach: Reach::PublicOnly,
            idle_timeout: Duration::from_secs(30),
            connection_age_max: Duration::from_secs(300),
            idle_per_host: 256,
            idle_total: 1_024,
            dns_concurrency: 32,
            dns_timeout: Duration::from_secs(5),
            dns_ttl: Duration::from_secs(10),
            dns_names_max: 4_096,
            connect_timeout: Duration::from_secs(10),
            head_bytes_max: hooklatch_core::limits::HEADER_BYTES_MAX,
            roots: RootCertStore {
                roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
            },
        }
    }
}

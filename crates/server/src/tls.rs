//! TLS on the gateway's own port, for those who put nothing before it.
//!
//! What the plain port speaks, HTTP/1.1, is what is offered. A handshake costs us more than a
//! client, so it has a deadline, and only so many are under way at once. The certificate can be
//! replaced while connections live: each keeps the one that it began with.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Certificates of one chain, at most.
const CHAIN_MAX: usize = 10;
/// How long a client may take from its first byte to the end of the handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Handshakes under way at once.
const HANDSHAKES_MAX: usize = 256;
/// The first byte of every TLS connection: a record of a handshake (RFC 8446, 5.1).
const HANDSHAKE_RECORD: u8 = 22;
/// What is read of a client in plain text after it was told so; then it is cut off.
const PLAIN_BYTES_MAX: usize = 64 * 1024;

const NOT_PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 36\r\n\
    connection: close\r\n\r\n\
    this port speaks TLS; use https://\r\n";

/// The gateway's certificate, and what it is shown with.
pub struct Tls {
    config: RwLock<Arc<ServerConfig>>,
    handshakes: Semaphore,
}

/// Why a certificate and a key cannot be used. The text shows neither.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
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

impl Tls {
    /// Shows a certificate, with those that lead to its authority; both texts are PEM.
    ///
    /// # Errors
    /// Where they are no PEM or no pair.
    pub fn new(certificate: &[u8], key: &[u8]) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self {
            config: RwLock::new(config(certificate, key)?),
            handshakes: Semaphore::new(HANDSHAKES_MAX),
        }))
    }

    /// Shows another one from now on.
    ///
    /// # Errors
    /// Where they are no PEM or no pair; then the old one is shown as before.
    pub fn replace(&self, certificate: &[u8], key: &[u8]) -> Result<(), TlsError> {
        let new = config(certificate, key)?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    fn shown(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The connection under TLS; none where the client wants none, or takes too long.
    pub(crate) async fn accept(&self, tcp: TcpStream) -> Option<TlsStream<TcpStream>> {
        match timeout(HANDSHAKE_TIMEOUT, self.handshake(tcp)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!("a TLS handshake took too long");
                None
            }
        }
    }

    async fn handshake(&self, tcp: TcpStream) -> io::Result<Option<TlsStream<TcpStream>>> {
        let mut first = [0];
        // Whoever is silent takes no place from those who speak.
        if tcp.peek(&mut first).await? == 0 {
            return Ok(None);
        }
        if first[0] != HANDSHAKE_RECORD {
            return tell_it_is_not_plain(tcp, first[0]).await.map(|()| None);
        }
        let place = self.handshakes.acquire().await;
        let place = place.expect("the places are never closed");
        let stream = TlsAcceptor::from(self.shown()).accept(tcp).await?;
        drop(place);
        Ok(Some(stream))
    }
}

/// Tells a client of plain HTTP what is wrong; anything else is just closed.
async fn tell_it_is_not_plain(mut tcp: TcpStream, first: u8) -> io::Result<()> {
    if !first.is_ascii_uppercase() {
        return Ok(());
    }
    tcp.write_all(NOT_PLAIN).await?;
    tcp.shutdown().await?;
    // What is not read when a connection is closed takes the answer with it.
    let mut rest = (&mut tcp).take(PLAIN_BYTES_MAX as u64);
    tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
    Ok(())
}

fn config(certificate: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = CertificateDer::pem_slice_iter(certificate);
    let chain: Result<Vec<_>, _> = chain.take(CHAIN_MAX + 1).collect();
    let chain = chain.map_err(|_| TlsError::Certificate)?;
    if chain.is_empty() || chain.len() > CHAIN_MAX {
        return Err(TlsError::Certificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::Key)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("ring supports both versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|_| TlsError::NoPair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    fn pair() -> (String, String) {
        let names = vec!["localhost".to_owned()];
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        (cert.pem(), signing_key.serialize_pem())
    }

    #[test]
    fn a_wrong_certificate_is_refused_in_words_and_the_old_one_stays() {
        let ((certificate, key), (other, _)) = (pair(), pair());
        let tls = Tls::new(certificate.as_bytes(), key.as_bytes()).unwrap();
        let before = tls.shown();
        let many = certificate.repeat(CHAIN_MAX + 1);
        for (certificate, key, why) in [
            ("", key.as_str(), "the certificate should be PEM"),
            (&many, &key, "the certificate should be PEM"),
            (&certificate, "", "the key should be PEM"),
            (&certificate, &certificate, "the key should be PEM"),
            (&other, &key, "the key does not fit the certificate"),
        ] {
            let error = tls.replace(certificate.as_bytes(), key.as_bytes());
            let error = error.unwrap_err().to_string();
            assert!(error.starts_with(why), "{error}");
        }
        assert!(Arc::ptr_eq(&before, &tls.shown()));
        tls.replace(certificate.as_bytes(), key.as_bytes()).unwrap();
        assert!(!Arc::ptr_eq(&before, &tls.shown()));
    }

    #[test]
    fn the_answer_in_plain_text_is_as_long_as_it_says() {
        let text = String::from_utf8_lossy(NOT_PLAIN);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}\r\n", body.len())),
            "{text}"
        );
    }
}

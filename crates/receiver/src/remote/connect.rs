//! Connections to a gateway: plain, or by TLS where its address says https. Who answers there must be
//! who the address names, by a certificate that leads to an authority that is trusted.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::{Error, RemoteError, TIMEOUT};

/// Certificates of one file of authorities, at most.
const AUTHORITIES_MAX: usize = 100;

/// Opens connections.
#[derive(Clone)]
pub(super) struct Connector {
    tcp: HttpConnector,
    tls: TlsConnector,
}

/// A connection, whichever kind it is.
pub(super) struct Link(Box<dyn Stream>);

trait Stream: Read + Write + Send + Unpin {}
impl<T: Read + Write + Send + Unpin> Stream for T {}

impl Connector {
    pub(super) fn trusting(roots: RootCertStore) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(TIMEOUT));
        tcp.enforce_http(false);
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring supports the default protocol versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let tls = TlsConnector::from(Arc::new(config));
        Self { tcp, tls }
    }
}

/// The authorities that everybody trusts.
pub(super) fn public_roots() -> RootCertStore {
    RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    }
}

/// Adds authorities in PEM.
pub(super) fn trust_also(roots: &mut RootCertStore, pem: &str) -> Result<(), RemoteError> {
    let given = CertificateDer::pem_slice_iter(pem.as_bytes()).take(AUTHORITIES_MAX);
    let given: Result<Vec<_>, _> = given.collect();
    let given = given.map_err(|_| RemoteError::Authority)?;
    if given.is_empty() {
        return Err(RemoteError::Authority);
    }
    for authority in given {
        roots.add(authority).map_err(|_| RemoteError::Authority)?;
    }
    Ok(())
}

/// The name that the certificate has to bear; none where TLS is not wanted.
fn named(uri: &Uri) -> Result<Option<ServerName<'static>>, Error> {
    if uri.scheme_str() != Some("https") {
        return Ok(None);
    }
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok(Some(ServerName::try_from(host.to_owned())?))
}

impl Service<Uri> for Connector {
    type Response = Link;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Link, Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.tcp.poll_ready(cx).map_err(Error::from)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (name, tls) = (named(&uri), self.tls.clone());
        let tcp = self.tcp.call(uri);
        Box::pin(async move {
            let (name, tcp) = (name?, tcp.await?);
            Ok(match name {
                None => Link(Box::new(tcp)),
                Some(name) => {
                    let handshake = tls.connect(name, tcp.into_inner());
                    // The caller's patience ends the whole exchange; a connection that is opened
                    // for later has nobody who waits.
                    let tls = tokio::time::timeout(TIMEOUT, handshake).await??;
                    Link(Box::new(TokioIo::new(tls)))
                }
            })
        })
    }
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, into)
    }
}

impl Write for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_bears_the_name_of_the_address() {
        let name = |url: &str| named(&url.parse().unwrap()).unwrap();
        assert_eq!(name("http://gateway/"), None);
        let dns = ServerName::try_from("gateway.example").unwrap();
        assert_eq!(name("https://gateway.example:8443/v1"), Some(dns));
        let ip = ServerName::try_from("::1").unwrap();
        assert_eq!(name("https://[::1]:8443/"), Some(ip));
    }
}

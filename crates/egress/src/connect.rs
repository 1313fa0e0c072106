//! Opening a connection: find the addresses, judge every one, dial exactly these.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hooklatch_core::address::{AddressRefusal, Reach, refuse_ip, refuse_name};
use hyper::client::conn::http1::Builder;
use rustls::RootCertStore;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use crate::error::{Phase, SendError};
use crate::identity::tls_config;
use crate::link::Link;
use crate::resolve::{Names, Resolve};
use crate::sender::Progress;
use crate::settings::SenderSettings;
use crate::stream::Inner;
use crate::target::{Host, Origin};

pub(crate) struct Connector {
    reach: Reach,
    names: Names,
    roots: Arc<RootCertStore>,
    tls: TlsConnector,
    http: Builder,
    connect_timeout: Duration,
}

impl Connector {
    pub(crate) fn new(settings: SenderSettings, resolver: Arc<dyn Resolve>) -> Self {
        let mut http = Builder::new();
        // hyper fills a buffer before it parses, so both limits are needed; it refuses to work
        // with a buffer under 8 KiB.
        http.max_header_size(settings.head_bytes_max)
            .max_buf_size(settings.head_bytes_max.max(8 * 1024));
        let roots = Arc::new(settings.roots.clone());
        Self {
            reach: settings.reach,
            names: Names::new(&settings, resolver),
            tls: TlsConnector::from(Arc::new(tls_config(&roots, None))),
            roots,
            http,
            connect_timeout: settings.connect_timeout,
        }
    }

    /// Opens a connection to `origin`, noting the time of each step.
    pub(crate) async fn open(
        &self,
        origin: &Origin,
        progress: &mut Progress,
    ) -> Result<Box<Link>, SendError> {
        let addresses = self.vetted(origin, progress).await?;
        progress.enter(Phase::Connect);
        let started = Instant::now();
        let (tcp, address) = self.dial(&addresses, progress).await?;
        progress.timing.tcp = Some(started.elapsed());
        progress.address = Some(address);
        let inner = self.secured(origin, tcp, progress).await?;
        Link::open(&self.http, inner, address)
            .await
            .map_err(|error| SendError::from_hyper(&error, false, None))
    }

    /// The addresses of an origin, every one of them allowed.
    async fn vetted(
        &self,
        origin: &Origin,
        progress: &mut Progress,
    ) -> Result<Arc<[SocketAddr]>, SendError> {
        let port = origin.key.port;
        let addresses = match &origin.key.host {
            Host::Ip(ip) => Arc::from([SocketAddr::new(*ip, port)]),
            Host::Name(name) => {
                if let Some(refusal) = refuse_name(name, self.reach) {
                    return Err(refusal.into());
                }
                progress.enter(Phase::Dns);
                let started = Instant::now();
                let found = self.names.addresses(name, port).await;
                progress.timing.dns = Some(started.elapsed());
                found.map_err(|detail| SendError::Dns {
                    host: name.to_string(),
                    detail,
                })?
            }
        };
        match refused(&addresses, self.reach) {
            Some(refusal) => Err(refusal.into()),
            None => Ok(addresses),
        }
    }

    /// Tries the addresses in turn. Each gets a fair share of the time that is left, so that a
    /// dead one at the front (broken IPv6, most often) does not use it all up.
    async fn dial(
        &self,
        addresses: &[SocketAddr],
        progress: &Progress,
    ) -> Result<(TcpStream, SocketAddr), SendError> {
        let deadline = Instant::now() + self.connect_timeout;
        let mut failure = None;
        for (tried, address) in addresses.iter().enumerate() {
            let left = (addresses.len() - tried) as u32;
            let share = deadline.saturating_duration_since(Instant::now()) / left;
            failure = match timeout(share, connected(*address)).await {
                Ok(Ok(tcp)) => return Ok((tcp, *address)),
                Ok(Err(detail)) => Some(SendError::Connect {
                    address: *address,
                    detail,
                }),
                Err(_) => Some(progress.timed_out()),
            };
        }
        Err(failure.expect("a name has at least one address"))
    }

    async fn secured(
        &self,
        origin: &Origin,
        tcp: TcpStream,
        progress: &mut Progress,
    ) -> Result<Inner, SendError> {
        let Some(name) = &origin.tls_name else {
            return Ok(Inner::Plain(tcp));
        };
        progress.enter(Phase::Tls);
        let started = Instant::now();
        let as_somebody = origin
            .identity
            .as_ref()
            .map(|identity| TlsConnector::from(Arc::new(tls_config(&self.roots, Some(identity)))));
        let connector = as_somebody.as_ref().unwrap_or(&self.tls);
        let handshake = connector.connect(name.clone(), tcp);
        let tls = match timeout(self.connect_timeout, handshake).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(detail)) => {
                let host = origin.key.host.shown();
                return Err(SendError::Tls { host, detail });
            }
            Err(_) => return Err(progress.timed_out()),
        };
        progress.timing.tls = Some(started.elapsed());
        Ok(Inner::Tls(Box::new(tls)))
    }
}

async fn connected(address: SocketAddr) -> io::Result<TcpStream> {
    let tcp = TcpStream::connect(address).await?;
    // A request is written in one go; waiting to fill a packet would only delay its end.
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

/// One refused address refuses the name: no honest public host has a private address among its
/// public ones, and whoever mixes them hopes that one of the many attempts picks the wrong one.
fn refused(addresses: &[SocketAddr], reach: Reach) -> Option<AddressRefusal> {
    addresses
        .iter()
        .find_map(|address| refuse_ip(address.ip(), reach))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_refused_address_refuses_the_name() {
        let public: SocketAddr = "8.8.8.8:443".parse().unwrap();
        let loopback: SocketAddr = "[::ffff:127.0.0.1]:443".parse().unwrap();
        assert_eq!(refused(&[public], Reach::PublicOnly), None);
        for mixed in [[public, loopback], [loopback, public]] {
            let refusal = refused(&mixed, Reach::PublicOnly).unwrap();
            assert_eq!(refusal.host, "127.0.0.1");
            assert_eq!(refused(&mixed, Reach::LoopbackToo), None);
        }
    }
}

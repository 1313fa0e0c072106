//! Connections: TLS, limits on what may take how long, and nothing left open by a dead client.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::fault::Fault;
use crate::url::DatabaseUrl;

/// For how long one address is tried, before the next one is.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(2);
/// For how long a connection may be in the making, whatever the number of addresses.
pub(crate) const CONNECT_PATIENCE: Duration = Duration::from_secs(9);
/// After so long without an answer to what was sent, the network is taken to be cut.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Settings of every session, on the server's side, where the client may be frozen or gone:
/// a transaction that its client left open holds keys, so it is ended soon; a statement ends
/// before its caller has given up for long.
const SESSION: &str = "-c idle_in_transaction_session_timeout=5000 -c statement_timeout=20000 \
                       -c lock_timeout=3000 -c client_connection_check_interval=2000 \
                       -c default_transaction_isolation=read\\ committed \
                       -c synchronous_commit=on -c jit=off -c timezone=UTC";

/// How to connect.
#[derive(Clone)]
pub(crate) struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
}

/// The half of a connection that somebody must drive.
pub(crate) type Wire = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

impl Connector {
    /// Prepares connections to a database.
    ///
    /// # Errors
    /// Where the file of roots cannot be used.
    pub(crate) fn new(url: &DatabaseUrl) -> Result<Self, String> {
        let mut config = url.config();
        config
            .connect_timeout(ADDRESS_PATIENCE)
            .keepalives_idle(SILENCE_MAX)
            .keepalives_interval(Duration::from_secs(3))
            .keepalives_retries(3)
            .tcp_user_timeout(SILENCE_MAX)
            // After a failover the name may lead to both servers: only the one that writes will do.
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        if config.get_application_name().is_none() {
            config.application_name("hooklatch");
        }
        let own = config.get_options().unwrap_or_default();
        let options = format!("{SESSION} {own}");
        config.options(options.trim());
        Ok(Self {
            config,
            tls: MakeRustlsConnect::new(tls(url)?),
        })
    }

    /// What a pool needs.
    pub(crate) fn parts(&self) -> (Config, MakeRustlsConnect) {
        (self.config.clone(), self.tls.clone())
    }

    /// A connection that the caller drives.
    pub(crate) async fn open(&self) -> Result<(Client, Wire), Fault> {
        let connecting = self.config.connect(self.tls.clone());
        match tokio::time::timeout(CONNECT_PATIENCE, connecting).await {
            Ok(connected) => Ok(connected?),
            Err(_) => Err(Fault::lost("it could not be made in time")),
        }
    }

    /// A connection that drives itself.
    pub(crate) async fn connect(&self) -> Result<Client, Fault> {
        let (client, connection) = self.open().await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the database ended");
            }
        });
        Ok(client)
    }
}

fn tls(url: &DatabaseUrl) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match url.roots() {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let unusable = |error: &dyn std::fmt::Display| {
                format!(
                    "the certificates in {} cannot be used: {error}",
                    path.display()
                )
            };
            let pem = fs::read(path).map_err(|error| unusable(&error))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| unusable(&error))?;
                roots.add(certificate).map_err(|error| unusable(&error))?;
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

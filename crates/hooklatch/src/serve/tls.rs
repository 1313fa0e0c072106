//! The certificate that the gateway shows: from two files, which are read again when they change or
//! when SIGHUP says so, because certificates are renewed while the gateway runs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hooklatch_core::limits::CERTIFICATE_BYTES_MAX;
use hooklatch_server::tls::{Tls, TlsError};
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::settings::SettingsError;

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What flags and environment say of it.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct TlsArgs {
    /// A file with the certificate to show, PEM, followed by those that lead to its authority; the
    /// gateway then speaks TLS only. Read again when it changes, and on SIGHUP [default: plain HTTP]
    #[arg(long, value_name = "FILE", env = "HOOKLATCH_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,

    /// A file with the certificate's private key, PEM, without a passphrase
    #[arg(long, value_name = "FILE", env = "HOOKLATCH_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
}

/// Where the certificate and its key lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
}

/// What lies there.
#[derive(PartialEq, Eq)]
struct Pair {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

/// Why there is no certificate to show.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    #[error("{} cannot be read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} has more than {CERTIFICATE_BYTES_MAX} bytes", path.display())]
    TooLarge { path: PathBuf },
    #[error("{} and {} cannot be used", certificate.display(), key.display())]
    Unusable {
        certificate: PathBuf,
        key: PathBuf,
        source: TlsError,
    },
}

/// A certificate with the files that it came from.
pub(crate) struct Shown {
    tls: Arc<Tls>,
    files: TlsFiles,
    /// What was read last, whether or not it could be used.
    read: Pair,
}

impl TlsFiles {
    /// The files, if there are both.
    pub fn of(
        certificate: Option<PathBuf>,
        key: Option<PathBuf>,
    ) -> Result<Option<Self>, SettingsError> {
        let missing = |name, given: &Path, hint| SettingsError::Value {
            name,
            value: given.display().to_string(),
            hint,
        };
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Some(Self { certificate, key })),
            (Some(given), None) => Err(missing(
                "tls_cert",
                &given,
                "it needs its private key: give tls_key as well",
            )),
            (None, Some(given)) => Err(missing(
                "tls_key",
                &given,
                "it needs its certificate: give tls_cert as well",
            )),
            (None, None) => Ok(None),
        }
    }

    async fn read(&self) -> Result<Pair, CertificateError> {
        Ok(Pair {
            certificate: read(&self.certificate).await?.to_vec(),
            key: read(&self.key).await?,
        })
    }

    fn unusable(&self, source: TlsError) -> CertificateError {
        CertificateError::Unusable {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            source,
        }
    }
}

async fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    let unreadable = |source| CertificateError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let mut bytes = Zeroizing::new(Vec::new());
    let mut bounded = file.take(CERTIFICATE_BYTES_MAX as u64 + 1);
    bounded.read_to_end(&mut bytes).await.map_err(unreadable)?;
    if bytes.len() > CERTIFICATE_BYTES_MAX {
        let path = path.to_owned();
        return Err(CertificateError::TooLarge { path });
    }
    Ok(bytes)
}

impl Shown {
    /// Reads the files.
    pub async fn open(files: TlsFiles) -> Result<Self, CertificateError> {
        let read = files.read().await?;
        let tls = Tls::new(&read.certificate, &read.key);
        let tls = tls.map_err(|error| files.unusable(error))?;
        Ok(Self { tls, files, read })
    }

    /// What the server shows.
    pub fn tls(&self) -> Arc<Tls> {
        Arc::clone(&self.tls)
    }

    /// Follows the files until `stop`.
    pub async fn follow(mut self, mut hangups: Hangups, stop: CancellationToken) {
        let mut unreadable = false;
        loop {
            let asked = tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => false,
                () = hangups.next() => true,
                () = stop.cancelled() => return,
            };
            let failed = self.look(asked).await;
            // What cannot be read is said once, what is asked for is always answered.
            if let Err(error) = &failed
                && (asked || !unreadable)
            {
                let error = error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    "the certificate is not replaced; the old one is shown"
                );
            }
            unreadable = failed.is_err();
        }
    }

    async fn look(&mut self, asked: bool) -> Result<(), CertificateError> {
        let new = self.files.read().await?;
        if new == self.read && !asked {
            return Ok(());
        }
        let replaced = self.tls.replace(&new.certificate, &new.key);
        // One of the two files may not be written yet: then the next look finds another pair.
        self.read = new;
        replaced.map_err(|error| self.files.unusable(error))?;
        tracing::info!(certificate = %self.files.certificate.display(), "the certificate was read again");
        Ok(())
    }
}

/// Hears SIGHUP, which from its making on does not end the process.
pub(crate) struct Hangups {
    #[cfg(unix)]
    signal: tokio::signal::unix::Signal,
}

impl Hangups {
    /// Starts to listen.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            signal: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if self.signal.recv().await.is_some() {
            return;
        }
        std::future::pending().await
    }
}

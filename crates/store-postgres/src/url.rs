//! Where the database is and how to get in, from a `postgres://` URL, without ever showing the
//! password.
//!
//! TLS is decided by `sslmode`: `disable`, or `verify-full`, which checks the server's name and
//! chain against the public roots or against `sslrootcert=FILE`; `require` and `verify-ca` are
//! taken as `verify-full`. The modes that fall back to plain text in silence (`prefer`, `allow`)
//! are refused. Without `sslmode`, a server on this machine is spoken to in plain text and any
//! other under `verify-full`.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// A database's address.
#[derive(Clone)]
pub struct DatabaseUrl {
    config: Config,
    roots: Option<PathBuf>,
}

/// Why a text is no address of a database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It does not begin like one.
    #[error("a database URL begins with postgres:// and names a host and a database")]
    Scheme,
    /// It names no host.
    #[error("the database URL names no host: postgres://USER:PASSWORD@HOST:5432/DATABASE")]
    Host,
    /// A password with an `@` in it cuts the URL in the wrong place.
    #[error("write an @ in the user or password of the database URL as %40")]
    At,
    /// `sslmode` is none of ours.
    #[error(
        "sslmode={0} is not offered: use disable, or verify-full (with sslrootcert=FILE for a \
         certificate of your own)"
    )]
    Mode(String),
    /// Something in it is not understood.
    #[error("the database URL is not understood: {0}")]
    Malformed(String),
}

impl DatabaseUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// Where it is none, or asks for what is not offered. The error never quotes the password.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if !["postgres://", "postgresql://"]
            .iter()
            .any(|it| text.starts_with(it))
        {
            return Err(UrlError::Scheme);
        }
        let taken = Parameters::take_out(text);
        let mut config = Config::from_str(&taken.rest).map_err(|error| {
            // The driver's text names the part that it did not understand, never its value.
            UrlError::Malformed(std::error::Error::source(&error).map_or_else(
                || "a part of it is malformed".to_owned(),
                ToString::to_string,
            ))
        })?;
        if config.get_hosts().is_empty() {
            return Err(UrlError::Host);
        }
        // Half a password, which must not be taken for a name and shown as one.
        if config.get_hosts().iter().any(has_at) {
            return Err(UrlError::At);
        }
        config.ssl_mode(ssl_mode(taken.mode.as_deref(), &config)?);
        Ok(Self {
            config,
            roots: taken.roots.map(PathBuf::from),
        })
    }

    pub(crate) fn config(&self) -> Config {
        self.config.clone()
    }

    pub(crate) fn roots(&self) -> Option<&PathBuf> {
        self.roots.as_ref()
    }

    /// The name of the database.
    pub fn database(&self) -> &str {
        let user = self.config.get_user().unwrap_or("postgres");
        self.config.get_dbname().unwrap_or(user)
    }

    /// The same server, another database.
    #[must_use]
    pub fn with_database(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.config.dbname(name);
        other
    }
}

/// What the driver does not know, taken out of the URL's query.
struct Parameters {
    rest: String,
    mode: Option<String>,
    roots: Option<String>,
}

impl Parameters {
    fn take_out(text: &str) -> Self {
        let mut taken = Self {
            rest: text.to_owned(),
            mode: None,
            roots: None,
        };
        let Some((base, query)) = text.split_once('?') else {
            return taken;
        };
        let mut kept = Vec::new();
        for pair in query.split('&') {
            match pair.split_once('=') {
                Some(("sslmode", mode)) => taken.mode = Some(mode.to_owned()),
                Some(("sslrootcert", file)) => taken.roots = Some(file.replace("%2F", "/")),
                Some(_) | None => kept.push(pair),
            }
        }
        taken.rest = base.to_owned();
        if !kept.is_empty() {
            taken.rest = format!("{base}?{}", kept.join("&"));
        }
        taken
    }
}

fn ssl_mode(asked: Option<&str>, config: &Config) -> Result<SslMode, UrlError> {
    match asked {
        Some("disable") => Ok(SslMode::Disable),
        Some("require" | "verify-ca" | "verify-full") => Ok(SslMode::Require),
        Some(other) => Err(UrlError::Mode(other.to_owned())),
        None if config.get_hosts().iter().all(is_here) => Ok(SslMode::Disable),
        None => Ok(SslMode::Require),
    }
}

fn has_at(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => name.contains('@'),
        #[cfg(unix)]
        Host::Unix(path) => path.to_string_lossy().contains('@'),
    }
}

fn is_here(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            let address: Option<IpAddr> = name.parse().ok();
            name == "localhost" || address.is_some_and(|address| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

/// Host, port and database: what may be shown.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        let ports = self.config.get_ports();
        for (index, host) in self.config.get_hosts().iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match host {
                Host::Tcp(name) => f.write_str(name)?,
                #[cfg(unix)]
                Host::Unix(path) => write!(f, "{}", path.display())?,
            }
            if let Some(port) = ports.get(index).or(ports.first()) {
                write!(f, ":{port}")?;
            }
        }
        write!(f, "/{}", self.database())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

impl FromStr for DatabaseUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_never_shown() {
        let url = DatabaseUrl::parse("postgres://me:s3same@db.example:6432/hooks").unwrap();
        assert_eq!(url.to_string(), "postgres://db.example:6432/hooks");
        assert!(!format!("{url:?}").contains("s3same"));
        let wrong = [
            "postgres://me:s3same@db.example/x?sslmode=prefer",
            "postgres://me:s3same@db.example/x?nonsense=1",
            "postgres://me:s3same@db.example:port/x",
        ];
        for text in wrong {
            let error = DatabaseUrl::parse(text).unwrap_err();
            assert!(!error.to_string().contains("s3same"), "{error}");
        }
    }

    #[test]
    fn a_password_that_cuts_the_url_in_the_wrong_place_is_refused_and_not_shown() {
        let error = DatabaseUrl::parse("postgres://me:p@ssw0rd@db.example/x").unwrap_err();
        assert_eq!(error, UrlError::At);
        assert!(!error.to_string().contains("ssw0rd"));
    }

    #[test]
    fn only_a_server_on_this_machine_is_spoken_to_in_plain_text_by_default() {
        let mode = |text: &str| DatabaseUrl::parse(text).unwrap().config.get_ssl_mode();
        assert_eq!(mode("postgres://u@127.0.0.1/x"), SslMode::Disable);
        assert_eq!(mode("postgres://u@localhost/x"), SslMode::Disable);
        assert_eq!(mode("postgres://u@10.0.0.7/x"), SslMode::Require);
        assert_eq!(mode("postgres://u@db/x?sslmode=disable"), SslMode::Disable);
        let own = "postgres://u@db/x?sslmode=verify-full&sslrootcert=/etc/ca.pem&connect_timeout=3";
        assert_eq!(mode(own), SslMode::Require);
        let roots = DatabaseUrl::parse(own).unwrap().roots;
        assert_eq!(roots, Some(PathBuf::from("/etc/ca.pem")));
    }

    #[test]
    fn what_is_no_database_url_is_refused_with_what_to_write() {
        assert_eq!(
            DatabaseUrl::parse("mysql://x/y").unwrap_err(),
            UrlError::Scheme
        );
        assert_eq!(
            DatabaseUrl::parse("postgres:///y").unwrap_err(),
            UrlError::Host
        );
        let mode = DatabaseUrl::parse("postgres://h/y?sslmode=allow").unwrap_err();
        assert_eq!(mode, UrlError::Mode("allow".to_owned()));
    }
}

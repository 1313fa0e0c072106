//! Where the database is, in the three forms that are needed: a URL for gateways, a configuration for
//! our own driver, variables for the programs that come with PostgreSQL. None shows the password to
//! whoever lists processes.

use std::str::FromStr;

use tokio_postgres::Config;
use tokio_postgres::config::Host;
use url::Url;

use crate::Failure;

/// The address of a database.
#[derive(Clone)]
pub(crate) struct Address {
    url: Url,
    config: Config,
}

impl Address {
    /// Reads a URL. An error does not repeat it: it may hold a password.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let url = Url::parse(text).map_err(|_| "the database URL is none")?;
        if !matches!(url.scheme(), "postgres" | "postgresql") || !url.has_host() {
            return Err("a database URL begins with postgres:// and names a host".into());
        }
        let config = Config::from_str(text)
            .map_err(|_| "the database URL has a part that is not understood")?;
        Ok(Self { url, config })
    }

    /// The same server, another database.
    pub(crate) fn with_database(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.url.set_path(name);
        other.config.dbname(name);
        other
    }

    /// As gateways take it.
    pub(crate) fn url(&self) -> &str {
        self.url.as_str()
    }

    /// As the driver takes it.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// As PostgreSQL's own programs take it, in their environment.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        let ports = self.config.get_ports().iter().map(u16::to_string);
        let password = self.config.get_password().unwrap_or_default();
        let variables = [
            ("PGHOST", hosts.collect::<Vec<_>>().join(",")),
            ("PGPORT", ports.collect::<Vec<_>>().join(",")),
            (
                "PGUSER",
                self.config.get_user().unwrap_or_default().to_owned(),
            ),
            ("PGPASSWORD", String::from_utf8_lossy(password).into_owned()),
            (
                "PGDATABASE",
                self.config.get_dbname().unwrap_or_default().to_owned(),
            ),
        ];
        let given = variables.into_iter().filter(|(_, value)| !value.is_empty());
        given.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_database_is_on_the_same_server() {
        let address = Address::parse("postgres://me:s3same@127.0.0.1:5433/postgres").unwrap();
        let other = address.with_database("bench_1");
        assert_eq!(other.url(), "postgres://me:s3same@127.0.0.1:5433/bench_1");
        assert_eq!(other.config().get_dbname(), Some("bench_1"));
        let expected = [
            ("PGHOST", "127.0.0.1"),
            ("PGPORT", "5433"),
            ("PGUSER", "me"),
            ("PGPASSWORD", "s3same"),
            ("PGDATABASE", "bench_1"),
        ];
        assert_eq!(other.variables(), expected.map(|(n, v)| (n, v.to_owned())));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for text in [
            "mysql://me:s3same@h/d",
            "postgres://me:s3same@h:x/d",
            "postgres:///d",
        ] {
            let error = Address::parse(text).err().unwrap().to_string();
            assert!(!error.contains("s3same"), "{error}");
        }
    }
}

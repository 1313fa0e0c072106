//! Where a request goes, parsed once per endpoint so that an attempt parses nothing.

use std::net::IpAddr;
use std::sync::Arc;

use hooklatch_core::address::{UrlRefusal, parse_url};
use http::{HeaderValue, Uri};
use rustls::pki_types::ServerName;
use url::{Position, Url};

use crate::identity::Identity;

/// An endpoint's URL, ready for the wire. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Target {
    pub(crate) origin: Arc<Origin>,
    /// Path and query, as they stand in the request line.
    pub(crate) path: Uri,
}

/// What a connection is made to, and how it proves who it is.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) key: OriginKey,
    pub(crate) host_header: HeaderValue,
    /// `None` speaks plain HTTP.
    pub(crate) tls_name: Option<ServerName<'static>>,
    /// Who we are to it, where it wants to know.
    pub(crate) identity: Option<Identity>,
}

/// What two requests must have in common to share a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct OriginKey {
    pub(crate) tls: bool,
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// The number of our identity; 0 where we have none.
    pub(crate) identity: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    Name(Arc<str>),
    Ip(IpAddr),
}

impl Target {
    /// Reads an endpoint's URL. Where it leads is judged when it is saved
    /// ([`check_url`](hooklatch_core::address::check_url)) and again at every connect.
    pub fn parse(url: &str) -> Result<Self, UrlRefusal> {
        Self::from_url(&parse_url(url)?)
    }

    /// The same, of a URL that was parsed before.
    pub fn from_url(url: &Url) -> Result<Self, UrlRefusal> {
        let tls = url.scheme() == "https";
        let host = match url.host().ok_or(UrlRefusal::NoHost)? {
            url::Host::Domain(name) => Host::Name(name.into()),
            url::Host::Ipv4(ip) => Host::Ip(ip.into()),
            url::Host::Ipv6(ip) => Host::Ip(IpAddr::V6(ip).to_canonical()),
        };
        let port = url.port_or_known_default().ok_or(UrlRefusal::Scheme)?;
        let host_header = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort])
            .map_err(|_| UrlRefusal::Unsendable)?;
        let tls_name = match tls {
            true => Some(tls_name(&host)?),
            false => None,
        };
        Ok(Self {
            origin: Arc::new(Origin {
                key: OriginKey {
                    tls,
                    host,
                    port,
                    identity: 0,
                },
                host_header,
                tls_name,
                identity: None,
            }),
            path: path_uri(&url[Position::BeforePath..Position::AfterQuery])?,
        })
    }

    /// The same endpoint, to which we show who we are. It shares no connection with any other.
    #[must_use]
    pub fn with_identity(&self, identity: Identity) -> Self {
        let origin = &*self.origin;
        let key = OriginKey {
            identity: identity.number(),
            ..origin.key.clone()
        };
        Self {
            origin: Arc::new(Origin {
                key,
                host_header: origin.host_header.clone(),
                tls_name: origin.tls_name.clone(),
                identity: Some(identity),
            }),
            path: self.path.clone(),
        }
    }

    /// The same endpoint under another path and query, which must start with `/`.
    pub fn with_path_and_query(&self, path_and_query: &str) -> Result<Self, UrlRefusal> {
        if !path_and_query.starts_with('/') {
            return Err(UrlRefusal::Unsendable);
        }
        Ok(Self {
            origin: Arc::clone(&self.origin),
            path: path_uri(path_and_query)?,
        })
    }
}

fn tls_name(host: &Host) -> Result<ServerName<'static>, UrlRefusal> {
    match host {
        Host::Ip(ip) => Ok(ServerName::from(*ip)),
        // Certificates name hosts without the dot that ends an absolute name.
        Host::Name(name) => ServerName::try_from(name.trim_end_matches('.'))
            .map(|name| name.to_owned())
            .map_err(|_| UrlRefusal::Unsendable),
    }
}

fn path_uri(path_and_query: &str) -> Result<Uri, UrlRefusal> {
    path_and_query.parse().map_err(|_| UrlRefusal::Unsendable)
}

impl Host {
    /// For texts to people.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Name(name) => name.to_string(),
            Self::Ip(ip) => ip.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_all_that_the_wire_needs() {
        let target = Target::parse("https://Example.com:8443/a%20b?c={d}|e").unwrap();
        assert_eq!(target.origin.host_header, "example.com:8443");
        assert_eq!(target.path, "/a%20b?c={d}|e");
        assert_eq!(target.origin.key.port, 8443);
        assert_eq!(
            target.origin.tls_name,
            Some(ServerName::try_from("example.com").unwrap())
        );
    }

    #[test]
    fn the_default_port_is_not_sent() {
        let target = Target::parse("http://example.com:80").unwrap();
        assert_eq!(target.origin.host_header, "example.com");
        assert_eq!(target.path, "/");
        assert_eq!(target.origin.tls_name, None);
    }

    #[test]
    fn a_dot_at_the_end_is_no_part_of_the_certificates_name() {
        let target = Target::parse("https://example.com./").unwrap();
        assert_eq!(
            target.origin.tls_name,
            Some(ServerName::try_from("example.com").unwrap())
        );
    }

    #[test]
    fn a_mapped_address_is_the_address_inside() {
        let mapped = Target::parse("http://[::ffff:127.0.0.1]:9/").unwrap();
        let plain = Target::parse("http://127.0.0.1:9/").unwrap();
        assert_eq!(mapped.origin.key, plain.origin.key);
    }

    #[test]
    fn a_forwarded_path_keeps_the_origin_and_cannot_leave_it() {
        let target = Target::parse("http://example.com/hooks").unwrap();
        let other = target.with_path_and_query("/hooks/rest?a=1").unwrap();
        assert_eq!(other.path, "/hooks/rest?a=1");
        assert!(Arc::ptr_eq(&other.origin, &target.origin));
        for path in ["http://evil.example/", "@evil.example/", "", "/a b"] {
            assert_eq!(
                target.with_path_and_query(path).unwrap_err(),
                UrlRefusal::Unsendable,
                "{path}"
            );
        }
        // An origin-form request line has no authority, so this stays a path.
        let double = target.with_path_and_query("//evil.example/").unwrap();
        assert_eq!(double.path.host(), None);
    }
}

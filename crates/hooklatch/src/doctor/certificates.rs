//! The certificates of endpoints: whether we accept them, and for how long.
//!
//! The hosts are those of endpoints, which customers may have named: they are connected to under
//! the same rules as deliveries.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hooklatch_core::address::{Reach, parse_url, refuse_ip, refuse_name};
use hooklatch_core::time::Timestamp;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::finding::Finding;

/// Hosts that are looked at.
const HOSTS_MAX: usize = 50;
/// Hosts that are looked at together.
const TOGETHER: usize = 8;
/// How long one host may take.
const TIMEOUT: Duration = Duration::from_secs(5);
const DAY_SECONDS: i64 = 86_400;
/// Certificates are renewed a month before they end; one that was not will not be.
const WARN_DAYS: i64 = 14;

type Host = (String, u16);

/// Looks at the certificate of each host of these endpoints, which should come from one of these
/// authorities.
pub(super) async fn of_endpoints(
    endpoints: &[Value],
    reach: Reach,
    authorities: RootCertStore,
    now: Timestamp,
) -> Vec<Finding> {
    let hosts = hosts(endpoints);
    let many = hosts.len();
    let connector = connector(authorities);
    let mut waiting = hosts.into_iter().take(HOSTS_MAX);
    let mut looking = JoinSet::new();
    let mut ends = Vec::new();
    loop {
        while looking.len() < TOGETHER
            && let Some((host, name)) = waiting.next()
        {
            let connector = connector.clone();
            looking.spawn(async move {
                let end = timeout(TIMEOUT, end_of(&host, reach, &connector)).await;
                let end = end.unwrap_or_else(|_elapsed| Err("no answer in 5 s".to_owned()));
                (host, name, end)
            });
        }
        match looking.join_next().await {
            Some(Ok(looked)) => ends.push(looked),
            // A look that panicked has told so itself.
            Some(Err(_)) => {}
            None => break,
        }
    }
    ends.sort_by(|a, b| a.0.cmp(&b.0));
    let mut findings: Vec<Finding> = ends
        .iter()
        .filter_map(|(host, name, end)| judge(host, name, end, now))
        .collect();
    if findings.is_empty() && many > 0 {
        let checked = ends.len();
        findings.push(Finding::ok(
            "certificates",
            format!("those of {checked} hosts are good for {WARN_DAYS} days and more"),
        ));
    }
    if many > HOSTS_MAX {
        let found = format!("{} more hosts were not looked at", many - HOSTS_MAX);
        findings.push(Finding::skip("certificates", found));
    }
    findings
}

/// Each host that is spoken to over TLS, with the name of one of its endpoints.
fn hosts(endpoints: &[Value]) -> BTreeMap<Host, String> {
    let hosts = endpoints.iter().filter_map(|endpoint| {
        let url = parse_url(endpoint["url"].as_str()?).ok()?;
        let host = url.host_str().filter(|_| url.scheme() == "https")?;
        let host = host.trim_matches(['[', ']']).to_owned();
        let name = endpoint["name"].as_str().unwrap_or("-").to_owned();
        Some(((host, url.port_or_known_default()?), name))
    });
    hosts.collect()
}

fn judge(
    (host, port): &Host,
    name: &str,
    end: &Result<Timestamp, String>,
    now: Timestamp,
) -> Option<Finding> {
    let place = format!("{host}:{port} (endpoint {name})");
    let end = match end {
        Ok(end) => *end,
        Err(why) => {
            let found = format!("{place}: {why}");
            let advice = "deliveries to it fail for the same reason: tell whoever runs it";
            return Some(Finding::fail("certificate", found, advice));
        }
    };
    let days = (end.as_seconds() - now.as_seconds()) / DAY_SECONDS;
    if days >= WARN_DAYS {
        return None;
    }
    let found = format!("{place}: its certificate ends in {days} days, on {end}");
    let advice = "tell whoever runs it to renew the certificate";
    Some(Finding::warn("certificate", found, advice))
}

fn connector(authorities: RootCertStore) -> TlsConnector {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows the default versions")
        .with_root_certificates(authorities)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// When a host's certificate ends, if it is one that we accept.
async fn end_of(
    (host, port): &Host,
    reach: Reach,
    connector: &TlsConnector,
) -> Result<Timestamp, String> {
    if let Some(refusal) = refuse_name(host, reach) {
        return Err(refusal.to_string());
    }
    let addresses = tokio::net::lookup_host((host.as_str(), *port)).await;
    let addresses: Vec<SocketAddr> = addresses.map_err(|it| it.to_string())?.collect();
    let tcp = connect(&addresses, reach).await?;
    let name = ServerName::try_from(host.clone()).map_err(|error| error.to_string())?;
    let tls = connector.connect(name, tcp).await;
    let tls = tls.map_err(|error| format!("TLS is refused: {error}"))?;
    let certificates = tls.get_ref().1.peer_certificates();
    let own = certificates.and_then(|all| all.first());
    own.and_then(end_of_certificate)
        .ok_or_else(|| "its certificate cannot be read".to_owned())
}

async fn connect(addresses: &[SocketAddr], reach: Reach) -> Result<TcpStream, String> {
    let mut why = "its name has no address".to_owned();
    for address in addresses {
        // The address that was judged is the one that is dialled.
        if let Some(refusal) = refuse_ip(address.ip(), reach) {
            return Err(refusal.to_string());
        }
        match TcpStream::connect(address).await {
            Ok(tcp) => return Ok(tcp),
            Err(error) => why = no_connection(&error),
        }
    }
    Err(why)
}

fn no_connection(error: &io::Error) -> String {
    format!("no connection: {error}")
}

fn end_of_certificate(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let read = Certificate::from_der(certificate).ok()?;
    let end = read.tbs_certificate.validity.not_after.to_unix_duration();
    i64::try_from(end.as_millis())
        .ok()
        .map(Timestamp::from_millis)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::finding::State;
    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_read_and_judged() {
        let mut wanted = rcgen::CertificateParams::new(vec!["shop.example".to_owned()]).unwrap();
        wanted.not_after = rcgen::date_time_ymd(2030, 1, 31);
        let key = rcgen::KeyPair::generate().unwrap();
        let made = wanted.self_signed(&key).unwrap();
        let end = end_of_certificate(made.der()).unwrap();
        assert_eq!(end, "2030-01-31T00:00:00Z".parse().unwrap());
        let host = ("shop.example".to_owned(), 443);
        let judged = |now: &str| judge(&host, "shop", &Ok(end), now.parse().unwrap());
        assert_eq!(judged("2030-01-01T00:00:00Z"), None);
        let soon = judged("2030-01-20T00:00:00Z").unwrap();
        assert_eq!(soon.state, State::Warn);
        assert!(soon.found.contains("ends in 11 days"), "{}", soon.found);
        assert!(end_of_certificate(&CertificateDer::from(vec![1, 2, 3])).is_none());
    }

    #[test]
    fn each_host_is_looked_at_once_and_only_where_there_is_tls() {
        let endpoints = [
            json!({"name": "a", "url": "https://shop.example.com/a"}),
            json!({"name": "b", "url": "https://shop.example.com/b"}),
            json!({"name": "c", "url": "https://[2001:db8::1]:8443/"}),
            json!({"name": "d", "url": "http://plain.example.com/"}),
            json!({"name": "e", "url": "no url"}),
        ];
        let hosts: Vec<Host> = hosts(&endpoints).into_keys().collect();
        let expected = [
            ("2001:db8::1".to_owned(), 8443),
            ("shop.example.com".to_owned(), 443),
        ];
        assert_eq!(hosts, expected);
    }

    #[tokio::test]
    async fn an_address_that_deliveries_do_not_reach_is_not_connected_to() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = format!("https://127.0.0.1:{port}/");
        let endpoints = [json!({"name": "inside", "url": url})];
        let now = Timestamp::from_millis(0);
        let found = of_endpoints(&endpoints, Reach::PublicOnly, RootCertStore::empty(), now).await;
        assert_eq!((found.len(), found[0].state), (1, State::Fail));
        assert!(
            found[0].found.contains("127.0.0.1 is"),
            "{}",
            found[0].found
        );
        let never = timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(never.is_err(), "somebody connected");
    }
}

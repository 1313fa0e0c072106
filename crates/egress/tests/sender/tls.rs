//! Who answers must be who the URL names.

use std::sync::Arc;

use crate::support::{Names, OK, Peer, Server, post, settings};
use hooklatch_core::address::Reach;
use hooklatch_egress::{SendError, Sender};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

pub type Authority = CertifiedIssuer<'static, KeyPair>;

pub fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Authority::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

pub fn certificate(name: &str, authority: &Authority) -> (CertificateDer<'static>, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    (certificate.der().clone(), key)
}

async fn serving((certificate, key): (CertificateDer<'static>, KeyPair)) -> Server {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Server::start(move |peer| serve(acceptor.clone(), peer)).await
}

async fn serve(acceptor: TlsAcceptor, peer: Peer) {
    let mut handshake = None;
    let peer = peer.over(|tcp| handshake = Some(acceptor.accept(tcp)));
    let Ok(tls) = handshake.unwrap().await else {
        return;
    };
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let mut peer = peer.over(|()| tls);
    while peer.request().await.is_some() {
        peer.write(OK).await;
    }
}

/// A sender that trusts `authority` and finds every name at `server`.
pub fn trusting(authority: &Authority, server: &Server) -> Sender {
    let mut settings = settings(Reach::LoopbackToo);
    settings
        .trust_also(authority.as_ref().der().clone())
        .unwrap();
    Sender::new(settings, Names::answering([vec![server.address]]))
}

fn tls_failure(result: Result<hooklatch_egress::Answer, SendError>) -> String {
    let error = result.unwrap_err();
    assert!(matches!(error, SendError::Tls { .. }), "{error:?}");
    assert!(!error.request_written());
    error.to_string()
}

#[tokio::test]
async fn a_trusted_certificate_of_the_name_is_accepted_and_its_connection_reused() {
    let authority = authority();
    let server = serving(certificate("hooks.example", &authority)).await;
    let sender = trusting(&authority, &server);
    let fresh = sender.send(post("https://hooks.example/")).await;
    assert_eq!(fresh.result.unwrap().status, 200);
    assert!(fresh.timing.tls.is_some());
    let reused = sender.send(post("https://hooks.example/")).await;
    assert_eq!(reused.result.unwrap().body, "ok");
    assert!(reused.reused && reused.timing.tls.is_none());
    assert_eq!(server.accepted(), 1);

    let absolute = sender.send(post("https://hooks.example./")).await;
    assert_eq!(absolute.result.unwrap().status, 200);
}

#[tokio::test]
async fn a_certificate_of_another_name_is_refused() {
    let authority = authority();
    let server = serving(certificate("other.example", &authority)).await;
    let sender = trusting(&authority, &server);
    let attempted = sender.send(post("https://hooks.example/")).await;
    let text = tls_failure(attempted.result);
    assert!(
        text.contains("hooks.example") && text.contains("certificate"),
        "{text}"
    );
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_certificate_of_a_stranger_is_refused() {
    let server = serving(certificate("hooks.example", &authority())).await;
    let sender = trusting(&authority(), &server);
    let attempted = sender.send(post("https://hooks.example/")).await;
    assert!(tls_failure(attempted.result).contains("certificate"));
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_certificate_that_signs_itself_is_refused() {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["hooks.example".to_owned()]).unwrap();
    let itself = params.self_signed(&key).unwrap().der().clone();
    let server = serving((itself, key)).await;
    let sender = trusting(&authority(), &server);
    let attempted = sender.send(post("https://hooks.example/")).await;
    assert!(tls_failure(attempted.result).contains("certificate"));
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn an_address_needs_a_certificate_of_the_address() {
    let authority = authority();
    let by_address = serving(certificate("127.0.0.1", &authority)).await;
    let sender = trusting(&authority, &by_address);
    let url = format!("https://{}/", by_address.address);
    assert_eq!(sender.send(post(&url)).await.result.unwrap().status, 200);

    let by_name = serving(certificate("hooks.example", &authority)).await;
    let url = format!("https://{}/", by_name.address);
    tls_failure(sender.send(post(&url)).await.result);
}

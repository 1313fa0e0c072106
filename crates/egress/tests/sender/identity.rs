//! Endpoints that want a certificate of us: shown to them alone, over connections of their own.

use std::sync::Arc;

use crate::support::{OK, Peer, Server, post};
use crate::tls::{Authority, authority, certificate, trusting};
use hooklatch_egress::{Call, Identity, IdentityError, SendError};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

const URL: &str = "https://hooks.example/";

/// A certificate for us, and its key, both in PEM.
fn ours(name: &str, authority: &Authority) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn identity(name: &str, authority: &Authority) -> Identity {
    let (certificate, key) = ours(name, authority);
    Identity::from_pem(&certificate, &key).unwrap()
}

/// A server that lets in only who shows a certificate of `trusted`, and answers with its digest.
async fn wanting(trusted: &Authority, own: &Authority) -> Server {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(trusted.as_ref().der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&ring));
    let (certificate, key) = certificate("hooks.example", own);
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Server::start(move |peer| serve(acceptor.clone(), peer)).await
}

async fn serve(acceptor: TlsAcceptor, peer: Peer) {
    let mut handshake = None;
    let peer = peer.over(|tcp| handshake = Some(acceptor.accept(tcp)));
    let Ok(tls) = handshake.unwrap().await else {
        return;
    };
    let shown = tls.get_ref().1.peer_certificates().map(<[_]>::len);
    assert_eq!(shown, Some(1));
    let mut peer = peer.over(|()| tls);
    while peer.request().await.is_some() {
        peer.write(OK).await;
    }
}

fn showing(identity: &Identity) -> Call {
    let call = post(URL);
    Call {
        target: call.target.with_identity(identity.clone()),
        ..call
    }
}

#[tokio::test]
async fn a_certificate_lets_us_in_and_its_connection_is_used_again() {
    let (clients, own) = (authority(), authority());
    let server = wanting(&clients, &own).await;
    let sender = trusting(&own, &server);
    let us = identity("us", &clients);
    assert_eq!(sender.send(showing(&us)).await.result.unwrap().status, 200);
    let again = sender.send(showing(&us)).await;
    assert!(again.reused);
    assert_eq!(server.accepted(), 1);
    let target = post(URL).target.with_identity(us);
    let other_path = target.with_path_and_query("/other").unwrap();
    let call = Call {
        target: other_path,
        ..post(URL)
    };
    assert!(sender.send(call).await.reused);
}

#[tokio::test]
async fn without_one_or_with_a_strangers_we_are_not_let_in() {
    let (clients, own) = (authority(), authority());
    let server = wanting(&clients, &own).await;
    let sender = trusting(&own, &server);
    let stranger = identity("us", &authority());
    for call in [post(URL), showing(&stranger)] {
        // In TLS 1.3 the refusal may come after our side of the handshake has ended.
        let error = sender.send(call).await.result.unwrap_err();
        assert!(
            matches!(error, SendError::Tls { .. } | SendError::Broken { .. }),
            "{error:?}"
        );
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn no_other_endpoint_shares_the_connection() {
    let (clients, own) = (authority(), authority());
    let server = wanting(&clients, &own).await;
    let sender = trusting(&own, &server);
    let (one, other) = (identity("one", &clients), identity("other", &clients));
    for us in [&one, &other, &one, &other] {
        assert_eq!(sender.send(showing(us)).await.result.unwrap().status, 200);
    }
    assert_eq!(server.accepted(), 2, "each has one of its own");
    // Who shows nothing gets no connection that was opened with a certificate.
    assert!(sender.send(post(URL)).await.result.is_err());
    // The same certificate at another endpoint is another identity.
    let (certificate, key) = ours("same", &clients);
    let twins = [(); 2].map(|()| Identity::from_pem(&certificate, &key).unwrap());
    for us in &twins {
        assert!(!sender.send(showing(us)).await.reused);
    }
}

#[test]
fn what_is_no_pair_of_certificate_and_key_is_refused() {
    let authority = authority();
    let (certificate, key) = ours("us", &authority);
    let (_, other_key) = ours("us", &authority);
    for (certificate, key, expected) in [
        ("", key.as_str(), IdentityError::Certificate),
        ("nonsense", &key, IdentityError::Certificate),
        (&certificate.repeat(11), &key, IdentityError::Certificate),
        (&certificate, "", IdentityError::Key),
        (&certificate, &certificate, IdentityError::Key),
        (&certificate, &other_key, IdentityError::NoPair),
    ] {
        assert_eq!(Identity::from_pem(certificate, key).unwrap_err(), expected);
    }
    let shown = format!("{:?}", Identity::from_pem(&certificate, &key).unwrap());
    assert!(
        shown.starts_with("Identity(") && shown.len() < 32,
        "{shown}"
    );
}

//! Who answers a claim over TLS must be who the address names.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use hooklatch_receiver::claim::{Claim, Claimed, Intent, Metadata};
use hooklatch_receiver::key::{Fingerprint, Scope, ScopeKey};
use hooklatch_receiver::remote::RemoteStore;
use hooklatch_receiver::store::{Store, StoreError};
use hooklatch_receiver::token;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Authority::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn acceptor(name: &str, authority: &Authority) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A gateway as far as one claim goes: whatever is asked, it is dead.
async fn gateway(name: &str, authority: &Authority) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "https://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    let acceptor = acceptor(name, authority);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(serve(acceptor.clone(), tcp));
        }
    });
    url
}

async fn serve(acceptor: TlsAcceptor, tcp: TcpStream) {
    // A caller that does not trust us hangs up.
    let Ok(mut tls) = acceptor.accept(tcp).await else {
        return;
    };
    let mut asked = Vec::new();
    while !asked.ends_with(b"}}") && tls.read_buf(&mut asked).await.is_ok_and(|read| read > 0) {}
    let body = r#"{"outcome":"dead","id":"clm_1","error":"no such account"}"#;
    let length = body.len();
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
    tls.write_all(answer.as_bytes()).await.unwrap();
    tls.flush().await.unwrap();
}

async fn claimed(store: &RemoteStore) -> Result<Claimed, StoreError> {
    let claim = Claim {
        key: ScopeKey::derive(&Scope::default(), &["evt_1"]).unwrap(),
        fingerprint: Fingerprint::of(b"{}"),
        token: token::random(),
        lease: Duration::from_secs(60),
        attempts_max: 8,
        retention: Duration::from_secs(3_600),
        intent: Intent::Delivery,
        metadata: Metadata::default(),
    };
    store.claim(&claim).await
}

fn store(url: &str) -> RemoteStore {
    let key = "hl_0123456789abcdef0123456789abcdef";
    RemoteStore::new(url, key, "shop").unwrap()
}

/// The innermost reason.
fn reason(error: &StoreError) -> String {
    let mut error: &dyn std::error::Error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[tokio::test]
async fn a_gateway_with_a_certificate_of_a_houses_own_is_reached_where_its_authority_is_trusted() {
    let authority = authority();
    let url = gateway("localhost", &authority).await;
    let trusting = store(&url).trust_also(&authority.pem()).unwrap();
    let dead = Claimed::Dead {
        error: "no such account".to_owned(),
    };
    assert_eq!(claimed(&trusting).await.unwrap(), dead);
    let refused = claimed(&store(&url)).await.unwrap_err();
    assert!(reason(&refused).contains("UnknownIssuer"), "{refused:?}");
}

#[tokio::test]
async fn a_certificate_of_another_name_is_refused() {
    let authority = authority();
    let url = gateway("elsewhere.example", &authority).await;
    let trusting = store(&url).trust_also(&authority.pem()).unwrap();
    let refused = claimed(&trusting).await.unwrap_err();
    assert!(
        reason(&refused).contains("not valid for name"),
        "{refused:?}"
    );
}

//! Endpoints inside a house: in networks that the operator allows, with certificates that come from
//! its own authority, and let in only who shows one from there.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::support::api::text;
use crate::support::gateway::serve;
use crate::support::{Api, Backend, Data, Gateway, Receiver, eventually};

/// The house: its authority, and an endpoint that notes by which certificate each request came.
struct House {
    authority: CertifiedIssuer<'static, KeyPair>,
    url: String,
    shown: mpsc::UnboundedReceiver<CertificateDer<'static>>,
}

impl House {
    async fn open() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "https://localhost:{}/",
            listener.local_addr().unwrap().port()
        );
        let (note, shown) = mpsc::unbounded_channel();
        let acceptor = acceptor(&authority);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, note) = (acceptor.clone(), note.clone());
                tokio::spawn(async move {
                    let Ok(tls) = acceptor.accept(tcp).await else {
                        return;
                    };
                    let chain = tls.get_ref().1.peer_certificates().unwrap();
                    let client = chain[0].clone().into_owned();
                    let service = service_fn(|_request| {
                        drop(note.send(client.clone()));
                        async { Ok::<_, hyper::Error>(http::Response::new(Empty::<Bytes>::new())) }
                    });
                    let io = TokioIo::new(tls);
                    drop(http1::Builder::new().serve_connection(io, service).await);
                });
            }
        });
        Self {
            authority,
            url,
            shown,
        }
    }

    /// A certificate of the house, and its key.
    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        issue(&self.authority, name)
    }

    fn write_authority(&self, data: &Data) -> PathBuf {
        let path = data.path().join("house.pem");
        std::fs::write(&path, self.authority.as_ref().pem()).unwrap();
        path
    }
}

fn issue(
    authority: &CertifiedIssuer<'static, KeyPair>,
    name: &str,
) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (params.signed_by(&key, authority).unwrap(), key)
}

/// Takes connections from who shows a certificate of the authority.
fn acceptor(authority: &CertifiedIssuer<'static, KeyPair>) -> TlsAcceptor {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.as_ref().der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), ring.clone());
    let (certificate, key) = issue(authority, "localhost");
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Sends one message to an endpoint, and answers its only attempt once that has ended.
async fn attempted(api: &Api, name: &str, url: &str, mut settings: Value) -> Value {
    settings["retry"] = json!({"max_attempts": 1});
    let endpoint = api.endpoint(name, url, settings).await;
    let sent = json!({"endpoint_id": endpoint.id, "payload": {}});
    let sent = api.post("/v1/webhooks/send", &sent).await.json();
    let message = format!("/v1/messages/{}", text(&sent, "id"));
    eventually(&format!("the message to {name} has ended"), || async {
        let message = api.read(&message).await;
        let delivery = &message["deliveries"][0];
        let ended = delivery["status"] == "delivered" || delivery["status"] == "failed";
        let attempts = format!("/v1/deliveries/{}/attempts", delivery["id"].as_str()?);
        let attempts = api.list(&attempts).await;
        ended.then(|| attempts[0].clone())
    })
    .await
}

#[tokio::test]
async fn an_endpoint_of_the_house_is_trusted_and_lets_in_who_shows_a_certificate() {
    let mut house = House::open().await;
    let data = Data::new(Backend::Sqlite).await;
    let mut command = serve(&data);
    command.arg("--dev").arg("--endpoint-ca");
    command.arg(house.write_authority(&data));
    let gateway = Gateway::start_with(command).await;
    let api = gateway.api();

    let (certificate, key) = house.issue("gateway");
    let auth = json!({
        "type": "mtls", "certificate": certificate.pem(), "key": key.serialize_pem(),
    });
    let attempt = attempted(&api, "known", &house.url, json!({"auth": auth})).await;
    assert_eq!(attempt["outcome"], "delivered", "{attempt}");
    assert_eq!(house.shown.recv().await.unwrap(), *certificate.der());

    let attempt = attempted(&api, "stranger", &house.url, json!({})).await;
    assert_ne!(attempt["outcome"], "delivered", "{attempt}");
    assert!(house.shown.try_recv().is_err(), "nobody else came in");
}

#[tokio::test]
async fn without_the_houses_authority_its_endpoints_are_strangers() {
    let mut house = House::open().await;
    let data = Data::new(Backend::Sqlite).await;
    let mut command = serve(&data);
    command.arg("--dev");
    let gateway = Gateway::start_with(command).await;
    let attempt = attempted(&gateway.api(), "stranger", &house.url, json!({})).await;
    assert_eq!(attempt["outcome"], "failed", "{attempt}");
    let error = attempt["error"].to_string();
    assert!(error.contains("certificate"), "{error}");
    assert!(house.shown.try_recv().is_err());
}

#[tokio::test]
async fn a_network_that_the_operator_allows_has_endpoints_and_no_other_has() {
    let receiver = Receiver::obliging().await;
    let data = Data::new(Backend::Sqlite).await;
    let mut command = serve(&data);
    command.args(["--allow-network", "127.0.0.0/8,10.1.0.0/16"]);
    let gateway = Gateway::start_with(command).await;
    let api = gateway.api();
    let attempt = attempted(&api, "near", &receiver.url("/in"), json!({})).await;
    assert_eq!(attempt["outcome"], "delivered", "{attempt}");
    for (url, status) in [
        ("http://10.1.2.3/", 201),
        ("http://orders.shop.svc.cluster.local/", 201),
        ("http://10.2.0.1/", 422),
        ("http://169.254.169.254/", 422),
        ("http://metadata.google.internal/", 422),
    ] {
        let answer = api
            .post("/v1/endpoints", &json!({"name": url, "url": url}))
            .await;
        assert_eq!(answer.status, status, "{url}: {}", answer.text());
    }
    assert!(
        gateway
            .said()
            .contains("endpoints in 127.0.0.0/8, 10.1.0.0/16")
    );

    let elsewhere = Data::new(Backend::Sqlite).await;
    let mut command = serve(&elsewhere);
    let output = command.args(["--allow-network", "10.1.2.3/16"]).output();
    let said = String::from_utf8_lossy(&output.await.unwrap().stderr).into_owned();
    assert!(said.contains("write 10.1.0.0/16"), "{said}");
}

#[tokio::test]
async fn a_file_without_an_authority_stops_the_start() {
    let data = Data::new(Backend::Sqlite).await;
    let file = data.path().join("house.pem");
    std::fs::write(&file, "no certificate").unwrap();
    let mut command = serve(&data);
    let output = command.arg("--endpoint-ca").arg(&file).output();
    let output = output.await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("house.pem cannot be used"), "{said}");
}

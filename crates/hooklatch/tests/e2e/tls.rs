//! TLS on the gateway's own port, with an authority of the tests' own: who is let in, what is
//! refused, and how a certificate is renewed while the gateway runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::gateway::{API_KEY, serve};
use crate::support::raw::Raw;
use crate::support::{Answer, Backend, DEADLINE, Data, Gateway, eventually};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Authority::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A gateway that shows a certificate, and who trusts it.
struct World {
    gateway: Gateway,
    authority: Authority,
    data: Data,
}

/// The two files.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn in_directory(directory: &Path) -> Self {
        Self {
            certificate: directory.join("tls.crt"),
            key: directory.join("tls.key"),
        }
    }

    /// Writes a new certificate for localhost.
    fn renew(&self, authority: &Authority) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, authority).unwrap();
        std::fs::write(&self.key, key.serialize_pem()).unwrap();
        std::fs::write(&self.certificate, certificate.pem()).unwrap();
    }
}

impl World {
    async fn start() -> Self {
        let data = Data::new(Backend::Sqlite).await;
        let authority = authority();
        let files = Files::in_directory(data.path());
        files.renew(&authority);
        let mut command = serve(&data);
        command.arg("--tls-cert").arg(&files.certificate);
        command.arg("--tls-key").arg(&files.key);
        Self {
            gateway: Gateway::start_with(command).await,
            authority,
            data,
        }
    }

    fn files(&self) -> Files {
        Files::in_directory(self.data.path())
    }

    /// A handshake that offers these protocols in this version of TLS.
    async fn handshake(
        &self,
        version: &'static SupportedProtocolVersion,
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.as_ref().der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let protocols = protocols.iter().map(|name| name.as_bytes().to_vec());
        config.alpn_protocols = protocols.collect();
        let tcp = TcpStream::connect(self.gateway.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        timeout(DEADLINE, connector.connect(name, tcp))
            .await
            .unwrap()
    }

    async fn open(&self) -> TlsStream<TcpStream> {
        let version = &rustls::version::TLS13;
        self.handshake(version, &["h2", "http/1.1"]).await.unwrap()
    }

    async fn ask(&self, stream: TlsStream<TcpStream>, request: Request<Full<Bytes>>) -> Answer {
        let exchange = async {
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
            let connection = tokio::spawn(connection);
            let (head, body) = sender.send_request(request).await.unwrap().into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            connection.abort();
            Answer {
                status: head.status.as_u16(),
                headers: head.headers,
                body,
            }
        };
        timeout(DEADLINE, Box::pin(exchange)).await.unwrap()
    }

    /// The certificate that is shown now.
    async fn shown(&self) -> Vec<u8> {
        let stream = self.open().await;
        let certificates = stream.get_ref().1.peer_certificates().unwrap();
        certificates[0].to_vec()
    }
}

fn request(method: &str, path: &str, body: &str) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(path);
    let request = request
        .header("host", "localhost:8443")
        .header("authorization", format!("Bearer {API_KEY}"));
    let kind = if path == "/sign-in" {
        "application/x-www-form-urlencoded"
    } else {
        "application/json"
    };
    let request = request.header("content-type", kind);
    request.body(Full::new(body.to_owned().into())).unwrap()
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken_and_http_1_1_is_chosen() {
    let world = World::start().await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let stream = world.handshake(version, &["h2", "http/1.1"]).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        let answer = world.ask(stream, request("GET", "/readyz", "")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let without = world.handshake(&rustls::version::TLS13, &[]).await.unwrap();
    let answer = world.ask(without, request("GET", "/healthz", "")).await;
    assert_eq!(answer.status, 200);
    let only_h2 = world.handshake(&rustls::version::TLS13, &["h2"]).await;
    assert!(only_h2.is_err(), "what is not spoken is not agreed on");
    let said = world.gateway.said();
    assert!(said.contains("listening https://127.0.0.1:"), "{said}");
}

#[tokio::test]
async fn under_tls_urls_and_cookies_say_so() {
    let world = World::start().await;
    let source = request("POST", "/v1/sources", r#"{"name": "provider"}"#);
    let made = world.ask(world.open().await, source).await.json();
    let url = made["ingest_url"].as_str().unwrap();
    assert!(url.starts_with("https://localhost:8443/ingest/"), "{url}");

    let form = format!("api_key={API_KEY}");
    let mut sign_in = request("POST", "/sign-in", &form);
    let origin = "https://localhost:8443".parse().unwrap();
    sign_in.headers_mut().insert("origin", origin);
    let answer = world.ask(world.open().await, sign_in).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let cookie = answer.header("set-cookie");
    assert!(
        cookie.contains("; Secure") && cookie.contains("HttpOnly"),
        "{cookie}"
    );
}

#[tokio::test]
async fn plain_http_is_told_and_closed_and_what_is_nonsense_is_closed() {
    let world = World::start().await;
    let mut plain = Raw::open(world.gateway.address).await;
    plain
        .write(b"GET /healthz HTTP/1.1\r\nhost: gateway\r\n\r\n")
        .await;
    let answer = plain.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(
        answer.ends_with("this port speaks TLS; use https://\r\n"),
        "{answer}"
    );

    let mut nonsense = Raw::open(world.gateway.address).await;
    nonsense.write(b"\x00\x01\x02\x03").await;
    assert_eq!(nonsense.read_to_end().await, "");
    let mut half = Raw::open(world.gateway.address).await;
    half.write(b"\x16\x03\x01\x7f\xff").await;
    half.write(&[0; 4096]).await;
    let _ = half.read_to_end().await;

    let answer = world
        .ask(world.open().await, request("GET", "/healthz", ""))
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn who_does_not_finish_the_handshake_is_cut_off() {
    let world = World::start().await;
    let silent = Raw::open(world.gateway.address).await;
    let mut begun = Raw::open(world.gateway.address).await;
    begun.write(&[22, 3, 1]).await;
    let (one, other) = tokio::join!(silent.read_to_end(), begun.read_to_end());
    assert_eq!((one.as_str(), other.as_str()), ("", ""));
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_and_a_broken_one_is_not() {
    let world = World::start().await;
    let before = world.shown().await;
    let mut old = world.open().await;

    // By the files alone.
    world.files().renew(&world.authority);
    eventually("the new certificate is shown", || async {
        (world.shown().await != before).then_some(())
    })
    .await;

    // By the signal, and at once.
    let second = world.shown().await;
    world.files().renew(&world.authority);
    hang_up(&world.gateway).await;
    eventually("the third certificate is shown", || async {
        (world.shown().await != second).then_some(())
    })
    .await;

    let third = world.shown().await;
    std::fs::write(world.files().certificate, "no certificate").unwrap();
    hang_up(&world.gateway).await;
    let refused = "the certificate is not replaced; the old one is shown";
    eventually("the broken one is refused", || async {
        world.gateway.said().contains(refused).then_some(())
    })
    .await;
    assert_eq!(world.shown().await, third);

    // What was open before lives on.
    old.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    old.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

async fn hang_up(gateway: &Gateway) {
    let command = format!("kill -HUP {}", gateway.pid());
    let asked = Command::new("sh").args(["-c", &command]).status().await;
    assert!(asked.unwrap().success(), "{command}");
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_stops_the_start_and_is_named() {
    let data = Data::new(Backend::Sqlite).await;
    let files = Files::in_directory(data.path());
    let run = || async {
        let mut command = serve(&data);
        command.arg("--tls-cert").arg(&files.certificate);
        command.arg("--tls-key").arg(&files.key);
        let output = timeout(DEADLINE, command.kill_on_drop(true).output()).await;
        let output = output.expect("it ends").unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = run().await;
    assert!(said.contains("tls.crt cannot be read"), "{said}");
    files.renew(&authority());
    std::fs::write(&files.key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let said = run().await;
    assert!(
        said.contains("the key does not fit the certificate"),
        "{said}"
    );
}

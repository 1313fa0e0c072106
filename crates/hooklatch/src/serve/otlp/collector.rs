//! One collector, over a connection that is kept. The guard of addresses is not here: whoever runs
//! the gateway names the collector, which mostly lies on this machine.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use url::{Position, Url};

use super::Traces;

/// How long an export may take, with its connection.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Most of an answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// What the collector sees of us.
const AGENT: &str = concat!("hooklatch/", env!("CARGO_PKG_VERSION"));

type Failure = Box<dyn Error + Send + Sync>;

/// A collector.
pub(super) struct Collector {
    url: Url,
    headers: HeaderMap,
    tls: TlsConnector,
    link: Option<Link>,
}

/// What it said.
pub(super) struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

struct Link {
    sender: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Collector {
    /// The collector that the settings name.
    pub fn new(traces: &Traces) -> Result<Self, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.extend(traces.headers.iter().cloned());
        let host = &traces.url[Position::BeforeHost..Position::AfterPort];
        headers.insert(HOST, HeaderValue::try_from(host)?);
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            url: traces.url.clone(),
            headers,
            tls: TlsConnector::from(Arc::new(config)),
            link: None,
        })
    }

    /// Posts a body, over the connection that there is or over a new one.
    pub async fn post(&mut self, body: Bytes) -> Result<Answer, Failure> {
        let answered = tokio::time::timeout(TIMEOUT, Box::pin(self.talk(body))).await;
        match answered {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                self.link = None;
                Err(error)
            }
            Err(_) => {
                self.link = None;
                Err(format!("no answer within {} s", TIMEOUT.as_secs()).into())
            }
        }
    }

    async fn talk(&mut self, body: Bytes) -> Result<Answer, Failure> {
        let mut link = self.link().await?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url[Position::BeforePath..].parse()?;
        *request.headers_mut() = self.headers.clone();
        let (head, body) = link.sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?;
        self.link = Some(link);
        Ok(Answer {
            status: head.status,
            body: body.to_bytes(),
        })
    }

    /// The connection that there is, while it lives; else a new one.
    async fn link(&mut self) -> Result<Link, Failure> {
        if let Some(mut link) = self.link.take()
            && link.sender.ready().await.is_ok()
        {
            return Ok(link);
        }
        self.connect().await
    }

    async fn connect(&self) -> Result<Link, Failure> {
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port_or_known_default().unwrap_or(80);
        // An address of version 6 stands in brackets, which are no part of it.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let tcp = TcpStream::connect((host, port)).await?;
        tcp.set_nodelay(true)?;
        let stream: Box<dyn Stream> = if self.url.scheme() == "https" {
            let name = ServerName::try_from(host.to_owned())?;
            Box::new(self.tls.connect(name, tcp).await?)
        } else {
            Box::new(tcp)
        };
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection).abort_handle();
        Ok(Link { sender, driver })
    }
}

//! One delivery on the wire, over a connection of its own, which may be cut. The guard of addresses
//! that the gateway has is not here: whoever runs this command names the receiver.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Position, Url};

use super::answer::Answer;
use super::plan::Cut;

/// Most of an answer that is read.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// What the receiver sees of us.
const AGENT: &str = concat!("hooklatch-prove/", env!("CARGO_PKG_VERSION"));

/// Somebody to call.
#[derive(Clone)]
pub(super) struct Target {
    url: Arc<Url>,
    tls: TlsConnector,
    timeout: Duration,
}

/// A request, not yet sent.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// The method.
    pub method: Method,
    /// Headers besides those that HTTP itself needs.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// An open connection.
pub(super) struct Link(Box<dyn Stream>);

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An answer as it came.
pub(super) struct Whole {
    /// The answer.
    pub answer: Answer,
    /// Its body.
    pub body: Bytes,
}

impl Target {
    /// A target that is given so long for each connection and each answer.
    pub fn new(url: Url, timeout: Duration) -> Self {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            url: Arc::new(url),
            tls: TlsConnector::from(Arc::new(config)),
            timeout,
        }
    }

    /// Opens a connection.
    pub async fn connect(&self) -> io::Result<Link> {
        match tokio::time::timeout(self.timeout, self.dial()).await {
            Ok(dialled) => dialled,
            Err(_elapsed) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn dial(&self) -> io::Result<Link> {
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port_or_known_default().unwrap_or(80);
        // An address of version 6 stands in brackets, which are no part of it.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let tcp = TcpStream::connect((host, port)).await?;
        tcp.set_nodelay(true)?;
        if self.url.scheme() != "https" {
            return Ok(Link(Box::new(tcp)));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let tls = self.tls.connect(name, tcp).await?;
        Ok(Link(Box::new(tls)))
    }

    /// Sends the call, and reads the answer.
    pub async fn exchange(&self, link: Link, call: &Call) -> Result<Whole, Answer> {
        match tokio::time::timeout(self.timeout, self.talk(link, call)).await {
            Ok(Ok(whole)) => Ok(whole),
            Ok(Err(_broken)) => Err(Answer::Broken),
            Err(_elapsed) => Err(Answer::TimedOut),
        }
    }

    async fn talk(
        &self,
        link: Link,
        call: &Call,
    ) -> Result<Whole, Box<dyn std::error::Error + Send + Sync>> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(link.0)).await?;
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(self.request(call)?).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?;
        connection.abort();
        Ok(Whole {
            answer: Answer::of(head.status, &head.headers),
            body: body.to_bytes(),
        })
    }

    fn request(&self, call: &Call) -> Result<Request<Full<Bytes>>, http::Error> {
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = self.path().parse()?;
        for (name, value) in self.headers(call) {
            let name = HeaderName::try_from(name)?;
            request
                .headers_mut()
                .append(name, HeaderValue::try_from(value)?);
        }
        Ok(request)
    }

    /// Sends as much of the call as `cut` says, and drops the connection.
    pub async fn cut(&self, mut link: Link, call: &Call, cut: Cut) -> io::Result<()> {
        let mut bytes = self.head(call).into_bytes();
        bytes.extend_from_slice(&call.body);
        let end = match cut {
            Cut::InRequest => bytes.len() - call.body.len().div_ceil(2),
            Cut::BeforeAnswer | Cut::AfterAnswer => bytes.len(),
        };
        link.0.write_all(&bytes[..end]).await?;
        link.0.flush().await?;
        if cut == Cut::AfterAnswer {
            let mut first = [0; 1];
            // Whatever comes, or does not: from here on the sender knows nothing.
            let _ = tokio::time::timeout(self.timeout, link.0.read(&mut first)).await;
        }
        Ok(())
    }

    /// The call as hyper would write it, for a connection that hyper would not cut.
    fn head(&self, call: &Call) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", call.method, self.path());
        for (name, value) in self.headers(call) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", call.body.len()));
        head
    }

    fn path(&self) -> &str {
        &self.url[Position::BeforePath..Position::AfterQuery]
    }

    fn headers(&self, call: &Call) -> Vec<(String, String)> {
        let host = &self.url[Position::BeforeHost..Position::AfterPort];
        let mut headers = vec![("host".to_owned(), host.to_owned())];
        let given = |name: &str| call.headers.iter().any(|(given, _)| given == name);
        if !given("user-agent") {
            headers.push(("user-agent".to_owned(), AGENT.to_owned()));
        }
        headers.extend(call.headers.iter().cloned());
        headers
    }
}

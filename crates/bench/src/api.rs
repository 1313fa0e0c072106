//! Set-up calls to the gateway: few, one connection each, in plain blocking code.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::Failure;
use crate::head::Head;

const CALL_MAX: Duration = Duration::from_secs(10);

/// Posts a resource and returns it as the gateway made it.
pub(crate) fn post(
    address: SocketAddr,
    api_key: &str,
    path: &str,
    resource: &Value,
) -> Result<Value, Failure> {
    let body = resource.to_string();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {api_key}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len(),
    );
    let mut stream = TcpStream::connect_timeout(&address, CALL_MAX)?;
    stream.set_read_timeout(Some(CALL_MAX))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let head = Head::find(&answer).ok_or("the gateway closed a connection without an answer")?;
    let made = &answer[head.bytes..];
    match head.status()? {
        200..=299 => Ok(serde_json::from_slice(made)?),
        status => {
            let said = String::from_utf8_lossy(made);
            Err(format!("POST {path} was answered with {status}: {said}").into())
        }
    }
}

/// A text field of what the gateway made.
pub(crate) fn text<'a>(made: &'a Value, field: &str) -> Result<&'a str, Failure> {
    made[field]
        .as_str()
        .ok_or_else(|| format!("no {field} in {made}").into())
}

//! Set-up calls to the gateway: few, one connection each, in plain blocking code.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::Failure;
use crate::head::Head;

const CALL_MAX: Duration = Duration::from_secs(30);

/// A call.
pub(crate) struct Call<'a> {
    /// Its method and path.
    pub to: (&'a str, &'a str),
    /// Lines of its head beyond the usual ones, each with its end.
    pub head: &'a str,
    /// What it carries.
    pub body: &'a str,
}

/// The answer to one.
pub(crate) struct Answered {
    /// Everything that came, head and body.
    pub bytes: Vec<u8>,
}

impl Answered {
    /// Its head.
    pub(crate) fn head(&self) -> Result<Head<'_>, Failure> {
        let head = Head::find(&self.bytes);
        head.ok_or_else(|| "the gateway closed a connection without an answer".into())
    }

    /// What follows the head.
    pub(crate) fn body(&self) -> Result<&[u8], Failure> {
        Ok(&self.bytes[self.head()?.bytes..])
    }
}

/// Calls the gateway over a connection of its own, and reads the answer to its end.
pub(crate) fn call(address: SocketAddr, call: &Call<'_>) -> Result<Answered, Failure> {
    let (method, path) = call.to;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\n{}Content-Length: {}\r\nConnection: close\r\n\r\n{}",
        call.head,
        call.body.len(),
        call.body,
    );
    let mut stream = TcpStream::connect_timeout(&address, CALL_MAX)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(CALL_MAX))?;
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    Ok(Answered { bytes })
}

/// Posts a resource and returns it as the gateway made it.
pub(crate) fn post(
    address: SocketAddr,
    api_key: &str,
    path: &str,
    resource: &Value,
) -> Result<Value, Failure> {
    ask(address, api_key, ("POST", path), Some(resource))
}

/// Asks the API for anything.
pub(crate) fn ask(
    address: SocketAddr,
    api_key: &str,
    to: (&str, &str),
    resource: Option<&Value>,
) -> Result<Value, Failure> {
    let body = resource.map(Value::to_string).unwrap_or_default();
    let head = format!("Authorization: Bearer {api_key}\r\nContent-Type: application/json\r\n");
    let (head, body) = (head.as_str(), body.as_str());
    let answered = call(address, &Call { to, head, body })?;
    let made = answered.body()?;
    match answered.head()?.status()? {
        204 => Ok(Value::Null),
        200..=299 => Ok(serde_json::from_slice(made)?),
        status => {
            let said = String::from_utf8_lossy(made);
            Err(format!("{} {} was answered with {status}: {said}", to.0, to.1).into())
        }
    }
}

/// A text field of what the gateway made.
pub(crate) fn text<'a>(made: &'a Value, field: &str) -> Result<&'a str, Failure> {
    made[field]
        .as_str()
        .ok_or_else(|| format!("no {field} in {made}").into())
}

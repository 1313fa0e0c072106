//! The API does what its document says: schemathesis reads `/openapi.json` of a running gateway and
//! makes requests of all kinds from it, the same ones each time. No answer may be a server's error
//! or one that the document does not have.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::inputs;
use crate::Failure;
use crate::workspace::{Workspace, cargo};

const KEY: &str = "hl_the_contract_is_kept_0123456789ab";
/// How long the gateway may take to listen.
const START: Duration = Duration::from_secs(30);
/// What every answer is held to. How strict an API is with what it takes is another matter: here an
/// empty parameter counts as none, which the tool would call a mistake.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,ignored_auth,\
                      unsupported_method";
/// Requests that are drawn for each operation, beside those for each edge of its schema. All of it
/// takes a minute or two.
const EXAMPLES: &str = "10";

/// How the run ended.
#[derive(Default)]
pub struct Kept {
    /// The tool's own.
    pub exit_code: u8,
    /// Its last word; none if it was not asked.
    pub closing_line: Option<String>,
}

/// A gateway on a free port, over a directory that goes with it.
struct Gateway {
    child: Child,
    url: String,
    directory: PathBuf,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Both may be gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Holds a gateway to its document.
pub fn run(workspace: &Workspace) -> Result<Kept, Failure> {
    let gateway = start(workspace)?;
    let python = inputs::python(&inputs::directory(workspace));
    let mut child = Command::new(python)
        .args(["-m", "schemathesis.cli", "run"])
        .arg(format!("{}/openapi.json", gateway.url))
        .args(["--header", &format!("Authorization: Bearer {KEY}")])
        .args(["--checks", CHECKS, "--seed", "1", "--max-examples", EXAMPLES])
        .args(["--phases", "examples,coverage,fuzzing", "--workers", "2"])
        .args(["--generation-database", "none", "--warnings", "off"])
        // The live log never ends.
        .args(["--exclude-path", "/v1/stream", "--no-color"])
        .current_dir(&gateway.directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut closing_line = None;
    let printed = child.stdout.take().expect("stdout is piped");
    for line in BufReader::new(printed).lines() {
        let line = line?;
        println!("{line}");
        if line.contains(" generated") {
            closing_line = Some(line.trim().to_owned());
        }
    }
    let status = child.wait()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(Kept {
        exit_code: code.unwrap_or(1),
        closing_line: Some(closing_line.unwrap_or_else(|| "nothing was tried".to_owned())),
    })
}

fn start(workspace: &Workspace) -> Result<Gateway, Failure> {
    let built = Command::new(cargo())
        .args(["build", "--quiet", "--package", "hooklatch"])
        .stdin(Stdio::null())
        .status()?;
    if !built.success() {
        return Err("the gateway could not be built".into());
    }
    let name = format!("hooklatch-contract-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    fs::create_dir_all(&directory)?;
    let mut child = serve(&workspace.target.join("debug/hooklatch"), &directory)?;
    let printed = child.stderr.take().expect("stderr is piped");
    let url = listening(printed);
    let gateway = Gateway {
        child,
        url: url.clone().unwrap_or_default(),
        directory,
    };
    match url {
        Some(_) => Ok(gateway),
        None => Err("the gateway does not listen".into()),
    }
}

fn serve(program: &Path, directory: &Path) -> Result<Child, Failure> {
    let started = Command::new(program)
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(directory.join("data"))
        .env("HOOKLATCH_API_KEY", KEY)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    started.map_err(|error| format!("failed to run {}: {error}", program.display()).into())
}

/// The address that the gateway prints; what it prints after that is read and dropped, so that it
/// never has to wait.
fn listening(printed: impl Read + Send + 'static) -> Option<String> {
    let (found, url) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(printed).lines().map_while(Result::ok) {
            if let Some(address) = line.trim().strip_prefix("listening ") {
                // Nobody waits any more once the time is up.
                let _ = found.send(address.trim().to_owned());
            }
        }
    });
    url.recv_timeout(START).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_among_what_is_printed() {
        let printed = "hooklatch 0.1.0\n  listening http://127.0.0.1:1\n  data /tmp\n";
        let url = listening(printed.as_bytes());
        assert_eq!(url.as_deref(), Some("http://127.0.0.1:1"));
        assert_eq!(listening("no\n".as_bytes()), None);
    }
}

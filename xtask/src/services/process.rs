//! One server as a process: in a directory of its own, as a user of its own, with what it says in
//! a file, and ended by its id.

use std::fs::{self, File};
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::packages::{is_root, works};

/// How long a server may take to answer, and how long to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);
/// How much of what a server said is shown when it does not start.
const SAID_LINES: usize = 20;

/// The signal that a server takes for the wish that it end at once and in order.
#[derive(Debug, Clone, Copy)]
pub enum Stop {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Stop {
    const fn signal(self) -> &'static str {
        match self {
            Self::Interrupt => "INT",
            Self::Terminate => "TERM",
        }
    }
}

/// A server's directory, and the user whose it is.
pub struct Place {
    directory: PathBuf,
    name: &'static str,
    user: Option<&'static str>,
}

impl Place {
    /// Makes a directory for a server, which runs as `user` where we are root.
    pub fn make(parent: &Path, name: &'static str, user: &'static str) -> Result<Self, Failure> {
        let directory = parent.join(name);
        fs::create_dir(&directory)?;
        let place = Self {
            directory,
            name,
            user: is_root().then_some(user),
        };
        place.hand_over(&place.directory)?;
        Ok(place)
    }

    /// A path in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Writes a file that only the server's user needs to read.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        let path = self.path(name);
        fs::write(&path, text)?;
        self.hand_over(&path)?;
        Ok(path)
    }

    fn hand_over(&self, path: &Path) -> Result<(), Failure> {
        let Some(user) = self.user else { return Ok(()) };
        let status = Command::new("chown").arg(user).arg(path).status()?;
        if status.success() {
            return Ok(());
        }
        Err(format!("chown {user} {} failed", path.display()).into())
    }

    /// A program as the server's user, in the server's directory, told to end if we do.
    pub fn command(&self, program: &Path, stop: Stop) -> Command {
        let mut command = if works("setpriv", &["--version"]) {
            let mut command = Command::new("setpriv");
            command.arg("--pdeathsig").arg(stop.signal());
            if let Some(user) = self.user {
                command.args(["--reuid", user, "--regid", user, "--init-groups"]);
            }
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(&self.directory).stdin(Stdio::null());
        command
    }

    /// Runs a program to its end.
    pub fn run(&self, command: &mut Command) -> Result<(), Failure> {
        let output = command.output()?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!(
            "{} could not be prepared:\n{}",
            self.name,
            last_lines(&said)
        )
        .into())
    }

    /// Starts a server.
    pub fn start(&self, command: &mut Command, stop: Stop) -> Result<Running, Failure> {
        let log = self.path("log");
        let file = File::create(&log)?;
        command.stdout(file.try_clone()?).stderr(file);
        Ok(Running {
            child: command.spawn()?,
            name: self.name,
            stop,
            log,
        })
    }
}

/// A server that was started; it ends when this is dropped.
pub struct Running {
    child: Child,
    name: &'static str,
    stop: Stop,
    log: PathBuf,
}

impl Running {
    /// Waits until it answers on its port.
    pub fn wait_for_port(&mut self, port: u16) -> Result<(), Failure> {
        self.wait_until(|| TcpStream::connect(("127.0.0.1", port)).is_ok())
    }

    /// Waits until it is as it should be.
    pub fn wait_until(&mut self, ready: impl Fn() -> bool) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while !ready() {
            if self.child.try_wait()?.is_some() || Instant::now() > deadline {
                let said = fs::read(&self.log).unwrap_or_default();
                let said = String::from_utf8_lossy(&said);
                let said = last_lines(&said);
                return Err(format!("{} does not start:\n{said}", self.name).into());
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        // The shell has a kill of its own wherever there is a shell.
        let kill = format!("kill -{} {}", self.stop.signal(), self.child.id());
        let _ = Command::new("sh").args(["-c", &kill]).status();
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            thread::sleep(PAUSE);
        }
    }
}

/// A port of loopback that nobody has now.
pub fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// A password that nobody else on this machine knows.
pub fn random_word() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let begin = lines.len().saturating_sub(SAID_LINES);
    lines[begin..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_ends_with_what_started_it() {
        let directory = std::env::temp_dir().join(format!("services-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let place = Place {
            directory: directory.clone(),
            name: "sleep",
            user: None,
        };
        let mut sleep = place.command(Path::new("sleep"), Stop::Terminate);
        let running = place
            .start(sleep.arg("600"), Stop::Terminate)
            .expect("sleep starts");
        let proof = PathBuf::from(format!("/proc/{}", running.child.id()));
        assert!(proof.exists());
        drop(running);
        assert!(!proof.exists());
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn what_ends_before_it_answers_is_shown_with_its_last_words() {
        let directory = std::env::temp_dir().join(format!("last-words-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let place = Place {
            directory: directory.clone(),
            name: "the server",
            user: None,
        };
        let mut shell = place.command(Path::new("sh"), Stop::Terminate);
        shell.args(["-c", "echo no such file >&2; exit 1"]);
        let mut running = place.start(&mut shell, Stop::Terminate).unwrap();
        let error = running.wait_until(|| false).unwrap_err().to_string();
        assert_eq!(error, "the server does not start:\nno such file");
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn passwords_are_long_and_never_the_same() {
        let (one, two) = (random_word().unwrap(), random_word().unwrap());
        assert_eq!(one.len(), 32);
        assert_ne!(one, two);
    }
}

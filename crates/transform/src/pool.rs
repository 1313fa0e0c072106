//! The gateway's side: a bounded number of workers, a bounded queue before them, and a deadline.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hooklatch_core::transform::{TransformError, TransformInput, Transformed, transformed};
use hooklatch_engine::{Transformer, Transforming};
use serde_json::value::RawValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::frame::{Job, READY, Reply, framed, length_of};

/// How long a worker may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a script may wait for a worker.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// How a pool works.
#[derive(Debug, Clone)]
pub struct PoolSettings {
    /// The program whose `arguments` call [`crate::work`].
    pub program: PathBuf,
    /// What it is called with.
    pub arguments: Vec<OsString>,
    /// Workers at once.
    pub workers: usize,
    /// Scripts that may wait or run at once.
    pub queue: usize,
    /// How long one script may run.
    pub deadline: Duration,
}

/// Workers, started when they are needed.
#[derive(Debug)]
pub struct Pool {
    settings: PoolSettings,
    queue: Semaphore,
    places: Semaphore,
    idle: Mutex<Vec<Worker>>,
}

#[derive(Debug)]
struct Worker {
    // Killed when it is dropped.
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

#[derive(serde::Serialize)]
struct Request<'a> {
    headers: BTreeMap<&'a str, String>,
    query: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    path: &'a str,
    body: Option<Box<RawValue>>,
}

impl Transformer for Pool {
    fn check(&self, script: Arc<str>) -> Transforming<'_, ()> {
        Box::pin(async move {
            let job = Job {
                script: Cow::Borrowed(&script),
                request: None,
            };
            match self.call(&job).await? {
                Reply::Usable => Ok(()),
                Reply::Failed(detail) => Err(TransformError::Failed(detail)),
                Reply::Made(_) => Err(misunderstood()),
            }
        })
    }

    fn transform(&self, script: Arc<str>, input: TransformInput) -> Transforming<'_, Transformed> {
        Box::pin(async move {
            let request = request(&input)?;
            let job = Job {
                script: Cow::Borrowed(&script),
                request: Some(&request),
            };
            match self.call(&job).await? {
                Reply::Made(made) => transformed(&input, made.headers, made.body),
                Reply::Failed(detail) => Err(TransformError::Failed(detail)),
                Reply::Usable => Err(misunderstood()),
            }
        })
    }
}

fn misunderstood() -> TransformError {
    TransformError::Unavailable("a worker answered something else".to_owned())
}

/// The argument of the script's function. A JSON body keeps its text: what reads it is the script's
/// engine alone.
fn request(input: &TransformInput) -> Result<Box<RawValue>, TransformError> {
    let unreadable = |error: serde_json::Error| TransformError::Failed(error.to_string());
    let body = match std::str::from_utf8(&input.body) {
        Ok(text) if input.is_json => Some(RawValue::from_string(text.to_owned())),
        Ok(text) => Some(serde_json::value::to_raw_value(text)),
        Err(_) => None,
    };
    let mut headers: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in &input.headers {
        let known = headers.entry(name).or_default();
        if !known.is_empty() {
            known.push_str(", ");
        }
        known.push_str(value);
    }
    let request = Request {
        headers,
        query: input
            .query
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        path: &input.path,
        body: body.transpose().map_err(unreadable)?,
    };
    serde_json::value::to_raw_value(&request).map_err(unreadable)
}

impl Pool {
    /// A pool without a worker yet.
    pub fn new(settings: PoolSettings) -> Arc<Self> {
        Arc::new(Self {
            queue: Semaphore::new(settings.queue),
            places: Semaphore::new(settings.workers),
            idle: Mutex::default(),
            settings,
        })
    }

    async fn call(&self, job: &Job<'_>) -> Result<Reply, TransformError> {
        let job = serde_json::to_vec(job).expect("texts always serialise");
        let frame = framed(&job);
        let frame = frame.ok_or_else(|| TransformError::Failed("it is too large".to_owned()))?;
        let Ok(_queued) = self.queue.try_acquire() else {
            return Err(TransformError::Busy);
        };
        let Ok(Ok(_place)) = timeout(QUEUE_TIMEOUT, self.places.acquire()).await else {
            return Err(TransformError::Busy);
        };
        // One that was idle may have ended since; a new one is tried before the script is blamed.
        if let Some(worker) = self.take_idle()
            && let Some(reply) = self.exchange(worker, &frame).await?
        {
            return Ok(reply);
        }
        let worker = self.start().await?;
        let reply = self.exchange(worker, &frame).await?;
        reply.ok_or_else(|| TransformError::Failed("the script ended its process".to_owned()))
    }

    fn take_idle(&self) -> Option<Worker> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop()
    }

    /// The worker's reply; none if it ended instead.
    async fn exchange(
        &self,
        mut worker: Worker,
        frame: &[u8],
    ) -> Result<Option<Reply>, TransformError> {
        match timeout(self.settings.deadline, worker.exchange(frame)).await {
            Ok(Ok(reply)) => {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                idle.push(worker);
                Ok(Some(reply))
            }
            Ok(Err(_)) => Ok(None),
            Err(_) => {
                // Waited for, so that no more run than there are places for.
                let _ = worker.child.kill().await;
                let deadline = u64::try_from(self.settings.deadline.as_millis());
                Err(TransformError::TimedOut {
                    deadline_ms: deadline.unwrap_or(u64::MAX),
                })
            }
        }
    }

    async fn start(&self) -> Result<Worker, TransformError> {
        match timeout(START_TIMEOUT, Worker::start(&self.settings)).await {
            Ok(Ok(worker)) => Ok(worker),
            Ok(Err(error)) => {
                tracing::error!(%error, "a worker for scripts does not start");
                Err(TransformError::Unavailable(error.to_string()))
            }
            Err(_) => Err(TransformError::Unavailable("it does not start".to_owned())),
        }
    }
}

impl Worker {
    async fn start(settings: &PoolSettings) -> std::io::Result<Self> {
        let mut child = Command::new(&settings.program)
            .args(&settings.arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let input = child.stdin.take().expect("its input is piped");
        let mut output = child.stdout.take().expect("its output is piped");
        let mut ready = [0];
        output.read_exact(&mut ready).await?;
        if ready != [READY] {
            return Err(std::io::Error::other("it is no worker"));
        }
        Ok(Self {
            child,
            input,
            output,
        })
    }

    async fn exchange(&mut self, frame: &[u8]) -> std::io::Result<Reply> {
        self.input.write_all(frame).await?;
        self.input.flush().await?;
        let mut prefix = [0; 4];
        self.output.read_exact(&mut prefix).await?;
        let length = length_of(prefix);
        let length = length.ok_or_else(|| std::io::Error::other("its answer is too long"))?;
        let mut text = vec![0; length];
        self.output.read_exact(&mut text).await?;
        Ok(serde_json::from_slice(&text)?)
    }
}

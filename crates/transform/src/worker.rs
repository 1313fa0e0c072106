//! The worker's side: reads jobs from its standard input and answers on its standard output until
//! its parent is gone.

use std::io::{Read, Write};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use crate::frame::{Job, READY, Reply, framed, length_of};
use crate::script;

/// After this a worker ends by itself. Its parent kills it long before; but a parent may be killed
/// as well, and nobody else would end an endless loop.
const PATIENCE: Duration = Duration::from_secs(30);

/// Works until standard input ends.
pub fn work() {
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let watch = watchdog();
    if output
        .write_all(&[READY])
        .and_then(|()| output.flush())
        .is_err()
    {
        return;
    }
    while let Some(text) = read(&mut input) {
        // Whoever watches lives as long as this process.
        let _ = watch.send(());
        let reply = answer(&text);
        let _ = watch.send(());
        let reply = serde_json::to_vec(&reply).expect("texts always serialise");
        let Some(frame) = framed(&reply) else { return };
        if output
            .write_all(&frame)
            .and_then(|()| output.flush())
            .is_err()
        {
            return;
        }
    }
}

/// Ends the process if the time between two messages, the start and the end of a job, is too long.
fn watchdog() -> Sender<()> {
    let (sender, watched) = mpsc::channel();
    std::thread::spawn(move || {
        while watched.recv().is_ok() {
            if watched.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                std::process::exit(1);
            }
        }
    });
    sender
}

fn read(input: &mut impl Read) -> Option<Vec<u8>> {
    let mut prefix = [0; 4];
    input.read_exact(&mut prefix).ok()?;
    let mut text = vec![0; length_of(prefix)?];
    input.read_exact(&mut text).ok()?;
    Some(text)
}

fn answer(text: &[u8]) -> Reply {
    let job: Job<'_> = match serde_json::from_slice(text) {
        Ok(job) => job,
        Err(error) => return Reply::Failed(format!("the job cannot be read: {error}")),
    };
    let done = match job.request {
        None => script::check(&job.script).map(|()| Reply::Usable),
        Some(request) => script::run(&job.script, request.get()).map(Reply::Made),
    };
    done.unwrap_or_else(Reply::Failed)
}

//! What waits for the writer: bounded by number and by bytes, so that a flood is refused at once
//! and never buffered.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hooklatch_core::limits::GROUP_COMMIT_MAX;
use hooklatch_store::StoreError;
use tokio::sync::oneshot;

use crate::fault::Fault;
use crate::writer::Batch;

/// One thing to do in a batch.
pub(crate) trait Operation: Send {
    /// Does it. May be called again after a batch was rolled back.
    fn apply(&mut self, batch: &mut Batch<'_>) -> Result<(), Fault>;

    /// Answers whoever waits, after the commit or its failure.
    fn answer(self: Box<Self>, committed: Result<(), Fault>);

    /// Roughly how many bytes it keeps in memory.
    fn bytes(&self) -> usize;
}

/// How an operation is carried out.
pub(crate) type Run<I, O> = fn(&mut Batch<'_>, &I) -> Result<O, Fault>;

/// What an operation answers: its output, and its input, so that the caller's thread takes it
/// apart and not the writer.
type Reply<I, O> = Result<(O, I), StoreError>;

/// An operation with its input, its output and whoever waits for that.
pub(crate) struct Task<I, O> {
    input: I,
    run: Run<I, O>,
    bytes: usize,
    output: Option<O>,
    reply: oneshot::Sender<Reply<I, O>>,
}

impl<I, O> Task<I, O> {
    /// An operation, and where its answer will be.
    pub(crate) fn new(
        input: I,
        bytes: usize,
        run: Run<I, O>,
    ) -> (Self, oneshot::Receiver<Reply<I, O>>) {
        let (reply, answer) = oneshot::channel();
        let task = Self {
            input,
            run,
            bytes,
            output: None,
            reply,
        };
        (task, answer)
    }
}

impl<I: Send, O: Send> Operation for Task<I, O> {
    fn apply(&mut self, batch: &mut Batch<'_>) -> Result<(), Fault> {
        self.output = None;
        self.output = Some((self.run)(batch, &self.input)?);
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), Fault>) {
        let answer = match committed {
            Ok(()) => {
                let output = self.output.expect("what was committed was applied");
                Ok((output, self.input))
            }
            Err(fault) => Err(fault.into()),
        };
        // Nobody may be waiting any more; what was asked is done all the same.
        drop(self.reply.send(answer));
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Operations.
    pub operations: usize,
    /// Bytes that they keep in memory.
    pub bytes: usize,
}

/// What waits for the writer.
pub(crate) struct Queue {
    bounds: Bounds,
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

struct Waiting {
    operations: VecDeque<Box<dyn Operation>>,
    bytes: usize,
    gate: Gate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    /// Nothing more is taken; what was taken is done.
    Draining,
    /// Nothing more is done.
    Abandoned,
}

/// What the writer finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Something to do.
    Work,
    /// Nothing for a while.
    Idle,
    /// Nothing ever again.
    Closed(End),
}

/// How the queue came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// All that was taken is done.
    Drained,
    /// What waited was given up.
    Abandoned,
}

impl Queue {
    /// An empty queue.
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            waiting: Mutex::new(Waiting {
                operations: VecDeque::new(),
                bytes: 0,
                gate: Gate::Open,
            }),
            arrived: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing that can panic happens under the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an operation, or says at once that there is no room.
    pub(crate) fn push(&self, operation: Box<dyn Operation>) -> Result<(), StoreError> {
        let bytes = operation.bytes();
        let mut waiting = self.lock();
        if waiting.gate != Gate::Open {
            return Err(StoreError::Unavailable(None));
        }
        let crowded = waiting.operations.len() >= self.bounds.operations
            || waiting.bytes + bytes > self.bounds.bytes;
        if crowded && !waiting.operations.is_empty() {
            return Err(StoreError::Overloaded);
        }
        waiting.bytes += bytes;
        waiting.operations.push_back(operation);
        drop(waiting);
        self.arrived.notify_one();
        Ok(())
    }

    /// Waits for something to do, up to `patience`; then, if not all of `callers` have come yet,
    /// for up to `linger` more, and takes at most what one commit takes.
    pub(crate) fn take(
        &self,
        patience: Duration,
        callers: usize,
        linger: Duration,
        into: &mut Vec<Box<dyn Operation>>,
    ) -> Taken {
        let mut waiting = self.lock();
        if waiting.operations.is_empty() && waiting.gate == Gate::Open {
            let empty =
                |waiting: &mut Waiting| waiting.operations.is_empty() && waiting.gate == Gate::Open;
            let woken = self.arrived.wait_timeout_while(waiting, patience, empty);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        if waiting.operations.len() < callers && !linger.is_zero() {
            let thin = |waiting: &mut Waiting| {
                waiting.operations.len() < callers && waiting.gate == Gate::Open
            };
            let woken = self.arrived.wait_timeout_while(waiting, linger, thin);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        match (waiting.gate, waiting.operations.is_empty()) {
            (Gate::Abandoned, _) => Taken::Closed(End::Abandoned),
            (Gate::Draining, true) => Taken::Closed(End::Drained),
            (Gate::Open, true) => Taken::Idle,
            (Gate::Open | Gate::Draining, false) => {
                let many = waiting.operations.len().min(GROUP_COMMIT_MAX);
                into.extend(waiting.operations.drain(..many));
                waiting.bytes -= into.iter().map(|taken| taken.bytes()).sum::<usize>();
                Taken::Work
            }
        }
    }

    /// Takes nothing more; what waits is still done.
    pub(crate) fn drain(&self) {
        self.shut(Gate::Draining);
    }

    /// Takes nothing more and gives up what waits, as the end of the process would.
    pub(crate) fn abandon(&self) {
        self.shut(Gate::Abandoned);
        let left: Vec<_> = self.lock().operations.drain(..).collect();
        for operation in left {
            operation.answer(Err(Fault::Closed));
        }
    }

    /// How many operations wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().operations.len()
    }

    /// Whether more is taken.
    #[cfg(test)]
    pub(crate) fn is_open(&self) -> bool {
        self.lock().gate == Gate::Open
    }

    fn shut(&self, gate: Gate) {
        self.lock().gate = gate;
        self.arrived.notify_all();
    }
}

//! What waits for the workers: bounded by number and by bytes, so that a flood, or a database that
//! is slow, is answered at once and never buffered.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hooklatch_core::limits::GROUP_COMMIT_MAX;
use hooklatch_store::StoreError;
use tokio::sync::{Notify, oneshot};

use crate::fault::Fault;

/// A batch that has so many bytes takes no more tasks: it has to be written in time.
const BATCH_BYTES: usize = 8 << 20;

/// One thing to do in a batch, with whoever waits for it.
pub(crate) struct Task<I, O> {
    /// What is asked.
    pub input: I,
    reply: oneshot::Sender<Result<O, StoreError>>,
}

impl<I, O> Task<I, O> {
    /// A task, and where its answer will be.
    pub(crate) fn new(input: I) -> (Self, oneshot::Receiver<Result<O, StoreError>>) {
        let (reply, answer) = oneshot::channel();
        (Self { input, reply }, answer)
    }

    /// Answers whoever waits, if anybody still does.
    pub(crate) fn answer(self, answer: Result<O, Fault>) {
        drop(self.reply.send(answer.map_err(StoreError::from)));
    }
}

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Tasks.
    pub tasks: usize,
    /// Bytes that they keep in memory.
    pub bytes: usize,
}

/// What waits.
pub(crate) struct Queue<T> {
    bounds: Bounds,
    waiting: Mutex<Waiting<T>>,
    arrived: Notify,
}

struct Waiting<T> {
    tasks: VecDeque<(T, usize)>,
    bytes: usize,
    /// Workers that are at it; the last one out closes the door.
    busy: usize,
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

impl<T> Queue<T> {
    /// An empty queue.
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            waiting: Mutex::new(Waiting {
                tasks: VecDeque::new(),
                bytes: 0,
                busy: 0,
                gate: Gate::Open,
            }),
            arrived: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        // Nothing that can panic happens under the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a task, or says at once that there is no room.
    pub(crate) fn push(&self, task: T, bytes: usize) -> Result<(), StoreError> {
        let mut waiting = self.lock();
        if waiting.gate != Gate::Open {
            return Err(StoreError::Unavailable(None));
        }
        let crowded =
            waiting.tasks.len() >= self.bounds.tasks || waiting.bytes + bytes > self.bounds.bytes;
        if crowded && !waiting.tasks.is_empty() {
            return Err(StoreError::Overloaded);
        }
        waiting.bytes += bytes;
        waiting.tasks.push_back((task, bytes));
        drop(waiting);
        self.arrived.notify_one();
        Ok(())
    }

    /// Waits until something waits, or nothing will ever come.
    pub(crate) async fn ready(&self) {
        loop {
            let arrived = self.arrived.notified();
            {
                let waiting = self.lock();
                if !waiting.tasks.is_empty() || waiting.gate != Gate::Open {
                    return;
                }
            }
            arrived.await;
        }
    }

    /// Waits for something to do; takes at most what one commit takes. Nothing means that nothing
    /// will ever come.
    pub(crate) async fn take(&self) -> Option<Vec<T>> {
        loop {
            let arrived = self.arrived.notified();
            if let Some(taken) = self.try_take() {
                return taken;
            }
            arrived.await;
        }
    }

    /// What can be said without waiting.
    fn try_take(&self) -> Option<Option<Vec<T>>> {
        let mut waiting = self.lock();
        if waiting.gate == Gate::Abandoned {
            return Some(None);
        }
        if waiting.tasks.is_empty() {
            return (waiting.gate == Gate::Draining).then_some(None);
        }
        let mut taken = Vec::new();
        let mut freed = 0;
        while taken.len() < GROUP_COMMIT_MAX && freed < BATCH_BYTES {
            let Some((task, bytes)) = waiting.tasks.pop_front() else {
                break;
            };
            freed += bytes;
            taken.push(task);
        }
        waiting.bytes -= freed;
        waiting.busy += 1;
        let more = !waiting.tasks.is_empty();
        drop(waiting);
        if more {
            // One call of `notify_one` wakes one worker, however much has come since.
            self.arrived.notify_one();
        }
        Some(Some(taken))
    }

    /// Notes that what a worker took is done.
    pub(crate) fn done(&self) {
        self.lock().busy -= 1;
        self.arrived.notify_waiters();
    }

    /// Takes nothing more; what waits is still done.
    pub(crate) fn drain(&self) {
        self.shut(Gate::Draining);
    }

    /// Waits until nothing is under way and nothing waits.
    pub(crate) async fn drained(&self) {
        loop {
            let arrived = self.arrived.notified();
            {
                let waiting = self.lock();
                let empty = waiting.tasks.is_empty() && waiting.busy == 0;
                if empty || waiting.gate == Gate::Abandoned {
                    return;
                }
            }
            arrived.await;
        }
    }

    /// Takes nothing more and hands back what waits, which is given up.
    pub(crate) fn abandon(&self) -> Vec<T> {
        self.shut(Gate::Abandoned);
        let mut waiting = self.lock();
        waiting.bytes = 0;
        waiting.tasks.drain(..).map(|(task, _)| task).collect()
    }

    fn shut(&self, gate: Gate) {
        self.lock().gate = gate;
        self.arrived.notify_waiters();
        self.arrived.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(tasks: usize, bytes: usize) -> Queue<u32> {
        Queue::new(Bounds { tasks, bytes })
    }

    #[tokio::test]
    async fn what_has_no_room_is_refused_at_once_and_one_always_has() {
        let queue = queue(2, 10);
        assert!(
            queue.push(1, 50).is_ok(),
            "however large, the first one fits"
        );
        assert!(matches!(queue.push(2, 1), Err(StoreError::Overloaded)));
        assert_eq!(queue.take().await, Some(vec![1]));
        queue.push(3, 1).unwrap();
        queue.push(4, 1).unwrap();
        assert!(matches!(queue.push(5, 1), Err(StoreError::Overloaded)));
    }

    #[tokio::test]
    async fn a_drained_queue_gives_what_it_has_and_then_nothing() {
        let queue = queue(9, 90);
        queue.push(1, 1).unwrap();
        queue.drain();
        assert!(matches!(queue.push(2, 1), Err(StoreError::Unavailable(_))));
        assert_eq!(queue.take().await, Some(vec![1]));
        assert_eq!(queue.take().await, None);
        queue.done();
        queue.drained().await;
    }

    #[tokio::test]
    async fn an_abandoned_queue_hands_back_what_waits() {
        let queue = queue(9, 90);
        queue.push(1, 1).unwrap();
        assert_eq!(queue.abandon(), [1]);
        assert_eq!(queue.take().await, None);
    }
}

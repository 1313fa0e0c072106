//! The chaos harness: workers that die at random points of their work, and a sender that delivers
//! again until it is acknowledged. It counts what each event did in the end.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Workers at once.
pub const WORKERS: usize = 8;

/// Where a worker dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    BeforeEffect,
    AfterEffect,
    AfterCompletion,
}

/// What the sender hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    Acknowledged,
    /// No answer, or "busy".
    Again,
}

/// Something that takes deliveries.
pub trait Target: Send + Sync + 'static {
    fn deliver(&self, event: u32, death: Option<Death>) -> impl Future<Output = Delivered> + Send;

    /// How often each event had its effect.
    fn effects(&self) -> impl Future<Output = HashMap<u32, usize>> + Send;
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    pub events: u32,
    pub deliveries: usize,
    /// Events that were acknowledged and had no effect.
    pub lost: usize,
    /// Events that had their effect more than once.
    pub repeated: usize,
}

struct Queue {
    waiting: VecDeque<u32>,
    unacknowledged: usize,
    deliveries: usize,
    random: u64,
}

impl Queue {
    /// Half of the deliveries die, at each point as often as at the others.
    fn death(&mut self) -> Option<Death> {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        match (bits ^ (bits >> 31)) % 6 {
            0 => Some(Death::BeforeEffect),
            1 => Some(Death::AfterEffect),
            2 => Some(Death::AfterCompletion),
            _ => None,
        }
    }
}

/// Delivers every event twice, and each delivery until it is acknowledged.
pub async fn storm<T: Target>(target: Arc<T>, events: u32, seed: u64) -> Report {
    let waiting: VecDeque<u32> = (0..events).chain(0..events).collect();
    let queue = Arc::new(Mutex::new(Queue {
        unacknowledged: waiting.len(),
        waiting,
        deliveries: 0,
        random: seed,
    }));
    let worker = |_| tokio::spawn(work(Arc::clone(&target), Arc::clone(&queue)));
    let workers: Vec<_> = (0..WORKERS).map(worker).collect();
    for worker in workers {
        worker.await.expect("a worker does not panic");
    }
    let effects = target.effects().await;
    let count = |event: u32| effects.get(&event).copied().unwrap_or(0);
    let deliveries = queue.lock().unwrap().deliveries;
    Report {
        events,
        deliveries,
        lost: (0..events).filter(|event| count(*event) == 0).count(),
        repeated: (0..events).filter(|event| count(*event) > 1).count(),
    }
}

async fn work<T: Target>(target: Arc<T>, queue: Arc<Mutex<Queue>>) {
    let mut pause = tokio::time::interval(Duration::from_millis(4));
    loop {
        let next = {
            let mut queue = queue.lock().unwrap();
            if queue.unacknowledged == 0 {
                return;
            }
            let event = queue.waiting.pop_front();
            queue.deliveries += usize::from(event.is_some());
            event.map(|event| (event, queue.death()))
        };
        let Some((event, death)) = next else {
            pause.tick().await;
            continue;
        };
        let delivered = target.deliver(event, death).await;
        match delivered {
            Delivered::Acknowledged => queue.lock().unwrap().unacknowledged -= 1,
            Delivered::Again => {
                pause.tick().await;
                queue.lock().unwrap().waiting.push_back(event);
            }
        }
    }
}

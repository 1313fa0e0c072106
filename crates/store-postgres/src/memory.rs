//! What this node remembers beside the database. It holds no truth: all of it is found again there,
//! and a node without it is only slower.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hooklatch_core::delivery::Lane;
use hooklatch_core::ids::MessageId;
use hooklatch_core::message::Parcel;
use hooklatch_core::time::Timestamp;
use hooklatch_store::node::{Answered, LaneChange, Lanes, ParcelCache};

use crate::clock::StoreClock;
use crate::node::{Numbers, Wakes, wake};

/// The memory.
pub(crate) struct Memory {
    /// The time.
    pub clock: StoreClock,
    /// This node's numbers.
    pub numbers: Arc<Numbers>,
    /// Whom to call when something became due.
    pub wakes: Wakes,
    /// Whether other nodes should hear that something is due.
    pub to_say: AtomicBool,
    /// Whether lanes may have been filled by others.
    stale: AtomicBool,
    /// Up to when there are partitions, in milliseconds since 1970.
    partitions: AtomicI64,
    due: Mutex<Due>,
}

/// What may be due, and what is needed to send it.
struct Due {
    lanes: Lanes,
    /// How often something was put into a lane, and how often that had been when it last was.
    put: u64,
    put_into: HashMap<Lane, u64>,
    parcels: ParcelCache,
    answered: Answered,
}

impl Memory {
    /// An empty memory.
    pub(crate) fn new(
        clock: StoreClock,
        numbers: Arc<Numbers>,
        wakes: Wakes,
        cache_bytes_max: usize,
    ) -> Self {
        Self {
            clock,
            numbers,
            wakes,
            to_say: AtomicBool::new(false),
            stale: AtomicBool::new(true),
            partitions: AtomicI64::new(i64::MIN),
            due: Mutex::new(Due {
                lanes: Lanes::default(),
                put: 0,
                put_into: HashMap::new(),
                parcels: ParcelCache::new(cache_bytes_max),
                answered: Answered::default(),
            }),
        }
    }

    fn due(&self) -> MutexGuard<'_, Due> {
        // What a panic leaves behind here is at worst a hint that is not true.
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether rows of this time find their partitions.
    pub(crate) fn has_partitions(&self, now: Timestamp) -> bool {
        now.as_millis() < self.partitions.load(Ordering::Relaxed)
    }

    /// Notes up to when there are partitions.
    pub(crate) fn set_partitions(&self, until: Timestamp) {
        self.partitions.store(until.as_millis(), Ordering::Relaxed);
    }

    /// Takes over what a batch of arrivals made due, and tells those who lease.
    pub(crate) fn admitted(&self, parcels: Vec<(Arc<Parcel>, usize)>, due: &[LaneChange]) {
        {
            let mut memory = self.due();
            for (parcel, deliveries) in parcels {
                memory.parcels.insert(parcel, deliveries);
            }
        }
        self.learnt(due);
    }

    /// Takes over what was learnt of lanes, and tells those who lease where something is due.
    pub(crate) fn learnt(&self, changes: &[LaneChange]) {
        let mut appeared = false;
        {
            let mut memory = self.due();
            for change in changes {
                if let LaneChange::Due(lane, _) = change {
                    appeared = true;
                    memory.put += 1;
                    let put = memory.put;
                    memory.put_into.insert(*lane, put);
                }
                memory.lanes.apply(*change);
            }
        }
        if appeared {
            self.to_say.store(true, Ordering::Relaxed);
            wake(&self.wakes);
        }
    }

    /// How much this node has put into lanes so far.
    pub(crate) fn put(&self) -> u64 {
        self.due().put
    }

    /// Takes over what a pass saw of lanes that began when `seen` had been put into them: what was
    /// put into one since, the pass may have missed.
    pub(crate) fn looked(&self, changes: &[LaneChange], seen: u64) {
        let mut memory = self.due();
        for change in changes {
            match change {
                LaneChange::Known(lane, at) => {
                    if memory.put_into.get(lane).is_some_and(|put| *put > seen) {
                        let due = at.map(|at| LaneChange::Due(*lane, at));
                        due.into_iter().for_each(|due| memory.lanes.apply(due));
                    } else {
                        memory.put_into.remove(lane);
                        memory.lanes.apply(*change);
                    }
                }
                LaneChange::Due(..)
                | LaneChange::Served(_)
                | LaneChange::Deferred(..)
                | LaneChange::Full(_) => {
                    memory.lanes.apply(*change);
                }
            }
        }
    }

    /// Takes over hints of what other nodes have put into lanes.
    pub(crate) fn hint(&self, changes: &[LaneChange]) {
        let mut memory = self.due();
        for change in changes {
            memory.lanes.apply(*change);
        }
    }

    /// Notes that others may have put something into lanes.
    pub(crate) fn look_again(&self) {
        self.stale.store(true, Ordering::Relaxed);
    }

    /// Whether others may have; whoever asks sees to it.
    pub(crate) fn take_stale(&self) -> bool {
        self.stale.swap(false, Ordering::Relaxed)
    }

    /// Another node said something, or it is time to look by oneself.
    pub(crate) fn hear(&self) {
        self.look_again();
        wake(&self.wakes);
    }

    /// Looks into the lanes.
    pub(crate) fn lanes<T>(&self, look: impl FnOnce(&Lanes) -> T) -> T {
        look(&self.due().lanes)
    }

    /// A parcel that is remembered.
    pub(crate) fn parcel(&self, id: MessageId) -> Option<Arc<Parcel>> {
        self.due().parcels.get(id)
    }

    /// Notes that deliveries of these messages were leased.
    pub(crate) fn leased(&self, messages: impl Iterator<Item = MessageId>) {
        let mut memory = self.due();
        for message in messages {
            memory.parcels.leased(message);
        }
    }

    /// Notes that everything numbered from `first` and before `end` was answered `at`.
    pub(crate) fn answered(&self, first: i64, end: i64, at: Timestamp) {
        self.due().answered.note(first, end, at);
    }

    /// When messages were answered by this node, as far as that is remembered.
    pub(crate) fn answered_at(&self, messages: &[MessageId]) -> HashMap<MessageId, Timestamp> {
        let memory = self.due();
        let known = |id: &MessageId| Some((*id, memory.answered.at(*id)?));
        messages.iter().filter_map(known).collect()
    }
}

/// What a panic says.
pub(crate) fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned()));
    text.unwrap_or_else(|| "without a word".to_owned())
}

//! What the writer keeps in memory beside the file. It changes only after a commit, so that a
//! batch that is rolled back leaves nothing behind; and it holds no truth, since all of it is
//! found again when the file is opened.

use std::collections::HashMap;
use std::sync::Arc;

use hooklatch_core::ids::MessageId;
use hooklatch_core::message::Parcel;
use hooklatch_core::time::Timestamp;
use hooklatch_store::node::{Answered, LaneChange, Lanes, ParcelCache};

use crate::filter::KeyHash;
use crate::generations::Generations;
use crate::listing::{Advance, Listing};

/// The memory.
pub(crate) struct Memory {
    /// From when each lane may have something due.
    pub lanes: Lanes,
    /// Parcels that were admitted a moment ago.
    pub parcels: ParcelCache,
    /// The generations of the ledger.
    pub generations: Generations,
    /// How many refused requests are kept.
    pub refused: usize,
    /// When the last batches were answered.
    pub answered: Answered,
    /// How far lists are indexed.
    pub listing: Listing,
}

/// What a batch changes in memory once it is committed.
#[derive(Default)]
pub(crate) struct Effects {
    /// What was learnt of lanes, in order.
    pub lanes: Vec<LaneChange>,
    /// Admitted parcels, with the number of their deliveries.
    pub admitted: Vec<(Arc<Parcel>, usize)>,
    /// The messages of leased deliveries.
    pub leased: Vec<MessageId>,
    /// The keys of written claims, with the last end of a window.
    pub claimed: HashMap<KeyHash, Timestamp>,
    /// Messages and requests that were added and will be listed.
    pub added: usize,
    /// What was done for lists.
    pub listing: Option<Advance>,
    /// Refused requests that were added less those that were removed.
    pub refused: isize,
}

impl Effects {
    /// A parcel that this very batch admitted.
    pub(crate) fn admitted(&self, id: MessageId) -> Option<Arc<Parcel>> {
        let admitted = &self.admitted;
        // They were minted one after the other.
        let place = admitted.binary_search_by_key(&id, |(parcel, _)| parcel.message.id);
        place.ok().map(|place| Arc::clone(&admitted[place].0))
    }
}

/// Whether someone who leases should look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Something may have become due.
    Appeared,
    /// Nothing has.
    Unchanged,
}

impl Memory {
    /// Takes over what a committed batch changed.
    pub(crate) fn apply(&mut self, effects: Effects) -> Work {
        let mut work = Work::Unchanged;
        for change in effects.lanes {
            if matches!(change, LaneChange::Due(..)) {
                work = Work::Appeared;
            }
            self.lanes.apply(change);
        }
        for (parcel, deliveries) in effects.admitted {
            self.parcels.insert(parcel, deliveries);
        }
        for message in effects.leased {
            self.parcels.leased(message);
        }
        for (key, expires) in effects.claimed {
            self.generations.claimed(key, expires);
        }
        self.listing.apply(effects.listing, effects.added);
        self.refused = self.refused.saturating_add_signed(effects.refused);
        work
    }
}

//! Gives each source its share of the requests under way, so that whoever knows one ingest URL
//! cannot keep everybody else out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hooklatch_core::ids::SourceId;

/// A source may have one in so many of all places.
const PARTS: usize = 4;

/// The requests under way, by source.
pub(crate) struct SourceShares {
    most: usize,
    /// Without the sources that have none.
    under_way: Mutex<HashMap<SourceId, usize>>,
}

/// The place of one request, which is free again when this is dropped.
pub(crate) struct Place {
    shares: Arc<SourceShares>,
    source: SourceId,
}

impl SourceShares {
    /// Shares of so many places.
    pub(crate) fn of(flights_max: usize) -> Arc<Self> {
        Arc::new(Self {
            most: (flights_max / PARTS).max(1),
            under_way: Mutex::default(),
        })
    }

    /// A place for one more request of a source; none where the source has its share already.
    pub(crate) fn enter(self: &Arc<Self>, source: SourceId) -> Option<Place> {
        let mut under_way = self.under_way();
        let count = under_way.entry(source).or_insert(0);
        if *count >= self.most {
            return None;
        }
        *count += 1;
        drop(under_way);
        Some(Place {
            shares: Arc::clone(self),
            source,
        })
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<SourceId, usize>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under_way = self.shares.under_way();
        if let Some(count) = under_way.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_a_quarter_of_the_places_and_leaves_nothing_behind() {
        let shares = SourceShares::of(8);
        let (one, other) = (SourceId::from_number(1), SourceId::from_number(2));
        let places = [shares.enter(one), shares.enter(one)];
        assert!(places.iter().all(Option::is_some));
        assert!(shares.enter(one).is_none());
        let others = shares.enter(other);
        assert!(others.is_some());
        drop(places);
        assert!(shares.enter(one).is_some());
        drop(others);
        assert!(shares.under_way().is_empty());
    }
}

//! Parcels that were admitted a moment ago, so that their first attempt reads nothing back.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use hooklatch_core::ids::MessageId;
use hooklatch_core::message::{Envelope, Parcel};

/// What a parcel takes beside its body and headers, roughly.
const OVERHEAD_BYTES: usize = 1024;

/// Places in the order that are not worth tidying.
const PLACES_MIN: usize = 1024;

/// The cache, bounded by bytes: the oldest go first.
#[derive(Debug)]
pub struct ParcelCache {
    bytes_max: usize,
    bytes: usize,
    parcels: HashMap<MessageId, Cached>,
    order: VecDeque<MessageId>,
}

#[derive(Debug)]
struct Cached {
    parcel: Arc<Parcel>,
    /// Deliveries that have not been leased for the first time.
    awaited: usize,
    bytes: usize,
}

impl ParcelCache {
    /// An empty cache.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: 0,
            parcels: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Keeps a parcel until as many deliveries have been leased, or room is needed.
    pub fn insert(&mut self, parcel: Arc<Parcel>, awaited: usize) {
        let bytes = parcel.body.len() + header_bytes(&parcel.envelope) + OVERHEAD_BYTES;
        let id = parcel.message.id;
        self.bytes += bytes;
        self.order.push_back(id);
        let cached = Cached {
            parcel,
            awaited,
            bytes,
        };
        let before = self.parcels.insert(id, cached);
        assert!(before.is_none(), "{id} was minted twice");
        while self.bytes > self.bytes_max {
            let oldest = self.order.pop_front();
            self.remove(oldest.expect("what takes room stands in the order"));
        }
    }

    /// A parcel, if it is still kept.
    pub fn get(&self, id: MessageId) -> Option<Arc<Parcel>> {
        self.parcels
            .get(&id)
            .map(|cached| Arc::clone(&cached.parcel))
    }

    /// Notes that one of a parcel's deliveries was leased.
    pub fn leased(&mut self, id: MessageId) {
        if let Some(cached) = self.parcels.get_mut(&id) {
            cached.awaited = cached.awaited.saturating_sub(1);
            if cached.awaited == 0 {
                self.remove(id);
            }
        }
        // What is removed out of order leaves its place behind.
        if self.order.len() > 2 * self.parcels.len() + PLACES_MIN {
            self.order.retain(|id| self.parcels.contains_key(id));
        }
    }

    fn remove(&mut self, id: MessageId) {
        if let Some(cached) = self.parcels.remove(&id) {
            self.bytes -= cached.bytes;
        }
    }
}

fn header_bytes(envelope: &Envelope) -> usize {
    let headers = envelope.headers.iter();
    headers.map(|(name, value)| name.len() + value.len()).sum()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hooklatch_core::fingerprint::Fingerprint;
    use hooklatch_core::ids::ProjectId;
    use hooklatch_core::message::{Direction, Message, Origin};
    use hooklatch_core::time::Timestamp;

    use super::*;

    fn parcel(number: i64, bytes: usize) -> Arc<Parcel> {
        let id = MessageId::from_number(number);
        let message = Message {
            id,
            project_id: ProjectId::from_number(1),
            request_id: id.as_request(),
            direction: Direction::Inbound,
            source_id: None,
            tenant: None,
            event_type: None,
            key: None,
            fingerprint: Fingerprint::from_bytes([0; 32]),
            origin: Origin::Accepted,
            received_at: Timestamp::default(),
            decided_at: Timestamp::default(),
            routed: true,
            routing: Vec::new(),
            suspected_duplicate_of: None,
            original_message_id: None,
            response_status: 200,
            target: None,
            extra_headers: Vec::new(),
            warnings: Vec::new(),
            payload_until: None,
            payload_pruned_at: None,
        };
        let body = Bytes::from(vec![0; bytes]);
        Arc::new(Parcel {
            message,
            envelope: Arc::default(),
            body,
        })
    }

    #[test]
    fn the_oldest_go_when_room_is_needed() {
        let mut cache = ParcelCache::new(2 * (OVERHEAD_BYTES + 10));
        for number in 1..=3 {
            cache.insert(parcel(number, 10), 1);
        }
        assert!(cache.get(MessageId::from_number(1)).is_none());
        assert!(cache.get(MessageId::from_number(3)).is_some());
        cache.insert(parcel(4, 100_000), 1);
        assert!(cache.parcels.is_empty());
        assert_eq!(cache.bytes, 0);
    }

    #[test]
    fn a_parcel_goes_with_the_last_of_its_first_leases_and_leaves_no_place_behind() {
        let mut cache = ParcelCache::new(100 << 20);
        cache.insert(parcel(1, 10), 9_999);
        for number in 2..10_000 {
            let id = MessageId::from_number(number);
            cache.insert(parcel(number, 10), 2);
            cache.leased(id);
            assert!(cache.get(id).is_some());
            cache.leased(id);
            assert!(cache.get(id).is_none());
        }
        assert!(cache.order.len() <= PLACES_MIN + 3, "{}", cache.order.len());
    }
}

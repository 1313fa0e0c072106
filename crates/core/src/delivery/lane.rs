//! What deliveries queue behind. A slow lane never delays another.
//!
//! Replays have a lane of their own to each endpoint, so that live traffic never queues behind
//! them (P4). Both share what the endpoint takes at once: see [`share`].

use crate::ids::{ConnectionId, EndpointId};

/// Set in the lanes of replays. Numbers of endpoints reach it in the year 2109.
const REPLAYS: i64 = 1 << 62;

/// What deliveries queue behind: one endpoint, or one host for messages that name a URL; for each
/// once for live traffic and once for replays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane(pub i64);

/// Whose deliveries a lane holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// What arrives, and its retries.
    Live,
    /// What replays send again.
    Replays,
}

impl Lane {
    /// The lane of an endpoint.
    pub const fn of_endpoint(endpoint: EndpointId) -> Self {
        Self(endpoint.number())
    }

    /// Where the deliveries of a connection wait while it is paused, so that they stand in nobody's
    /// way. Numbers of ids are never given twice, so that it never meets an endpoint's.
    pub const fn of_connection(connection: ConnectionId) -> Self {
        Self(connection.number())
    }

    /// This lane, for the same traffic as that one.
    #[must_use]
    pub const fn for_traffic_of(self, other: Self) -> Self {
        match other.traffic() {
            Traffic::Live => self.for_live(),
            Traffic::Replays => self.for_replays(),
        }
    }

    /// The lane of the URLs on one host. Negative, so that it never meets an endpoint's.
    pub fn of_host(host: &str) -> Self {
        // FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv): two hosts that share a lane by
        // chance only share its turn, so a short and stable hash is enough.
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for byte in host.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Self(-((hash >> 2) as i64).max(1))
    }

    /// Whose deliveries it holds.
    pub const fn traffic(self) -> Traffic {
        if self.0 >= REPLAYS || self.0 < -REPLAYS {
            Traffic::Replays
        } else {
            Traffic::Live
        }
    }

    /// The lane of live traffic to the same place.
    pub const fn for_live(self) -> Self {
        match self.traffic() {
            Traffic::Live => self,
            Traffic::Replays if self.0 > 0 => Self(self.0 - REPLAYS),
            Traffic::Replays => Self(self.0 + REPLAYS),
        }
    }

    /// The lane of replays to the same place.
    pub const fn for_replays(self) -> Self {
        match self.traffic() {
            Traffic::Replays => self,
            Traffic::Live if self.0 >= 0 => Self(self.0 + REPLAYS),
            Traffic::Live => Self(self.0 - REPLAYS),
        }
    }

    /// The other lane to the same place.
    pub const fn sibling(self) -> Self {
        match self.traffic() {
            Traffic::Live => self.for_replays(),
            Traffic::Replays => self.for_live(),
        }
    }
}

/// How many attempts at once replays may have of the `concurrency` that an endpoint takes: a
/// quarter, and one at least.
pub const fn share(concurrency: usize) -> usize {
    let quarter = concurrency / 4;
    if quarter == 0 { 1 } else { quarter }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p4_live_traffic_and_replays_to_one_place_have_two_lanes() {
        let endpoint = EndpointId::from_number(1_900_000_000_000 << 20 | 7);
        for live in [
            Lane::of_endpoint(endpoint),
            Lane::of_host("a.example"),
            Lane::of_host("b.example"),
            Lane(-1),
            Lane(-REPLAYS),
            Lane(REPLAYS - 1),
            Lane(0),
        ] {
            let replays = live.for_replays();
            assert_eq!(live.traffic(), Traffic::Live, "{live:?}");
            assert_eq!(replays.traffic(), Traffic::Replays, "{live:?}");
            assert_eq!((replays.for_live(), replays.sibling()), (live, live));
            assert_eq!((live.for_live(), live.sibling()), (live, replays));
            assert_eq!(replays.for_replays(), replays);
            assert_eq!(live.0 < 0, replays.0 < 0, "a host's lane stays a host's");
        }
    }

    #[test]
    fn p4_replays_have_a_quarter_and_one_at_least() {
        let shares = [1, 3, 4, 64, 1_000].map(share);
        assert_eq!(shares, [1, 1, 1, 16, 250]);
    }
}

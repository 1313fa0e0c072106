//! Which of the endpoints that a message goes to are ordered.

use hooklatch_core::delivery::lifecycle::Destination;
use hooklatch_core::delivery::order::Ordered;

use super::Snapshot;

impl Snapshot {
    /// Which endpoints among these destinations are ordered, and by what.
    pub fn ordered(&self, destinations: &[Destination]) -> Vec<Ordered> {
        let mut ordered: Vec<Ordered> = Vec::new();
        for endpoint in destinations.iter().filter_map(|it| it.endpoint_id) {
            let by = self
                .any_endpoint(endpoint)
                .and_then(|ready| ready.endpoint().ordered_by.clone());
            if let Some(by) = by
                && !ordered.iter().any(|known| known.endpoint == endpoint)
            {
                ordered.push(Ordered { endpoint, by });
            }
        }
        ordered
    }
}

//! Scans, in memory.

use hooklatch_core::ids::SourceId;
use hooklatch_core::message::{Direction, Message, Origin, Parcel, Request, RequestOutcome};

use super::{MemoryStore, State, StoredRequest, ready};
use crate::record::envelope;
use crate::{Answer, ScanOf, ScanPage, ScanStep, Scanned, Scans};

impl Scans for MemoryStore {
    fn scan(&self, step: ScanStep) -> Answer<'_, ScanPage> {
        ready(self.lock().map(|state| state.scan(&step)))
    }

    fn scan_size(&self, step: ScanStep, limit: usize) -> Answer<'_, usize> {
        ready(self.lock().map(|state| {
            let whole = ScanStep {
                rows_max: limit,
                bytes_max: usize::MAX,
                ..step
            };
            state.scan(&whole).arrivals.len()
        }))
    }
}

impl State {
    fn scan(&self, step: &ScanStep) -> ScanPage {
        let messages = self.messages.values();
        let messages = messages.filter(|parcel| takes_message(step, &parcel.message));
        let messages = messages.map(|parcel| self.scanned_message(parcel));
        let requests = self.requests.values();
        let requests = requests.filter(|stored| takes_request(step, &stored.request));
        let requests = requests.map(|stored| self.scanned_request(stored));
        let mut all: Vec<Scanned> = messages.chain(requests).collect();
        let inside = step.from..step.below;
        all.retain(|found| inside.contains(&found.request_id.number()));
        all.sort_unstable_by_key(|found| found.request_id);
        let mut bytes = 0;
        let mut page = ScanPage::default();
        for found in all {
            if page.arrivals.len() == step.rows_max || bytes >= step.bytes_max {
                page.next = Some(found.request_id.number());
                break;
            }
            bytes += found.body.as_ref().map_or(0, bytes::Bytes::len);
            page.arrivals.push(found);
        }
        page
    }

    fn scanned_message(&self, parcel: &Parcel) -> Scanned {
        let message = &parcel.message;
        Scanned {
            request_id: message.id.as_request(),
            message_id: Some(message.id),
            received_at: message.received_at,
            envelope: Some(envelope::encode(&parcel.envelope)),
            body: self.request_body(message.project_id, message.id.as_request()),
        }
    }

    fn scanned_request(&self, stored: &StoredRequest) -> Scanned {
        let request = &stored.request;
        Scanned {
            request_id: request.id,
            message_id: request.original_message_id,
            received_at: request.received_at,
            envelope: Some(envelope::encode(&stored.envelope)),
            body: self.request_body(request.project_id, request.id),
        }
    }
}

fn takes_message(step: &ScanStep, message: &Message) -> bool {
    let wanted = match step.of {
        ScanOf::Source(source) => comes_by(message, source) && message.origin != Origin::Released,
        ScanOf::Connection { source, .. } => match source {
            Some(source) => comes_by(message, source),
            None => message.direction == Direction::Outbound,
        },
    };
    wanted && message.project_id == step.project
}

fn comes_by(message: &Message, source: SourceId) -> bool {
    message.source_id == Some(source)
}

fn takes_request(step: &ScanStep, request: &Request) -> bool {
    let arrived = match step.of {
        ScanOf::Source(source) => request.source_id == Some(source),
        // What did not become a message never reached a connection.
        ScanOf::Connection { .. } => false,
    };
    let kept = request.outcome != RequestOutcome::Rejected;
    arrived && kept && request.project_id == step.project
}

//! Resources for tests, made as clients make them: from JSON.

use serde_json::{Value, json};

use super::{
    BuiltEndpoint, BuiltSource, Connection, ConnectionInput, ConnectionPlace, Endpoint,
    EndpointInput, EndpointPlace, FieldError, GroupFacts, Making, Source, SourceInput, SourcePlace,
};
use crate::address::Reach;
use crate::ids::{ConnectionId, EndpointId, GroupId, ProjectId, SourceId};
use crate::seal::SealingKey;
use crate::time::Timestamp;

/// A gateway with a clock and a random source of its own.
pub(crate) struct World {
    pub now: Timestamp,
    pub sealing_key: SealingKey,
    drawn: u8,
    number: i64,
}

impl World {
    pub fn new() -> Self {
        let now = Timestamp::from_millis(1_700_000_000_000);
        Self {
            now,
            sealing_key: SealingKey::from_bytes([7; 32]),
            drawn: 0,
            number: 0,
        }
    }

    pub fn with<T>(&mut self, work: impl FnOnce(&mut Making<'_>) -> T) -> T {
        let drawn = &mut self.drawn;
        work(&mut Making {
            project: ProjectId::from_number(1),
            now: self.now,
            reach: Reach::PublicOnly,
            sealing_key: &self.sealing_key,
            random: &mut |bytes| {
                *drawn = drawn.wrapping_add(1);
                bytes.fill(*drawn);
            },
        })
    }

    fn next(&mut self) -> i64 {
        self.number += 1;
        self.number
    }

    pub fn try_source(
        &mut self,
        input: SourceInput,
        existing: Option<&Source>,
        group: Option<GroupFacts<'_>>,
    ) -> Result<BuiltSource, Vec<FieldError>> {
        let new_id = SourceId::from_number(self.next());
        self.with(|making| {
            input.build(
                SourcePlace {
                    new_id,
                    existing,
                    group,
                },
                making,
            )
        })
    }

    pub fn source(&mut self, input: Value) -> Source {
        let input = SourceInput::from_json(input).unwrap();
        self.try_source(input, None, None).unwrap().source
    }

    pub fn patched_source(&mut self, existing: &Source, patch: Value) -> Source {
        let input = SourceInput::patched(existing, patch).unwrap();
        self.try_source(input, Some(existing), None).unwrap().source
    }

    pub fn refused_source(&mut self, input: Value) -> Vec<String> {
        let built = SourceInput::from_json(input);
        pointers(
            built
                .and_then(|input| self.try_source(input, None, None))
                .unwrap_err(),
        )
    }

    pub fn group_facts(&mut self) -> GroupFacts<'static> {
        let new_id = GroupId::from_number(self.next());
        GroupFacts {
            existing: None,
            others: &[],
            new_id,
        }
    }

    pub fn try_endpoint(
        &mut self,
        input: EndpointInput,
        existing: Option<&Endpoint>,
    ) -> Result<BuiltEndpoint, Vec<FieldError>> {
        let new_id = EndpointId::from_number(self.next());
        self.with(|making| input.build(EndpointPlace { new_id, existing }, making))
    }

    /// An endpoint with a name and an address, and these fields.
    pub fn endpoint(&mut self, fields: Value) -> Endpoint {
        let mut input = json!({"name": "shop", "url": "https://shop.example/hook"});
        input
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        let input = EndpointInput::from_json(input).unwrap();
        self.try_endpoint(input, None).unwrap().endpoint
    }

    pub fn refused_endpoint(&mut self, input: Value) -> Vec<String> {
        let built = EndpointInput::from_json(input);
        pointers(
            built
                .and_then(|input| self.try_endpoint(input, None))
                .unwrap_err(),
        )
    }

    pub fn try_connection(
        &mut self,
        input: ConnectionInput,
        existing: Option<&Connection>,
    ) -> Result<Connection, Vec<FieldError>> {
        let place = ConnectionPlace {
            new_id: ConnectionId::from_number(self.next()),
            existing,
            has_source: &|id| id.number() != 404,
            has_endpoint: &|id| id.number() != 404,
        };
        self.with(|making| input.build(place, making))
    }

    pub fn connection(&mut self, input: Value) -> Connection {
        let input = ConnectionInput::from_json(input).unwrap();
        self.try_connection(input, None).unwrap()
    }
}

pub(crate) fn pointers(errors: Vec<FieldError>) -> Vec<String> {
    errors.into_iter().map(|error| error.pointer).collect()
}

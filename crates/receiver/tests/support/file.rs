//! The file of vectors that the kits in every language read.

use serde::Deserialize;

#[derive(Deserialize)]
pub struct File {
    pub version: u8,
    pub keys: Vec<Key>,
    pub step_keys: Vec<StepKey>,
    pub signatures: Vec<Signature>,
    pub machine: Vec<Vector>,
    pub machine_more: Vec<Vector>,
    pub answers: Vec<Answer>,
}

#[derive(Deserialize)]
pub struct Key {
    pub name: String,
    pub tenant: String,
    pub source: String,
    pub consumer: String,
    pub parts: Vec<String>,
    pub scope_key: String,
}

#[derive(Deserialize)]
pub struct StepKey {
    pub name: String,
    pub scope_key: String,
    pub step: String,
    pub generation: u32,
    pub step_key: String,
}

#[derive(Deserialize)]
pub struct Signature {
    pub name: String,
    pub scheme: String,
    pub secrets: Vec<String>,
    pub headers: std::collections::BTreeMap<String, String>,
    pub body: String,
    pub now_seconds: i64,
    pub valid: bool,
}

/// What is answered when a store says this to the end of a run, in webhook mode.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    pub id: String,
    pub name: String,
    pub handler_status: u16,
    pub renew: Option<String>,
    pub complete: Option<String>,
    pub release: Option<String>,
    pub fail: Option<String>,
    pub status: u16,
    pub receipt: Option<String>,
}

#[derive(Deserialize, Clone)]
pub struct Vector {
    pub id: String,
    pub name: String,
    #[serde(default = "one")]
    pub rounds: u32,
    pub operations: Vec<Operation>,
}

#[derive(Deserialize, Clone, Debug)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Operation {
    Begin {
        key: String,
        fingerprint: String,
        lease_ms: u64,
        #[serde(default)]
        attempts_max: Option<u32>,
        #[serde(default)]
        force: bool,
        #[serde(default)]
        r#as: Option<String>,
        #[serde(default)]
        with_token: Option<String>,
        expect: Expect,
    },
    Complete {
        key: String,
        token: String,
        result: String,
        retention_ms: u64,
        expect: Expect,
    },
    Release {
        key: String,
        token: String,
        retry_after_ms: u64,
        error: String,
        expect: Expect,
    },
    Renew {
        key: String,
        token: String,
        lease_ms: u64,
        expect: Expect,
    },
    Fail {
        key: String,
        token: String,
        error: String,
        retention_ms: u64,
        expect: Expect,
    },
    SaveStep {
        key: String,
        token: String,
        step: String,
        result: String,
        expect: Expect,
    },
    LoadStep {
        key: String,
        generation: u32,
        step: String,
        expect: Found,
    },
    Lookup {
        key: String,
        expect: Expect,
    },
    Sweep {
        limit: u32,
    },
    Advance {
        ms: u64,
    },
    ParallelBegin {
        key: String,
        fingerprint: String,
        lease_ms: u64,
        count: usize,
        r#as: String,
        expect: Counts,
    },
    RaceCompleteBegin {
        key: String,
        token: String,
        result: String,
        retention_ms: u64,
        fingerprint: String,
        lease_ms: u64,
        expect: Winners,
    },
}

/// What is said is compared; what is not said may be anything.
#[derive(Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    pub outcome: Option<String>,
    pub state: Option<String>,
    pub attempt: Option<u32>,
    pub generation: Option<u32>,
    pub result: Option<String>,
    pub error: Option<String>,
}

#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Found {
    pub result: Option<String>,
}

#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    pub run: usize,
    pub busy: usize,
    pub attempt: u32,
}

#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub struct Winners {
    pub winners: usize,
}

fn one() -> u32 {
    1
}

pub fn file() -> File {
    let text = include_str!("../../vectors/receiver.json");
    serde_json::from_str(text).expect("the vectors are what this file says")
}

//! The scripts, which the kits of all languages share.

use redis::Script;

pub(super) struct Scripts {
    pub(super) claim: Script,
    pub(super) complete: Script,
    pub(super) release: Script,
    pub(super) renew: Script,
    pub(super) fail: Script,
    pub(super) save_step: Script,
    pub(super) lookup: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            claim: Script::new(include_str!("../../redis/claim.lua")),
            complete: Script::new(include_str!("../../redis/complete.lua")),
            release: Script::new(include_str!("../../redis/release.lua")),
            renew: Script::new(include_str!("../../redis/renew.lua")),
            fail: Script::new(include_str!("../../redis/fail.lua")),
            save_step: Script::new(include_str!("../../redis/save_step.lua")),
            lookup: Script::new(include_str!("../../redis/lookup.lua")),
        }
    }
}

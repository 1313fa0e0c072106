//! A key space that several sources share (C1): one event that a provider sends to two ingest
//! URLs is one message.
//!
//! Keys are only comparable if they are made and judged alike, so the group owns the mode, the
//! window, `on_conflict` and `fingerprint_exclude`, and its members follow. A group is founded by
//! the first source that names it, from that source's own settings. While it has one member only,
//! that member's settings are the group's.

use serde::{Deserialize, Serialize};

use super::{OnConflict, Record, Source, Window};
use crate::ids::{GroupId, ProjectId};
use crate::key::Mode;
use crate::location::WildPath;
use crate::time::Timestamp;

/// A group of sources.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Its id: the scope of its members' claims.
    pub id: GroupId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// What `key.group` says.
    pub name: String,
    /// How a key is made of several locations.
    pub mode: Mode,
    /// How long claims live.
    pub window: Window,
    /// What happens on the same key with another payload.
    pub on_conflict: OnConflict,
    /// What fingerprints leave out.
    pub fingerprint_exclude: Vec<WildPath>,
    /// When it was founded.
    pub created_at: Timestamp,
}

/// What is known of the group that a source names.
#[derive(Debug, Clone, Copy)]
pub struct GroupFacts<'a> {
    /// The group with that name in the project, if there is one.
    pub existing: Option<&'a Group>,
    /// The project's sources but for the one that is being saved, whether they are in it or not:
    /// one that has left may have claimed keys while it was.
    pub others: &'a [&'a Source],
    /// The id for a group that is founded now.
    pub new_id: GroupId,
}

impl GroupFacts<'_> {
    /// Whether another source is in the group.
    pub(super) fn has_other_members(&self) -> bool {
        let id = self.existing.map(|group| group.id);
        id.is_some() && self.others.iter().any(|source| source.group == id)
    }
}

impl Record for Group {
    const KIND: &'static str = "group";
}

impl Group {
    pub(super) fn founded_by(source: &Source, name: &str, mode: Mode, id: GroupId) -> Self {
        Self {
            id,
            project: source.project,
            name: name.to_owned(),
            mode,
            window: source.window,
            on_conflict: source.on_conflict,
            fingerprint_exclude: source.fingerprint_exclude.clone(),
            created_at: source.updated_at,
        }
    }

    /// Makes a member follow, and says what it had otherwise.
    pub(super) fn impose(&self, source: &mut Source) -> Vec<String> {
        let mut overridden = Vec::new();
        source.group = Some(self.id);
        if let Some(key) = source.key.as_mut().filter(|key| key.mode != self.mode) {
            key.mode = self.mode;
            overridden.push("key.mode");
        }
        if source.window != self.window {
            source.window = self.window;
            overridden.push("window_seconds");
        }
        if source.on_conflict != self.on_conflict {
            source.on_conflict = self.on_conflict;
            overridden.push("on_conflict");
        }
        if source.fingerprint_exclude != self.fingerprint_exclude {
            source
                .fingerprint_exclude
                .clone_from(&self.fingerprint_exclude);
            overridden.push("fingerprint_exclude");
        }
        let sentence = |field: &str| {
            format!(
                "{field} is the group's: the members of \"{}\" share it",
                self.name
            )
        };
        overridden.into_iter().map(sentence).collect()
    }
}

//! Which bodies go where a project may keep only so many bytes: the oldest.

use std::collections::BTreeMap;

use super::Cut;
use crate::ids::ProjectId;

/// Counts bodies from the youngest to the oldest, and notes where each project's room ends.
#[derive(Debug, Clone, Default)]
pub struct SizeCap {
    rooms: BTreeMap<ProjectId, Room>,
}

#[derive(Debug, Clone, Copy)]
struct Room {
    left: u64,
    /// The number below which everything goes.
    cut: Option<i64>,
}

impl SizeCap {
    /// Projects with the bytes that each may keep.
    pub fn new(projects: impl IntoIterator<Item = (ProjectId, u64)>) -> Self {
        let room = |(project, left)| (project, Room { left, cut: None });
        Self {
            rooms: projects.into_iter().map(room).collect(),
        }
    }

    /// Takes note of the next older body.
    pub fn see(&mut self, project: ProjectId, number: i64, bytes: u64) {
        let Some(room) = self.rooms.get_mut(&project) else {
            return;
        };
        if room.cut.is_some() {
            return;
        }
        match room.left.checked_sub(bytes) {
            Some(left) => room.left = left,
            None => room.cut = Some(number + 1),
        }
    }

    /// Whether nothing older needs to be seen.
    pub fn is_decided(&self) -> bool {
        self.rooms.values().all(|room| room.cut.is_some())
    }

    /// What is too much.
    pub fn cuts(&self) -> Vec<Cut> {
        let rooms = self.rooms.iter();
        let cut = |(project, room): (&ProjectId, &Room)| {
            let project = *project;
            room.cut.map(|before| Cut { project, before })
        };
        rooms.filter_map(cut).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ProjectId = ProjectId::from_number(1);
    const OTHER: ProjectId = ProjectId::from_number(2);

    #[test]
    fn the_oldest_bodies_are_too_much() {
        let mut cap = SizeCap::new([(ONE, 10)]);
        for (number, bytes) in [(9, 4), (7, 6), (5, 0), (3, 1), (1, 1)] {
            assert!(!cap.is_decided() || number < 3);
            cap.see(ONE, number, bytes);
            cap.see(OTHER, number, 1_000);
        }
        assert!(cap.is_decided());
        let (project, before) = (ONE, 4);
        assert_eq!(cap.cuts(), [Cut { project, before }]);
    }

    #[test]
    fn what_fits_stays() {
        let mut cap = SizeCap::new([(ONE, 10)]);
        cap.see(ONE, 2, 5);
        cap.see(ONE, 1, 5);
        assert!(cap.cuts().is_empty() && !cap.is_decided());
    }
}

//! `exclusive`: one worker at a time for the whole queue.

use super::{Candidates, Seat, Strategy, TaskInfo};

/// The heaviest when it is chosen, the oldest among equals. It stays, even if a heavier one joins, until it leaves: a
/// change means that two work at the same time for a while.
#[derive(Debug, Default)]
pub(super) struct Exclusive {
    active: Option<Seat>,
    /// In the order in which they joined.
    members: Vec<Seat>,
}

impl Strategy for Exclusive {
    fn pick(&mut self, workers: &Candidates, _: &TaskInfo<'_>) -> Option<Seat> {
        if self.active.is_none() {
            let weight = |seat: &Seat| workers.get(*seat).map_or(0.0, super::Member::weight);
            // `max_by` takes the last of equals.
            let heaviest = self.members.iter().rev().max_by(|a, b| weight(a).total_cmp(&weight(b)));
            self.active = heaviest.copied();
        }
        self.active.filter(|seat| workers.is_available(*seat))
    }

    fn joined(&mut self, _: &Candidates, seat: Seat) {
        self.members.push(seat);
    }

    fn left(&mut self, _: &Candidates, seat: Seat) {
        self.members.retain(|other| *other != seat);
        self.active = self.active.filter(|active| *active != seat);
    }
}

//! `weighted`: each gets its part, evenly spread over time.

use super::heap::Heap;
use super::{Candidates, Seat, Strategy, TaskInfo};

/// Earliest deadline first: each task moves its worker's deadline by one over its weight. A worker of weight 2 comes up
/// twice as often as one of weight 1, and never twice at once if it can be avoided.
#[derive(Debug, Default)]
pub(super) struct Weighted {
    available: Heap<f64>,
    /// By seat; kept while a worker is busy, so that being busy is no advantage.
    deadlines: Vec<f64>,
    /// The deadline of the last one picked.
    now: f64,
}

impl Weighted {
    fn deadline(&mut self, seat: Seat) -> &mut f64 {
        if self.deadlines.len() <= seat.index() {
            self.deadlines.resize(seat.index() + 1, 0.0);
        }
        // The table reaches that far, so there is no other.
        match self.deadlines.get_mut(seat.index()) {
            Some(deadline) => deadline,
            None => &mut self.now,
        }
    }
}

impl Strategy for Weighted {
    fn pick(&mut self, workers: &Candidates, _: &TaskInfo<'_>) -> Option<Seat> {
        let (deadline, seat) = self.available.first()?;
        self.now = self.now.max(deadline);
        // Who was away does not catch up: at most one turn of what it missed.
        let step = 1.0 / workers.weight(seat);
        let next = deadline.max(self.now - step) + step;
        *self.deadline(seat) = next;
        self.available.set(seat, next);
        Some(seat)
    }

    fn joined(&mut self, workers: &Candidates, seat: Seat) {
        // Half a turn ahead, so that equals who join together do not all begin together with the others.
        let first = self.now + 0.5 / workers.weight(seat);
        *self.deadline(seat) = first;
    }

    fn available(&mut self, _: &Candidates, seat: Seat) {
        let deadline = *self.deadline(seat);
        self.available.set(seat, deadline);
    }

    fn unavailable(&mut self, _: &Candidates, seat: Seat) {
        self.available.remove(seat);
    }
}

//! `round_robin`: in the order of the seats, skipping who cannot take a task now.

use super::bits::Bits;
use super::{Candidates, Seat, Strategy, TaskInfo};

#[derive(Debug, Default)]
pub(super) struct RoundRobin {
    available: Bits,
    /// Where the next turn begins.
    next: usize,
}

impl Strategy for RoundRobin {
    fn pick(&mut self, _: &Candidates, _: &TaskInfo<'_>) -> Option<Seat> {
        let seat = self.available.from(self.next).or_else(|| self.available.from(0))?;
        self.next = seat + 1;
        Some(Seat::new(seat))
    }

    fn available(&mut self, _: &Candidates, seat: Seat) {
        self.available.insert(seat.index());
    }

    fn unavailable(&mut self, _: &Candidates, seat: Seat) {
        self.available.remove(seat.index());
    }
}

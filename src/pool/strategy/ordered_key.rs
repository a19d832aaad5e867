//! `ordered_key`: a key stays with its worker.

use super::lru::Lru;
use super::{Candidates, Seat, Strategy, TaskInfo};

/// Who had the key last, if it can take the task; else the worker that has been idle for longest. That there is one task
/// of a key at a time, and in order, is the queue's part.
#[derive(Debug, Default)]
pub(super) struct OrderedKey(Lru);

impl Strategy for OrderedKey {
    fn pick(&mut self, workers: &Candidates, task: &TaskInfo<'_>) -> Option<Seat> {
        let sticky = task.last().filter(|seat| workers.is_available(*seat));
        let seat = sticky.or_else(|| self.0.first().map(Seat::new))?;
        self.0.touch(seat.index());
        Some(seat)
    }

    fn available(&mut self, workers: &Candidates, seat: Seat) {
        self.0.available(workers, seat);
    }

    fn unavailable(&mut self, workers: &Candidates, seat: Seat) {
        self.0.unavailable(workers, seat);
    }
}

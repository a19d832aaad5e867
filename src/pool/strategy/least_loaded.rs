//! `least_loaded`: the one with the most room for its size.

use super::heap::Heap;
use super::{Candidates, Seat, Strategy, TaskInfo};

/// `(in flight + 1) / (capacity * weight)`: what the load would be with one more.
pub(super) fn load(workers: &Candidates, seat: Seat) -> f64 {
    let Some(worker) = workers.get(seat) else { return f64::INFINITY };
    (f64::from(worker.in_flight()) + 1.0) / (f64::from(worker.capacity()) * workers.weight(seat))
}

#[derive(Debug, Default)]
pub(super) struct LeastLoaded {
    /// By load, then by how long ago the worker was last touched: a number that grows.
    available: Heap<(f64, u64)>,
    touched: u64,
}

impl LeastLoaded {
    fn set(&mut self, workers: &Candidates, seat: Seat) {
        self.touched += 1;
        self.available.set(seat, (load(workers, seat), self.touched));
    }
}

impl Strategy for LeastLoaded {
    fn pick(&mut self, _: &Candidates, _: &TaskInfo<'_>) -> Option<Seat> {
        self.available.first().map(|(_, seat)| seat)
    }

    fn available(&mut self, workers: &Candidates, seat: Seat) {
        self.set(workers, seat);
    }

    fn unavailable(&mut self, _: &Candidates, seat: Seat) {
        self.available.remove(seat);
    }

    fn loaded(&mut self, workers: &Candidates, seat: Seat) {
        if self.available.contains(seat) {
            self.set(workers, seat);
        }
    }
}

//! `random` and `p2c`: one of the available at random, or the less loaded of two.

use super::least_loaded::load;
use super::{Candidates, Seat, Strategy, TaskInfo};

#[derive(Debug)]
pub(super) struct Random(fastrand::Rng);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }
}

impl Strategy for Random {
    fn pick(&mut self, workers: &Candidates, _: &TaskInfo<'_>) -> Option<Seat> {
        self.0.choice(workers.available()).copied()
    }
}

#[derive(Debug)]
pub(super) struct TwoChoices(fastrand::Rng);

impl TwoChoices {
    pub(super) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }
}

impl Strategy for TwoChoices {
    fn pick(&mut self, workers: &Candidates, _: &TaskInfo<'_>) -> Option<Seat> {
        let available = workers.available();
        let first = self.0.usize(..available.len().max(1));
        // Any but the first, each with equal chances.
        let second = match available.len() {
            0 | 1 => first,
            len => (first + self.0.usize(1..len)) % len,
        };
        let (first, second) = (*available.get(first)?, *available.get(second)?);
        Some(if load(workers, second) < load(workers, first) { second } else { first })
    }
}

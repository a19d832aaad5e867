//! `least_response_time`: who will likely answer first.

use super::{Candidates, Seat, Strategy, TaskInfo};

/// Up to so many are all compared; of more, [`SAMPLES`] at random.
const EXACT: usize = 64;
const SAMPLES: usize = 5;

/// The textbook takes the lowest response time, and sends everybody to the same worker until its answers get slow. Here
/// what it already has counts, too: response time * (in flight + 1) / weight. A failure counts as slow, so that a worker
/// that fails fast attracts nothing.
#[derive(Debug)]
pub(super) struct LeastResponseTime(fastrand::Rng);

impl LeastResponseTime {
    pub(super) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }
}

/// What [`LeastResponseTime`] minimises.
pub(super) fn cost(workers: &Candidates, seat: Seat) -> f64 {
    let in_flight = workers.get(seat).map_or(0, super::Member::in_flight);
    let weight = workers.get(seat).map_or(1.0, super::Member::weight);
    workers.response_nanos(seat) * (f64::from(in_flight) + 1.0) / weight
}

impl Strategy for LeastResponseTime {
    fn pick(&mut self, workers: &Candidates, _: &TaskInfo<'_>) -> Option<Seat> {
        let available = workers.available();
        let least = |seats: &mut dyn Iterator<Item = Seat>| {
            seats
                .map(|seat| (cost(workers, seat), seat))
                .min_by(|a, b| a.0.total_cmp(&b.0))
                .map(|(_, seat)| seat)
        };
        if available.len() <= EXACT {
            // From anywhere, or the first of equals would get all.
            let start = self.0.usize(..available.len().max(1));
            let (behind, ahead) = available.split_at_checked(start)?;
            least(&mut ahead.iter().chain(behind).copied())
        } else {
            least(&mut (0..SAMPLES).filter_map(|_| self.0.choice(available).copied()))
        }
    }
}

//! `hash_shard`: key modulo workers, with a hash that moves fewer keys than a division would.

use super::consistent_hash::hash;
use super::{Candidates, Seat, Strategy, TaskInfo};

/// Jump hash over the workers in the order in which they joined. One that leaves gives its place to the last one, so
/// twice as many keys move as must; `consistent_hash` is better in everything but simplicity.
#[derive(Debug, Default)]
pub(super) struct HashShard(Vec<Seat>);

impl Strategy for HashShard {
    fn pick(&mut self, workers: &Candidates, task: &TaskInfo<'_>) -> Option<Seat> {
        let Some(key) = task.key() else { return workers.available().first().copied() };
        self.0.get(jump(hash(key), self.0.len())).copied()
    }

    fn joined(&mut self, _: &Candidates, seat: Seat) {
        self.0.push(seat);
    }

    fn left(&mut self, _: &Candidates, seat: Seat) {
        if let Some(place) = self.0.iter().position(|other| *other == seat) {
            self.0.swap_remove(place);
        }
    }
}

/// Which of `buckets` a key belongs to: with one bucket more, only keys for the new one move. The jumps grow like the
/// numbers of buckets at which a key would move, so it takes their logarithm.
fn jump(mut key: u64, buckets: usize) -> usize {
    let (mut bucket, mut next) = (0, 0);
    while next < buckets {
        bucket = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let uniform = ((key >> 33) + 1) as f64 / (1_u64 << 31) as f64;
        next = ((bucket as f64 + 1.0) / uniform) as usize;
    }
    bucket
}

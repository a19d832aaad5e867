//! How many tasks a worker has waiting beside those that it runs.

use std::time::Duration;

use tokio::time::Instant;

/// The most that wait for each place, and for all of them.
const MOST: (u32, u32) = (32, 1024);
/// Tasks that are measured before it is computed the first time, and between one time and the next.
const FIRST: u32 = 8;
const EVERY: u32 = 100;

/// How many tasks a worker has waiting beside those that it runs; for
/// [`WorkerBuilder::prefetch`](crate::pool::WorkerBuilder::prefetch).
///
/// ```
/// use sinew::pool::{Prefetch, Worker};
///
/// let worker = Worker::connect(["tcp://127.0.0.1:5570"]).queue("thumbnails").prefetch(Prefetch::Auto);
/// let other = Worker::connect(["tcp://127.0.0.1:5570"]).queue("thumbnails").prefetch(4);
/// # drop((worker, other));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Prefetch {
    /// So many; 0 is the default.
    Fixed(u32),
    /// As many as it could do while one is on its way from the broker: 1.25 times the measured time to the broker and
    /// back, divided by the measured time of a task, for each place. None where a task takes ten times as long as the
    /// way; at most 32 for each place, and 1024. Begins with none, is computed after 8 tasks and every 100, and
    /// costs two messages each time.
    Auto,
}

impl From<u32> for Prefetch {
    fn from(tasks: u32) -> Self {
        Self::Fixed(tasks)
    }
}

/// What [`Prefetch::Auto`] is computed from, for one broker.
#[derive(Debug)]
pub(super) struct Meter {
    capacity: u32,
    /// The mean time of a task, in seconds; 0 is unknown.
    service: f64,
    /// Tasks until the way is measured again.
    left: u32,
    asked: Option<Instant>,
    /// As the broker was told.
    pub(super) prefetch: u32,
}

impl Meter {
    pub(super) const fn new(capacity: u32) -> Self {
        Self { capacity, service: 0.0, left: FIRST, asked: None, prefetch: 0 }
    }

    /// A task has taken so long. Whether the broker is to be asked for an answer now.
    pub(super) fn ran(&mut self, took: Duration) -> bool {
        let took = took.as_secs_f64();
        self.service = if self.service > 0.0 { self.service * 0.9 + took * 0.1 } else { took };
        self.left = self.left.saturating_sub(1);
        let ask = self.left == 0 && self.asked.is_none();
        if ask {
            self.asked = Some(Instant::now());
        }
        ask
    }

    /// The broker has answered. By how many more tasks, or fewer, it is to give.
    pub(super) fn answered(&mut self) -> i32 {
        let Some(asked) = self.asked.take() else { return 0 };
        self.left = EVERY;
        let prefetch = target(self.service, asked.elapsed().as_secs_f64(), self.capacity);
        let more = i64::from(prefetch) - i64::from(self.prefetch);
        self.prefetch = prefetch;
        i32::try_from(more).unwrap_or(0)
    }

    /// The connection is a new one.
    pub(super) fn restart(&mut self) {
        (self.asked, self.left) = (None, FIRST);
    }
}

/// How many tasks are to wait, where one takes `service` and the way to the broker and back `way`, both in seconds.
fn target(service: f64, way: f64, capacity: u32) -> u32 {
    if service > 10.0 * way {
        return 0;
    }
    let (each, all) = MOST;
    let places = f64::from(capacity);
    // A float that is too large, or none, becomes the largest number, or 0.
    let wanted = (1.25 * way / service * places).ceil() as u32;
    wanted.min(each.saturating_mul(capacity)).min(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_wait_as_are_done_while_one_is_on_its_way() {
        let ms = 0.001;
        let cases = [
            (100.0 * ms, 1.0 * ms, 1, 0),
            (10.0 * ms, 1.0 * ms, 1, 1),
            (1.0 * ms, 1.0 * ms, 1, 2),
            (1.0 * ms, 4.0 * ms, 1, 5),
            (1.0 * ms, 4.0 * ms, 8, 40),
            (0.001 * ms, 1.0 * ms, 1, 32),
            (0.001 * ms, 1.0 * ms, 1000, 1024),
            (0.0, 1.0 * ms, 2, 64),
            (0.0, 0.0, 1, 0),
        ];
        for (service, way, capacity, expected) in cases {
            assert_eq!(target(service, way, capacity), expected, "{service} {way} {capacity}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_broker_is_asked_after_the_first_tasks_and_told_the_difference() {
        let mut meter = Meter::new(1);
        let took = Duration::from_millis(1);
        let asked = (1..).find(|_| meter.ran(took));
        assert_eq!(asked, Some(FIRST));
        assert!(!meter.ran(took), "one question at a time");
        tokio::time::advance(Duration::from_millis(4)).await;
        assert_eq!((meter.answered(), meter.prefetch), (5, 5));
        assert_eq!(meter.answered(), 0, "nobody had asked");
        assert_eq!((1..).find(|_| meter.ran(Duration::from_millis(100))), Some(EVERY));
        tokio::time::advance(Duration::from_millis(4)).await;
        assert_eq!((meter.answered(), meter.prefetch), (-5, 0));
    }
}

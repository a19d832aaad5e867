//! A strategy of a user's own. Once it has panicked it is asked nothing more, and whoever is available gets the tasks.

use super::{Candidates, Seat, Strategy, TaskInfo};
use crate::pool::caught::caught;

#[derive(Debug)]
pub(super) struct Custom(Option<Box<dyn Strategy>>);

impl Custom {
    pub(super) fn new(make: impl FnOnce() -> Box<dyn Strategy>) -> Self {
        Self(guarded(make))
    }

    fn tell<T>(&mut self, what: impl FnOnce(&mut dyn Strategy) -> T) -> Option<T> {
        let mut strategy = self.0.take()?;
        let told = guarded(|| what(&mut *strategy));
        if told.is_some() {
            self.0 = Some(strategy);
        } else {
            let _ = caught(|| drop(strategy));
        }
        told
    }
}

fn guarded<T>(run: impl FnOnce() -> T) -> Option<T> {
    let log = |error| tracing::error!(?error, "a custom strategy has panicked, and is used no more");
    caught(run).map_err(log).ok()
}

impl Strategy for Custom {
    fn pick(&mut self, workers: &Candidates, task: &TaskInfo<'_>) -> Option<Seat> {
        let picked = self.tell(|strategy| strategy.pick(workers, task));
        picked.unwrap_or_else(|| workers.available().first().copied())
    }

    fn joined(&mut self, workers: &Candidates, seat: Seat) {
        self.tell(|strategy| strategy.joined(workers, seat));
    }

    fn left(&mut self, workers: &Candidates, seat: Seat) {
        self.tell(|strategy| strategy.left(workers, seat));
    }

    fn available(&mut self, workers: &Candidates, seat: Seat) {
        self.tell(|strategy| strategy.available(workers, seat));
    }

    fn unavailable(&mut self, workers: &Candidates, seat: Seat) {
        self.tell(|strategy| strategy.unavailable(workers, seat));
    }

    fn loaded(&mut self, workers: &Candidates, seat: Seat) {
        self.tell(|strategy| strategy.loaded(workers, seat));
    }
}

impl Drop for Custom {
    fn drop(&mut self) {
        let _ = caught(|| drop(self.0.take()));
    }
}

//! Whether everything inside agrees with everything else.

use super::super::Scheduler;
use super::super::config::OVERHEAD;
use super::super::task::Place;

impl Scheduler {
    /// Counts everything anew, and finds no task that could go and does not.
    pub(in super::super) fn audit(&mut self) {
        let tasks = || self.tasks.slab.iter().map(|(_, task)| task);
        let waiting = tasks().filter(|task| !task.in_flight()).count() as u64;
        let in_flight =
            tasks().filter(|task| task.in_flight() && task.place != Place::Revoked).count() as u64;
        assert_eq!((self.totals.waiting, self.totals.in_flight), (waiting, in_flight));
        assert_eq!(self.tasks.taken(), tasks().map(|task| task.body.footprint() + OVERHEAD).sum::<usize>());
        let counters: Vec<_> = self.queues().into_iter().map(|queue| queue.counters).collect();
        assert_eq!(self.totals.accepted, counters.iter().map(|queue| queue.accepted).sum::<u64>());
        assert_eq!(self.totals.ended, counters.iter().map(|queue| queue.ended_total()).sum::<u64>());
        for (ix, worker) in self.workers.iter() {
            let holds = tasks().filter(|task| task.in_flight() && task.worker == ix).count();
            assert_eq!((worker.held(&self.tasks), worker.in_flight() as usize), (holds, holds));
            assert_eq!(self.workers.of(worker.session()), Some(ix));
        }
        self.queues.audit(&self.tasks, &self.workers, self.now);
    }
}

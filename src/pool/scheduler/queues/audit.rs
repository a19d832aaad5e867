//! Whether each queue agrees with the tasks and workers that there are.

use super::Queues;
use super::queue::Held;
use crate::pool::scheduler::task::{Place, Task, Tasks};
use crate::pool::scheduler::workers::Workers;
use crate::pool::strategy::Seat;
use crate::pool::time::Time;

impl Queues {
    /// Counts everything anew, and finds no task that could go and does not.
    pub(crate) fn audit(&mut self, tasks: &Tasks, workers: &Workers, now: Time) {
        for ix in 0..self.list.len() {
            self.audit_counts(ix, tasks);
            self.audit_classes(ix, workers);
            let queue = &mut self.list[ix];
            let next = queue.next_ready();
            assert!(
                !next || queue.waits_for_gate() || queue.closed(now).is_some(),
                "{ix} could give and does not"
            );
        }
        for (ix, worker) in workers.iter() {
            for at in worker.memberships() {
                let class = &self.list[at.queue as usize].classes[usize::from(at.class)];
                let member = class.workers.get(at.seat).expect("the seat is taken");
                assert_eq!((member.worker, member.in_flight()), (ix, worker.in_flight()));
                let available = class.workers.is_available(at.seat);
                assert_eq!(available, worker.is_open() && !at.resting, "{worker:?}");
            }
        }
    }

    fn audit_counts(&self, ix: usize, tasks: &Tasks) {
        let queue = &self.list[ix];
        let here = || tasks.slab.iter().map(|(_, task)| task).filter(|task| task.queue as usize == ix);
        let held = |which: &dyn Fn(&Task) -> bool| {
            let mut held = Held::default();
            here().filter(|task| which(task)).for_each(|task| held.add(task.body.footprint()));
            held
        };
        let aside = |task: &Task| {
            matches!(task.place, Place::Delayed | Place::Backoff | Place::Deferred | Place::KeyWait)
        };
        assert_eq!(queue.waiting, held(&|task| !task.in_flight()), "queue {ix}");
        assert_eq!(queue.aside, held(&aside), "queue {ix}");
        assert_eq!(queue.in_flight as usize, here().filter(|task| task.in_flight()).count(), "queue {ix}");
        let counters = queue.counters;
        let open = here().filter(|task| task.place != Place::Revoked).count() as u64;
        assert_eq!(counters.accepted, counters.ended_total() + open, "queue {ix}");
    }

    fn audit_classes(&self, ix: usize, workers: &Workers) {
        for (number, class) in (0..).zip(&self.list[ix].classes) {
            let seats: Vec<Seat> = class.workers.seats().collect();
            let available = seats.iter().filter(|seat| class.workers.is_available(**seat)).count();
            assert_eq!(available, class.workers.available().len());
            let members = seats.iter().filter_map(|seat| class.workers.get(*seat));
            let in_flight: u64 = members.map(|member| u64::from(member.in_flight())).sum();
            assert_eq!(in_flight, class.workers.in_flight());
            let here = |reserved| reserved == Some((u32::try_from(ix).unwrap(), number));
            let reserved = workers.iter().filter(|(_, worker)| here(worker.reserved())).count();
            assert_eq!(reserved, class.reserved as usize);
        }
    }
}

//! Whether everything inside agrees with everything else.

use std::collections::BTreeMap;

use super::super::Scheduler;
use super::super::config::OVERHEAD;
use super::super::task::Place;
use crate::pool::strategy::Seat;

impl Scheduler {
    /// Counts everything anew, and finds no task that could go and does not.
    pub(in super::super) fn audit(&mut self) {
        self.audit_tasks();
        self.audit_workers();
        for ix in 0..self.queues.len() {
            let now = self.now;
            let queue = &mut self.queues[ix];
            let next = queue.next_ready();
            let timed = queue.gate_timer != super::super::links::NIL;
            assert!(!next || timed || queue.closed(now).is_some(), "queue {ix} could give and does not");
        }
    }

    fn audit_tasks(&self) {
        let (mut waiting, mut in_flight, mut per_queue) =
            (0, 0, BTreeMap::<u32, (usize, usize, u32, usize)>::new());
        for (_, task) in &self.tasks.slab {
            let queue = per_queue.entry(task.queue).or_default();
            if task.in_flight() {
                in_flight += u64::from(task.place != Place::Revoked);
                queue.2 += 1;
            } else {
                waiting += 1;
                queue.0 += 1;
                queue.1 += task.body.size();
                let aside =
                    matches!(task.place, Place::Delayed | Place::Backoff | Place::Deferred | Place::KeyWait);
                queue.3 += usize::from(aside);
            }
        }
        let totals = self.totals();
        assert_eq!((totals.waiting, totals.in_flight), (waiting, in_flight));
        let taken = self.tasks.slab.iter().map(|(_, task)| task.body.size() + OVERHEAD);
        assert_eq!(self.taken, taken.sum::<usize>());
        for (ix, queue) in (0..).zip(&self.queues) {
            let counted = per_queue.get(&ix).copied().unwrap_or_default();
            assert_eq!(
                (queue.waiting, queue.bytes, queue.in_flight, queue.aside.tasks),
                counted,
                "queue {ix}"
            );
            let ended = queue.counters.ended_total();
            let zombies =
                self.tasks.slab.iter().filter(|(_, task)| task.queue == ix && task.place == Place::Revoked);
            let here = (queue.waiting + queue.in_flight as usize - zombies.count()) as u64;
            assert_eq!(queue.counters.accepted, ended + here, "queue {ix}");
        }
        let sum =
            |of: fn(&super::super::Counters) -> u64| self.queues.iter().map(|q| of(&q.counters)).sum::<u64>();
        assert_eq!(totals.accepted, sum(|counters| counters.accepted));
        assert_eq!(totals.ended, sum(|counters| counters.ended_total()));
    }

    fn audit_workers(&self) {
        for (ix, worker) in self.workers.iter() {
            let holds = worker.tasks.iter(&self.tasks.slab).count();
            assert_eq!(holds, worker.in_flight as usize);
            assert_eq!(self.worker_sessions.get(&worker.session), Some(&ix));
            for at in worker.memberships.iter() {
                let class = &self.queues[at.queue as usize].classes[usize::from(at.class)];
                let member = class.workers.get(at.seat).expect("the seat is taken");
                assert_eq!((member.worker, member.in_flight()), (ix, worker.in_flight));
                assert_eq!(class.workers.is_available(at.seat), worker.open() && !at.resting, "{worker:?}");
            }
        }
        for queue in &self.queues {
            for class in &queue.classes {
                let seats: Vec<Seat> = class.workers.seats().collect();
                let available = seats.iter().filter(|seat| class.workers.is_available(**seat)).count();
                assert_eq!(available, class.workers.available().len());
                let in_flight: u64 = seats
                    .iter()
                    .map(|seat| u64::from(class.workers.get(*seat).map_or(0, |member| member.in_flight())))
                    .sum();
                assert_eq!(in_flight, class.workers.in_flight());
                let reserved = self.workers.iter().filter(|(_, worker)| {
                    worker.reserved.is_some_and(|(ix, number)| {
                        let at = &self.queues[ix as usize].classes[usize::from(number)];
                        std::ptr::eq(at, class)
                    })
                });
                assert_eq!(reserved.count(), class.reserved as usize);
            }
        }
    }
}

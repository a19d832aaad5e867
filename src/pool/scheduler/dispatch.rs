//! Bringing tasks and workers together.

use super::Scheduler;
use super::links::{Ix, NIL, there};
use super::queues::{Closed, Next};
use super::task::{End, Place};
use crate::pool::protocol::{FailReason, Lease, ToWorker};
use crate::pool::strategy::Seat;
use crate::pool::time::Time;

impl Scheduler {
    /// Gives tasks of this queue to workers until there is nothing to give, or nobody to give it to.
    pub(super) fn dispatch(&mut self, ix: Ix) {
        loop {
            match self.queues.next(&mut self.tasks, ix, self.now) {
                Next::Nothing => return,
                Next::Closed(closed) => return self.wait_for_gate(ix, closed),
                Next::Expired(task) => self.end_waiting_task(task, End::Failed(FailReason::Expired)),
                Next::Give { task, worker, seat } => self.assign(task, worker, seat),
                Next::Reserve { class, worker } => self.reserve(ix, class, worker),
            }
        }
    }

    fn wait_for_gate(&mut self, ix: Ix, closed: Closed) {
        if let Closed::Rate(opens) = closed
            && let Some(queue) = self.queues.get_mut(ix)
        {
            queue.wait_for_gate(ix, opens, &mut self.wheel);
        }
    }

    /// Gives a waiting task to a worker that has credit.
    fn assign(&mut self, ix: Ix, worker_ix: Ix, seat: Seat) {
        let (now, id) = (self.now, self.tasks.id(ix));
        let client = self.tasks.get(ix).and_then(|task| self.clients.get(task.client));
        let service = client.map(|client| client.service()).unwrap_or_default();
        let go_on = self.queues.give(&mut self.tasks, ix, (seat, now), service);
        self.totals.waiting -= 1;
        self.totals.in_flight += 1;
        self.let_go_on(&go_on);
        let Some(task) = self.tasks.get_mut(ix) else { return };
        let Some(queue) = self.queues.get(task.queue) else { return };
        let Some(worker) = self.workers.get_mut(worker_ix) else { return };
        let redelivered = task.starts > 0 || task.was_out;
        task.attempt = task.attempt.wrapping_add(1);
        (task.worker, task.moment, task.begun) = (worker_ix, now, false);
        task.worker_lost = false;
        task.place = Place::Leased;
        if !worker.reports_starts() {
            task.begin();
            task.place = Place::Running;
        }
        // The copy stays, as with results.
        let kept = task.body.clone();
        let body = std::mem::replace(&mut task.body, kept);
        let trace = task.extra.as_ref().and_then(|extra| extra.trace.as_ref());
        let trace = trace.map(|trace| trace.given(worker.name(), task.attempt));
        let said = ToWorker::Task {
            lease: Lease { task: id, attempt: task.attempt },
            queue: queue.name().clone(),
            budget: (task.deadline < Time::MAX).then(|| task.deadline.since(now)),
            redelivered,
            trace,
            body,
        };
        tracing::trace!(task = id.0, attempt = task.attempt, queue = ?queue.name(), worker = ?worker.name(), "given");
        worker.take(&mut self.tasks, ix);
        self.queues.update(worker);
        let session = worker.session();
        self.tell_worker(session, said);
    }

    /// What a worker has, or whether it takes more, has changed.
    pub(super) fn update_worker(&mut self, ix: Ix) {
        if let Some(worker) = self.workers.get(ix) {
            self.queues.update(worker);
        }
    }

    /// A worker may have room again: what can go to it, goes.
    pub(super) fn offer(&mut self, ix: Ix) {
        let Some(worker) = self.workers.get(ix) else { return };
        let reserved = worker.reserved().filter(|_| worker.in_flight() == 0);
        if let Some((queue, class)) = reserved {
            self.run_alone(ix, queue, class);
        }
        self.update_worker(ix);
        if let Some((queue, _)) = reserved {
            // It may not be kept free any more, which lets another one be.
            self.dispatch(queue);
        }
        let Some(worker) = self.workers.get_mut(ix) else { return };
        let (count, first) = worker.next_offer();
        for step in 0..count {
            let Some(worker) = self.workers.get(ix) else { return };
            let Some(at) = there(worker.memberships().get((first + step) % count)) else { return };
            let queue = at.queue;
            // That it had room for a moment has set a strategy thinking again that wanted none of the others.
            if worker.is_open() || self.queues.get(queue).is_some_and(|queue| queue.is_choosy()) {
                self.dispatch(queue);
            }
        }
    }

    /// Keeps a worker free for the tasks of a class that must run alone.
    fn reserve(&mut self, queue: Ix, class: u16, ix: Ix) {
        let Some(worker) = self.workers.get_mut(ix) else { return };
        worker.reserve(queue, class);
        self.queues.update(worker);
        if worker.in_flight() == 0 {
            self.run_alone(ix, queue, class);
        }
    }

    /// Gives the next task that must run alone to a worker that was kept free for it and has nothing; if it cannot be
    /// given, the worker is free for all again.
    fn run_alone(&mut self, ix: Ix, queue: Ix, class: u16) {
        loop {
            let Some(worker) = self.workers.get(ix) else { return };
            let seat = worker.seat(queue, class).filter(|_| worker.is_fit());
            match (self.queues.alone(queue, class, self.now), seat) {
                (Some((task, None)), Some(seat)) => {
                    if self.tasks.get(task).is_none_or(|task| task.deadline > self.now) {
                        return self.assign(task, ix, seat);
                    }
                    self.end_waiting_task(task, End::Failed(FailReason::Expired));
                }
                (next, _) => {
                    if let Some((_, Some(closed))) = next {
                        self.wait_for_gate(queue, closed);
                    }
                    return self.free_reserved(ix);
                }
            }
        }
    }

    /// A worker is no longer kept free.
    pub(super) fn free_reserved(&mut self, ix: Ix) {
        let Some(worker) = self.workers.get_mut(ix) else { return };
        if let Some((queue, class)) = worker.unreserve() {
            self.queues.unreserve(queue, class);
        }
        self.queues.update(worker);
    }

    /// Takes a task off its worker: the worker's answer, or its end. Whose turn it is then, is the caller's to say.
    pub(super) fn give_back(&mut self, ix: Ix) {
        let Some(task) = self.tasks.get_mut(ix) else { return };
        let worker = std::mem::replace(&mut task.worker, NIL);
        if task.place != Place::Revoked {
            self.totals.in_flight -= 1;
        }
        self.queues.take_back(&mut self.tasks, ix);
        if let Some(worker) = self.workers.get_mut(worker) {
            worker.let_go(&mut self.tasks, ix);
        }
    }
}

//! Bringing tasks and workers together.

use super::Scheduler;
use super::links::{Ix, List, NIL};
use super::queue::{Closed, Queue};
use super::task::{End, Place};
use super::wheel::Timer;
use super::workers::Membership;
use crate::pool::protocol::{FailReason, Lease, ToWorker};
use crate::pool::strategy::{Seat, TaskInfo};
use crate::pool::time::Time;

/// What could go next.
#[derive(Debug, Clone, Copy)]
enum Next {
    /// The worker for which a task was kept has room.
    Parked(u16, Seat),
    /// A task must run alone, and a worker could be kept free for it.
    Solo(u16),
    /// Level and class of an ordinary task.
    Line(u8, u16),
}

impl Queue {
    fn next_step(&mut self) -> Option<Next> {
        for (number, class) in (0_u16..).zip(&mut self.classes) {
            if let Some(seat) = class.next_owed() {
                return Some(Next::Parked(number, seat));
            }
            if class.may_reserve() && class.can_give() {
                return Some(Next::Solo(number));
            }
        }
        self.next().map(|(level, class)| Next::Line(level, class))
    }
}

impl Scheduler {
    /// Gives tasks of this queue to workers until there is nothing to give, or nobody to give it to.
    pub(super) fn dispatch(&mut self, ix: Ix) {
        loop {
            let now = self.now;
            let Some(queue) = self.queue_mut(ix) else { return };
            let Some(next) = queue.next_step() else { return };
            if let Some(closed) = queue.closed(now) {
                self.wait_for_gate(ix, closed);
                return;
            }
            match next {
                Next::Parked(class, seat) => self.give_parked(ix, class, seat),
                Next::Solo(class) => self.reserve(ix, class),
                Next::Line(level, class) => self.give_next(ix, level, class),
            }
        }
    }

    fn wait_for_gate(&mut self, ix: Ix, closed: Closed) {
        if let Closed::Rate(opens) = closed
            && let Some(queue) = self.queues.get_mut(ix as usize)
            && queue.gate_timer == NIL
        {
            queue.gate_timer = self.wheel.set(opens, Timer::Queue(ix));
        }
    }

    fn give_next(&mut self, queue_ix: Ix, level: u8, class_number: u16) {
        let now = self.now;
        let Some(queue) = self.queues.get_mut(queue_ix as usize) else { return };
        let Some(class) = queue.classes.get_mut(usize::from(class_number)) else { return };
        let Some(ix) = class.levels.front(&mut self.flows, level) else { return };
        let Some(task) = self.tasks.get(ix) else { return };
        if task.deadline <= now {
            self.end_waiting_task(ix, End::Failed(FailReason::Expired));
            return;
        }
        let last = queue.keys.get(task.key).and_then(|key| key.last);
        let info = TaskInfo {
            id: u64::from(task.serial),
            key: task.key().map(|key| &**key),
            last: last.filter(|(class, _)| *class == class_number).map(|(_, seat)| seat),
        };
        class.workers.set_now(now);
        let pick = class.strategy.pick(&class.workers, &info);
        match pick.and_then(|seat| Some((seat, class.workers.get(seat)?.worker))) {
            None => {
                class.stuck = true;
                queue.choosy = true;
            }
            Some((seat, worker)) if class.workers.is_available(seat) => {
                queue.advance(level, class_number);
                self.assign(ix, worker, seat);
            }
            Some((seat, _)) => self.park(ix, seat),
        }
    }

    /// Keeps a task for a worker that has no room.
    fn park(&mut self, ix: Ix, seat: Seat) {
        self.step_out(ix);
        let Some(task) = self.tasks.get_mut(ix) else { return };
        task.place = Place::Parked;
        task.worker = seat.raw();
        let (queue, class) = (task.queue, task.class);
        if let Some(class) = self.queues.get_mut(queue as usize).and_then(|queue| queue.class(class)) {
            class.park(&mut self.tasks.slab, seat, ix);
        }
    }

    fn give_parked(&mut self, queue: Ix, class: u16, seat: Seat) {
        let now = self.now;
        let Some(class) = self.queue_mut(queue).and_then(|queue| queue.class(class)) else { return };
        let worker = class.workers.get(seat).map(|member| member.worker);
        let Some((ix, worker)) = class.parked(seat).and_then(|list| list.front()).zip(worker) else { return };
        if self.tasks.get(ix).is_some_and(|task| task.deadline <= now) {
            self.end_waiting_task(ix, End::Failed(FailReason::Expired));
        } else {
            self.assign(ix, worker, seat);
        }
    }

    /// All tasks that are parked in a class go back in line: who they are for may have changed.
    pub(super) fn unpark_all(&mut self, queue: Ix, class: u16) {
        let class_of = |scheduler: &mut Self| -> Option<Ix> {
            let class = scheduler.queue_mut(queue)?.class(class)?;
            class.last_parked()
        };
        while let Some(ix) = class_of(self) {
            self.step_out(ix);
            self.line_up(ix, true);
        }
    }

    /// Gives a waiting task to a worker that has credit.
    fn assign(&mut self, ix: Ix, worker_ix: Ix, seat: Seat) {
        let flow = self.tasks.get(ix).map_or(NIL, |task| task.flow);
        self.charge(ix, flow);
        self.step_out(ix);
        self.end_waiting(ix);
        let (now, id) = (self.now, self.tasks.id(ix));
        let Some(task) = self.tasks.get_mut(ix) else { return };
        let Some(queue) = self.queues.get_mut(task.queue as usize) else { return };
        let Some(worker) = self.workers.get_mut(worker_ix) else { return };
        let redelivered = task.starts > 0 || task.was_out;
        task.attempt = task.attempt.wrapping_add(1);
        (task.worker, task.moment, task.flow, task.begun) = (worker_ix, now, flow, false);
        task.worker_lost = false;
        task.place = Place::Leased;
        if !worker.reports_starts {
            task.begin();
            task.place = Place::Running;
        }
        if let Some(key) = queue.keys.get_mut(task.key) {
            key.last = Some((task.class, seat));
        }
        if let Some(gate) = &mut queue.gate {
            gate.pass(now);
        }
        queue.in_flight += 1;
        queue.counters.dispatched += 1;
        self.totals.in_flight += 1;
        // The copy stays, as with results.
        let kept = task.body.clone();
        let body = std::mem::replace(&mut task.body, kept);
        let trace = task.extra.as_ref().and_then(|extra| extra.trace.as_ref());
        let trace = trace.map(|trace| trace.given(&worker.about.name, task.attempt));
        let said = ToWorker::Task {
            lease: Lease { task: id, attempt: task.attempt },
            queue: queue.name.clone(),
            budget: (task.deadline < Time::MAX).then(|| task.deadline.since(now)),
            redelivered,
            trace,
            body,
        };
        tracing::trace!(task = id.0, attempt = task.attempt, queue = ?queue.name, worker = ?worker.about.name, "given");
        worker.tasks.push_back(&mut self.tasks.slab, ix);
        worker.in_flight += 1;
        let session = worker.session;
        self.tell_worker(session, said);
        self.update_worker(worker_ix);
    }

    /// Has the client pay for the worker's time.
    fn charge(&mut self, ix: Ix, flow: Ix) {
        let Some(task) = self.tasks.get(ix) else { return };
        let Some(queue) = self.queues.get_mut(task.queue as usize) else { return };
        let own = self.clients.get(task.client).map_or(0.0, |client| client.service);
        let cost = if own > 0.0 && queue.service > 0.0 { own / queue.service } else { 1.0 };
        self.flows.charge(flow, cost);
    }

    /// Tells all places where a worker is a candidate how much it has, and whether it can take more.
    pub(super) fn update_worker(&mut self, ix: Ix) {
        let Some(worker) = self.workers.get(ix) else { return };
        let (open, in_flight) = (worker.open(), worker.in_flight);
        for Membership { queue, class, seat, resting } in worker.memberships.iter() {
            let queue = self.queues.get_mut(*queue as usize);
            if let Some(class) = queue.and_then(|queue| queue.class(*class)) {
                class.set_in_flight(*seat, in_flight);
                class.set_available(*seat, open && !resting);
            }
        }
    }

    /// A worker may have room again: what can go to it, goes.
    pub(super) fn offer(&mut self, ix: Ix) {
        let Some(worker) = self.workers.get(ix) else { return };
        let reserved = worker.reserved.filter(|_| worker.in_flight == 0);
        if reserved.is_some() {
            self.run_alone(ix);
        }
        self.update_worker(ix);
        if let Some((queue, _)) = reserved {
            // It may not be kept free any more, which lets another one be.
            self.dispatch(queue);
        }
        let Some(worker) = self.workers.get_mut(ix) else { return };
        let (count, start) = (worker.memberships.len(), worker.turn as usize);
        worker.turn = if start + 1 < count { worker.turn + 1 } else { 0 };
        for step in 0..count {
            let Some(worker) = self.workers.get(ix) else { return };
            let Some(Membership { queue, .. }) = worker.memberships.get((start + step) % count).copied()
            else {
                return;
            };
            // That it had room for a moment has set a strategy thinking again that wanted none of the others.
            if worker.open() || self.queue(queue).is_some_and(|queue| queue.choosy) {
                self.dispatch(queue);
            }
        }
    }

    /// Keeps a worker free for the tasks of a class that must run alone.
    fn reserve(&mut self, queue_ix: Ix, class_number: u16) {
        let now = self.now;
        let Some(queue) = self.queues.get_mut(queue_ix as usize) else { return };
        let Some(class) = queue.class(class_number) else { return };
        let Some(task) = class.solo.front().and_then(|ix| self.tasks.get(ix)) else { return };
        let key = task.key().map(|key| &**key);
        class.workers.set_now(now);
        let pick =
            class.strategy.pick(&class.workers, &TaskInfo { id: u64::from(task.serial), key, last: None });
        let available = class.workers.available().first().copied();
        let seat =
            pick.and_then(|seat| if class.workers.is_available(seat) { Some(seat) } else { available });
        let Some(ix) = seat.and_then(|seat| Some(class.workers.get(seat)?.worker)) else {
            class.stuck = true;
            queue.choosy = true;
            return;
        };
        class.reserved += 1;
        let Some(worker) = self.workers.get_mut(ix) else { return };
        worker.reserved = Some((queue_ix, class_number));
        let idle = worker.in_flight == 0;
        self.update_worker(ix);
        if idle {
            self.run_alone(ix);
        }
    }

    /// Gives the next task that must run alone to a worker that was kept free and has nothing; if it cannot be given,
    /// the worker is free for all again.
    fn run_alone(&mut self, ix: Ix) {
        loop {
            let now = self.now;
            let Some(worker) = self.workers.get(ix) else { return };
            let Some((queue_ix, class_number)) = worker.reserved else { return };
            let fit = worker.fit();
            let mut places = worker.memberships.iter().filter(|at| !at.resting);
            let seat = places.find(|at| (at.queue, at.class) == (queue_ix, class_number)).map(|at| at.seat);
            let Some(queue) = self.queue_mut(queue_ix) else { return };
            let closed = queue.closed(now);
            let next = queue.class(class_number).and_then(|class| class.solo.front());
            match (next, seat, closed) {
                (Some(task), Some(seat), None) if fit => {
                    if self.tasks.get(task).is_some_and(|task| task.deadline <= now) {
                        self.end_waiting_task(task, End::Failed(FailReason::Expired));
                        continue;
                    }
                    self.assign(task, ix, seat);
                }
                (next, _, closed) => {
                    if let Some(closed) = closed.filter(|_| next.is_some()) {
                        self.wait_for_gate(queue_ix, closed);
                    }
                    self.free_reserved(ix);
                }
            }
            return;
        }
    }

    /// A worker is no longer kept free.
    pub(super) fn free_reserved(&mut self, ix: Ix) {
        let Some(worker) = self.workers.get_mut(ix) else { return };
        if let Some((queue, class)) = worker.reserved.take()
            && let Some(class) = self.queue_mut(queue).and_then(|queue| queue.class(class))
        {
            class.reserved = class.reserved.saturating_sub(1);
        }
        self.update_worker(ix);
    }

    /// Takes a task off its worker: the worker's answer, or its end. Whose turn it is then, is the caller's to say.
    pub(super) fn give_back(&mut self, ix: Ix) {
        let Some(task) = self.tasks.get_mut(ix) else { return };
        let worker = std::mem::replace(&mut task.worker, NIL);
        let (queue, flow, revoked) = (task.queue, task.flow, task.place == Place::Revoked);
        task.flow = NIL;
        if !revoked {
            self.totals.in_flight -= 1;
        }
        if let Some(queue) = self.queues.get_mut(queue as usize) {
            queue.in_flight -= 1;
            self.flows.discharge(&mut queue.lone, flow);
        }
        if let Some(worker) = self.workers.get_mut(worker) {
            let mut list: List = worker.tasks;
            list.remove(&mut self.tasks.slab, ix);
            worker.tasks = list;
            worker.in_flight -= 1;
        }
    }
}

#[cfg(test)]
impl Queue {
    /// Whether a task could go, were it not for the queue's own limits.
    pub(super) fn next_ready(&mut self) -> bool {
        self.next_step().is_some()
    }
}

//! Who is there: workers and clients that come, fall silent, and go.

use std::collections::HashSet;
use std::time::Duration;

use super::Scheduler;
use super::links::{Ix, NIL};
use super::task::Place;
use super::wheel::Timer;
use super::workers::{Membership, Worker};
use crate::message::Frame;
use crate::pool::policy::Delivery;
use crate::pool::protocol::{FailReason, Lease, Session, ToWorker, WorkerHello};
use crate::pool::time::Time;

/// The most queues that a worker may serve, and the most tags that it may have.
const MAX_QUEUES: usize = 4096;
const MAX_TAGS: usize = 64;

/// How a worker goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// Its connection ended without a word: what it had begun may be why.
    Lost,
    /// It was silent for too long. It may still be at work.
    Silent,
    /// It said so.
    Bye,
}

impl Scheduler {
    /// A worker introduces itself; if it did before, what it does not say it is running goes to others.
    pub(super) fn worker_joins(&mut self, session: Session, mut hello: WorkerHello) {
        let running = std::mem::take(&mut hello.running);
        let mut queues = std::mem::take(&mut hello.queues);
        hello.tags.truncate(MAX_TAGS);
        queues.truncate(MAX_QUEUES);
        let old = self.worker_sessions.get(&session).copied();
        let granted = i64::from(hello.capacity) + i64::from(hello.prefetch);
        let ix = self.workers.insert(Worker::new(self.now, session, hello));
        self.worker_sessions.insert(session, ix);
        for lease in running.into_iter().take(usize::try_from(granted).unwrap_or(0)) {
            self.reattach(ix, lease);
        }
        if let Some(old) = old {
            self.remove_worker(old, Leave::Bye);
            self.worker_sessions.insert(session, ix);
        }
        let (heartbeat, liveness) = (self.config.heartbeat, self.config.liveness);
        self.tell_worker(session, ToWorker::Welcome { heartbeat, liveness });
        let mut joined = HashSet::with_capacity(queues.len());
        for name in &queues {
            if let Some(queue) = self.queue_named(name, self.config.on_demand)
                && joined.insert(queue)
            {
                self.join_queue(ix, queue);
            }
        }
        let beat = self.now + self.beat();
        if let Some(worker) = self.workers.get_mut(ix) {
            worker.timer = self.wheel.set(beat, Timer::Worker(ix));
            tracing::debug!(worker = ?worker.about.name, address = ?worker.about.address, "joined");
        }
        self.offer(ix);
        let memberships = self.workers.get(ix).map_or(0, |worker| worker.memberships.len());
        for nth in 0..memberships {
            // The newcomer may be what others could do something with, even if it has no room itself.
            if let Some(at) = self.workers.get(ix).and_then(|worker| worker.memberships.get(nth)) {
                self.dispatch(at.queue);
            }
        }
    }

    fn join_queue(&mut self, ix: Ix, queue_ix: Ix) {
        let Some(worker) = self.workers.get(ix) else { return };
        let Some(queue) = self.queue(queue_ix) else { return };
        let fitting = queue.classes.iter().zip(0_u16..).filter(|(class, _)| class.fits(&worker.about.tags));
        let fitting: Vec<u16> = fitting.map(|(_, number)| number).collect();
        for class in fitting {
            self.unpark_all(queue_ix, class);
            self.join_class(ix, queue_ix, class);
        }
    }

    /// Makes a worker a candidate for the tasks of a class, if it has the tags.
    pub(super) fn join_class(&mut self, ix: Ix, queue: Ix, class_number: u16) {
        let Some(worker) = self.workers.get_mut(ix) else { return };
        let class = self.queues.get_mut(queue as usize).and_then(|queue| queue.class(class_number));
        if let Some(class) = class.filter(|class| class.fits(&worker.about.tags)) {
            let seat = class.join(ix, worker.about.name.clone(), worker.capacity, worker.about.weight);
            let resting = self.rests.is_resting(ix, queue);
            worker.memberships.push(Membership { queue, class: class_number, resting, seat });
            // Not in all its other places again, of which it may have thousands.
            class.set_in_flight(seat, worker.in_flight);
            class.set_available(seat, worker.open() && !resting);
        }
    }

    /// A worker says that it is still at a task, and is believed if nobody was given it since.
    fn reattach(&mut self, worker_ix: Ix, lease: Lease) {
        let Some(ix) = self.tasks.find(lease.task) else { return };
        let Some(task) = self.tasks.get(ix).filter(|task| task.attempt == lease.attempt) else { return };
        if task.attempt == 0 || task.place == Place::Revoked || task.worker == worker_ix {
            return;
        }
        if task.in_flight() {
            let (holder, now) = (task.worker, self.now);
            // Its last connection has not been seen to end yet.
            let name = |worker: &Worker| worker.about.name.clone();
            if self.workers.get(holder).map(name) != self.workers.get(worker_ix).map(name) {
                return;
            }
            tracing::debug!(task = lease.task.0, ?now, "moved with its worker");
            self.give_back(ix);
            self.update_worker(holder);
        } else {
            self.step_out(ix);
            self.end_waiting(ix);
        }
        let Some(task) = self.tasks.get_mut(ix) else { return };
        let Some(worker) = self.workers.get_mut(worker_ix) else { return };
        task.begin();
        if std::mem::take(&mut task.worker_lost) {
            // It did not take the worker down, only the connection broke.
            task.crashes = task.crashes.saturating_sub(1);
        }
        (task.place, task.worker) = (Place::Running, worker_ix);
        let queue = task.queue;
        worker.tasks.push_back(&mut self.tasks.slab, ix);
        worker.in_flight += 1;
        self.totals.in_flight += 1;
        if let Some(queue) = self.queue_mut(queue) {
            queue.in_flight += 1;
        }
        self.arm(ix);
    }

    fn beat(&self) -> Duration {
        self.config.heartbeat.max(Duration::from_millis(1))
    }

    /// Whatever a worker says shows that it is there.
    pub(super) fn worker_spoke(&mut self, ix: Ix) {
        let now = self.now;
        let Some(worker) = self.workers.get_mut(ix) else { return };
        worker.seen = now;
        if std::mem::take(&mut worker.suspect) {
            tracing::debug!(worker = ?worker.about.name, "is back");
            self.offer(ix);
        }
    }

    /// Time for a heartbeat, and to see whether there was one.
    pub(super) fn worker_due(&mut self, ix: Ix) {
        let (now, beat) = (self.now, self.beat());
        let liveness = self.config.liveness.max(1);
        let Some(worker) = self.workers.get_mut(ix) else { return };
        worker.timer = NIL;
        let dies = worker.seen + beat.saturating_mul(liveness);
        if dies <= now {
            tracing::debug!(worker = ?worker.about.name, "silent for too long");
            self.totals.silent += 1;
            self.remove_worker(ix, Leave::Silent);
            return;
        }
        // Half an interval more than one: a heartbeat that is a moment late is not missing.
        let suspected = worker.seen + beat.mul_f64(1.5);
        if suspected <= now && !worker.suspect {
            worker.suspect = true;
            tracing::debug!(worker = ?worker.about.name, "has missed a heartbeat");
            self.update_worker(ix);
        }
        let Some(worker) = self.workers.get_mut(ix) else { return };
        let mut next = dies;
        if suspected > now {
            next = next.min(suspected);
        }
        if worker.about.beaten + beat <= now {
            worker.about.beaten = now;
            let session = worker.session;
            self.tell_worker(session, ToWorker::Heartbeat);
        }
        if let Some(worker) = self.workers.get_mut(ix) {
            next = next.min(worker.about.beaten + beat).max(now + Duration::from_millis(1));
            worker.timer = self.wheel.set(next, Timer::Worker(ix));
        }
    }

    pub(super) fn worker_lost(&mut self, session: Session) {
        if let Some(ix) = self.worker_sessions.get(&session).copied() {
            self.remove_worker(ix, Leave::Lost);
        }
    }

    /// A worker takes nothing more; what it was kept free for may have another.
    pub(super) fn worker_drains(&mut self, ix: Ix) {
        let Some(worker) = self.workers.get_mut(ix) else { return };
        worker.draining = true;
        let kept_for = worker.reserved;
        self.free_reserved(ix);
        if let Some((queue, _)) = kept_for {
            self.dispatch(queue);
        }
    }

    pub(super) fn worker_says_bye(&mut self, ix: Ix) {
        self.remove_worker(ix, Leave::Bye);
    }

    pub(super) fn set_congested(&mut self, session: Session, congested: bool) {
        let Some(ix) = self.worker_sessions.get(&session).copied() else { return };
        if let Some(worker) = self.workers.get_mut(ix) {
            worker.congested = congested;
            self.offer(ix);
        }
    }

    /// A worker is gone; what it had goes back, in front and in order.
    fn remove_worker(&mut self, ix: Ix, leave: Leave) {
        self.free_reserved(ix);
        let Some(worker) = self.workers.get_mut(ix) else { return };
        self.wheel.cancel(&mut worker.timer);
        worker.draining = true;
        self.worker_sessions.remove(&worker.session);
        tracing::debug!(worker = ?worker.about.name, ?leave, tasks = worker.in_flight, "left");
        let memberships = std::mem::take(&mut worker.memberships);
        for Membership { queue, class, seat, .. } in memberships.iter() {
            self.forget_rest(ix, *queue);
            self.unpark_all(*queue, *class);
            if let Some(class) = self.queue_mut(*queue).and_then(|queue| queue.class(*class)) {
                class.leave(*seat);
            }
        }
        let mut queues: Vec<Ix> = memberships.iter().map(|at| at.queue).collect();
        while let Some(task) = self.workers.get(ix).and_then(|worker| worker.tasks.back()) {
            queues.extend(self.tasks.get(task).map(|task| task.queue));
            self.recover(task, ix, leave);
        }
        self.workers.remove(ix);
        queues.sort_unstable();
        queues.dedup();
        for queue in queues {
            self.dispatch(queue);
        }
    }

    /// What becomes of a task whose worker is gone.
    fn recover(&mut self, ix: Ix, worker: Ix, leave: Leave) {
        let Some(task) = self.tasks.get_mut(ix) else { return };
        task.was_out = true;
        let (place, starts) = (task.place, u32::from(task.starts));
        let queue = task.queue;
        self.give_back(ix);
        let Some(policy) = self.queue(queue).map(|queue| &queue.policy) else { return };
        let (once, retry) = (policy.delivery == Delivery::AtMostOnce, policy.retry);
        match place {
            Place::Revoked => self.remove(ix),
            _ if once => self.lose(ix),
            Place::Running if leave == Leave::Lost => {
                if let Some(task) = self.tasks.get_mut(ix) {
                    task.worker_lost = true;
                }
                self.blame(ix, worker, &Frame::from("its worker was lost"));
                self.crashed(ix, &retry, true);
            }
            Place::Running if leave == Leave::Silent && starts >= retry.max_starts => {
                self.blame(ix, worker, &Frame::from("its worker fell silent"));
                self.bury(ix, FailReason::Exhausted);
            }
            _ => self.again(ix, Duration::ZERO, Place::Ready),
        }
    }
}

/// Clients.
impl Scheduler {
    /// The client of a session, made if this is the first that is heard of it.
    pub(super) fn client_of(&mut self, session: Session) -> Ix {
        if let Some(ix) = self.client_sessions.get(&session) {
            return *ix;
        }
        let ix = self.clients.insert(None, Some(session));
        self.client_sessions.insert(session, ix);
        ix
    }

    /// A client tells its name, and is from now on who it was under that name. One that has submitted under no name
    /// keeps none.
    pub(super) fn client_says_hello(&mut self, session: Session, name: Frame) {
        if let Some(old) = self.client_sessions.get(&session).copied() {
            let Some(client) = self.clients.get_mut(old) else { return };
            if !client.tasks.is_empty() || client.mentions > 0 || client.name.is_some() {
                tracing::debug!(client = ?name, "says its name too late, or again");
                return;
            }
            client.session = None;
            self.client_sessions.remove(&session);
            self.forget_client(old);
        }
        let ix = match self.client_names.get(&name) {
            Some(ix) => *ix,
            None => {
                let ix = self.clients.insert(Some(name.clone()), None);
                self.client_names.insert(name, ix);
                ix
            }
        };
        self.client_sessions.insert(session, ix);
        if let Some(client) = self.clients.get_mut(ix) {
            self.wheel.cancel(&mut client.timer);
            client.session = Some(session);
            client.stops = 0;
        }
    }

    pub(super) fn client_lost(&mut self, session: Session) {
        let Some(ix) = self.client_sessions.remove(&session) else { return };
        let until: Time = self.now + self.config.client_grace;
        if let Some(client) = self.clients.get_mut(ix)
            && client.session == Some(session)
        {
            client.session = None;
            client.stops = 0;
            client.timer = self.wheel.set(until, Timer::Client(ix));
        }
    }

    /// The client did not come back.
    pub(super) fn client_due(&mut self, ix: Ix) {
        if let Some(client) = self.clients.get_mut(ix) {
            client.timer = NIL;
        }
        self.cancel_all(ix);
        self.forget_client(ix);
    }

    pub(super) fn mention(&mut self, ix: Ix) {
        if let Some(client) = self.clients.get_mut(ix) {
            client.mentions += 1;
        }
    }

    pub(super) fn unmention(&mut self, ix: Ix) {
        if let Some(client) = self.clients.get_mut(ix) {
            client.mentions = client.mentions.saturating_sub(1);
        }
        self.forget_client(ix);
    }

    pub(super) fn forget_client(&mut self, ix: Ix) {
        if let Some(client) = self.clients.forget(ix)
            && let Some(name) = client.name
        {
            self.client_names.remove(&name);
        }
    }
}

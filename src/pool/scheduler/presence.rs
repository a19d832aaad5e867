//! Who is there: workers and clients that come, fall silent, and go.

use std::collections::HashSet;
use std::time::Duration;

use super::Scheduler;
use super::links::{Ix, Side};
use super::task::Place;
use super::workers::{Heartbeat, Pulse, Worker};
use crate::message::Frame;
use crate::pool::policy::Delivery;
use crate::pool::protocol::{FailReason, Lease, Session, ToWorker, WorkerHello};

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
        let old = self.workers.of(session);
        let granted = i64::from(hello.capacity) + i64::from(hello.prefetch);
        let ix = self.workers.insert(Worker::new(self.now, session, hello));
        for lease in running.into_iter().take(usize::try_from(granted).unwrap_or(0)) {
            self.reattach(ix, lease);
        }
        if let Some(old) = old {
            self.remove_worker(old, Leave::Bye);
        }
        let (heartbeat, liveness) = (self.config.heartbeat, self.config.liveness);
        self.tell_worker(session, ToWorker::Welcome { heartbeat, liveness });
        let mut joined = HashSet::with_capacity(queues.len());
        for name in &queues {
            // One that may not be made is not served.
            if let Some(queue) = self.queue_for(name)
                && joined.insert(queue)
            {
                self.join_queue(ix, queue);
            }
        }
        let heartbeat = self.heartbeat();
        if let Some(worker) = self.workers.get_mut(ix) {
            worker.watch(ix, self.now, heartbeat, &mut self.wheel);
        }
        self.offer(ix);
        let Some(worker) = self.workers.get(ix) else { return };
        let queues: Vec<Ix> = worker.memberships().iter().map(|at| at.queue).collect();
        for queue in queues {
            // The newcomer may be what others could do something with, even if it has no room itself.
            self.dispatch(queue);
        }
    }

    fn join_queue(&mut self, ix: Ix, queue: Ix) {
        let Some(worker) = self.workers.get(ix) else { return };
        for class in self.queues.open_classes(&mut self.tasks, queue, worker.tags()) {
            self.join_class(ix, queue, class);
        }
    }

    /// Makes a worker a candidate for the tasks of a class, if it has the tags.
    pub(super) fn join_class(&mut self, ix: Ix, queue: Ix, class: u16) {
        let resting = self.workers.is_resting(ix, queue);
        if let Some(worker) = self.workers.get_mut(ix) {
            self.queues.join(ix, worker, queue, class, resting);
        }
    }

    /// A worker says that it is still at a task, and is believed if nobody was given it since.
    fn reattach(&mut self, worker_ix: Ix, lease: Lease) {
        // It may have ended, or have been given to another.
        let Some(ix) = self.tasks.find(lease.task) else { return };
        let Some(task) = self.tasks.peek(ix).filter(|task| task.attempt == lease.attempt) else { return };
        if task.attempt == 0 || task.place == Place::Revoked || task.worker == worker_ix {
            return;
        }
        if task.in_flight() {
            let (holder, now) = (task.worker, self.now);
            // Its last connection has not been seen to end yet.
            let name = |worker: &Worker| worker.name().clone();
            if self.workers.get(holder).map(name) != self.workers.get(worker_ix).map(name) {
                return;
            }
            tracing::debug!(task = lease.task.0, ?now, "moved with its worker");
            self.give_back(ix);
            self.update_worker(holder);
        } else {
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
        if let Some(queue) = self.queues.get_mut(task.queue) {
            queue.reattached();
        }
        worker.take(&mut self.tasks, ix);
        self.totals.in_flight += 1;
        self.arm(ix);
    }

    fn heartbeat(&self) -> Heartbeat {
        let interval = self.config.heartbeat.max(Duration::from_millis(1));
        Heartbeat { interval, liveness: self.config.liveness.max(1) }
    }

    /// Whatever a worker says shows that it is there.
    pub(super) fn worker_spoke(&mut self, ix: Ix) {
        let Some(worker) = self.workers.get_mut(ix) else { return };
        if worker.spoke(self.now) {
            tracing::debug!(worker = ?worker.name(), "is back");
            self.offer(ix);
        }
    }

    /// Time for a heartbeat, and to see whether there was one.
    pub(super) fn worker_due(&mut self, ix: Ix) {
        let (now, heartbeat) = (self.now, self.heartbeat());
        let Some(worker) = self.workers.get_mut(ix) else { return };
        match worker.pulse(now, heartbeat) {
            Pulse::Gone => {
                tracing::debug!(worker = ?worker.name(), "silent for too long");
                self.totals.silent += 1;
                self.remove_worker(ix, Leave::Silent);
                return;
            }
            Pulse::Missed => {
                tracing::debug!(worker = ?worker.name(), "has missed a heartbeat");
                self.queues.update(worker);
            }
            Pulse::Regular => {}
        }
        let beat = worker.beat(now, heartbeat);
        worker.watch(ix, now, heartbeat, &mut self.wheel);
        let session = worker.session();
        if beat {
            self.tell_worker(session, ToWorker::Heartbeat);
        }
    }

    /// A worker has rested from a queue for long enough.
    pub(super) fn rested(&mut self, worker: Ix, queue: Ix) {
        self.workers.rested(worker, queue);
        self.update_worker(worker);
        self.dispatch(queue);
    }

    pub(super) fn worker_lost(&mut self, session: Session) {
        if let Some(ix) = self.workers.of(session) {
            self.remove_worker(ix, Leave::Lost);
        }
    }

    /// A worker takes nothing more; what it was kept free for may have another.
    pub(super) fn worker_drains(&mut self, ix: Ix) {
        let Some(worker) = self.workers.get_mut(ix) else { return };
        worker.drain();
        let kept_for = worker.reserved();
        self.free_reserved(ix);
        if let Some((queue, _)) = kept_for {
            self.dispatch(queue);
        }
    }

    pub(super) fn worker_says_bye(&mut self, ix: Ix) {
        self.remove_worker(ix, Leave::Bye);
    }

    pub(super) fn set_congested(&mut self, session: Session, congested: bool) {
        // It may be a client's.
        let Some(ix) = self.workers.of(session) else { return };
        if let Some(worker) = self.workers.get_mut(ix) {
            worker.set_congested(congested);
            self.offer(ix);
        }
    }

    /// A worker is gone; what it had goes back, in front and in order.
    fn remove_worker(&mut self, ix: Ix, leave: Leave) {
        self.free_reserved(ix);
        let Some(worker) = self.workers.get_mut(ix) else { return };
        tracing::debug!(worker = ?worker.name(), ?leave, tasks = worker.in_flight(), "left");
        let memberships = worker.leave(&mut self.wheel);
        let mut queues: Vec<Ix> = memberships.iter().map(|at| at.queue).collect();
        for at in memberships {
            self.workers.forget_rest(ix, at.queue, &mut self.wheel);
            self.queues.leave(&mut self.tasks, at);
        }
        while let Some(task) = self.workers.get(ix).and_then(|worker| worker.newest()) {
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
        let Some(policy) = self.queues.get(queue).map(|queue| queue.policy()) else { return };
        let (once, retry) = (policy.delivery == Delivery::AtMostOnce, policy.retry);
        match place {
            Place::Revoked => self.remove(ix),
            _ if once => self.lose(ix),
            Place::Running if leave == Leave::Lost => {
                if let Some(task) = self.tasks.get_mut(ix) {
                    task.worker_lost = true;
                }
                self.blame(ix, worker, &Frame::from("its worker was lost"));
                self.crashed(ix, &retry, Side::Front);
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
    pub(super) fn client_lost(&mut self, session: Session) {
        self.clients.lost(session, self.now + self.config.client_grace, &mut self.wheel);
    }

    /// The client did not come back.
    pub(super) fn client_due(&mut self, ix: Ix) {
        self.clients.is_away(ix);
        self.cancel_all(ix);
        self.clients.forget(ix);
    }
}

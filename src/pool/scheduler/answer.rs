//! What workers say about tasks.

use std::time::Duration;

use super::Scheduler;
use super::links::{Ix, Side};
use super::task::Place;
use super::workers::Work;
use crate::message::{Frame, Message};
use crate::pool::policy::{Delivery, Retry};
use crate::pool::protocol::{FailReason, FromWorker, Lease, Nack, Session, ToClient, ToWorker};

/// The most that is kept of what a worker says went wrong, in bytes: it is kept for each dead letter.
const MAX_ERROR: usize = 4096;

impl Scheduler {
    pub(super) fn on_worker(&mut self, session: Session, said: FromWorker) {
        if let FromWorker::Hello(hello) = said {
            self.worker_joins(session, hello);
            return;
        }
        let Some(ix) = self.worker_of(session, &said) else {
            // It was given up while it was silent, or this broker never knew it.
            if matches!(said, FromWorker::Done(..) | FromWorker::Nack(..)) {
                self.totals.stale += 1;
            }
            if !matches!(said, FromWorker::Bye) {
                self.tell_worker(session, ToWorker::Rejoin);
            }
            return;
        };
        self.worker_spoke(ix);
        match said {
            FromWorker::Hello(_) | FromWorker::Heartbeat => {}
            FromWorker::Credit(more) => {
                if let Some(worker) = self.workers.get_mut(ix) {
                    worker.grant(more);
                }
                self.offer(ix);
            }
            FromWorker::Ping => self.tell_worker(session, ToWorker::Pong),
            FromWorker::Started(lease) => self.started(ix, lease),
            FromWorker::Partial(lease, body) => self.partial(ix, lease, body),
            FromWorker::Done(lease, body) => self.done(ix, lease, body),
            FromWorker::Nack(lease, nack) => self.nack(ix, lease, nack),
            FromWorker::Drain => self.worker_drains(ix),
            FromWorker::Bye => self.worker_says_bye(ix),
        }
    }

    /// The worker of a session. Mostly it speaks of a task that it has, which knows its worker: that saves a look into
    /// the table, which is nowhere in the processor's caches with thousands of workers.
    fn worker_of(&self, session: Session, said: &FromWorker) -> Option<Ix> {
        let lease = match said {
            FromWorker::Started(lease)
            | FromWorker::Partial(lease, _)
            | FromWorker::Done(lease, _)
            | FromWorker::Nack(lease, _) => Some(*lease),
            _ => None,
        };
        let task = lease.and_then(|lease| self.tasks.get(self.tasks.find(lease.task)?));
        let holder = task.filter(|task| task.in_flight()).map(|task| task.worker);
        let speaks = |ix: &Ix| self.workers.get(*ix).is_some_and(|worker| worker.session() == session);
        holder.filter(speaks).or_else(|| self.workers.of(session))
    }

    fn started(&mut self, worker: Ix, lease: Lease) {
        // It may have been given to another, or have ended, while this was on its way; the same below.
        let Some(ix) = self.tasks.held(worker, lease) else { return };
        let now = self.now;
        if let Some(task) = self.tasks.get_mut(ix)
            && task.place == Place::Leased
        {
            task.begin();
            (task.place, task.moment) = (Place::Running, now);
        }
    }

    fn partial(&mut self, worker: Ix, lease: Lease, body: Message) {
        let Some(task) = self.tasks.held(worker, lease).and_then(|ix| self.tasks.get(ix)) else { return };
        // One who asked later has missed the first parts, so none of them.
        let told = !task.no_reply && task.place != Place::Revoked;
        let client = if told { self.clients.get(task.client) } else { None };
        if let Some(session) = client.and_then(|client| client.session()) {
            let id = task.request;
            self.tell_client(session, ToClient::Partial { id, body });
        }
    }

    fn done(&mut self, worker: Ix, lease: Lease, body: Message) {
        let Some((ix, queue)) = self.take_back(worker, lease, Work::Done) else { return };
        self.finish(ix, body);
        self.turn_over(worker, queue);
    }

    fn nack(&mut self, worker: Ix, lease: Lease, nack: Nack) {
        let unworked = matches!(nack, Nack::Release | Nack::Defer { .. });
        let work = if unworked { Work::None } else { Work::Failed };
        let Some((ix, queue)) = self.take_back(worker, lease, work) else { return };
        let Some(policy) = self.queues.get(queue).map(|queue| queue.policy()) else { return };
        let (delivery, retry) = (policy.delivery, policy.retry);
        if let Nack::Retry { error, .. } | Nack::Reject { error } | Nack::Crash { error } = &nack {
            self.blame(ix, worker, error);
        }
        match nack {
            Nack::Release => self.hand_back(ix, worker, queue, Duration::ZERO),
            Nack::Defer { delay } => self.hand_back(ix, worker, queue, delay),
            Nack::Reject { .. } => self.bury(ix, FailReason::Rejected),
            _ if delivery == Delivery::AtMostOnce => self.lose(ix),
            Nack::Retry { delay, .. } => self.retry(ix, &retry, delay),
            Nack::Crash { .. } => self.crashed(ix, &retry, Side::Back),
        }
        self.turn_over(worker, queue);
    }

    /// A worker has a free place, and a queue perhaps a key or a permit.
    fn turn_over(&mut self, worker: Ix, queue: Ix) {
        self.offer(worker);
        self.dispatch(queue);
    }

    /// Takes a task off the worker that answers it: the task and its queue; `None` if it is not the worker's, or has
    /// ended meanwhile.
    fn take_back(&mut self, worker: Ix, lease: Lease, work: Work) -> Option<(Ix, Ix)> {
        let Some(ix) = self.tasks.held(worker, lease) else {
            self.totals.stale += 1;
            tracing::debug!(
                task = lease.task.0,
                attempt = lease.attempt,
                "an answer under a lease that is over"
            );
            return None;
        };
        let task = self.tasks.get(ix)?;
        let (queue, revoked) = (task.queue, task.place == Place::Revoked);
        if work != Work::None {
            self.measure(ix, worker, work);
        }
        if work == Work::Done {
            self.workers.forget_rest(worker, queue, &mut self.wheel);
        }
        self.give_back(ix);
        if revoked {
            self.totals.too_late += 1;
            self.remove(ix);
            self.turn_over(worker, queue);
            return None;
        }
        Some((ix, queue))
    }

    /// Notes how long it took.
    fn measure(&mut self, ix: Ix, worker: Ix, work: Work) {
        let Some(task) = self.tasks.get(ix) else { return };
        let took = self.now.since(task.moment);
        // One that was revoked is nobody's any more.
        if task.place != Place::Revoked {
            self.clients.measured(task.client, took);
        }
        if let Some(worker) = self.workers.get_mut(worker) {
            worker.measured(took, work);
            self.queues.measured(worker, task.queue, self.now, took, work == Work::Done);
        }
    }

    /// Keeps what a person will want to know, should this have been the last time.
    pub(super) fn blame(&mut self, ix: Ix, worker: Ix, error: &Frame) {
        let name = self.workers.get(worker).map(|worker| worker.name().clone()).unwrap_or_default();
        if let Some(task) = self.tasks.get_mut(ix) {
            let extra = task.extra();
            if let Some(trace) = &extra.trace {
                trace.failed(&name, error);
            }
            extra.error = shortened(error);
            extra.failed_on = name;
        }
    }

    /// The worker has not begun it. If it may come back at once, it is another's turn.
    fn hand_back(&mut self, ix: Ix, worker: Ix, queue: Ix, delay: Duration) {
        let Some(task) = self.tasks.get_mut(ix) else { return };
        if std::mem::take(&mut task.begun) {
            task.starts -= 1;
        }
        if delay.is_zero() {
            self.workers.released(worker, queue, self.now, &mut self.wheel);
        }
        self.again(ix, delay, Place::Deferred);
    }

    /// It failed: once more, or never again.
    fn retry(&mut self, ix: Ix, retry: &Retry, delay: Option<Duration>) {
        let Some(task) = self.tasks.get_mut(ix) else { return };
        task.begin();
        let starts = u32::from(task.starts);
        if starts >= retry.max_starts {
            self.bury(ix, FailReason::Exhausted);
            return;
        }
        let delay = delay.unwrap_or_else(|| backoff(retry, starts, self.rng.f64()));
        self.again(ix, delay, Place::Backoff);
    }

    /// It took its worker down, or part of it: alone from now on, or never again.
    pub(super) fn crashed(&mut self, ix: Ix, retry: &Retry, side: Side) {
        let Some(task) = self.tasks.get_mut(ix) else { return };
        task.begin();
        task.crashes = task.crashes.saturating_add(1);
        if u32::from(task.crashes) >= retry.max_crashes {
            self.bury(ix, FailReason::Crashed);
        } else if u32::from(task.starts) >= retry.max_starts {
            self.bury(ix, FailReason::Exhausted);
        } else {
            self.count_redelivery(ix);
            self.begin_waiting(ix);
            self.queues.line_up(&mut self.tasks, ix, side);
        }
    }

    /// Back in line: at once in front, or after a delay.
    pub(super) fn again(&mut self, ix: Ix, delay: Duration, place: Place) {
        self.count_redelivery(ix);
        self.begin_waiting(ix);
        if delay > Duration::ZERO {
            self.put_aside(ix, place, delay);
        } else {
            self.queues.line_up(&mut self.tasks, ix, Side::Front);
        }
    }

    fn count_redelivery(&mut self, ix: Ix) {
        let Some(task) = self.tasks.get(ix) else { return };
        if let Some(queue) = self.queues.get_mut(task.queue) {
            queue.redelivered();
        }
    }
}

/// What a worker says went wrong, as far as it is kept: a copy, for it came with much else.
fn shortened(error: &Frame) -> Frame {
    Frame::copy_from_slice(error.get(..MAX_ERROR).unwrap_or(error))
}

/// How long a task waits that was begun `starts` times: nothing the first times, then anything up to a bound that
/// doubles. `random` is in 0..1.
fn backoff(retry: &Retry, starts: u32, random: f64) -> Duration {
    let Some(doublings) = starts.checked_sub(retry.immediate.saturating_add(1)) else {
        return Duration::ZERO;
    };
    let bound = retry.base.saturating_mul(2_u32.saturating_pow(doublings)).min(retry.cap);
    bound.mul_f64(random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m_retry_the_bound_doubles_up_to_the_cap() {
        let retry = Retry::default();
        let bounds: Vec<u64> = (1..=12).map(|starts| backoff(&retry, starts, 1.0).as_secs()).collect();
        assert_eq!(bounds, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(backoff(&retry, 5, 0.0), Duration::ZERO);
        assert_eq!(backoff(&retry.immediate(u32::MAX), 5, 1.0), Duration::ZERO);
    }
}

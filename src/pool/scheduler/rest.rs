//! Workers that give tasks back unworked, and for how long they get none.
//!
//! A release costs a worker nothing, so one that releases all it gets would be free more often than all others, and would
//! get most tasks, again and again. So after a release it gets nothing of that queue for a while, twice as long each
//! time, until it has done a task of it. Failures and rejections are no releases: they are attempts, of which a task has
//! few, and may well be the task's fault.

use std::collections::HashMap;
use std::time::Duration;

use foldhash::fast::RandomState;

use super::Scheduler;
use super::links::{Ix, NIL};
use super::wheel::Timer;

/// The first rest, and how often it is doubled: up to a second or so.
const FIRST: Duration = Duration::from_millis(10);
const DOUBLINGS: u32 = 7;

/// How a worker stands with a queue that it has released tasks of, and done none since.
#[derive(Debug)]
struct Rest {
    /// How often it has rested.
    times: u32,
    /// Of the rest's end; [`NIL`]: it is over.
    timer: Ix,
}

/// By worker and queue. Most workers are never in it.
#[derive(Debug, Default)]
pub(super) struct Rests(HashMap<(Ix, Ix), Rest, RandomState>);

impl Rests {
    pub(super) fn is_resting(&self, worker: Ix, queue: Ix) -> bool {
        self.0.get(&(worker, queue)).is_some_and(|rest| rest.timer != NIL)
    }
}

impl Scheduler {
    /// A worker has given a task of this queue back. What it had got besides by then, and gives back, too, makes it no
    /// worse.
    pub(super) fn released(&mut self, worker_ix: Ix, queue: Ix) {
        let Some(worker) = self.workers.get_mut(worker_ix) else { return };
        worker.about.released += 1;
        if !worker.memberships.rest(queue, true) {
            return;
        }
        let rest = self.rests.0.entry((worker_ix, queue)).or_insert(Rest { times: 0, timer: NIL });
        if rest.timer == NIL {
            let end = self.now + FIRST * (1 << rest.times.min(DOUBLINGS));
            rest.timer = self.wheel.set(end, Timer::Rest(worker_ix, queue));
            rest.times += 1;
        }
    }

    /// It has rested for long enough.
    pub(super) fn rested(&mut self, worker: Ix, queue: Ix) {
        if let Some(rest) = self.rests.0.get_mut(&(worker, queue)) {
            rest.timer = NIL;
        }
        if let Some(worker) = self.workers.get_mut(worker) {
            worker.memberships.rest(queue, false);
        }
        self.update_worker(worker);
        self.dispatch(queue);
    }

    /// It has done a task of this queue, or is gone.
    pub(super) fn forget_rest(&mut self, worker: Ix, queue: Ix) {
        if self.rests.0.is_empty() {
            return;
        }
        if let Some(mut rest) = self.rests.0.remove(&(worker, queue)) {
            self.wheel.cancel(&mut rest.timer);
            if let Some(worker) = self.workers.get_mut(worker) {
                worker.memberships.rest(queue, false);
            }
        }
    }
}

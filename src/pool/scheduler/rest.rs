//! Workers that give tasks back unworked, and for how long they get none.
//!
//! A release costs a worker nothing, so one that releases all it gets would be free more often than all others, and would
//! get most tasks, again and again. So after a release it gets nothing of that queue for a while, twice as long each
//! time, until it has done a task of it. Failures and rejections are no releases: they are attempts, of which a task has
//! few, and may well be the task's fault.

use std::collections::HashMap;
use std::time::Duration;

use foldhash::fast::RandomState;

use super::links::{Ix, NIL, there};
use super::wheel::{Timer, Wheel};
use crate::pool::time::Time;

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

    /// What it had got besides when it gave a task back, and gives back, too, makes it no worse.
    pub(super) fn begin(&mut self, worker: Ix, queue: Ix, now: Time, wheel: &mut Wheel) {
        let rest = self.0.entry((worker, queue)).or_insert(Rest { times: 0, timer: NIL });
        if rest.timer == NIL {
            let end = now + FIRST * (1 << rest.times.min(DOUBLINGS));
            rest.timer = wheel.set(end, Timer::Rest(worker, queue));
            rest.times += 1;
        }
    }

    /// The timer has fired.
    pub(super) fn end(&mut self, worker: Ix, queue: Ix) {
        if let Some(rest) = there(self.0.get_mut(&(worker, queue))) {
            rest.timer = NIL;
        }
    }

    /// The next one is as short as the first again. Whether there was any.
    pub(super) fn forget(&mut self, worker: Ix, queue: Ix, wheel: &mut Wheel) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let rest = self.0.remove(&(worker, queue));
        if let Some(mut rest) = rest {
            wheel.cancel(&mut rest.timer);
            return true;
        }
        false
    }
}

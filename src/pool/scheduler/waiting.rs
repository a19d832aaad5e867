//! What time does to tasks: those that wait for it, and those whose deadline passes.

use std::time::Duration;

use super::Scheduler;
use super::links::{Ix, NIL, Side};
use super::task::{End, Place};
use super::wheel::Timer;
use crate::pool::protocol::FailReason;
use crate::pool::time::Time;

impl Scheduler {
    /// Counts a task among those that wait; where, is the caller's to say.
    pub(super) fn begin_waiting(&mut self, ix: Ix) {
        self.queues.begin_waiting(&self.tasks, ix);
        self.totals.waiting += 1;
    }

    /// Takes a waiting task out of where it stands.
    pub(super) fn end_waiting(&mut self, ix: Ix) {
        self.queues.step_out(&mut self.tasks, ix);
        let go_on = self.queues.end_waiting(&self.tasks, ix);
        self.totals.waiting -= 1;
        self.let_go_on(&go_on);
    }

    /// Puts a waiting task aside for some time.
    pub(super) fn put_aside(&mut self, ix: Ix, place: Place, delay: Duration) {
        self.queues.put_aside(&mut self.tasks, ix, place, self.now + delay);
        self.arm(ix);
    }

    /// Sets the timer of a task: for the end of its delay, or its deadline, whatever comes first.
    pub(super) fn arm(&mut self, ix: Ix) {
        let Some(task) = self.tasks.get_mut(ix) else { return };
        self.wheel.cancel(&mut task.timer);
        let at = match task.place {
            Place::Delayed | Place::Backoff | Place::Deferred => task.moment.min(task.deadline),
            Place::Revoked => Time::MAX,
            _ => task.deadline,
        };
        if at < Time::MAX {
            task.timer = self.wheel.set(at, Timer::Task(ix));
        }
    }

    /// The timer of a task has fired.
    pub(super) fn task_due(&mut self, ix: Ix) {
        let now = self.now;
        let Some(task) = self.tasks.get_mut(ix) else { return };
        task.timer = NIL;
        let (place, moment, queue) = (task.place, task.moment, task.queue);
        if task.deadline <= now {
            let end = End::Failed(FailReason::Expired);
            if task.in_flight() {
                self.revoke(ix, end)
            } else {
                self.end_waiting_task(ix, end)
            }
            self.dispatch(queue);
        } else if matches!(place, Place::Delayed | Place::Backoff | Place::Deferred) && moment <= now {
            self.queues.step_out(&mut self.tasks, ix);
            self.queues.line_up(&mut self.tasks, ix, Side::Back);
            self.arm(ix);
            self.dispatch(queue);
        } else {
            self.arm(ix);
        }
    }
}

//! Where waiting tasks stand: in line, behind their key, or aside until a time.

use std::time::Duration;

use super::Scheduler;
use super::links::{Ix, NIL};
use super::task::{End, Place};
use super::wheel::Timer;
use crate::pool::protocol::FailReason;
use crate::pool::time::Time;

impl Scheduler {
    /// Counts a task among those that wait.
    pub(super) fn begin_waiting(&mut self, ix: Ix) {
        let Some(task) = self.tasks.get(ix) else { return };
        if let Some(queue) = self.queues.get_mut(task.queue as usize) {
            queue.waiting += 1;
            queue.bytes += task.body.footprint();
        }
        self.totals.waiting += 1;
    }

    pub(super) fn end_waiting(&mut self, ix: Ix) {
        let Some(task) = self.tasks.get(ix) else { return };
        self.totals.waiting -= 1;
        if let Some(queue) = self.queues.get_mut(task.queue as usize) {
            queue.waiting -= 1;
            queue.bytes -= task.body.footprint();
            if !queue.stopped.is_empty() && queue.has_room() {
                let stopped = std::mem::take(&mut queue.stopped);
                self.resume_clients(&stopped);
            }
        }
    }

    /// Puts a waiting task in line: behind its key if others of it are before it, else with the tasks of its client, or,
    /// if it has taken a worker down, with those that run alone.
    pub(super) fn line_up(&mut self, ix: Ix, front: bool) {
        let Some(task) = self.tasks.get_mut(ix) else { return };
        let Some(queue) = self.queues.get_mut(task.queue as usize) else { return };
        if let Some(limit) = queue.policy.key_limit()
            && !task.holds_key
            && let Some(name) = task.key()
        {
            if task.key == NIL {
                task.key = queue.keys.join(name);
            }
            if !queue.keys.acquire(task.key, limit, ix, front) {
                task.place = Place::KeyWait;
                queue.aside.add(task.body.footprint());
                let key = task.key;
                if let Some(key) = queue.keys.get_mut(key) {
                    if front {
                        key.waiting.push_front(&mut self.tasks.slab, ix);
                    } else {
                        key.waiting.push_back(&mut self.tasks.slab, ix);
                    }
                }
                return;
            }
            task.holds_key = true;
        }
        if task.crashes > 0 {
            self.line_up_alone(ix, front);
            return;
        }
        task.place = Place::Ready;
        if let Some(class) = queue.classes.get_mut(usize::from(task.class)) {
            class.levels.push(&mut self.flows, &mut queue.lone, &mut self.tasks, ix, front);
        }
    }

    /// Puts a waiting task among those that run alone.
    fn line_up_alone(&mut self, ix: Ix, front: bool) {
        let Some(task) = self.tasks.get_mut(ix) else { return };
        task.place = Place::Solo;
        let (queue, class) = (task.queue, task.class);
        if let Some(class) = self.queues.get_mut(queue as usize).and_then(|queue| queue.class(class)) {
            if front {
                class.solo.push_front(&mut self.tasks.slab, ix);
            } else {
                class.solo.push_back(&mut self.tasks.slab, ix);
            }
        }
    }

    /// Puts a waiting task aside for some time. A key that is only limited is let go of, one in order is kept.
    pub(super) fn put_aside(&mut self, ix: Ix, place: Place, delay: Duration) {
        let now = self.now;
        let Some(task) = self.tasks.get_mut(ix) else { return };
        (task.place, task.moment) = (place, now + delay);
        task.body.detach();
        let Some(queue) = self.queues.get_mut(task.queue as usize) else { return };
        queue.aside.add(task.body.footprint());
        if !queue.policy.ordered() {
            self.release_key(ix);
        }
        self.arm(ix);
    }

    /// Takes a waiting task out of where it stands. It stays counted as waiting.
    pub(super) fn step_out(&mut self, ix: Ix) {
        let Some(task) = self.tasks.get_mut(ix) else { return };
        let Some(queue) = self.queues.get_mut(task.queue as usize) else { return };
        let (place, class, key, seat) = (task.place, task.class, task.key, task.worker);
        match place {
            Place::Ready => {
                if let Some(class) = queue.classes.get_mut(usize::from(class)) {
                    class.levels.remove(&mut self.flows, &mut queue.lone, &mut self.tasks, ix);
                }
            }
            Place::KeyWait => {
                queue.aside.remove(task.body.footprint());
                if let Some(key) = queue.keys.get_mut(key) {
                    key.waiting.remove(&mut self.tasks.slab, ix);
                }
            }
            Place::Parked => {
                task.worker = NIL;
                if let Some(class) = queue.class(class) {
                    class.unpark(&mut self.tasks.slab, seat, ix);
                }
            }
            Place::Solo => {
                if let Some(class) = queue.class(class) {
                    class.solo.remove(&mut self.tasks.slab, ix);
                }
            }
            Place::Delayed | Place::Backoff | Place::Deferred => {
                queue.aside.remove(task.body.footprint());
            }
            Place::Leased | Place::Running | Place::Revoked => debug_assert!(false, "in flight: {place:?}"),
        }
    }

    /// Lets go of the key of a task, and lets the next one have it.
    pub(super) fn release_key(&mut self, ix: Ix) {
        let Some(task) = self.tasks.get_mut(ix) else { return };
        if !std::mem::take(&mut task.holds_key) {
            return;
        }
        let (queue, key) = (task.queue, task.key);
        if let Some(queue) = self.queue_mut(queue) {
            queue.keys.release(key);
        }
        self.wake_key(queue, key);
    }

    /// Lets those who wait for a key have it, as far as its limit goes.
    pub(super) fn wake_key(&mut self, queue_ix: Ix, key: Ix) {
        loop {
            let Some(queue) = self.queues.get_mut(queue_ix as usize) else { return };
            let limit = queue.policy.key_limit().unwrap_or(u32::MAX);
            let Some(next) = queue.keys.next(&mut self.tasks, key, limit) else { return };
            queue.keys.acquire(key, limit, next, true);
            if let Some(task) = self.tasks.get_mut(next) {
                task.holds_key = true;
                queue.aside.remove(task.body.footprint());
            }
            self.line_up(next, false);
        }
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
            self.step_out(ix);
            self.line_up(ix, false);
            self.arm(ix);
            self.dispatch(queue);
        } else {
            self.arm(ix);
        }
    }
}

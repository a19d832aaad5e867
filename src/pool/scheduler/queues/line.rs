//! Where waiting tasks stand: in line, behind their key, parked for a worker, or aside until a time.

use super::Queues;
use crate::pool::protocol::Session;
use crate::pool::scheduler::links::{Ix, NIL, Side, there};
use crate::pool::scheduler::mean::Mean;
use crate::pool::scheduler::task::{Place, Tasks};
use crate::pool::strategy::Seat;
use crate::pool::time::Time;

impl Queues {
    /// Counts a task among those that wait.
    pub(crate) fn begin_waiting(&mut self, tasks: &Tasks, ix: Ix) {
        let Some(task) = tasks.get(ix) else { return };
        if let Some(queue) = self.get_mut(task.queue) {
            queue.waiting.add(task.body.footprint());
        }
    }

    /// A task waits no more. Those who were stopped, and may go on.
    pub(crate) fn end_waiting(&mut self, tasks: &Tasks, ix: Ix) -> Vec<Session> {
        let Some(task) = tasks.get(ix) else { return Vec::new() };
        let Some(queue) = self.get_mut(task.queue) else { return Vec::new() };
        queue.waiting.remove(task.body.footprint());
        queue.let_go_on()
    }

    /// Puts a waiting task in line: behind its key if others of it are before it, else with the tasks of its client, or,
    /// if it has taken a worker down, with those that run alone.
    pub(crate) fn line_up(&mut self, tasks: &mut Tasks, ix: Ix, side: Side) {
        let Some(task) = tasks.get_mut(ix) else { return };
        // By the field, here and below, where the flows are needed, too.
        let Some(queue) = there(self.list.get_mut(task.queue as usize)) else { return };
        if let Some(limit) = queue.policy.key_limit()
            && !task.holds_key
            && let Some(name) = task.key()
        {
            if task.key == NIL {
                task.key = queue.keys.join(name);
            }
            if !queue.keys.acquire(task.key, limit, ix, side) {
                task.place = Place::KeyWait;
                queue.aside.add(task.body.footprint());
                let key = task.key;
                queue.keys.wait(tasks, key, ix, side);
                return;
            }
            task.holds_key = true;
        }
        let alone = task.crashes > 0;
        task.place = if alone { Place::Solo } else { Place::Ready };
        let Some(class) = there(queue.classes.get_mut(usize::from(task.class))) else { return };
        if alone {
            class.solo.push(side, &mut tasks.slab, ix);
        } else {
            class.levels.push(&mut self.flows, &mut queue.lone, tasks, ix, side);
        }
    }

    /// Puts a waiting task aside until some time. A key that is only limited is let go of, one in order is kept.
    pub(crate) fn put_aside(&mut self, tasks: &mut Tasks, ix: Ix, place: Place, until: Time) {
        let Some(task) = tasks.get_mut(ix) else { return };
        (task.place, task.moment) = (place, until);
        task.body.detach();
        let Some(queue) = self.get_mut(task.queue) else { return };
        queue.aside.add(task.body.footprint());
        if !queue.policy.ordered() {
            self.release_key(tasks, ix);
        }
    }

    /// Keeps a task for a worker that has no room.
    pub(super) fn park(&mut self, tasks: &mut Tasks, ix: Ix, seat: Seat) {
        self.step_out(tasks, ix);
        let Some(task) = tasks.get_mut(ix) else { return };
        (task.place, task.worker) = (Place::Parked, seat.raw());
        let (queue, class) = (task.queue, task.class);
        if let Some(class) = self.class(queue, class) {
            class.park(&mut tasks.slab, seat, ix);
        }
    }

    /// All tasks that are parked in a class go back in line: who they are for may have changed.
    pub(crate) fn unpark_all(&mut self, tasks: &mut Tasks, queue: Ix, class: u16) {
        while let Some(ix) = self.class(queue, class).and_then(|class| class.last_parked()) {
            self.step_out(tasks, ix);
            self.line_up(tasks, ix, Side::Front);
        }
    }

    /// Takes a waiting task out of where it stands. It stays counted as waiting.
    pub(crate) fn step_out(&mut self, tasks: &mut Tasks, ix: Ix) {
        let Some(task) = tasks.get_mut(ix) else { return };
        let Some(queue) = there(self.list.get_mut(task.queue as usize)) else { return };
        let (place, seat) = (task.place, task.worker);
        match place {
            Place::KeyWait => {
                queue.aside.remove(task.body.footprint());
                let key = task.key;
                queue.keys.wait_no_more(tasks, key, ix);
                return;
            }
            Place::Delayed | Place::Backoff | Place::Deferred => {
                queue.aside.remove(task.body.footprint());
                return;
            }
            Place::Parked => task.worker = NIL,
            _ => {}
        }
        let Some(class) = there(queue.classes.get_mut(usize::from(task.class))) else { return };
        match place {
            Place::Ready => class.levels.remove(&mut self.flows, &mut queue.lone, tasks, ix),
            Place::Parked => class.unpark(&mut tasks.slab, seat, ix),
            Place::Solo => class.solo.remove(&mut tasks.slab, ix),
            _ => debug_assert!(false, "in flight: {place:?}"),
        }
    }

    /// Lets go of the key of a task, and lets the next one have it.
    pub(crate) fn release_key(&mut self, tasks: &mut Tasks, ix: Ix) {
        let Some(task) = tasks.get_mut(ix) else { return };
        if !std::mem::take(&mut task.holds_key) {
            return;
        }
        let (queue, key) = (task.queue, task.key);
        if let Some(queue) = self.get_mut(queue) {
            queue.keys.release(key);
        }
        self.wake_key(tasks, queue, key);
    }

    /// Lets those who wait for a key have it, as far as its limit goes.
    pub(super) fn wake_key(&mut self, tasks: &mut Tasks, queue_ix: Ix, key: Ix) {
        while let Some(queue) = self.get_mut(queue_ix) {
            let limit = queue.policy.key_limit().unwrap_or(u32::MAX);
            let Some(next) = queue.keys.next(tasks, key, limit) else { return };
            if let Some(task) = tasks.get_mut(next) {
                task.holds_key = true;
                queue.aside.remove(task.body.footprint());
            }
            self.line_up(tasks, next, Side::Back);
        }
    }

    /// A waiting task goes to a worker that has this seat, and its client pays for the worker's time: `service` is how
    /// long a task of that client's takes. Those who were stopped, and may go on.
    pub(crate) fn give(
        &mut self,
        tasks: &mut Tasks,
        ix: Ix,
        (seat, now): (Seat, Time),
        service: Mean,
    ) -> Vec<Session> {
        let Some(task) = tasks.get(ix) else { return Vec::new() };
        let flow = task.flow;
        let Some(queue) = there(self.list.get_mut(task.queue as usize)) else { return Vec::new() };
        // First, or a flow whose last task this is would be forgotten.
        self.flows.charge(flow, service.over(queue.service));
        queue.waiting.remove(task.body.footprint());
        self.step_out(tasks, ix);
        let Some(task) = tasks.get_mut(ix) else { return Vec::new() };
        task.flow = flow;
        let Some(queue) = self.get_mut(task.queue) else { return Vec::new() };
        queue.keys.given(task.key, (task.class, seat));
        queue.given(now);
        queue.let_go_on()
    }

    /// A task comes back from its worker, or ends there.
    pub(crate) fn take_back(&mut self, tasks: &mut Tasks, ix: Ix) {
        let Some(task) = tasks.get_mut(ix) else { return };
        let flow = std::mem::replace(&mut task.flow, NIL);
        if let Some(queue) = there(self.list.get_mut(task.queue as usize)) {
            queue.in_flight -= 1;
            self.flows.discharge(&mut queue.lone, flow);
        }
    }

    /// A task is about to be gone: the last of it is its key, which another may have now.
    pub(crate) fn forget(&mut self, tasks: &mut Tasks, ix: Ix) {
        let Some(task) = tasks.get(ix).filter(|task| task.key != NIL) else { return };
        let (queue, key) = (task.queue, task.key);
        self.release_key(tasks, ix);
        if let Some(queue) = self.get_mut(queue) {
            queue.keys.leave(key);
        }
    }
}

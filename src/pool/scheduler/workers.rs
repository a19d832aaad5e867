//! Who does the tasks: what is known of each worker, and whether it is heard of.

use std::collections::HashMap;
use std::ops::Deref;
use std::time::Duration;

use foldhash::fast::RandomState;
use slab::Slab;

use super::figures::{Availability, WorkerFigures};
use super::links::{Ix, List, NIL, Side, at, at_mut, insert, one_less, there};
use super::mean::Mean;
use super::rest::Rests;
use super::task::Tasks;
use super::wheel::{Timer, Wheel};
use crate::message::Frame;
use crate::pool::protocol::{Session, WorkerHello};
use crate::pool::strategy::Seat;
use crate::pool::time::Time;

/// The most tasks that one worker may have: what a hostile one claims is cut to it.
const MAX_GRANTED: i64 = 1 << 20;

/// Where a worker is a candidate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Membership {
    pub(super) queue: Ix,
    pub(super) class: u16,
    /// It gets nothing there: see [`rest`](super::rest).
    pub(super) resting: bool,
    pub(super) seat: Seat,
}

/// Most workers are a candidate in one place, which needs no memory elsewhere.
#[derive(Debug)]
enum Memberships {
    One(Membership),
    Many(Vec<Membership>),
}

impl Memberships {
    fn push(&mut self, new: Membership) {
        *self = match std::mem::take(self) {
            Self::Many(list) if list.is_empty() => Self::One(new),
            Self::One(first) => Self::Many(vec![first, new]),
            Self::Many(mut list) => {
                list.push(new);
                Self::Many(list)
            }
        };
    }

    /// Begins or ends its rest from a queue; whether it serves that.
    fn rest(&mut self, queue: Ix, resting: bool) -> bool {
        let all = match self {
            Self::One(one) => std::slice::from_mut(one),
            Self::Many(list) => list,
        };
        let mut serves = false;
        for at in all.iter_mut().filter(|at| at.queue == queue) {
            at.resting = resting;
            serves = true;
        }
        serves
    }
}

impl Default for Memberships {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Deref for Memberships {
    type Target = [Membership];

    fn deref(&self) -> &[Membership] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(list) => list,
        }
    }
}

/// What is not looked at for each task: apart, so that ten thousand workers take less of the processor's caches.
#[derive(Debug)]
struct About {
    weight: f64,
    /// When it was last sent a heartbeat.
    beaten: Time,
    joined: Time,
    name: Frame,
    address: Frame,
    tags: Vec<Frame>,
    /// Tasks that it has given back unworked.
    released: u64,
}

/// What a worker did with a task in the time that it had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Done,
    Failed,
    /// It has not begun, so there is nothing to be learned from how long that took.
    None,
}

/// Whether a worker is heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pulse {
    Regular,
    /// It has just missed a heartbeat.
    Missed,
    /// It has missed too many.
    Gone,
}

/// How workers and broker tell each other that they are there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heartbeat {
    pub(super) interval: Duration,
    /// So many silent intervals are too many.
    pub(super) liveness: u32,
}

/// Two lines of the processor's caches.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Worker {
    session: Session,
    about: Box<About>,
    capacity: u32,
    /// It reports what it begins; else a dispatch is the begin.
    reports_starts: bool,
    /// How many tasks it may have. Below what it has, once it took credit back.
    granted: i64,
    in_flight: u32,
    /// Oldest first.
    tasks: List,
    memberships: Memberships,
    /// Which of them is offered the next credit first.
    first_offer: u32,
    seen: Time,
    timer: Ix,
    suspect: bool,
    draining: bool,
    congested: bool,
    /// Kept free for tasks that run alone: of this queue and class.
    reserved: Option<(Ix, u16)>,
    done: u64,
    failed: u64,
    /// How long a task is with it.
    service: Mean,
}

impl Worker {
    pub(super) fn new(now: Time, session: Session, hello: WorkerHello) -> Self {
        let granted = i64::from(hello.capacity) + i64::from(hello.prefetch);
        let about = About {
            weight: hello.weight,
            beaten: now,
            joined: now,
            name: hello.name,
            address: hello.address,
            tags: hello.tags,
            released: 0,
        };
        Self {
            session,
            about: Box::new(about),
            capacity: hello.capacity,
            reports_starts: hello.prefetch > 0,
            granted: granted.min(MAX_GRANTED),
            in_flight: 0,
            tasks: List::default(),
            memberships: Memberships::default(),
            first_offer: 0,
            seen: now,
            timer: NIL,
            suspect: false,
            draining: false,
            congested: false,
            reserved: None,
            done: 0,
            failed: 0,
            service: Mean::default(),
        }
    }

    pub(super) const fn session(&self) -> Session {
        self.session
    }

    pub(super) const fn name(&self) -> &Frame {
        &self.about.name
    }

    pub(super) fn tags(&self) -> &[Frame] {
        &self.about.tags
    }

    pub(super) const fn capacity(&self) -> u32 {
        self.capacity
    }

    pub(super) const fn weight(&self) -> f64 {
        self.about.weight
    }

    pub(super) const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(super) const fn reports_starts(&self) -> bool {
        self.reports_starts
    }

    pub(super) const fn reserved(&self) -> Option<(Ix, u16)> {
        self.reserved
    }

    pub(super) fn memberships(&self) -> &[Membership] {
        &self.memberships
    }

    /// Its seat in a class, unless it rests from that.
    pub(super) fn seat(&self, queue: Ix, class: u16) -> Option<Seat> {
        let mut places = self.memberships.iter().filter(|at| !at.resting);
        places.find(|at| (at.queue, at.class) == (queue, class)).map(|at| at.seat)
    }

    /// Its oldest task.
    pub(super) const fn oldest(&self) -> Option<Ix> {
        self.tasks.front()
    }

    #[cfg(test)]
    pub(super) fn held(&self, tasks: &Tasks) -> usize {
        self.tasks.iter(&tasks.slab).count()
    }

    /// Its newest task.
    pub(super) const fn newest(&self) -> Option<Ix> {
        self.tasks.back()
    }

    fn credit(&self) -> i64 {
        self.granted - i64::from(self.in_flight)
    }

    /// It could be given a task, if it had room.
    pub(super) const fn is_taking(&self) -> bool {
        !self.suspect && !self.draining && !self.congested
    }

    /// It could be given a task, if it is not kept for a special one.
    pub(super) fn is_fit(&self) -> bool {
        self.is_taking() && self.credit() > 0
    }

    /// It can be given any task.
    pub(super) fn is_open(&self) -> bool {
        self.is_fit() && self.reserved.is_none()
    }

    pub(super) fn grant(&mut self, more: i32) {
        self.granted = (self.granted + i64::from(more)).clamp(0, MAX_GRANTED);
        self.reports_starts |= self.granted > i64::from(self.capacity);
    }

    /// It has this task from now on.
    pub(super) fn take(&mut self, tasks: &mut Tasks, ix: Ix) {
        self.tasks.push(Side::Back, &mut tasks.slab, ix);
        self.in_flight += 1;
    }

    /// It has this task no longer.
    pub(super) fn let_go(&mut self, tasks: &mut Tasks, ix: Ix) {
        self.tasks.remove(&mut tasks.slab, ix);
        one_less(&mut self.in_flight);
    }

    /// It has had a task for so long.
    pub(super) fn measured(&mut self, took: Duration, work: Work) {
        match work {
            Work::Done => self.done += 1,
            Work::Failed => self.failed += 1,
            Work::None => return,
        }
        self.service.add(took);
    }

    pub(super) fn join(&mut self, at: Membership) {
        self.memberships.push(at);
    }

    /// It is a candidate nowhere any more, and takes nothing: where it was.
    pub(super) fn leave(&mut self, wheel: &mut Wheel) -> Vec<Membership> {
        wheel.cancel(&mut self.timer);
        self.draining = true;
        std::mem::take(&mut self.memberships).to_vec()
    }

    /// How many places it could be offered to, and the first of them, which is another one each time.
    pub(super) fn next_offer(&mut self) -> (usize, usize) {
        let (count, first) = (self.memberships.len(), self.first_offer as usize);
        self.first_offer = if first + 1 < count { self.first_offer + 1 } else { 0 };
        (count, first)
    }

    pub(super) fn drain(&mut self) {
        self.draining = true;
    }

    pub(super) fn set_congested(&mut self, congested: bool) {
        self.congested = congested;
    }

    /// It is kept free for the tasks of this class that run alone.
    pub(super) fn reserve(&mut self, queue: Ix, class: u16) {
        self.reserved = Some((queue, class));
    }

    /// It is no longer kept free: for what it was.
    pub(super) fn unreserve(&mut self) -> Option<(Ix, u16)> {
        self.reserved.take()
    }

    /// It has said something; whether it had missed a heartbeat.
    pub(super) fn spoke(&mut self, now: Time) -> bool {
        self.seen = now;
        std::mem::take(&mut self.suspect)
    }

    /// Whether it is to be told now that the broker is there.
    pub(super) fn beat(&mut self, now: Time, heartbeat: Heartbeat) -> bool {
        let due = self.about.beaten + heartbeat.interval <= now;
        if due {
            self.about.beaten = now;
        }
        due
    }

    /// When its silence is too long, and when it is long. Half an interval more than one: a heartbeat that is a moment
    /// late is not missing.
    fn limits(&self, heartbeat: Heartbeat) -> (Time, Time) {
        let Heartbeat { interval, liveness } = heartbeat;
        (self.seen + interval.saturating_mul(liveness), self.seen + interval.mul_f64(1.5))
    }

    /// Its timer has fired: how it is.
    pub(super) fn pulse(&mut self, now: Time, heartbeat: Heartbeat) -> Pulse {
        self.timer = NIL;
        let (gone, missed) = self.limits(heartbeat);
        if gone <= now {
            Pulse::Gone
        } else if missed <= now && !std::mem::replace(&mut self.suspect, true) {
            Pulse::Missed
        } else {
            Pulse::Regular
        }
    }

    /// Sets its timer: for its next heartbeat, or ours.
    pub(super) fn watch(&mut self, ix: Ix, now: Time, heartbeat: Heartbeat, wheel: &mut Wheel) {
        let (gone, missed) = self.limits(heartbeat);
        let silent = if missed > now { gone.min(missed) } else { gone };
        let next = silent.min(self.about.beaten + heartbeat.interval);
        self.timer = wheel.set(next.max(now + Duration::from_millis(1)), Timer::Worker(ix));
    }

    /// Its figures, where `since` is when it got its oldest task.
    pub(super) fn figures(&self, now: Time, since: Option<Time>, queues: Vec<Frame>) -> WorkerFigures {
        WorkerFigures {
            id: self.session.0,
            name: self.about.name.clone(),
            address: self.about.address.clone(),
            response_time: self.service.known(),
            availability: self.availability(),
            capacity: self.capacity,
            credit: u32::try_from(self.credit()).unwrap_or(0),
            in_flight: self.in_flight,
            oldest: since.map(|since| now.since(since)),
            queues,
            tags: self.about.tags.clone(),
            done: self.done,
            failed: self.failed,
            released: self.about.released,
            age: now.since(self.about.joined),
            silent: now.since(self.seen),
        }
    }

    fn availability(&self) -> Availability {
        if self.suspect {
            Availability::Suspect
        } else if self.draining {
            Availability::Draining
        } else if self.congested {
            Availability::Congested
        } else if self.reserved.is_some() {
            Availability::Reserved
        } else if self.credit() > 0 {
            Availability::Available
        } else {
            Availability::Full
        }
    }
}

/// All workers.
#[derive(Debug, Default)]
pub(super) struct Workers {
    slab: Slab<Worker>,
    by_session: HashMap<Session, Ix, RandomState>,
    rests: Rests,
}

impl Workers {
    /// Its session is this worker's from now on.
    pub(super) fn insert(&mut self, worker: Worker) -> Ix {
        let session = worker.session;
        tracing::debug!(worker = ?worker.about.name, address = ?worker.about.address, "joined");
        let ix = insert(&mut self.slab, worker);
        self.by_session.insert(session, ix);
        ix
    }

    pub(super) fn of(&self, session: Session) -> Option<Ix> {
        self.by_session.get(&session).copied()
    }

    pub(super) fn get(&self, ix: Ix) -> Option<&Worker> {
        at(&self.slab, ix)
    }

    pub(super) fn get_mut(&mut self, ix: Ix) -> Option<&mut Worker> {
        at_mut(&mut self.slab, ix)
    }

    pub(super) fn remove(&mut self, ix: Ix) {
        let Some(worker) = there(self.slab.try_remove(ix as usize)) else { return };
        // It may have introduced itself anew.
        if self.of(worker.session) == Some(ix) {
            self.by_session.remove(&worker.session);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Ix, &Worker)> {
        self.slab.iter().filter_map(|(index, worker)| Some((Ix::try_from(index).ok()?, worker)))
    }

    /// Nobody was listened to for so long.
    pub(super) fn excuse(&mut self, time: Duration) {
        for (_, worker) in &mut self.slab {
            worker.seen = worker.seen + time;
        }
    }

    pub(super) fn is_resting(&self, ix: Ix, queue: Ix) -> bool {
        self.rests.is_resting(ix, queue)
    }

    /// A worker has given a task of this queue back: it rests from that.
    pub(super) fn released(&mut self, ix: Ix, queue: Ix, now: Time, wheel: &mut Wheel) {
        let Some(worker) = self.get_mut(ix) else { return };
        worker.about.released += 1;
        // It need not serve the queue whose task it had: it may have introduced itself anew.
        if worker.memberships.rest(queue, true) {
            self.rests.begin(ix, queue, now, wheel);
        }
    }

    /// It has rested for long enough.
    pub(super) fn rested(&mut self, ix: Ix, queue: Ix) {
        self.rests.end(ix, queue);
        if let Some(worker) = self.get_mut(ix) {
            worker.memberships.rest(queue, false);
        }
    }

    /// It has done a task of this queue, or serves it no more.
    pub(super) fn forget_rest(&mut self, ix: Ix, queue: Ix, wheel: &mut Wheel) {
        if self.rests.forget(ix, queue, wheel)
            && let Some(worker) = self.get_mut(ix)
        {
            worker.memberships.rest(queue, false);
        }
    }
}

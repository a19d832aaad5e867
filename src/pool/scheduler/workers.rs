//! Who does the tasks.

use std::ops::Deref;
use std::time::Duration;

use slab::Slab;

use super::links::{Ix, List, NIL, at, at_mut, insert};
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
pub(super) enum Memberships {
    One(Membership),
    Many(Vec<Membership>),
}

impl Memberships {
    pub(super) fn push(&mut self, new: Membership) {
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
    pub(super) fn rest(&mut self, queue: Ix, resting: bool) -> bool {
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
pub(super) struct About {
    pub(super) weight: f64,
    /// When it was last sent a heartbeat.
    pub(super) beaten: Time,
    pub(super) joined: Time,
    pub(super) name: Frame,
    pub(super) address: Frame,
    pub(super) tags: Vec<Frame>,
    /// Tasks that it has given back unworked.
    pub(super) released: u64,
}

/// Two lines of the processor's caches.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Worker {
    pub(super) session: Session,
    pub(super) about: Box<About>,
    pub(super) capacity: u32,
    /// It reports what it begins; else a dispatch is the begin.
    pub(super) reports_starts: bool,
    /// How many tasks it may have. Below what it has, once it took credit back.
    pub(super) granted: i64,
    pub(super) in_flight: u32,
    /// Oldest first.
    pub(super) tasks: List,
    pub(super) memberships: Memberships,
    /// Which of them is offered the next credit first.
    pub(super) turn: u32,
    pub(super) seen: Time,
    pub(super) timer: Ix,
    pub(super) suspect: bool,
    pub(super) draining: bool,
    pub(super) congested: bool,
    /// Kept free for tasks that run alone: of this queue and class.
    pub(super) reserved: Option<(Ix, u16)>,
    pub(super) done: u64,
    pub(super) failed: u64,
    /// The mean time of a task with it, in nanoseconds; 0 is unknown.
    pub(super) service: f64,
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
            turn: 0,
            seen: now,
            timer: NIL,
            suspect: false,
            draining: false,
            congested: false,
            reserved: None,
            done: 0,
            failed: 0,
            service: 0.0,
        }
    }

    pub(super) fn grant(&mut self, more: i32) {
        self.granted = (self.granted + i64::from(more)).clamp(0, MAX_GRANTED);
        self.reports_starts |= self.granted > i64::from(self.capacity);
    }

    pub(super) fn credit(&self) -> i64 {
        self.granted - i64::from(self.in_flight)
    }

    /// It could be given a task, if it is not kept for a special one.
    pub(super) fn fit(&self) -> bool {
        !self.suspect && !self.draining && !self.congested && self.credit() > 0
    }

    /// It can be given any task.
    pub(super) fn open(&self) -> bool {
        self.fit() && self.reserved.is_none()
    }
}

#[derive(Debug, Default)]
pub(super) struct Workers(Slab<Worker>);

impl Workers {
    pub(super) fn insert(&mut self, worker: Worker) -> Ix {
        insert(&mut self.0, worker)
    }

    pub(super) fn get(&self, ix: Ix) -> Option<&Worker> {
        at(&self.0, ix)
    }

    pub(super) fn get_mut(&mut self, ix: Ix) -> Option<&mut Worker> {
        at_mut(&mut self.0, ix)
    }

    pub(super) fn remove(&mut self, ix: Ix) -> Option<Worker> {
        self.0.try_remove(ix as usize)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Ix, &Worker)> {
        self.0.iter().filter_map(|(index, worker)| Some((Ix::try_from(index).ok()?, worker)))
    }

    /// Nobody was listened to for so long.
    pub(super) fn excuse(&mut self, time: Duration) {
        for (_, worker) in &mut self.0 {
            worker.seen = worker.seen + time;
        }
    }
}

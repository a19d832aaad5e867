//! One queue: its tasks, its workers, its limits.

use std::sync::Arc;

use super::class::Class;
use super::counters::Counters;
use super::dead::DeadLetters;
use super::flows::Drain;
use super::keys::Keys;
use super::links::{Ix, NIL};
use super::rate::Gate;
use crate::message::Frame;
use crate::pool::policy::{Overflow, Policy};
use crate::pool::protocol::Session;
use crate::pool::time::Time;

/// Sets of tags that the tasks of one queue may need. More are refused: each costs memory and a look at each dispatch.
pub(super) const MAX_CLASSES: usize = 64;

/// In this order: what is looked at for each task lies together in the lines of the processor's caches, 64 bytes each,
/// for a thousand queues do not fit into the nearest ones.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Queue {
    /// Accepted, and not with a worker.
    pub(super) waiting: usize,
    pub(super) bytes: usize,
    /// With workers, also those that have ended for their clients.
    pub(super) in_flight: u32,
    pub(super) gate_timer: Ix,
    pub(super) paused: bool,
    /// Its strategy has wanted none of the available before.
    pub(super) choosy: bool,
    /// The mean time of a task with a worker, in nanoseconds.
    pub(super) service: f64,
    /// The mean time from one end to the next, in nanoseconds.
    pub(super) pace: f64,
    pub(super) last_end: Time,
    /// Whose turn it is of the classes.
    turn: u32,
    /// One of its flows, if it has any; see [`Flows`](super::flows::Flows).
    pub(super) lone: Ix,
    // 64
    pub(super) policy: Arc<Policy>,
    /// The first is for tasks without tags.
    pub(super) classes: Vec<Class>,
    /// Few have one.
    pub(super) gate: Option<Box<Gate>>,
    /// Clients that are not read from until there is room.
    pub(super) stopped: Vec<Session>,
    // 128: of the counters, the first few
    pub(super) counters: Counters,
    seed: u64,
    pub(super) dead: Box<DeadLetters>,
    // 256
    pub(super) name: Frame,
    pub(super) drain: Drain,
    pub(super) keys: Keys,
    /// Of those that wait, what is not in line: it is delayed, or behind its key, and cannot be dropped for another.
    pub(super) aside: Held,
}

/// So many tasks, and the bytes of their bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Held {
    pub(super) tasks: usize,
    pub(super) bytes: usize,
}

impl Held {
    pub(super) fn add(&mut self, bytes: usize) {
        self.tasks += 1;
        self.bytes += bytes;
    }

    pub(super) fn remove(&mut self, bytes: usize) {
        self.tasks -= 1;
        self.bytes -= bytes;
    }
}

/// Whether a queue takes one more task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// It does.
    Free,
    /// It does, and its client is stopped.
    Stop,
    /// It does, for the oldest in line.
    Drop,
    /// It does not.
    None,
}

/// Why nothing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    Paused,
    Full,
    Rate(Time),
}

fn gate(policy: &Policy) -> Option<Box<Gate>> {
    policy.rate.map(|rate| Box::new(Gate::new(rate)))
}

impl Queue {
    pub(super) fn new(name: Frame, policy: Arc<Policy>, seed: u64) -> Self {
        Self {
            name,
            classes: vec![Class::new(Vec::new(), &policy, seed)],
            gate: gate(&policy),
            policy,
            lone: NIL,
            drain: Drain::default(),
            keys: Keys::default(),
            aside: Held::default(),
            gate_timer: NIL,
            paused: false,
            choosy: false,
            waiting: 0,
            bytes: 0,
            in_flight: 0,
            stopped: Vec::new(),
            dead: Box::default(),
            counters: Counters::default(),
            service: 0.0,
            pace: 0.0,
            last_end: Time::ZERO,
            turn: 0,
            seed,
        }
    }

    /// Whether a task may go to a worker now, as far as the queue's own limits are concerned.
    pub(super) fn closed(&self, now: Time) -> Option<Closed> {
        if self.paused {
            return Some(Closed::Paused);
        }
        if self.policy.max_in_flight.is_some_and(|most| self.in_flight >= most.get()) {
            return Some(Closed::Full);
        }
        let opens = self.gate.as_ref()?.opens();
        (opens > now).then_some(Closed::Rate(opens))
    }

    /// Whether it takes one more task of so many bytes. Nothing is done about it yet: another queue may have to, too.
    pub(super) fn room(&self, bytes: usize) -> Room {
        match self.policy.overflow {
            _ if !self.is_full(bytes) => Room::Free,
            Overflow::Block => Room::Stop,
            Overflow::DropOldest if !self.exceeds(self.aside, bytes) => Room::Drop,
            Overflow::Reject | Overflow::DropOldest => Room::None,
        }
    }

    /// Whether one more task of so many bytes would be too much.
    pub(super) fn is_full(&self, bytes: usize) -> bool {
        self.exceeds(Held { tasks: self.waiting, bytes: self.bytes }, bytes)
    }

    fn exceeds(&self, held: Held, bytes: usize) -> bool {
        held.tasks >= self.policy.max_len
            || (held.tasks > 0 && held.bytes.saturating_add(bytes) > self.policy.max_bytes)
    }

    /// Whether those who were stopped may go on: a quarter is free, so that they do not stop at each task.
    pub(super) fn has_room(&self) -> bool {
        let three_quarters = |limit: usize| limit - limit.div_ceil(4);
        self.waiting <= three_quarters(self.policy.max_len)
            && self.bytes <= three_quarters(self.policy.max_bytes)
    }

    /// Those who serve it.
    pub(super) fn workers(&self) -> impl Iterator<Item = Ix> + '_ {
        let workers = self.classes.first().map(|class| &class.workers);
        workers.into_iter().flat_map(|workers| {
            workers.seats().filter_map(|seat| workers.get(seat).map(|member| member.worker))
        })
    }

    pub(super) fn class(&mut self, class: u16) -> Option<&mut Class> {
        self.classes.get_mut(usize::from(class))
    }

    /// Whether it has a class for these tags, or may have one.
    pub(super) fn may_need(&self, tags: &[Frame]) -> bool {
        // Most tasks need none, and that class is always there.
        tags.is_empty()
            || self.classes.len() < MAX_CLASSES
            || self.classes.iter().any(|class| class.tags == tags)
    }

    /// The class for these tags, sorted and without repetition; made if need be, without workers.
    pub(super) fn class_for(&mut self, tags: Vec<Frame>) -> Option<(u16, bool)> {
        let known = self.classes.iter().position(|class| class.tags == tags);
        if known.is_none() {
            if self.classes.len() >= MAX_CLASSES {
                return None;
            }
            let seed = self.seed.wrapping_add(self.classes.len() as u64);
            self.classes.push(Class::new(tags, &self.policy, seed));
        }
        let index = known.unwrap_or(self.classes.len() - 1);
        Some((u16::try_from(index).ok()?, known.is_none()))
    }

    /// The level and the class of the next task that someone could take.
    pub(super) fn next(&mut self) -> Option<(u8, u16)> {
        let open = |class: &Class| if class.can_give() { class.levels.filled() } else { 0 };
        let filled = self.classes.iter().fold(0, |filled, class| filled | open(class));
        let level = self.drain.choose(filled, self.policy.strict_priority)?;
        let (count, turn) = (self.classes.len(), self.turn as usize);
        let class = (0..count)
            .map(|step| (turn + step) % count)
            .find(|index| self.classes.get(*index).is_some_and(|class| open(class) & 1 << level != 0))?;
        Some((level, u16::try_from(class).ok()?))
    }

    /// A task of this level and class went.
    pub(super) fn advance(&mut self, level: u8, class: u16) {
        self.drain.advance(level);
        self.turn = u32::from(class) + 1;
    }

    pub(super) fn set_policy(&mut self, policy: Policy) {
        self.gate = gate(&policy);
        let seeds = self.seed..;
        for (class, seed) in self.classes.iter_mut().zip(seeds) {
            class.set_policy(&policy, seed);
        }
        self.policy = Arc::new(policy);
    }

    /// A task ended: whoever is refused is told when to come back by how fast they do.
    pub(super) fn ended(&mut self, now: Time) {
        let since = now.since(self.last_end).as_nanos() as f64;
        self.pace = if self.pace > 0.0 { self.pace * 0.95 + since * 0.05 } else { since };
        self.last_end = now;
    }
}

//! One queue: its tasks, its workers, its limits.

use std::sync::Arc;
use std::time::Duration;

use super::class::Class;
use super::dead::{DeadLetter, DeadLetters};
use super::flows::Drain;
use super::keys::{Key, Keys};
use super::rate::Gate;
use crate::message::Frame;
use crate::pool::policy::{Overflow, Policy};
use crate::pool::protocol::Session;
use crate::pool::scheduler::counters::Counters;
use crate::pool::scheduler::figures::QueueFigures;
use crate::pool::scheduler::links::{Ix, NIL, there};
use crate::pool::scheduler::mean::Mean;
use crate::pool::scheduler::task::{End, Task};
use crate::pool::scheduler::wheel::{Timer, Wheel};
use crate::pool::time::Time;

/// Sets of tags that the tasks of one queue may need. More are refused: each costs memory and a look at each dispatch.
const MAX_CLASSES: usize = 64;

/// In this order: what is looked at for each task lies together in the lines of the processor's caches, 64 bytes each,
/// for a thousand queues do not fit into the nearest ones.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct TaskQueue {
    /// Accepted, and not with a worker.
    pub(super) waiting: Held,
    /// With workers, also those that have ended for their clients.
    pub(super) in_flight: u32,
    gate_timer: Ix,
    paused: bool,
    /// Its strategy has wanted none of the available before.
    pub(super) choosy: bool,
    /// How long a task is with a worker.
    pub(super) service: Mean,
    /// The mean time from one end to the next, in nanoseconds.
    pace: f64,
    last_end: Time,
    /// Which of the classes is looked at first.
    pub(super) first_class: u32,
    /// One of its flows, if it has any; see [`Flows`](super::flows::Flows).
    pub(super) lone: Ix,
    // 64
    pub(super) policy: Arc<Policy>,
    /// The first is for tasks without tags.
    pub(super) classes: Vec<Class>,
    /// Few have one.
    gate: Option<Box<Gate>>,
    /// Clients that are not read from until there is room.
    stopped: Vec<Session>,
    // 128: of the counters, the first few
    pub(super) counters: Counters,
    seed: u64,
    dead: Box<DeadLetters>,
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
pub(crate) enum Room {
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
pub(crate) enum Closed {
    Paused,
    Full,
    Rate(Time),
}

fn gate(policy: &Policy) -> Option<Box<Gate>> {
    policy.rate.map(|rate| Box::new(Gate::new(rate)))
}

impl TaskQueue {
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
            waiting: Held::default(),
            in_flight: 0,
            stopped: Vec::new(),
            dead: Box::default(),
            counters: Counters::default(),
            service: Mean::default(),
            pace: 0.0,
            last_end: Time::ZERO,
            first_class: 0,
            seed,
        }
    }

    /// Whether a task may go to a worker now, as far as the queue's own limits are concerned.
    pub(crate) fn closed(&self, now: Time) -> Option<Closed> {
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
    pub(crate) fn room(&self, bytes: usize) -> Room {
        match self.policy.overflow {
            _ if !self.is_full(bytes) => Room::Free,
            Overflow::Block => Room::Stop,
            Overflow::DropOldest if !self.exceeds(self.aside, bytes) => Room::Drop,
            Overflow::Reject | Overflow::DropOldest => Room::None,
        }
    }

    /// Whether one more task of so many bytes would be too much.
    pub(crate) fn is_full(&self, bytes: usize) -> bool {
        self.exceeds(self.waiting, bytes)
    }

    fn exceeds(&self, held: Held, bytes: usize) -> bool {
        held.tasks >= self.policy.max_len
            || (held.tasks > 0 && held.bytes.saturating_add(bytes) > self.policy.max_bytes)
    }

    /// Whether those who were stopped may go on: a quarter is free, so that they do not stop at each task.
    fn has_room(&self) -> bool {
        let three_quarters = |limit: usize| limit - limit.div_ceil(4);
        self.waiting.tasks <= three_quarters(self.policy.max_len)
            && self.waiting.bytes <= three_quarters(self.policy.max_bytes)
    }

    /// Whether this client is to be stopped, which had not been yet.
    pub(crate) fn stop(&mut self, session: Session) -> bool {
        let new = !self.stopped.contains(&session);
        if new {
            self.stopped.push(session);
        }
        new
    }

    /// Those who were stopped, if they may go on.
    pub(crate) fn let_go_on(&mut self) -> Vec<Session> {
        if self.stopped.is_empty() || !self.has_room() {
            Vec::new()
        } else {
            std::mem::take(&mut self.stopped)
        }
    }

    /// Those who serve it.
    pub(crate) fn workers(&self) -> impl Iterator<Item = Ix> + '_ {
        let workers = self.classes.first().map(|class| &class.workers);
        workers.into_iter().flat_map(|workers| {
            workers.seats().filter_map(|seat| workers.get(seat).map(|member| member.worker))
        })
    }

    pub(super) fn class(&mut self, class: u16) -> Option<&mut Class> {
        there(self.classes.get_mut(usize::from(class)))
    }

    /// The class of a task that is in it.
    pub(crate) fn class_of(&self, task: &Task) -> Option<&Class> {
        there(self.classes.get(usize::from(task.class)))
    }

    /// Whether it has a class for these tags, or may have one.
    pub(crate) fn may_need(&self, tags: &[Frame]) -> bool {
        self.classes.len() < MAX_CLASSES || self.find_class(tags).is_some()
    }

    /// The class for these tags, sorted and without repetition.
    pub(crate) fn find_class(&self, tags: &[Frame]) -> Option<u16> {
        // Most tasks need none, and that class is the first.
        let class = self.classes.iter().position(|class| class.tags == tags)?;
        u16::try_from(class).ok()
    }

    /// One for tags that have none yet, without workers.
    pub(crate) fn make_class(&mut self, tags: Vec<Frame>) -> u16 {
        debug_assert!(self.may_need(&tags), "who admits a task asks first");
        let number = self.classes.len() as u16;
        self.classes.push(Class::new(tags, &self.policy, self.seed.wrapping_add(u64::from(number))));
        number
    }

    pub(super) fn set_policy(&mut self, policy: Policy, wheel: &mut Wheel) {
        wheel.cancel(&mut self.gate_timer);
        self.gate = gate(&policy);
        let seeds = self.seed..;
        for (class, seed) in self.classes.iter_mut().zip(seeds) {
            class.set_policy(&policy, seed);
        }
        self.policy = Arc::new(policy);
    }

    /// Gives nothing more to workers, or goes on.
    pub(crate) fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Its rate lets the next task go then: the time to look again.
    pub(crate) fn wait_for_gate(&mut self, ix: Ix, opens: Time, wheel: &mut Wheel) {
        if self.gate_timer == NIL {
            self.gate_timer = wheel.set(opens, Timer::Queue(ix));
        }
    }

    #[cfg(test)]
    pub(super) const fn waits_for_gate(&self) -> bool {
        self.gate_timer != NIL
    }

    /// That time has come.
    pub(crate) fn gate_is_due(&mut self) {
        self.gate_timer = NIL;
    }

    pub(crate) fn accepted(&mut self) {
        self.counters.accepted += 1;
    }

    /// A task was refused. When a part of the queue should have gone, by how fast tasks end.
    pub(crate) fn refused(&mut self) -> Duration {
        self.counters.rejected += 1;
        let nanos = self.pace * (self.waiting.tasks as f64 / 8.0).max(1.0);
        let known = self.pace > 0.0;
        let wait = Duration::from_nanos(if known { nanos as u64 } else { 1_000_000_000 });
        wait.clamp(Duration::from_millis(10), Duration::from_secs(30))
    }

    /// A task was submitted again.
    pub(crate) fn repeated(&mut self) {
        self.counters.repeated += 1;
    }

    /// A worker that had a task has not finished it.
    pub(crate) fn redelivered(&mut self) {
        self.counters.redelivered += 1;
    }

    /// A task goes to a worker.
    pub(super) fn given(&mut self, now: Time) {
        if let Some(gate) = &mut self.gate {
            gate.pass(now);
        }
        self.counters.dispatched += 1;
        self.in_flight += 1;
    }

    /// A worker has a task that was not given to it now.
    pub(crate) fn reattached(&mut self) {
        self.in_flight += 1;
    }

    /// A worker has had a task for so long.
    pub(super) fn measured(&mut self, took: Duration) {
        self.service.add(took);
    }

    pub(crate) fn bury(&mut self, letter: DeadLetter) {
        self.dead.push(letter, self.policy.dead_letters, self.policy.dead_letter_age);
    }

    /// The oldest dead letter, which is one no more.
    pub(crate) fn take_dead(&mut self) -> Option<DeadLetter> {
        self.dead.pop()
    }

    pub(crate) fn clear_dead(&mut self) {
        self.dead.clear();
    }

    /// A task ended: whoever is refused is told when to come back by how fast they do.
    pub(crate) fn ended(&mut self, now: Time, end: End) {
        self.counters.ended(end);
        let since = now.since(self.last_end).as_nanos() as f64;
        self.pace = if self.pace > 0.0 { self.pace * 0.95 + since * 0.05 } else { since };
        self.last_end = now;
    }
}

/// What can be seen from outside.
impl TaskQueue {
    pub(crate) const fn name(&self) -> &Frame {
        &self.name
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether its strategy has wanted none of the available before.
    pub(crate) const fn is_choosy(&self) -> bool {
        self.choosy
    }

    pub(crate) const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// The key that a task has, or waits for.
    pub(crate) fn key_of(&self, task: &Task) -> Option<&Key> {
        self.keys.get(task.key)
    }

    pub(crate) fn dead_letters(&self, now: Time) -> impl Iterator<Item = &DeadLetter> {
        let age = self.policy.dead_letter_age;
        self.dead.iter().filter(move |letter| now.since(letter.died) < age)
    }

    /// Its figures, where `oldest` is since when its oldest task is there.
    pub(crate) fn figures(&self, now: Time, oldest: Option<Time>) -> QueueFigures {
        let workers = self.classes.first().map(|class| &class.workers);
        QueueFigures {
            name: self.name.clone(),
            waiting: self.waiting.tasks,
            bytes: self.waiting.bytes,
            in_flight: self.in_flight,
            oldest: oldest.map(|oldest| now.since(oldest)),
            workers: workers.map_or(0, |workers| workers.len()),
            available: workers.map_or(0, |workers| workers.available().len()),
            paused: self.paused,
            dead: self.dead.len(),
            dead_discarded: self.dead.discarded(),
            service_time: self.service.known(),
            counters: self.counters,
        }
    }
}

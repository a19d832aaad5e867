//! Who gets which task when: a state machine without clock, thread or I/O.
//!
//! What happened goes in as an [`Event`] together with the time; what to do about it comes out as [`Action`]s, in
//! order. The same events at the same times with the same seed give the same actions: nothing here depends on a hash
//! order or a clock.
//!
//! ```text
//!   I/O: read, decode -> on(now, Event) -> Actions -> encode, write
//!                        next_deadline() -> a timer -> on(now, Event::Tick)
//! ```
//!
//! What the driver owes it:
//!
//! - `now` never goes back.
//! - The messages of a session in order, and [`Event::Lost`] after the last of them. Then the session is never used
//!   again; a peer that comes back gets a new one.
//! - After each batch of events it waits for [`Scheduler::next_deadline`] at most, then says [`Event::Tick`]. A deadline
//!   may be early, never late; if it was, because the process was stopped, [`Event::Late`] comes before anything else.
//! - What an action sends to a session that has ended in the meantime is dropped: [`Event::Lost`] is on its way, and
//!   puts everything right.
//! - A session whose queue to the peer is full is [`Event::Congested`] and gets no new tasks until it is
//!   [`Event::Writable`]; what is sent to it nevertheless must still be kept: it is bounded by the worker's credit.

mod admin;
mod answer;
mod class;
mod clients;
mod config;
mod counters;
mod dead;
mod dispatch;
mod end;
mod event;
mod explain;
mod figures;
mod flows;
mod keys;
mod line;
mod links;
mod memory;
mod presence;
mod queue;
mod rate;
mod requests;
mod rest;
mod submit;
mod task;
#[cfg(test)]
mod tests;
mod wheel;
mod workers;

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;

pub(crate) use self::config::Config;
pub use self::counters::{Counters, Totals};
pub use self::dead::DeadLetter;
pub(crate) use self::event::{Action, Admin, Event};
pub use self::explain::Explanation;
pub use self::figures::{Availability, QueueFigures, WorkerFigures};
pub(crate) use self::task::End;

use self::clients::Clients;
use self::flows::Flows;
use self::links::{Ix, NIL};
use self::memory::{Limits, Memory};
use self::queue::Queue;
use self::rest::Rests;
use self::task::Tasks;
use self::wheel::{Timer, Wheel};
use self::workers::Workers;
use crate::message::Frame;
use crate::pool::policy::Policy;
use crate::pool::protocol::{Session, ToClient, ToWorker};
use crate::pool::time::Time;

/// All queues, tasks, workers and clients of one broker.
#[derive(Debug)]
pub(crate) struct Scheduler {
    config: Config,
    now: Time,
    /// What to do about the event that is being handled.
    out: Vec<Action>,
    rng: fastrand::Rng,
    wheel: Wheel,
    tasks: Tasks,
    /// A queue is never removed; there are at most `Config::max_queues`.
    queues: Vec<Queue>,
    flows: Flows,
    /// By the hash of its name, or the next number that is free: see [`Scheduler::find_queue`].
    queue_names: HashMap<u64, Ix, RandomState>,
    /// That of the queues that have none of their own. They share it, and with it a place in the processor's caches.
    policy: Arc<Policy>,
    /// What is submitted to one of these goes to each of its queues.
    topics: HashMap<Frame, Arc<[Ix]>, RandomState>,
    workers: Workers,
    worker_sessions: HashMap<Session, Ix, RandomState>,
    rests: Rests,
    clients: Clients,
    client_sessions: HashMap<Session, Ix, RandomState>,
    client_names: HashMap<Frame, Ix, RandomState>,
    memory: Memory,
    memory_timer: Ix,
    totals: Totals,
    /// What the tasks take, in bytes; see [`Config::max_memory`].
    taken: usize,
    shutting_down: bool,
}

impl Scheduler {
    pub(crate) fn new(config: Config) -> Self {
        let mut rng = fastrand::Rng::with_seed(config.seed);
        let salt = if config.seed == 0 { 0 } else { rng.u64(..) };
        let limits = Limits {
            window: config.dedup_window,
            entries: config.dedup_entries,
            ttl: config.result_ttl,
            bytes: config.result_bytes,
        };
        let policy = Arc::new(config.policy.clone());
        Self {
            config,
            now: Time::ZERO,
            out: Vec::new(),
            rng,
            wheel: Wheel::new(),
            tasks: Tasks::new(salt),
            queues: Vec::new(),
            flows: Flows::default(),
            queue_names: HashMap::default(),
            policy,
            topics: HashMap::default(),
            workers: Workers::default(),
            worker_sessions: HashMap::default(),
            rests: Rests::default(),
            clients: Clients::new(),
            client_sessions: HashMap::default(),
            client_names: HashMap::default(),
            memory: Memory::new(limits),
            memory_timer: NIL,
            totals: Totals::default(),
            taken: 0,
            shutting_down: false,
        }
    }

    /// Takes in what happened at `now`; appends what to do to `out`.
    pub(crate) fn on(&mut self, now: Time, event: Event, out: &mut Vec<Action>) {
        self.now = self.now.max(now);
        std::mem::swap(&mut self.out, out);
        if let Event::Late(time) = &event {
            self.workers.excuse(*time);
        }
        while let Some(timer) = self.wheel.pop(self.now) {
            self.fire(timer);
        }
        match event {
            Event::Client(session, said) => self.on_client(session, said),
            Event::Worker(session, said) => self.on_worker(session, said),
            Event::Lost(session) => {
                self.client_lost(session);
                self.worker_lost(session);
            }
            Event::Congested(session) => self.set_congested(session, true),
            Event::Writable(session) => self.set_congested(session, false),
            Event::Tick | Event::Late(_) => {}
            Event::Admin(admin) => self.on_admin(admin),
        }
        std::mem::swap(&mut self.out, out);
    }

    /// When to say [`Event::Tick`], if nothing else happens before.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.wheel.next()
    }

    fn fire(&mut self, timer: Timer) {
        match timer {
            Timer::Task(task) => self.task_due(task),
            Timer::Worker(worker) => self.worker_due(worker),
            Timer::Rest(worker, queue) => self.rested(worker, queue),
            Timer::Client(client) => self.client_due(client),
            Timer::Queue(queue) => {
                if let Some(queue) = self.queue_mut(queue) {
                    queue.gate_timer = NIL;
                }
                self.dispatch(queue);
            }
            Timer::Memory => {
                self.memory_timer = NIL;
                self.forget();
            }
        }
    }

    fn queue(&self, ix: Ix) -> Option<&Queue> {
        self.queues.get(ix as usize)
    }

    fn queue_mut(&mut self, ix: Ix) -> Option<&mut Queue> {
        self.queues.get_mut(ix as usize)
    }

    /// The queue of this name, made if that is allowed.
    fn queue_named(&mut self, name: &Frame, make: bool) -> Option<Ix> {
        let number = match self.find_queue(name) {
            Ok(ix) => return Some(ix),
            Err(number) => number,
        };
        if !make || self.queues.len() >= self.config.max_queues {
            return None;
        }
        let ix = Ix::try_from(self.queues.len()).ok()?;
        let policy = Arc::clone(&self.policy);
        let seed = self.config.seed ^ u64::from(ix) << 16;
        // A copy: it stays, and what it was read with need not.
        self.queues.push(Queue::new(Frame::copy_from_slice(name), policy, seed));
        self.queue_names.insert(number, ix);
        Some(ix)
    }

    /// The queue of this name, or the number to put it under. The table has no names, which lie with the queues: with
    /// them it would be ten times as large, and less of it in the processor's caches.
    fn find_queue(&self, name: &Frame) -> Result<Ix, u64> {
        let mut number = self.queue_names.hasher().hash_one(name);
        while let Some(ix) = self.queue_names.get(&number).copied() {
            if self.queue(ix).is_some_and(|queue| queue.name == *name) {
                return Ok(ix);
            }
            number = number.wrapping_add(1);
        }
        Err(number)
    }

    fn tell_client(&mut self, session: Session, said: ToClient) {
        self.out.push(Action::ToClient(session, said));
    }

    fn tell_worker(&mut self, session: Session, said: ToWorker) {
        self.out.push(Action::ToWorker(session, said));
    }
}

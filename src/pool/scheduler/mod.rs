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
//!   may be early, never late.
//! - What an action sends to a session that has ended in the meantime is dropped: [`Event::Lost`] is on its way, and
//!   puts everything right.
//! - A session whose queue to the peer is full is [`Event::Congested`] and gets no new tasks until it is
//!   [`Event::Writable`]; what is sent to it nevertheless must still be kept: it is bounded by the worker's credit.

use std::time::Duration;

use crate::message::Frame;
use crate::pool::policy::Policy;
use crate::pool::protocol::{FromClient, FromWorker, Session, ToClient, ToWorker};
use crate::pool::time::Time;

/// What happened.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A client said something. Its first words make the session a client's.
    Client(Session, FromClient),
    /// A worker said something. `Hello` makes the session a worker's; anything else before it is answered `Rejoin`.
    Worker(Session, FromWorker),
    /// The connection has ended, after all its messages.
    Lost(Session),
    /// No room to write to this session: no new tasks for it.
    Congested(Session),
    /// There is room again.
    Writable(Session),
    /// Time has passed.
    Tick,
    /// An operator wants something.
    Admin(Admin),
}

/// What an operator wants. Queues are named; one that does not exist is made.
#[derive(Debug, Clone)]
pub(crate) enum Admin {
    /// Nothing more of this queue goes to workers. What is with them already goes on.
    Pause(Frame),
    Resume(Frame),
    /// Its rules from now on. What waits stays, even above a lower limit.
    SetPolicy(Frame, Box<Policy>),
    /// Drops what waits; clients are told `Purged`.
    Purge(Frame),
    /// Puts up to so many dead letters back into their queue, oldest first, with a clean record.
    RetryDead(Frame, usize),
    /// Forgets the dead letters.
    PurgeDead(Frame),
    /// Refuses new tasks; those that were accepted go on.
    ShutDown,
}

/// What to do.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    ToClient(Session, ToClient),
    ToWorker(Session, ToWorker),
    /// Read no more from this client: a queue with `Overflow::Block` is full.
    StopReading(Session),
    ResumeReading(Session),
}

/// What holds for all queues.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Of everything random; also keeps the task ids of two lives of a broker apart.
    pub(crate) seed: u64,
    /// The rules of a queue that has none of its own.
    pub(crate) policy: Policy,
    /// Whether a queue that nobody configured is made when it is named. On.
    pub(crate) on_demand: bool,
    /// 10,000.
    pub(crate) max_queues: usize,
    /// How often workers and broker say that they are there: 2 s.
    pub(crate) heartbeat: Duration,
    /// After so many silent intervals a worker is lost: 3. After one it gets no new tasks.
    pub(crate) liveness: u32,
    /// How long the tasks of a client that left are kept, for it to come back: 10 s.
    pub(crate) client_grace: Duration,
    /// How long a task that ended is known by its name: 10 min.
    pub(crate) dedup_window: Duration,
    /// How many tasks that ended are known by their names: 262,144. The oldest is forgotten first.
    pub(crate) dedup_entries: usize,
    /// How long a result is kept for a client that asks again: 1 min.
    pub(crate) result_ttl: Duration,
    /// The payload bytes of kept results: 64 MiB. The oldest is forgotten first.
    pub(crate) result_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 0,
            policy: Policy::default(),
            on_demand: true,
            max_queues: 10_000,
            heartbeat: Duration::from_secs(2),
            liveness: 3,
            client_grace: Duration::from_secs(10),
            dedup_window: Duration::from_secs(600),
            dedup_entries: 1 << 18,
            result_ttl: Duration::from_secs(60),
            result_bytes: 64 << 20,
        }
    }
}

/// All queues, tasks, workers and clients of one broker.
#[derive(Debug)]
pub(crate) struct Scheduler {
    config: Config,
}

impl Scheduler {
    pub(crate) fn new(config: Config) -> Self {
        Self { config }
    }

    /// Takes in what happened at `now`; appends what to do to `out`.
    pub(crate) fn on(&mut self, now: Time, event: Event, out: &mut Vec<Action>) {
        let _ = (now, event, out, &self.config);
    }

    /// When to say [`Event::Tick`], if nothing else happens before.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        None
    }
}

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
mod clients;
mod config;
mod counters;
mod dispatch;
mod end;
mod event;
mod explain;
mod figures;
mod links;
mod mean;
mod memory;
mod presence;
mod queues;
mod requests;
mod rest;
mod submit;
mod task;
#[cfg(test)]
mod tests;
mod waiting;
mod wheel;
mod workers;

pub(crate) use self::config::Config;
pub use self::counters::{Counters, Totals};
pub(crate) use self::event::{Action, Admin, Event};
pub use self::explain::Explanation;
pub use self::figures::{Availability, QueueFigures, WorkerFigures};
pub use self::queues::DeadLetter;
pub(crate) use self::task::End;

use self::clients::Clients;
use self::memory::Memory;
use self::queues::Queues;
use self::task::Tasks;
use self::wheel::{Timer, Wheel};
use self::workers::Workers;
use crate::pool::protocol::{Session, ToClient, ToWorker};
use crate::pool::time::Time;

/// All queues, tasks, workers and clients of one broker.
///
/// Each part keeps its own in order, by its own methods, and knows none of the others but the tasks, in whose links all
/// lists are, and the wheel. What goes from one to another is here.
#[derive(Debug)]
pub(crate) struct Scheduler {
    config: Config,
    now: Time,
    /// What to do about the event that is being handled.
    out: Vec<Action>,
    rng: fastrand::Rng,
    wheel: Wheel,
    tasks: Tasks,
    queues: Queues,
    workers: Workers,
    clients: Clients,
    memory: Memory,
    totals: Totals,
    shutting_down: bool,
}

impl Scheduler {
    pub(crate) fn new(config: Config) -> Self {
        let mut rng = fastrand::Rng::with_seed(config.seed);
        let salt = if config.seed == 0 { 0 } else { rng.u64(..) };
        Self {
            now: Time::ZERO,
            out: Vec::new(),
            rng,
            wheel: Wheel::new(),
            tasks: Tasks::new(salt),
            queues: Queues::new(&config),
            workers: Workers::default(),
            clients: Clients::new(),
            memory: Memory::new(&config),
            totals: Totals::default(),
            shutting_down: false,
            config,
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
        debug_assert_eq!(self.totals.conservation_error(), 0, "a task is lost, or counted twice");
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
                if let Some(queue) = self.queues.get_mut(queue) {
                    queue.gate_is_due();
                }
                self.dispatch(queue);
            }
            Timer::Memory => {
                self.memory.is_due();
                self.forget();
            }
        }
    }

    fn tell_client(&mut self, session: Session, said: ToClient) {
        self.out.push(Action::ToClient(session, said));
    }

    fn tell_worker(&mut self, session: Session, said: ToWorker) {
        self.out.push(Action::ToWorker(session, said));
    }
}

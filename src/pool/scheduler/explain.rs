//! Why a task is not running: the true reason, in the order in which the scheduler itself looks.

use std::fmt;
use std::time::Duration;

use super::Scheduler;
use super::links::Ix;
use super::memory::Known;
use super::queues::{Class, Closed, TaskQueue};
use super::task::{Place, Task};
use super::workers::Worker;
use crate::message::Frame;
use crate::pool::protocol::{RequestId, Session, TaskId};
use crate::pool::strategy::Seat;
use crate::pool::time::Time;

/// Where a task stands, and what it waits for. Times are those of the scheduler.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Explanation {
    /// No such task: it never was, or is no longer remembered.
    Unknown,
    /// It has ended.
    Ended,
    /// A worker is at it.
    Running {
        /// Its name.
        worker: Frame,
        /// How often the task has been begun.
        start: u32,
        /// For how long.
        since: Duration,
    },
    /// A worker has it, behind others.
    WithWorker {
        /// Its name.
        worker: Frame,
        /// For how long.
        since: Duration,
    },
    /// It was submitted for later.
    Delayed {
        /// When it may go.
        until: Time,
    },
    /// It failed, and will be tried again.
    Backoff {
        /// How often it has been begun.
        starts: u32,
        /// When it may go.
        until: Time,
        /// What its last worker said.
        error: Frame,
    },
    /// A worker asked to have it later.
    Deferred {
        /// When it may go.
        until: Time,
    },
    /// Its queue is paused.
    Paused,
    /// As many tasks of its queue as may be are with workers.
    QueueCap {
        /// How many.
        in_flight: u32,
    },
    /// Its queue's rate is used up.
    RateLimited {
        /// When the next task of the queue may go.
        until: Time,
    },
    /// Other tasks have its key.
    KeyHeld {
        /// The last one that got it.
        by: u64,
        /// Who has that one, if anybody.
        worker: Option<Frame>,
        /// How many wait for the key before this task; 1000 are not counted further.
        ahead: usize,
    },
    /// Nobody serves its queue.
    NoWorkers,
    /// Nobody who serves its queue has the tags that it needs.
    TagMismatch {
        /// What it needs.
        tags: Vec<Frame>,
        /// How many serve the queue.
        workers: usize,
    },
    /// All who could take it have as many tasks as they want.
    NoCredit {
        /// Their names; at most 16.
        workers: Vec<Frame>,
    },
    /// All who could take it are leaving, silent, or cannot be written to.
    NotTaking {
        /// Their names; at most 16.
        workers: Vec<Frame>,
    },
    /// All who could take it have given tasks of its queue back, and get none of them for a moment.
    Resting {
        /// Their names; at most 16.
        workers: Vec<Frame>,
    },
    /// It is kept for one worker, who has no room, or is leaving.
    WaitsFor {
        /// Its name.
        worker: Frame,
    },
    /// It took a worker down, and must run alone: no worker is free of other tasks yet.
    Alone {
        /// How many workers it took down.
        crashes: u32,
    },
    /// The strategy of its queue wants none of those who could take it.
    Strategy,
    /// It goes as soon as its turn comes.
    Next,
}

/// More names are not listed.
const NAMES: usize = 16;
/// Tasks that are counted one by one, for a client may ask as often as it likes.
const AHEAD: usize = 1000;

impl Scheduler {
    /// Why this task is not running.
    pub(crate) fn explain(&self, id: TaskId) -> Explanation {
        self.tasks.find(id).map_or(Explanation::Unknown, |ix| self.explain_task(ix))
    }

    pub(super) fn status(&self, session: Session, request: RequestId) -> String {
        let client = self.clients.find(session);
        let explanation = match client.and_then(|client| self.memory.request(client, request)) {
            None => Explanation::Unknown,
            Some(Known::Ended(_)) => Explanation::Ended,
            Some(Known::Task(ix)) => self.explain_task(ix),
        };
        explanation.at(self.now).to_string()
    }

    fn explain_task(&self, ix: Ix) -> Explanation {
        let Some(task) = self.tasks.get(ix) else { return Explanation::Unknown };
        let Some(queue) = self.queues.get(task.queue) else { return Explanation::Unknown };
        let until = task.moment;
        let starts = u32::from(task.starts);
        let error = || task.extra.as_ref().map(|extra| extra.error.clone()).unwrap_or_default();
        match task.place {
            Place::Revoked => Explanation::Ended,
            Place::Running => {
                let since = self.now.since(task.moment);
                Explanation::Running { worker: self.worker_name(task.worker), start: starts, since }
            }
            Place::Leased => {
                let since = self.now.since(task.moment);
                Explanation::WithWorker { worker: self.worker_name(task.worker), since }
            }
            Place::Delayed => Explanation::Delayed { until },
            Place::Backoff => Explanation::Backoff { starts, until, error: error() },
            Place::Deferred => Explanation::Deferred { until },
            Place::KeyWait => self.explain_key(ix, task, queue),
            Place::Ready | Place::Parked | Place::Solo => self.explain_ready(task, queue),
        }
    }

    fn explain_key(&self, ix: Ix, task: &Task, queue: &TaskQueue) -> Explanation {
        let Some(key) = queue.key_of(task) else { return Explanation::Unknown };
        let holder = self.tasks.peek(key.holder()).filter(|holder| holder.in_flight());
        let worker = holder.map(|holder| self.worker_name(holder.worker));
        let ahead = key.waiting(&self.tasks).take_while(|other| *other != ix).take(AHEAD).count();
        Explanation::KeyHeld { by: self.tasks.id(key.holder()).0, worker, ahead }
    }

    fn explain_ready(&self, task: &Task, queue: &TaskQueue) -> Explanation {
        match queue.closed(self.now) {
            Some(Closed::Paused) => return Explanation::Paused,
            Some(Closed::Full) => return Explanation::QueueCap { in_flight: queue.in_flight() },
            Some(Closed::Rate(until)) => return Explanation::RateLimited { until },
            None => {}
        }
        let Some(class) = queue.class_of(task) else { return Explanation::Unknown };
        let serving = queue.workers().count();
        if serving == 0 {
            return Explanation::NoWorkers;
        }
        if class.workers().is_empty() {
            return Explanation::TagMismatch { tags: class.tags().to_vec(), workers: serving };
        }
        if task.place == Place::Parked
            && let Some(member) = class.workers().get(Seat::new(task.worker as usize))
        {
            return Explanation::WaitsFor { worker: member.name().clone() };
        }
        if class.workers().available().is_empty() {
            return self.explain_unavailable(task.queue, class);
        }
        match task.place {
            Place::Solo => Explanation::Alone { crashes: u32::from(task.crashes) },
            _ if class.is_stuck() => Explanation::Strategy,
            _ => Explanation::Next,
        }
    }

    /// Nobody is available: because of what they have, or did, or of what they are.
    fn explain_unavailable(&self, queue: Ix, class: &Class) -> Explanation {
        let seats = class.workers().seats().filter_map(|seat| class.workers().get(seat));
        let workers: Vec<_> =
            seats.filter_map(|member| Some((member.worker, self.workers.get(member.worker)?))).collect();
        let names = |which: &dyn Fn(Ix, &Worker) -> bool| -> Vec<Frame> {
            let which = workers.iter().filter(|(ix, worker)| which(*ix, worker));
            which.take(NAMES).map(|(_, worker)| worker.name().clone()).collect()
        };
        // One who is merely full, or rests, will have room again: that is what the task waits for.
        let full = names(&|_, worker| worker.is_taking() && !worker.is_open());
        let resting = names(&|ix, worker| worker.is_open() && self.workers.is_resting(ix, queue));
        match (full.is_empty(), resting.is_empty()) {
            (false, _) => Explanation::NoCredit { workers: full },
            (true, false) => Explanation::Resting { workers: resting },
            (true, true) => Explanation::NotTaking { workers: names(&|_, _| true) },
        }
    }

    fn worker_name(&self, ix: Ix) -> Frame {
        self.workers.get(ix).map(|worker| worker.name().clone()).unwrap_or_default()
    }
}

impl Explanation {
    /// In words, with waits counted from `now`.
    pub fn at(&self, now: Time) -> impl fmt::Display + '_ {
        Told { explanation: self, now }
    }
}

/// An explanation as text.
struct Told<'a> {
    explanation: &'a Explanation,
    now: Time,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wait = |until: &Time| until.since(self.now);
        let text = |frame: &Frame| String::from_utf8_lossy(frame).into_owned();
        let list = |names: &[Frame]| names.iter().map(text).collect::<Vec<_>>().join(", ");
        match self.explanation {
            Explanation::Unknown => f.write_str("unknown"),
            Explanation::Ended => f.write_str("ended"),
            Explanation::Running { worker, start, since } => {
                write!(f, "running on {} for {since:?}, start {start}", text(worker))
            }
            Explanation::WithWorker { worker, since } => {
                write!(f, "with {} for {since:?}, not begun", text(worker))
            }
            Explanation::Delayed { until } => write!(f, "delayed for {:?}", wait(until)),
            Explanation::Backoff { starts, until, error } => {
                write!(f, "failed at start {starts}: {}; again in {:?}", text(error), wait(until))
            }
            Explanation::Deferred { until } => write!(f, "deferred by a worker for {:?}", wait(until)),
            Explanation::Paused => f.write_str("the queue is paused"),
            Explanation::QueueCap { in_flight } => {
                write!(f, "the queue's limit is reached: {in_flight} in flight")
            }
            Explanation::RateLimited { until } => write!(f, "rate-limited for {:?}", wait(until)),
            Explanation::KeyHeld { by, worker, ahead } => {
                write!(f, "its key is held by task {by}")?;
                if let Some(worker) = worker {
                    write!(f, " on {}", text(worker))?;
                }
                write!(f, ", {ahead} ahead")
            }
            Explanation::NoWorkers => f.write_str("no worker serves the queue"),
            Explanation::TagMismatch { tags, workers } => {
                write!(f, "none of {workers} workers has the tags {}", list(tags))
            }
            Explanation::NoCredit { workers } => write!(f, "all workers are full: {}", list(workers)),
            Explanation::NotTaking { workers } => {
                write!(f, "all workers are leaving, silent or congested: {}", list(workers))
            }
            Explanation::Resting { workers } => {
                write!(f, "all workers have given tasks back, and get none for a moment: {}", list(workers))
            }
            Explanation::WaitsFor { worker } => {
                write!(f, "waits for {}, which takes nothing more for now", text(worker))
            }
            Explanation::Alone { crashes } => {
                write!(f, "took {crashes} workers down, and waits for one to itself")
            }
            Explanation::Strategy => f.write_str("the strategy wants none of the workers that have room"),
            Explanation::Next => f.write_str("it is next"),
        }
    }
}

//! What can be seen from outside: queues, workers, dead letters. For people and their tools, not for each task.

use std::time::Duration;

use super::Scheduler;
use super::counters::{Counters, Totals};
use super::links::Ix;
use super::queues::DeadLetter;
use super::workers::Worker;
use crate::message::Frame;

/// One queue, now.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct QueueFigures {
    /// Its name.
    pub name: Frame,
    /// Tasks that wait, for whatever reason.
    pub waiting: usize,
    /// Their payload, in bytes.
    pub bytes: usize,
    /// Tasks with workers, and those that a worker has not let go of yet.
    pub in_flight: u32,
    /// How long the oldest has waited of those that could go.
    pub oldest: Option<Duration>,
    /// Workers that serve it.
    pub workers: usize,
    /// Of them, those that could take a task.
    pub available: usize,
    /// Whether an operator has stopped it.
    pub paused: bool,
    /// Dead letters that are kept.
    pub dead: usize,
    /// Dead letters that were too many or too old.
    pub dead_discarded: u64,
    /// The mean time of a task with a worker.
    pub service_time: Option<Duration>,
    /// What happened since it was made.
    pub counters: Counters,
}

/// Whether a worker gets tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Availability {
    /// It has credit.
    Available,
    /// It has as many tasks as it wants.
    Full,
    /// It has missed a heartbeat.
    Suspect,
    /// It is finishing.
    Draining,
    /// Its connection takes nothing more at present.
    Congested,
    /// It is kept for tasks that must run alone.
    Reserved,
}

/// One worker, now.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct WorkerFigures {
    /// The number of its connection.
    pub id: u64,
    /// What it calls itself.
    pub name: Frame,
    /// Where it connects from.
    pub address: Frame,
    /// The mean time of a task with it.
    pub response_time: Option<Duration>,
    /// Whether it gets tasks.
    pub availability: Availability,
    /// How many tasks it runs at a time.
    pub capacity: u32,
    /// How many more tasks it would take.
    pub credit: u32,
    /// Tasks that it has.
    pub in_flight: u32,
    /// How long it has had its oldest task.
    pub oldest: Option<Duration>,
    /// The queues that it serves.
    pub queues: Vec<Frame>,
    /// The tags that it has.
    pub tags: Vec<Frame>,
    /// Tasks that it did.
    pub done: u64,
    /// Tasks that it failed.
    pub failed: u64,
    /// Tasks that it gave back at once, without having begun.
    pub released: u64,
    /// How long it has been here.
    pub age: Duration,
    /// For how long nothing was heard of it.
    pub silent: Duration,
}

impl Scheduler {
    /// All queues, in the order in which they were made.
    pub(crate) fn queues(&self) -> Vec<QueueFigures> {
        let figures = |queue| {
            let oldest = self.queues.oldest(&self.tasks, queue).and_then(|ix| self.tasks.get(ix));
            queue.figures(self.now, oldest.map(|task| task.submitted))
        };
        self.queues.iter().map(figures).collect()
    }

    /// Whether a worker serves this queue.
    pub(crate) fn is_served(&self, queue: &Frame) -> bool {
        let queue = self.queues.find(queue).and_then(|ix| self.queues.get(ix));
        queue.is_some_and(|queue| queue.workers().next().is_some())
    }

    /// All workers.
    pub(crate) fn workers(&self) -> Vec<WorkerFigures> {
        let figures = |(_, worker): (_, &Worker)| {
            let oldest = worker.oldest().and_then(|ix| self.tasks.get(ix));
            let mut queues: Vec<_> = worker.memberships().iter().map(|at| at.queue).collect();
            queues.dedup();
            let name = |queue: &Ix| Some(self.queues.get(*queue)?.name().clone());
            let queues = queues.iter().filter_map(name).collect();
            worker.figures(self.now, oldest.map(|task| task.moment), queues)
        };
        self.workers.iter().map(figures).collect()
    }

    /// The dead letters of a queue, oldest first.
    pub(crate) fn dead_letters(&self, queue: &Frame) -> Vec<DeadLetter> {
        let queue = self.queues.find(queue).and_then(|ix| self.queues.get(ix));
        queue.into_iter().flat_map(|queue| queue.dead_letters(self.now)).cloned().collect()
    }

    /// What is counted for all queues together.
    pub(crate) const fn totals(&self) -> Totals {
        self.totals
    }
}

//! What can be seen from outside: queues, workers, dead letters. For people and their tools, not for each task.

use std::time::Duration;

use super::Scheduler;
use super::counters::{Counters, Totals};
use super::dead::DeadLetter;
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
        let figures = |queue: &super::queue::Queue| {
            let oldest = self.oldest(queue).and_then(|ix| self.tasks.get(ix));
            let class = queue.classes.first();
            QueueFigures {
                name: queue.name.clone(),
                waiting: queue.waiting,
                bytes: queue.bytes,
                in_flight: queue.in_flight,
                oldest: oldest.map(|task| self.now.since(task.submitted)),
                workers: class.map_or(0, |class| class.workers.len()),
                available: class.map_or(0, |class| class.workers.available().len()),
                paused: queue.paused,
                dead: queue.dead.len(),
                dead_discarded: queue.dead.discarded(),
                service_time: known(queue.service),
                counters: queue.counters,
            }
        };
        self.queues.iter().map(figures).collect()
    }

    /// Whether a worker serves this queue.
    pub(crate) fn is_served(&self, queue: &Frame) -> bool {
        let queue = self.find_queue(queue).ok().and_then(|ix| self.queue(ix));
        queue.is_some_and(|queue| queue.workers().next().is_some())
    }

    /// All workers.
    pub(crate) fn workers(&self) -> Vec<WorkerFigures> {
        let figures = |worker: &super::workers::Worker| {
            let oldest = worker.tasks.front().and_then(|ix| self.tasks.get(ix));
            let mut queues: Vec<_> = worker.memberships.iter().map(|at| at.queue).collect();
            queues.dedup();
            WorkerFigures {
                id: worker.session.0,
                name: worker.about.name.clone(),
                address: worker.about.address.clone(),
                response_time: known(worker.service),
                availability: availability(worker),
                capacity: worker.capacity,
                credit: u32::try_from(worker.credit()).unwrap_or(0),
                in_flight: worker.in_flight,
                oldest: oldest.map(|task| self.now.since(task.moment)),
                queues: queues.iter().filter_map(|queue| Some(self.queue(*queue)?.name.clone())).collect(),
                tags: worker.about.tags.clone(),
                done: worker.done,
                failed: worker.failed,
                released: worker.about.released,
                age: self.now.since(worker.about.joined),
                silent: self.now.since(worker.seen),
            }
        };
        self.workers.iter().map(|(_, worker)| figures(worker)).collect()
    }

    /// The dead letters of a queue, oldest first.
    pub(crate) fn dead_letters(&self, queue: &Frame) -> Vec<DeadLetter> {
        let queue = self.find_queue(queue).ok().and_then(|ix| self.queue(ix));
        let letters = queue.into_iter().flat_map(|queue| {
            let age = queue.policy.dead_letter_age;
            queue.dead.iter().filter(move |letter| self.now.since(letter.died) < age)
        });
        letters.cloned().collect()
    }

    /// What is counted for all queues together.
    pub(crate) const fn totals(&self) -> Totals {
        self.totals
    }
}

fn availability(worker: &super::workers::Worker) -> Availability {
    if worker.suspect {
        Availability::Suspect
    } else if worker.draining {
        Availability::Draining
    } else if worker.congested {
        Availability::Congested
    } else if worker.reserved.is_some() {
        Availability::Reserved
    } else if worker.credit() > 0 {
        Availability::Available
    } else {
        Availability::Full
    }
}

/// A mean in nanoseconds, if there is one.
fn known(nanos: f64) -> Option<Duration> {
    (nanos > 0.0).then(|| Duration::from_nanos(nanos as u64))
}

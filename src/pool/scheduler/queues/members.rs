//! The workers of a queue, as candidates for its tasks.

use std::time::Duration;

use super::Queues;
use super::class::Class;
use crate::message::Frame;
use crate::pool::scheduler::links::{Ix, one_less, there};
use crate::pool::scheduler::task::Tasks;
use crate::pool::scheduler::workers::{Membership, Worker};
use crate::pool::time::Time;

impl Queues {
    pub(super) fn class(&mut self, queue: Ix, class: u16) -> Option<&mut Class> {
        self.get_mut(queue)?.class(class)
    }

    /// The classes of a queue whose tasks a worker with these tags may have. What is parked there is put in line again,
    /// for it may be meant for that worker.
    pub(crate) fn open_classes(&mut self, tasks: &mut Tasks, queue: Ix, tags: &[Frame]) -> Vec<u16> {
        let Some(found) = self.get(queue) else { return Vec::new() };
        let fitting = (0..).zip(&found.classes).filter(|(_, class)| class.fits(tags));
        let fitting: Vec<u16> = fitting.map(|(number, _)| number).collect();
        for class in &fitting {
            self.unpark_all(tasks, queue, *class);
        }
        fitting
    }

    /// Makes a worker a candidate for the tasks of a class, if it has the tags.
    pub(crate) fn join(&mut self, ix: Ix, worker: &mut Worker, queue: Ix, number: u16, resting: bool) {
        let Some(class) = self.class(queue, number) else { return };
        if class.fits(worker.tags()) {
            let seat = class.join(ix, worker.name().clone(), worker.capacity(), worker.weight());
            // Not in all its other places again, of which it may have thousands.
            class.set_in_flight(seat, worker.in_flight());
            class.set_available(seat, worker.is_open() && !resting);
            worker.join(Membership { queue, class: number, resting, seat });
        }
    }

    /// A worker is a candidate there no more.
    pub(crate) fn leave(&mut self, tasks: &mut Tasks, at: Membership) {
        self.unpark_all(tasks, at.queue, at.class);
        if let Some(class) = self.class(at.queue, at.class) {
            class.leave(at.seat);
        }
    }

    /// Tells all places where a worker is a candidate how much it has, and whether it can take more.
    pub(crate) fn update(&mut self, worker: &Worker) {
        let (open, in_flight) = (worker.is_open(), worker.in_flight());
        for at in worker.memberships() {
            if let Some(class) = self.class(at.queue, at.class) {
                class.set_in_flight(at.seat, in_flight);
                class.set_available(at.seat, open && !at.resting);
            }
        }
    }

    /// A worker has had a task of this queue for so long, and did well.
    pub(crate) fn measured(&mut self, worker: &Worker, queue_ix: Ix, now: Time, took: Duration, well: bool) {
        let Some(queue) = self.get_mut(queue_ix) else { return };
        queue.measured(took);
        for at in worker.memberships().iter().filter(|at| at.queue == queue_ix) {
            if let Some(class) = there(queue.class(at.class)) {
                class.workers.set_now(now);
                class.workers.answered(at.seat, took, well);
            }
        }
    }

    /// A worker is no longer kept free for the tasks of this class that run alone.
    pub(crate) fn unreserve(&mut self, queue: Ix, class: u16) {
        if let Some(class) = self.class(queue, class) {
            one_less(&mut class.reserved);
        }
    }
}

//! The tasks of a queue that need the same tags, and the workers that have them.

use slab::Slab;

use super::flows::{Flows, Levels};
use crate::message::Frame;
use crate::pool::policy::Policy;
use crate::pool::scheduler::links::{Ix, List, Side, one_less, there};
use crate::pool::scheduler::task::Task;
use crate::pool::strategy::{Candidates, Seat, Strategy};

/// A queue has one for tasks without tags, which all its workers are in, and one for each other set of tags.
///
/// In this order, as in [`TaskQueue`](super::TaskQueue).
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Class {
    pub(super) workers: Candidates,
    pub(super) strategy: Box<dyn Strategy>,
    // 128
    /// Seats that became available while tasks were parked there.
    owed: Vec<Seat>,
    /// Tasks that must run alone.
    pub(super) solo: List,
    /// Workers that are kept free for them.
    pub(super) reserved: u32,
    parked_total: u32,
    /// The strategy wants none of those who are available.
    pub(super) stuck: bool,
    pub(super) levels: Levels,
    /// By seat: tasks that wait for the worker there.
    parked: Vec<List>,
    pub(super) tags: Vec<Frame>,
}

impl Class {
    pub(super) fn new(tags: Vec<Frame>, policy: &Policy, seed: u64) -> Self {
        let mut workers = Candidates::default();
        workers.set_adaptive(policy.adaptive_weights);
        Self {
            tags,
            levels: Levels::default(),
            workers,
            strategy: policy.strategy.make(seed),
            parked: Vec::new(),
            parked_total: 0,
            owed: Vec::new(),
            solo: List::default(),
            reserved: 0,
            stuck: false,
        }
    }

    /// Whether a worker with these tags may have its tasks.
    pub(super) fn fits(&self, tags: &[Frame]) -> bool {
        self.tags.iter().all(|tag| tags.contains(tag))
    }

    pub(super) fn join(&mut self, worker: Ix, name: Frame, capacity: u32, weight: f64) -> Seat {
        let seat = self.workers.join(worker, name, capacity, weight);
        if self.parked.len() <= seat.index() {
            self.parked.resize(seat.index() + 1, List::default());
        }
        self.strategy.joined(&self.workers, seat);
        self.stuck = false;
        seat
    }

    /// What was parked there is the caller's to move.
    pub(super) fn leave(&mut self, seat: Seat) {
        self.set_available(seat, false);
        self.strategy.left(&self.workers, seat);
        self.workers.leave(seat);
        self.stuck = false;
    }

    pub(super) fn set_available(&mut self, seat: Seat, available: bool) {
        if !self.workers.set_available(seat, available) {
            return;
        }
        if available {
            self.strategy.available(&self.workers, seat);
            self.stuck = false;
            // Seldom is any parked, and the list of one worker among thousands is in no cache.
            if self.parked_total > 0 && self.parked.get(seat.index()).is_some_and(|list| !list.is_empty()) {
                self.owed.push(seat);
            }
        } else {
            self.strategy.unavailable(&self.workers, seat);
        }
    }

    pub(super) fn set_in_flight(&mut self, seat: Seat, tasks: u32) {
        self.workers.set_in_flight(seat, tasks);
        self.strategy.loaded(&self.workers, seat);
    }

    pub(super) fn parked(&self, seat: Seat) -> Option<&List> {
        self.parked.get(seat.index())
    }

    pub(super) fn park(&mut self, tasks: &mut Slab<Task>, seat: Seat, ix: Ix) {
        if let Some(list) = there(self.parked.get_mut(seat.index())) {
            list.push(Side::Back, tasks, ix);
            self.parked_total += 1;
        }
    }

    pub(super) fn unpark(&mut self, tasks: &mut Slab<Task>, seat: Ix, ix: Ix) {
        if let Some(list) = there(self.parked.get_mut(seat as usize)) {
            list.remove(tasks, ix);
            one_less(&mut self.parked_total);
        }
    }

    /// The last of those who wait for some worker.
    pub(super) fn last_parked(&self) -> Option<Ix> {
        if self.parked_total == 0 { None } else { self.parked.iter().find_map(List::back) }
    }

    /// The next seat that is available and has tasks parked.
    pub(super) fn next_owed(&mut self) -> Option<Seat> {
        while let Some(seat) = self.owed.last().copied() {
            let tasks = self.parked.get(seat.index()).is_some_and(|list| !list.is_empty());
            if tasks && self.workers.is_available(seat) {
                return Some(seat);
            }
            self.owed.pop();
        }
        None
    }

    /// The first of each of its lines.
    pub(super) fn heads<'a>(&'a self, flows: &'a Flows) -> impl Iterator<Item = Ix> + 'a {
        let alone = self.parked.iter().chain([&self.solo]).filter_map(List::front);
        self.levels.heads(flows).chain(alone)
    }

    /// The levels that have a task which could go now, as bits.
    pub(super) fn open_levels(&self) -> u16 {
        if self.can_give() { self.levels.filled() } else { 0 }
    }

    /// A task could go now, as far as this class knows.
    pub(super) fn can_give(&self) -> bool {
        !self.stuck && !self.workers.available().is_empty()
    }

    /// Whether another worker may be kept free for solo tasks: a quarter of them may, and one in any case.
    pub(super) fn may_reserve(&self) -> bool {
        !self.solo.is_empty() && (self.reserved as usize) < (self.workers.len() / 4).max(1)
    }

    pub(crate) const fn workers(&self) -> &Candidates {
        &self.workers
    }

    pub(crate) fn tags(&self) -> &[Frame] {
        &self.tags
    }

    /// The strategy wants none of those who are available.
    pub(crate) const fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// Starts over with another strategy.
    pub(super) fn set_policy(&mut self, policy: &Policy, seed: u64) {
        self.workers.set_adaptive(policy.adaptive_weights);
        self.strategy = policy.strategy.make(seed);
        self.stuck = false;
        let seats: Vec<Seat> = self.workers.seats().collect();
        for seat in seats {
            self.strategy.joined(&self.workers, seat);
            if self.workers.is_available(seat) {
                self.strategy.available(&self.workers, seat);
            }
        }
    }
}

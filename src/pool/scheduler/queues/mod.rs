//! What waits: the queues, and in each the places where a task may stand.
//!
//! What belongs to a queue is changed by the methods here only, each of which leaves it in order. They get the tasks, in
//! whose links the lists are; when and why something happens is the scheduler's business.

#[cfg(test)]
mod audit;
mod class;
mod dead;
mod flows;
mod keys;
mod line;
mod members;
mod next;
mod queue;
mod rate;

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;

pub(super) use self::class::Class;
pub use self::dead::DeadLetter;
pub(super) use self::next::Next;
pub(super) use self::queue::{Closed, Room, TaskQueue};

use self::flows::Flows;
use super::config::Config;
use super::links::{Ix, there};
use super::task::Tasks;
use super::wheel::Wheel;
use crate::message::Frame;
use crate::pool::policy::Policy;

/// All queues. One is never removed; there are at most `Config::max_queues`.
#[derive(Debug)]
pub(super) struct Queues {
    list: Vec<TaskQueue>,
    flows: Flows,
    /// By the hash of its name, or the next number that is free: see [`Queues::look_up`].
    by_name: HashMap<u64, Ix, RandomState>,
    /// That of the queues that have none of their own. They share it, and with it a place in the processor's caches.
    policy: Arc<Policy>,
    /// What is submitted to one of these goes to each of its queues.
    topics: HashMap<Frame, Arc<[Ix]>, RandomState>,
    most: usize,
    seed: u64,
}

impl Queues {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            list: Vec::new(),
            flows: Flows::default(),
            by_name: HashMap::default(),
            policy: Arc::new(config.policy.clone()),
            topics: HashMap::default(),
            most: config.max_queues,
            seed: config.seed,
        }
    }

    pub(super) fn get(&self, ix: Ix) -> Option<&TaskQueue> {
        there(self.list.get(ix as usize))
    }

    pub(super) fn get_mut(&mut self, ix: Ix) -> Option<&mut TaskQueue> {
        there(self.list.get_mut(ix as usize))
    }

    /// In the order in which they were made.
    pub(super) fn iter(&self) -> impl Iterator<Item = &TaskQueue> {
        self.list.iter()
    }

    /// The queue of this name.
    pub(super) fn find(&self, name: &Frame) -> Option<Ix> {
        self.look_up(name).ok()
    }

    /// The queue of this name, made if need be, and if there may be one more.
    pub(super) fn named(&mut self, name: &Frame) -> Option<Ix> {
        let number = match self.look_up(name) {
            Ok(ix) => return Some(ix),
            Err(number) => number,
        };
        if self.list.len() >= self.most {
            return None;
        }
        let ix = Ix::try_from(self.list.len()).ok()?;
        let seed = self.seed ^ u64::from(ix) << 16;
        // A copy: it stays, and what it was read with need not.
        self.list.push(TaskQueue::new(Frame::copy_from_slice(name), Arc::clone(&self.policy), seed));
        self.by_name.insert(number, ix);
        Some(ix)
    }

    /// The queue of this name, or the number to put it under. The table has no names, which lie with the queues: with
    /// them it would be ten times as large, and less of it in the processor's caches.
    fn look_up(&self, name: &Frame) -> Result<Ix, u64> {
        let mut number = self.by_name.hasher().hash_one(name);
        while let Some(ix) = self.by_name.get(&number).copied() {
            if self.get(ix).is_some_and(|queue| queue.name == *name) {
                return Ok(ix);
            }
            number = number.wrapping_add(1);
        }
        Err(number)
    }

    pub(super) fn topic(&self, name: &Frame) -> Option<Arc<[Ix]>> {
        self.topics.get(name).cloned()
    }

    /// Makes it a topic; without queues, it is none any more.
    pub(super) fn set_topic(&mut self, name: Frame, queues: Vec<Ix>) {
        if queues.is_empty() {
            self.topics.remove(&name);
        } else {
            self.topics.insert(name, queues.into());
        }
    }

    /// New rules: all that stands somewhere because of the old ones goes back in line.
    pub(super) fn set_policy(&mut self, tasks: &mut Tasks, wheel: &mut Wheel, ix: Ix, policy: Policy) {
        let Some(queue) = self.get_mut(ix) else { return };
        queue.set_policy(policy, wheel);
        let (classes, keys) = (queue.classes.len(), queue.keys.all());
        for class in (0..classes).filter_map(|class| u16::try_from(class).ok()) {
            self.unpark_all(tasks, ix, class);
        }
        for key in keys {
            self.wake_key(tasks, ix, key);
        }
    }

    /// The oldest of those that are first in their lines.
    pub(super) fn oldest(&self, tasks: &Tasks, queue: &TaskQueue) -> Option<Ix> {
        let heads = queue.classes.iter().flat_map(|class| class.heads(&self.flows));
        heads.min_by_key(|ix| tasks.get(*ix).map(|task| (task.submitted, task.serial)))
    }
}

//! The keys of a queue that orders or limits them: who has one, and who waits for it.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use slab::Slab;

use super::links::{Ix, List, NIL, at, at_mut, insert};
use super::task::Tasks;
use crate::message::Frame;
use crate::pool::strategy::Seat;

#[derive(Debug)]
pub(super) struct Key {
    name: Frame,
    /// Tasks of it, wherever they are.
    tasks: u32,
    /// Those that are with workers, or may go to one.
    active: u32,
    /// The one that became active last.
    pub(super) holder: Ix,
    /// In order.
    pub(super) waiting: List,
    /// Who was given the last one: the class and the seat there.
    pub(super) last: Option<(u16, Seat)>,
}

#[derive(Debug, Default)]
pub(super) struct Keys {
    slab: Slab<Key>,
    by_name: HashMap<Frame, Ix, RandomState>,
}

impl Keys {
    pub(super) fn get(&self, key: Ix) -> Option<&Key> {
        // Most tasks have none, which is known without a look at the table.
        if key == NIL { None } else { at(&self.slab, key) }
    }

    pub(super) fn get_mut(&mut self, key: Ix) -> Option<&mut Key> {
        if key == NIL { None } else { at_mut(&mut self.slab, key) }
    }

    pub(super) fn all(&self) -> Vec<Ix> {
        self.slab.iter().filter_map(|(index, _)| Ix::try_from(index).ok()).collect()
    }

    /// A task of this name comes in.
    pub(super) fn join(&mut self, name: &Frame) -> Ix {
        let slab = &mut self.slab;
        let key = match self.by_name.get(name) {
            Some(key) => *key,
            None => {
                let (waiting, name) = (List::default(), name.clone());
                let new = Key { name: name.clone(), tasks: 0, active: 0, holder: NIL, waiting, last: None };
                let key = insert(slab, new);
                self.by_name.insert(name, key);
                key
            }
        };
        if let Some(key) = at_mut(slab, key) {
            key.tasks += 1;
        }
        key
    }

    /// Lets the task have its key, if fewer than `limit` do and nobody is before it.
    pub(super) fn acquire(&mut self, key: Ix, limit: u32, task: Ix, first: bool) -> bool {
        let Some(key) = self.get_mut(key) else { return true };
        let free = key.active < limit && (first || key.waiting.is_empty());
        if free {
            key.active += 1;
            key.holder = task;
        }
        free
    }

    /// The task has its key no longer.
    pub(super) fn release(&mut self, key: Ix) {
        if let Some(key) = self.get_mut(key) {
            key.active = key.active.saturating_sub(1);
        }
    }

    /// The first that waits, if it may have the key now; it is taken off.
    pub(super) fn next(&mut self, tasks: &mut Tasks, key: Ix, limit: u32) -> Option<Ix> {
        let key = self.get_mut(key)?;
        if key.active >= limit { None } else { key.waiting.pop_front(&mut tasks.slab) }
    }

    /// The task is gone.
    pub(super) fn leave(&mut self, ix: Ix) {
        let Some(key) = self.get_mut(ix) else { return };
        key.tasks = key.tasks.saturating_sub(1);
        if key.tasks == 0 {
            let key = self.slab.remove(ix as usize);
            self.by_name.remove(&key.name);
        }
    }
}

//! The keys of a queue that orders or limits them: who has one, and who waits for it.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use slab::Slab;

use crate::message::Frame;
use crate::pool::scheduler::links::{Ix, List, NIL, Side, at, at_mut, insert, one_less};
use crate::pool::scheduler::task::Tasks;
use crate::pool::strategy::Seat;

#[derive(Debug)]
pub(crate) struct Key {
    name: Frame,
    /// Tasks of it, wherever they are.
    tasks: u32,
    /// Those that are with workers, or may go to one.
    active: u32,
    /// The one that became active last.
    holder: Ix,
    /// In order.
    waiting: List,
    /// Who was given the last one: the class and the seat there.
    last: Option<(u16, Seat)>,
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

    fn get_mut(&mut self, key: Ix) -> Option<&mut Key> {
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

    /// Lets the task have its key, if fewer than `limit` do and, unless it comes to the front, nobody is before it.
    pub(super) fn acquire(&mut self, key: Ix, limit: u32, task: Ix, side: Side) -> bool {
        let Some(key) = self.get_mut(key) else { return true };
        let free = key.active < limit && (side == Side::Front || key.waiting.is_empty());
        if free {
            key.active += 1;
            key.holder = task;
        }
        free
    }

    /// The task waits for its key.
    pub(super) fn wait(&mut self, tasks: &mut Tasks, key: Ix, task: Ix, side: Side) {
        if let Some(key) = self.get_mut(key) {
            key.waiting.push(side, &mut tasks.slab, task);
        }
    }

    pub(super) fn wait_no_more(&mut self, tasks: &mut Tasks, key: Ix, task: Ix) {
        if let Some(key) = self.get_mut(key) {
            key.waiting.remove(&mut tasks.slab, task);
        }
    }

    /// A task of the key goes to a worker: its class, and the seat there.
    pub(super) fn given(&mut self, key: Ix, to: (u16, Seat)) {
        if let Some(key) = self.get_mut(key) {
            key.last = Some(to);
        }
    }

    /// Who was given the last one.
    pub(super) fn last(&self, key: Ix) -> Option<(u16, Seat)> {
        self.get(key)?.last
    }

    /// The task has its key no longer.
    pub(super) fn release(&mut self, key: Ix) {
        if let Some(key) = self.get_mut(key) {
            one_less(&mut key.active);
        }
    }

    /// The first that waits, if it may have the key now; it waits no more, and has it.
    pub(super) fn next(&mut self, tasks: &mut Tasks, key: Ix, limit: u32) -> Option<Ix> {
        let key = self.get_mut(key)?;
        if key.active >= limit {
            return None;
        }
        let next = key.waiting.pop_front(&mut tasks.slab)?;
        key.active += 1;
        key.holder = next;
        Some(next)
    }

    /// The task is gone.
    pub(super) fn leave(&mut self, ix: Ix) {
        let Some(key) = self.get_mut(ix) else { return };
        one_less(&mut key.tasks);
        if key.tasks == 0 {
            let key = self.slab.remove(ix as usize);
            self.by_name.remove(&key.name);
        }
    }
}

impl Key {
    /// The task that got it last, which may have ended since.
    pub(crate) const fn holder(&self) -> Ix {
        self.holder
    }

    /// Those who wait for it, in order.
    pub(crate) fn waiting<'a>(&self, tasks: &'a Tasks) -> impl Iterator<Item = Ix> + use<'a> {
        self.waiting.iter(&tasks.slab)
    }
}

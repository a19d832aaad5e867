//! Values that name each other by index.

use std::mem;

use super::{NIL, SLACK};

#[derive(Debug)]
pub(super) struct Slab<T> {
    pub(super) items: Vec<T>,
    pub(super) free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { items: Vec::new(), free: Vec::new() }
    }
}

impl<T: Default> Slab<T> {
    #[inline]
    pub(super) fn get(&self, at: u32) -> Option<&T> {
        self.items.get(at as usize)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        self.items.get_mut(at as usize)
    }

    pub(super) fn insert(&mut self, item: T) -> u32 {
        if let Some(at) = self.free.pop() {
            if let Some(slot) = self.get_mut(at) {
                *slot = item;
            }
            return at;
        }
        // More than u32::MAX nodes are 128 GiB; what comes then is not found.
        let at = u32::try_from(self.items.len()).unwrap_or(NIL);
        reserve(&mut self.items, 1);
        self.items.push(item);
        at
    }

    pub(super) fn take(&mut self, at: u32) -> T {
        self.free.push(at);
        self.get_mut(at).map(mem::take).unwrap_or_default()
    }

    /// Moves the values together once half the places are free; says where each one went.
    pub(super) fn pack(&mut self) -> Option<Vec<u32>> {
        if self.free.len() < self.items.len() / 2 + SLACK {
            return None;
        }
        let mut moved = vec![0; self.items.len()];
        for at in mem::take(&mut self.free) {
            if let Some(place) = moved.get_mut(at as usize) {
                *place = NIL;
            }
        }
        for (place, at) in moved.iter_mut().filter(|place| **place != NIL).zip(0..) {
            *place = at;
        }
        let mut places = moved.iter();
        self.items.retain(|_| places.next().is_some_and(|&place| place != NIL));
        self.items.shrink_to_fit();
        Some(moved)
    }
}

pub(super) fn find(moved: &[u32], at: u32) -> u32 {
    moved.get(at as usize).copied().unwrap_or(NIL)
}

/// Grows by an eighth: doubling would cost a flood of subscriptions up to twice its memory.
pub(super) fn reserve<T>(items: &mut Vec<T>, more: usize) {
    if items.capacity() - items.len() < more {
        items.reserve_exact(more.max(items.len() / 8 + 4));
    }
}

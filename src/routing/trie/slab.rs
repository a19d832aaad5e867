//! Values that name each other by index.
//!
//! Dense: the last one moves into the place of one that is taken out, so there is nothing to pack. In chunks: growing
//! copies no more than the first. That is large, so that few look-ups pay for finding another; the others are made at
//! their full size.

use super::NIL;

/// Values in the first chunk, and in others; in a test few, so that there are several.
const FIRST: usize = if cfg!(test) { 8 } else { 1 << 14 };
const CHUNK: usize = if cfg!(test) { 4 } else { 1 << 10 };

#[derive(Debug)]
pub(super) struct Slab<T> {
    first: Vec<T>,
    others: Vec<Vec<T>>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { first: Vec::new(), others: Vec::new() }
    }
}

impl<T> Slab<T> {
    #[inline]
    pub(super) fn get(&self, at: u32) -> Option<&T> {
        #[cfg(test)]
        tests::visit();
        let at = at as usize;
        match self.first.get(at) {
            None => self.others.get(at.checked_sub(FIRST)? / CHUNK)?.get(at % CHUNK),
            first => first,
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        #[cfg(test)]
        tests::visit();
        let at = at as usize;
        match self.first.get_mut(at) {
            None => self.others.get_mut(at.checked_sub(FIRST)? / CHUNK)?.get_mut(at % CHUNK),
            first => first,
        }
    }

    /// Where the next one goes. More than `u32::MAX` nodes are 176 GiB; what comes then is not found.
    pub(super) fn end(&self) -> u32 {
        let others = self.others.last().map_or(0, |last| (self.others.len() - 1) * CHUNK + last.len());
        u32::try_from(self.first.len() + others).unwrap_or(NIL)
    }

    pub(super) fn push(&mut self, item: T) -> u32 {
        let at = self.end();
        if self.first.len() < FIRST {
            reserve(&mut self.first);
            self.first.push(item);
        } else if let Some(last) = self.others.last_mut().filter(|last| last.len() < CHUNK) {
            last.push(item);
        } else {
            let mut chunk = Vec::with_capacity(CHUNK);
            chunk.push(item);
            self.others.push(chunk);
        }
        at
    }

    /// Takes one out. The last moves to its place, and has to be told to those who name it.
    pub(super) fn swap_remove(&mut self, at: u32) {
        let last = match self.others.last_mut() {
            Some(chunk) => chunk.pop(),
            None => self.first.pop(),
        };
        self.others.pop_if(|chunk| chunk.is_empty());
        if self.first.len() < self.first.capacity() / 4 {
            self.first.shrink_to(self.first.capacity() / 2);
        }
        if let (Some(slot), Some(last)) = (self.get_mut(at), last) {
            *slot = last;
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.first.capacity() + self.others.iter().map(Vec::capacity).sum::<usize>()
    }
}

/// Grows by an eighth: doubling would cost a flood of subscriptions up to twice its memory.
fn reserve<T>(items: &mut Vec<T>) {
    if items.len() == items.capacity() {
        items.reserve_exact(items.len() / 8 + 4);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;

    thread_local!(static VISITS: Cell<usize> = const { Cell::new(0) });

    pub(super) fn visit() {
        VISITS.set(VISITS.get() + 1);
    }

    /// How often this thread has looked at a value of any slab: what an operation costs, without a clock.
    pub(in super::super) fn visits() -> usize {
        VISITS.get()
    }
}

//! All timers: a hierarchical timing wheel with a tick of 1 ms.
//!
//! Level 0 has a slot for each of the next 64 ticks, level 1 for each of the next 64 times 64 ticks, and so on. A timer
//! lies in the lowest level on which its time differs from now in that level's six bits only; when its slot comes up, it
//! moves down. Setting and cancelling are O(1); so is finding the next one: it is in the first occupied slot of the
//! lowest occupied level.

use slab::Slab;

use super::links::{Ix, Linked, Links, List, NIL, Side, at, at_mut, insert};
use crate::pool::time::Time;

const TICK: u64 = 1_000_000;
const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
/// 48 bits of milliseconds hold any [`Time`].
const LEVELS: usize = 8;

/// What a timer is for; the wheel does not care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    /// A delay, a back-off or a deadline of this task.
    Task(Ix),
    /// A heartbeat is due from and to this worker.
    Worker(Ix),
    /// This worker has rested from this queue.
    Rest(Ix, Ix),
    /// The client has been away for long enough.
    Client(Ix),
    /// The queue's rate allows the next task.
    Queue(Ix),
    /// What is remembered gets too old.
    Memory,
}

#[derive(Debug)]
struct Node {
    links: Links,
    tick: u64,
    level: u8,
    slot: u8,
    timer: Timer,
}

impl Linked for Node {
    fn links(&mut self, _: usize) -> &mut Links {
        &mut self.links
    }

    fn next(&self, _: usize) -> Ix {
        self.links.next()
    }
}

/// The timers that are set.
#[derive(Debug)]
pub(super) struct Wheel {
    nodes: Slab<Node>,
    levels: [Level; LEVELS],
    /// All before this tick has fired.
    tick: u64,
}

#[derive(Debug)]
struct Level {
    /// Bit n: slot n has timers.
    occupied: u64,
    slots: [List; SLOTS],
}

impl Wheel {
    pub(super) fn new() -> Self {
        let level = || Level { occupied: 0, slots: [List::default(); SLOTS] };
        Self { nodes: Slab::new(), levels: std::array::from_fn(|_| level()), tick: 0 }
    }

    /// Fires at the first tick that is not before `at`. Returns the handle to cancel it with, which is good until it
    /// fires.
    pub(super) fn set(&mut self, at: Time, timer: Timer) -> Ix {
        let tick = at.nanos().div_ceil(TICK).max(self.tick);
        let ix = insert(&mut self.nodes, Node { links: Links::NONE, tick, level: 0, slot: 0, timer });
        self.place(ix);
        ix
    }

    /// Takes a timer back, and leaves [`NIL`] in place of its handle. [`NIL`] is no timer.
    pub(super) fn cancel(&mut self, handle: &mut Ix) {
        let ix = std::mem::replace(handle, NIL);
        if ix != NIL && at(&self.nodes, ix).is_some() {
            self.unlink(ix);
            self.nodes.remove(ix as usize);
        }
    }

    /// The next timer that is due at `now`; `None` if there is none, and then time has come up to `now`.
    pub(super) fn pop(&mut self, now: Time) -> Option<Timer> {
        let target = now.nanos() / TICK;
        while let Some((level, slot)) = self.first() {
            let start = self.start(level, slot);
            if start > target {
                break;
            }
            self.tick = start;
            if level > 0 {
                self.move_down(level, slot);
                continue;
            }
            let ix = self.levels.first()?.slots.get(slot)?.front()?;
            self.unlink(ix);
            return Some(self.nodes.remove(ix as usize).timer);
        }
        self.tick = self.tick.max(target);
        None
    }

    /// When to look again: never late, early where the next timer still has to move down.
    pub(super) fn next(&self) -> Option<Time> {
        self.first().map(|(level, slot)| Time::from_nanos(self.start(level, slot).saturating_mul(TICK)))
    }

    /// How many are set.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    fn first(&self) -> Option<(usize, usize)> {
        let occupied = self.levels.iter().enumerate().find(|(_, level)| level.occupied != 0);
        occupied.map(|(number, level)| (number, level.occupied.trailing_zeros() as usize))
    }

    /// The first tick of a slot.
    const fn start(&self, level: usize, slot: usize) -> u64 {
        let shift = BITS * level as u32;
        let above = self.tick >> (shift + BITS) << (shift + BITS);
        let start = above | (slot as u64) << shift;
        if start > self.tick { start } else { self.tick }
    }

    fn place(&mut self, ix: Ix) {
        let now = self.tick;
        let Some(node) = at_mut(&mut self.nodes, ix) else { return };
        let highest = u64::BITS - (node.tick ^ now).leading_zeros();
        let level = (highest.saturating_sub(1) / BITS).min(LEVELS as u32 - 1);
        let slot = (node.tick >> (BITS * level)) as usize % SLOTS;
        (node.level, node.slot) = (level as u8, slot as u8);
        if let Some(level) = self.levels.get_mut(level as usize)
            && let Some(list) = level.slots.get_mut(slot)
        {
            list.push(Side::Back, &mut self.nodes, ix);
            level.occupied |= 1 << slot;
        }
    }

    /// Spreads a slot that has come up over the levels below, all of it: what stayed would be passed over.
    fn move_down(&mut self, level: usize, slot: usize) {
        while let Some(ix) = self.levels.get(level).and_then(|level| level.slots.get(slot)?.front()) {
            self.unlink(ix);
            self.place(ix);
        }
    }

    fn unlink(&mut self, ix: Ix) {
        let Some(node) = at(&self.nodes, ix) else { return };
        let slot = node.slot;
        if let Some(level) = self.levels.get_mut(usize::from(node.level))
            && let Some(list) = level.slots.get_mut(usize::from(slot))
        {
            list.remove(&mut self.nodes, ix);
            if list.is_empty() {
                level.occupied &= !(1 << slot);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn millis(ms: u64) -> Time {
        Time::after(Duration::from_millis(ms))
    }

    #[test]
    fn never_early_and_at_most_a_tick_late() {
        let mut wheel = Wheel::new();
        wheel.set(Time::from_nanos(1_500_000), Timer::Task(1));
        assert_eq!(wheel.pop(Time::from_nanos(1_999_999)), None);
        assert_eq!(wheel.next(), Some(millis(2)));
        assert_eq!(wheel.pop(millis(2)), Some(Timer::Task(1)));
        assert_eq!((wheel.pop(millis(2)), wheel.next()), (None, None));
    }

    proptest! {
        /// Each timer fires once, in the order of ticks, unless cancelled; `next` is never late.
        #[test]
        fn fires_what_a_sorted_map_would(
            steps in proptest::collection::vec((0..10_u8, 0..40_u32, any::<u16>()), 1..150),
        ) {
            let (mut wheel, mut model) = (Wheel::new(), BTreeMap::new());
            let (mut now, mut id) = (0_u64, 0);
            for (what, shift, noise) in steps {
                let distance = u64::from(noise) << (shift % 24) >> 8;
                match what {
                    0..=5 => {
                        let handle = wheel.set(millis(now + distance), Timer::Task(id));
                        model.insert((now + distance, id), handle);
                        id += 1;
                    }
                    6 => {
                        if let Some((key, mut handle)) = model.pop_first() {
                            let _ = key;
                            wheel.cancel(&mut handle);
                            prop_assert_eq!(handle, NIL);
                        }
                    }
                    _ => {
                        now += distance;
                        let mut fired = Vec::new();
                        while let Some(Timer::Task(id)) = wheel.pop(millis(now)) {
                            fired.push(id);
                        }
                        let mut due = Vec::new();
                        while let Some(entry) = model.first_entry() && entry.key().0 <= now {
                            due.push(entry.remove_entry().0.1);
                        }
                        fired.sort_unstable();
                        due.sort_unstable();
                        prop_assert_eq!(fired, due);
                    }
                }
                prop_assert_eq!(wheel.len(), model.len());
                match model.keys().next() {
                    None => prop_assert_eq!(wheel.next(), None),
                    Some((first, _)) => {
                        let next = wheel.next().unwrap();
                        prop_assert!(next <= millis(*first) && next >= millis(now));
                    }
                }
            }
        }
    }
}

//! What is known by the ids that clients give their requests.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use foldhash::fast::RandomState;

use super::links::Ix;
use super::memory::Known;
use crate::pool::protocol::RequestId;

/// Ids in a block.
const SIZE: u64 = 16;

/// A table of blocks of neighbouring ids. Clients count their ids up, so those that come together, and those that are
/// forgotten together, lie together: a table of single entries is hundreds of thousands of places that the processor's
/// caches have not seen for long.
#[derive(Debug, Default)]
pub(super) struct Requests {
    blocks: HashMap<(Ix, u64), Block, RandomState>,
}

#[derive(Debug)]
enum Block {
    /// The first is in place: a client whose ids jump about takes no more memory than in a plain table.
    One(u8, Known),
    Many(Box<Slots>),
}

#[derive(Debug, Default)]
struct Slots {
    known: [Option<Known>; SIZE as usize],
    filled: u8,
}

/// The block of a request, and its slot there.
const fn place(client: Ix, request: RequestId) -> ((Ix, u64), u8) {
    ((client, request / SIZE), (request % SIZE) as u8)
}

impl Requests {
    pub(super) fn get(&self, client: Ix, request: RequestId) -> Option<Known> {
        let (block, slot) = place(client, request);
        self.blocks.get(&block)?.get(slot)
    }

    pub(super) fn insert(&mut self, client: Ix, request: RequestId, known: Known) {
        let (block, slot) = place(client, request);
        match self.blocks.entry(block) {
            Entry::Vacant(entry) => drop(entry.insert(Block::One(slot, known))),
            Entry::Occupied(entry) => entry.into_mut().insert(slot, known),
        }
    }

    pub(super) fn remove(&mut self, client: Ix, request: RequestId) {
        self.remove_if(client, request, |_| true);
    }

    /// Removes it if it is still what it was.
    pub(super) fn remove_known(&mut self, client: Ix, request: RequestId, known: Known) {
        self.remove_if(client, request, |found| found == known);
    }

    fn remove_if(&mut self, client: Ix, request: RequestId, condition: impl FnOnce(Known) -> bool) {
        let (block, slot) = place(client, request);
        if let Entry::Occupied(mut entry) = self.blocks.entry(block)
            && entry.get().get(slot).is_some_and(condition)
            && entry.get_mut().remove(slot)
        {
            entry.remove();
        }
    }
}

impl Block {
    fn get(&self, slot: u8) -> Option<Known> {
        match self {
            Self::One(at, known) => (*at == slot).then_some(*known),
            Self::Many(slots) => *slots.known.get(usize::from(slot))?,
        }
    }

    fn insert(&mut self, slot: u8, known: Known) {
        match self {
            Self::One(at, old) if *at == slot => *old = known,
            Self::One(at, old) => {
                let mut slots = Box::<Slots>::default();
                slots.set(*at, *old);
                slots.set(slot, known);
                *self = Self::Many(slots);
            }
            Self::Many(slots) => slots.set(slot, known),
        }
    }

    /// Empties a slot that is filled; whether the block is empty then.
    fn remove(&mut self, slot: u8) -> bool {
        let Self::Many(slots) = self else { return true };
        if let Some(place) = slots.known.get_mut(usize::from(slot)) {
            *place = None;
            slots.filled -= 1;
        }
        slots.filled == 0
    }
}

impl Slots {
    fn set(&mut self, slot: u8, known: Known) {
        if let Some(place) = self.known.get_mut(usize::from(slot)) {
            self.filled += u8::from(place.replace(known).is_none());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// It does what a map does.
        #[test]
        fn behaves_like_a_map(steps in proptest::collection::vec((0..5_u8, 0..3_u32, 0..40_u64), 1..300)) {
            let (mut requests, mut model) = (Requests::default(), BTreeMap::new());
            for (number, (what, client, request)) in (0..).zip(steps) {
                let known = Known::Task(number);
                match what {
                    0..=2 => {
                        requests.insert(client, request, known);
                        model.insert((client, request), known);
                    }
                    3 => {
                        requests.remove(client, request);
                        model.remove(&(client, request));
                    }
                    _ => {
                        requests.remove_known(client, request, known);
                        prop_assert_eq!(requests.get(client, request), model.get(&(client, request)).copied());
                        if let Some(known) = model.remove(&(client, request)) {
                            requests.remove_known(client, request, known);
                        }
                    }
                }
                prop_assert_eq!(requests.get(client, request), model.get(&(client, request)).copied());
            }
            for (client, request) in model.into_keys() {
                requests.remove(client, request);
            }
            prop_assert!(requests.blocks.is_empty(), "an empty block stays");
        }
    }
}

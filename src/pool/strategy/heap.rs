//! A heap of seats that finds any of them again.

use super::Seat;

/// The seat with the least key first, the lower seat among equals. Each seat is in it at most once; putting in, taking
/// out and changing are O(log n) and need no allocation once it has been as large.
#[derive(Debug, Default)]
pub(super) struct Heap<K> {
    entries: Vec<(K, Seat)>,
    /// By seat: its place in `entries`.
    places: Vec<Option<usize>>,
}

impl<K: PartialOrd + Copy> Heap<K> {
    /// Puts a seat in, or changes its key.
    pub(super) fn set(&mut self, seat: Seat, key: K) {
        if self.places.len() <= seat.index() {
            self.places.resize(seat.index() + 1, None);
        }
        let place = match self.place(seat) {
            Some(place) => place,
            None => {
                self.entries.push((key, seat));
                self.entries.len() - 1
            }
        };
        self.put(place, (key, seat));
        self.settle(place);
    }

    pub(super) fn remove(&mut self, seat: Seat) {
        let Some(place) = self.place(seat) else { return };
        self.entries.swap_remove(place);
        if let Some(entry) = self.places.get_mut(seat.index()) {
            *entry = None;
        }
        if let Some(moved) = self.entries.get(place).copied() {
            self.put(place, moved);
            self.settle(place);
        }
    }

    pub(super) fn contains(&self, seat: Seat) -> bool {
        self.place(seat).is_some()
    }

    pub(super) fn first(&self) -> Option<(K, Seat)> {
        self.entries.first().copied()
    }

    fn place(&self, seat: Seat) -> Option<usize> {
        self.places.get(seat.index()).copied().flatten()
    }

    fn put(&mut self, place: usize, entry: (K, Seat)) {
        if let Some(slot) = self.entries.get_mut(place) {
            *slot = entry;
        }
        if let Some(slot) = self.places.get_mut(entry.1.index()) {
            *slot = Some(place);
        }
    }

    /// Moves the entry at `place` up or down to where it belongs.
    fn settle(&mut self, mut place: usize) {
        while place > 0 && self.before(place, (place - 1) / 2) {
            self.swap(place, (place - 1) / 2);
            place = (place - 1) / 2;
        }
        loop {
            let left = 2 * place + 1;
            let least = if self.before(left + 1, left) { left + 1 } else { left };
            if !self.before(least, place) {
                return;
            }
            self.swap(place, least);
            place = least;
        }
    }

    /// Whether the entry at `a` comes before the one at `b`; no entry comes before none.
    fn before(&self, a: usize, b: usize) -> bool {
        match (self.entries.get(a), self.entries.get(b)) {
            (Some(a), Some(b)) => a < b,
            _ => false,
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        if let (Some(first), Some(second)) = (self.entries.get(a).copied(), self.entries.get(b).copied()) {
            self.put(a, second);
            self.put(b, first);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_least_comes_first(steps in proptest::collection::vec((0..4_u8, 0..50_usize, 0..9_u32), 1..300)) {
            let (mut heap, mut model) = (Heap::default(), BTreeMap::new());
            for (what, seat, key) in steps {
                let seat = Seat::new(seat);
                if what == 0 {
                    heap.remove(seat);
                    model.remove(&seat);
                } else {
                    heap.set(seat, key);
                    model.insert(seat, key);
                }
                let least = model.iter().map(|(seat, key)| (*key, *seat)).min();
                prop_assert_eq!(heap.first(), least);
                prop_assert_eq!(heap.contains(seat), model.contains_key(&seat));
            }
        }
    }
}

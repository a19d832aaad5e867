//! Handshakes in progress on one listener: few, and no source may hold them all (D3).

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

/// The handshakes in progress, oldest first.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    list: Arc<Mutex<List>>,
    max: usize,
}

#[derive(Debug, Default)]
struct List {
    slots: Vec<Entry>,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    source: Option<IpAddr>,
    evict: CancellationToken,
}

/// One handshake's place; dropping it frees the place.
#[derive(Debug)]
pub(super) struct Place {
    list: Arc<Mutex<List>>,
    id: u64,
    /// Cancelled when the place goes to somebody else.
    pub(super) evicted: CancellationToken,
}

impl Pending {
    pub(super) fn new(max: usize) -> Self {
        Self { list: Arc::default(), max: max.max(1) }
    }

    /// A place for a new handshake. A source that has an eighth of all places (the loopback is
    /// exempt) loses its oldest; when all are taken, the source that has most loses its oldest.
    /// The newcomer always gets in: a flood evicts itself.
    pub(super) fn enter(&self, source: Option<IpAddr>) -> Place {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let share = (self.max / 8).max(1);
        let limited = source.is_some_and(|ip| !ip.is_loopback());
        if limited && list.count(source) >= share {
            list.evict_oldest(source);
        } else if list.slots.len() >= self.max {
            let busiest = list.busiest();
            list.evict_oldest(busiest);
        }
        list.next += 1;
        let (id, evicted) = (list.next, CancellationToken::new());
        list.slots.push(Entry { id, source, evict: evicted.clone() });
        Place { list: self.list.clone(), id, evicted }
    }
}

impl List {
    fn count(&self, source: Option<IpAddr>) -> usize {
        self.slots.iter().filter(|entry| entry.source == source).count()
    }

    fn busiest(&self) -> Option<IpAddr> {
        // At most `max` entries, and only while a flood lasts.
        self.slots.iter().map(|entry| entry.source).max_by_key(|&source| self.count(source)).flatten()
    }

    fn evict_oldest(&mut self, source: Option<IpAddr>) {
        if let Some(at) = self.slots.iter().position(|entry| entry.source == source) {
            self.slots.remove(at).evict.cancel();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.slots.retain(|entry| entry.id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d3_a_full_list_evicts_the_oldest_of_the_busiest_source_never_the_newcomer() {
        let pending = Pending::new(4);
        let [a, b, c] = [1, 2, 3].map(|last| Some(IpAddr::from([127, 0, 0, last])));
        let first_b = pending.enter(b);
        let places: Vec<_> = (0..3).map(|_| pending.enter(a)).collect();
        let newcomer = pending.enter(c);
        let evicted: Vec<_> = places.iter().map(|place| place.evicted.is_cancelled()).collect();
        assert_eq!(evicted, [true, false, false]);
        assert!(!first_b.evicted.is_cancelled() && !newcomer.evicted.is_cancelled());
    }

    #[test]
    fn d3_one_source_holds_at_most_an_eighth() {
        let pending = Pending::new(16);
        let source = Some(IpAddr::from([192, 0, 2, 1]));
        let places: Vec<_> = (0..3).map(|_| pending.enter(source)).collect();
        let held: Vec<_> = places.iter().map(|place| !place.evicted.is_cancelled()).collect();
        assert_eq!(held, [false, true, true]);
        drop(places);
        assert!(pending.list.lock().unwrap().slots.is_empty());
    }
}

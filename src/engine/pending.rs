//! Handshakes in progress on one listener: few, and no source may hold them all (D3).

use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::timeout_at;

/// How long a handshake with a process of this host has, before a newcomer may take its place.
const PATIENCE: Duration = Duration::from_millis(250);

/// The handshakes in progress, oldest first.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    list: Arc<Mutex<List>>,
    /// A place has become free.
    freed: Arc<Notify>,
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
    since: Instant,
    evict: CancellationToken,
}

/// One handshake's place; dropping it frees the place.
#[derive(Debug)]
pub(super) struct Place {
    list: Arc<Mutex<List>>,
    freed: Arc<Notify>,
    id: u64,
    /// Cancelled when the place goes to somebody else.
    pub(super) evicted: CancellationToken,
}

impl Pending {
    pub(super) fn new(max: usize) -> Self {
        Self { list: Arc::default(), freed: Arc::default(), max: max.max(1) }
    }

    /// Waits, a little, while all places are taken and this host's own processes have most of them. Thousands of
    /// sockets that connect at once would otherwise put each other out, and none come through; the kernel keeps the
    /// newcomers meanwhile. Other hosts are not waited for: that would let a flood of theirs hold up everybody.
    ///
    /// Cancel-safe: nothing happens on the way.
    pub(super) async fn room(&self) {
        loop {
            let freed = pin!(self.freed.notified());
            let Some(patience) = self.lock().patience(self.max) else { return };
            if timeout_at(patience, freed).await.is_err() {
                return;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new handshake. A source that has an eighth of all places (the loopback is
    /// exempt) loses its oldest; when all are taken, the source that has most loses its oldest.
    /// The newcomer always gets in: a flood evicts itself.
    pub(super) fn enter(&self, source: Option<IpAddr>) -> Place {
        let mut list = self.lock();
        let share = (self.max / 8).max(1);
        if !is_local(source) && list.count(source) >= share {
            list.evict_oldest(source);
        } else if list.slots.len() >= self.max {
            let busiest = list.busiest();
            list.evict_oldest(busiest);
        }
        list.next += 1;
        let (id, evicted) = (list.next, CancellationToken::new());
        list.slots.push(Entry { id, source, since: Instant::now(), evict: evicted.clone() });
        Place { list: self.list.clone(), freed: self.freed.clone(), id, evicted }
    }
}

/// Over ipc there is no address.
fn is_local(source: Option<IpAddr>) -> bool {
    source.is_none_or(|ip| ip.is_loopback())
}

impl List {
    /// Until when whoever is to lose his place may keep it.
    fn patience(&self, max: usize) -> Option<Instant> {
        if self.slots.len() < max {
            return None;
        }
        let busiest = Some(self.busiest()).filter(|source| is_local(*source))?;
        let oldest = self.slots.iter().find(|entry| entry.source == busiest)?;
        Some(oldest.since + PATIENCE).filter(|patience| *patience > Instant::now())
    }

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
        drop(list);
        self.freed.notify_one();
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

//! Tasks that wait for room or for a message, and wake-ups that are never lost.
//!
//! A [`WaitQueue`] lives under the same mutex as what its tasks wait for, so "look, find nothing,
//! queue up" is one step. Whoever makes room takes wakers out under the lock and fires them after
//! it ([`Deferred`]). A task that was woken but goes away instead of looking again passes the wake-up on.

use std::collections::HashMap;
use std::task::Waker;

use slotmap::SlotMap;

use super::Deferred;
use crate::routing::PeerKey;

slotmap::new_key_type! {
    /// One waiting task, until it is woken.
    struct WaiterKey;
}

/// The tasks waiting, oldest first: for anything, or for one peer. Joining and leaving cost the same however many wait.
#[derive(Debug, Default)]
pub(crate) struct WaitQueue {
    waiters: SlotMap<WaiterKey, Waiter>,
    anything: Line,
    /// Those who wait for one peer; a line of nobody is not kept.
    peers: HashMap<PeerKey, Line>,
}

/// The ends of a list that goes through the waiters.
#[derive(Debug, Default, Clone, Copy)]
struct Line {
    first: Option<WaiterKey>,
    last: Option<WaiterKey>,
}

#[derive(Debug)]
struct Waiter {
    waker: Waker,
    bystander: bool,
    before: Option<WaiterKey>,
    behind: Option<WaiterKey>,
}

/// One waiter's place in a [`WaitQueue`]; its owner calls [`WaitQueue::forget`] when it goes away.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    place: Option<Place>,
    bystander: bool,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    key: WaiterKey,
    peer: Option<PeerKey>,
}

impl Slot {
    /// A place of one who may not use what it is woken for: it waits for something else, or, as a
    /// `Stream` or `Sink`, is perhaps not polled any more. Its wake-ups are not counted.
    pub(crate) const fn bystander() -> Self {
        Self { place: None, bystander: true }
    }

    /// Whether it holds a place that has to be given up.
    pub(crate) const fn is_taken(&self) -> bool {
        self.place.is_some()
    }
}

impl WaitQueue {
    /// Queues the waiter up, or refreshes its waker where it is queued already; with `peer`, for that one alone.
    pub(crate) fn wait(
        &mut self,
        slot: &mut Slot,
        peer: Option<PeerKey>,
        waker: &Waker,
        later: &mut Deferred,
    ) {
        if let Some(place) = slot.place
            && place.peer == peer
            && let Some(waiter) = self.waiters.get_mut(place.key)
        {
            if !waiter.waker.will_wake(waker) {
                later.discard(std::mem::replace(&mut waiter.waker, waker.clone()));
            }
            return;
        }
        self.done(slot, later);
        let line = self.line(peer);
        let before = line.last;
        let (waker, bystander) = (waker.clone(), slot.bystander);
        let key = self.waiters.insert(Waiter { waker, bystander, before, behind: None });
        match before.and_then(|before| self.waiters.get_mut(before)) {
            Some(before) => before.behind = Some(key),
            None => self.line(peer).first = Some(key),
        }
        self.line(peer).last = Some(key);
        slot.place = Some(Place { key, peer });
    }

    fn line(&mut self, peer: Option<PeerKey>) -> &mut Line {
        match peer {
            None => &mut self.anything,
            Some(peer) => self.peers.entry(peer).or_default(),
        }
    }

    /// Takes out up to `count` wakers, and those of the bystanders before them.
    #[inline]
    pub(crate) fn wake(&mut self, count: usize, later: &mut Deferred) {
        if self.anything.first.is_some() {
            self.wake_some(None, count, later);
        }
    }

    /// As [`wake`](Self::wake), of those who wait for this peer.
    #[inline]
    pub(crate) fn wake_for(&mut self, peer: PeerKey, count: usize, later: &mut Deferred) {
        if !self.peers.is_empty() && self.peers.contains_key(&peer) {
            self.wake_some(Some(peer), count, later);
        }
    }

    fn wake_some(&mut self, peer: Option<PeerKey>, mut count: usize, later: &mut Deferred) {
        while count > 0
            && let Some(first) = self.line(peer).first
            && let Some(waiter) = self.take(Place { key: first, peer })
        {
            count -= usize::from(!waiter.bystander);
            later.wake(waiter.waker);
        }
    }

    /// Takes out all wakers.
    pub(crate) fn wake_all(&mut self, later: &mut Deferred) {
        if self.waiters.is_empty() {
            return;
        }
        self.wake(usize::MAX, later);
        for peer in self.peers.keys().copied().collect::<Vec<_>>() {
            self.wake_for(peer, usize::MAX, later);
        }
    }

    /// Gives the place up because the waiter found what it waited for.
    #[inline]
    pub(crate) fn done(&mut self, slot: &mut Slot, later: &mut Deferred) {
        if let Some(place) = slot.place.take()
            && let Some(waiter) = self.take(place)
        {
            later.discard(waiter.waker);
        }
    }

    /// Gives the place up because the waiter goes away; a wake-up it had got goes to the next.
    pub(crate) fn forget(&mut self, slot: &mut Slot, later: &mut Deferred) {
        let Some(place) = slot.place.take() else { return };
        match self.take(place) {
            Some(waiter) => later.discard(waiter.waker),
            None => match place.peer {
                None => self.wake(1, later),
                Some(peer) => self.wake_for(peer, 1, later),
            },
        }
    }

    /// Takes a waiter out of its line, if it is still there.
    fn take(&mut self, place: Place) -> Option<Waiter> {
        let waiter = self.waiters.remove(place.key)?;
        match waiter.before.and_then(|before| self.waiters.get_mut(before)) {
            Some(before) => before.behind = waiter.behind,
            None => self.line(place.peer).first = waiter.behind,
        }
        match waiter.behind.and_then(|behind| self.waiters.get_mut(behind)) {
            Some(behind) => behind.before = waiter.before,
            None => self.line(place.peer).last = waiter.before,
        }
        if let Some(peer) = place.peer
            && self.line(place.peer).first.is_none()
        {
            self.peers.remove(&peer);
        }
        Some(waiter)
    }
}

#[cfg(all(test, not(sinew_loom)))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    /// Notes in which order it was woken; `usize::MAX` before that.
    struct Ticket(Arc<AtomicUsize>, AtomicUsize);

    impl Wake for Ticket {
        fn wake(self: Arc<Self>) {
            self.1.store(self.0.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    fn wait(
        queue: &mut WaitQueue,
        slot: &mut Slot,
        peer: Option<PeerKey>,
        turns: &Arc<AtomicUsize>,
    ) -> Arc<Ticket> {
        let ticket = Arc::new(Ticket(turns.clone(), AtomicUsize::new(usize::MAX)));
        let mut later = Deferred::new();
        queue.wait(slot, peer, &ticket.clone().into(), &mut later);
        later.run();
        ticket
    }

    fn wake(queue: &mut WaitQueue, peer: Option<PeerKey>, count: usize) {
        let mut later = Deferred::new();
        match peer {
            None => queue.wake(count, &mut later),
            Some(peer) => queue.wake_for(peer, count, &mut later),
        }
        later.run();
    }

    #[test]
    fn the_oldest_are_woken_first_and_only_those_of_the_peer() {
        let mut keys = SlotMap::<PeerKey, ()>::with_key();
        let (here, there) = (Some(keys.insert(())), Some(keys.insert(())));
        let (mut queue, turns) = (WaitQueue::default(), Arc::default());
        let mut slots = [(); 5].map(|()| Slot::default());
        let places = [here, there, None, here, here];
        let tickets: Vec<_> = (0..5).map(|at| wait(&mut queue, &mut slots[at], places[at], &turns)).collect();
        wake(&mut queue, here, 2);
        wake(&mut queue, None, 9);
        let order: Vec<_> = tickets.iter().map(|ticket| ticket.1.load(Ordering::Relaxed)).collect();
        assert_eq!(order, [0, usize::MAX, 2, 1, usize::MAX]);
        wake(&mut queue, here, 1);
        wake(&mut queue, there, 1);
        assert!(queue.waiters.is_empty() && queue.peers.is_empty() && queue.anything.first.is_none());
    }

    #[test]
    fn a_place_in_the_middle_is_given_up_and_a_wake_up_that_came_too_late_passed_on() {
        let (mut queue, turns) = (WaitQueue::default(), Arc::default());
        let mut slots = [(); 4].map(|()| Slot::default());
        let tickets: Vec<_> = slots.iter_mut().map(|slot| wait(&mut queue, slot, None, &turns)).collect();
        let mut later = Deferred::new();
        queue.forget(&mut slots[1], &mut later);
        queue.wake(1, &mut later);
        queue.forget(&mut slots[0], &mut later);
        later.run();
        let order: Vec<_> = tickets.iter().map(|ticket| ticket.1.load(Ordering::Relaxed)).collect();
        assert_eq!(order, [0, usize::MAX, 1, usize::MAX]);
    }
}

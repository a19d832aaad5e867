//! Tasks that wait for room or for a message, and wake-ups that are never lost.
//!
//! A [`WaitQueue`] lives under the same mutex as what its tasks wait for, so "look, find nothing,
//! queue up" is one step. Whoever makes room takes wakers out under the lock and fires them after
//! it ([`Deferred`]). A task that was woken but goes away instead of looking again passes the wake-up on.

use std::collections::{HashMap, VecDeque};
use std::task::Waker;

use super::Deferred;
use crate::routing::PeerKey;

/// The tasks waiting, oldest first: for anything, or for one peer. Joining and leaving do not cost more the more wait.
#[derive(Debug, Default)]
pub(crate) struct WaitQueue {
    anything: Line,
    /// Those who wait for one peer; a line of nobody is not kept.
    peers: HashMap<PeerKey, Line>,
    next: u64,
}

/// Waiters in the order of their numbers. Who leaves from the middle leaves a gap, until there are more gaps than waiters.
#[derive(Debug, Default)]
struct Line {
    queue: VecDeque<Waiter>,
    gaps: usize,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    waker: Option<Waker>,
    bystander: bool,
}

/// One waiter's place in a [`WaitQueue`]; its owner calls [`WaitQueue::forget`] when it goes away.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    place: Option<Place>,
    bystander: bool,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    id: u64,
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

impl Line {
    fn find(&mut self, id: u64) -> Option<&mut Option<Waker>> {
        let at = self.queue.binary_search_by_key(&id, |waiter| waiter.id).ok()?;
        self.queue.get_mut(at).map(|waiter| &mut waiter.waker)
    }

    fn remove(&mut self, id: u64) -> Option<Waker> {
        let waker = self.find(id)?.take()?;
        self.gaps += 1;
        if self.gaps > self.queue.len() / 2 {
            self.queue.retain(|waiter| waiter.waker.is_some());
            self.gaps = 0;
        }
        Some(waker)
    }

    /// Takes out up to `count` wakers, and those of the bystanders before them.
    fn wake(&mut self, mut count: usize, later: &mut Deferred) {
        while count > 0
            && let Some(waiter) = self.queue.pop_front()
        {
            match waiter.waker {
                Some(waker) => {
                    count -= usize::from(!waiter.bystander);
                    later.wake(waker);
                }
                None => self.gaps -= 1,
            }
        }
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
            && let Some(Some(queued)) = self.line(peer).find(place.id)
        {
            if !queued.will_wake(waker) {
                later.discard(std::mem::replace(queued, waker.clone()));
            }
            return;
        }
        self.done(slot, later);
        self.next = self.next.wrapping_add(1);
        let id = self.next;
        slot.place = Some(Place { id, peer });
        let waiter = Waiter { id, waker: Some(waker.clone()), bystander: slot.bystander };
        self.line(peer).queue.push_back(waiter);
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
        if !self.anything.queue.is_empty() {
            self.anything.wake(count, later);
        }
    }

    /// As [`wake`](Self::wake), of those who wait for this peer.
    #[inline]
    pub(crate) fn wake_for(&mut self, peer: PeerKey, count: usize, later: &mut Deferred) {
        if !self.peers.is_empty() {
            self.wake_line(peer, count, later);
        }
    }

    #[inline(never)]
    fn wake_line(&mut self, peer: PeerKey, count: usize, later: &mut Deferred) {
        if let Some(line) = self.peers.get_mut(&peer) {
            line.wake(count, later);
            self.drop_empty(peer);
        }
    }

    fn drop_empty(&mut self, peer: PeerKey) {
        if self.peers.get(&peer).is_some_and(|line| line.queue.is_empty()) {
            self.peers.remove(&peer);
        }
    }

    /// Takes out all wakers.
    pub(crate) fn wake_all(&mut self, later: &mut Deferred) {
        self.wake(usize::MAX, later);
        for mut line in std::mem::take(&mut self.peers).into_values() {
            line.wake(usize::MAX, later);
        }
    }

    /// Gives the place up because the waiter found what it waited for.
    #[inline]
    pub(crate) fn done(&mut self, slot: &mut Slot, later: &mut Deferred) {
        if let Some(place) = slot.place.take()
            && let Some(waker) = self.leave(place)
        {
            later.discard(waker);
        }
    }

    /// Gives the place up because the waiter goes away; a wake-up it had got goes to the next.
    pub(crate) fn forget(&mut self, slot: &mut Slot, later: &mut Deferred) {
        let Some(place) = slot.place.take() else { return };
        match (self.leave(place), place.peer) {
            (Some(waker), _) => later.discard(waker),
            (None, None) => self.wake(1, later),
            (None, Some(peer)) => self.wake_for(peer, 1, later),
        }
    }

    /// Takes a waiter out of its line, if it is still there.
    fn leave(&mut self, place: Place) -> Option<Waker> {
        let Some(peer) = place.peer else { return self.anything.remove(place.id) };
        let waker = self.peers.get_mut(&peer)?.remove(place.id);
        self.drop_empty(peer);
        waker
    }
}

#[cfg(all(test, not(sinew_loom)))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use slotmap::SlotMap;

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
        assert!(queue.peers.is_empty() && queue.anything.queue.is_empty());
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

    #[test]
    fn those_who_leave_are_not_kept_behind_one_who_stays() {
        let (mut queue, turns) = (WaitQueue::default(), Arc::default());
        let mut stays = Slot::default();
        wait(&mut queue, &mut stays, None, &turns);
        let mut before = Slot::default();
        wait(&mut queue, &mut before, None, &turns);
        for _ in 0..1000 {
            let mut next = Slot::default();
            wait(&mut queue, &mut next, None, &turns);
            let mut later = Deferred::new();
            queue.forget(&mut before, &mut later);
            later.run();
            before = next;
        }
        assert!(queue.anything.queue.len() < 10);
    }
}

//! Tasks that wait for room or for a message, and wake-ups that are never lost.
//!
//! A [`WaitQueue`] lives under the same mutex as what its tasks wait for, so "look, find nothing,
//! queue up" is one step. Whoever makes room takes wakers out under the lock and fires them after
//! it ([`Wakes`]). A task that was woken but goes away instead of looking again passes the wake-up on.

use std::collections::VecDeque;
use std::task::Waker;

/// The tasks waiting, oldest first.
#[derive(Debug, Default)]
pub(crate) struct WaitQueue {
    queue: VecDeque<(u64, Waker)>,
    next: u64,
}

/// One waiter's place in a [`WaitQueue`]; its owner calls [`WaitQueue::forget`] when it goes away.
#[derive(Debug, Default)]
pub(crate) struct Slot(Option<u64>);

impl Slot {
    /// Whether it holds a place that has to be given up.
    pub(crate) const fn is_taken(&self) -> bool {
        self.0.is_some()
    }
}

impl WaitQueue {
    /// Queues the waiter up, or refreshes its waker where it is queued already.
    pub(crate) fn wait(&mut self, slot: &mut Slot, waker: &Waker) {
        if let Some(id) = slot.0
            && let Some((_, queued)) = self.queue.iter_mut().find(|(queued, _)| *queued == id)
        {
            queued.clone_from(waker);
            return;
        }
        self.next = self.next.wrapping_add(1);
        slot.0 = Some(self.next);
        self.queue.push_back((self.next, waker.clone()));
    }

    /// Takes out up to `count` wakers.
    pub(crate) fn wake(&mut self, count: usize, wakes: &mut Wakes) {
        for _ in 0..count.min(self.queue.len()) {
            if let Some((_, waker)) = self.queue.pop_front() {
                wakes.push(waker);
            }
        }
    }

    /// Takes out all wakers.
    pub(crate) fn wake_all(&mut self, wakes: &mut Wakes) {
        self.wake(self.queue.len(), wakes);
    }

    /// Gives the place up because the waiter found what it waited for.
    pub(crate) fn done(&mut self, slot: &mut Slot) {
        if let Some(id) = slot.0.take() {
            self.queue.retain(|(queued, _)| *queued != id);
        }
    }

    /// Gives the place up because the waiter goes away; a wake-up it had got goes to the next.
    pub(crate) fn forget(&mut self, slot: &mut Slot, wakes: &mut Wakes) {
        if let Some(id) = slot.0.take() {
            match self.queue.iter().position(|(queued, _)| *queued == id) {
                Some(at) => drop(self.queue.remove(at)),
                None => self.wake(1, wakes),
            }
        }
    }
}

/// Wakers taken out under a lock, to be fired after it: waking runs scheduler code.
#[derive(Debug, Default)]
#[must_use = "tasks sleep on until their wakers are fired"]
pub(crate) struct Wakes {
    // Almost always one; then nothing is allocated.
    first: Option<Waker>,
    rest: Vec<Waker>,
}

impl Wakes {
    pub(crate) const fn new() -> Self {
        Self { first: None, rest: Vec::new() }
    }

    #[inline]
    pub(crate) fn push(&mut self, waker: Waker) {
        if self.first.is_none() {
            self.first = Some(waker);
        } else {
            self.rest.push(waker);
        }
    }

    #[inline]
    pub(crate) fn extend(&mut self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            self.push(waker);
        }
    }

    /// Wakes them; call it after the lock is released.
    #[inline]
    pub(crate) fn fire(self) {
        if let Some(waker) = self.first {
            waker.wake();
            self.rest.into_iter().for_each(Waker::wake);
        }
    }
}

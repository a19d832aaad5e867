//! Tasks that wait for room or for a message, and wake-ups that are never lost.
//!
//! A [`WaitQueue`] lives under the same mutex as what its tasks wait for, so "look, find nothing,
//! queue up" is one step. Whoever makes room takes wakers out under the lock and fires them after
//! it ([`Wakes`]). A task that was woken but goes away instead of looking again passes the wake-up on.

use std::collections::VecDeque;
use std::task::Waker;

use super::Writer;

/// The tasks waiting, oldest first.
#[derive(Debug, Default)]
pub(crate) struct WaitQueue {
    queue: VecDeque<Waiter>,
    next: u64,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    waker: Waker,
    bystander: bool,
}

/// One waiter's place in a [`WaitQueue`]; its owner calls [`WaitQueue::forget`] when it goes away.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    place: Option<u64>,
    bystander: bool,
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
    /// Queues the waiter up, or refreshes its waker where it is queued already.
    pub(crate) fn wait(&mut self, slot: &mut Slot, waker: &Waker) {
        if let Some(id) = slot.place
            && let Some(queued) = self.queue.iter_mut().find(|queued| queued.id == id)
        {
            queued.waker.clone_from(waker);
            return;
        }
        self.next = self.next.wrapping_add(1);
        slot.place = Some(self.next);
        self.queue.push_back(Waiter { id: self.next, waker: waker.clone(), bystander: slot.bystander });
    }

    /// Takes out up to `count` wakers, and those of the bystanders before them.
    #[inline]
    pub(crate) fn wake(&mut self, count: usize, wakes: &mut Wakes) {
        if !self.queue.is_empty() {
            self.wake_some(count, wakes);
        }
    }

    fn wake_some(&mut self, mut count: usize, wakes: &mut Wakes) {
        while count > 0
            && let Some(waiter) = self.queue.pop_front()
        {
            count -= usize::from(!waiter.bystander);
            wakes.push(waiter.waker);
        }
    }

    /// Takes out all wakers.
    pub(crate) fn wake_all(&mut self, wakes: &mut Wakes) {
        self.wake(usize::MAX, wakes);
    }

    /// Gives the place up because the waiter found what it waited for.
    #[inline]
    pub(crate) fn done(&mut self, slot: &mut Slot) {
        if let Some(id) = slot.place.take() {
            self.leave(id);
        }
    }

    fn leave(&mut self, id: u64) {
        self.queue.retain(|queued| queued.id != id);
    }

    /// Gives the place up because the waiter goes away; a wake-up it had got goes to the next.
    pub(crate) fn forget(&mut self, slot: &mut Slot, wakes: &mut Wakes) {
        if let Some(id) = slot.place.take() {
            match self.queue.iter().position(|queued| queued.id == id) {
                Some(at) => drop(self.queue.remove(at)),
                None => self.wake(1, wakes),
            }
        }
    }
}

/// What has to be done after a lock: wakers taken out under it, because waking runs scheduler code, and a
/// [`Writer`], because writing is a system call.
#[derive(Debug, Default)]
#[must_use = "tasks sleep on until their wakers are fired"]
pub(crate) struct Wakes {
    // Almost always one; then nothing is allocated.
    first: Option<Waker>,
    rest: Vec<Waker>,
    writer: Option<Box<Writer>>,
}

impl Wakes {
    pub(crate) const fn new() -> Self {
        Self { first: None, rest: Vec::new(), writer: None }
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

    /// Whether it has a writer already: one is all that it writes with.
    pub(super) const fn will_write(&self) -> bool {
        self.writer.is_some()
    }

    /// Has what is with this writer written.
    pub(super) fn write(&mut self, writer: Box<Writer>) {
        self.writer = Some(writer);
    }

    /// Wakes them; call it after the lock is released.
    #[inline]
    pub(crate) fn fire(self) {
        if self.first.is_some() || self.writer.is_some() {
            self.fire_all();
        } else {
            // Nothing to drop: `rest` is only ever behind `first`. Looking would be two calls a message.
            std::mem::forget(self);
        }
    }

    #[inline(never)]
    fn fire_all(self) {
        if let Some(writer) = self.writer {
            writer.write_and_return();
        }
        if let Some(waker) = self.first {
            waker.wake();
            self.rest.into_iter().for_each(Waker::wake);
        }
    }
}

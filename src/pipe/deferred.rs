//! What has to be done once a lock is released: waking runs scheduler code, and dropping a payload or a waker may run
//! code of the user's. Neither may happen under a lock.

use std::task::Waker;

use super::Copies;

/// Filled under a lock, run after it.
#[derive(Default)]
#[must_use = "tasks sleep on until it is run"]
pub(crate) struct Deferred {
    // Almost always one, and nothing else; then nothing is allocated.
    first: Option<Waker>,
    more: Option<Box<More>>,
}

#[derive(Default)]
struct More {
    wakers: Vec<Waker>,
    discarded: Vec<Box<dyn Send>>,
    copies: Option<Box<Copies>>,
}

impl Deferred {
    pub(crate) const fn new() -> Self {
        Self { first: None, more: None }
    }

    /// Has a task woken.
    #[inline]
    pub(crate) fn wake(&mut self, waker: Waker) {
        if self.first.is_none() {
            self.first = Some(waker);
        } else {
            self.more.get_or_insert_default().wakers.push(waker);
        }
    }

    /// Has a task woken, if there is one.
    #[inline]
    pub(crate) fn wake_if(&mut self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            self.wake(waker);
        }
    }

    /// Has something dropped.
    pub(crate) fn discard(&mut self, value: impl Send + 'static) {
        self.more.get_or_insert_default().discarded.push(Box::new(value));
    }

    /// Has copies of a message made under further holds of the lock.
    pub(super) fn copy(&mut self, copies: Copies) {
        self.more.get_or_insert_default().copies = Some(Box::new(copies));
    }

    /// The copies that are yet to be made.
    #[inline]
    pub(crate) fn take_copies(&mut self) -> Option<Box<Copies>> {
        self.more.as_mut()?.copies.take()
    }

    /// Does it; call it after the lock is released.
    #[inline]
    pub(crate) fn run(self) {
        if self.first.is_some() || self.more.is_some() {
            self.run_all();
        } else {
            // Nothing to drop. Looking would be two calls a message.
            std::mem::forget(self);
        }
    }

    #[inline(never)]
    fn run_all(self) {
        if let Some(waker) = self.first {
            waker.wake();
        }
        if let Some(more) = self.more {
            debug_assert!(more.copies.is_none(), "whoever publishes makes the copies that are left");
            more.wakers.into_iter().for_each(Waker::wake);
        }
    }
}

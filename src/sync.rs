//! The locks of the data path, swapped for loom's in the models (`--cfg sinew_loom`).

#[cfg(sinew_loom)]
pub(crate) use loom::sync::{Arc, MutexGuard};
#[cfg(not(sinew_loom))]
pub(crate) use std::sync::{Arc, MutexGuard};

#[cfg(sinew_loom)]
use loom::sync::Mutex as Inner;
#[cfg(not(sinew_loom))]
use std::sync::Mutex as Inner;

/// A mutex without poisoning: no invariant of ours spans a panic, and a panic in a user's waker
/// must not take the socket with it.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(Inner<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Inner::new(value))
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

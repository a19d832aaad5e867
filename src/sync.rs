//! The locks of the data path, swapped for loom's in the models (`--cfg sinew_loom`).
//!
//! Each message takes two, so what an uncontended lock costs is a large part of what a message costs. Giving up a lock
//! of std's is an atomic exchange, because somebody may be asleep; giving up one of these is a store, because who waits
//! looks again. Measured with 64-byte messages on 2 cores, medians of 3: over inproc 15 to 30 % more of them, over TCP 17 % on
//! multi_thread and 3 % on current_thread; with 2 to 32 threads that send by one socket, more messages for less CPU. They
//! are held for less than a microsecond as a rule, and never across an await, a system call or a wake-up.

#[cfg(sinew_loom)]
pub(crate) use loom::sync::{Arc, MutexGuard};
#[cfg(not(sinew_loom))]
pub(crate) use std::sync::Arc;

#[cfg(sinew_loom)]
use loom::sync::Mutex as Inner;
#[cfg(not(sinew_loom))]
type Inner<T> = spin::mutex::SpinMutex<T, Patience>;
#[cfg(not(sinew_loom))]
pub(crate) type MutexGuard<'a, T> = spin::mutex::SpinMutexGuard<'a, T, Patience>;

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
        #[cfg(sinew_loom)]
        return self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        #[cfg(not(sinew_loom))]
        self.0.lock()
    }
}

/// What a thread does that waits for a lock: it looks again; lets others run, for the holder may be one of them; and
/// in the end sleeps, for the holder may be one that the scheduler puts behind this thread.
#[cfg(not(sinew_loom))]
#[derive(Debug)]
pub(crate) struct Patience;

#[cfg(not(sinew_loom))]
impl spin::RelaxStrategy for Patience {
    #[cold]
    fn relax() {
        use std::cell::Cell;
        thread_local!(static TRIES: Cell<u32> = const { Cell::new(0) });
        // A thread that is ending does without the count.
        let tries = TRIES.try_with(|tries| tries.replace(tries.get().wrapping_add(1))).unwrap_or_default();
        match tries % 4096 {
            4095 => std::thread::sleep(std::time::Duration::from_micros(50)),
            few if few % 64 == 63 => std::thread::yield_now(),
            _ => std::hint::spin_loop(),
        }
    }
}

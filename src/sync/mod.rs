//! The locks of the data path, swapped for loom's in the models (`--cfg sinew_loom`), and for such as report long holds
//! (`--cfg sinew_holds`).
//!
//! Each message takes two, so what an uncontended lock costs is a large part of what a message costs. Giving up a lock
//! of std's is an atomic exchange, because somebody may be asleep; giving up one of these is a store, because who waits
//! looks again. Measured with 64-byte messages on 2 cores, medians of 3: over inproc 15 to 30 % more of them, over TCP 17 % on
//! multi_thread and 3 % on current_thread; with 2 to 32 threads that send by one socket, more messages for less CPU. They
//! are held for less than a microsecond as a rule, and never across an await, a system call or a wake-up.

#[cfg(sinew_holds)]
mod holds;

#[cfg(sinew_loom)]
pub(crate) use loom::sync::Arc;
#[cfg(not(sinew_loom))]
pub(crate) use std::sync::Arc;

#[cfg(sinew_loom)]
use loom::sync::{Mutex as Inner, MutexGuard as Guard};
#[cfg(not(sinew_loom))]
use spin::mutex::{SpinMutex as Inner, SpinMutexGuard as Guard};

#[cfg(not(sinew_holds))]
use Guard as Held;
#[cfg(sinew_holds)]
use holds::Timed as Held;

/// A mutex without poisoning: no invariant of ours spans a panic, and a panic in a user's waker
/// must not take the socket with it.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(Inner<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Inner::new(value))
    }

    #[inline]
    #[cfg_attr(sinew_holds, track_caller)]
    pub(crate) fn lock(&self) -> Held<'_, T> {
        let guard = self.guard();
        #[cfg(sinew_holds)]
        let guard = Held::new(guard);
        guard
    }

    #[cfg(sinew_loom)]
    fn guard(&self) -> Guard<'_, T> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    #[cfg(not(sinew_loom))]
    #[inline]
    fn guard(&self) -> Guard<'_, T> {
        self.0.try_lock().unwrap_or_else(|| self.wait())
    }

    /// Looks again and again; lets others run in between, for the holder may be one of them; and in the end sleeps, for
    /// the holder may be one that the scheduler puts behind this thread.
    #[cfg(not(sinew_loom))]
    #[cold]
    #[inline(never)]
    fn wait(&self) -> Guard<'_, T> {
        let mut look = 0_u32;
        loop {
            look = look.wrapping_add(1);
            match look % 4096 {
                0 => std::thread::sleep(std::time::Duration::from_micros(50)),
                few if few % 64 == 0 => std::thread::yield_now(),
                _ => std::hint::spin_loop(),
            }
            if !self.0.is_locked()
                && let Some(guard) = self.0.try_lock()
            {
                return guard;
            }
        }
    }
}

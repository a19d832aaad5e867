//! Locks that say where they were held for long. By the CPU time of the thread, so that a thread that is put aside while
//! it holds one is not taken for one that does too much.

use std::io::Write;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::Guard;

/// What no hold should take.
const LONG: Duration = Duration::from_micros(100);

pub(crate) struct Timed<'a, T> {
    guard: Guard<'a, T>,
    at: &'static Location<'static>,
    since: Duration,
}

impl<'a, T> Timed<'a, T> {
    #[track_caller]
    pub(super) fn new(guard: Guard<'a, T>) -> Self {
        Self { guard, at: Location::caller(), since: now() }
    }
}

fn now() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

impl<T> Drop for Timed<'_, T> {
    fn drop(&mut self) {
        let held = now().saturating_sub(self.since);
        if held > LONG {
            // Not by a macro: what tests print is kept back if they pass. And at once, as a line.
            let _ = std::io::stderr().write_all(format!("held for {held:?}: {}\n", self.at).as_bytes());
        }
    }
}

impl<T> Deref for Timed<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for Timed<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

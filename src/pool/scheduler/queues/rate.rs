//! A rate limit: the generic cell rate algorithm.

use std::time::Duration;

use crate::pool::policy::Rate;
use crate::pool::time::{Time, nanos};

/// What a task is late by does not make the next ones late, up to this: timers have a tick of 1 ms, fire late, and wake
/// up a busy process later still.
const LATE: Duration = Duration::from_millis(5);

/// Each task moves a theoretical time on by one interval; a task may go while that time is at most a burst ahead.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gate {
    interval: Duration,
    ahead: Duration,
    next: Time,
}

impl Gate {
    pub(super) fn new(rate: Rate) -> Self {
        let ahead = nanos(rate.interval).saturating_mul(u64::from(rate.burst.saturating_sub(1)));
        Self { interval: rate.interval, ahead: Duration::from_nanos(ahead), next: Time::ZERO }
    }

    /// When the next task may go; not after now if it may go now.
    pub(super) fn opens(&self) -> Time {
        self.next - self.ahead
    }

    /// A task goes.
    pub(super) fn pass(&mut self, now: Time) {
        let late = now.since(self.next) > LATE;
        self.next = if late { now } else { self.next } + self.interval;
    }
}

//! How long something usually takes.

use std::time::Duration;

use crate::pool::time::nanos;

/// A mean of durations, in nanoseconds, of which the latest count most; 0 is unknown.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mean(f64);

impl Mean {
    /// Moves it towards a sample; the first sample is the mean.
    pub(super) fn add(&mut self, sample: Duration) {
        let sample = nanos(sample).max(1) as f64;
        self.0 = if self.0 > 0.0 { self.0 * 0.9 + sample * 0.1 } else { sample };
    }

    pub(super) fn known(self) -> Option<Duration> {
        (self.0 > 0.0).then(|| Duration::from_nanos(self.0 as u64))
    }

    /// How many times as long as `other` it is; 1 where either is unknown.
    pub(super) fn over(self, other: Self) -> f64 {
        if self.0 > 0.0 && other.0 > 0.0 { self.0 / other.0 } else { 1.0 }
    }
}

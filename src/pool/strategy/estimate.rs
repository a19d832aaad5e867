//! What a few numbers remember of many durations.

use crate::pool::time::Time;

/// How fast an old peak fades.
const FADE: f64 = 10e9;

/// An average that jumps up to a new peak, and comes down slowly: a worker that has become slow is avoided after one
/// answer, not after many.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Peak {
    /// In nanoseconds; 0 before the first.
    value: f64,
    at: Time,
}

impl Peak {
    pub(super) fn add(&mut self, now: Time, nanos: f64) {
        let keep = (-(now.since(self.at).as_nanos() as f64) / FADE).exp();
        self.value = if nanos > self.value { nanos } else { self.value * keep + nanos * (1.0 - keep) };
        self.at = now;
    }

    /// What it is worth now. It fades while nothing is heard, or who was slow once would never be asked again.
    pub(super) fn at(&self, now: Time) -> Option<f64> {
        let idle = now.since(self.at).as_nanos() as f64;
        (self.value > 0.0).then(|| self.value / (1.0 + idle / FADE))
    }
}

/// A running guess of the value that `PERCENT` of the numbers are below, in eight bytes: it moves up or down by a few
/// percent with each number, so often in each direction that it comes to rest where it belongs.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Quantile<const PERCENT: u8>(f64);

impl<const PERCENT: u8> Quantile<PERCENT> {
    const STEP: f64 = 0.05;

    pub(super) fn add(&mut self, number: f64) {
        let share = f64::from(PERCENT) / 100.0;
        if self.0 <= 0.0 {
            self.0 = number;
        } else if number > self.0 {
            self.0 *= 1.0 + Self::STEP * share;
        } else {
            self.0 /= 1.0 + Self::STEP * (1.0 - share);
        }
    }

    /// 0 before the first.
    pub(super) const fn value(&self) -> f64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_quantile_comes_to_rest_where_it_belongs() {
        let mut rng = fastrand::Rng::with_seed(1);
        let (mut half, mut most) = (Quantile::<50>::default(), Quantile::<99>::default());
        for _ in 0..100_000 {
            let number = 1.0 + 1000.0 * rng.f64();
            half.add(number);
            most.add(number);
        }
        assert!((350.0..650.0).contains(&half.value()), "{half:?}");
        assert!((930.0..1050.0).contains(&most.value()), "{most:?}");
    }

    #[test]
    fn a_peak_jumps_up_and_comes_down_slowly() {
        let at = |ms| Time::after(Duration::from_millis(ms));
        let mut peak = Peak::default();
        assert_eq!(peak.at(at(0)), None);
        peak.add(at(0), 100.0);
        peak.add(at(1), 1000.0);
        assert_eq!(peak.at(at(1)), Some(1000.0));
        peak.add(at(2), 100.0);
        assert!(peak.at(at(2)).unwrap() > 990.0);
        peak.add(at(60_002), 100.0);
        assert!(peak.at(at(60_002)).unwrap() < 110.0);
    }
}

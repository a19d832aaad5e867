//! How long to wait before the next attempt to connect: pure, the caller brings the randomness and
//! does the waiting.

use std::time::Duration;

/// The finest step of tokio's timer; an interval of zero would be a loop without a pause.
const FLOOR: Duration = Duration::from_millis(1);

/// Doubles from `initial` to `max` with each attempt. Each delay lies in the upper half of its
/// step, so that the peers of a server that restarts do not all come back at once, and yet no delay
/// is shorter than the one before it until `max` is reached (conformance C6.3).
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    initial: Duration,
    max: Duration,
    step: Duration,
    last: Duration,
}

impl Backoff {
    /// A `max` below `initial` means no growth, as libzmq's `ZMQ_RECONNECT_IVL_MAX` does.
    pub(crate) fn new(initial: Duration, max: Duration) -> Self {
        let initial = initial.max(FLOOR);
        Self { initial, max: max.max(initial), step: initial, last: Duration::ZERO }
    }

    /// The next delay, never zero and never above the maximum. `random` is uniform in 0..1.
    pub(crate) fn next(&mut self, random: f64) -> Duration {
        let half = self.step / 2;
        // Rounding, NaN and what is not in 0..1 end at one bound or the other.
        let jitter = Duration::try_from_secs_f64(half.as_secs_f64() * random).unwrap_or_default().min(half);
        self.step = self.step.saturating_mul(2).min(self.max);
        self.last = half + jitter;
        self.last
    }

    /// A connection has ended that stood for so long. Begins again if that was longer than the last pause: a peer that
    /// takes us in and hangs up at once, for whatever reason, is asked less and less often.
    pub(crate) fn stood(&mut self, time: Duration) {
        if time > self.last {
            self.step = self.initial;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn any_duration() -> impl Strategy<Value = Duration> {
        let millis = (0..100_000_u64).prop_map(Duration::from_millis);
        let any = (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(secs, nanos)| Duration::new(secs, nanos));
        prop_oneof![millis, any, Just(Duration::ZERO), Just(Duration::MAX), Just(Duration::from_nanos(1))]
    }

    proptest! {
        /// Monotone, capped, jittered.
        #[test]
        fn grows_to_the_cap(
            (initial, max) in (any_duration(), any_duration()),
            random in vec(0.0..1.0, 80),
        ) {
            let mut backoff = Backoff::new(initial, max);
            let (initial, max) = (initial.max(FLOOR), max.max(initial).max(FLOOR));
            let mut step = initial;
            let mut before = Duration::ZERO;
            for random in random {
                let delay = backoff.next(random);
                prop_assert!(delay > Duration::ZERO && step <= max);
                prop_assert!(step / 2 <= delay && delay <= step);
                prop_assert!(delay >= before || step == max);
                (before, step) = (delay, step.saturating_mul(2).min(max));
            }
            backoff.stood(before);
            prop_assert!(backoff.next(0.5) >= step / 2);
            if let Some(longer) = max.checked_add(FLOOR) {
                backoff.stood(longer);
                prop_assert!(backoff.next(0.5) <= initial);
            }
        }

        #[test]
        fn survives_any_random(
            (initial, max) in (any_duration(), any_duration()),
            random in any::<f64>(),
        ) {
            let mut backoff = Backoff::new(initial, max);
            prop_assert!((0..200).all(|_| backoff.next(random) > Duration::ZERO));
        }
    }

    #[test]
    fn doubles_and_begins_again() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(40), ms(200));
        let delays: Vec<_> = (0..5).map(|_| backoff.next(0.0)).collect();
        assert_eq!(delays, [ms(20), ms(40), ms(80), ms(100), ms(100)]);
        assert_eq!(backoff.next(0.5), ms(150));
        backoff.stood(ms(150));
        assert_eq!(backoff.next(0.5), ms(150));
        backoff.stood(ms(151));
        assert_eq!(backoff.next(0.5), ms(30));
    }

    #[test]
    fn without_a_maximum_it_does_not_grow() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::ZERO);
        assert!((0..10).all(|_| backoff.next(0.999) <= Duration::from_millis(100)));
    }
}

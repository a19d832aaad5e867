//! The time to live in a PING: tenths of a second on the wire.

use std::time::Duration;

/// How long after a PING with this time to live a silent peer is given up; `None` where it asks
/// for nothing. Clamped, so that a peer can neither make us hang up at once nor stay for ever.
pub(crate) fn timeout(ttl_ds: u16) -> Option<Duration> {
    const TENTH: Duration = Duration::from_millis(100);
    (ttl_ds > 0).then(|| TENTH.saturating_mul(ttl_ds.into()).clamp(SHORTEST, LONGEST))
}

/// A time to live as a PING carries it: tenths rounded down, at most 65.5 s.
pub(crate) fn ttl_ds(ttl: Duration) -> u16 {
    // libzmq 4.3 multiplies by 100 in 16 bits: 656 would end the connection after 64 ms (#4226).
    u16::try_from(ttl.as_millis() / 100).map_or(MAX_SENT, |tenths| tenths.min(MAX_SENT))
}

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(3600);
const MAX_SENT: u16 = 655;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a9_4_ttl_is_read_without_wrapping() {
        let seconds = |ttl| timeout(ttl).map(|timeout| timeout.as_secs_f64());
        assert_eq!(seconds(0), None);
        assert_eq!(seconds(1), Some(1.0));
        assert_eq!(seconds(15), Some(1.5));
        assert_eq!(seconds(655), Some(65.5));
        assert_eq!(seconds(656), Some(65.6));
        assert_eq!(seconds(36_000), Some(3600.0));
        assert_eq!(seconds(65_535), Some(3600.0));
    }

    #[test]
    fn a9_5_ttl_is_sent_in_whole_tenths_up_to_655() {
        let sent = |millis| ttl_ds(Duration::from_millis(millis));
        assert_eq!([0, 99, 100, 1999, 65_500, 65_600, 6_553_600].map(sent), [0, 0, 1, 19, 655, 655, 655]);
        assert_eq!(ttl_ds(Duration::MAX), 655);
    }
}

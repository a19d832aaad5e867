//! High-water marks: how much one pipe may hold, in whole messages and in bytes.

/// The limits of one pipe in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Hwm {
    /// Whole messages; `usize::MAX` is unlimited.
    pub(crate) messages: usize,
    /// Bytes; one message always fits, however large.
    pub(crate) bytes: usize,
}

impl Hwm {
    /// From option values, where 0 means unlimited (C1.4).
    pub(crate) const fn new(messages: usize, bytes: usize) -> Self {
        Self { messages: unlimited(messages), bytes: unlimited(bytes) }
    }

    /// The limit of an inproc pipe: both ends' marks summed, unlimited if either is (C2.2).
    pub(crate) const fn sum(self, other: Self) -> Self {
        Self {
            messages: self.messages.saturating_add(other.messages),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    /// Sends in a row before a task lets others run. At most 1024: from there on the cost of a turn
    /// is below the noise. At most half the mark, so that a connection task gets to write before a
    /// publisher that never waits starts to drop.
    pub(crate) fn turn(self) -> usize {
        (self.messages / 2).clamp(1, 1024)
    }
}

const fn unlimited(value: usize) -> usize {
    if value == 0 { usize::MAX } else { value }
}

/// How full one pipe is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

impl Level {
    /// Whether a message of `bytes` may be added.
    #[inline]
    pub(crate) const fn admits(self, hwm: Hwm, bytes: usize) -> bool {
        self.messages < hwm.messages && (self.bytes == 0 || self.bytes.saturating_add(bytes) <= hwm.bytes)
    }

    /// Whether it has fallen to the low-water mark, where a full pipe opens again. Half: opening
    /// at every message read would cost a wake-up per message at the limit (C3.1).
    #[inline]
    pub(crate) const fn is_low(self, hwm: Hwm) -> bool {
        self.messages <= hwm.messages / 2 && self.bytes <= hwm.bytes / 2
    }

    #[inline]
    pub(crate) const fn add(&mut self, messages: usize, bytes: usize) {
        self.messages = self.messages.saturating_add(messages);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    #[inline]
    pub(crate) const fn sub(&mut self, messages: usize, bytes: usize) {
        self.messages = self.messages.saturating_sub(messages);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c1_4_zero_is_unlimited_and_c2_2_unlimited_plus_any_is_unlimited() {
        let sum = Hwm::new(1, 0).sum(Hwm::new(0, 10));
        assert_eq!(sum, Hwm { messages: usize::MAX, bytes: usize::MAX });
    }

    #[test]
    fn one_message_always_fits_the_byte_budget() {
        let hwm = Hwm::new(2, 10);
        let mut level = Level::default();
        assert!(level.admits(hwm, 1_000));
        level.add(1, 1_000);
        assert!(!level.admits(hwm, 1));
    }

    #[test]
    fn c3_1_a_full_pipe_opens_after_half_rounded_up_was_read() {
        for (hwm, opens_at) in [(1, 0), (2, 1), (5, 2), (10, 5)] {
            let limit = Hwm::new(hwm, 0);
            let first_low = (0..=hwm).rev().find(|&messages| Level { messages, bytes: 0 }.is_low(limit));
            assert_eq!(first_low, Some(opens_at), "hwm {hwm}");
        }
    }
}

//! How much a task sends or receives in a row before it lets others run.
//!
//! On current_thread nothing else runs meanwhile, the connections that write and read included.

use std::time::{Duration, Instant};

/// Messages between two looks at the clock, which costs as much as one of them.
const SLICE: usize = 256;
/// The end of a turn in any case: the application may do more with a message than we do. Less would give 1,000 peers a
/// write for a few messages each (1 PUSH to 1,000 PULL on multi_thread: with 2 ms, 300 ns of CPU a message instead of 170).
const LONGEST: Duration = Duration::from_millis(10);

/// What is left of a task's turn.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// Until the clock is looked at.
    slice: usize,
    /// Beyond that.
    left: usize,
    since: Option<Instant>,
}

impl Budget {
    pub(super) const fn new(messages: usize) -> Self {
        Self { slice: 0, left: messages, since: None }
    }

    /// Whether the turn is over. Time that the task has waited counts as well: then others have run, and a turn too
    /// many costs nothing.
    #[inline]
    pub(super) fn is_spent(&mut self) -> bool {
        self.slice == 0 && !self.next_slice()
    }

    #[cold]
    fn next_slice(&mut self) -> bool {
        let now = Instant::now();
        if now.duration_since(*self.since.get_or_insert(now)) > LONGEST {
            self.left = 0;
        }
        self.slice = self.left.min(SLICE);
        self.left -= self.slice;
        self.slice > 0
    }

    #[inline]
    pub(super) const fn spend(&mut self, messages: usize) {
        let beyond = messages.saturating_sub(self.slice);
        self.slice -= messages - beyond;
        self.left = self.left.saturating_sub(beyond);
    }

    /// Messages until the clock is looked at.
    #[inline]
    pub(super) const fn slice(&self) -> usize {
        self.slice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spend_all(budget: &mut Budget) -> usize {
        let mut spent = 0;
        while !budget.is_spent() {
            budget.spend(1);
            spent += 1;
        }
        spent
    }

    #[test]
    fn a_turn_is_as_long_as_was_said() {
        for messages in [0, 1, SLICE - 1, SLICE, SLICE + 1] {
            assert_eq!(spend_all(&mut Budget::new(messages)), messages);
        }
    }

    #[test]
    fn what_is_spent_beyond_the_slice_is_taken_from_the_rest() {
        let mut budget = Budget::new(3 * SLICE);
        assert!(!budget.is_spent());
        budget.spend(2 * SLICE + 1);
        assert_eq!(spend_all(&mut budget), SLICE - 1);
    }

    #[test]
    fn a_turn_that_takes_long_ends_with_the_slice() {
        let mut budget = Budget::new(10 * SLICE);
        assert!(!budget.is_spent());
        budget.since = Instant::now().checked_sub(2 * LONGEST);
        assert_eq!(spend_all(&mut budget), SLICE);
    }
}

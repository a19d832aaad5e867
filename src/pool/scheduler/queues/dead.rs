//! Dead letters: tasks that were given up, kept for a person to look at.

use std::collections::VecDeque;
use std::time::Duration;

use crate::message::{Frame, Message};
use crate::pool::protocol::FailReason;
use crate::pool::time::Time;

/// The bytes that are kept for one queue, beside the limits of its policy.
const MAX_BYTES: usize = 256 << 20;

/// A task that was given up; from [`Broker::dead_letters`](crate::pool::Broker::dead_letters).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeadLetter {
    /// What was to be done.
    pub body: Message,
    /// Its key, if it had one.
    pub key: Option<Frame>,
    /// Its priority.
    pub priority: u8,
    /// The tags that its workers need.
    pub tags: Vec<Frame>,
    /// Why it was given up.
    pub reason: FailReason,
    /// What its last worker said.
    pub error: Frame,
    /// Which worker that was.
    pub worker: Frame,
    /// How often it was begun.
    pub starts: u32,
    /// How many workers it took down.
    pub crashes: u32,
    /// When it was accepted.
    pub submitted: Time,
    /// When it was given up.
    pub died: Time,
}

/// Of one queue, oldest first.
#[derive(Debug, Default)]
pub(super) struct DeadLetters {
    letters: VecDeque<DeadLetter>,
    /// Of their bodies.
    bytes: usize,
    /// Those that were too many or too old.
    discarded: u64,
}

impl DeadLetters {
    pub(super) fn push(&mut self, letter: DeadLetter, most: usize, age: Duration) {
        self.trim(letter.died, most.saturating_sub(1), age);
        if most > 0 {
            self.bytes += letter.body.footprint();
            self.letters.push_back(letter);
            while self.bytes > MAX_BYTES && self.letters.len() > 1 {
                self.pop();
                self.discarded += 1;
            }
        } else {
            self.discarded += 1;
        }
    }

    pub(super) fn trim(&mut self, now: Time, most: usize, age: Duration) {
        while let Some(oldest) = self.letters.front()
            && (self.letters.len() > most || now.since(oldest.died) >= age)
        {
            self.pop();
            self.discarded += 1;
        }
    }

    pub(super) fn pop(&mut self) -> Option<DeadLetter> {
        let letter = self.letters.pop_front()?;
        self.bytes -= letter.body.footprint();
        Some(letter)
    }

    pub(super) fn clear(&mut self) {
        self.letters.clear();
        self.bytes = 0;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &DeadLetter> {
        self.letters.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.letters.len()
    }

    pub(super) const fn discarded(&self) -> u64 {
        self.discarded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(body: Message) -> DeadLetter {
        DeadLetter {
            body,
            key: None,
            priority: 4,
            tags: Vec::new(),
            reason: FailReason::Rejected,
            error: Frame::new(),
            worker: Frame::new(),
            starts: 1,
            crashes: 0,
            submitted: Time::ZERO,
            died: Time::ZERO,
        }
    }

    #[test]
    fn the_oldest_go_when_all_take_too_many_bytes() {
        let quarter = Message::from(vec![0; MAX_BYTES / 4]);
        let mut dead = DeadLetters::default();
        for _ in 0..6 {
            dead.push(letter(quarter.clone()), usize::MAX, Duration::MAX);
        }
        assert_eq!((dead.len(), dead.bytes, dead.discarded()), (4, MAX_BYTES, 2));
        let frames = Message::from(vec![Frame::new(); 101]);
        dead.push(letter(frames.clone()), usize::MAX, Duration::MAX);
        assert_eq!(
            (dead.len(), dead.bytes),
            (4, 3 * (MAX_BYTES / 4) + frames.footprint()),
            "empty frames count"
        );
        // Larger than all may be together: kept, alone.
        dead.push(letter(vec![0; MAX_BYTES + 1].into()), usize::MAX, Duration::MAX);
        assert_eq!((dead.len(), dead.bytes, dead.discarded()), (1, MAX_BYTES + 1, 7));
        while dead.pop().is_some() {}
        assert_eq!((dead.len(), dead.bytes), (0, 0));
    }
}

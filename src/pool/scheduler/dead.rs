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

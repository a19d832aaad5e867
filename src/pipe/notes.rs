//! Notifications of an inproc subscriber, on their way to an XPUB's application.
//!
//! A peer behind a connection is not read while they are unread. Here there is nobody to hold up, for subscribing does
//! not wait. So beyond the mark only their sum is kept: one for each topic, and none where one undoes the other. That
//! is bounded by what is subscribed to, and what the application believes to be.

use std::collections::{HashMap, VecDeque};

use crate::message::Message;

/// What one subscriber has to tell.
#[derive(Debug, Default)]
pub(super) struct Notes {
    queue: VecDeque<Message>,
    /// By topic; after those in `queue`.
    late: HashMap<Vec<u8>, Message>,
}

impl Notes {
    pub(super) fn len(&self) -> usize {
        self.queue.len() + self.late.len()
    }

    /// Adds a notification: the byte 1 or 0, and the topic.
    pub(super) fn push(&mut self, note: Message, mark: usize) {
        if self.late.is_empty() && self.queue.len() < mark {
            return self.queue.push_back(note);
        }
        let Some((sign, topic)) = note.first().split_first() else { return };
        let undone = self.late.remove(topic).is_some_and(|earlier| earlier.first().first() != Some(sign));
        if !undone {
            self.late.insert(topic.to_vec(), note);
        }
    }

    /// Puts one back that was popped last.
    pub(super) fn unpop(&mut self, note: Message) {
        self.queue.push_front(note);
    }

    pub(super) fn pop(&mut self) -> Option<Message> {
        if self.queue.is_empty() {
            self.queue.extend(self.late.drain().map(|(_, note)| note));
        }
        self.queue.pop_front()
    }
}

#[cfg(all(test, not(sinew_loom)))]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_mark_one_is_kept_for_each_topic_and_none_if_it_is_undone() {
        let mut notes = Notes::default();
        for note in ["\x01a", "\x01b", "\0a", "\x01a", "\x01c", "\0c", "\0b", "\x01d", "\x01d"] {
            notes.push(note.into(), 2);
        }
        assert_eq!(notes.len(), 4);
        let all: Vec<_> = std::iter::from_fn(|| notes.pop()).collect();
        assert_eq!(all[..2], ["\x01a", "\x01b"]);
        assert!(all[2..].contains(&"\0b".into()) && all[2..].contains(&"\x01d".into()), "{all:?}");
        notes.push("\x01e".into(), 2);
        assert_eq!(notes.queue.len(), 1);
    }
}

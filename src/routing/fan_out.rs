//! Fan-out by subscription: one prefix trie shared by all subscribers of a publisher.

use std::borrow::Cow;

use super::{Inserted, PeerKey, Removed, Trie};

/// What holds, or is matched, in a [`Trie`]. With `exact`, its size goes in front, so that nothing is a prefix of anything
/// but itself.
#[inline]
pub(crate) fn as_topic(subject: &[u8], exact: bool) -> Cow<'_, [u8]> {
    if !exact {
        return subject.into();
    }
    [&subject.len().to_be_bytes()[..], subject].concat().into()
}

/// Who gets a message, by its first frame.
#[derive(Debug, Default)]
pub(crate) struct FanOut {
    /// What messages are matched against.
    pub(crate) table: Trie<PeerKey>,
    /// With manual subscriptions (B5.13), what the peers asked for; the application edits `table`.
    pub(crate) asked: Option<Trie<PeerKey>>,
    /// A message is for those who hold exactly its first frame, not for those who hold a prefix of it.
    pub(crate) exact: bool,
    /// A full subscriber holds the publisher up (B5.12).
    pub(crate) waits_for_all: bool,
}

impl FanOut {
    /// A publisher whose application edits the table by hand if `manual`.
    pub(crate) fn new(manual: bool, waits_for_all: bool) -> Self {
        Self { table: Trie::default(), asked: manual.then(Trie::default), exact: false, waits_for_all }
    }

    /// Calls `f` with each peer that a message is for, by its first frame; with some of them perhaps several times.
    #[inline]
    pub(crate) fn matches(&self, subject: &[u8], f: impl FnMut(PeerKey)) {
        self.table.matches(&as_topic(subject, self.exact), f);
    }

    /// How many peers a message is for.
    #[cfg(feature = "draft")]
    pub(crate) fn count(&self, subject: &[u8]) -> usize {
        let mut count = 0;
        self.matches(subject, |_| count += 1);
        count
    }

    /// A peer subscribes; says whether it is the first to hold that topic.
    pub(crate) fn subscribe(&mut self, topic: &[u8], key: PeerKey) -> Inserted {
        self.asked.as_mut().unwrap_or(&mut self.table).insert(&as_topic(topic, self.exact), key)
    }

    /// A peer unsubscribes; says whether it was the last to hold that topic.
    pub(crate) fn cancel(&mut self, topic: &[u8], key: PeerKey) -> Removed {
        self.asked.as_mut().unwrap_or(&mut self.table).remove(&as_topic(topic, self.exact), key)
    }

    /// A peer is gone: calls `gone` with each topic that it held, and whether it was the last (B5.10).
    pub(crate) fn remove(&mut self, key: PeerKey, gone: impl FnMut(&[u8], bool)) {
        match &mut self.asked {
            Some(asked) => {
                self.table.remove_key(key, |_, _| {});
                asked.remove_key(key, gone);
            }
            None => self.table.remove_key(key, gone),
        }
    }
}

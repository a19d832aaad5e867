//! Fan-out by subscription: one prefix trie shared by all subscribers of a publisher.

use super::PeerKey;

use super::{Inserted, Removed, Trie};

/// Who gets a message, by its first frame.
#[derive(Debug, Default)]
pub(crate) struct FanOut {
    /// What messages are matched against.
    pub(crate) table: Trie<PeerKey>,
    /// With manual subscriptions (B5.13), what the peers asked for; the application edits `table`.
    pub(crate) asked: Option<Trie<PeerKey>>,
    /// A full subscriber holds the publisher up (B5.12).
    pub(crate) waits_for_all: bool,
}

impl FanOut {
    /// A publisher whose application edits the table by hand if `manual`.
    pub(crate) fn new(manual: bool, waits_for_all: bool) -> Self {
        Self { table: Trie::default(), asked: manual.then(Trie::default), waits_for_all }
    }

    /// A peer subscribes; says whether it is the first to hold that topic.
    pub(crate) fn subscribe(&mut self, topic: &[u8], key: PeerKey) -> Inserted {
        self.asked.as_mut().unwrap_or(&mut self.table).insert(topic, key)
    }

    /// A peer unsubscribes; says whether it was the last to hold that topic.
    pub(crate) fn cancel(&mut self, topic: &[u8], key: PeerKey) -> Removed {
        self.asked.as_mut().unwrap_or(&mut self.table).remove(topic, key)
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

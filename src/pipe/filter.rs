//! What a SUB or a DISH lets through of what it is sent.

use crate::message::{Frame, Message};
use crate::routing::{Trie, as_topic};

/// The topics that it has subscribed to, or the groups that it has joined.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    topics: Trie<()>,
    /// The first frame is a topic, and no prefix of one.
    exact: bool,
    /// Let through what does *not* match (B5.17).
    invert: bool,
}

impl Filter {
    pub(crate) fn new(topics: &[Frame], exact: bool, invert: bool) -> Self {
        let mut filter = Self { topics: Trie::default(), exact, invert };
        topics.iter().for_each(|topic| filter.insert(topic));
        filter
    }

    pub(crate) fn insert(&mut self, topic: &[u8]) {
        self.topics.insert(&as_topic(topic, self.exact), ());
    }

    pub(crate) fn remove(&mut self, topic: &[u8]) {
        self.topics.remove(&as_topic(topic, self.exact), ());
    }

    pub(super) fn admits(&self, message: &Message) -> bool {
        let mut matched = false;
        self.topics.matches(&as_topic(message.first(), self.exact), |()| matched = true);
        matched != self.invert
    }
}

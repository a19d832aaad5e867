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
    exact: bool,
    /// A full subscriber holds the publisher up (B5.12).
    pub(crate) waits_for_all: bool,
}

impl FanOut {
    /// Nodes that are walked in one step of a peer's end, one to ten for a topic.
    const STEP: usize = 64;

    /// A publisher whose application edits the table by hand if `manual`.
    pub(crate) fn new(manual: bool, waits_for_all: bool) -> Self {
        Self { table: Trie::default(), asked: manual.then(Trie::default), exact: false, waits_for_all }
    }

    /// A sender to groups.
    #[cfg(feature = "draft")]
    pub(crate) fn exact(waits_for_all: bool) -> Self {
        Self { exact: true, ..Self::new(false, waits_for_all) }
    }

    /// Calls `f` with each peer that a message is for, by its first frame; with some of them perhaps several times.
    #[inline]
    pub(crate) fn matches(&self, subject: &[u8], f: impl FnMut(PeerKey)) {
        // Apart, so that the usual way has nothing to make and to drop.
        if self.exact {
            return self.matches_exactly(subject, f);
        }
        self.table.matches(subject, f);
    }

    #[inline(never)]
    fn matches_exactly(&self, subject: &[u8], f: impl FnMut(PeerKey)) {
        self.table.matches(&as_topic(subject, true), f);
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

    /// A peer is gone: calls `gone` with some of the topics that it held, and whether it was the last (B5.10); says
    /// whether there are more. Called until there are none, and the lock given up in between.
    pub(crate) fn remove(&mut self, key: PeerKey, gone: impl FnMut(&[u8], bool)) -> bool {
        match &mut self.asked {
            Some(asked) => {
                self.table.remove_key(key, Self::STEP, |_, _| {}) | asked.remove_key(key, Self::STEP, gone)
            }
            None => self.table.remove_key(key, Self::STEP, gone),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use slotmap::SlotMap;

    use super::*;

    #[test]
    fn a_peer_s_end_comes_in_steps_each_of_which_tells_what_it_took() {
        for manual in [false, true] {
            let mut peers = SlotMap::<PeerKey, ()>::with_key();
            let (leaving, other) = (peers.insert(()), peers.insert(()));
            let mut fan = FanOut::new(manual, false);
            for i in 0..2000_u32 {
                fan.subscribe(&i.to_be_bytes(), leaving);
                if i % 2 == 0 {
                    fan.subscribe(&i.to_be_bytes(), other);
                }
                fan.table.insert(&i.to_be_bytes(), leaving);
            }
            let (mut told, mut steps, mut more) = (BTreeMap::new(), 0, true);
            while more {
                let before = told.len();
                more = fan.remove(leaving, |topic, last| assert_eq!(told.insert(topic.to_vec(), last), None));
                assert!(told.len() - before <= FanOut::STEP);
                steps += 1;
                // It is not the whole table's turn: somebody else's comes in between.
                fan.subscribe(format!("{steps}").as_bytes(), other);
            }
            assert!(steps >= 2000 / FanOut::STEP);
            assert!(told.into_iter().eq((0..2000_u32).map(|i| (i.to_be_bytes().to_vec(), i % 2 == 1))));
            fan.table.matches(&2_u32.to_be_bytes(), |key| assert_eq!(key, other));
            assert!(!fan.remove(leaving, |_, _| unreachable!()));
        }
    }
}

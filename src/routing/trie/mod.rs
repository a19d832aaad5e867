//! The subscriptions of all peers of one publisher: which keys hold a prefix of this topic?
//!
//! One radix tree for the whole socket, so that a match costs the bytes of the topic it walks plus
//! what it finds, however many peers and subscriptions there are. What each subscription costs is
//! what keeps a flood of them cheap (limits D13), hence the layout:
//!
//! | part     | holds                                                                           |
//! | -------- | ------------------------------------------------------------------------------- |
//! | `nodes`  | 32 bytes each, all that a match reads: first child, next sibling, label, a key  |
//! | `links`  | 12 bytes more: the parent, and the list of all that the key holds               |
//! | `labels` | the bytes of long edges                                                         |
//!
//! All this is under a lock that others wait for. So no operation costs what all peers hold: what a key holds is found
//! by its list, and no part grows or shrinks as a whole, each being in chunks. Nothing here recurses, [`Drop`] included,
//! because a peer chooses how deep the tree is. Everything that a removal frees is given back.

mod holders;
mod labels;
mod node;
mod shape;
mod slab;

use std::collections::BTreeMap;

use labels::Labels;
use node::{Links, Neighbours, Node};
use slab::Slab;

/// No node, no chunk: an index that is not handed out.
const NIL: u32 = u32::MAX;
const ROOT: u32 = 0;

/// What an insertion changed. Holding is a set and not a counter (conformance A7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// No key held the topic before.
    First,
    /// Other keys hold the topic too.
    New,
    /// The key held the topic already.
    Already,
}

/// What a removal changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removed {
    /// No key holds the topic any more.
    Last,
    /// Other keys still hold the topic.
    Held,
    /// The key did not hold the topic.
    NotHeld,
}

/// A set of (topic, key) pairs that finds the keys whose topic is a prefix of a given one.
#[derive(Debug)]
pub(crate) struct Trie<K> {
    nodes: Slab<Node<K>>,
    /// Of each node, under the same index.
    links: Slab<Links>,
    labels: Labels,
    /// How far the labels have been looked at for such as should be moved.
    swept: u32,
    topics: usize,
    /// What each key has taken last: the head of the list of all that it holds.
    newest: BTreeMap<K, u32>,
}

impl<K> Default for Trie<K> {
    fn default() -> Self {
        let (mut nodes, mut links) = (Slab::default(), Slab::default());
        nodes.push(Node::default());
        links.push(Links { parent: NIL, held: Neighbours { prev: NIL, next: NIL } });
        Self { nodes, links, labels: Labels::default(), swept: ROOT, topics: 0, newest: BTreeMap::new() }
    }
}

impl<K: Copy + Ord> Trie<K> {
    /// How many distinct topics are held.
    pub(crate) fn len(&self) -> usize {
        self.topics
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.topics == 0
    }

    pub(crate) fn insert(&mut self, topic: &[u8], key: K) -> Inserted {
        let (mut at, mut rest) = (ROOT, topic);
        while let Some(&byte) = rest.first() {
            let Some(next) = self.nodes.get(at).and_then(|node| self.child(node, byte)) else {
                let end = self.extend(at, rest);
                self.note(at);
                at = end;
                break;
            };
            let label = self.nodes.get(next).map_or(&[][..], |node| self.labels.get(&node.label));
            let same = label.iter().zip(rest).take_while(|(a, b)| a == b).count();
            at = if same < label.len() { self.split(next, same) } else { next };
            rest = rest.get(same..).unwrap_or_default();
        }
        let inserted = self.hold(at, key);
        self.note(at);
        inserted
    }

    pub(crate) fn remove(&mut self, topic: &[u8], key: K) -> Removed {
        let Some(at) = self.find(topic) else {
            return Removed::NotHeld;
        };
        let removed = self.release(at, key);
        self.tidy(at);
        removed
    }

    /// Removes the topics of `key`, the newest first, telling `f` each one and whether `key` was its last holder.
    /// Stops after the topic with which `budget` nodes have been walked; says whether there are more.
    pub(crate) fn remove_key(&mut self, key: K, budget: usize, mut f: impl FnMut(&[u8], bool)) -> bool {
        let (mut topic, mut path, mut walked) = (Vec::new(), Vec::new(), 0);
        while let Some(&newest) = self.newest.get(&key) {
            if walked >= budget.max(1) {
                return true;
            }
            let mut at = newest;
            while let (Some(node), Some(links)) = (self.nodes.get(at), self.links.get(at)) {
                path.push(node.label);
                at = links.parent;
            }
            walked += path.len();
            topic.clear();
            while let Some(label) = path.pop() {
                topic.extend_from_slice(self.labels.get(&label));
            }
            let removed = self.release(newest, key);
            self.tidy(newest);
            f(&topic, removed == Removed::Last);
        }
        false
    }

    #[cfg(test)]
    pub(crate) fn holds(&self, topic: &[u8], key: K) -> bool {
        let Some(at) = self.find(topic) else { return false };
        (0..).map_while(|place| self.holder(at, place)).any(|holder| holder.key == key)
    }

    /// Calls `f` for every held prefix of `topic` with every key that holds it: a key with two
    /// topics that both match comes twice, and the caller sends it one copy (conformance B5.1).
    #[inline]
    pub(crate) fn matches(&self, topic: &[u8], mut f: impl FnMut(K)) {
        let mut rest = topic;
        let mut next = self.nodes.get(ROOT);
        while let Some(node) = next {
            let Some(tail) = self.labels.strip(&node.label, rest) else { return };
            if let Some(key) = node.key {
                f(key);
                if let Some(wide) = &node.wide {
                    wide.holders.iter().for_each(|holder| f(holder.key));
                }
            }
            let Some(&byte) = tail.first() else { return };
            rest = tail;
            next = match node.fan() {
                None => self.in_list(node, byte).map(|child| child.1),
                Some(fan) => {
                    let Ok(place) = fan.find(byte) else { return };
                    if let Some(key) = fan.lone(place) {
                        return f(key);
                    }
                    fan.kid(place).and_then(|at| self.nodes.get(at))
                }
            };
        }
    }

    fn child(&self, node: &Node<K>, byte: u8) -> Option<u32> {
        match node.fan() {
            None => self.in_list(node, byte).map(|child| child.0),
            Some(fan) => fan.find(byte).ok().and_then(|place| fan.kid(place)),
        }
    }

    #[inline]
    fn in_list(&self, node: &Node<K>, byte: u8) -> Option<(u32, &Node<K>)> {
        let mut at = node.child;
        loop {
            let child = self.nodes.get(at)?;
            if child.label.byte() == byte {
                return Some((at, child));
            }
            at = child.sibling;
        }
    }

    /// The node that stands for `topic`.
    fn find(&self, topic: &[u8]) -> Option<u32> {
        let (mut at, mut rest) = (ROOT, topic);
        while let Some(&byte) = rest.first() {
            at = self.child(self.nodes.get(at)?, byte)?;
            rest = self.labels.strip(&self.nodes.get(at)?.label, rest)?;
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests;

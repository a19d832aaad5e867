//! The subscriptions of all peers of one publisher: which keys hold a prefix of this topic?
//!
//! One radix tree for the whole socket, so that a match costs the bytes of the topic it walks plus
//! what it finds, however many peers and subscriptions there are. What each subscription costs is
//! what keeps a flood of them cheap (limits D13), hence the layout:
//!
//! | part     | holds                                                                       |
//! | -------- | --------------------------------------------------------------------------- |
//! | `nodes`  | a slab of 32-byte nodes; each names its first child and its next sibling    |
//! | `labels` | the bytes of all edges, back to back; splitting a node copies none of them  |
//! | `wides`  | what few nodes need: the second and later keys, an index of many children   |
//!
//! Nothing here recurses, [`Drop`] included, because a peer chooses how deep the tree is. Everything
//! that a removal frees is given back: nodes merge, and each part is packed once half of it is waste.

mod node;
mod shape;
mod slab;

use node::{Fan, Node, Wide};
use slab::Slab;

/// No node, no wide: an index that no slab hands out.
const NIL: u32 = u32::MAX;
const ROOT: u32 = 0;
/// Waste below this is not worth a pass over a part; in a test every pass is.
const SLACK: usize = if cfg!(test) { 2 } else { 64 };

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
    wides: Slab<Wide<K>>,
    labels: Vec<u8>,
    /// Bytes of `labels` that belong to no node.
    dead: usize,
    topics: usize,
}

impl<K> Default for Trie<K> {
    fn default() -> Self {
        let mut nodes = Slab::default();
        nodes.insert(Node::default());
        Self { nodes, wides: Slab::default(), labels: Vec::new(), dead: 0, topics: 0 }
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
        let (mut parent, mut at) = (ROOT, ROOT);
        let mut rest = topic;
        while let Some(&byte) = rest.first() {
            let Some(next) = self.nodes.get(at).and_then(|node| self.child(node, byte)) else {
                let end = self.extend(at, rest);
                self.note(parent, at);
                (parent, at) = end;
                break;
            };
            let label = self.nodes.get(next).map_or(&[][..], |node| self.label(node));
            let same = label.iter().zip(rest).take_while(|(a, b)| a == b).count();
            if same < label.len() {
                self.split(next, same);
            }
            rest = rest.get(same..).unwrap_or_default();
            (parent, at) = (at, next);
        }
        let inserted = self.hold(at, key);
        self.note(parent, at);
        inserted
    }

    pub(crate) fn remove(&mut self, topic: &[u8], key: K) -> Removed {
        let Some(mut path) = self.path_to(topic) else {
            return Removed::NotHeld;
        };
        let Some(mut at) = path.pop() else {
            return Removed::NotHeld;
        };
        let removed = self.release(at, key);
        while let Some(parent) = path.pop()
            && self.tidy(at, parent)
        {
            at = parent;
        }
        self.shrink();
        removed
    }

    /// Removes every topic of `key`, telling `f` each one and whether `key` was its last holder, in
    /// the order of the topics. Walks the whole tree, so it costs what all peers hold and not what
    /// this one holds.
    pub(crate) fn remove_key(&mut self, key: K, mut f: impl FnMut(&[u8], bool)) {
        let (mut topic, mut path, mut at) = (Vec::new(), Vec::new(), ROOT);
        loop {
            topic.extend_from_slice(self.nodes.get(at).map_or(&[], |node| self.label(node)));
            match self.release(at, key) {
                Removed::Last => f(&topic, true),
                Removed::Held => f(&topic, false),
                Removed::NotHeld => {}
            }
            if let Some(child) = self.nodes.get(at).map(|node| node.child).filter(|&child| child != NIL) {
                path.push(at);
                at = child;
                continue;
            }
            loop {
                let (Some(&parent), Some(node)) = (path.last(), self.nodes.get(at)) else {
                    return self.shrink();
                };
                let sibling = node.sibling;
                topic.truncate(topic.len().saturating_sub(usize::from(node.len)));
                self.tidy(at, parent);
                if sibling != NIL {
                    at = sibling;
                    break;
                }
                path.pop();
                at = parent;
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn holds(&self, topic: &[u8], key: K) -> bool {
        let at = self.path_to(topic).and_then(|path| path.last().copied());
        let Some(node) = at.and_then(|at| self.nodes.get(at)) else {
            return false;
        };
        let wide = self.wides.get(node.wide);
        node.key == Some(key) || wide.is_some_and(|wide| wide.keys.binary_search(&key).is_ok())
    }

    /// Calls `f` for every held prefix of `topic` with every key that holds it: a key with two
    /// topics that both match comes twice, and the caller sends it one copy (conformance B5.1).
    #[inline]
    pub(crate) fn matches(&self, topic: &[u8], mut f: impl FnMut(K)) {
        let mut rest = topic;
        let mut at = Some(ROOT);
        while let Some(node) = at.and_then(|at| self.nodes.get(at)) {
            // A child was found by the first byte of its label, and the root has none: often there is nothing to look
            // at. Comparing nothing with memory that is not there can cost a processor hundreds of cycles.
            let tail = match node.len {
                0 | 1 => rest.get(usize::from(node.len)..),
                _ => rest.strip_prefix(self.label(node)),
            };
            let Some(tail) = tail else { return };
            if let Some(key) = node.key {
                f(key);
                if let Some(wide) = self.wides.get(node.wide) {
                    wide.keys.iter().copied().for_each(&mut f);
                }
            }
            let Some(&byte) = tail.first() else { return };
            rest = tail;
            at = match self.fan(node) {
                None => self.in_list(node, byte),
                Some(fan) => {
                    let Ok(place) = fan.find(byte) else { return };
                    if let Some(key) = fan.lone(place) {
                        return f(key);
                    }
                    fan.kid(place)
                }
            };
        }
    }

    fn child(&self, node: &Node<K>, byte: u8) -> Option<u32> {
        match self.fan(node) {
            None => self.in_list(node, byte),
            Some(fan) => fan.find(byte).ok().and_then(|place| fan.kid(place)),
        }
    }

    #[inline]
    fn fan(&self, node: &Node<K>) -> Option<&Fan<K>> {
        self.wides.get(node.wide)?.fan.as_ref()
    }

    #[inline]
    fn in_list(&self, node: &Node<K>, byte: u8) -> Option<u32> {
        let mut at = node.child;
        while let Some(child) = self.nodes.get(at) {
            if child.byte == byte {
                return Some(at);
            }
            at = child.sibling;
        }
        None
    }

    #[inline]
    fn label(&self, node: &Node<K>) -> &[u8] {
        self.labels.get(node.off..).and_then(|label| label.get(..usize::from(node.len))).unwrap_or_default()
    }

    /// The nodes from the root to the one that stands for `topic`.
    fn path_to(&self, topic: &[u8]) -> Option<Vec<u32>> {
        let mut path = vec![ROOT];
        let mut node = self.nodes.get(ROOT)?;
        let mut rest = topic;
        while let Some(&byte) = rest.first() {
            let at = self.child(node, byte)?;
            node = self.nodes.get(at)?;
            rest = rest.strip_prefix(self.label(node))?;
            path.push(at);
        }
        Some(path)
    }

    fn hold(&mut self, at: u32, key: K) -> Inserted {
        let Some(node) = self.nodes.get_mut(at) else {
            return Inserted::Already;
        };
        match node.key {
            None => {
                node.key = Some(key);
                self.topics += 1;
                Inserted::First
            }
            Some(first) if first == key => Inserted::Already,
            Some(_) => {
                let Some(wide) = self.widen(at) else {
                    return Inserted::Already;
                };
                let Err(place) = wide.keys.binary_search(&key) else {
                    return Inserted::Already;
                };
                wide.keys.insert(place, key);
                Inserted::New
            }
        }
    }

    fn release(&mut self, at: u32, key: K) -> Removed {
        let Some(node) = self.nodes.get_mut(at) else {
            return Removed::NotHeld;
        };
        let wide = self.wides.get_mut(node.wide);
        if node.key == Some(key) {
            node.key = wide.and_then(|wide| wide.keys.pop());
        } else {
            let Some(wide) = wide else {
                return Removed::NotHeld;
            };
            let Ok(place) = wide.keys.binary_search(&key) else {
                return Removed::NotHeld;
            };
            wide.keys.remove(place);
        }
        let held = node.key.is_some();
        self.narrow(at);
        if held {
            return Removed::Held;
        }
        self.topics -= 1;
        Removed::Last
    }
}

#[cfg(test)]
mod tests;

//! What changes the shape of the tree: adding, splitting, merging and freeing nodes, and packing
//! what is left.

use std::{iter, mem};

use super::node::{Fan, Node, Wide};
use super::slab::{find, reserve};
use super::{NIL, ROOT, SLACK, Trie};

/// A node's label, so that its length is one byte; a longer one becomes a chain of nodes.
const LABEL_MAX: usize = 255;
/// Children that a node finds by walking the list of them.
const LIST_MAX: usize = 8;

impl<K: Copy + Ord> Trie<K> {
    /// Adds the chain of nodes that spells `rest` below `at`; names the last two.
    pub(super) fn extend(&mut self, mut at: u32, rest: &[u8]) -> (u32, u32) {
        let mut parent = at;
        for label in rest.chunks(LABEL_MAX) {
            let node = self.spell(label);
            let next = self.nodes.insert(node);
            self.attach(at, next);
            (parent, at) = (at, next);
        }
        (parent, at)
    }

    /// A node for a new label, of 255 bytes at most.
    fn spell(&mut self, label: &[u8]) -> Node<K> {
        reserve(&mut self.labels, label.len());
        let off = self.labels.len();
        self.labels.extend_from_slice(label);
        let len = u8::try_from(label.len()).unwrap_or(u8::MAX);
        Node { off, len, byte: label.first().copied().unwrap_or_default(), ..Node::default() }
    }

    /// Cuts the label of `at` in two; a new node below takes the second half and all that `at`
    /// held.
    pub(super) fn split(&mut self, at: u32, len: usize) {
        let Some(node) = self.nodes.get(at) else {
            return;
        };
        let (Some(&byte), Ok(len)) = (self.label(node).get(len), u8::try_from(len)) else {
            return;
        };
        let Some(node) = self.nodes.get_mut(at) else {
            return;
        };
        let top = Node { off: node.off, len, byte: node.byte, sibling: node.sibling, ..Node::default() };
        let mut low = mem::replace(node, top);
        low.off += usize::from(len);
        low.len -= len;
        low.byte = byte;
        low.sibling = NIL;
        let low = self.nodes.insert(low);
        if let Some(node) = self.nodes.get_mut(at) {
            node.child = low;
        }
    }

    /// Frees `at` if it holds nothing, or merges its only child into it. True if it is gone, and
    /// its parent's turn.
    pub(super) fn tidy(&mut self, at: u32, parent: u32) -> bool {
        let gone = self.free_or_merge(at, parent);
        if !gone {
            self.note(parent, at);
        }
        gone
    }

    fn free_or_merge(&mut self, at: u32, parent: u32) -> bool {
        let Some(node) = self.nodes.get(at).filter(|node| at != ROOT && node.key.is_none()) else {
            return false;
        };
        let below = node.child;
        let Some(child) = self.nodes.get(below) else {
            self.detach(parent, at);
            self.dead += usize::from(self.nodes.take(at).len);
            self.shrink_labels();
            return true;
        };
        if child.sibling == NIL && node.len.checked_add(child.len).is_some() {
            self.absorb(at, below);
            self.shrink_labels();
        }
        false
    }

    /// Keeps the parent's index true after `at` has changed.
    pub(super) fn note(&mut self, parent: u32, at: u32) {
        let Some((byte, lone)) = self.nodes.get(at).map(|node| (node.byte, node.lone_key())) else { return };
        if at != ROOT
            && let Some(fan) = self.fan_mut(parent)
        {
            fan.set(byte, at, lone);
        }
    }

    /// Merges `at`, which has neither key nor wide, with its only child.
    fn absorb(&mut self, at: u32, below: u32) {
        let child = self.nodes.take(below);
        let Some(node) = self.nodes.get(at) else {
            return;
        };
        let mut off = node.off;
        if off + usize::from(node.len) != child.off {
            let label = [self.label(node), self.label(&child)].concat();
            self.dead += label.len();
            off = self.spell(&label).off;
        }
        if let Some(node) = self.nodes.get_mut(at) {
            let len = node.len.saturating_add(child.len);
            *node = Node { off, len, byte: node.byte, sibling: node.sibling, ..child };
        }
    }

    fn attach(&mut self, parent: u32, at: u32) {
        let Some(byte) = self.nodes.get(at).map(|node| node.byte) else {
            return;
        };
        let Some(next) = self.link(parent, byte).map(|link| mem::replace(link, at)) else {
            return;
        };
        if let Some(node) = self.nodes.get_mut(at) {
            node.sibling = next;
        }
        if self.fan_mut(parent).is_some() {
            self.note(parent, at);
        } else if self.children(parent).count() > LIST_MAX {
            let lone = |at| self.nodes.get(at).and_then(Node::lone_key);
            let fan = self.children(parent).map(|(at, byte)| (byte, at, lone(at))).collect();
            if let Some(wide) = self.widen(parent) {
                wide.fan = Some(fan);
            }
        }
    }

    fn detach(&mut self, parent: u32, at: u32) {
        let Some((byte, next)) = self.nodes.get(at).map(|node| (node.byte, node.sibling)) else {
            return;
        };
        if let Some(link) = self.link(parent, byte) {
            *link = next;
        }
        let Some(fan) = self.fan_mut(parent) else {
            return;
        };
        fan.remove(byte);
        // Half the threshold, or a child that comes and goes would build the index each time.
        if fan.len() <= LIST_MAX / 2 {
            if let Some(wide) = self.widen(parent) {
                wide.fan = None;
            }
            self.narrow(parent);
        }
    }

    /// The index, in the parent or in a sibling, that names the first child whose byte is not below
    /// `byte`.
    fn link(&mut self, parent: u32, byte: u8) -> Option<&mut u32> {
        let before = match self.fan_mut(parent) {
            Some(fan) => fan.before(byte),
            None => self.children(parent).take_while(|child| child.1 < byte).last().map(|child| child.0),
        };
        match before {
            Some(before) => self.nodes.get_mut(before).map(|node| &mut node.sibling),
            None => self.nodes.get_mut(parent).map(|node| &mut node.child),
        }
    }

    fn fan_mut(&mut self, at: u32) -> Option<&mut Fan<K>> {
        let wide = self.nodes.get(at)?.wide;
        self.wides.get_mut(wide)?.fan.as_mut()
    }

    /// In the order of their bytes.
    pub(super) fn children(&self, parent: u32) -> impl Iterator<Item = (u32, u8)> {
        let mut at = self.nodes.get(parent).map_or(NIL, |node| node.child);
        iter::from_fn(move || {
            let child = self.nodes.get(at)?;
            Some((mem::replace(&mut at, child.sibling), child.byte))
        })
    }

    pub(super) fn widen(&mut self, at: u32) -> Option<&mut Wide<K>> {
        let node = self.nodes.get_mut(at)?;
        if node.wide == NIL {
            node.wide = self.wides.insert(Wide::default());
        }
        self.wides.get_mut(node.wide)
    }

    /// Gives back what the wide of `at` no longer needs, perhaps all of it.
    pub(super) fn narrow(&mut self, at: u32) {
        let Some(node) = self.nodes.get_mut(at) else {
            return;
        };
        let Some(wide) = self.wides.get_mut(node.wide) else {
            return;
        };
        if wide.keys.is_empty() && wide.fan.is_none() {
            self.wides.take(mem::replace(&mut node.wide, NIL));
        } else if wide.keys.capacity() / 4 > wide.keys.len() {
            wide.keys.shrink_to_fit();
        }
    }

    pub(super) fn shrink(&mut self) {
        if let Some(moved) = self.nodes.pack() {
            for node in &mut self.nodes.items {
                node.child = find(&moved, node.child);
                node.sibling = find(&moved, node.sibling);
            }
            for fan in self.wides.items.iter_mut().filter_map(|wide| wide.fan.as_mut()) {
                fan.iter_mut().for_each(|child| *child = find(&moved, *child));
            }
        }
        if let Some(moved) = self.wides.pack() {
            for node in &mut self.nodes.items {
                node.wide = find(&moved, node.wide);
            }
        }
    }

    fn shrink_labels(&mut self) {
        if self.dead < self.labels.len() / 2 + SLACK {
            return;
        }
        let mut labels = Vec::with_capacity(self.labels.len().saturating_sub(self.dead));
        for node in &mut self.nodes.items {
            let end = node.off + usize::from(node.len);
            let label = self.labels.get(node.off..end).unwrap_or_default();
            node.off = labels.len();
            labels.extend_from_slice(label);
        }
        self.labels = labels;
        self.dead = 0;
    }
}

//! What changes the shape of the tree: adding, splitting, merging and freeing nodes.

use std::{iter, mem};

use super::labels::LABEL_MAX;
use super::node::{Fan, Links, Neighbours, Node};
use super::{NIL, ROOT, Trie};

/// Children that a node finds by walking the list of them.
const LIST_MAX: usize = 8;
/// Nodes that are looked at, each time that one is freed, for labels that should be moved together.
const SWEEP: usize = 16;

impl<K: Copy + Ord> Trie<K> {
    /// Adds the chain of nodes that spells `rest` below `at`, a label being 255 bytes at most; names the last.
    pub(super) fn extend(&mut self, mut at: u32, rest: &[u8]) -> u32 {
        for label in rest.chunks(LABEL_MAX) {
            let label = self.labels.put(label);
            let next = self.push(Node { label, ..Node::default() }, at);
            self.attach(at, next);
            at = next;
        }
        at
    }

    fn push(&mut self, node: Node<K>, parent: u32) -> u32 {
        self.links.push(Links { parent, held: Neighbours { prev: NIL, next: NIL } });
        self.nodes.push(node)
    }

    /// Cuts the label of `at` in two; a new node above takes the first half, and is named. What holds a topic keeps its
    /// place.
    pub(super) fn split(&mut self, at: u32, len: usize) -> u32 {
        let Some(&Node { sibling, label, .. }) = self.nodes.get(at) else { return at };
        let (label, low) = self.labels.split(label, len);
        let top = self.push(Node { sibling, label, child: at, ..Node::default() }, self.parent(at));
        self.relink(top, top);
        self.set_parent(at, top);
        if let Some(node) = self.nodes.get_mut(at) {
            node.label = low;
            node.sibling = NIL;
        }
        top
    }

    /// Frees `at` if it holds nothing, then its parent likewise, and so on; the last that stays may be merged with its
    /// only child.
    pub(super) fn tidy(&mut self, mut at: u32) {
        while at != ROOT
            && let Some(node) = self.nodes.get(at).filter(|node| node.key.is_none())
        {
            let (parent, below, label) = (self.parent(at), node.child, node.label);
            if let Some(child) = self.nodes.get(below) {
                if child.sibling == NIL && label.len.checked_add(child.label.len).is_some() {
                    return self.absorb(at, below);
                }
                break;
            }
            self.detach(parent, at);
            self.labels.free(label);
            at = self.take(at, parent);
        }
        self.note(at);
    }

    /// Keeps the parent's index true after `at` has changed.
    pub(super) fn note(&mut self, at: u32) {
        let Some(node) = self.nodes.get(at) else { return };
        let (parent, byte, lone) = (self.parent(at), node.label.byte(), node.lone_key());
        if let Some(fan) = self.fan_mut(parent) {
            fan.set(byte, at, lone);
        }
    }

    /// Puts `below`, the only child, into the place of `at`, which has neither key nor wide.
    fn absorb(&mut self, at: u32, below: u32) {
        let parent = self.parent(at);
        let Some(&Node { sibling, label, .. }) = self.nodes.get(at) else { return };
        if let Some(child) = self.nodes.get_mut(below) {
            child.label = self.labels.join(label, child.label);
            child.sibling = sibling;
        }
        self.set_parent(below, parent);
        self.relink(below, below);
        self.take(at, parent);
    }

    /// Takes out a node that nothing names any more. The last one moves to its place; says where `other` is now.
    fn take(&mut self, at: u32, other: u32) -> u32 {
        let last = self.nodes.end().saturating_sub(1);
        if at != last {
            self.relink(last, at);
        }
        self.nodes.swap_remove(at);
        self.links.swap_remove(at);
        if at != last {
            self.moved(at);
        }
        self.sweep();
        if other == last { at } else { other }
    }

    /// Tells its children, and its neighbours in the lists of its holders, that a node is here now.
    fn moved(&mut self, at: u32) {
        let mut child = self.nodes.get(at).map_or(NIL, |node| node.child);
        while let Some(node) = self.nodes.get(child) {
            let next = node.sibling;
            self.set_parent(child, at);
            child = next;
        }
        for place in 0.. {
            let Some(holder) = self.holder(at, place) else { return };
            let Neighbours { prev, next } = holder.held;
            self.join(holder.key, prev, at);
            self.join(holder.key, at, next);
        }
    }

    /// Moves a few labels out of chunks that have few left, if that is worth it. In turns, so that no removal takes long.
    fn sweep(&mut self) {
        for _ in 0..SWEEP {
            if !self.labels.are_sparse() {
                return;
            }
            let next = self.swept.saturating_add(1);
            self.swept = if next < self.nodes.end() { next } else { ROOT };
            if let Some(node) = self.nodes.get_mut(self.swept) {
                self.labels.renew(&mut node.label);
            }
        }
    }

    fn attach(&mut self, parent: u32, at: u32) {
        let Some(byte) = self.nodes.get(at).map(|node| node.label.byte()) else {
            return;
        };
        let Some(next) = self.link(parent, byte).map(|link| mem::replace(link, at)) else {
            return;
        };
        if let Some(node) = self.nodes.get_mut(at) {
            node.sibling = next;
        }
        if self.fan_mut(parent).is_some() {
            self.note(at);
        } else if self.children(parent).count() > LIST_MAX {
            let lone = |at| self.nodes.get(at).and_then(Node::lone_key);
            let fan = self.children(parent).map(|(at, byte)| (byte, at, lone(at))).collect();
            if let Some(node) = self.nodes.get_mut(parent) {
                node.wide.get_or_insert_default().fan = Some(fan);
            }
        }
    }

    fn detach(&mut self, parent: u32, at: u32) {
        let Some((byte, next)) = self.nodes.get(at).map(|node| (node.label.byte(), node.sibling)) else {
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
        if fan.len() <= LIST_MAX / 2
            && let Some(node) = self.nodes.get_mut(parent)
        {
            node.wide.get_or_insert_default().fan = None;
            node.narrow();
        }
    }

    /// Has the parent of `at`, or the sibling before it, name `to` instead of the child with that first byte.
    fn relink(&mut self, at: u32, to: u32) {
        let Some(node) = self.nodes.get(at) else { return };
        let (parent, byte, lone) = (self.parent(at), node.label.byte(), node.lone_key());
        if let Some(link) = self.link(parent, byte) {
            *link = to;
        }
        if let Some(fan) = self.fan_mut(parent) {
            fan.set(byte, to, lone);
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
        self.nodes.get_mut(at)?.wide.as_mut()?.fan.as_mut()
    }

    /// In the order of their bytes.
    pub(super) fn children(&self, parent: u32) -> impl Iterator<Item = (u32, u8)> {
        let mut at = self.nodes.get(parent).map_or(NIL, |node| node.child);
        iter::from_fn(move || {
            let child = self.nodes.get(at)?;
            Some((mem::replace(&mut at, child.sibling), child.label.byte()))
        })
    }

    fn parent(&self, at: u32) -> u32 {
        self.links.get(at).map_or(NIL, |links| links.parent)
    }

    fn set_parent(&mut self, at: u32, parent: u32) {
        if let Some(links) = self.links.get_mut(at) {
            links.parent = parent;
        }
    }
}

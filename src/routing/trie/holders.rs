//! Who holds what: the keys of a node, and the nodes of a key.
//!
//! All that a key holds is one list through the nodes, so that a key which leaves costs what it held.

use super::node::{Holder, Neighbours};
use super::{Inserted, NIL, Removed, Trie};

impl<K: Copy + Ord> Trie<K> {
    pub(super) fn hold(&mut self, at: u32, key: K) -> Inserted {
        if self.held(at, key).is_some() {
            return Inserted::Already;
        }
        let next = self.newest.get(&key).copied().unwrap_or(NIL);
        let held = Neighbours { prev: NIL, next };
        let (Some(node), Some(links)) = (self.nodes.get_mut(at), self.links.get_mut(at)) else {
            return Inserted::Already;
        };
        let inserted = if node.key.is_none() {
            node.key = Some(key);
            links.held = held;
            self.topics += 1;
            Inserted::First
        } else {
            let wide = node.wide.get_or_insert_default();
            let (Ok(place) | Err(place)) = wide.find(&key);
            wide.holders.insert(place, Holder { key, held });
            Inserted::New
        };
        self.join(key, NIL, at);
        self.join(key, at, next);
        inserted
    }

    pub(super) fn release(&mut self, at: u32, key: K) -> Removed {
        let Some(&mut Neighbours { prev, next }) = self.held(at, key) else {
            return Removed::NotHeld;
        };
        self.join(key, prev, next);
        let (Some(node), Some(links)) = (self.nodes.get_mut(at), self.links.get_mut(at)) else {
            return Removed::NotHeld;
        };
        let wide = node.wide.as_mut();
        if node.key == Some(key) {
            let other = wide.and_then(|wide| wide.holders.pop());
            node.key = other.map(|holder| holder.key);
            links.held = other.map_or(links.held, |holder| holder.held);
        } else if let Some(wide) = wide
            && let Ok(place) = wide.find(&key)
        {
            wide.holders.remove(place);
        }
        let held = node.key.is_some();
        node.narrow();
        if held {
            return Removed::Held;
        }
        self.topics -= 1;
        Removed::Last
    }

    /// Makes two nodes neighbours in the list of what `key` holds; `NIL` is either end.
    pub(super) fn join(&mut self, key: K, prev: u32, next: u32) {
        if let Some(held) = self.held(prev, key) {
            held.next = next;
        } else if next != NIL {
            self.newest.insert(key, next);
        } else {
            self.newest.remove(&key);
        }
        if let Some(held) = self.held(next, key) {
            held.prev = prev;
        }
    }

    /// The keys of a node, one after the other.
    pub(super) fn holder(&self, at: u32, place: usize) -> Option<Holder<K>> {
        let node = self.nodes.get(at)?;
        match place.checked_sub(1) {
            None => Some(Holder { key: node.key?, held: self.links.get(at)?.held }),
            Some(place) => node.wide.as_ref()?.holders.get(place).copied(),
        }
    }

    /// Where a node is among those of one of its keys.
    fn held(&mut self, at: u32, key: K) -> Option<&mut Neighbours> {
        let node = self.nodes.get_mut(at)?;
        if node.key == Some(key) {
            return self.links.get_mut(at).map(|links| &mut links.held);
        }
        let wide = node.wide.as_mut()?;
        let place = wide.find(&key).ok()?;
        wide.holders.get_mut(place).map(|holder| &mut holder.held)
    }
}

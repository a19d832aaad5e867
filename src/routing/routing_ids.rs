//! Addressing by routing id, with generations: an id names one connection, not whoever has the
//! name today, so a reply never reaches a newcomer that took the name of its predecessor (D26).

use std::collections::HashMap;

use slotmap::SecondaryMap;

use super::PeerKey;
use crate::message::Frame;

/// Routing id to peer. The keys are chosen by peers, hence std's keyed hash.
#[derive(Debug)]
pub(crate) struct RoutingIds {
    peers: HashMap<Frame, PeerKey>,
    names: SecondaryMap<PeerKey, Frame>,
    next: u32,
}

/// The id is in use by this peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken(pub(crate) PeerKey);

impl RoutingIds {
    /// `seed` starts the counter of generated ids; random, so that ids differ between runs (B4.3).
    pub(crate) fn new(seed: u32) -> Self {
        Self { peers: HashMap::new(), names: SecondaryMap::new(), next: seed }
    }

    /// Gives `key` the id it asks for, or a generated one where it asks for none.
    pub(crate) fn insert(&mut self, wanted: &[u8], key: PeerKey) -> Result<Frame, Taken> {
        let id = if wanted.is_empty() { self.generate() } else { Frame::copy_from_slice(wanted) };
        if let Some(&holder) = self.peers.get(&id) {
            return Err(Taken(holder));
        }
        self.peers.insert(id.clone(), key);
        self.names.insert(key, id.clone());
        Ok(id)
    }

    /// The peer that has this id now.
    pub(crate) fn get(&self, id: &[u8]) -> Option<PeerKey> {
        self.peers.get(id).copied()
    }

    /// Whether the peer has an id.
    pub(crate) fn contains(&self, key: PeerKey) -> bool {
        self.names.contains_key(key)
    }

    /// The peer is gone: its id is free.
    pub(crate) fn remove(&mut self, key: PeerKey) {
        if let Some(id) = self.names.remove(key) {
            self.peers.remove(&id);
        }
    }

    /// 5 bytes, the first zero, which no application may choose (B4.3).
    fn generate(&mut self) -> Frame {
        loop {
            self.next = self.next.wrapping_add(1);
            let [a, b, c, d] = self.next.to_be_bytes();
            let id = Frame::copy_from_slice(&[0, a, b, c, d]);
            if !self.peers.contains_key(&id) {
                return id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use slotmap::SlotMap;

    use super::*;

    #[test]
    fn b4_3_generated_ids_are_five_bytes_and_start_with_zero() {
        let mut peers = SlotMap::<PeerKey, ()>::with_key();
        let mut ids = RoutingIds::new(u32::MAX);
        let first = ids.insert(b"", peers.insert(())).unwrap();
        let second = ids.insert(b"", peers.insert(())).unwrap();
        assert_eq!((first, second), (Frame::from(&[0, 0, 0, 0, 0]), Frame::from(&[0, 0, 0, 0, 1])));
    }

    #[test]
    fn d25_a_name_in_use_is_refused_and_free_once_its_holder_is_gone() {
        let mut peers = SlotMap::<PeerKey, ()>::with_key();
        let [victim, thief] = std::array::from_fn(|_| peers.insert(()));
        let mut ids = RoutingIds::new(0);
        ids.insert(b"name", victim).unwrap();
        assert_eq!(ids.insert(b"name", thief), Err(Taken(victim)));
        ids.remove(thief);
        assert_eq!(ids.get(b"name"), Some(victim));
        ids.remove(victim);
        assert_eq!(ids.insert(b"name", thief).unwrap(), "name");
    }
}

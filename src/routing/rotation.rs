//! Taking turns: a fair queue over peers that have messages, a load balance over peers that have
//! room. Both are the same ring seen from two sides, and both advance per message (B0.4).

use std::collections::VecDeque;

use super::PeerKey;

/// The peers that can take a turn, the next one in front.
#[derive(Debug, Default)]
pub(crate) struct Rotation {
    ring: VecDeque<PeerKey>,
}

impl Rotation {
    /// A peer has become able to take a turn; it is served last. The caller adds no peer twice.
    #[inline]
    pub(crate) fn add(&mut self, key: PeerKey) {
        self.ring.push_back(key);
    }

    /// Whose turn it is.
    #[inline]
    pub(crate) fn current(&self) -> Option<PeerKey> {
        self.ring.front().copied()
    }

    /// The turn has been taken: on to the next peer.
    #[inline]
    pub(crate) fn advance(&mut self) {
        if self.ring.len() > 1 {
            self.ring.rotate_left(1);
        }
    }

    /// The current peer can take no more turns for now.
    #[inline]
    pub(crate) fn drop_current(&mut self) {
        self.ring.pop_front();
    }

    pub(crate) fn remove(&mut self, key: PeerKey) {
        self.ring.retain(|&other| other != key);
    }

    /// All that can take a turn, the next one first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = PeerKey> {
        self.ring.iter().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }
}

#[cfg(test)]
mod tests {
    use slotmap::SlotMap;

    use super::*;

    #[test]
    fn b0_4_every_able_peer_has_one_turn_before_any_has_two() {
        let mut peers = SlotMap::<PeerKey, ()>::with_key();
        let keys: Vec<_> = (0..5).map(|_| peers.insert(())).collect();
        let mut rotation = Rotation::default();
        keys.iter().for_each(|&key| rotation.add(key));
        let mut turns = Vec::new();
        for _ in 0..10 {
            turns.extend(rotation.current());
            rotation.advance();
        }
        assert_eq!(turns, [&keys[..], &keys[..]].concat());
    }

    #[test]
    fn b0_5_a_peer_that_drops_out_is_skipped_and_rejoins_last() {
        let mut peers = SlotMap::<PeerKey, ()>::with_key();
        let [a, b, c] = std::array::from_fn(|_| peers.insert(()));
        let mut rotation = Rotation::default();
        [a, b, c].into_iter().for_each(|key| rotation.add(key));
        rotation.drop_current();
        rotation.remove(c);
        rotation.advance();
        assert_eq!(rotation.current(), Some(b));
        rotation.add(a);
        rotation.advance();
        assert_eq!(rotation.current(), Some(a));
    }
}

//! What the tree is made of: a node, and what only some nodes need.

use thin_vec::ThinVec;

use super::NIL;
use super::labels::Label;

/// What a match reads.
#[derive(Debug)]
pub(super) struct Node<K> {
    /// One of those that hold this topic; the others are in the wide.
    pub(super) key: Option<K>,
    pub(super) child: u32,
    pub(super) sibling: u32,
    pub(super) label: Label,
    pub(super) wide: Option<Box<Wide<K>>>,
}

/// What only changes need of a node. Beside it, so that a match finds more nodes in the processor's cache.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) parent: u32,
    /// Of its first key.
    pub(super) held: Neighbours,
}

/// The topics before and after one in the list of all that a key holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Neighbours {
    pub(super) prev: u32,
    pub(super) next: u32,
}

impl<K: Copy> Node<K> {
    /// Its key, if it has nothing else: one byte, no other key, no children.
    pub(super) fn lone_key(&self) -> Option<K> {
        self.key.filter(|_| self.label.len == 1 && self.child == NIL && self.wide.is_none())
    }
}

impl<K> Node<K> {
    #[inline]
    pub(super) fn fan(&self) -> Option<&Fan<K>> {
        self.wide.as_ref()?.fan.as_ref()
    }

    /// Gives back what is no longer needed of its wide, perhaps all of it.
    pub(super) fn narrow(&mut self) {
        let Some(wide) = &mut self.wide else { return };
        if wide.holders.is_empty() && wide.fan.is_none() {
            self.wide = None;
        } else if wide.holders.capacity() / 4 > wide.holders.len() {
            wide.holders.shrink_to_fit();
        }
    }
}

impl<K> Default for Node<K> {
    fn default() -> Self {
        Self { key: None, child: NIL, sibling: NIL, label: Label::default(), wide: None }
    }
}

/// A further key of a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder<K> {
    pub(super) key: K,
    pub(super) held: Neighbours,
}

/// What few nodes need.
#[derive(Debug)]
pub(super) struct Wide<K> {
    /// Sorted by key.
    pub(super) holders: ThinVec<Holder<K>>,
    /// An index of the children when they are many. The list of siblings stays.
    pub(super) fan: Option<Fan<K>>,
}

impl<K> Default for Wide<K> {
    fn default() -> Self {
        Self { holders: ThinVec::new(), fan: None }
    }
}

impl<K: Ord> Wide<K> {
    /// Where a key is, or would be.
    pub(super) fn find(&self, key: &K) -> Result<usize, usize> {
        self.holders.binary_search_by(|holder| holder.key.cmp(key))
    }
}

/// Children by their first byte: 256 bits, one for each byte, and the children in order. A child's place is the number
/// of bits before its own.
#[derive(Debug)]
pub(super) struct Fan<K> {
    bits: [u64; 4],
    kids: ThinVec<u32>,
    /// The keys of the children of which there is no more than a byte and a key; empty where none is so. A match need
    /// not look at these, each of them a cache miss where topics are many (100,000 held by 8 peers: 230 ns of CPU
    /// a publish instead of 430).
    lone: ThinVec<Option<K>>,
}

impl<K: Copy> Fan<K> {
    pub(super) fn len(&self) -> usize {
        self.kids.len()
    }

    /// Where the child of `byte` is, or would be.
    #[inline]
    pub(super) fn find(&self, byte: u8) -> Result<usize, usize> {
        let (word, bit) = (usize::from(byte / 64), 1_u64 << (byte % 64));
        let bits = self.bits.get(word).copied().unwrap_or_default();
        let before: u32 = self.bits.iter().take(word).map(|bits| bits.count_ones()).sum();
        let place = (before + (bits & (bit - 1)).count_ones()) as usize;
        if bits & bit == 0 { Err(place) } else { Ok(place) }
    }

    #[inline]
    pub(super) fn kid(&self, place: usize) -> Option<u32> {
        self.kids.get(place).copied()
    }

    /// The key of a child that is not worth a look.
    #[inline]
    pub(super) fn lone(&self, place: usize) -> Option<K> {
        self.lone.get(place).copied().flatten()
    }

    /// The last child whose byte is below this one.
    pub(super) fn before(&self, byte: u8) -> Option<u32> {
        let (Ok(place) | Err(place)) = self.find(byte);
        self.kid(place.checked_sub(1)?)
    }

    /// Adds a child, or says anew where it is and what its lone key is.
    pub(super) fn set(&mut self, byte: u8, kid: u32, lone: Option<K>) {
        let place = match self.find(byte) {
            Ok(place) => place,
            Err(place) => {
                insert(&mut self.kids, place, kid);
                if !self.lone.is_empty() {
                    insert(&mut self.lone, place, None);
                }
                self.flip(byte);
                place
            }
        };
        if lone.is_some() && self.lone.is_empty() {
            self.lone = self.kids.iter().map(|_| None).collect();
        }
        if let Some(old) = self.kids.get_mut(place) {
            *old = kid;
        }
        if let Some(old) = self.lone.get_mut(place) {
            *old = lone;
        }
    }

    pub(super) fn remove(&mut self, byte: u8) {
        if let Ok(place) = self.find(byte) {
            self.kids.remove(place);
            if !self.lone.is_empty() {
                self.lone.remove(place);
            }
            self.flip(byte);
        }
    }

    fn flip(&mut self, byte: u8) {
        if let Some(bits) = self.bits.get_mut(usize::from(byte / 64)) {
            *bits ^= 1 << (byte % 64);
        }
    }
}

/// Grows by an eighth: doubling would cost a flood of subscriptions up to twice its memory.
fn insert<T>(items: &mut ThinVec<T>, place: usize, item: T) {
    if items.len() == items.capacity() {
        items.reserve_exact(items.len() / 8 + 4);
    }
    items.insert(place, item);
}

impl<K: Copy> FromIterator<(u8, u32, Option<K>)> for Fan<K> {
    fn from_iter<I: IntoIterator<Item = (u8, u32, Option<K>)>>(children: I) -> Self {
        let mut fan = Self { bits: [0; 4], kids: ThinVec::new(), lone: ThinVec::new() };
        for (byte, kid, lone) in children {
            fan.set(byte, kid, lone);
        }
        fan
    }
}

//! What the tree is made of: a node, and what only some nodes need.

use super::NIL;
use super::slab::reserve;

#[derive(Debug)]
pub(super) struct Node<K> {
    /// Where the label begins in `labels`.
    pub(super) off: usize,
    /// One of the keys that hold this topic; the others are in the wide.
    pub(super) key: Option<K>,
    pub(super) child: u32,
    pub(super) sibling: u32,
    pub(super) wide: u32,
    pub(super) len: u8,
    /// The first of the label, to find a child without a look at `labels`.
    pub(super) byte: u8,
}

impl<K> Default for Node<K> {
    fn default() -> Self {
        Self { off: 0, key: None, child: NIL, sibling: NIL, wide: NIL, len: 0, byte: 0 }
    }
}

/// What few nodes need.
#[derive(Debug)]
pub(super) struct Wide<K> {
    /// Sorted.
    pub(super) keys: Vec<K>,
    /// An index of the children when they are many. The list of siblings stays, and is what a walk
    /// follows.
    pub(super) fan: Option<Box<Fan>>,
}

impl<K> Default for Wide<K> {
    fn default() -> Self {
        Self { keys: Vec::new(), fan: None }
    }
}

/// Children by their first byte: a bit for each byte, and the children in order. A child is found
/// by the number of bits before its own.
#[derive(Debug, Default)]
pub(super) struct Fan {
    bits: [u64; 4],
    /// The bits set in the words before each word.
    before: [u8; 4],
    children: Vec<u32>,
}

impl Fan {
    pub(super) fn len(&self) -> usize {
        self.children.len()
    }

    #[inline]
    pub(super) fn get(&self, byte: u8) -> Option<u32> {
        let (place, held) = self.place(byte);
        if held { self.children.get(place).copied() } else { None }
    }

    /// The last child whose byte is below this one.
    pub(super) fn before(&self, byte: u8) -> Option<u32> {
        let place = self.place(byte).0.checked_sub(1)?;
        self.children.get(place).copied()
    }

    pub(super) fn insert(&mut self, byte: u8, child: u32) {
        let (place, held) = self.place(byte);
        if !held {
            reserve(&mut self.children, 1);
            self.children.insert(place, child);
            self.flip(byte);
        }
    }

    pub(super) fn remove(&mut self, byte: u8) {
        let (place, held) = self.place(byte);
        if held {
            self.children.remove(place);
            self.flip(byte);
        }
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut u32> {
        self.children.iter_mut()
    }

    /// How many children come before `byte`, and whether it has one itself.
    #[inline]
    fn place(&self, byte: u8) -> (usize, bool) {
        let (word, bit) = (usize::from(byte / 64), 1_u64 << (byte % 64));
        let bits = self.bits.get(word).copied().unwrap_or_default();
        let before = self.before.get(word).copied().unwrap_or_default();
        let place = usize::from(before) + (bits & (bit - 1)).count_ones() as usize;
        (place, bits & bit != 0)
    }

    fn flip(&mut self, byte: u8) {
        let mut before = 0;
        for ((bits, count), word) in self.bits.iter_mut().zip(&mut self.before).zip(0..) {
            if word == byte / 64 {
                *bits ^= 1 << (byte % 64);
            }
            *count = before;
            before = before.wrapping_add(bits.count_ones() as u8);
        }
    }
}

impl FromIterator<(u8, u32)> for Fan {
    fn from_iter<I: IntoIterator<Item = (u8, u32)>>(children: I) -> Self {
        let mut fan = Self::default();
        for (byte, child) in children {
            fan.insert(byte, child);
        }
        fan
    }
}

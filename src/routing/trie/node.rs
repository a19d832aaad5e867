//! What the tree is made of: a node, and what only some nodes need.

use thin_vec::ThinVec;

use super::NIL;

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
    pub(super) fan: Option<Fan>,
}

impl<K> Default for Wide<K> {
    fn default() -> Self {
        Self { keys: Vec::new(), fan: None }
    }
}

/// Children by their first byte: 256 bits, one for each byte, and behind them the children in order. A child is found
/// by the number of bits before its own. In one piece, because with many topics each piece is a cache miss.
#[derive(Debug)]
pub(super) struct Fan(ThinVec<u32>);

/// Words of 32 bits.
const BITS: usize = 8;

impl Default for Fan {
    fn default() -> Self {
        Self(std::iter::repeat_n(0, BITS).collect())
    }
}

impl Fan {
    pub(super) fn len(&self) -> usize {
        self.0.len().saturating_sub(BITS)
    }

    #[inline]
    pub(super) fn get(&self, byte: u8) -> Option<u32> {
        let (place, held) = self.place(byte);
        if held { self.0.get(place).copied() } else { None }
    }

    /// The last child whose byte is below this one.
    pub(super) fn before(&self, byte: u8) -> Option<u32> {
        let place = self.place(byte).0.checked_sub(1).filter(|&place| place >= BITS)?;
        self.0.get(place).copied()
    }

    pub(super) fn insert(&mut self, byte: u8, child: u32) {
        let (place, held) = self.place(byte);
        if !held {
            if self.0.len() == self.0.capacity() {
                // As the slabs grow: doubling would cost a flood of subscriptions up to twice its memory.
                self.0.reserve_exact(self.len() / 8 + 4);
            }
            self.0.insert(place, child);
            self.flip(byte);
        }
    }

    pub(super) fn remove(&mut self, byte: u8) {
        let (place, held) = self.place(byte);
        if held {
            self.0.remove(place);
            self.flip(byte);
        }
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut u32> {
        self.0.iter_mut().skip(BITS)
    }

    /// Where the child of `byte` is or would be, and whether it is there.
    #[inline]
    fn place(&self, byte: u8) -> (usize, bool) {
        let (word, bit) = (usize::from(byte / 32), 1_u32 << (byte % 32));
        let words = self.0.get(..BITS).unwrap_or_default();
        let bits = words.get(word).copied().unwrap_or_default();
        let before: u32 = words.iter().take(word).map(|bits| bits.count_ones()).sum();
        (BITS + (before + (bits & (bit - 1)).count_ones()) as usize, bits & bit != 0)
    }

    fn flip(&mut self, byte: u8) {
        if let Some(bits) = self.0.get_mut(usize::from(byte / 32)) {
            *bits ^= 1 << (byte % 32);
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

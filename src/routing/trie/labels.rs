//! The bytes of all edges.
//!
//! A short label is in its node. Longer ones are in chunks: growing copies no more than one. A chunk is freed with its
//! last label. One that is left with few labels keeps the rest for nothing, so these are moved together, a few each time
//! that something is freed (`Trie::sweep`).

use super::NIL;

/// Bytes in a chunk: a place in it is a `u16`.
const CHUNK: usize = if cfg!(test) { 512 } else { 1 << 16 };
/// The longest, so that its length is one byte.
pub(super) const LABEL_MAX: usize = 255;
/// The longest that is in its node.
const SHORT: usize = 7;
/// Waste below this is not worth a look; in a test all is.
const SLACK: usize = if cfg!(test) { 2 } else { 64 };

/// A label, or where it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Label {
    pub(super) len: u8,
    /// All of it if it is short; else the first byte, the chunk, and the place in it.
    bytes: [u8; SHORT],
}

impl Label {
    fn short(bytes: &[u8]) -> Self {
        let mut label = Self { len: u8::try_from(bytes.len()).unwrap_or(u8::MAX), ..Self::default() };
        label.bytes.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        label
    }

    fn long(byte: u8, len: usize, chunk: u32, start: usize) -> Self {
        let (len, start) = (u8::try_from(len).unwrap_or(u8::MAX), u16::try_from(start).unwrap_or(u16::MAX));
        let ([a, b, c, d], [e, f]) = (chunk.to_le_bytes(), start.to_le_bytes());
        Self { len, bytes: [byte, a, b, c, d, e, f] }
    }

    /// The first, by which a child is found.
    #[inline]
    pub(super) const fn byte(&self) -> u8 {
        self.bytes[0]
    }

    /// All of it as one number, the length lowest.
    #[inline]
    const fn word(&self) -> u64 {
        let [a, b, c, d, e, f, g] = self.bytes;
        u64::from_le_bytes([self.len, a, b, c, d, e, f, g])
    }

    /// The chunk of a long one, and the place in it.
    #[inline]
    fn place(&self) -> Option<(u32, usize)> {
        let [_, a, b, c, d, e, f] = self.bytes;
        let place = (u32::from_le_bytes([a, b, c, d]), u16::from_le_bytes([e, f]).into());
        (usize::from(self.len) > SHORT).then_some(place)
    }
}

#[derive(Debug)]
pub(super) struct Labels {
    chunks: Vec<Chunk>,
    /// Chunks without a label.
    free: Vec<u32>,
    /// The chunk that new labels go to.
    current: u32,
    /// Bytes in all chunks, and those of them that are in a label.
    len: usize,
    live: usize,
}

#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    live: usize,
}

impl Default for Labels {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), current: NIL, len: 0, live: 0 }
    }
}

impl Labels {
    #[inline]
    pub(super) fn get<'a>(&'a self, label: &'a Label) -> &'a [u8] {
        let len = usize::from(label.len);
        let bytes = match label.place() {
            None => label.bytes.get(..len),
            Some((chunk, start)) => {
                self.chunks.get(chunk as usize).and_then(|chunk| chunk.bytes.get(start..start + len))
            }
        };
        bytes.unwrap_or_default()
    }

    /// What follows a label in a topic that begins with it; its first byte is known to be the same.
    #[inline]
    pub(super) fn strip<'a>(&self, label: &Label, topic: &'a [u8]) -> Option<&'a [u8]> {
        let len = usize::from(label.len);
        // Often there is nothing to compare, and comparing nothing with memory that is not there can cost a processor
        // hundreds of cycles.
        if len <= 1 {
            return topic.get(len..);
        }
        // A short one is compared without a call, where so much of the topic can be read at once.
        if let (true, Some(start)) = (len <= SHORT, topic.first_chunk()) {
            let differing = u64::from_le_bytes(*start) ^ (label.word() >> 8);
            return if differing << (64 - 8 * len) == 0 { topic.get(len..) } else { None };
        }
        topic.strip_prefix(self.get(label))
    }

    /// Keeps a new label, of 255 bytes at most.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Label {
        let byte = match bytes {
            [byte, ..] if bytes.len() > SHORT => *byte,
            _ => return Label::short(bytes),
        };
        let room = |chunk: &Chunk| chunk.bytes.len() + bytes.len() <= CHUNK;
        if !self.chunks.get(self.current as usize).is_some_and(room) {
            self.open();
        }
        let Some(chunk) = self.chunks.get_mut(self.current as usize) else { return Label::default() };
        let label = Label::long(byte, bytes.len(), self.current, chunk.bytes.len());
        chunk.bytes.extend_from_slice(bytes);
        chunk.live += bytes.len();
        self.len += bytes.len();
        self.live += bytes.len();
        label
    }

    /// Has new labels go to another chunk.
    fn open(&mut self) {
        let chunk = Chunk { bytes: Vec::with_capacity(self.live.min(CHUNK)), live: 0 };
        let end = u32::try_from(self.chunks.len()).unwrap_or(NIL);
        self.current = self.free.pop().unwrap_or(end);
        match self.chunks.get_mut(self.current as usize) {
            Some(old) => *old = chunk,
            None => self.chunks.push(chunk),
        }
    }

    pub(super) fn free(&mut self, label: Label) {
        if let Some((chunk, _)) = label.place() {
            self.give_back(chunk, label.len.into());
        }
    }

    /// So many bytes of a chunk are in a label no more.
    fn give_back(&mut self, at: u32, bytes: usize) {
        let Some(chunk) = self.chunks.get_mut(at as usize) else { return };
        chunk.live = chunk.live.saturating_sub(bytes);
        self.live = self.live.saturating_sub(bytes);
        if chunk.live == 0 {
            self.len = self.len.saturating_sub(chunk.bytes.len());
            *chunk = Chunk::default();
            if at != self.current {
                self.free.push(at);
            }
        }
        if self.live == 0 {
            *self = Self::default();
        }
    }

    /// Cuts a label in two. What stays long lies where it lay.
    pub(super) fn split(&mut self, label: Label, at: usize) -> (Label, Label) {
        (self.part(label, 0, at), self.part(label, at, label.len.into()))
    }

    fn part(&mut self, label: Label, from: usize, to: usize) -> Label {
        let bytes = self.get(&label).get(from..to).unwrap_or_default();
        match (label.place(), bytes) {
            (Some((chunk, start)), [byte, ..]) if bytes.len() > SHORT => {
                Label::long(*byte, bytes.len(), chunk, start + from)
            }
            (place, bytes) => {
                let (part, len) = (Label::short(bytes), bytes.len());
                place.into_iter().for_each(|(chunk, _)| self.give_back(chunk, len));
                part
            }
        }
    }

    /// Makes two labels one, where the result is not too long.
    pub(super) fn join(&mut self, top: Label, low: Label) -> Label {
        let joined = [self.get(&top), self.get(&low)].concat();
        let joined = self.put(&joined);
        self.free(top);
        self.free(low);
        joined
    }

    /// Whether so much is in no label that it is worth moving some.
    pub(super) fn are_sparse(&self) -> bool {
        self.len - self.live > self.len / 2 + SLACK
    }

    /// Moves a label out of a chunk that is used by less than half.
    pub(super) fn renew(&mut self, label: &mut Label) {
        let Some((at, _)) = label.place() else { return };
        if self.chunks.get(at as usize).is_some_and(|chunk| chunk.live < chunk.bytes.len() / 2) {
            if at == self.current {
                self.open();
            }
            let bytes = self.get(label).to_vec();
            let old = std::mem::replace(label, self.put(&bytes));
            self.free(old);
        }
    }
}

#[cfg(test)]
impl Labels {
    /// Every byte is in one of these labels, or known to be in none.
    pub(super) fn check(&self, labels: &[Label]) {
        let long = labels.iter().filter(|label| label.place().is_some());
        assert_eq!(self.live, long.map(|label| usize::from(label.len)).sum::<usize>());
        assert_eq!(self.live, self.chunks.iter().map(|chunk| chunk.live).sum::<usize>());
        assert_eq!(self.len, self.chunks.iter().map(|chunk| chunk.bytes.len()).sum::<usize>());
        let empty = self.chunks.iter().filter(|chunk| chunk.live == 0).count();
        let current = self.chunks.get(self.current as usize);
        assert_eq!(empty, self.free.len() + usize::from(current.is_some_and(|chunk| chunk.live == 0)));
    }

    pub(super) fn capacity(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.bytes.capacity()).sum()
    }
}

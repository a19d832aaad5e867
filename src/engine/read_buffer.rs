//! What a connection reads into: memory that is used again once its messages are gone.
//!
//! Messages are slices of the buffer that they came in, so a buffer is free when its last message is. Fresh memory
//! from the operating system costs more than what is read into it: a fault for each page.

use bytes::BytesMut;

/// The smallest and the largest read. It starts small, so that an idle peer costs little, and
/// doubles when a read fills it.
const READ_MIN: usize = 2 * 1024;
const READ_MAX: usize = 128 * 1024;
/// Memory for a message is reserved at once only up to this, and only if one as large has come before (D7).
const TRUSTED_MAX: usize = 1 << 20;
/// Buffers kept to be used again: how many, and of how many bytes together.
const SPENT: usize = 16;
const SPENT_BYTES: usize = 2 << 20;

#[derive(Debug)]
pub(super) struct ReadBuffer {
    /// Read and not yet decoded.
    pub(super) input: BytesMut,
    /// Empty handles to buffers of which messages may still be held, with their sizes; the newest last.
    spent: Vec<(BytesMut, usize)>,
    /// Of the buffer that `input` is the end of.
    size: usize,
    read_size: usize,
    /// The most that a message has needed.
    largest: usize,
}

impl ReadBuffer {
    pub(super) fn new(input: BytesMut) -> Self {
        let size = input.capacity();
        Self { input, spent: Vec::new(), size, read_size: READ_MIN, largest: 0 }
    }

    /// Makes room for the next read, for a message of which `needed` bytes are lacking; says how much there is. It is
    /// never more than has been received already, whatever size the wire claims (D7).
    pub(super) fn make_room(&mut self, needed: usize) -> usize {
        let spare = self.input.capacity() - self.input.len();
        let wanted = if needed > self.read_size {
            let trusted = self.input.len().max(self.read_size).max(self.largest.min(TRUSTED_MAX));
            self.largest = self.largest.max(self.input.len());
            needed.min(trusted)
        } else {
            self.read_size
        };
        if spare < needed.min(wanted) || spare < self.read_size / 2 {
            self.replace(self.input.len() + wanted);
        }
        wanted.min(self.input.capacity() - self.input.len())
    }

    /// Goes on in another buffer, of at least `size` bytes, and takes along what is not decoded.
    fn replace(&mut self, size: usize) {
        let free = self.spent.iter_mut().rposition(|(spent, _)| spent.try_reclaim(size));
        let (mut input, size) = match free {
            Some(at) => self.spent.remove(at),
            None => (BytesMut::with_capacity(size), size),
        };
        input.extend_from_slice(&self.input);
        self.input.clear();
        let old = std::mem::replace(&mut self.input, input);
        let old_size = std::mem::replace(&mut self.size, size);
        self.spent.push((old, old_size));
        while self.spent.len() > SPENT || self.spent.iter().map(|(_, size)| size).sum::<usize>() > SPENT_BYTES
        {
            self.spent.remove(0);
        }
    }

    /// Larger reads while they are filled, smaller ones when they are mostly empty.
    pub(super) fn adapt(&mut self, count: usize, room: usize) {
        if count == room {
            self.read_size = (self.read_size * 2).min(READ_MAX);
        } else if count < self.read_size / 8 {
            self.read_size = (self.read_size / 2).max(READ_MIN);
        }
    }

    /// Gives up all that is not in use.
    pub(super) fn shrink(&mut self) {
        self.spent = Vec::new();
        self.read_size = READ_MIN;
        if self.input.is_empty() {
            self.input = BytesMut::new();
            self.size = 0;
        }
    }
}

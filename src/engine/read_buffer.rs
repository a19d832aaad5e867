//! What a connection reads into: a little buffer of its own, and while more comes, one that the thread's connections
//! share.

use std::time::Duration;

use bytes::BytesMut;
use tokio::time::Instant;

use super::spent;

/// The smallest and the largest read. It starts small, so that an idle peer costs little, and
/// doubles when a read fills it.
const READ_MIN: usize = 2 * 1024;
const READ_MAX: usize = 128 * 1024;
/// Bytes of a shared buffer.
const SHARED: usize = READ_MAX;
/// So much of a message taken along would leave too little room in a shared buffer: each read would end in the middle
/// of the next message, which is copied, too (64 KiB over ipc: 10 us of CPU a message instead of 7).
const LARGE: usize = SHARED / 16;
/// Memory for a message is reserved at once only up to this, and only if one as large has come before (D7).
const TRUSTED_MAX: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct ReadBuffer {
    /// Read and not yet decoded.
    pub(super) input: BytesMut,
    /// Of the buffer that `input` is the end of; 0 if that is small, and not to be shared.
    size: usize,
    read_size: usize,
    /// The most that a message has needed.
    largest: usize,
    /// Nothing has been read into it.
    unused: bool,
}

impl ReadBuffer {
    pub(super) fn new(input: BytesMut) -> Self {
        Self { unused: input.is_empty(), input, size: 0, read_size: READ_MIN, largest: 0 }
    }

    /// Makes room for the next read, for a message of which `needed` bytes are lacking; says how much there is. It is
    /// never more than has been received already, whatever size the wire claims (D7).
    pub(super) fn make_room(&mut self, needed: usize, now: Instant) -> usize {
        let spare = self.input.capacity() - self.input.len();
        let wanted = if needed > self.read_size {
            let trusted = self.input.len().max(self.read_size).max(self.largest.min(TRUSTED_MAX));
            self.largest = self.largest.max(self.input.len());
            needed.min(trusted)
        } else {
            self.read_size
        };
        let least = needed.min(wanted).max(self.read_size / 2);
        if spare < least {
            self.replace(wanted, least, now);
        }
        wanted.min(self.input.capacity() - self.input.len())
    }

    /// Goes on in another buffer, and takes along what is not decoded.
    fn replace(&mut self, wanted: usize, least: usize, now: Instant) {
        let least = self.input.len() + least;
        let (input, size) = if least > SHARED || self.input.len() >= LARGE {
            spent::take(self.input.len() + wanted, least)
        } else if least > READ_MIN {
            spent::take(SHARED, least)
        } else if self.size == 0 && self.input.try_reclaim(READ_MIN - self.input.len()) {
            return;
        } else {
            (BytesMut::with_capacity(READ_MIN), 0)
        };
        self.move_to(input, size, now);
    }

    fn move_to(&mut self, mut input: BytesMut, size: usize, now: Instant) {
        input.extend_from_slice(&self.input);
        self.input.clear();
        let old = std::mem::replace(&mut self.input, input);
        let old_size = std::mem::replace(&mut self.size, size);
        if old_size > 0 {
            spent::put(old, old_size, now);
        }
    }

    /// Leaves a shared buffer to the next connection. What is not decoded moves to memory of its own, of twice the
    /// size, so that a peer keeps no more than that by sending the begin of a message; a large part stays, because it
    /// would be copied twice.
    pub(super) fn rest(&mut self, now: Instant) {
        if self.size == SHARED && self.input.len() < SHARED / 4 {
            self.move_to(BytesMut::with_capacity(2 * self.input.len()), 0, now);
        }
    }

    /// Nothing has come. A peer that has said nothing yet may say nothing for long.
    #[inline]
    pub(super) fn nothing_came(&mut self) {
        if self.unused {
            self.input = BytesMut::new();
        }
    }

    /// Larger reads while they are filled, smaller ones when they are mostly empty.
    pub(super) fn adapt(&mut self, count: usize, room: usize) {
        self.unused = false;
        if count == room {
            self.read_size = (self.read_size * 2).min(READ_MAX);
        } else if count < self.read_size / 8 {
            self.read_size = (self.read_size / 2).max(READ_MIN);
        }
    }

    /// Gives up all that is not in use.
    pub(super) fn shrink(&mut self, idle: Duration) {
        spent::shrink(idle);
        self.read_size = READ_MIN;
        if self.input.is_empty() {
            self.input = BytesMut::new();
            self.size = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `bytes`, as a connection does that is busy.
    fn read(buffer: &mut ReadBuffer, bytes: &[u8]) {
        buffer.read_size = READ_MAX;
        assert!(buffer.make_room(0, Instant::now()) >= bytes.len());
        buffer.input.extend_from_slice(bytes);
    }

    #[test]
    fn connections_read_into_one_buffer_one_after_the_other() {
        let mut connections = [(); 2].map(|()| ReadBuffer::new(BytesMut::new()));
        let mut messages = Vec::new();
        for connection in &mut connections {
            read(connection, &[7; 1000]);
            messages.push(connection.input.split().freeze());
            connection.rest(Instant::now());
            assert_eq!(connection.input.capacity(), 0);
        }
        assert_eq!(messages[1].as_ptr() as usize - messages[0].as_ptr() as usize, 1000);
        let start = messages[0].as_ptr();
        drop(messages);
        read(&mut connections[0], &[7; 1000]);
        assert_eq!(connections[0].input.as_ptr(), start);
    }

    #[test]
    fn d7_the_begin_of_a_message_keeps_twice_its_size() {
        for (begun, kept) in [(10, 20), (SHARED / 4 - 1, SHARED / 2 - 2), (SHARED / 4, SHARED)] {
            let mut connection = ReadBuffer::new(BytesMut::new());
            read(&mut connection, &vec![7; begun]);
            connection.rest(Instant::now());
            assert_eq!((connection.input.len(), connection.input.capacity()), (begun, kept));
        }
    }

    #[test]
    fn much_of_a_message_goes_on_in_a_buffer_with_as_much_room_as_before() {
        let mut connection = ReadBuffer::new(BytesMut::new());
        read(&mut connection, &[7; SHARED / 2 + 1]);
        assert_eq!(connection.make_room(0, Instant::now()), READ_MAX);
        assert_ne!(connection.size, SHARED);
    }

    #[test]
    fn little_is_read_into_memory_that_is_not_shared() {
        let mut connection = ReadBuffer::new(BytesMut::new());
        assert_eq!(connection.make_room(0, Instant::now()), READ_MIN);
        assert_eq!((connection.size, connection.input.capacity()), (0, READ_MIN));
    }
}

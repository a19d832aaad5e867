//! Messages as they came: whole, checked by the decoder, and still in wire form. Opening one is
//! left to its receiver, so that the connection's task pays for a block of messages, not for each.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

use super::frame::Header;
use crate::message::{Frame, Message};

/// A queue of whole messages in wire form. A message may reach across blocks.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Received {
    blocks: VecDeque<Bytes>,
    messages: usize,
    bytes: usize,
    /// Bytes of the first message that have been taken off already.
    skipped: usize,
}

impl Received {
    /// Messages in it.
    pub(crate) const fn len(&self) -> usize {
        self.messages
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// Their size on the wire.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    #[cfg(all(test, sinew_loom))]
    pub(crate) fn of(messages: impl IntoIterator<Item = Message>) -> Self {
        let mut received = Self::default();
        for message in messages {
            let mut wire = Vec::new();
            super::frame::put_header(&mut wire, 0, message.first().len());
            wire.extend_from_slice(message.first());
            received.push(wire.into(), 1);
        }
        received
    }

    /// Adds a block in which `messages` messages end.
    pub(super) fn push(&mut self, block: Bytes, messages: usize) {
        self.bytes = self.bytes.saturating_add(block.len());
        self.messages = self.messages.saturating_add(messages);
        self.blocks.push_back(block);
    }

    /// Moves all of `other` to the end.
    pub(crate) fn append(&mut self, other: &mut Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.messages = self.messages.saturating_add(other.messages);
        self.blocks.append(&mut other.blocks);
        (other.bytes, other.messages) = (0, 0);
    }

    /// Fetches the memory of a small first message, by reading from each of its cache lines.
    pub(crate) fn fetch(&self) {
        let lines = self.blocks.front().map(|block| (block.first(), block.get(64)));
        std::hint::black_box(lines.map(|(first, second)| (first.copied(), second.copied())));
    }

    /// Takes the delimiter off a message of that and one more frame, which is then the first message; says whether it
    /// was one. The two bytes still count as part of it.
    pub(crate) fn skip_delimiter(&mut self) -> bool {
        let Some(block) = self.blocks.front_mut() else { return false };
        let header = |bytes: &[u8]| Header::parse(bytes).ok().flatten();
        let Some(delimiter) = header(block).filter(|header| header.more && header.len == 0) else {
            return false;
        };
        let body = block.get(delimiter.header_len..).and_then(header);
        let lone = body.is_some_and(|body| !body.more);
        if lone {
            block.advance(delimiter.header_len);
            self.skipped = delimiter.header_len;
        }
        lone
    }

    /// Takes the first message out and puts it into `message`; says what its size on the wire was.
    #[inline]
    pub(crate) fn pop(&mut self, message: &mut Message) -> Option<usize> {
        let (more, size) = self.frame(message.start())?;
        self.messages = self.messages.saturating_sub(1);
        let size = size.saturating_add(std::mem::take(&mut self.skipped));
        let size = if more { self.rest(message, size) } else { size };
        self.bytes = self.bytes.saturating_sub(size);
        Some(size)
    }

    #[inline(never)]
    fn rest(&mut self, message: &mut Message, mut size: usize) -> usize {
        let mut frame = Frame::new();
        while let Some((more, bytes)) = self.frame(&mut frame) {
            message.push_back(std::mem::take(&mut frame));
            size = size.saturating_add(bytes);
            if !more {
                break;
            }
        }
        size
    }

    /// Takes the next frame out: small ones by copy, so that they do not hold on to the block that
    /// they came in, larger ones by reference.
    #[inline]
    fn frame(&mut self, frame: &mut Frame) -> Option<(bool, usize)> {
        let block = self.blocks.front_mut()?;
        let header = Header::parse(block).ok()??;
        let from = block.get(header.header_len..)?;
        if !frame.set_inline(from, header.len) {
            *frame = block.slice_ref(from.get(..header.len)?).into();
        }
        if from.len() == header.len {
            self.blocks.pop_front();
        } else {
            block.advance(header.frame_len());
        }
        Some((header.more, header.frame_len()))
    }
}

impl Iterator for Received {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        let mut message = Message::new();
        self.pop(&mut message).map(|_| message)
    }
}

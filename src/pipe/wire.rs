//! The outbound queue *is* the wire format: framed messages back to back, ready to be written.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use super::{Deferred, Level};
use crate::message::Frame;
use crate::proto::frame::{self, Header};

/// From this size on a payload is queued by reference and gathered by `writev`; below it a copy
/// into the buffer is cheaper than an entry of its own.
pub(super) const BY_REFERENCE: usize = 4 * 1024;

/// A spent buffer larger than this is given back to the allocator instead of being reused.
const KEEP: usize = 512 * 1024;

/// Framed messages, of which the front may have been written already.
///
/// Headers always lie in `bytes`, so any holder can walk the buffer message by message: that is
/// how written messages are counted and how whole ones survive a reconnect.
#[derive(Debug, Default)]
pub(crate) struct WireBuf {
    /// Headers and small payloads in order.
    bytes: Vec<u8>,
    /// Up to where `bytes` is consumed.
    pos: usize,
    /// Messages of which the end is not consumed.
    messages: usize,
    /// Large payloads, each with the place in `bytes` where it belongs.
    large: VecDeque<(usize, Bytes)>,
    /// Bytes still to come of the frame at the front; 0 at a frame boundary.
    frame_left: usize,
    /// Whether the frame at the front, or the one just consumed, is followed by another.
    more: bool,
}

impl WireBuf {
    pub(crate) fn is_empty(&self) -> bool {
        self.pos == self.bytes.len() && self.large.is_empty()
    }

    /// Whether payloads lie beside the buffer.
    pub(crate) fn has_large(&self) -> bool {
        !self.large.is_empty()
    }

    /// Bytes of the front frame not yet consumed; 0 at a frame boundary, where commands may go.
    pub(crate) const fn frame_left(&self) -> usize {
        self.frame_left
    }

    /// Bytes that a frame of this payload takes on the wire.
    #[inline]
    pub(crate) const fn wire_size(payload: usize) -> usize {
        payload.saturating_add(if payload > 255 { 9 } else { 2 })
    }

    /// Fetches the memory of the next small message, by writing to each of its cache lines what will be overwritten.
    pub(super) fn fetch(&mut self) {
        let spare = self.bytes.spare_capacity_mut();
        for at in [0, 64] {
            if let Some(byte) = spare.get_mut(at) {
                byte.write(0);
            }
        }
    }

    /// Appends one message.
    #[inline]
    pub(crate) fn push<'a>(&mut self, frames: impl Iterator<Item = &'a Frame>) {
        let mut frames = frames.peekable();
        while let Some(frame) = frames.next() {
            let flags = if frames.peek().is_some() { frame::MORE } else { 0 };
            self.push_frame(flags, frame);
        }
        self.messages += 1;
    }

    #[inline]
    fn push_frame(&mut self, flags: u8, frame: &Frame) {
        let payload: &[u8] = frame;
        // Enough for the header, and for a small payload with what `append_to` cuts off again.
        self.bytes.reserve(payload.len().min(BY_REFERENCE) + 9 + 64);
        frame::put_header(&mut self.bytes, flags, payload.len());
        match frame.shared() {
            Some(shared) if payload.len() >= BY_REFERENCE => {
                self.large.push_back((self.bytes.len(), shared.clone()));
            }
            _ => frame.append_to(&mut self.bytes),
        }
    }

    /// Appends all that `other` still holds.
    pub(crate) fn extend(&mut self, other: &Self) {
        let shift = self.bytes.len();
        self.bytes.extend_from_slice(other.bytes.get(other.pos..).unwrap_or_default());
        self.messages += other.messages;
        for (at, payload) in &other.large {
            self.large.push_back((at - other.pos + shift, payload.clone()));
        }
    }

    /// Drops everything; says how much that was.
    pub(crate) fn drain(&mut self, later: &mut Deferred) -> Level {
        let large: usize = self.large.iter().map(|(_, payload)| payload.len()).sum();
        let (messages, bytes) = (self.messages, self.bytes.len() - self.pos + large);
        self.release(later);
        self.clear();
        Level { messages, bytes }
    }

    /// Has the payloads dropped that lie beside the buffer, which is spent.
    pub(super) fn release(&mut self, later: &mut Deferred) {
        if !self.large.is_empty() {
            later.discard(std::mem::take(&mut self.large));
        }
    }

    /// Gives up the memory of an empty one.
    pub(crate) fn shrink(&mut self) {
        if self.is_empty() && self.frame_left == 0 && !self.more {
            *self = Self::default();
        }
    }

    /// Drops everything and, where it has grown large, its memory.
    pub(crate) fn clear(&mut self) {
        self.pos = 0;
        self.messages = 0;
        self.frame_left = 0;
        self.more = false;
        // Clearing an empty one is a call.
        if !self.large.is_empty() {
            self.large.clear();
        }
        self.bytes.clear();
        if self.bytes.capacity() > KEEP {
            self.bytes = Vec::new();
        }
    }

    /// Fills `slices` with what is to be written next, at most `limit` bytes; says how many slices.
    pub(crate) fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>], limit: usize) -> usize {
        let mut count = 0;
        let mut left = limit;
        let mut at = self.pos;
        let mut large = self.large.iter().peekable();
        for slice in slices.iter_mut() {
            let next = match large.peek() {
                Some((place, payload)) if *place == at => {
                    large.next();
                    payload.as_ref()
                }
                other => {
                    let until = other.map_or(self.bytes.len(), |(place, _)| *place);
                    let run = self.bytes.get(at..until).unwrap_or_default();
                    at = until;
                    run
                }
            };
            let next = next.get(..left.min(next.len())).unwrap_or_default();
            if next.is_empty() {
                break;
            }
            left -= next.len();
            *slice = IoSlice::new(next);
            count += 1;
        }
        count
    }

    /// The frames that are not consumed, each as header and payload; only where the front is at a frame's begin.
    pub(crate) fn frames(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (mut at, mut large) = (self.pos, self.large.iter().peekable());
        std::iter::from_fn(move || {
            let rest = self.bytes.get(at..)?;
            let Header { header_len, len, .. } = Header::parse(rest).ok().flatten()?;
            at += header_len;
            let payload = match large.next_if(|(place, _)| *place == at) {
                Some((_, payload)) => payload.as_ref(),
                None => {
                    at += len;
                    rest.get(header_len..header_len + len)?
                }
            };
            Some((rest.get(..header_len)?, payload))
        })
    }

    /// Consumes `count` bytes from the front; says how many messages ended within them.
    pub(crate) fn advance(&mut self, mut count: usize) -> usize {
        // Nearly always all of it was written, and nobody needs to walk it.
        if self.large.is_empty() && count == self.bytes.len() - self.pos {
            self.pos = self.bytes.len();
            self.frame_left = 0;
            self.more = false;
            return std::mem::take(&mut self.messages);
        }
        let mut messages = 0;
        while count > 0 {
            if self.frame_left == 0 && !self.next_frame() {
                break;
            }
            let step = count.min(self.frame_left);
            self.consume(step);
            count -= step;
            self.frame_left -= step;
            if self.frame_left == 0 && !self.more {
                messages += 1;
            }
        }
        self.messages -= messages;
        messages
    }

    /// Drops what is left of a message whose front has been written: it is never sent again, nor
    /// is its rest (C6.5). Says how many messages (0 or 1) and bytes that cost.
    pub(crate) fn drop_partial(&mut self) -> (usize, usize) {
        let mut bytes = 0;
        let partial = self.frame_left > 0 || self.more;
        while self.frame_left > 0 || (self.more && self.next_frame()) {
            bytes += self.frame_left;
            self.consume(self.frame_left);
            self.frame_left = 0;
        }
        self.more = false;
        self.messages -= usize::from(partial);
        (usize::from(partial), bytes)
    }

    /// Drops the first message, of which nothing is consumed; says how much that was.
    pub(super) fn drop_first(&mut self, later: &mut Deferred) -> Level {
        later.discard(self.large.front().cloned());
        self.next_frame();
        let (messages, bytes) = self.drop_partial();
        Level { messages, bytes }
    }

    /// Reads the header at the front, which we wrote ourselves and which is always whole.
    fn next_frame(&mut self) -> bool {
        match Header::parse(self.bytes.get(self.pos..).unwrap_or_default()) {
            Ok(Some(header)) => {
                self.frame_left = header.header_len + header.len;
                self.more = header.more;
                true
            }
            _ => false,
        }
    }

    fn consume(&mut self, mut count: usize) {
        while count > 0 {
            match self.large.front_mut() {
                Some((at, payload)) if *at == self.pos => {
                    let step = count.min(payload.len());
                    payload.advance(step);
                    count -= step;
                    if payload.is_empty() {
                        self.large.pop_front();
                    }
                }
                other => {
                    let until = other.map_or(self.bytes.len(), |(at, _)| *at);
                    let step = count.min(until - self.pos);
                    if step == 0 {
                        return;
                    }
                    self.pos += step;
                    count -= step;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Message;

    fn messages() -> impl Strategy<Value = Vec<Vec<usize>>> {
        let size =
            prop_oneof![0usize..300, Just(BY_REFERENCE - 1), Just(BY_REFERENCE), Just(BY_REFERENCE * 2)];
        prop::collection::vec(prop::collection::vec(size, 1..4), 0..6)
    }

    fn fill(sizes: &[Vec<usize>]) -> WireBuf {
        let mut wire = WireBuf::default();
        for (i, sizes) in sizes.iter().enumerate() {
            let message: Message = sizes.iter().map(|&size| vec![i as u8; size]).collect();
            wire.push(message.frames());
        }
        wire
    }

    fn contents(wire: &WireBuf) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 64];
        let count = wire.io_slices(&mut slices, usize::MAX);
        slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    proptest! {
        #[test]
        fn any_split_of_the_writes_consumes_the_same_bytes_and_counts_every_message(
            sizes in messages(), steps in prop::collection::vec(1usize..40_000, 1..50),
        ) {
            let mut wire = fill(&sizes);
            let whole = contents(&wire);
            let (mut written, mut ended, mut steps) = (Vec::new(), 0, steps.iter().cycle());
            while !wire.is_empty() {
                let step = *steps.next().unwrap();
                let front = contents(&wire);
                written.extend_from_slice(&front[..step.min(front.len())]);
                ended += wire.advance(step.min(front.len()));
            }
            prop_assert_eq!(written, whole);
            prop_assert_eq!(ended, sizes.len());
        }

        #[test]
        fn c6_5_a_cut_at_any_byte_leaves_whole_unsent_messages_only(sizes in messages(), cut in 0usize..100_000) {
            let mut wire = fill(&sizes);
            let cut = cut.min(contents(&wire).len());
            let sent = wire.advance(cut);
            let (lost, _) = wire.drop_partial();
            let left = sizes.len() - sent - lost;
            prop_assert_eq!(contents(&wire), contents(&fill(&sizes))[contents(&fill(&sizes)).len() - contents(&wire).len()..].to_vec());
            let mut rest = WireBuf::default();
            rest.extend(&wire);
            prop_assert_eq!(contents(&rest), contents(&wire));
            let size = contents(&rest).len();
            prop_assert_eq!(rest.advance(size), left);
        }
    }
}

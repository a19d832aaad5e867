//! What lies between a connection's clear frames and its medium: one that encrypts, or that frames in another way. A
//! plain connection has none, and pays for none.
//!
//! What waits in a pipe is always whole clear frames, because a reconnect has other keys; "written", "put back" and
//! counters count clear bytes. So the writer seals what it takes, and counts a frame as written when its record has
//! left whole; the reader opens what was read before the decoder counts. What both directions need to know of each other
//! (a session's keys, an answer that is owed) they share behind a lock of their own.

use std::fmt::Debug;

use bytes::BytesMut;

use crate::proto::ProtocolError;

/// The outgoing direction.
pub(crate) trait Seal: Debug + Send {
    /// Takes the next clear frame, header and payload, and appends to `out` what goes over the medium. It may keep
    /// frames back until [`flush`](Self::flush), all or none of a batch.
    fn seal(&mut self, header: &[u8], payload: &[u8], out: &mut Vec<u8>);

    /// The end of a batch: appends what was kept back, and what the incoming direction has to answer.
    fn flush(&mut self, out: &mut Vec<u8>);
}

/// The incoming direction.
pub(crate) trait Open: Debug + Send {
    /// Takes whole records off the front of `sealed`, and appends the clear frames in them to `clear`. Says whether an
    /// answer is owed, for which the outgoing direction is flushed.
    ///
    /// It limits a record's size at its header, as the decoder does a frame's, and reserves no memory that has not
    /// arrived.
    fn open(&mut self, sealed: &mut BytesMut, clear: &mut BytesMut) -> Result<Answer, ProtocolError>;
}

/// Whether something has to be written because of what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    None,
    Owed,
}

/// Both directions of one connection.
#[derive(Debug)]
pub(crate) struct Records {
    pub(crate) seal: Box<dyn Seal>,
    pub(crate) open: Box<dyn Open>,
}

#[cfg(all(test, not(sinew_loom)))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

    use std::io::{self, IoSlice};
    use std::sync::{Arc, Mutex};

    use bytes::Buf;
    use proptest::prelude::*;

    use super::super::writer::{Medium, Writer};
    use super::*;
    use crate::message::Message;
    use crate::proto::{Decoded, Decoder, Limits, Received};
    use crate::routing::PeerKey;

    const KEY: u8 = 0x5A;

    /// A record is four bytes of size, and a frame that nobody can read. With `gathers`, one for all frames of a batch.
    #[derive(Debug, Default)]
    struct Toy {
        gathers: bool,
        kept: Vec<u8>,
    }

    impl Toy {
        fn record(clear: &[u8], out: &mut Vec<u8>) {
            out.extend_from_slice(&u32::try_from(clear.len()).unwrap().to_be_bytes());
            out.extend(clear.iter().map(|byte| byte ^ KEY));
        }
    }

    impl Seal for Toy {
        fn seal(&mut self, header: &[u8], payload: &[u8], out: &mut Vec<u8>) {
            self.kept.extend_from_slice(header);
            self.kept.extend_from_slice(payload);
            if !self.gathers {
                self.flush(out);
            }
        }

        fn flush(&mut self, out: &mut Vec<u8>) {
            if !self.kept.is_empty() {
                Self::record(&std::mem::take(&mut self.kept), out);
            }
        }
    }

    impl Open for Toy {
        fn open(&mut self, sealed: &mut BytesMut, clear: &mut BytesMut) -> Result<Answer, ProtocolError> {
            while let Some(size) = sealed.first_chunk::<4>() {
                let size = u32::from_be_bytes(*size) as usize;
                if sealed.len() < 4 + size {
                    break;
                }
                sealed.advance(4);
                clear.extend(sealed.split_to(size).iter().map(|byte| byte ^ KEY));
            }
            Ok(Answer::None)
        }
    }

    /// A kernel that takes so many bytes at a time, and so many in all.
    #[derive(Debug)]
    struct Narrow {
        step: usize,
        room: Mutex<usize>,
        taken: Mutex<Vec<u8>>,
    }

    impl Medium for Narrow {
        fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
            let mut room = self.room.lock().unwrap();
            let count = self.step.min(*room).min(bufs[0].len());
            if count == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            *room -= count;
            self.taken.lock().unwrap().extend_from_slice(&bufs[0][..count]);
            Ok(count)
        }
    }

    /// What the peer reads.
    fn read(sealed: &[u8]) -> Vec<Message> {
        let (mut toy, mut clear) = (Toy::default(), BytesMut::new());
        toy.open(&mut BytesMut::from(sealed), &mut clear).unwrap();
        let limits = Limits { max_message_size: usize::MAX, max_parts: usize::MAX, max_command: 100 };
        let (mut decoder, mut received) = (Decoder::new(limits), Received::default());
        while decoder.decode(&mut clear, &mut received).unwrap() != Decoded::NeedMore {}
        received.collect()
    }

    proptest! {
        /// Whatever the kernel takes of it: what the writer counts as written is what the peer can open, and of the rest
        /// whole messages are left to be sent again, in the clear.
        #[test]
        fn a_sealed_connection_counts_and_puts_back_clear_messages(
            sizes in prop::collection::vec(prop::collection::vec(0_usize..9000, 1..4), 0..8),
            step in 1_usize..5000, room in 0_usize..60_000, gathers: bool, ping: bool,
        ) {
            let messages: Vec<Message> = sizes
                .iter()
                .map(|sizes| Message::from_frames(sizes.iter().map(|&size| vec![7; size].into()).collect()).unwrap())
                .collect();
            let medium = Arc::new(Narrow { step, room: Mutex::new(room), taken: Mutex::default() });
            let seal = Box::new(Toy { gathers, ..Toy::default() });
            let mut writer = Writer::new(medium.clone(), PeerKey::default(), Some(seal));
            messages.iter().for_each(|message| writer.wire.push(message.frames()));
            if ping {
                crate::proto::command::put_ping(&mut writer.commands, 0, b"");
            }
            let done = writer.write().is_ok();
            let opened = read(&medium.taken.lock().unwrap());
            prop_assert_eq!(done, writer.is_done());
            let written = writer.written_messages();
            let mut rest = writer.into_unwritten();
            let (lost, _) = rest.drop_partial();
            prop_assert_eq!(&opened[..], &messages[..written]);
            prop_assert!(lost <= 1);
            prop_assert_eq!(rest.frames().count(), messages[written + lost..].iter().map(Message::frame_count).sum::<usize>());
        }
    }
}

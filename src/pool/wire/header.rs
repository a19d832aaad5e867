//! The 24 bytes that begin every message of SWP/1.
//!
//! ```text
//!  0    4        5      6       8                 16       20        24
//!  SWP1 command  flags  handle  task or request   attempt  argument
//! ```
//!
//! All numbers are big-endian. What a command does not use is 0.

use crate::message::Frame;

/// Length of the header frame.
pub(crate) const LEN: usize = 24;
/// What it begins with: the protocol and its version.
pub(crate) const MAGIC: &[u8; 4] = b"SWP1";

/// The header of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Header {
    pub(crate) command: u8,
    pub(crate) flags: u8,
    /// Stands for a queue's name, which went with it once; 0: the name is in the metadata.
    pub(crate) handle: u16,
    /// The client's id of the task, or the broker's.
    pub(crate) id: u64,
    /// The fencing token; or a code, where there is no task.
    pub(crate) attempt: u32,
    /// Credit, or a time in milliseconds.
    pub(crate) argument: u32,
}

/// What the bits of `flags` mean.
pub(crate) mod flag {
    /// A frame of metadata follows the header.
    pub(crate) const META: u8 = 1;
    /// TASK: some worker may have begun it before.
    pub(crate) const REDELIVERED: u8 = 1 << 2;
    /// SUBMIT: the result is of no interest.
    pub(crate) const NO_REPLY: u8 = 1 << 3;
    /// SUBMIT: an ACCEPT is wanted.
    pub(crate) const ACK: u8 = 1 << 6;
}

/// The commands. Each direction has numbers of its own, so that no message can be taken for another.
pub(crate) mod command {
    pub(crate) const CLIENT_HELLO: u8 = 0x10;
    pub(crate) const SUBMIT: u8 = 0x11;
    pub(crate) const CANCEL: u8 = 0x12;
    pub(crate) const STATUS: u8 = 0x13;

    pub(crate) const ACCEPT: u8 = 0x20;
    pub(crate) const REJECT: u8 = 0x21;
    pub(crate) const PARTIAL: u8 = 0x22;
    pub(crate) const RESULT: u8 = 0x23;
    pub(crate) const FAILED: u8 = 0x24;
    pub(crate) const STATUS_IS: u8 = 0x25;

    pub(crate) const WORKER_HELLO: u8 = 0x30;
    pub(crate) const CREDIT: u8 = 0x31;
    pub(crate) const STARTED: u8 = 0x32;
    pub(crate) const PROGRESS: u8 = 0x33;
    pub(crate) const DONE: u8 = 0x34;
    pub(crate) const NACK: u8 = 0x35;
    pub(crate) const WORKER_HEARTBEAT: u8 = 0x36;
    pub(crate) const DRAIN: u8 = 0x37;
    pub(crate) const BYE: u8 = 0x38;
    pub(crate) const PING: u8 = 0x39;

    pub(crate) const WELCOME: u8 = 0x40;
    pub(crate) const TASK: u8 = 0x41;
    pub(crate) const CANCEL_TASK: u8 = 0x42;
    pub(crate) const BROKER_HEARTBEAT: u8 = 0x43;
    pub(crate) const REJOIN: u8 = 0x44;
    pub(crate) const PONG: u8 = 0x45;
}

impl Header {
    /// A header of which all but the command is 0.
    pub(crate) fn new(command: u8) -> Self {
        Self { command, ..Self::default() }
    }

    /// With an id.
    pub(crate) const fn of(mut self, id: u64) -> Self {
        self.id = id;
        self
    }

    /// With `bits` set if `on`.
    pub(crate) const fn flag(mut self, bits: u8, on: bool) -> Self {
        if on {
            self.flags |= bits;
        }
        self
    }

    pub(crate) const fn has(self, bits: u8) -> bool {
        self.flags & bits != 0
    }

    /// As a frame; it fits into one in place.
    pub(crate) fn encode(self) -> Frame {
        let mut bytes = [0; LEN];
        let fields: [&[u8]; 7] = [
            MAGIC,
            &[self.command],
            &[self.flags],
            &self.handle.to_be_bytes(),
            &self.id.to_be_bytes(),
            &self.attempt.to_be_bytes(),
            &self.argument.to_be_bytes(),
        ];
        let mut rest = bytes.as_mut_slice();
        for field in fields {
            // They are 24 bytes together, so it never stops early.
            let Some((place, behind)) = rest.split_at_mut_checked(field.len()) else { break };
            place.copy_from_slice(field);
            rest = behind;
        }
        Frame::copy_from_slice(&bytes)
    }

    /// From a frame; `None` if it is not a header of this version.
    pub(crate) fn decode(frame: &[u8]) -> Option<Self> {
        let bytes: &[u8; LEN] = frame.try_into().ok()?;
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        let (&[command, flags], rest) = rest.split_first_chunk::<2>()?;
        let (handle, rest) = rest.split_first_chunk::<2>()?;
        let (id, rest) = rest.split_first_chunk::<8>()?;
        let (attempt, rest) = rest.split_first_chunk::<4>()?;
        let argument = rest.first_chunk::<4>()?;
        (magic == MAGIC).then(|| Self {
            command,
            flags,
            handle: u16::from_be_bytes(*handle),
            id: u64::from_be_bytes(*id),
            attempt: u32::from_be_bytes(*attempt),
            argument: u32::from_be_bytes(*argument),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_header_survives_the_wire(command: u8, flags: u8, handle: u16, id: u64, attempt: u32, argument: u32) {
            let header = Header { command, flags, handle, id, attempt, argument };
            prop_assert_eq!(Header::decode(&header.encode()), Some(header));
        }

        #[test]
        fn any_bytes_are_a_header_or_none(bytes: Vec<u8>) {
            prop_assert!(Header::decode(&bytes).is_none_or(|header| header.encode() == bytes));
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_table() {
        let header = Header { command: 0x41, flags: 4, handle: 7, id: 8, attempt: 9, argument: 10 };
        let expected = b"SWP1\x41\x04\0\x07\0\0\0\0\0\0\0\x08\0\0\0\x09\0\0\0\x0a";
        assert_eq!(header.encode(), expected);
    }
}

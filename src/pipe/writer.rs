//! The half of a connection that writes: whoever holds it may, its task or a sender that would wait otherwise.

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::sync::Arc;

use super::{Level, Outbox, PeerKey, Wakes, WireBuf};
use crate::sync::{Arc as Shared, Mutex};

/// Slices in one `writev`: all commands are one, all small messages another; a large payload is one by itself, and its
/// header, too. With 64 instead of 256, 8 KiB messages that were just made went at 5.3 GB/s instead of 6.1.
const SMALL: usize = 2;
const LARGE: usize = 256;

/// What bytes are written to, without waiting.
pub(crate) trait Medium: Debug + Send + Sync {
    /// Writes from the start of `bufs` what there is room for.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is no room.
    fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize>;
}

/// Lies in its peer's [`OutPipe`](super::OutPipe) while nobody writes. One holder at a time, so frames never mix.
#[derive(Debug)]
pub(crate) struct Writer {
    medium: Arc<dyn Medium>,
    /// Where it belongs, and whose it is.
    outbox: Shared<Mutex<Outbox>>,
    key: PeerKey,
    /// Being written; its front perhaps in part.
    pub(super) wire: WireBuf,
    /// Commands to be written, between two frames of `wire`.
    pub(crate) commands: Vec<u8>,
    /// Written since the outbox was last told.
    pub(super) written: Level,
}

impl Writer {
    /// Lays the writer of a new connection to `key` into its pipe.
    pub(crate) fn install(medium: Arc<dyn Medium>, outbox: &Shared<Mutex<Outbox>>, key: PeerKey) {
        let (wire, commands, written) = (WireBuf::default(), Vec::new(), Level::default());
        let writer = Box::new(Self { medium, outbox: outbox.clone(), key, wire, commands, written });
        outbox.lock().connect(key, writer);
    }

    /// Whether everything is written.
    pub(crate) fn is_done(&self) -> bool {
        self.wire.is_empty() && self.commands.is_empty()
    }

    /// Writes until nothing is left.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is no more room.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        while !self.is_done() {
            self.write_once()?;
        }
        Ok(())
    }

    /// Writes once, and goes back where it belongs. What is left over, and an error, is for the connection's task.
    pub(super) fn write_and_return(mut self: Box<Self>) {
        let _ = self.write_once();
        let (outbox, key) = (self.outbox.clone(), self.key);
        let mut wakes = Wakes::new();
        outbox.lock().give_back(key, self, &mut wakes);
        wakes.fire();
    }

    /// What was accepted and not written, its front possibly in part.
    pub(crate) fn into_unwritten(self) -> WireBuf {
        self.wire
    }

    fn write_once(&mut self) -> io::Result<()> {
        if self.wire.has_large() { self.write_slices::<LARGE>() } else { self.write_slices::<SMALL>() }
    }

    /// One `writev`: commands first, but never within a frame (A3.5).
    fn write_slices<const SLICES: usize>(&mut self) -> io::Result<()> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let commands = self.commands.len();
        let within_frame = self.wire.frame_left() > 0;
        let count = if commands == 0 {
            self.wire.io_slices(&mut slices, usize::MAX)
        } else if within_frame {
            self.wire.io_slices(&mut slices, self.wire.frame_left())
        } else {
            slices[0] = IoSlice::new(&self.commands);
            1 + self.wire.io_slices(&mut slices[1..], usize::MAX)
        };
        let mut written = self.medium.try_write_vectored(&slices[..count])?;
        if commands > 0 && !within_frame {
            let step = written.min(commands);
            self.commands.drain(..step);
            written -= step;
        }
        if written > 0 {
            let messages = self.wire.advance(written);
            self.written.add(messages, written);
        }
        Ok(())
    }
}

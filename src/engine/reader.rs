//! The half of a connection that reads: whoever holds it may, its task or, in lockstep, a receiver.
//!
//! In lockstep (REQ, REP) nothing more comes before the answer, so a receiver that is woken by the socket itself saves
//! the step by way of the task, and on `current_thread` the runtime's look at all other sockets between the two.

use std::io;
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::Instant;

use super::read_buffer::ReadBuffer;
use super::session::{End, broken, lost};
use crate::monitor::DisconnectReason;
use crate::pipe::{PeerKey, Wakes};
use crate::proto::{Command, Decoded, Decoder, Limits, Received};
use crate::socket::Core;
use crate::sync::Mutex;
use crate::transport::Stream;

#[derive(Debug)]
pub(super) struct Reader {
    stream: Arc<Stream>,
    key: PeerKey,
    pub(super) buffer: ReadBuffer,
    decoder: Decoder,
    batch: Received,
    /// The inbox takes messages; while it does not, nothing is read (C2.4).
    pub(super) open: bool,
    /// When the last byte came.
    pub(super) heard: Instant,
    /// The peer asked to be given up if it is silent for this long (A9.4).
    pub(super) ttl: Option<Duration>,
    /// Something was read since this was last asked.
    pub(super) active: bool,
    /// What a receiver came upon that is for the task: a command, or the end.
    left: Option<Result<Command, End>>,
}

impl Reader {
    pub(super) fn new(stream: Arc<Stream>, key: PeerKey, limits: Limits, input: BytesMut) -> Self {
        Self {
            stream,
            key,
            buffer: ReadBuffer::new(input),
            decoder: Decoder::new(limits),
            batch: Received::default(),
            open: true,
            heard: Instant::now(),
            ttl: None,
            active: false,
            left: None,
        }
    }

    /// Hands the messages over that have been read; stops at a command.
    pub(super) fn hand_over(&mut self, core: &Core) -> Result<Option<Command>, End> {
        if let Some(left) = self.left.take() {
            return left.map(Some);
        }
        let decoded = self.decoder.decode(&mut self.buffer.input, &mut self.batch);
        if !self.batch.is_empty() {
            self.open = core.deliver(self.key, &mut self.batch).map_err(broken)?;
        }
        match decoded.map_err(broken)? {
            Decoded::NeedMore => Ok(None),
            Decoded::Command(command) => Ok(Some(command)),
        }
    }

    /// Reads once; says how many bytes, or `None` where nothing has come.
    pub(super) fn read(&mut self) -> Result<Option<usize>, End> {
        let room = self.buffer.make_room(self.decoder.needed());
        match self.stream.try_read_buf(&mut self.buffer.input, room) {
            Ok(0) => Err(End::Lost(DisconnectReason::ClosedByPeer)),
            Ok(count) => {
                // A9.4, A9.7: any byte is a sign of life.
                self.heard = Instant::now();
                self.ttl = None;
                self.active = true;
                self.buffer.adapt(count, room);
                Ok(Some(count))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(lost(error)),
        }
    }

    /// Whether a message has begun and not ended.
    pub(super) fn is_midway(&self) -> bool {
        self.decoder.is_midway(&self.buffer.input)
    }

    /// Reads once for a receiver; what is not a message is left for the task, which the same event has woken.
    fn read_for_receiver(&mut self, core: &Core) {
        if self.open && self.left.is_none() {
            let read = self.read().and_then(|_| self.hand_over(core));
            self.left = read.transpose();
        }
    }
}

/// Where the [`Reader`] lies while nobody reads.
#[derive(Debug)]
pub(crate) struct ReadHalf {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    reader: Option<Box<Reader>>,
    /// The task, which wanted it while it was lent.
    asked: Option<Waker>,
}

impl ReadHalf {
    pub(super) fn new(reader: Reader) -> Self {
        Self { state: Mutex::new(State { reader: Some(Box::new(reader)), asked: None }) }
    }

    /// Takes the reader; where it is lent, `waker` is woken once it is back.
    pub(super) fn take(&self, waker: &Waker) -> Option<Box<Reader>> {
        let mut state = self.state.lock();
        let reader = state.reader.take();
        if reader.is_none() {
            state.asked = Some(waker.clone());
        }
        reader
    }

    pub(super) fn give_back(&self, reader: Box<Reader>) {
        let mut state = self.state.lock();
        state.reader = Some(reader);
        let asked = state.asked.take();
        drop(state);
        if let Some(task) = asked {
            task.wake();
        }
    }

    /// Hands over what has come, unless the task is about to.
    pub(crate) fn read_for_receiver(&self, core: &Core) {
        let reader = self.state.lock().reader.take();
        if let Some(mut reader) = reader {
            reader.read_for_receiver(core);
            self.give_back(reader);
        }
    }
}

/// The waker of a connection in lockstep: it wakes a receiver beside the task, and tells it what to read.
#[derive(Debug)]
pub(super) struct ReadyWaker {
    pub(super) core: Weak<Core>,
    pub(super) half: Weak<ReadHalf>,
    pub(super) task: Waker,
}

impl Wake for ReadyWaker {
    fn wake(self: Arc<Self>) {
        self.task.wake_by_ref();
        let Some(core) = self.core.upgrade() else { return };
        *core.readable.lock() = self.half.clone();
        let mut wakes = Wakes::new();
        core.inbox.lock().wake_receiver(&mut wakes);
        wakes.fire();
    }
}

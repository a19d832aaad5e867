//! The half of a connection that reads: whoever holds it may, its task or, in lockstep, the waker of its readiness.
//!
//! In lockstep (REQ, REP) nothing more comes before the answer. So the waker reads itself, and hands over: that saves the
//! step by way of the task, which is woken only for what is no message.

use std::io;
use std::sync::{Arc, Weak};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::Instant;

use super::read_buffer::ReadBuffer;
use super::session::{End, broken, lost};
use crate::monitor::DisconnectReason;
use crate::pipe::PeerKey;
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
    /// What the waker came upon that is for the task: a command, or the end.
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
        let room = self.buffer.make_room(self.decoder.needed(), self.heard);
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

    /// Reads once in the task's place, and waits for more with `waker`; says whether nothing is left for the task.
    fn read_at_once(&mut self, core: &Core, waker: &Waker) -> bool {
        // Only the task reviews what a connection holds (see `active`), waits for the inbox, and times a message that
        // is not whole.
        if !self.active || !self.open || self.left.is_some() {
            return false;
        }
        let read = self.read().and_then(|_| self.hand_over(core));
        self.left = read.transpose();
        self.left.is_none()
            && self.open
            && !self.is_midway()
            && self.stream.poll_read_ready(&mut Context::from_waker(waker)).is_pending()
    }
}

/// Where the [`Reader`] lies while nobody reads.
#[derive(Debug)]
pub(super) struct ReadHalf {
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

    pub(super) fn give_back(&self, mut reader: Box<Reader>) {
        reader.buffer.rest(reader.heard);
        let mut state = self.state.lock();
        state.reader = Some(reader);
        let asked = state.asked.take();
        drop(state);
        if let Some(task) = asked {
            task.wake();
        }
    }
}

/// The waker of a connection in lockstep, which reads.
#[derive(Debug)]
pub(super) struct ReadingWaker {
    pub(super) core: Weak<Core>,
    pub(super) half: Weak<ReadHalf>,
    pub(super) task: Waker,
}

impl ReadingWaker {
    fn read(self: &Arc<Self>) -> Option<bool> {
        let (core, half) = (self.core.upgrade()?, self.half.upgrade()?);
        let mut reader = half.state.lock().reader.take()?;
        let done = reader.read_at_once(&core, &self.clone().into());
        half.give_back(reader);
        Some(done)
    }
}

impl Wake for ReadingWaker {
    fn wake(self: Arc<Self>) {
        if self.read() != Some(true) {
            self.task.wake_by_ref();
        }
    }
}

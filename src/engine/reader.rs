//! The half of a connection that reads: whoever holds it may, its task or, in lockstep, the waker of its readiness.

use std::io;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::Instant;

use super::lockstep::{AtOnce, Left};
use super::read_buffer::ReadBuffer;
use super::record::{Answer, Open};
use super::session::{End, broken, lost};
use crate::monitor::DisconnectReason;
use crate::proto::{Command, Decoded, Decoder, Limits, ProtocolError, Received};
use crate::routing::PeerKey;
use crate::socket::Core;
use crate::transport::Stream;

#[derive(Debug)]
pub(super) struct Reader {
    stream: Arc<Stream>,
    key: PeerKey,
    pub(super) buffer: ReadBuffer,
    decoder: Decoder,
    /// Where the connection has a record layer: it, and what it has opened.
    opened: Option<Box<Opened>>,
    batch: Received,
    /// The inbox takes messages; while it does not, nothing is read (C2.4).
    pub(super) open: bool,
    /// When the last byte came.
    pub(super) heard: Instant,
    /// The peer asked to be given up if it is silent for this long (A9.4).
    pub(super) ttl: Option<Duration>,
    /// Something was read since this was last asked.
    pub(super) active: bool,
    /// The record layer has something to answer.
    pub(super) answer: Answer,
    /// What the waker came upon that is for the task: a command, or the end.
    left: Option<Result<Command, End>>,
}

#[derive(Debug)]
struct Opened {
    open: Box<dyn Open>,
    clear: BytesMut,
}

impl Reader {
    pub(super) fn new(
        stream: Arc<Stream>,
        key: PeerKey,
        limits: Limits,
        input: BytesMut,
        open: Option<Box<dyn Open>>,
    ) -> Self {
        Self {
            opened: open.map(|open| Box::new(Opened { open, clear: BytesMut::new() })),
            answer: Answer::None,
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
        let decoded = self.decode();
        if !self.batch.is_empty() {
            self.open = core.deliver(self.key, &mut self.batch).map_err(broken)?;
        }
        match decoded.map_err(broken)? {
            Decoded::NeedMore => Ok(None),
            Decoded::Command(command) => Ok(Some(command)),
        }
    }

    /// Cuts off what has been read, opened first where it is sealed.
    fn decode(&mut self) -> Result<Decoded, ProtocolError> {
        let Some(opened) = &mut self.opened else {
            return self.decoder.decode(&mut self.buffer.input, &mut self.batch);
        };
        let opening = opened.open.open(&mut self.buffer.input, &mut opened.clear);
        // What was opened before an error is good.
        let decoded = self.decoder.decode(&mut opened.clear, &mut self.batch);
        if opening? == Answer::Owed {
            self.answer = Answer::Owed;
        }
        decoded
    }

    /// Leaves what it reads into to the next connection.
    pub(super) fn rest(&mut self) {
        self.buffer.rest(self.heard);
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
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.buffer.nothing_came();
                Ok(None)
            }
            Err(error) => Err(lost(error)),
        }
    }

    /// Whether a message has begun and not ended.
    pub(super) fn is_midway(&self) -> bool {
        let clear = self.opened.as_ref().map(|opened| &opened.clear);
        self.decoder.is_midway(clear.unwrap_or(&self.buffer.input)) || !self.buffer.input.is_empty()
    }
}

impl AtOnce for Reader {
    type Owner = Core;

    /// Reads once, and waits for more.
    fn act(&mut self, core: &Core, waker: &Waker) -> Left {
        // Only the task reviews what a connection holds (see `active`), waits for the inbox, and times a message that
        // is not whole.
        if !self.active || !self.open || self.left.is_some() {
            return Left::Something;
        }
        let read = self.read().and_then(|_| self.hand_over(core));
        self.left = read.transpose();
        let done = self.left.is_none()
            && self.open
            && self.answer == Answer::None
            && !self.is_midway()
            && self.stream.poll_read_ready(&mut Context::from_waker(waker)).is_pending();
        self.rest();
        if done { Left::Nothing } else { Left::Something }
    }
}

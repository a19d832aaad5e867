//! The traffic of one established connection: a state machine that the connection's task polls.
//!
//! Each poll writes what is queued, reads and hands over what has come, and looks at the one
//! timer; each of these stops at the kernel's "would block", at a full queue, or at its budget.

use std::io;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::task::yield_now;
use tokio::time::{Instant, Sleep, sleep_until};

use super::reader::{ReadHalf, Reader, ReadingWaker};
use crate::monitor::DisconnectReason;
use crate::options::Heartbeat;
use crate::pipe::{Control, PeerKey, Taken, Wakes, WireBuf, Writer};
use crate::proto::{Command, Limits, ProtocolError, SocketType, command, heartbeat};
use crate::socket::Core;
use crate::transport::Stream;

/// Bytes read in one poll: one busy peer leaves the others their share (D12), and the receiver gets them while they
/// are still in the processor's cache.
const READ: usize = 256 * 1024;
/// Writes in one poll, so that one busy connection leaves the others their share.
const WRITES: usize = 16;
/// Reads of a connection that cannot be written to any more: more than a kernel holds.
const LAST_READS: usize = 512;
/// Commands in one poll (D18).
const COMMANDS: usize = 64;
/// A connection idle for this long, or up to twice as long, gives up memory that it does not need.
const IDLE: Duration = Duration::from_secs(5);
/// The largest command after the handshake (D18).
const MAX_COMMAND: usize = 64 * 1024;

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Closing, and everything is written before linger ends, then.
    Flushed(Instant),
    /// Closing, and the time is up.
    Deadline,
    /// The connection broke, or we broke it.
    Lost(DisconnectReason),
}

/// One established connection.
pub(super) struct Session<'a> {
    core: &'a Arc<Core>,
    stream: &'a Arc<Stream>,
    key: PeerKey,
    minor: u8,

    /// Subscriptions to be written.
    controls: Vec<Control>,
    /// A PING is due.
    ping: bool,
    /// The one PONG that is owed; a newer PING replaces it.
    pong: Option<Bytes>,

    /// Where the half lies that reads, and the waker of its readiness.
    half: Arc<ReadHalf>,
    /// In lockstep: the task's waker, and the one made of it that reads.
    readable: Option<(Waker, Waker)>,

    /// When the last PING of ours went.
    pinged: Instant,
    /// How often to PING a silent peer, and when to give it up; never a 3.0 peer, which may not know the command.
    heartbeat: Option<Heartbeat>,
    /// Something was written since the last review, which looks for memory to give up.
    active: bool,
    review: Option<Instant>,
    /// Closing: the end of linger.
    closing: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        core: &'a Arc<Core>,
        stream: &'a Arc<Stream>,
        key: PeerKey,
        minor: u8,
        input: BytesMut,
    ) -> Self {
        let limits = Limits {
            max_message_size: core.options.max_message_size,
            max_parts: core.options.max_parts,
            max_command: MAX_COMMAND,
        };
        Writer::install(stream.clone(), &core.outbox, key);
        let half = Arc::new(ReadHalf::new(Reader::new(stream.clone(), key, limits, input)));
        Self {
            core,
            stream,
            key,
            minor,
            controls: Vec::new(),
            ping: false,
            pong: None,
            half,
            readable: None,
            pinged: Instant::now(),
            heartbeat: core.options.heartbeat.filter(|_| minor > 0),
            active: false,
            review: None,
            closing: None,
            timer: None,
        }
    }

    /// The end: what was accepted and not written, its front possibly in part. Waits for a sender who is writing.
    pub(super) fn poll_unwritten(&self, cx: &Context<'_>) -> Poll<WireBuf> {
        match self.core.outbox.lock().disconnect(self.key, cx.waker()) {
            Some(unwritten) => Poll::Ready(unwritten),
            None => Poll::Pending,
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        match self.drive(cx) {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        }
    }

    /// Takes the reader for one turn; lent to a receiver, it wakes the task when it is back.
    fn drive(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        let Some(mut reader) = self.half.take(cx.waker()) else { return Ok(()) };
        self.turn(&mut reader, cx)?;
        self.half.give_back(reader);
        Ok(())
    }

    /// One turn; `Ok` means that whatever can happen next wakes the task.
    fn turn(&mut self, reader: &mut Reader, cx: &mut Context<'_>) -> Result<(), End> {
        let read_on = self.read(reader, cx)?;
        let written = self.write(cx);
        if let Err(End::Lost(_)) = written {
            self.read_rest(reader, cx);
        }
        let write_on = written?;
        if read_on || write_on {
            // Not just a wake-up: current_thread would poll this task 61 times before it polls the future that it blocks
            // on, which may be the receiver.
            let _ = pin!(yield_now()).poll(cx);
        }
        self.poll_timer(reader, cx)
    }

    /// Writes until there is nothing left or the kernel takes no more; says whether it stopped for its budget only.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let mut held = None;
        for _ in 0..WRITES {
            match self.exchange(held.take(), cx.waker()) {
                Taken::Finished => return Err(End::Flushed(self.closing.unwrap_or_else(Instant::now))),
                Taken::Idle => return Ok(false),
                Taken::Writer(mut writer) => {
                    self.active = true;
                    self.put_commands(&mut writer.commands);
                    let written = writer.write();
                    held = Some(writer);
                    match written {
                        Ok(()) => {}
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            self.give_back(held.take());
                            if self.stream.poll_write_ready(cx).map_err(lost)?.is_pending() {
                                return Ok(false);
                            }
                        }
                        Err(error) => {
                            self.give_back(held.take());
                            return Err(lost(error));
                        }
                    }
                }
            }
        }
        self.give_back(held);
        Ok(true)
    }

    /// Encodes the commands that are due.
    fn put_commands(&mut self, commands: &mut Vec<u8>) {
        // One that is still waiting to be written would say the same.
        if mem::take(&mut self.ping)
            && commands.is_empty()
            && let Some(heartbeat) = self.heartbeat
        {
            command::put_ping(commands, heartbeat::ttl_ds(heartbeat.ttl), b"");
        }
        if let Some(context) = self.pong.take_if(|_| commands.is_empty()) {
            command::put_pong(commands, &context);
        }
        for Control { subscribe, topic } in self.controls.drain(..) {
            let put = if subscribe { command::put_subscribe } else { command::put_cancel };
            put(commands, &topic, self.minor);
        }
    }

    /// Gives the writer back, and takes it if there is something to write.
    fn exchange(&mut self, writer: Option<Box<Writer>>, waker: &Waker) -> Taken {
        let mut wakes = Wakes::new();
        let more = self.ping || self.pong.is_some();
        let (taken, closing) = {
            let mut outbox = self.core.outbox.lock();
            if let Some(writer) = writer {
                outbox.give_back(self.key, writer, &mut wakes);
            }
            let taken = outbox.take(self.key, more, &mut self.controls, waker);
            (taken, outbox.pipes.get(self.key).map_or(self.closing, |pipe| pipe.closing()))
        };
        wakes.fire();
        self.closing = closing;
        taken
    }

    fn give_back(&self, writer: Option<Box<Writer>>) {
        if let Some(writer) = writer {
            let mut wakes = Wakes::new();
            self.core.outbox.lock().give_back(self.key, writer, &mut wakes);
            wakes.fire();
        }
    }

    /// Reads and hands over; says whether it stopped for its budget only.
    fn read(&mut self, reader: &mut Reader, cx: &mut Context<'_>) -> Result<bool, End> {
        let mut commands = COMMANDS;
        let mut budget = READ;
        while budget > 0 {
            if !self.hand_over(reader, cx, &mut commands)? {
                return Ok(commands == 0);
            }
            match reader.read()? {
                Some(count) => budget = budget.saturating_sub(count),
                None => {
                    if self.poll_readable(cx).map_err(lost)?.is_pending() {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    /// Ready when there may be something to read. In lockstep the waker reads it.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.core.is_lockstep() {
            return self.stream.poll_read_ready(cx);
        }
        let (_, readable) = match &mut self.readable {
            Some(wakers) if wakers.0.will_wake(cx.waker()) => wakers,
            wakers => {
                let (core, half) = (Arc::downgrade(self.core), Arc::downgrade(&self.half));
                let reading = Arc::new(ReadingWaker { core, half, task: cx.waker().clone() });
                wakers.insert((cx.waker().clone(), reading.into()))
            }
        };
        self.stream.poll_read_ready(&mut Context::from_waker(readable))
    }

    /// The peer is gone: takes in what it sent before, and the kernel has, although the inbox may be full. No more
    /// can come.
    fn read_rest(&mut self, reader: &mut Reader, cx: &mut Context<'_>) {
        let mut budget = usize::MAX;
        for _ in 0..LAST_READS {
            if self.hand_over(reader, cx, &mut budget).is_err() {
                return;
            }
            match reader.read() {
                Ok(Some(_)) => {}
                Ok(None) if matches!(self.stream.poll_read_ready(cx), Poll::Ready(Ok(()))) => {}
                _ => return,
            }
        }
    }

    /// Hands over what has been read; says whether to read more. It does not while the inbox is
    /// full: that is how a slow receiver slows its peer down (C2.4).
    fn hand_over(
        &mut self,
        reader: &mut Reader,
        cx: &Context<'_>,
        commands: &mut usize,
    ) -> Result<bool, End> {
        while let Some(command) = reader.hand_over(self.core)? {
            self.command(reader, command)?;
            *commands -= 1;
            if *commands == 0 {
                return Ok(false);
            }
        }
        // Subscriptions fill an XPUB's inbox, too.
        if !reader.open || self.core.kind == SocketType::XPub {
            reader.open = self.core.inbox.lock().wait_open(self.key, cx.waker());
        }
        Ok(reader.open)
    }

    fn command(&mut self, reader: &mut Reader, command: Command) -> Result<(), End> {
        match command {
            Command::Subscribe(topic) => self.core.subscribed(self.key, true, &topic).map_err(broken)?,
            Command::Cancel(topic) => self.core.subscribed(self.key, false, &topic).map_err(broken)?,
            Command::Ping { ttl_ds, context } => {
                self.pong = Some(Bytes::copy_from_slice(&context));
                reader.ttl = heartbeat::timeout(ttl_ds);
            }
            Command::Ignored => {}
        }
        Ok(())
    }

    /// The one timer: the end of linger, the next PING, or the end of our patience with a peer that is silent, the
    /// shorter one in the middle of a message (D23).
    fn poll_timer(&mut self, reader: &mut Reader, cx: &mut Context<'_>) -> Result<(), End> {
        loop {
            let patience = [reader.ttl, self.heartbeat.map(|heartbeat| heartbeat.timeout)];
            let silent = patience.into_iter().flatten().min().map(|limit| reader.heard + limit);
            let stalled = self.core.options.progress_timeout.filter(|_| reader.is_midway());
            let stalled = stalled.map(|limit| reader.heard + limit);
            let ping = self.heartbeat.map(|heartbeat| reader.heard.max(self.pinged) + heartbeat.interval);
            if (self.active || reader.active) && self.review.is_none() {
                self.review = Some(Instant::now() + IDLE);
            }
            let Some(deadline) =
                [self.closing, silent, stalled, ping, self.review].into_iter().flatten().min()
            else {
                self.timer = None;
                return Ok(());
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            // It may fire early: deadlines move on with every read, and setting a timer costs more than that.
            if timer.deadline() > deadline {
                timer.as_mut().reset(deadline);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
            if timer.deadline() < deadline {
                timer.as_mut().reset(deadline);
                continue;
            }
            if self.closing == Some(deadline) {
                return Err(End::Deadline);
            }
            if !reader.open {
                // We are not reading, so the silence is ours.
                reader.heard = Instant::now();
            } else if silent == Some(deadline) {
                return Err(End::Lost(DisconnectReason::Silent));
            } else if stalled == Some(deadline) {
                return Err(End::Lost(DisconnectReason::Stalled));
            }
            if ping == Some(deadline) {
                self.ping(cx)?;
            }
            if self.review == Some(deadline) {
                self.review = None;
                if !(mem::take(&mut self.active) | mem::take(&mut reader.active)) {
                    reader.buffer.shrink(IDLE);
                    self.core.outbox.lock().shrink(self.key);
                } else {
                    self.review = Some(deadline + IDLE);
                }
            }
        }
    }

    fn ping(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        self.pinged = Instant::now();
        // A peer that has sent its end may be gone: a PING to it would break the connection, and with it what it
        // sent and we have had no room to read.
        self.ping = !self.stream.is_read_closed();
        if self.ping && self.write(cx)? {
            let _ = pin!(yield_now()).poll(cx);
        }
        Ok(())
    }
}

impl Drop for Session<'_> {
    /// Where the runtime ends first: the writer holds on to the outbox that it lies in.
    fn drop(&mut self) {
        self.core.outbox.lock().abandon(self.key);
    }
}

pub(super) fn lost(error: io::Error) -> End {
    End::Lost(match error.kind() {
        io::ErrorKind::UnexpectedEof => DisconnectReason::ClosedByPeer,
        _ => DisconnectReason::Io(error.into()),
    })
}

pub(super) fn broken(error: ProtocolError) -> End {
    End::Lost(DisconnectReason::Protocol(error))
}

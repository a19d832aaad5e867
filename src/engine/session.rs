//! The traffic of one established connection: a state machine that the connection's task polls.
//!
//! Each poll writes what is queued, reads and hands over what has come, and looks at the one
//! timer; each of these stops at the kernel's "would block", at a full queue, or at its budget.

use std::io;
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::task::yield_now;
use tokio::time::Instant;

use super::lockstep::{ActingWaker, Half};
use super::reader::Reader;
use super::record::{Answer, Records};
use super::site::Site;
use super::writer::Writer;
use crate::clock::Timer;
use crate::monitor::DisconnectReason;
use crate::options::Heartbeat;
use crate::pipe::{Control, Deferred, Fetched, WireBuf};
use crate::proto::{Command, ProtocolError, command, heartbeat};
use crate::routing::PeerKey;
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
/// The largest command after the handshake (D18), where no longer topics are allowed.
const MAX_COMMAND: usize = 64 * 1024;
/// What a command has besides a topic, at most.
const NAME: usize = 16;

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

    read_half: Arc<Half<Reader>>,
    write_half: Arc<Half<Writer>>,
    /// In lockstep: who is woken in the task's place.
    lockstep: Option<LockstepWakers>,

    /// When the last PING of ours went.
    pinged: Instant,
    /// How often to PING a silent peer, and when to give it up; never a 3.0 peer, which may not know the command.
    heartbeat: Option<Heartbeat>,
    /// How long a peer may stop in the middle of a message.
    progress_timeout: Option<Duration>,
    /// Something was written since the last review, which looks for memory to give up.
    active: bool,
    review: Option<Instant>,
    /// Closing: the end of linger.
    closing: Option<Instant>,
    timer: Timer,
}

/// Wakers that do the task's work themselves, where they can.
struct LockstepWakers {
    readable: Waker,
    queued: Waker,
}

/// What the peer can do, and what it has sent already.
pub(super) struct Start {
    pub(super) minor: u8,
    pub(super) input: BytesMut,
    pub(super) records: Option<Records>,
}

impl<'a> Session<'a> {
    pub(super) fn new(site: &'a Site, stream: &'a Arc<Stream>, key: PeerKey, start: Start) -> Self {
        let Start { minor, input, records } = start;
        let (seal, open) = records.map(|Records { seal, open }| (seal, open)).unzip();
        let reader = Reader::new(stream.clone(), key, site.options.limits(max_command(site)), input, open);
        let read_half = Arc::new(Half::new(reader, site.core.clone()));
        let write_half = Arc::new(Half::new(Writer::new(stream.clone(), key, seal), site.core.clone()));
        let lockstep = site.core.pattern.lockstep.then(|| LockstepWakers {
            readable: ActingWaker::waker(&read_half),
            queued: ActingWaker::waker(&write_half),
        });
        Self {
            core: &site.core,
            stream,
            key,
            minor,
            controls: Vec::new(),
            ping: false,
            pong: None,
            read_half,
            write_half,
            lockstep,
            pinged: Instant::now(),
            heartbeat: site.options.heartbeat_plan().filter(|_| minor > 0 && site.core.pattern.pings),
            progress_timeout: site.options.progress_timeout,
            active: false,
            review: None,
            closing: None,
            timer: Timer::new(),
        }
    }

    /// The end: what was accepted and not written, its front possibly in part. Waits for a sender who is writing.
    pub(super) fn poll_unwritten(&self, cx: &Context<'_>) -> Poll<WireBuf> {
        let Some(mut writer) = self.write_half.take(cx.waker()) else { return Poll::Pending };
        writer.credit(self.core);
        Poll::Ready(writer.into_unwritten())
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let Err(end) = self.drive(cx) else { return Poll::Pending };
        if let End::Lost(DisconnectReason::Protocol(error)) = &end {
            self.tell(error, cx.waker());
        }
        Poll::Ready(end)
    }

    /// Tells the peer why it is hung up on, as far as there is room: one that knows better than to come back at once
    /// may do so.
    fn tell(&self, error: &ProtocolError, waker: &Waker) {
        if let Some(mut writer) = self.write_half.take(waker) {
            // Behind what is there already, the front of which may be written.
            command::put_error(&mut writer.commands, &error.to_string());
            let _ = writer.write_once();
            self.write_half.give_back(writer);
        }
    }

    /// Takes the reader for as long; while a waker has it, that wakes the task when it is back.
    fn drive(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        let Some(mut reader) = self.read_half.take(cx.waker()) else { return Ok(()) };
        self.work(&mut reader, cx)?;
        reader.rest();
        self.read_half.give_back(reader);
        Ok(())
    }

    /// The wakers of readiness and of the queue: in lockstep those that act themselves, else the task's.
    fn wakers<'w>(&'w self, task: &'w Waker) -> (&'w Waker, &'w Waker) {
        self.lockstep.as_ref().map_or((task, task), |wakers| (&wakers.readable, &wakers.queued))
    }

    /// Does what can be done now; `Ok` means that whatever can happen next wakes the task.
    fn work(&mut self, reader: &mut Reader, cx: &mut Context<'_>) -> Result<(), End> {
        let read_on = self.read(reader, cx)?;
        let answer = mem::replace(&mut reader.answer, Answer::None);
        let written = self.write(cx, answer);
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
    /// While a sender writes, it is that one's.
    fn write(&mut self, cx: &mut Context<'_>, answer: Answer) -> Result<bool, End> {
        let Some(mut writer) = self.write_half.take(cx.waker()) else { return Ok(false) };
        if answer == Answer::Owed {
            writer.answer();
        }
        let written = self.write_with(&mut writer, cx);
        self.write_half.give_back(writer);
        written
    }

    fn write_with(&mut self, writer: &mut Writer, cx: &mut Context<'_>) -> Result<bool, End> {
        for _ in 0..WRITES {
            let fetched = self.fetch(writer, cx.waker());
            self.put_commands(&mut writer.commands);
            if writer.is_done() {
                return match fetched {
                    Fetched::Finished => Err(End::Flushed(self.closing.unwrap_or_else(Instant::now))),
                    Fetched::Something | Fetched::Nothing => Ok(false),
                };
            }
            self.active = true;
            match writer.write() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    writer.credit(self.core);
                    if self.stream.poll_write_ready(cx).map_err(lost)?.is_pending() {
                        return Ok(false);
                    }
                }
                Err(error) => {
                    writer.credit(self.core);
                    return Err(lost(error));
                }
            }
        }
        writer.credit(self.core);
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
            match (self.core.pattern.groups, subscribe) {
                (false, true) => command::put_subscribe(commands, &topic, self.minor),
                (false, false) => command::put_cancel(commands, &topic, self.minor),
                (true, true) => command::put_join(commands, &topic),
                (true, false) => command::put_leave(commands, &topic),
            }
        }
    }

    /// Tells what is written, and takes what is queued.
    fn fetch(&mut self, writer: &mut Writer, task: &Waker) -> Fetched {
        let core = self.core;
        let mut controls = mem::take(&mut self.controls);
        let (_, queued) = self.wakers(task);
        let (fetched, closing) = writer.fetch(&core.outbox, Some(&mut controls), queued);
        self.controls = controls;
        self.closing = closing.or(self.closing);
        fetched
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

    /// Ready when there may be something to read.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.stream;
        let (readable, _) = self.wakers(cx.waker());
        stream.poll_read_ready(&mut Context::from_waker(readable))
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
        if !reader.open || self.core.pattern.hears_subscriptions {
            reader.open = self.core.inbox.lock().wait_open(self.key, cx.waker());
        }
        Ok(reader.open)
    }

    fn command(&mut self, reader: &mut Reader, command: Command) -> Result<(), End> {
        let groups = self.core.pattern.groups;
        let subscribed =
            |subscribe, topic: &[u8]| self.core.subscribed(self.key, subscribe, topic).map_err(broken);
        match command {
            Command::Subscribe(topic) if !groups => subscribed(true, &topic)?,
            Command::Cancel(topic) if !groups => subscribed(false, &topic)?,
            Command::Join(group) if groups => subscribed(true, &group)?,
            Command::Leave(group) if groups => subscribed(false, &group)?,
            Command::Error(reason) => {
                let reason = String::from_utf8_lossy(&reason).into_owned();
                return Err(End::Lost(DisconnectReason::Rejected { reason }));
            }
            Command::Ping { ttl_ds, context } => {
                self.pong = Some(Bytes::copy_from_slice(&context));
                reader.ttl = heartbeat::timeout(ttl_ds);
            }
            // Groups where there are topics, and the other way round, are no business of ours.
            Command::Subscribe(_) | Command::Cancel(_) | Command::Join(_) | Command::Leave(_) => {}
            Command::Ignored => {}
        }
        Ok(())
    }

    /// The one timer: the end of linger, the next PING, or the end of our patience with a peer that is silent, the
    /// shorter one in the middle of a message (D23).
    fn poll_timer(&mut self, reader: &mut Reader, cx: &mut Context<'_>) -> Result<(), End> {
        loop {
            let patience = [reader.ttl, self.heartbeat.map(|heartbeat| heartbeat.patience)];
            let silent = patience.into_iter().flatten().min().map(|limit| reader.heard + limit);
            let stalled = self.progress_timeout.filter(|_| reader.is_midway());
            let stalled = stalled.map(|limit| reader.heard + limit);
            let ping = self.heartbeat.map(|heartbeat| reader.heard.max(self.pinged) + heartbeat.interval);
            if (self.active || reader.active) && self.review.is_none() {
                self.review = Some(Instant::now() + IDLE);
            }
            let Some(deadline) =
                [self.closing, silent, stalled, ping, self.review].into_iter().flatten().min()
            else {
                self.timer = Timer::new();
                return Ok(());
            };
            // It may wake early: deadlines move on with every read, and setting a timer costs more than that.
            if self.timer.poll(deadline, cx).is_pending() {
                return Ok(());
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
                    self.shrink(cx.waker());
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
        if self.ping && self.write(cx, Answer::None)? {
            let _ = pin!(yield_now()).poll(cx);
        }
        Ok(())
    }

    /// Gives up the memory of empty queues.
    fn shrink(&self, waker: &Waker) {
        self.core.outbox.lock().shrink(self.key);
        if let Some(mut writer) = self.write_half.take(waker) {
            writer.shrink();
            self.write_half.give_back(writer);
        }
    }
}

impl Drop for Session<'_> {
    /// Nobody is to be woken any more.
    fn drop(&mut self) {
        let mut later = Deferred::new();
        self.core.outbox.lock().abandon(self.key, &mut later);
        later.run();
    }
}

/// What a publisher allows a topic to have, a command that subscribes to it may have, and not more than a message.
fn max_command(site: &Site) -> usize {
    let options = site.options.limits(MAX_COMMAND);
    let topic = site.core.specific.subscriptions.max_topic().saturating_add(NAME);
    MAX_COMMAND.max(topic.min(options.max_message_size))
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

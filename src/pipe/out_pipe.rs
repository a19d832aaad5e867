//! The outbound queue of one peer.

use std::collections::VecDeque;
use std::mem;
use std::task::Waker;

use tokio::time::Instant;

use crate::message::{Frame, Message};

use super::outbox::{count, wire_size, with_prefix};
use super::{Hwm, Level, Wakes, WireBuf, Writer};

/// The outbound queue of one peer.
#[derive(Debug)]
pub(crate) struct OutPipe {
    pub(super) queue: Queue,
    /// Everything accepted and not yet written, what the connection task is writing included.
    pub(super) level: Level,
    /// The socket's own mark and, over inproc, the receiver's.
    pub(super) hwm: Hwm,
    pub(super) theirs: Hwm,
    /// It was full and has not fallen to the low-water mark since.
    pub(super) blocked: bool,
    /// It has missed messages since, and that was told.
    pub(super) missed: bool,
    /// Keep the newest message only (C7).
    pub(super) conflate: bool,
    /// The half of the connection that writes.
    writer: Station,
    /// The connection task, or the inproc receiver.
    pub(super) consumer: Option<Waker>,
    /// The consumer found nothing and waits to be woken.
    pub(super) idle: bool,
    /// The peer is there: it gets subscriptions as they come.
    pub(super) live: bool,
    /// How many topics it has subscribed to, and their bytes.
    pub(super) topics: Level,
    /// Subscriptions to pass on: control state, outside the high-water mark (A7.6).
    pub(super) control: VecDeque<Control>,
    /// No more messages; what is queued is written until then.
    pub(super) closing: Option<Instant>,
    pub(super) stamp: u64,
    /// In front is what the connection opens with, if no more than this has been sent.
    greeted: Option<u64>,
    pub(crate) sent: u64,
    pub(crate) dropped: u64,
    pub(crate) full: u64,
}

/// A pipe's messages, in the form its consumer wants.
#[derive(Debug)]
pub(super) enum Queue {
    Wire(WireBuf),
    Messages(VecDeque<Message>),
}

/// Where a pipe's [`Writer`] is.
#[derive(Debug)]
enum Station {
    /// No connection, or a peer in this process.
    Absent,
    /// With the pipe: nobody writes.
    Here(Box<Writer>),
    /// With whoever writes. The connection's task may have asked for it meanwhile: for what is queued, or for more.
    Lent { asked: Option<bool> },
}

/// What [`OutPipe::lend`] finds.
#[derive(Debug)]
pub(super) enum Lend {
    /// Something to write.
    Writer(Box<Writer>),
    /// Nothing to write.
    Nothing,
    /// Somebody writes. Who asked is woken if he leaves anything.
    Busy,
    /// There is no connection.
    Absent,
}

/// A subscription on its way to a publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Control {
    pub(crate) subscribe: bool,
    pub(crate) topic: Frame,
}

impl OutPipe {
    /// A pipe to a peer behind a connection.
    pub(crate) fn wire(conflate: bool) -> Self {
        Self::new(Queue::Wire(WireBuf::default()), conflate)
    }

    /// A pipe to a peer in this process.
    pub(crate) fn inproc(conflate: bool) -> Self {
        Self::new(Queue::Messages(VecDeque::new()), conflate)
    }

    fn new(queue: Queue, conflate: bool) -> Self {
        Self {
            queue,
            level: Level::default(),
            hwm: Hwm::default(),
            theirs: Hwm::default(),
            blocked: false,
            missed: false,
            conflate,
            writer: Station::Absent,
            consumer: None,
            idle: false,
            live: false,
            topics: Level::default(),
            control: VecDeque::new(),
            closing: None,
            stamp: 0,
            greeted: None,
            sent: 0,
            dropped: 0,
            full: 0,
        }
    }

    pub(crate) const fn level(&self) -> Level {
        self.level
    }

    /// What the peer has subscribed to: how many topics, of how many bytes.
    pub(crate) const fn topics(&self) -> Level {
        self.topics
    }

    pub(crate) const fn closing(&self) -> Option<Instant> {
        self.closing
    }

    /// Queues a message ahead of all others, whatever the mark: the socket's own, not the user's. It is for this
    /// connection only.
    pub(crate) fn push_front(&mut self, message: Message, wakes: &mut Wakes) {
        self.greeted = Some(self.sent);
        let size = wire_size(&[], &message);
        match &mut self.queue {
            Queue::Wire(queue) => {
                let mut wire = WireBuf::default();
                wire.push(message.frames());
                wire.extend(queue);
                *queue = wire;
            }
            Queue::Messages(queue) => queue.push_front(message),
        }
        self.level.add(1, size);
        self.wake(wakes);
    }

    /// Replaces the subscriptions waiting to be passed on: a new connection gets all of them.
    pub(crate) fn replay(&mut self, topics: impl Iterator<Item = Control>, wakes: &mut Wakes) {
        self.live = true;
        self.control.clear();
        if matches!(self.queue, Queue::Wire(_)) {
            self.control.extend(topics);
        }
        if !self.control.is_empty() {
            self.wake(wakes);
        }
    }

    /// Queues a subscription for a peer that is there; a later one gets all of them anew.
    pub(crate) fn control(&mut self, control: Control, wakes: &mut Wakes) {
        if self.live && matches!(self.queue, Queue::Wire(_)) {
            self.control.push_back(control);
            self.wake(wakes);
        }
    }

    #[inline]
    pub(super) const fn has_room(&self, size: usize) -> bool {
        self.conflate || self.level.admits(self.hwm, size)
    }

    /// Fetches the memory that the next message goes to.
    pub(super) fn fetch(&mut self) {
        if let Queue::Wire(wire) = &mut self.queue {
            wire.fetch();
        }
    }

    /// Queues a message; says how many gave way to it.
    #[inline]
    pub(super) fn push(&mut self, prefix: &[Frame], message: &mut Message, size: usize) -> u64 {
        let replaced = if self.conflate { self.discard() } else { 0 };
        match &mut self.queue {
            Queue::Wire(wire) if prefix.is_empty() => wire.push(message.frames()),
            Queue::Wire(wire) => wire.push(prefix.iter().chain(message.frames())),
            Queue::Messages(queue) if prefix.is_empty() => queue.push_back(mem::take(message)),
            Queue::Messages(queue) => queue.push_back(with_prefix(prefix, mem::take(message))),
        }
        self.level.add(1, size);
        replaced
    }

    /// As [`OutPipe::push`], of what is encoded already.
    #[inline]
    pub(super) fn push_copy(&mut self, encoded: &WireBuf, message: &Message, size: usize) -> u64 {
        let replaced = if self.conflate { self.discard() } else { 0 };
        match &mut self.queue {
            Queue::Wire(wire) => wire.extend(encoded),
            Queue::Messages(queue) => queue.push_back(message.clone()),
        }
        self.level.add(1, size);
        replaced
    }

    /// Tells the consumer of a message; or, in lockstep, gives its sender the writer, which saves waking a task.
    #[inline]
    pub(super) fn alert(&mut self, lockstep: bool, wakes: &mut Wakes) {
        if lockstep
            && self.idle
            && !wakes.will_write()
            && let Lend::Writer(writer) = self.lend(false)
        {
            wakes.write(writer);
        } else {
            self.wake(wakes);
        }
    }

    #[inline]
    pub(super) fn wake(&mut self, wakes: &mut Wakes) {
        if self.idle {
            self.idle = false;
            wakes.extend(self.consumer.clone());
        }
    }

    /// Notes that the pipe was found full.
    #[inline]
    pub(super) fn block(&mut self) {
        if !mem::replace(&mut self.blocked, true) {
            self.full += 1;
        }
    }

    /// Puts back what a broken connection has not written, but for the message that opened it: the next one brings its
    /// own. `begun`: the first was written in part, and is dropped already. Gives back what the pipe is rid of.
    pub(super) fn put_back(&mut self, mut wire: WireBuf, begun: bool) -> Level {
        let Queue::Wire(queue) = &mut self.queue else { return Level::default() };
        wire.extend(queue);
        let greeted = self.greeted.take() == Some(self.sent) && !begun;
        let freed = if greeted { wire.drop_first() } else { Level::default() };
        *queue = wire;
        freed
    }

    /// Drops what is queued and not being written; says how many messages.
    #[inline(never)]
    fn discard(&mut self) -> u64 {
        self.greeted = None;
        let queued = match &mut self.queue {
            Queue::Wire(wire) => wire.drain(),
            Queue::Messages(queue) => {
                let bytes = queue.iter().map(|message| wire_size(&[], message)).sum();
                Level { messages: mem::take(queue).len(), bytes }
            }
        };
        self.level.sub(queued.messages, queued.bytes);
        let messages = count(queued.messages);
        self.dropped += messages;
        messages
    }

    /// Remembers whom to wake.
    pub(crate) fn listen(&mut self, waker: &Waker) {
        match &mut self.consumer {
            Some(consumer) => consumer.clone_from(waker),
            None => self.consumer = Some(waker.clone()),
        }
    }

    /// A connection is there, and this writes to it.
    pub(super) fn connect(&mut self, writer: Box<Writer>) {
        self.writer = Station::Here(writer);
    }

    /// Gives the writer to one who has something of his own to write (`more`), or if anything is queued.
    pub(super) fn lend(&mut self, more: bool) -> Lend {
        let Station::Here(writer) = &mut self.writer else {
            if let Station::Lent { asked } = &mut self.writer {
                *asked = Some(more || *asked == Some(true));
                return Lend::Busy;
            }
            return Lend::Absent;
        };
        if writer.wire.is_empty()
            && let Queue::Wire(queue) = &mut self.queue
        {
            writer.wire.clear();
            mem::swap(&mut writer.wire, queue);
        }
        if writer.is_done() && !more {
            return Lend::Nothing;
        }
        match mem::replace(&mut self.writer, Station::Lent { asked: None }) {
            Station::Here(writer) => Lend::Writer(writer),
            other => {
                self.writer = other;
                Lend::Absent
            }
        }
    }

    /// Takes the writer back. What is left over is for the connection's task, which knows when there is room.
    pub(super) fn give_back(&mut self, writer: Box<Writer>, wakes: &mut Wakes) {
        let Station::Lent { asked } = self.writer else { return };
        let empty = matches!(&self.queue, Queue::Wire(queue) if queue.is_empty());
        let left = !empty || !writer.is_done() || !self.control.is_empty() || self.closing.is_some();
        self.writer = Station::Here(writer);
        self.idle |= asked.is_some();
        if left || asked == Some(true) {
            self.wake(wakes);
        }
    }

    /// Takes the writer out for good; `None` while it is lent, and then the consumer is woken when it is back.
    pub(super) fn disconnect(&mut self) -> Option<Option<Box<Writer>>> {
        match mem::replace(&mut self.writer, Station::Absent) {
            Station::Here(writer) => Some(Some(writer)),
            Station::Absent => Some(None),
            Station::Lent { .. } => {
                self.writer = Station::Lent { asked: Some(true) };
                None
            }
        }
    }

    /// Gives up the memory of what is empty.
    pub(super) fn shrink(&mut self) {
        if let Queue::Wire(queue) = &mut self.queue {
            queue.shrink();
        }
        if let Station::Here(writer) = &mut self.writer {
            writer.wire.shrink();
            writer.commands.shrink_to_fit();
        }
    }

    /// Drops the writer, or has it dropped when it is given back.
    pub(super) fn abandon(&mut self) {
        self.writer = Station::Absent;
    }
}

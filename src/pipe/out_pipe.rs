//! The outbound queue of one peer.

use std::collections::VecDeque;
use std::mem;
use std::task::Waker;

use tokio::time::Instant;

use crate::message::{Frame, Message};

use super::outbox::{count, wire_size, with_prefix};
use super::{Deferred, Hwm, Level, WireBuf};

/// The outbound queue of one peer.
#[derive(Debug)]
pub(crate) struct OutPipe {
    pub(super) queue: Queued,
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
pub(super) enum Queued {
    Wire(WireBuf),
    Messages(VecDeque<Message>),
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
        Self::new(Queued::Wire(WireBuf::default()), conflate)
    }

    /// A pipe to a peer in this process.
    pub(crate) fn inproc(conflate: bool) -> Self {
        Self::new(Queued::Messages(VecDeque::new()), conflate)
    }

    fn new(queue: Queued, conflate: bool) -> Self {
        Self {
            queue,
            level: Level::default(),
            hwm: Hwm::default(),
            theirs: Hwm::default(),
            blocked: false,
            missed: false,
            conflate,
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
    pub(crate) fn push_front(&mut self, message: Message, later: &mut Deferred) {
        self.greeted = Some(self.sent);
        let size = wire_size(&[], &message);
        match &mut self.queue {
            Queued::Wire(queue) => {
                let mut wire = WireBuf::default();
                wire.push(message.frames());
                wire.extend(queue);
                *queue = wire;
            }
            Queued::Messages(queue) => queue.push_front(message),
        }
        self.level.add(1, size);
        self.wake(later);
    }

    /// Replaces the subscriptions waiting to be passed on: a new connection gets all of them.
    pub(crate) fn replay(&mut self, topics: VecDeque<Control>, later: &mut Deferred) {
        self.live = true;
        if matches!(self.queue, Queued::Wire(_)) {
            later.discard(mem::replace(&mut self.control, topics));
        }
        if !self.control.is_empty() {
            self.wake(later);
        }
    }

    /// Queues a subscription for a peer that is there; a later one gets all of them anew.
    pub(crate) fn control(&mut self, control: Control, later: &mut Deferred) {
        if self.live && matches!(self.queue, Queued::Wire(_)) {
            self.control.push_back(control);
            self.wake(later);
        }
    }

    #[inline]
    pub(super) const fn has_room(&self, size: usize) -> bool {
        self.conflate || self.level.admits(self.hwm, size)
    }

    /// Fetches the memory that the next message goes to.
    pub(super) fn fetch(&mut self) {
        if let Queued::Wire(wire) = &mut self.queue {
            wire.fetch();
        }
    }

    /// Queues a message; says how many gave way to it.
    #[inline]
    pub(super) fn push(
        &mut self,
        prefix: &[Frame],
        message: &mut Message,
        size: usize,
        later: &mut Deferred,
    ) -> u64 {
        let replaced = if self.conflate { self.discard(later) } else { 0 };
        match &mut self.queue {
            Queued::Wire(wire) if prefix.is_empty() => wire.push(message.frames()),
            Queued::Wire(wire) => wire.push(prefix.iter().chain(message.frames())),
            Queued::Messages(queue) if prefix.is_empty() => queue.push_back(mem::take(message)),
            Queued::Messages(queue) => queue.push_back(with_prefix(prefix, mem::take(message))),
        }
        self.level.add(1, size);
        replaced
    }

    /// As [`OutPipe::push`], of what is encoded already.
    #[allow(clippy::inline_always, reason = "the figure is with `publish::copy`")]
    #[inline(always)]
    pub(super) fn push_copy(
        &mut self,
        encoded: &WireBuf,
        message: &Message,
        size: usize,
        later: &mut Deferred,
    ) -> u64 {
        let replaced = if self.conflate { self.discard(later) } else { 0 };
        match &mut self.queue {
            Queued::Wire(wire) => wire.extend(encoded),
            Queued::Messages(queue) => queue.push_back(message.clone()),
        }
        self.level.add(1, size);
        replaced
    }

    /// Tells the consumer, if it waits, that there is something.
    #[inline]
    pub(super) fn wake(&mut self, later: &mut Deferred) {
        if self.idle {
            self.idle = false;
            later.wake_if(self.consumer.clone());
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
    pub(super) fn put_back(&mut self, mut wire: WireBuf, begun: bool, later: &mut Deferred) -> Level {
        let Queued::Wire(queue) = &mut self.queue else { return Level::default() };
        wire.extend(queue);
        let greeted = self.greeted.take() == Some(self.sent) && !begun;
        let freed = if greeted { wire.drop_first(later) } else { Level::default() };
        *queue = wire;
        freed
    }

    /// Drops what is queued and not being written; says how many messages.
    #[inline(never)]
    fn discard(&mut self, later: &mut Deferred) -> u64 {
        self.greeted = None;
        let queued = match &mut self.queue {
            Queued::Wire(wire) => wire.drain(later),
            Queued::Messages(queue) => {
                let (messages, bytes) =
                    (queue.len(), queue.iter().map(|message| wire_size(&[], message)).sum());
                if messages > 0 {
                    later.discard(mem::take(queue));
                }
                Level { messages, bytes }
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

    /// Moves what is queued into `wire`, if that is empty.
    #[inline]
    pub(super) fn fetch_into(&mut self, wire: &mut WireBuf) {
        if let Queued::Wire(queue) = &mut self.queue
            && !queue.is_empty()
            && wire.is_empty()
        {
            wire.clear();
            mem::swap(wire, queue);
        }
    }

    /// Gives up the memory of what is empty.
    pub(super) fn shrink(&mut self) {
        if let Queued::Wire(queue) = &mut self.queue {
            queue.shrink();
        }
    }
}

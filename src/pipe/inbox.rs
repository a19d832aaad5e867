//! What a socket's peers have sent and the application has not yet received.

use std::collections::{HashMap, VecDeque};
use std::task::Waker;

use slotmap::SecondaryMap;

use crate::message::{Frame, Message};
use crate::routing::{Rotation, Trie};
use crate::sync::{Arc, Mutex};

use super::outbox::wire_size;
use super::{Hwm, Level, Outbox, PeerKey, Slot, WaitQueue, Wakes};

/// The inbound side of one socket: a pipe for each peer, fair-queued, and the tasks waiting for a
/// message.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pipes: SecondaryMap<PeerKey, InPipe>,
    /// The pipes of peers that are gone, until they are read. Not in `pipes`, where a newcomer that
    /// gets the place of the old key would overwrite them.
    past: HashMap<PeerKey, InPipe>,
    /// The pipes that may have something to say.
    active: Rotation,
    receivers: WaitQueue,
    /// Whether the application wants to know of peers that come and go.
    announce: bool,
    /// A SUB's own subscriptions: its publisher may filter late or not at all (B6.2).
    pub(crate) filter: Option<Filter>,
    closed: bool,
    /// Receives until the receiver lets other tasks run.
    until_yield: usize,
    pub(crate) received: u64,
}

/// Receives in a row before a task lets others run; from here on the cost of a turn is noise.
const TURN: usize = 1024;

/// What a SUB lets through.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub(crate) topics: Trie<()>,
    /// Let through what does *not* match (B5.17).
    pub(crate) invert: bool,
}

impl Filter {
    pub(crate) fn new(topics: &[Frame], invert: bool) -> Self {
        let mut filter = Self { topics: Trie::default(), invert };
        for topic in topics {
            filter.topics.insert(topic, ());
        }
        filter
    }

    fn admits(&self, message: &Message) -> bool {
        let mut matched = false;
        self.topics.matches(message.first(), |()| matched = true);
        matched != self.invert
    }
}

/// The inbound queue of one peer.
#[derive(Debug)]
pub(crate) struct InPipe {
    queue: VecDeque<Message>,
    level: Level,
    hwm: Hwm,
    conflate: bool,
    /// It was full and has not fallen to the low-water mark since; the peer is not read.
    blocked: bool,
    /// The connection task, waiting for room.
    producer: Option<Waker>,
    /// Over inproc: where the messages come from.
    source: Option<Pull>,
    /// It is in the rotation.
    active: bool,
    /// Its peer has come and the application has not been told.
    arrived: bool,
    /// The routing id by which a ROUTER's application knows the peer.
    pub(crate) id: Frame,
    pub(crate) received: u64,
}

/// The other end of an inproc pipe: the sender's outbox, from which the receiver pulls.
#[derive(Debug, Clone)]
pub(crate) struct Pull {
    pub(crate) outbox: Arc<Mutex<Outbox>>,
    pub(crate) key: PeerKey,
    /// Consumed and not yet credited to the sender.
    pub(crate) consumed: Level,
    /// Credit goes back at half of this (C3.1).
    pub(crate) hwm: Hwm,
}

/// What [`Inbox::pop`] found.
#[derive(Debug)]
pub(crate) enum Popped {
    Message(PeerKey, Message),
    /// A peer has come; before any of its messages.
    Arrived(PeerKey, Frame),
    /// A peer is gone; after all of its messages.
    Gone(PeerKey, Frame),
}

impl InPipe {
    pub(crate) fn new(hwm: Hwm, conflate: bool, id: Frame) -> Self {
        Self {
            queue: VecDeque::new(),
            level: Level::default(),
            hwm,
            conflate,
            blocked: false,
            producer: None,
            source: None,
            active: false,
            arrived: false,
            id,
            received: 0,
        }
    }

    /// Messages fetched and not yet received.
    pub(crate) fn unread(&self) -> usize {
        self.queue.len()
    }

    /// Takes the next message; over inproc, fetches what the sender has queued.
    #[inline]
    fn pop(&mut self, wakes: &mut Wakes) -> Option<Message> {
        if self.queue.is_empty() {
            self.fetch(wakes);
        }
        let message = self.queue.pop_front()?;
        let size = wire_size(&[], &message);
        self.received += 1;
        match &mut self.source {
            None => {
                self.level.sub(1, size);
                if self.blocked && self.level.is_low(self.hwm) {
                    self.blocked = false;
                    wakes.extend(self.producer.take());
                }
            }
            Some(pull) => pull.credit(size, wakes),
        }
        Some(message)
    }

    #[inline(never)]
    fn fetch(&mut self, wakes: &mut Wakes) {
        if let Some(pull) = &mut self.source {
            let consumed = std::mem::take(&mut pull.consumed);
            pull.outbox.lock().pull(pull.key, consumed, &mut self.queue, wakes);
            if self.conflate {
                let stale = self.queue.len().saturating_sub(1);
                for message in self.queue.drain(..stale) {
                    pull.consumed.add(1, wire_size(&[], &message));
                }
            }
        }
    }

    /// The peer is gone: fetches all that is left, as if it had been consumed.
    fn finish(&mut self, wakes: &mut Wakes) {
        if let Some(Pull { outbox, key, consumed, .. }) = self.source.take() {
            outbox.lock().finish(key, consumed, &mut self.queue, wakes);
            if self.conflate {
                self.queue.drain(..self.queue.len().saturating_sub(1));
            }
        }
    }

    /// Gives the memory of a queue that has been long back, so that idle peers cost little.
    fn release(&mut self) {
        if self.queue.capacity() > 64 {
            self.queue = VecDeque::new();
        }
    }
}

impl Pull {
    /// Counts one message of `size` bytes as consumed; tells the sender at every half of the mark.
    #[inline]
    fn credit(&mut self, size: usize, wakes: &mut Wakes) {
        self.consumed.add(1, size);
        let Hwm { messages, bytes } = self.hwm;
        if self.consumed.messages >= messages - messages / 2 || self.consumed.bytes >= bytes - bytes / 2 {
            let consumed = std::mem::take(&mut self.consumed);
            self.outbox.lock().credit(self.key, consumed, wakes);
        }
    }
}

impl Inbox {
    pub(crate) fn new(announce: bool, filter: Option<Filter>) -> Self {
        Self { announce, filter, ..Self::default() }
    }

    pub(crate) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Peers present, and past ones of which messages are still unread.
    pub(crate) fn len(&self) -> usize {
        self.pipes.len() + self.past.len()
    }

    pub(crate) fn get(&self, key: PeerKey) -> Option<&InPipe> {
        self.pipes.get(key).or_else(|| self.past.get(&key))
    }

    #[inline]
    fn get_mut(&mut self, key: PeerKey) -> Option<&mut InPipe> {
        self.pipes.get_mut(key).or_else(|| self.past.get_mut(&key))
    }

    /// Adds a peer. Its arrival is announced at once, or by [`Inbox::arrived`] if it is yet to come.
    pub(crate) fn attach(&mut self, key: PeerKey, pipe: InPipe) {
        self.pipes.insert(key, pipe);
    }

    /// The peer of a pipe is there, under this routing id.
    pub(crate) fn arrived(&mut self, key: PeerKey, id: Frame, wakes: &mut Wakes) {
        if let Some(pipe) = self.pipes.get_mut(key) {
            pipe.id = id;
            pipe.arrived = self.announce;
            if self.announce {
                self.activate(key, 1, wakes);
            }
        }
    }

    /// The peer is gone; what it sent stays readable, and counts as sent.
    pub(crate) fn end(&mut self, key: PeerKey, wakes: &mut Wakes) {
        let Some(mut pipe) = self.pipes.remove(key) else { return };
        pipe.finish(wakes);
        let unread = pipe.queue.len();
        if unread > 0 || self.announce {
            self.past.insert(key, pipe);
            self.activate(key, unread.max(1), wakes);
        } else {
            self.active.remove(key);
        }
    }

    /// Drops a peer and all of it that is unread.
    pub(crate) fn discard(&mut self, key: PeerKey, wakes: &mut Wakes) {
        if let Some(Pull { outbox, key, consumed, .. }) = self.pipes.remove(key).and_then(|pipe| pipe.source)
        {
            // Over inproc the rest is lost at the sender, which knows it.
            outbox.lock().credit(key, consumed, wakes);
        }
        self.past.remove(&key);
        self.active.remove(key);
    }

    /// Sets where an inproc pipe's messages come from.
    pub(crate) fn link(&mut self, key: PeerKey, pull: Pull) {
        if let Some(pipe) = self.pipes.get_mut(key) {
            pipe.source = Some(pull);
        }
    }

    /// Hands over what a connection task has decoded, emptying `batch`; says how many more
    /// messages there is room for. The caller decodes no more than the room it was told.
    pub(crate) fn deliver(
        &mut self,
        key: PeerKey,
        batch: &mut VecDeque<Message>,
        wakes: &mut Wakes,
    ) -> usize {
        let Some(pipe) = self.pipes.get_mut(key) else {
            batch.clear();
            return usize::MAX;
        };
        let count = batch.len();
        if pipe.conflate
            && let Some(newest) = batch.pop_back()
        {
            pipe.queue.clear();
            pipe.queue.push_back(newest);
            batch.clear();
        } else {
            pipe.level.add(count, batch.iter().map(|message| wire_size(&[], message)).sum());
            if pipe.queue.is_empty() {
                std::mem::swap(&mut pipe.queue, batch);
            } else {
                pipe.queue.append(batch);
            }
        }
        if count > 0 {
            self.activate(key, count, wakes);
        }
        self.room(key)
    }

    /// How many messages there is room for in a pipe.
    pub(crate) fn room(&mut self, key: PeerKey) -> usize {
        let Some(pipe) = self.pipes.get_mut(key) else { return usize::MAX };
        if pipe.conflate {
            return usize::MAX;
        }
        if !pipe.level.admits(pipe.hwm, 1) {
            pipe.blocked = true;
        }
        if pipe.blocked { 0 } else { pipe.hwm.messages - pipe.level.messages }
    }

    /// Bytes that a pipe may still take.
    pub(crate) fn room_bytes(&self, key: PeerKey) -> usize {
        self.pipes.get(key).map_or(usize::MAX, |pipe| pipe.hwm.bytes.saturating_sub(pipe.level.bytes))
    }

    /// As [`Inbox::room`]; where there is none, `waker` is woken when the pipe opens again.
    pub(crate) fn wait_room(&mut self, key: PeerKey, waker: &Waker) -> usize {
        let room = self.room(key);
        if room == 0
            && let Some(pipe) = self.pipes.get_mut(key)
        {
            pipe.producer = Some(waker.clone());
        }
        room
    }

    /// A pipe has something to say: `count` waiting receivers look again.
    pub(crate) fn activate(&mut self, key: PeerKey, count: usize, wakes: &mut Wakes) {
        let Some(pipe) = self.get_mut(key) else { return };
        if !pipe.active {
            pipe.active = true;
            self.active.add(key);
        }
        self.receivers.wake(count, wakes);
    }

    /// Takes the next message, one per peer and turn (B0.4).
    #[inline]
    pub(crate) fn pop(&mut self, wakes: &mut Wakes) -> Option<Popped> {
        while let Some(key) = self.active.current() {
            let Some(pipe) = self.pipes.get_mut(key).or_else(|| self.past.get_mut(&key)) else {
                self.active.drop_current();
                continue;
            };
            if pipe.arrived {
                pipe.arrived = false;
                let id = pipe.id.clone();
                self.receivers.wake(1, wakes);
                return Some(Popped::Arrived(key, id));
            }
            if let Some(message) = pipe.pop(wakes) {
                // A source may have more, and tells us only if it was found empty; and an end may
                // have to be announced.
                let more =
                    !pipe.queue.is_empty() || pipe.source.is_some() || self.active.len() > 1 || self.announce;
                self.active.advance();
                if self.filter.as_ref().is_some_and(|filter| !filter.admits(&message)) {
                    continue;
                }
                self.received += 1;
                if more {
                    // A wake-up may have stood for more than one message: it travels on.
                    self.receivers.wake(1, wakes);
                }
                return Some(Popped::Message(key, message));
            }
            pipe.active = false;
            pipe.release();
            self.active.drop_current();
            if let Some(pipe) = self.past.remove(&key)
                && self.announce
            {
                return Some(Popped::Gone(key, pipe.id));
            }
        }
        None
    }

    /// Whether the receiver has had its turn and lets other tasks run first.
    #[inline]
    pub(crate) fn turn_is_over(&mut self) -> bool {
        match self.until_yield.checked_sub(1) {
            Some(left) => self.until_yield = left,
            None => self.until_yield = TURN,
        }
        self.until_yield == TURN
    }

    /// Puts a message back where it came from, as if it had not been received.
    pub(crate) fn unpop(&mut self, key: PeerKey, message: Message, wakes: &mut Wakes) {
        if let Some(pipe) = self.get_mut(key) {
            let size = wire_size(&[], &message);
            match &mut pipe.source {
                None => pipe.level.add(1, size),
                // If the sender has been told already, it may send one more than it should.
                Some(pull) => pull.consumed.sub(1, size),
            }
            pipe.received = pipe.received.saturating_sub(1);
            pipe.queue.push_front(message);
            self.received = self.received.saturating_sub(1);
            self.activate(key, 1, wakes);
        }
    }

    /// Drops everything unread, of all peers; says how many messages.
    pub(crate) fn clear(&mut self, wakes: &mut Wakes) -> usize {
        let received = self.received;
        let mut dropped = 0;
        while let Some(popped) = self.pop(wakes) {
            dropped += usize::from(matches!(popped, Popped::Message(..)));
        }
        self.received = received;
        dropped
    }

    /// Queues a receiver up, to be woken for the next message.
    pub(crate) fn wait(&mut self, slot: &mut Slot, waker: &Waker) {
        self.receivers.wait(slot, waker);
    }

    /// A receiver found its message.
    pub(crate) fn done(&mut self, slot: &mut Slot) {
        self.receivers.done(slot);
    }

    /// A receiver goes away without having looked.
    pub(crate) fn forget(&mut self, slot: &mut Slot, wakes: &mut Wakes) {
        self.receivers.forget(slot, wakes);
    }

    /// Wakes everybody, to look at something other than a message.
    pub(crate) fn wake_all(&mut self, wakes: &mut Wakes) {
        self.receivers.wake_all(wakes);
    }

    /// Ends receiving: what is unread is dropped (C5.3), whoever waits learns of it.
    pub(crate) fn close(&mut self, wakes: &mut Wakes) {
        self.closed = true;
        for (_, mut pipe) in self.pipes.drain() {
            wakes.extend(pipe.producer.take());
        }
        self.past.clear();
        self.active = Rotation::default();
        self.receivers.wake_all(wakes);
    }

    pub(crate) fn pipes(&self) -> impl Iterator<Item = (PeerKey, &InPipe)> {
        self.pipes.iter().chain(self.past.iter().map(|(key, pipe)| (*key, pipe)))
    }
}

#[cfg(all(test, not(sinew_loom)))]
mod tests {
    use slotmap::SlotMap;

    use super::*;

    fn next(inbox: &mut Inbox) -> Option<Message> {
        let popped = inbox.pop(&mut Wakes::new())?;
        let Popped::Message(_, message) = popped else { panic!("{popped:?}") };
        Some(message)
    }

    #[test]
    fn b0_6_a_newcomer_in_the_place_of_one_that_left_does_not_take_its_unread_messages_along() {
        let mut keys = SlotMap::<PeerKey, ()>::with_key();
        let mut inbox = Inbox::default();
        let mut wakes = Wakes::new();
        let mut join = |inbox: &mut Inbox, keys: &mut SlotMap<PeerKey, ()>, message: &str| {
            let key = keys.insert(());
            inbox.attach(key, InPipe::new(Hwm::new(0, 0), false, Frame::new()));
            inbox.deliver(key, &mut VecDeque::from([message.into()]), &mut wakes);
            key
        };
        let old = join(&mut inbox, &mut keys, "old");
        inbox.end(old, &mut Wakes::new());
        keys.remove(old);
        join(&mut inbox, &mut keys, "new");
        assert_eq!(inbox.len(), 2);
        assert_eq!(
            [next(&mut inbox), next(&mut inbox), next(&mut inbox)],
            [Some("old".into()), Some("new".into()), None]
        );
        assert_eq!(inbox.len(), 1);
        wakes.fire();
    }
}

//! What a socket's peers have sent and the application has not yet received.

use std::collections::{HashMap, VecDeque};
use std::task::Waker;

use slotmap::SecondaryMap;

use crate::message::{Frame, Message};
use crate::proto::Received;
use crate::routing::{PeerKey, Rotation};
use crate::sync::{Arc, Mutex};

use super::budget::Budget;
use super::filter::Filter;
use super::notes::Notes;
use super::outbox::{count as number, wire_size};
use super::{AHEAD, Deferred, Hwm, Level, MANY, Name, Outbox, STEP, Slot, WaitQueue};

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
    /// What each pipe may hold, of our own.
    mark: Hwm,
    /// Whether the application wants to know of peers that come and go.
    announce: bool,
    /// A SUB's own subscriptions: its publisher may filter late or not at all (B6.2).
    pub(crate) filter: Option<Filter>,
    /// REQ, REP: whether an envelope that is just a delimiter is taken off on the way; a message of one frame needs no
    /// allocation.
    pub(crate) open_envelopes: bool,
    closed: bool,
    budget: Budget,
    pub(crate) received: u64,
    /// Messages that were dropped unread, because the socket was closed or the peer disconnected (C5.3, C5.5).
    pub(crate) dropped: usize,
    /// Messages of which a newer one took the place (C7).
    pub(crate) conflated: u64,
    /// Those of them that closing dropped; whoever waits for the end of it is told.
    pub(crate) left: usize,
}

/// How many bytes of a peer are read while its pipe is full, before reading it stops. They are part of the
/// connection's buffers, like the kernel's, and not of the pipe. Without them a full pipe hides the commands behind
/// its last message, heartbeats above all, and costs a wake-up for each half of the mark.
const READ_AHEAD: usize = if cfg!(sinew_loom) { 0 } else { 64 * 1024 };

/// Receives in a row before a task lets others run: about what a connection reads in its turn, in messages of 64 bytes.
const TURN: usize = 4096;
/// More of them for each peer that has sent something, and what is left of the last turn for each. On current_thread up
/// to 61 connections read between two turns; what does not fit into a turn piles up to the mark of every pipe, out of the
/// processor's cache (1 PULL with 1,000 PUSH: 107 ns of CPU a message instead of 140; 64 SUB with marks of 1,000,000:
/// 73 instead of 172).
const SHARE: usize = 256;

/// The inbound queue of one peer.
#[derive(Debug)]
pub(crate) struct InPipe {
    /// What came by a connection.
    wire: Received,
    /// What came otherwise, and goes first: over inproc, from the socket itself, put back.
    queue: VecDeque<Message>,
    /// Over inproc: what an XPUB's application is told of this subscriber; goes before all.
    notes: Option<Box<Notes>>,
    level: Level,
    hwm: Hwm,
    conflate: bool,
    /// Bytes that came while it was full.
    ahead: usize,
    /// So much came ahead that the peer is not read until the low-water mark is reached.
    blocked: bool,
    /// The connection task, waiting for room.
    producer: Option<Waker>,
    /// Over inproc: where the messages come from.
    source: Option<Pull>,
    /// It is in the rotation.
    active: bool,
    /// Its peer has come and the application has not been told.
    arrived: bool,
    /// The application does not want to hear of it for now.
    paused: bool,
    /// The routing id by which a ROUTER's application knows the peer.
    pub(crate) id: Name,
    pub(crate) received: u64,
}

/// The other end of an inproc pipe: the sender's outbox, from which the receiver pulls.
#[derive(Debug, Clone)]
pub(crate) struct Pull {
    pub(crate) outbox: Arc<Mutex<Outbox>>,
    pub(crate) key: PeerKey,
    /// Consumed and not yet credited to the sender.
    pub(crate) consumed: Level,
}

/// What [`Inbox::pop`] found.
#[derive(Debug)]
pub(crate) enum Popped {
    /// A message, put where the caller wanted it.
    Message(PeerKey),
    /// The same, without the delimiter that was all of its envelope; only from an inbox that is told to.
    Body(PeerKey),
    /// A peer has come; before any of its messages.
    Arrived(PeerKey, Name),
    /// A peer is gone; after all of its messages.
    Gone(PeerKey, Name),
    /// Nothing yet, but many that did not pass the filter: it is another's turn at the lock.
    Filtered,
}

impl InPipe {
    pub(crate) fn new(conflate: bool) -> Self {
        Self {
            wire: Received::default(),
            queue: VecDeque::new(),
            notes: None,
            level: Level::default(),
            hwm: Hwm::default(),
            conflate,
            ahead: 0,
            blocked: false,
            producer: None,
            source: None,
            active: false,
            arrived: false,
            paused: false,
            id: None,
            received: 0,
        }
    }

    /// Messages that wait to be received, those included that were read ahead.
    pub(crate) fn unread(&self) -> usize {
        self.queue.len() + self.wire.len() + self.notes.as_ref().map_or(0, |notes| notes.len())
    }

    /// Messages that wait to be received, as the mark counts them.
    pub(crate) fn counted(&self) -> usize {
        self.unread().min(self.hwm.messages)
    }

    /// Takes the next message into `message`; over inproc, fetches what the sender has queued.
    #[inline]
    fn pop(&mut self, message: &mut Message, conflated: &mut u64, later: &mut Deferred) -> bool {
        if self.queue.is_empty()
            && let Some(size) = self.wire.pop(message)
        {
            self.consumed(size, later);
            return true;
        }
        self.pop_queue(message, conflated, later)
    }

    #[inline(never)]
    fn pop_queue(&mut self, message: &mut Message, conflated: &mut u64, later: &mut Deferred) -> bool {
        if let Some(note) = self.notes.as_mut().and_then(|notes| notes.pop()) {
            *message = note;
            self.received += 1;
            return true;
        }
        if self.queue.is_empty() {
            self.fetch(later);
            *conflated += self.conflate(later);
        }
        let Some(next) = self.queue.pop_front() else { return false };
        *message = next;
        let size = wire_size(&[], message);
        match &mut self.source {
            Some(pull) => {
                self.received += 1;
                pull.credit(size, self.hwm, later);
            }
            None => self.consumed(size, later),
        }
        true
    }

    /// Counts one message as received; opens a full pipe again at the low-water mark.
    #[inline]
    fn consumed(&mut self, size: usize, later: &mut Deferred) {
        self.received += 1;
        self.level.sub(1, size);
        if (self.ahead > 0 || self.blocked) && self.level.is_low(self.hwm) {
            self.ahead = 0;
            self.blocked = false;
            later.wake_if(self.producer.take());
        }
    }

    #[inline(never)]
    fn fetch(&mut self, later: &mut Deferred) {
        if let Some(pull) = &mut self.source {
            let consumed = std::mem::take(&mut pull.consumed);
            pull.outbox.lock().pull(pull.key, consumed, &mut self.queue, later);
        }
    }

    /// With conflation: keeps the newest message of its queue, and counts the others as consumed; says how many.
    fn conflate(&mut self, later: &mut Deferred) -> u64 {
        let stale = self.queue.len().saturating_sub(1);
        if !self.conflate || stale == 0 {
            return 0;
        }
        let newest = self.queue.pop_back();
        let stale = std::mem::replace(&mut self.queue, newest.into_iter().collect());
        if let Some(pull) = &mut self.source {
            stale.iter().for_each(|message| pull.consumed.add(1, wire_size(&[], message)));
        }
        let conflated = number(stale.len());
        later.discard(stale);
        conflated
    }

    /// The mark, its own or over inproc the peer's, has changed.
    fn set_mark(&mut self, mark: Hwm, later: &mut Deferred) {
        if let Some(Pull { outbox, key, consumed }) = &mut self.source {
            let mut outbox = outbox.lock();
            outbox.credit(*key, std::mem::take(consumed), later);
            self.hwm = outbox.set_theirs(*key, mark, later);
            return;
        }
        self.hwm = mark;
        if self.level.admits(mark, 1) {
            self.ahead = 0;
            self.blocked = false;
            later.wake_if(self.producer.take());
        }
    }

    /// The peer is gone: fetches all that is left, as if it had been consumed.
    fn finish(&mut self, later: &mut Deferred) {
        if let Some(Pull { outbox, key, consumed }) = self.source.take() {
            outbox.lock().finish(key, consumed, &mut self.queue, later);
        }
    }

    /// Empties it, as if all had been consumed; says how many messages that were.
    fn clear(&mut self, later: &mut Deferred) -> usize {
        self.fetch(later);
        let unread = self.unread();
        if let Some(pull) = &mut self.source {
            self.queue.iter().for_each(|message| pull.consumed.add(1, wire_size(&[], message)));
            let consumed = std::mem::take(&mut pull.consumed);
            pull.outbox.lock().credit(pull.key, consumed, later);
        }
        if unread > 0 {
            let queue = std::mem::take(&mut self.queue);
            later.discard((std::mem::take(&mut self.wire), queue, self.notes.take()));
        }
        self.level = Level::default();
        self.ahead = 0;
        self.blocked = false;
        later.wake_if(self.producer.take());
        unread
    }

    /// Gives the memory of a queue that has been long back, so that idle peers cost little.
    fn release(&mut self) {
        if self.queue.capacity() > 64 {
            self.queue = VecDeque::new();
        }
    }
}

impl Pull {
    /// Counts one message of `size` bytes as consumed; tells the sender at every half of the mark (C3.1).
    #[inline]
    fn credit(&mut self, size: usize, hwm: Hwm, later: &mut Deferred) {
        self.consumed.add(1, size);
        let Hwm { messages, bytes } = hwm;
        if self.consumed.messages >= messages - messages / 2 || self.consumed.bytes >= bytes - bytes / 2 {
            let consumed = std::mem::take(&mut self.consumed);
            self.outbox.lock().credit(self.key, consumed, later);
        }
    }
}

impl Inbox {
    pub(crate) fn new(mark: Hwm, announce: bool, filter: Option<Filter>) -> Self {
        Self { mark, announce, filter, budget: Budget::new(TURN), ..Self::default() }
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
    pub(crate) fn attach(&mut self, key: PeerKey, mut pipe: InPipe) {
        pipe.hwm = self.mark;
        self.pipes.insert(key, pipe);
    }

    /// Gives a peer that is yet to come its routing id.
    pub(crate) fn rename(&mut self, key: PeerKey, id: &Frame) {
        if let Some(pipe) = self.pipes.get_mut(key) {
            pipe.id = Some((&**id).into());
        }
    }

    /// The peer of a pipe is there, under this routing id.
    pub(crate) fn arrived(&mut self, key: PeerKey, id: &Frame, later: &mut Deferred) {
        if let Some(pipe) = self.pipes.get_mut(key) {
            pipe.id = Some((&**id).into());
            pipe.arrived = self.announce;
            if self.announce {
                self.activate(key, 1, later);
            }
        }
    }

    /// The peer is gone; what it sent stays readable, and counts as sent.
    pub(crate) fn end(&mut self, key: PeerKey, later: &mut Deferred) {
        let Some(mut pipe) = self.pipes.remove(key) else { return };
        pipe.paused = false;
        pipe.finish(later);
        self.conflated += pipe.conflate(later);
        let unread = pipe.unread();
        if unread > 0 || self.announce {
            self.past.insert(key, pipe);
            self.activate(key, unread.max(1), later);
        } else {
            self.active.remove(key);
        }
    }

    /// Drops a peer and all of it that is unread.
    pub(crate) fn discard(&mut self, key: PeerKey, later: &mut Deferred) {
        let (pipe, past) = (self.pipes.remove(key), self.past.remove(&key));
        match &pipe {
            // Over inproc the rest is lost at the sender, which knows it.
            Some(InPipe { source: Some(Pull { outbox, key, consumed }), .. }) => {
                outbox.lock().credit(*key, *consumed, later);
            }
            pipe => self.dropped += pipe.as_ref().map_or(0, InPipe::unread),
        }
        self.dropped += past.as_ref().map_or(0, InPipe::unread);
        self.active.remove(key);
        later.discard((pipe, past));
    }

    /// Connects an inproc pipe to where its messages come from; `receiver` is woken when some do.
    pub(crate) fn link(&mut self, key: PeerKey, pull: Pull, receiver: Waker, later: &mut Deferred) {
        if let Some(pipe) = self.pipes.get_mut(key) {
            pipe.hwm = pull.outbox.lock().link(pull.key, self.mark, receiver, later);
            pipe.source = Some(pull);
        }
    }

    /// Changes the mark of all pipes. What is queued beyond a lower one stays (C4.1, C4.2).
    pub(crate) fn set_mark(&mut self, mark: Hwm, later: &mut Deferred) {
        self.mark = mark;
        self.pipes.values_mut().for_each(|pipe| pipe.set_mark(mark, later));
    }

    /// An inproc peer has changed its mark.
    pub(crate) fn peer_mark(&mut self, key: PeerKey, later: &mut Deferred) {
        if let Some(pipe) = self.pipes.get_mut(key) {
            pipe.set_mark(self.mark, later);
        }
    }

    /// Hands over what a connection task has read, emptying `batch`; says whether it may read on.
    pub(crate) fn deliver(&mut self, key: PeerKey, batch: &mut Received, later: &mut Deferred) -> bool {
        let Some(pipe) = self.pipes.get_mut(key) else {
            self.dropped += batch.len();
            later.discard(std::mem::take(batch));
            return true;
        };
        let count = batch.len();
        if !pipe.level.admits(pipe.hwm, 1) {
            pipe.ahead += batch.bytes();
        }
        pipe.level.add(count, batch.bytes());
        pipe.wire.append(batch);
        if count > 0 {
            self.activate(key, count, later);
        }
        self.is_open(key)
    }

    /// As [`deliver`](Self::deliver), with conflation: `newest` is all that is kept of `count` messages.
    pub(crate) fn conflate(&mut self, key: PeerKey, newest: Message, count: usize, later: &mut Deferred) {
        let Some(pipe) = self.pipes.get_mut(key) else {
            self.dropped += count;
            return later.discard(newest);
        };
        pipe.queue.push_back(newest);
        self.conflated += number(count - 1) + pipe.conflate(later);
        self.activate(key, 1, later);
    }

    /// Hands over messages that did not come by a connection, an XPUB's notifications. They are
    /// never turned away, so the caller asks [`is_open`](Self::is_open) where it can.
    pub(crate) fn insert(&mut self, key: PeerKey, messages: Vec<Message>, later: &mut Deferred) {
        let Some(pipe) = self.pipes.get_mut(key) else { return };
        let count = messages.len();
        if pipe.source.is_some() {
            let notes = pipe.notes.get_or_insert_default();
            messages.into_iter().for_each(|note| notes.push(note, pipe.hwm.messages));
            return self.activate(key, count, later);
        }
        let bytes = messages.iter().map(|message| wire_size(&[], message)).sum();
        if !pipe.level.admits(pipe.hwm, 1) {
            pipe.ahead += bytes;
        }
        pipe.level.add(count, bytes);
        pipe.queue.extend(messages);
        self.activate(key, count, later);
    }

    /// Whether a pipe is below its mark, or has fallen to the low-water mark since it was not. A little
    /// is read beyond the mark, see [`READ_AHEAD`].
    pub(crate) fn is_open(&mut self, key: PeerKey) -> bool {
        let Some(pipe) = self.pipes.get_mut(key) else { return true };
        pipe.blocked |= !pipe.conflate && !pipe.level.admits(pipe.hwm, 1) && pipe.ahead >= READ_AHEAD;
        !pipe.blocked
    }

    /// As [`Inbox::is_open`]; if it is not, `waker` is woken when it is again.
    pub(crate) fn wait_open(&mut self, key: PeerKey, waker: &Waker) -> bool {
        let open = self.is_open(key);
        if !open && let Some(pipe) = self.pipes.get_mut(key) {
            pipe.producer = Some(waker.clone());
        }
        open
    }

    /// A pipe has something to say: `count` waiting receivers look again.
    pub(crate) fn activate(&mut self, key: PeerKey, count: usize, later: &mut Deferred) {
        let Some(pipe) = self.get_mut(key) else { return };
        if pipe.paused {
            return;
        }
        if !pipe.active {
            pipe.active = true;
            self.active.add(key);
        }
        self.receivers.wake(count, later);
    }

    /// Takes a peer out of the rotation, or back in; its messages wait in its pipe meanwhile.
    pub(crate) fn pause(&mut self, key: PeerKey, paused: bool, later: &mut Deferred) {
        let Some(pipe) = self.pipes.get_mut(key).filter(|pipe| pipe.paused != paused) else { return };
        pipe.paused = paused;
        if paused {
            pipe.active = false;
            self.active.remove(key);
        } else {
            let unread = pipe.unread().max(1);
            self.activate(key, unread, later);
        }
    }

    /// Takes the next message into `message`, one per peer and turn (B0.4).
    #[inline]
    pub(crate) fn pop(&mut self, message: &mut Message, later: &mut Deferred) -> Option<Popped> {
        let mut filtered = 0;
        while let Some(key) = self.active.current() {
            let Some(pipe) = self.pipes.get_mut(key).or_else(|| self.past.get_mut(&key)) else {
                self.active.drop_current();
                continue;
            };
            if pipe.arrived {
                pipe.arrived = false;
                let id = pipe.id.clone();
                self.receivers.wake(1, later);
                return Some(Popped::Arrived(key, id));
            }
            let body = self.open_envelopes && pipe.queue.is_empty() && pipe.wire.skip_delimiter();
            if pipe.pop(message, &mut self.conflated, later) {
                // A source may have more, and tells us only if it was found empty; and an end may
                // have to be announced.
                let more =
                    pipe.unread() > 0 || pipe.source.is_some() || self.active.len() > 1 || self.announce;
                self.active.advance();
                if self.filter.as_ref().is_some_and(|filter| !filter.admits(message)) {
                    filtered += 1;
                    later.discard(std::mem::take(message));
                    if filtered == STEP {
                        return Some(Popped::Filtered);
                    }
                    continue;
                }
                self.received += 1;
                if self.active.len() >= MANY && self.received.is_multiple_of(AHEAD as u64) {
                    self.look_ahead();
                }
                if more {
                    // A wake-up may have stood for more than one message: it travels on.
                    self.receivers.wake(1, later);
                }
                return Some(if body { Popped::Body(key) } else { Popped::Message(key) });
            }
            pipe.active = false;
            pipe.release();
            self.active.drop_current();
            if !self.past.is_empty()
                && let Some(pipe) = self.past.remove(&key)
                && self.announce
            {
                return Some(Popped::Gone(key, pipe.id));
            }
        }
        None
    }

    /// Fetches the next messages, which many peers have in as many places, none of them in the processor's cache: the
    /// lock would wait for each, here they wait together (1 PULL with 1,000 PUSH: 224 ns of CPU a message instead
    /// of 364 on multi_thread).
    #[inline(never)]
    fn look_ahead(&self) {
        for key in self.active.iter().take(AHEAD) {
            if let Some(pipe) = self.pipes.get(key) {
                pipe.wire.fetch();
            }
        }
    }

    /// Whether the receiver has had its turn and lets other tasks run first.
    #[inline]
    pub(crate) fn turn_is_over(&mut self) -> bool {
        let over = self.budget.is_spent();
        if over {
            self.budget = Budget::new(self.next_turn());
        } else {
            self.budget.spend(1);
        }
        over
    }

    #[inline(never)]
    fn next_turn(&self) -> usize {
        let left = self.active.current().and_then(|key| self.get(key)).map_or(0, InPipe::unread);
        (SHARE + left).saturating_mul(self.active.len()).max(TURN)
    }

    /// Whether [`pop`](Self::pop) would find something, where nothing is filtered.
    pub(crate) fn has_next(&mut self, later: &mut Deferred) -> bool {
        while let Some(key) = self.active.current() {
            // One of the past has at least its end to be told.
            let past = self.past.contains_key(&key);
            if let Some(pipe) = self.get_mut(key) {
                if pipe.unread() == 0 {
                    pipe.fetch(later);
                }
                if past || pipe.arrived || pipe.unread() > 0 {
                    return true;
                }
                pipe.active = false;
            }
            self.active.drop_current();
        }
        false
    }

    /// Puts a message back where it came from, as if it had not been received.
    pub(crate) fn unpop(&mut self, key: PeerKey, message: Message, later: &mut Deferred) {
        if let Some(pipe) = self.get_mut(key) {
            let size = wire_size(&[], &message);
            pipe.received = pipe.received.saturating_sub(1);
            match (&mut pipe.source, &mut pipe.notes) {
                // An XPUB receives nothing else that begins so.
                (_, Some(notes)) if matches!(message.first().first(), Some(0 | 1)) => notes.unpop(message),
                (source, _) => {
                    match source {
                        None => pipe.level.add(1, size),
                        // If the sender has been told already, it may send one more than it should.
                        Some(pull) => pull.consumed.sub(1, size),
                    }
                    pipe.queue.push_front(message);
                }
            }
            self.received = self.received.saturating_sub(1);
            self.activate(key, 1, later);
        }
    }

    /// Drops everything unread, of all peers; says how many messages.
    pub(crate) fn clear(&mut self, later: &mut Deferred) -> usize {
        let mut dropped = 0;
        for _ in 0..self.active.len() {
            let Some(key) = self.active.current() else { break };
            // A source tells us of more only if it was found empty: such a pipe keeps its turn.
            self.active.advance();
            if let Some(pipe) = self.get_mut(key) {
                dropped += pipe.clear(later);
            }
        }
        dropped
    }

    /// Queues a receiver up, to be woken for the next message.
    pub(crate) fn wait(&mut self, slot: &mut Slot, waker: &Waker, later: &mut Deferred) {
        self.receivers.wait(slot, None, waker, later);
    }

    /// A receiver found its message.
    #[inline]
    pub(crate) fn done(&mut self, slot: &mut Slot, later: &mut Deferred) {
        self.receivers.done(slot, later);
    }

    /// A receiver goes away without having looked.
    pub(crate) fn forget(&mut self, slot: &mut Slot, later: &mut Deferred) {
        self.receivers.forget(slot, later);
    }

    /// Deferred everybody, to look at something other than a message.
    pub(crate) fn wake_all(&mut self, later: &mut Deferred) {
        self.receivers.wake_all(later);
    }

    /// Ends receiving: what is unread is dropped (C5.3), whoever waits learns of it.
    pub(crate) fn close(&mut self, later: &mut Deferred) {
        self.closed = true;
        for pipe in self.pipes.values_mut() {
            later.wake_if(pipe.producer.take());
        }
        self.left = self.pipes.values().chain(self.past.values()).map(InPipe::unread).sum();
        self.dropped += self.left;
        later.discard((std::mem::take(&mut self.pipes), std::mem::take(&mut self.past)));
        self.active = Rotation::default();
        self.receivers.wake_all(later);
    }

    /// Messages of all peers, past ones included, that wait to be received.
    pub(crate) fn unread(&self) -> usize {
        self.pipes.values().chain(self.past.values()).map(InPipe::counted).sum()
    }
}

#[cfg(all(test, not(sinew_loom)))]
mod tests {
    use slotmap::SlotMap;

    use super::*;

    fn next(inbox: &mut Inbox) -> Option<Message> {
        let mut message = Message::new();
        let popped = inbox.pop(&mut message, &mut Deferred::new())?;
        assert!(matches!(popped, Popped::Message(_)), "{popped:?}");
        Some(message)
    }

    #[test]
    fn b0_6_a_newcomer_in_the_place_of_one_that_left_does_not_take_its_unread_messages_along() {
        let mut keys = SlotMap::<PeerKey, ()>::with_key();
        let mut inbox = Inbox::new(Hwm::new(0, 0), false, None);
        let mut later = Deferred::new();
        let mut join = |inbox: &mut Inbox, keys: &mut SlotMap<PeerKey, ()>, message: &str| {
            let key = keys.insert(());
            inbox.attach(key, InPipe::new(false));
            inbox.insert(key, vec![message.into()], &mut later);
            key
        };
        let old = join(&mut inbox, &mut keys, "old");
        inbox.end(old, &mut Deferred::new());
        keys.remove(old);
        join(&mut inbox, &mut keys, "new");
        assert_eq!(inbox.len(), 2);
        assert_eq!(
            [next(&mut inbox), next(&mut inbox), next(&mut inbox)],
            [Some("old".into()), Some("new".into()), None]
        );
        assert_eq!(inbox.len(), 1);
        later.run();
    }
}

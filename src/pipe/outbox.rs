//! What a socket has accepted and not yet handed to its peers.

use std::collections::VecDeque;
use std::task::Waker;

use slotmap::SlotMap;
use tokio::time::Instant;

use crate::message::{Frame, Message};
use crate::monitor::DropReason;
use crate::routing::{FanOut, PeerKey, Rotation, Route};

use super::budget::Budget;
use super::out_pipe::{Control, OutPipe, Queued};
use super::publish::Publishing;
use super::wire::BY_REFERENCE;
use super::{AHEAD, Deferred, Hwm, Level, MANY, STEP, Slot, WaitQueue, WireBuf};

/// Messages for each of many peers in a sender's turn: a write for fewer costs more than the messages in it. With 128
/// instead of 64, 1 PUSH to 1,000 PULL on multi_thread: 120 ns of CPU a message instead of 187, to 8 PULL on
/// current_thread 69 instead of 110.
const SHARE: usize = 128;

/// The outbound side of one socket: a pipe for each peer, the policy that picks among them, and
/// the tasks waiting for room.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(crate) pipes: SlotMap<PeerKey, OutPipe>,
    pub(crate) route: Route,
    pub(crate) senders: WaitQueue,
    pub(crate) counters: OutCounters,
    /// Pipes that have begun to miss messages at their mark; whoever tells the monitors is woken for them.
    missing: Vec<PeerKey>,
    pub(crate) reporter: Option<Waker>,
    /// What each pipe may hold, of our own.
    mark: Hwm,
    closed: bool,
    /// Messages that closing has lost; whoever waits for the end of it is told the same.
    pub(crate) undelivered: usize,
    pub(super) publishing: Publishing,
    /// A sender's turn, and how many messages that is.
    budget: Budget,
    turn: usize,
}

/// Totals over all peers, past ones included.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct OutCounters {
    /// Messages handed to the operating system, or to an inproc peer.
    pub(crate) sent: u64,
    /// Messages dropped because a pipe was full.
    pub(crate) dropped_full: u64,
    /// Messages for which there was no peer.
    pub(crate) dropped_no_peer: u64,
    /// Messages queued for, or half-way to, a peer that went away.
    pub(crate) dropped_disconnect: u64,
    /// Messages that linger ran out on.
    pub(crate) dropped_linger: u64,
    /// How often a pipe reached its high-water mark.
    pub(crate) full: u64,
}

impl OutCounters {
    /// Counts messages that were accepted and then lost.
    pub(crate) fn lost(&mut self, reason: DropReason, messages: usize) {
        match reason {
            DropReason::Linger => self.dropped_linger += count(messages),
            _ => self.dropped_disconnect += count(messages),
        }
    }
}

/// Why a message was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// All peers that could take it are at their high-water mark.
    Full,
    /// The one peer that it is for is.
    PeerFull(PeerKey),
    /// There is no peer to take it.
    NoPeer,
    /// The peer that it names is not there.
    Unroutable,
    /// The conversation is not at this point.
    OutOfTurn,
    /// It is a subscription, which is state and no message (XSUB).
    Subscription,
    /// The socket is closed.
    Closed,
    /// The sender has had its turn: it lets other tasks run, then tries again.
    Yield,
}

/// What [`Outbox::fetch`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// Something to write.
    Something,
    /// Nothing; the consumer is woken when there is.
    Nothing,
    /// Nothing, and there will be nothing any more.
    Finished,
}

impl Outbox {
    /// `turn` is how many sends in a row a task makes before it lets others run. Without it a
    /// current_thread runtime would never get to write what a busy sender queues.
    pub(crate) fn new(route: Route, mark: Hwm, turn: usize) -> Self {
        Self {
            pipes: SlotMap::with_key(),
            route,
            senders: WaitQueue::default(),
            counters: OutCounters::default(),
            missing: Vec::new(),
            reporter: None,
            mark,
            closed: false,
            undelivered: 0,
            publishing: Publishing::default(),
            budget: Budget::new(turn),
            turn,
        }
    }

    pub(crate) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Adds a peer.
    pub(crate) fn attach(&mut self, mut pipe: OutPipe, later: &mut Deferred) -> PeerKey {
        pipe.hwm = self.mark;
        let key = self.pipes.insert(pipe);
        self.route.writable(key);
        self.senders.wake(usize::MAX, later);
        key
    }

    /// Takes a peer out with all that is queued for it; says how many messages that were.
    pub(crate) fn detach(&mut self, key: PeerKey, later: &mut Deferred) -> usize {
        self.route.remove(key);
        let Some(pipe) = self.pipes.remove(key) else { return 0 };
        let lost = pipe.level.messages;
        later.discard(pipe);
        self.left(key, later);
        lost
    }

    /// Whoever waits for that peer has to learn that it is going, and who waits for any, that there are fewer.
    fn left(&mut self, key: PeerKey, later: &mut Deferred) {
        self.senders.wake_for(key, usize::MAX, later);
        self.senders.wake(usize::MAX, later);
    }

    /// Sends to the next peer that has room.
    #[inline]
    pub(crate) fn balance(
        &mut self,
        prefix: &[Frame],
        message: &mut Message,
        later: &mut Deferred,
    ) -> Result<PeerKey, Refusal> {
        self.turn()?;
        let Route::Balance(ready) = &mut self.route else { return Err(Refusal::NoPeer) };
        let size = wire_size(prefix, message);
        while let Some(key) = ready.current() {
            let Some(pipe) = self.pipes.get_mut(key) else {
                ready.drop_current();
                continue;
            };
            if !pipe.has_room(size) {
                pipe.block();
                self.counters.full += 1;
                ready.drop_current();
                continue;
            }
            self.counters.dropped_full += pipe.push(prefix, message, size, later);
            pipe.wake(later);
            ready.advance();
            if ready.len() >= MANY && self.budget.slice().is_multiple_of(AHEAD) {
                look_ahead(&mut self.pipes, ready);
            }
            self.spend(size);
            return Ok(key);
        }
        Err(if self.pipes.is_empty() { Refusal::NoPeer } else { Refusal::Full })
    }

    /// Sends to one given peer.
    pub(crate) fn send_to(
        &mut self,
        key: PeerKey,
        prefix: &[Frame],
        message: &mut Message,
        later: &mut Deferred,
    ) -> Result<(), Refusal> {
        self.turn()?;
        let size = wire_size(prefix, message);
        match self.pipes.get_mut(key) {
            Some(pipe) if pipe.closing.is_some() => Err(Refusal::NoPeer),
            None => Err(Refusal::NoPeer),
            Some(pipe) if !pipe.has_room(size) => {
                pipe.block();
                self.counters.full += 1;
                Err(Refusal::PeerFull(key))
            }
            Some(pipe) => {
                self.counters.dropped_full += pipe.push(prefix, message, size, later);
                pipe.wake(later);
                self.spend(size);
                Ok(())
            }
        }
    }

    /// Whether a full subscriber holds the publisher up.
    pub(super) fn waits_for_all(&self) -> bool {
        matches!(&self.route, Route::Fan(fan) if fan.waits_for_all)
    }

    /// A message for a full pipe is dropped. The first since it had room is told to the monitors.
    pub(crate) fn miss(&mut self, key: PeerKey, later: &mut Deferred) {
        self.counters.dropped_full += 1;
        let Some(pipe) = self.pipes.get_mut(key) else { return };
        pipe.dropped += 1;
        if !pipe.missed {
            pipe.missed = true;
            self.missing.push(key);
            later.wake_if(self.reporter.clone());
        }
    }

    /// The pipes that have begun to miss messages since this was asked last.
    pub(crate) fn take_missing(&mut self) -> Vec<PeerKey> {
        std::mem::take(&mut self.missing)
    }

    /// Whether the peers that a send would go to have room for one more message. One that was found full has none before
    /// it has fallen to its low-water mark, however small the message.
    pub(crate) fn has_room(&self) -> bool {
        let least = WireBuf::wire_size(0);
        match &self.route {
            Route::Balance(ready) => {
                ready.iter().any(|key| self.pipes.get(key).is_some_and(|pipe| pipe.has_room(least)))
            }
            // Any of them may match; one that has subscribed to nothing has room.
            Route::Fan(fan) if fan.waits_for_all => {
                let mut takers = self.pipes.values().filter(|pipe| pipe.closing.is_none());
                takers.all(|pipe| !pipe.blocked && pipe.has_room(least))
            }
            Route::Fan(_) | Route::All | Route::Named(_) | Route::Nothing => true,
        }
    }

    /// Counts a message of `size` bytes against the sender's turn: large ones for several, so that they are written
    /// while they are still in the processor's cache. That is 512 KiB a turn, and 2 MiB of messages large enough not to be
    /// copied: 64 KiB go at 8.9 GB/s instead of 7.2, and just made at 6.8 instead of 5.7 (with 64 MiB a turn 2.9).
    #[inline]
    pub(super) fn spend(&mut self, size: usize) {
        self.budget.spend(1 + if size < BY_REFERENCE { size / 512 } else { size / 2048 });
    }

    #[inline]
    pub(super) fn turn(&mut self) -> Result<(), Refusal> {
        if self.closed {
            Err(Refusal::Closed)
        } else if self.budget.is_spent() {
            // Shared between many peers, a turn is long enough for each to get a few messages, and not a write for each.
            let each = if matches!(self.route, Route::Balance(_)) { self.turn.min(SHARE) } else { 0 };
            self.budget = Budget::new(self.turn.max(each.saturating_mul(self.pipes.len())));
            Err(Refusal::Yield)
        } else {
            Ok(())
        }
    }

    /// For one who writes in the consumer's place: takes what is queued, if that is all that there is to do.
    #[inline]
    pub(crate) fn take(&mut self, key: PeerKey, wire: &mut WireBuf) -> bool {
        let Some(pipe) = self.pipes.get_mut(key).filter(|pipe| pipe.control.is_empty() && wire.is_empty())
        else {
            return false;
        };
        pipe.fetch_into(wire);
        !wire.is_empty()
    }

    /// For the consumer behind a connection: takes what is queued, if `wire` is empty, and the subscriptions that wait;
    /// who does not want those finds that something is there. Where there is nothing, `waker` is woken for more. Says,
    /// too, until when what is queued is written if the pipe is closing.
    pub(crate) fn fetch(
        &mut self,
        key: PeerKey,
        wire: &mut WireBuf,
        control: Option<&mut Vec<Control>>,
        waker: &Waker,
    ) -> (Fetched, Option<Instant>) {
        let Some(pipe) = self.pipes.get_mut(key) else { return (Fetched::Finished, None) };
        pipe.listen(waker);
        let control_waits = !pipe.control.is_empty();
        if control_waits && let Some(control) = control {
            control.extend(pipe.control.drain(..pipe.control.len().min(STEP)));
        }
        pipe.fetch_into(wire);
        let fetched = if !wire.is_empty() || control_waits {
            Fetched::Something
        } else if pipe.closing.is_some() {
            Fetched::Finished
        } else {
            pipe.idle = true;
            Fetched::Nothing
        };
        (fetched, pipe.closing)
    }

    /// Gives up memory that an idle peer does not need.
    pub(crate) fn shrink(&mut self, key: PeerKey) {
        if let Some(pipe) = self.pipes.get_mut(key) {
            pipe.shrink();
        }
    }

    /// The connection to `key` is no more: nobody is woken for it.
    pub(crate) fn abandon(&mut self, key: PeerKey, later: &mut Deferred) {
        if let Some(pipe) = self.pipes.get_mut(key) {
            pipe.idle = false;
            later.discard(pipe.consumer.take());
        }
    }

    /// For an inproc receiver: credits what it has consumed, and takes all that is queued.
    pub(crate) fn pull(
        &mut self,
        key: PeerKey,
        consumed: Level,
        into: &mut VecDeque<Message>,
        later: &mut Deferred,
    ) {
        self.credit(key, consumed, later);
        if let Some(pipe) = self.pipes.get_mut(key)
            && let Queued::Messages(queue) = &mut pipe.queue
        {
            if into.is_empty() {
                std::mem::swap(into, queue);
            } else {
                into.append(queue);
            }
            pipe.idle = into.is_empty();
        }
    }

    /// As [`Outbox::pull`], for the last time: what has been fetched counts as consumed.
    pub(crate) fn finish(
        &mut self,
        key: PeerKey,
        consumed: Level,
        into: &mut VecDeque<Message>,
        later: &mut Deferred,
    ) {
        self.pull(key, consumed, into, later);
        let fetched = self.pipes.get(key).map_or_else(Level::default, OutPipe::level);
        self.credit(key, fetched, later);
    }

    /// The consumer is done with this much of a pipe.
    pub(crate) fn credit(&mut self, key: PeerKey, written: Level, later: &mut Deferred) {
        if written != Level::default() {
            self.counters.sent += count(written.messages);
            if let Some(pipe) = self.free(key, written, later) {
                pipe.sent += count(written.messages);
            }
        }
    }

    /// Room has come free in a pipe.
    fn free(&mut self, key: PeerKey, freed: Level, later: &mut Deferred) -> Option<&mut OutPipe> {
        let Self { pipes, route, senders, .. } = self;
        let pipe = pipes.get_mut(key)?;
        pipe.level.sub(freed.messages, freed.bytes);
        if pipe.level.is_low(pipe.hwm) {
            open(key, pipe, route, senders, later);
        }
        Some(pipe)
    }

    /// Puts back what a broken connection had not written. What it had `begun` to write is dropped already, whole, and
    /// counted (C6.5).
    pub(crate) fn put_back(&mut self, key: PeerKey, wire: WireBuf, begun: Level, later: &mut Deferred) {
        self.free(key, begun, later);
        let lost = begun.messages;
        self.counters.dropped_disconnect += count(lost);
        if let Some(pipe) = self.pipes.get_mut(key) {
            pipe.dropped += count(lost);
            pipe.control.clear();
            pipe.live = false;
            pipe.topics = Level::default();
            pipe.consumer = None;
            pipe.idle = false;
            let freed = pipe.put_back(wire, lost > 0, later);
            self.free(key, freed, later);
        }
    }

    /// Connects an inproc pipe to its receiver; gives back the pipe's mark.
    pub(crate) fn link(&mut self, key: PeerKey, theirs: Hwm, receiver: Waker, later: &mut Deferred) -> Hwm {
        if let Some(pipe) = self.pipes.get_mut(key) {
            pipe.consumer = Some(receiver);
            pipe.idle = true;
            if pipe.level.messages > 0 {
                pipe.wake(later);
            }
        }
        self.set_theirs(key, theirs, later)
    }

    /// The receiver's mark of an inproc pipe; gives back the pipe's, which is both summed (C2.2).
    pub(crate) fn set_theirs(&mut self, key: PeerKey, theirs: Hwm, later: &mut Deferred) -> Hwm {
        let hwm = self.mark.sum(theirs);
        let Self { pipes, route, senders, .. } = self;
        if let Some(pipe) = pipes.get_mut(key) {
            pipe.theirs = theirs;
            pipe.hwm = hwm;
            // C2.3: a sender that waits at the smaller limit goes on.
            if pipe.has_room(0) {
                open(key, pipe, route, senders, later);
            }
        }
        hwm
    }

    /// Changes the mark of all pipes. What is queued beyond a lower one stays (C4.1, C4.2).
    pub(crate) fn set_mark(&mut self, mark: Hwm, later: &mut Deferred) {
        self.mark = mark;
        self.turn = mark.turn();
        self.budget = Budget::new(self.turn);
        for key in self.pipes.keys().collect::<Vec<_>>() {
            let theirs = self.pipes[key].theirs;
            self.set_theirs(key, theirs, later);
        }
    }

    /// Takes no more messages for `key`; what is queued is written until `deadline`.
    pub(crate) fn close_pipe(&mut self, key: PeerKey, deadline: Instant, later: &mut Deferred) {
        self.route.remove(key);
        if let Some(pipe) = self.pipes.get_mut(key) {
            pipe.closing = Some(pipe.closing.map_or(deadline, |earlier| earlier.min(deadline)));
            later.wake_if(pipe.consumer.clone());
        }
        self.left(key, later);
    }

    /// Takes no more messages at all.
    pub(crate) fn close(&mut self, deadline: Instant, later: &mut Deferred) {
        self.closed = true;
        for key in self.pipes.keys().collect::<Vec<_>>() {
            self.close_pipe(key, deadline, later);
        }
        self.senders.wake_all(later);
    }

    /// After a refusal: queues the sender up where waiting helps, and says whether it does.
    pub(crate) fn wait(
        &mut self,
        refusal: Refusal,
        slot: &mut Slot,
        waker: &Waker,
        later: &mut Deferred,
    ) -> bool {
        match refusal {
            Refusal::Yield => later.wake(waker.clone()),
            Refusal::Full | Refusal::NoPeer => self.senders.wait(slot, None, waker, later),
            Refusal::PeerFull(peer) => self.senders.wait(slot, Some(peer), waker, later),
            Refusal::Unroutable | Refusal::OutOfTurn | Refusal::Subscription | Refusal::Closed => {
                self.senders.done(slot, later);
                return false;
            }
        }
        true
    }

    /// A peer holds one topic more, or less.
    pub(crate) fn count_topic(&mut self, key: PeerKey, more: bool, bytes: usize, later: &mut Deferred) {
        if let Some(pipe) = self.pipes.get_mut(key) {
            if more {
                pipe.topics.add(1, bytes);
            } else {
                pipe.topics.sub(1, bytes);
            }
            // Whoever waits for subscribers looks again.
            self.senders.wake(usize::MAX, later);
        }
    }

    /// Peers that have subscribed to something.
    pub(crate) fn subscribers(&self) -> usize {
        self.pipes.values().filter(|pipe| pipe.topics.messages > 0).count()
    }

    /// Peers that are there.
    pub(crate) fn live(&self) -> usize {
        self.pipes.values().filter(|pipe| pipe.live).count()
    }

    /// Whether a peer is there, and neither about to leave nor only expected.
    pub(crate) fn is_here(&self, key: PeerKey) -> bool {
        self.pipes.get(key).is_some_and(|pipe| pipe.live && pipe.closing.is_none())
    }

    /// Messages accepted and neither written nor dropped.
    pub(crate) fn queued(&self) -> usize {
        self.pipes.values().map(|pipe| pipe.level.messages).sum()
    }

    /// The fan-out table of a publisher.
    pub(crate) fn fan(&mut self) -> Option<&mut FanOut> {
        match &mut self.route {
            Route::Fan(fan) => Some(fan),
            _ => None,
        }
    }
}

/// A pipe has room for those who wait.
#[inline]
fn open(key: PeerKey, pipe: &mut OutPipe, route: &mut Route, senders: &mut WaitQueue, later: &mut Deferred) {
    pipe.missed = false;
    if pipe.blocked {
        pipe.blocked = false;
        if pipe.closing.is_none() {
            route.writable(key);
        }
    }
    // Also where it was not found full: those woken for the last room have filled it without
    // looking again, and others still wait.
    let room = pipe.hwm.messages.saturating_sub(pipe.level.messages);
    match route {
        Route::Balance(_) => senders.wake(room, later),
        Route::Named(_) | Route::Nothing => senders.wake_for(key, room, later),
        // Each waits for all.
        Route::Fan(_) | Route::All => senders.wake(usize::MAX, later),
    }
}

/// Fetches what the next messages are written to. The queues of many peers are not in the processor's cache, and the
/// lock's release waits for each write to memory; here several wait together (1 PUSH to 1,000 PULL: 103 ns of CPU a
/// message instead of 200 on current_thread).
#[inline(never)]
fn look_ahead(pipes: &mut SlotMap<PeerKey, OutPipe>, ready: &Rotation) {
    for key in ready.iter().take(AHEAD) {
        if let Some(pipe) = pipes.get_mut(key) {
            pipe.fetch();
        }
    }
}

/// The bytes that a message takes on the wire, which is what the byte budget counts.
#[inline]
pub(crate) fn wire_size(prefix: &[Frame], message: &Message) -> usize {
    if prefix.is_empty() && message.frame_count() == 1 {
        return WireBuf::wire_size(message.first().len());
    }
    let frames = prefix.iter().chain(message.frames());
    frames.fold(0, |sum, frame| sum.saturating_add(WireBuf::wire_size(frame.len())))
}

pub(super) fn count(messages: usize) -> u64 {
    u64::try_from(messages).unwrap_or(u64::MAX)
}

pub(super) fn with_prefix(prefix: &[Frame], mut message: Message) -> Message {
    for frame in prefix.iter().rev() {
        message.push_front(frame.clone());
    }
    message
}

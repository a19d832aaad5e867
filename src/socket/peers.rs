//! Peers that come, subscribe and go: what the engine tells a socket.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::time::Instant;

use super::{Conversation, Core, Tally, inproc};
use crate::message::{Frame, Message};
use crate::monitor::{DropReason, EventKind, PeerInfo, Refused};
use crate::options::Verbosity;
use crate::pipe::{Control, Deferred, InPipe, Level, OutPipe, Outbox, WireBuf};
use crate::proto::{ProtocolError, Received};
use crate::routing::{Inserted, PeerKey, Removed, Route};

/// What is known of a peer besides its pipes.
#[derive(Debug, Clone)]
pub(crate) struct PeerEntry {
    /// The endpoint of ours that it belongs to.
    pub(crate) endpoint: Arc<str>,
    /// `None` while a connecting socket has not met it.
    pub(crate) info: Option<Arc<PeerInfo>>,
    /// Over inproc: the peer itself, and the key under which it knows us.
    pub(crate) remote: Option<(Arc<Core>, PeerKey)>,
}

/// The pipe that an arriving peer gets.
#[allow(clippy::large_enum_variant, reason = "made once for each connection and taken apart at once")]
pub(crate) enum Pipe {
    /// The one made when the socket connected (B0.3).
    Made(PeerKey),
    /// A new one.
    New(OutPipe, InPipe),
}

impl Core {
    /// A pipe to a peer behind a connection.
    pub(crate) fn wire_pipe(&self) -> Pipe {
        let conflate = self.specific.conflate;
        Pipe::New(OutPipe::wire(conflate), InPipe::new(conflate))
    }

    /// Makes the pipe of a peer that is yet to be met: it takes its share of messages at once (B0.3), and
    /// with a routing id given to it, messages addressed to it (B4.4).
    pub(crate) fn expect(
        &self,
        endpoint: &Arc<str>,
        out: OutPipe,
        inp: InPipe,
        name_it: &[u8],
    ) -> Result<PeerKey, Refused> {
        // A newcomer may take a name over, but no connection that is yet to be made (B4.5).
        let taken = match &self.outbox.lock().route {
            Route::Named(ids) => ids.get(name_it).is_some(),
            _ => false,
        };
        if taken {
            return Err(Refused::RoutingIdInUse);
        }
        let mut later = Deferred::new();
        let key = {
            let _subscriptions = self.subscriptions.lock();
            self.attach(endpoint, None, out, inp, &mut later)?
        };
        if !name_it.is_empty() {
            match self.name(key, name_it, false, &mut later) {
                Ok(Some(id)) => self.inbox.lock().rename(key, &id),
                Ok(None) => {}
                Err(refused) => {
                    self.withdraw(key, &mut later);
                    later.run();
                    return Err(refused);
                }
            }
        }
        later.run();
        Ok(key)
    }

    /// Takes a peer in; from here on it can be sent to and received from.
    pub(crate) fn admit(
        &self,
        endpoint: &Arc<str>,
        info: &Arc<PeerInfo>,
        pipe: Pipe,
    ) -> Result<PeerKey, Refused> {
        let mut later = Deferred::new();
        // Held throughout, so that no subscription falls between the replay and the live ones.
        let subscriptions = self.subscriptions.lock();
        let (key, new) = match pipe {
            Pipe::Made(key) => (key, false),
            Pipe::New(out, inp) => (self.attach(endpoint, Some(info), out, inp, &mut later)?, true),
        };
        let named = self.name(key, &info.routing_id, new, &mut later);
        match named {
            Ok(Some(id)) => self.inbox.lock().arrived(key, &id, &mut later),
            Ok(None) => {}
            Err(refused) => {
                if new {
                    self.withdraw(key, &mut later);
                }
                drop(subscriptions);
                later.run();
                return Err(refused);
            }
        }
        if let Some(entry) = self.peers.lock().get_mut(key) {
            entry.info = Some(info.clone());
        }
        let topics = subscriptions.keys().map(|topic| Control { subscribe: true, topic: topic.clone() });
        let topics = topics.collect();
        self.outbox.lock().greet(key, self.greeting(), topics, &mut later);
        drop(subscriptions);
        later.run();
        Ok(key)
    }

    /// Undoes `attach` for a peer that turns out not to be wanted.
    fn withdraw(&self, key: PeerKey, later: &mut Deferred) {
        self.outbox.lock().detach(key, later);
        self.inbox.lock().discard(key, later);
        let entry = self.peers.lock().remove(key);
        // After the lock: it may be the last to hold what its peer's user gave.
        drop(entry);
    }

    fn attach(
        &self,
        endpoint: &Arc<str>,
        info: Option<&Arc<PeerInfo>>,
        out: OutPipe,
        inp: InPipe,
        later: &mut Deferred,
    ) -> Result<PeerKey, Refused> {
        let present = self.inbox.lock().len();
        if !self.options.admits(present) {
            return Err(Refused::TooManyConnections);
        }
        // The order matters: once the pipe is in the outbox a sender may use it, and a reply may
        // come as soon as the connection task runs, which is after this.
        let key = {
            let mut outbox = self.outbox.lock();
            if outbox.is_closed() {
                return Err(Refused::Closing);
            }
            if self.pattern.exclusive && !outbox.pipes.is_empty() {
                return Err(Refused::PairTaken);
            }
            outbox.attach(out, later)
        };
        self.inbox.lock().attach(key, inp);
        let entry = PeerEntry { endpoint: endpoint.clone(), info: info.cloned(), remote: None };
        self.peers.lock().insert(key, entry);
        Ok(key)
    }

    /// Gives a ROUTER's peer its routing id (B4.2); a connecting ROUTER's peer keeps the one it has.
    fn name(
        &self,
        key: PeerKey,
        wanted: &[u8],
        new: bool,
        later: &mut Deferred,
    ) -> Result<Option<Frame>, Refused> {
        let mut outbox = self.outbox.lock();
        let Route::Named(ids) = &mut outbox.route else { return Ok(None) };
        if !new && ids.contains(key) {
            return Ok(None);
        }
        let id = match ids.insert(wanted, key) {
            Ok(id) => id,
            Err(taken) if self.specific.handover => {
                ids.remove(taken.0);
                let id = ids.insert(wanted, key).map_err(|_| Refused::RoutingIdInUse)?;
                outbox.close_pipe(taken.0, Instant::now(), later);
                drop(outbox);
                // Over inproc there is no task that would end it.
                if inproc::unlink(self, taken.0, false) {
                    self.depart(taken.0, false, DropReason::Disconnect);
                }
                id
            }
            Err(_) => return Err(Refused::RoutingIdInUse),
        };
        Ok(Some(id))
    }

    /// The message that opens a new connection, if any (B3.3, B5.15).
    fn greeting(&self) -> Option<Message> {
        let pattern = &self.specific;
        let probe = pattern.probe_router.then(Message::new);
        probe.or_else(|| pattern.hello.clone().map(Message::from))
    }

    /// Takes what a peer has sent, emptying `batch`; says whether to read on. An error is a limit that it exceeds.
    pub(crate) fn deliver(&self, key: PeerKey, batch: &mut Received) -> Result<bool, ProtocolError> {
        let within = (self.pattern.arrive)(self, key, batch);
        let mut later = Deferred::new();
        let count = batch.len();
        let newest = if self.specific.conflate { batch.last() } else { None };
        let open = {
            let mut inbox = self.inbox.lock();
            match newest {
                Some(newest) => {
                    inbox.conflate(key, newest, count, &mut later);
                    true
                }
                None => inbox.deliver(key, batch, &mut later),
            }
        };
        later.run();
        within.map(|()| open)
    }

    /// Hands the application messages that did not come by a connection.
    pub(crate) fn insert(&self, key: PeerKey, messages: Vec<Message>) {
        if !messages.is_empty() {
            let mut later = Deferred::new();
            self.inbox.lock().insert(key, messages, &mut later);
            later.run();
        }
    }

    /// A peer behind a connection subscribes or unsubscribes; an error is a limit that it exceeds.
    pub(crate) fn subscribed(
        &self,
        key: PeerKey,
        subscribe: bool,
        topic: &[u8],
    ) -> Result<(), ProtocolError> {
        let limits = &self.specific.subscriptions;
        if subscribe {
            limits.check_topic(topic.len())?;
        }
        let mut later = Deferred::new();
        self.note_subscription(key, subscribe, topic, &mut later);
        later.run();
        let held = self.outbox.lock().pipes.get(key).map_or_else(Level::default, OutPipe::topics);
        limits.check(held)
    }

    /// A peer subscribes or unsubscribes; an XPUB's application learns of it (B5.6–B5.9).
    pub(crate) fn note_subscription(
        &self,
        key: PeerKey,
        subscribe: bool,
        topic: &[u8],
        later: &mut Deferred,
    ) {
        let news = {
            let mut outbox = self.outbox.lock();
            // A peer that is leaving: what it holds is being taken out.
            if outbox.pipes.get(key).is_none_or(|pipe| pipe.closing().is_some()) {
                return;
            }
            let Some(fan) = outbox.fan() else {
                Tally::count(&self.tally.unexpected, 1);
                return;
            };
            let (news, held) = if subscribe {
                let inserted = fan.subscribe(topic, key);
                (self.is_news(inserted), inserted != Inserted::Already)
            } else {
                let removed = fan.cancel(topic, key);
                (self.is_last_news(removed), removed != Removed::NotHeld)
            };
            if held {
                outbox.count_topic(key, subscribe, topic.len(), later);
            }
            news
        };
        if news {
            self.inbox.lock().insert(key, vec![notification(subscribe, topic)], later);
        }
    }

    fn is_news(&self, inserted: Inserted) -> bool {
        let pattern = &self.specific;
        let wanted =
            pattern.manual || pattern.verbosity != Verbosity::FirstAndLast || inserted == Inserted::First;
        self.pattern.hears_subscriptions && wanted
    }

    fn is_last_news(&self, removed: Removed) -> bool {
        let pattern = &self.specific;
        let wanted = match removed {
            Removed::Last => true,
            Removed::Held => pattern.manual || pattern.verbosity == Verbosity::Everything,
            Removed::NotHeld => pattern.manual,
        };
        self.pattern.hears_subscriptions && wanted
    }

    /// A peer's subscriptions end with its connection (B5.10). In steps, for they may be many, and others wait for the
    /// lock; the peer is closed, or has no connection, so it gets no new ones meanwhile.
    pub(crate) fn unsubscribe_all(&self, key: PeerKey, later: &mut Deferred) {
        for step in 1_u32.. {
            let mut notes = Vec::new();
            let more = self.outbox.lock().fan().is_some_and(|fan| {
                fan.remove(key, |topic, last| {
                    let removed = if last { Removed::Last } else { Removed::Held };
                    if self.is_last_news(removed) {
                        notes.push(notification(false, topic));
                    }
                })
            });
            if !notes.is_empty() {
                self.inbox.lock().insert(key, notes, later);
            }
            if !more {
                return;
            }
            // Who waits for the lock looks now and then, and would miss the moment. Who waits on the same processor
            // needs it; but on a busy one that can cost a time slice, so not after each step.
            if step.is_multiple_of(16) {
                std::thread::yield_now();
            } else {
                (0..32).for_each(|_| std::hint::spin_loop());
            }
        }
    }

    /// The connection of a connecting socket broke: its pipe stays, with what was not written (C6.4).
    pub(crate) fn interrupted(&self, key: PeerKey, mut unwritten: WireBuf) {
        let mut later = Deferred::new();
        self.unsubscribe_all(key, &mut later);
        let (lost, bytes) = unwritten.drop_partial();
        let left = {
            let mut outbox = self.outbox.lock();
            outbox.put_back(key, unwritten, Level { messages: lost, bytes }, &mut later);
            outbox.pipes.get(key).map_or(0, |pipe| pipe.level().messages)
        };
        if left == 0 {
            // A request that was written will not be answered by the next connection.
            self.lose(key, &mut later);
        }
        later.run();
        let entry = self.peers.lock().get(key).cloned();
        self.report_lost(entry, lost, DropReason::Disconnect);
    }

    /// A peer is gone, and its pipe with it. What it sent stays readable unless `discard`.
    pub(crate) fn depart(&self, key: PeerKey, discard: bool, reason: DropReason) {
        let mut later = Deferred::new();
        // From here on it cannot subscribe any more (over inproc it might, in another thread).
        self.outbox.lock().close_pipe(key, Instant::now(), &mut later);
        self.unsubscribe_all(key, &mut later);
        {
            // First, while the key is still taken: a newcomer must not get its place in the inbox.
            let mut inbox = self.inbox.lock();
            if discard {
                inbox.discard(key, &mut later);
            } else {
                inbox.end(key, &mut later);
            }
        }
        let entry = self.peers.lock().remove(key);
        // Last: from here on a newcomer may have the slot of this key.
        let lost = {
            let mut outbox = self.outbox.lock();
            let lost = outbox.detach(key, &mut later);
            outbox.counters.lost(reason, lost);
            lost
        };
        self.lose(key, &mut later);
        later.run();
        self.report_lost(entry, lost, reason);
    }

    /// Whatever was asked of this peer, no reply will come.
    fn lose(&self, key: PeerKey, later: &mut Deferred) {
        let asked = {
            match &mut *self.conversation.lock() {
                Conversation::AwaitReply { peer, lost, .. } if *peer == key => {
                    *lost = true;
                    true
                }
                _ => false,
            }
        };
        if asked {
            self.inbox.lock().wake_all(later);
        }
    }

    /// A peer at its mark has begun to miss messages.
    pub(crate) fn report_missing(&self, key: PeerKey) {
        let entry = self.peers.lock().get(key).cloned();
        self.report_lost(entry, 1, DropReason::HighWaterMark);
    }

    fn report_lost(&self, entry: Option<PeerEntry>, lost: usize, reason: DropReason) {
        if let (Some(entry), true) = (entry, lost > 0) {
            let count = u64::try_from(lost).unwrap_or(u64::MAX);
            self.events.emit(&entry.endpoint, entry.info.as_ref(), EventKind::Dropped { reason, count });
        }
    }
}

impl Outbox {
    /// Opens a connection: the socket's own first message, then all its subscriptions, once (A7.5).
    fn greet(
        &mut self,
        key: PeerKey,
        greeting: Option<Message>,
        topics: VecDeque<Control>,
        later: &mut Deferred,
    ) {
        let Some(pipe) = self.pipes.get_mut(key) else { return };
        if let Some(greeting) = greeting {
            pipe.push_front(greeting, later);
        }
        pipe.replay(topics, later);
        // Whoever waits for peers looks again.
        self.senders.wake(usize::MAX, later);
    }
}

/// A subscription as an XPUB's application reads it.
fn notification(subscribe: bool, topic: &[u8]) -> Message {
    let mut note = Vec::with_capacity(topic.len() + 1);
    note.push(u8::from(subscribe));
    note.extend_from_slice(topic);
    Message::from(note)
}

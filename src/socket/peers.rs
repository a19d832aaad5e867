//! Peers that come, subscribe and go: what the engine tells a socket.

use std::sync::Arc;

use tokio::time::Instant;

use super::core::{Core, Tally, Turn};
use super::subscriptions::set_apart;
use crate::engine::inproc;
use crate::message::{Frame, Message};
use crate::monitor::{DropReason, EventKind, PeerInfo, Refused};
use crate::options::Notify;
use crate::pipe::{Control, InPipe, Level, OutPipe, Outbox, PeerKey, Wakes, WireBuf};
use crate::proto::{ProtocolError, Received, SocketType};
use crate::routing::{Inserted, Removed, Route};

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
        let conflate = self.options.conflate;
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
            return Err(Refused::IdentityInUse);
        }
        let mut wakes = Wakes::new();
        let key = {
            let _subscriptions = self.subscriptions.lock();
            self.attach(endpoint, None, out, inp, &mut wakes)?
        };
        if !name_it.is_empty() {
            match self.name(key, name_it, false, &mut wakes) {
                Ok(Some(id)) => self.inbox.lock().rename(key, &id),
                Ok(None) => {}
                Err(refused) => {
                    self.withdraw(key, &mut wakes);
                    wakes.fire();
                    return Err(refused);
                }
            }
        }
        wakes.fire();
        Ok(key)
    }

    /// Takes a peer in; from here on it can be sent to and received from.
    pub(crate) fn admit(
        &self,
        endpoint: &Arc<str>,
        info: &Arc<PeerInfo>,
        pipe: Pipe,
    ) -> Result<PeerKey, Refused> {
        let mut wakes = Wakes::new();
        // Held throughout, so that no subscription falls between the replay and the live ones.
        let subscriptions = self.subscriptions.lock();
        let (key, new) = match pipe {
            Pipe::Made(key) => (key, false),
            Pipe::New(out, inp) => (self.attach(endpoint, Some(info), out, inp, &mut wakes)?, true),
        };
        let named = self.name(key, &info.identity, new, &mut wakes);
        match named {
            Ok(Some(id)) => self.inbox.lock().arrived(key, &id, &mut wakes),
            Ok(None) => {}
            Err(refused) => {
                if new {
                    self.withdraw(key, &mut wakes);
                }
                drop(subscriptions);
                wakes.fire();
                return Err(refused);
            }
        }
        if let Some(entry) = self.peers.lock().get_mut(key) {
            entry.info = Some(info.clone());
        }
        self.outbox.lock().greet(key, self.greeting(), subscriptions.keys().cloned(), &mut wakes);
        drop(subscriptions);
        wakes.fire();
        Ok(key)
    }

    /// Undoes `attach` for a peer that turns out not to be wanted.
    fn withdraw(&self, key: PeerKey, wakes: &mut Wakes) {
        self.outbox.lock().detach(key, wakes);
        self.inbox.lock().discard(key, wakes);
        self.peers.lock().remove(key);
    }

    fn attach(
        &self,
        endpoint: &Arc<str>,
        info: Option<&Arc<PeerInfo>>,
        out: OutPipe,
        inp: InPipe,
        wakes: &mut Wakes,
    ) -> Result<PeerKey, Refused> {
        let present = self.inbox.lock().len();
        if present >= self.options.max_connections {
            return Err(Refused::TooManyConnections);
        }
        // The order matters: once the pipe is in the outbox a sender may use it, and a reply may
        // come as soon as the connection task runs, which is after this.
        let key = {
            let mut outbox = self.outbox.lock();
            if outbox.is_closed() {
                return Err(Refused::Closing);
            }
            if self.kind == SocketType::Pair && !outbox.pipes.is_empty() {
                return Err(Refused::PairTaken);
            }
            outbox.attach(out, wakes)
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
        wakes: &mut Wakes,
    ) -> Result<Option<Frame>, Refused> {
        let mut outbox = self.outbox.lock();
        let Route::Named(ids) = &mut outbox.route else { return Ok(None) };
        if !new && ids.contains(key) {
            return Ok(None);
        }
        let id = match ids.insert(wanted, key) {
            Ok(id) => id,
            Err(taken) if self.options.pattern.handover => {
                ids.remove(taken.0);
                let id = ids.insert(wanted, key).map_err(|_| Refused::IdentityInUse)?;
                outbox.close_pipe(taken.0, Instant::now(), wakes);
                drop(outbox);
                // Over inproc there is no task that would end it.
                if inproc::unlink(self, taken.0, false) {
                    self.depart(taken.0, false, DropReason::Disconnect);
                }
                id
            }
            Err(_) => return Err(Refused::IdentityInUse),
        };
        Ok(Some(id))
    }

    /// The message that opens a new connection, if any (B3.3, B5.15).
    fn greeting(&self) -> Option<Message> {
        let pattern = &self.options.pattern;
        let probe = pattern.probe_router.then(Message::new);
        probe.or_else(|| pattern.hello.clone().map(Message::from))
    }

    /// Takes what a peer has sent, emptying `batch`; says whether to read on. An error is a limit that it exceeds.
    pub(crate) fn deliver(&self, key: PeerKey, batch: &mut Received) -> Result<bool, ProtocolError> {
        let mut wakes = Wakes::new();
        let (mut user, mut within) = (Vec::new(), Ok(()));
        match self.kind {
            SocketType::Pub | SocketType::XPub => {
                within = batch.try_for_each(|message| self.upstream(key, &message, &mut user));
                *batch = Received::default();
            }
            SocketType::Push => Tally::count(&self.tally.unexpected, batch.by_ref().count()),
            _ => {}
        }
        let open = {
            let mut inbox = self.inbox.lock();
            if !user.is_empty() {
                inbox.insert(key, user, &mut wakes);
            }
            inbox.deliver(key, batch, &mut wakes)
        };
        wakes.fire();
        within.map(|()| open)
    }

    /// A message to a publisher is a subscription in the old form (A7.2), or a user's (B5.5), which goes to `user`.
    fn upstream(
        &self,
        key: PeerKey,
        message: &Message,
        user: &mut Vec<Message>,
    ) -> Result<(), ProtocolError> {
        let only_first = self.options.pattern.only_first_subscribe;
        let rest = set_apart(message, only_first, |subscribe, topic| {
            // What came before it is received before it.
            if !user.is_empty() {
                let mut wakes = Wakes::new();
                self.inbox.lock().insert(key, std::mem::take(user), &mut wakes);
                wakes.fire();
            }
            self.subscribed(key, subscribe, topic)
        })?;
        if self.kind == SocketType::XPub {
            user.extend(rest);
        } else {
            Tally::count(&self.tally.unexpected, usize::from(rest.is_some()));
        }
        Ok(())
    }

    /// A peer behind a connection subscribes or unsubscribes; an error is a limit that it exceeds.
    pub(crate) fn subscribed(
        &self,
        key: PeerKey,
        subscribe: bool,
        topic: &[u8],
    ) -> Result<(), ProtocolError> {
        let limits = &self.options.pattern.subscriptions;
        if subscribe {
            limits.check_topic(topic.len())?;
        }
        let mut wakes = Wakes::new();
        self.note_subscription(key, subscribe, topic, &mut wakes);
        wakes.fire();
        let held = self.outbox.lock().pipes.get(key).map_or_else(Level::default, OutPipe::topics);
        limits.check(held)
    }

    /// A peer subscribes or unsubscribes; an XPUB's application learns of it (B5.6–B5.9).
    pub(crate) fn note_subscription(&self, key: PeerKey, subscribe: bool, topic: &[u8], wakes: &mut Wakes) {
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
                outbox.count_topic(key, subscribe, topic.len(), wakes);
            }
            news
        };
        if news {
            self.inbox.lock().insert(key, vec![notification(subscribe, topic)], wakes);
        }
    }

    fn is_news(&self, inserted: Inserted) -> bool {
        let pattern = &self.options.pattern;
        let wanted = pattern.manual || pattern.notify != Notify::FirstAndLast || inserted == Inserted::First;
        self.kind == SocketType::XPub && wanted
    }

    fn is_last_news(&self, removed: Removed) -> bool {
        let pattern = &self.options.pattern;
        let wanted = match removed {
            Removed::Last => true,
            Removed::Held => pattern.manual || pattern.notify == Notify::Everything,
            Removed::NotHeld => pattern.manual,
        };
        self.kind == SocketType::XPub && wanted
    }

    /// A peer's subscriptions end with its connection (B5.10).
    pub(crate) fn unsubscribe_all(&self, key: PeerKey, wakes: &mut Wakes) {
        let mut notes = Vec::new();
        if let Some(fan) = self.outbox.lock().fan() {
            fan.remove(key, |topic, last| {
                let removed = if last { Removed::Last } else { Removed::Held };
                if self.is_last_news(removed) {
                    notes.push(notification(false, topic));
                }
            });
        }
        if !notes.is_empty() {
            self.inbox.lock().insert(key, notes, wakes);
        }
    }

    /// The connection of a connecting socket broke: its pipe stays, with what was not written (C6.4).
    pub(crate) fn interrupted(&self, key: PeerKey, unwritten: WireBuf) {
        let mut wakes = Wakes::new();
        self.unsubscribe_all(key, &mut wakes);
        let (lost, left) = {
            let mut outbox = self.outbox.lock();
            let lost = outbox.put_back(key, unwritten, &mut wakes);
            (lost, outbox.pipes.get(key).map_or(0, |pipe| pipe.level().messages))
        };
        if left == 0 {
            // A request that was written will not be answered by the next connection.
            self.lose(key, &mut wakes);
        }
        wakes.fire();
        let entry = self.peers.lock().get(key).cloned();
        self.report_lost(entry, lost, DropReason::Disconnect);
    }

    /// A peer is gone, and its pipe with it. What it sent stays readable unless `discard`.
    pub(crate) fn depart(&self, key: PeerKey, discard: bool, reason: DropReason) {
        let mut wakes = Wakes::new();
        // From here on it cannot subscribe any more (over inproc it might, in another thread).
        self.outbox.lock().close_pipe(key, Instant::now(), &mut wakes);
        self.unsubscribe_all(key, &mut wakes);
        {
            // First, while the key is still taken: a newcomer must not get its place in the inbox.
            let mut inbox = self.inbox.lock();
            if discard {
                inbox.discard(key, &mut wakes);
            } else {
                inbox.end(key, &mut wakes);
            }
        }
        let entry = self.peers.lock().remove(key);
        // Last: from here on a newcomer may have the slot of this key.
        let lost = {
            let mut outbox = self.outbox.lock();
            let lost = outbox.detach(key, &mut wakes);
            outbox.counters.lost(reason, lost);
            lost
        };
        self.lose(key, &mut wakes);
        wakes.fire();
        self.report_lost(entry, lost, reason);
    }

    /// Whatever was asked of this peer, no reply will come.
    fn lose(&self, key: PeerKey, wakes: &mut Wakes) {
        let asked = {
            match &mut *self.turn.lock() {
                Turn::AwaitReply { peer, lost, .. } if *peer == key => {
                    *lost = true;
                    true
                }
                _ => false,
            }
        };
        if asked {
            self.inbox.lock().wake_all(wakes);
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
        topics: impl Iterator<Item = Frame>,
        wakes: &mut Wakes,
    ) {
        let Some(pipe) = self.pipes.get_mut(key) else { return };
        if let Some(greeting) = greeting {
            pipe.push_front(greeting, wakes);
        }
        pipe.replay(topics.map(|topic| Control { subscribe: true, topic }), wakes);
        // Whoever waits for peers looks again.
        self.senders.wake_all(wakes);
    }
}

/// A subscription as an XPUB's application reads it.
fn notification(subscribe: bool, topic: &[u8]) -> Message {
    let mut note = Vec::with_capacity(topic.len() + 1);
    note.push(u8::from(subscribe));
    note.extend_from_slice(topic);
    Message::from(note)
}

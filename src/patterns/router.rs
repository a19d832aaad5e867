use std::borrow::Borrow;
use std::collections::HashSet;
use std::sync::Arc;

use super::builder::{builder, greeting, identified, probing, receiving, sending, set};
use super::handle::{Handle, lifecycle};
use super::pull;
use super::routing_id::{PeerId, RoutingId};
use super::verbs::{receives, sends_to};
use crate::endpoint::{Endpoint, EndpointError};
use crate::engine::Expect;
use crate::error::{ConnectError, RecvError, SendError};
use crate::message::Message;
use crate::monitor::PeerInfo;
use crate::pipe::{Deferred, Inbox, Outbox, Popped, Refusal};
use crate::proto::SocketType;
use crate::proto::metadata::is_identity;
use crate::routing::{PeerKey, Route, RoutingIds};
use crate::socket::{Core, LINGER, Pattern, RawReceive, RawSend, Take, Taken, keep};

/// Messages that [`Router::try_send_each`] sends under one lock.
const PART: usize = 256;

macro_rules! addressing {
    () => {
        set! {
            /// Whether a message for an unknown peer is an error, and one for a full peer waits,
            /// instead of being dropped. Default: no.
            ///
            /// libzmq: `ZMQ_ROUTER_MANDATORY`
            mandatory(on: bool) => set_specific, mandatory = on
        }
        set! {
            /// Whether a newcomer with the routing id of a connected peer takes it over and that
            /// connection is closed. Anybody can take a name then. Default: no, the newcomer is
            /// refused and may try again.
            ///
            /// libzmq: `ZMQ_ROUTER_HANDOVER`
            handover(on: bool) => set_specific, handover = on
        }
        set! {
            /// Whether [`Router::recv_event`] tells of peers that come and go. Default: no.
            ///
            /// libzmq: `ZMQ_ROUTER_NOTIFY`
            notify(on: bool) => set_specific, announce = on
        }
    };
}

/// Receives from all its peers, one message of each in turn, with the sender's [`RoutingId`]; sends to the peer that
/// a message names. Talks to [`Dealer`](crate::Dealer), [`Req`](crate::Req) and [`Router`].
///
/// A message for an unknown peer, or one at its high-water mark, is dropped and counted; with
/// [`mandatory`](RouterBuilder::mandatory) the first is an error and the second is waited for. libzmq: `ZMQ_ROUTER`;
/// see [`Dealer`](crate::Dealer) for an example.
#[derive(Debug, Clone)]
pub struct Router {
    pub(crate) handle: Handle<RoutingId>,
}

pub(super) static PATTERN: Pattern = Pattern {
    socket_type: SocketType::Router,
    peers: &[SocketType::Req, SocketType::Dealer, SocketType::Router],
    route: |_| Route::Named(Box::new(RoutingIds::new(fastrand::u32(..)))),
    send: Some(SEND),
    receive: Some(RECEIVE),
    arrive: keep,
    lockstep: false,
    exclusive: false,
    announces_routing_id: true,
    hears_subscriptions: false,
    groups: false,
    pings: true,
    filters: false,
    connects_once: false,
    linger: LINGER,
};

builder! {
    /// Options of a [`Router`].
    RouterBuilder => Router, [sending, receiving, identified, probing, greeting, addressing]
}
lifecycle!(Router, RouterBuilder, PATTERN);
receives!(Router, (RoutingId, Message), take);
sends_to!(Router, RoutingId, Message, offer);

/// What a [`Router`] hears of its peers; from [`Router::recv_event`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouterEvent {
    /// A peer has come; before any of its messages.
    Connected(RoutingId),
    /// A message.
    Message(RoutingId, Message),
    /// A peer has left; after all of its messages.
    Disconnected(RoutingId),
}

#[inline]
fn named(inbox: &Inbox, peer: PeerKey) -> RoutingId {
    RoutingId::of(peer, inbox.get(peer).and_then(|pipe| pipe.id.clone()))
}

fn take(_: &Core) -> impl Take<(RoutingId, Message)> {
    |inbox, (id, message), later| match inbox.pop(message, later) {
        None => Taken::Nothing,
        Some(Popped::Message(peer) | Popped::Body(peer)) => {
            *id = named(inbox, peer);
            Taken::Item
        }
        Some(Popped::Arrived(..) | Popped::Gone(..) | Popped::Filtered) => Taken::Unwanted,
    }
}

fn take_event(inbox: &mut Inbox, event: &mut Option<RouterEvent>, later: &mut Deferred) -> Taken {
    let mut message = Message::new();
    *event = Some(match inbox.pop(&mut message, later) {
        None => return Taken::Nothing,
        Some(Popped::Filtered) => return Taken::Unwanted,
        Some(Popped::Message(peer) | Popped::Body(peer)) => RouterEvent::Message(named(inbox, peer), message),
        Some(Popped::Arrived(peer, name)) => RouterEvent::Connected(RoutingId::of(peer, name)),
        Some(Popped::Gone(peer, name)) => RouterEvent::Disconnected(RoutingId::of(peer, name)),
    });
    Taken::Item
}

/// As a proxy uses it: the routing id is the first frame.
const SEND: RawSend = RawSend { offer: offer_raw, sent: |_| {} };

const RECEIVE: RawReceive = RawReceive {
    take: |core, inbox, item, later| {
        let taken = (pull::RECEIVE.take)(core, inbox, item, later);
        if taken == Taken::Item {
            let (peer, message) = item;
            message.push_front(inbox.get(*peer).and_then(|pipe| pipe.id.as_deref()).unwrap_or_default());
        }
        taken
    },
    put_back: |_, inbox, from, mut message, later| {
        message.pop_front();
        inbox.unpop(from, message, later);
    },
};

fn offer_raw(
    core: &Core,
    outbox: &mut Outbox,
    message: &mut Message,
    later: &mut Deferred,
) -> Result<(), Refusal> {
    // Nothing but an address is dropped.
    let Some(id) = message.pop_front() else { return Ok(()) };
    let to = RoutingId::from(id);
    let offered = offer(core, &to)(outbox, message, later);
    if offered.is_err() {
        message.push_front(to);
    }
    offered
}

/// To the named peer.
fn offer<'a>(
    core: &'a Core,
    to: impl Borrow<RoutingId> + 'a,
) -> impl Fn(&mut Outbox, &mut Message, &mut Deferred) -> Result<(), Refusal> + 'a {
    move |outbox, message, later| {
        let peer = to.borrow().resolve(outbox);
        offer_to(core, peer, outbox, message, later)
    }
}

/// What cannot be routed or queued is dropped, unless `mandatory` (B4.8, B4.9).
#[inline]
fn offer_to(
    core: &Core,
    peer: Option<PeerKey>,
    outbox: &mut Outbox,
    message: &mut Message,
    later: &mut Deferred,
) -> Result<(), Refusal> {
    let mandatory = core.specific.mandatory;
    let sent = match peer {
        Some(peer) => outbox.send_to(peer, &[], message, later),
        None if outbox.is_closed() => Err(Refusal::Closed),
        None => Err(Refusal::NoPeer),
    };
    match sent {
        Err(Refusal::NoPeer) if mandatory => Err(Refusal::Unroutable),
        Err(Refusal::NoPeer) => {
            outbox.counters.dropped_no_peer += 1;
            Ok(())
        }
        Err(Refusal::PeerFull(peer)) if !mandatory => {
            outbox.miss(peer, later);
            Ok(())
        }
        other => other,
    }
}

/// Offers each message once, all under one lock, and notes what became of it. Peers that are full, or have become so,
/// are in `full`, by their connection and as they were named.
fn offer_each(
    core: &Core,
    messages: &mut [(RoutingId, Message, Result<(), Refusal>)],
    full: &mut HashSet<RoutingId>,
) {
    let mut later = Deferred::new();
    let mut outbox = core.outbox.lock();
    for (to, message, offered) in messages {
        let peer = to.resolve(&outbox);
        if full.contains(to) || peer.is_some_and(|peer| full.contains(&PeerId(peer).into())) {
            *offered = Err(Refusal::Full);
            continue;
        }
        *offered = offer_to(core, peer, &mut outbox, message, &mut later);
        if *offered == Err(Refusal::Yield) {
            // It asked not to wait, so there is no turn to end.
            *offered = offer_to(core, peer, &mut outbox, message, &mut later);
        }
        if let Err(Refusal::PeerFull(peer)) = *offered {
            full.extend([to.clone(), PeerId(peer).into()]);
        }
    }
    drop(outbox);
    later.run();
}

impl Router {
    /// Connects as [`connect`](Self::connect) does, and names the peer: messages to `id` queue at once, before it
    /// is there, and its own routing id is ignored. libzmq: `ZMQ_CONNECT_ROUTING_ID`.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect), and if the id is in use or not 1 to 255 bytes that do not begin with zero.
    ///
    /// # Cancel safety
    ///
    /// It never waits, so it is never cancelled half-way.
    #[allow(clippy::unused_async, reason = "part of the asynchronous half of the API, as `bind` is")]
    pub async fn connect_as<E>(&self, endpoint: E, id: impl Into<RoutingId>) -> Result<(), ConnectError>
    where
        E: TryInto<Endpoint>,
        EndpointError: From<E::Error>,
    {
        let (endpoint, id) = (endpoint.try_into().map_err(EndpointError::from)?, id.into());
        if id.as_ref().is_empty() || !is_identity(id.as_ref()) {
            return Err(ConnectError::RoutingId);
        }
        crate::engine::connect(&self.handle.core, &endpoint, None, Expect::Named(id.as_ref())).map(drop)
    }

    /// Receives the next message, or the news that a peer has come or left, in order with that peer's messages.
    /// The latter only with [`notify`](RouterBuilder::notify). libzmq: `ZMQ_ROUTER_NOTIFY`.
    ///
    /// # Errors
    ///
    /// If the socket is closed.
    ///
    /// # Cancel safety
    ///
    /// Cancelled before it is ready, nothing was taken.
    pub async fn recv_event(&self) -> Result<RouterEvent, RecvError> {
        // `None` is never taken: `take_event` fills it in or takes nothing.
        self.handle.core.recv(take_event).await?.ok_or(RecvError::Empty)
    }

    /// As [`recv_event`](Self::recv_event), but takes what is there, at most `max`, and waits only for the first;
    /// appends to `into` and says how many. One lock for all of them.
    ///
    /// # Errors
    ///
    /// As [`recv_event`](Self::recv_event).
    ///
    /// # Cancel safety
    ///
    /// Cancelled before it is ready, nothing was taken.
    pub async fn recv_events(&self, into: &mut Vec<RouterEvent>, max: usize) -> Result<usize, RecvError> {
        let take = |inbox: &mut Inbox, (): &mut (), later: &mut Deferred| {
            let mut event = None;
            let taken = take_event(inbox, &mut event, later);
            into.extend(event);
            taken
        };
        // They are counted here, and go straight to where the caller wants them.
        self.handle.core.recv_many(&mut Vec::new(), max, take).await
    }

    /// Sends to each peer its messages if that is possible at once, up to 256 under one lock. What is not sent goes to
    /// `refused`, with what [`try_send`](Self::try_send) would have said. A full peer holds up none but its own: once
    /// one message for it was refused, so are those behind it, and the order is kept.
    ///
    /// `messages` is asked for up to 256 messages before they are sent, and `refused` is told of them before it is asked
    /// for more. Neither runs under the lock, so both may use the socket.
    pub fn try_send_each<T: Into<RoutingId>>(
        &self,
        messages: impl IntoIterator<Item = (T, Message)>,
        mut refused: impl FnMut(RoutingId, SendError),
    ) {
        let core = &*self.handle.core;
        let mut messages = messages.into_iter().map(|(to, message)| (to.into(), message, Ok(()))).fuse();
        let (mut part, mut full) = (Vec::new(), HashSet::new());
        loop {
            part.extend(messages.by_ref().take(PART));
            if part.is_empty() {
                return;
            }
            offer_each(core, &mut part, &mut full);
            for (to, message, offered) in part.drain(..) {
                if let Err(error) = offered.or_else(|refusal| core.refused(refusal, message)) {
                    refused(to, error);
                }
            }
        }
    }

    /// What is known of a peer; `None` if it has left.
    #[must_use]
    pub fn peer_info(&self, peer: PeerId) -> Option<Arc<PeerInfo>> {
        self.handle.core.peers.lock().get(peer.0)?.info.clone()
    }

    /// Receives nothing more from a peer until [`resume`](Self::resume): its messages wait in its queue, and when that
    /// is full, reading it stops and slows it down. That it has left is still told, after the messages that wait.
    pub fn pause(&self, peer: PeerId) {
        self.set_paused(peer, true);
    }

    /// Receives from a peer again.
    pub fn resume(&self, peer: PeerId) {
        self.set_paused(peer, false);
    }

    /// Ends the connection to a peer; what is queued for it is dropped, and counted. What it has sent is still received,
    /// and then that it has left. A peer that connected may do so again; an endpoint that this socket connected to is
    /// given up, as by [`disconnect`](Self::disconnect).
    pub fn disconnect_peer(&self, peer: PeerId) {
        self.handle.core.drop_peer(peer.0);
    }

    fn set_paused(&self, peer: PeerId, paused: bool) {
        let mut later = Deferred::new();
        self.handle.core.inbox.lock().pause(peer.0, paused, &mut later);
        later.run();
    }

    /// As [`recv_event`](Self::recv_event), if something is there.
    ///
    /// # Errors
    ///
    /// [`Empty`](RecvError::Empty), or if the socket is closed.
    pub fn try_recv_event(&self) -> Result<RouterEvent, RecvError> {
        self.handle.core.try_recv(take_event)?.ok_or(RecvError::Empty)
    }
}

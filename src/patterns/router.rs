use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::builder::{builder, greeting, identified, probing, receiving, sending, set};
use super::handle::{Handle, lifecycle};
use super::marks::send_mark;
use super::pull;
use super::verbs::receives;
use crate::endpoint::{Endpoint, EndpointError};
use crate::error::{ConnectError, RecvError, SendError};
use crate::message::{Frame, Message};
use crate::monitor::PeerInfo;
use crate::pipe::{Deferred, Inbox, Name, Outbox, Popped, Refusal};
use crate::proto::SocketType;
use crate::proto::metadata::is_identity;
use crate::routing::{IdentityMap, PeerKey, Route};
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
            mandatory(on: bool) => specific_mut, mandatory = on
        }
        set! {
            /// Whether a newcomer with the routing id of a connected peer takes it over and that
            /// connection is closed. Anybody can take a name then. Default: no, the newcomer is
            /// refused and may try again.
            ///
            /// libzmq: `ZMQ_ROUTER_HANDOVER`
            handover(on: bool) => specific_mut, handover = on
        }
        set! {
            /// Whether [`Router::recv_event`] tells of peers that come and go. Default: no.
            ///
            /// libzmq: `ZMQ_ROUTER_NOTIFY`
            notify(on: bool) => specific_mut, announce = on
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
    pub(crate) handle: Handle,
}

pub(super) static PATTERN: Pattern = Pattern {
    socket_type: SocketType::Router,
    peers: &[SocketType::Req, SocketType::Dealer, SocketType::Router],
    route: |_| Route::Named(Box::new(IdentityMap::new(fastrand::u32(..)))),
    send: Some(SEND),
    receive: Some(RECEIVE),
    arrive: keep,
    lockstep: false,
    exclusive: false,
    announces_routing_id: true,
    hears_subscriptions: false,
    filters: false,
    connects_once: false,
    linger: LINGER,
};

builder! {
    /// Options of a [`Router`].
    RouterBuilder => Router, [sending, receiving, identified, probing, greeting, addressing]
}
lifecycle!(Router, RouterBuilder, &PATTERN);
receives!(Router, (RoutingId, Message), take);
send_mark!(Router);

/// Which peer of a [`Router`] a message came from, or goes to.
///
/// One that was received names that peer's connection: what is sent to it reaches nobody else, not even a newcomer
/// of the same name (a connecting router's peer keeps its id when it reconnects). One made from bytes names whoever
/// has that name when the message is sent.
///
/// Two that name a connection are equal, and hash alike, if it is the same connection; two made from bytes, if their
/// bytes are the same. One of either kind equals none of the other, since a name passes from one connection to the next:
/// whether a peer has a certain name now is asked by its bytes, `id.as_ref() == b"worker-1"`. So what is kept in a map
/// by received ids is found by received ids, or by [`PeerId`].
///
/// ```
/// use sinew::RoutingId;
/// let id = RoutingId::from("worker-1");
/// assert_eq!(id.as_ref(), b"worker-1");
/// assert_eq!(id, RoutingId::from(b"worker-1"));
/// ```
#[derive(Clone, Default)]
pub struct RoutingId {
    name: Name,
    peer: Option<PeerKey>,
}

/// One connection of a [`Router`] with a peer: small, and quick to compare and to hash. Never used again for another of
/// that router; those of two routers may be equal.
///
/// What is sent to it reaches that connection or nobody; so it goes wherever a [`RoutingId`] goes. It does not know the
/// peer's name: as a [`RoutingId`] it has no bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(PeerKey);

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

fn take(_: &Core) -> impl Take<(RoutingId, Message)> {
    |inbox, (id, message), later| match inbox.pop(message, later) {
        None => Taken::Nothing,
        Some(Popped::Message(peer) | Popped::Body(peer)) => {
            id.set(inbox, peer);
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
        Some(Popped::Message(peer) | Popped::Body(peer)) => {
            let mut id = RoutingId::default();
            id.set(inbox, peer);
            RouterEvent::Message(id, message)
        }
        Some(Popped::Arrived(peer, name)) => RouterEvent::Connected(RoutingId { name, peer: Some(peer) }),
        Some(Popped::Gone(peer, name)) => RouterEvent::Disconnected(RoutingId { name, peer: Some(peer) }),
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
    put_back: |core, from, mut message| {
        message.pop_front();
        pull::put_back(core, from, message);
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

impl RoutingId {
    /// The connection that it names; `None` if it was made from bytes.
    #[must_use]
    pub fn peer(&self) -> Option<PeerId> {
        self.peer.map(PeerId)
    }

    fn set(&mut self, inbox: &Inbox, peer: PeerKey) {
        self.name = inbox.get(peer).and_then(|pipe| pipe.id.clone());
        self.peer = Some(peer);
    }

    /// The connection that it means now.
    fn resolve(&self, outbox: &Outbox) -> Option<PeerKey> {
        self.peer.or_else(|| match &outbox.route {
            Route::Named(ids) => ids.get(self.as_ref()),
            _ => None,
        })
    }
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
        crate::engine::connect(&self.handle.core, &endpoint, None, id.as_ref())
    }

    /// Sends a message to a peer. libzmq: `zmq_send` with the routing id as first frame.
    ///
    /// # Errors
    ///
    /// If the socket is closed. With [`mandatory`](RouterBuilder::mandatory) also if no peer has that id; without,
    /// such a message is dropped and counted. The message is in the error.
    ///
    /// # Cancel safety
    ///
    /// Cancelled before it is ready, nothing was sent.
    #[inline]
    pub fn send(
        &self,
        to: impl Into<RoutingId>,
        message: impl Into<Message>,
    ) -> impl Future<Output = Result<(), SendError>> + Send {
        let core = &*self.handle.core;
        core.send(message.into(), offer(core, to.into()))
    }

    /// Sends a message to a peer if that is possible at once. libzmq: `ZMQ_DONTWAIT`.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and with `mandatory` also [`Full`](crate::SendErrorKind::Full).
    pub fn try_send(&self, to: impl Into<RoutingId>, message: impl Into<Message>) -> Result<(), SendError> {
        let (core, to) = (&*self.handle.core, to.into());
        core.try_send(message.into(), offer(core, &to))
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

impl AsRef<[u8]> for RoutingId {
    fn as_ref(&self) -> &[u8] {
        self.name.as_deref().unwrap_or_default()
    }
}

impl PartialEq for RoutingId {
    fn eq(&self, other: &Self) -> bool {
        self.peer == other.peer && (self.peer.is_some() || self.as_ref() == other.as_ref())
    }
}

impl Eq for RoutingId {}

impl std::hash::Hash for RoutingId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        match self.peer {
            Some(peer) => peer.hash(state),
            None => self.as_ref().hash(state),
        }
    }
}

impl fmt::Debug for RoutingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer() {
            Some(PeerId(peer)) => write!(f, "RoutingId({:?}, {peer:?})", Frame::from(self.as_ref())),
            None => write!(f, "RoutingId({:?})", Frame::from(self.as_ref())),
        }
    }
}

impl From<PeerId> for RoutingId {
    fn from(peer: PeerId) -> Self {
        Self { name: None, peer: Some(peer.0) }
    }
}

impl From<&Self> for RoutingId {
    fn from(id: &Self) -> Self {
        id.clone()
    }
}

impl From<RoutingId> for Frame {
    fn from(id: RoutingId) -> Self {
        id.as_ref().into()
    }
}

macro_rules! named_by {
    ($($name:ty),*) => {$(
        impl From<$name> for RoutingId {
            fn from(name: $name) -> Self {
                let name: &[u8] = name.as_ref();
                Self { name: Some(name.into()), peer: None }
            }
        }
    )*};
}
named_by!(&str, String, &[u8], Vec<u8>, bytes::Bytes, Frame);

impl<const N: usize> From<&[u8; N]> for RoutingId {
    fn from(name: &[u8; N]) -> Self {
        name.as_slice().into()
    }
}

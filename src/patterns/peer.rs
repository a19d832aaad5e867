use super::builder::{builder, greeting, receiving, sending};
use super::handle::{Handle, lifecycle};
use super::routing_id::PeerId;
use super::verbs::{receives, sends_to};
use super::{pull, server};
use crate::endpoint::{Endpoint, EndpointError};
use crate::engine::Expect;
use crate::error::ConnectError;
use crate::message::Frame;
use crate::proto::SocketType;
use crate::routing::Route;
use crate::socket::{LINGER, Pattern, keep};

/// Exchanges single frames with any of its like, by name: a [`Server`](crate::Server) that connects, too.
///
/// A frame for a peer that has left is an [error](crate::SendErrorKind::Unroutable); for one at its high-water mark it
/// waits. libzmq: `ZMQ_PEER` (51/P2P, a draft).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sinew::Error> {
/// use sinew::Peer;
/// let (a, b) = (Peer::new(), Peer::new());
/// let addr = a.bind("tcp://127.0.0.1:0").await?;
/// let to_a = b.connect_peer(&addr).await?;
/// b.send(to_a, "ping").await?;
/// let (to_b, _) = a.recv().await?;
/// a.send(to_b, "pong").await?;
/// assert_eq!(b.recv().await?, (to_a, "pong".into()));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Peer {
    pub(crate) handle: Handle<PeerId>,
}

pub(super) static PATTERN: Pattern = Pattern {
    socket_type: SocketType::Peer,
    peers: &[SocketType::Peer],
    route: |_| Route::Nothing,
    send: None,
    receive: Some(pull::RECEIVE_FRAME),
    arrive: keep,
    lockstep: false,
    exclusive: false,
    announces_routing_id: false,
    hears_subscriptions: false,
    groups: false,
    pings: true,
    filters: false,
    connects_once: false,
    linger: LINGER,
};

builder! {
    /// Options of a [`Peer`].
    PeerBuilder => Peer, [sending, receiving, greeting]
}
lifecycle!(Peer, PeerBuilder, PATTERN);
sends_to!(Peer, PeerId, Frame, server::offer);
receives!(Peer, (PeerId, Frame), server::take);

impl Peer {
    /// Connects as [`connect`](Self::connect) does, and says under which id: frames for it queue at once, whatever
    /// [`immediate`](PeerBuilder::immediate) says, and it stays the same when the connection is made anew. libzmq:
    /// `zmq_connect_peer`.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    ///
    /// It never waits, so it is never cancelled half-way.
    #[allow(clippy::unused_async, reason = "part of the asynchronous half of the API, as `bind` is")]
    pub async fn connect_peer<E>(&self, endpoint: E) -> Result<PeerId, ConnectError>
    where
        E: TryInto<Endpoint>,
        EndpointError: From<E::Error>,
    {
        let endpoint = endpoint.try_into().map_err(EndpointError::from)?;
        let key = crate::engine::connect(&self.handle.core, &endpoint, None, Expect::Always)?;
        key.map(PeerId).ok_or(ConnectError::Closed)
    }
}

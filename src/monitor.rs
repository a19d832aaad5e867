//! What happens on a socket's connections, as a stream of events that always say which peer.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::broadcast;

use crate::error::IoError;
use crate::message::Frame;
use crate::proto::{HandshakeError, ProtocolError, SocketType};

/// Events a slow reader may fall behind before it misses the oldest.
const BACKLOG: usize = 1024;

/// One thing that happened. libzmq: `zmq_socket_monitor_versioned`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Event {
    /// The endpoint of ours that it happened on: where we are bound, or where we connect to.
    pub endpoint: Arc<str>,
    /// The peer, where there is one.
    pub peer: Option<Arc<PeerInfo>>,
    /// What happened.
    pub kind: EventKind,
}

/// A peer, as far as it is known.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PeerInfo {
    /// Its address, such as `tcp://192.0.2.1:40312`.
    pub address: Arc<str>,
    /// What it says it is; known from the handshake on.
    pub socket_type: Option<SocketType>,
    /// The routing id that it announced; empty if none.
    pub routing_id: Frame,
    /// The `X-` properties that it announced.
    pub metadata: Vec<(String, bytes::Bytes)>,
}

impl PeerInfo {
    /// A peer of which only the address is known.
    pub(crate) fn stranger(address: &str) -> Self {
        Self { address: address.into(), socket_type: None, routing_id: Frame::new(), metadata: Vec::new() }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// The socket is bound. libzmq: `ZMQ_EVENT_LISTENING`.
    Listening,
    /// The socket is bound there no more. libzmq: `ZMQ_EVENT_CLOSED`.
    ListenerClosed,
    /// A connection could not be accepted; it is tried again. libzmq: `ZMQ_EVENT_ACCEPT_FAILED`.
    AcceptFailed(IoError),
    /// A peer connected to us; the handshake begins. libzmq: `ZMQ_EVENT_ACCEPTED`.
    Accepted,
    /// An attempt to connect begins. libzmq: `ZMQ_EVENT_CONNECT_DELAYED`.
    Connecting,
    /// An attempt to connect failed, or to find the address of a name.
    ConnectFailed(IoError),
    /// We are connected; the handshake begins. libzmq: `ZMQ_EVENT_CONNECTED`.
    Connected,
    /// The peer can be talked to. libzmq: `ZMQ_EVENT_HANDSHAKE_SUCCEEDED`.
    HandshakeSucceeded,
    /// The peer cannot be talked to. libzmq: `ZMQ_EVENT_HANDSHAKE_FAILED_*`.
    HandshakeFailed(HandshakeError),
    /// The handshake was fine, but the socket does not take this peer.
    Refused(Refused),
    /// An established connection ended. libzmq: `ZMQ_EVENT_DISCONNECTED`.
    Disconnected(DisconnectReason),
    /// The next attempt to connect comes after this time. libzmq: `ZMQ_EVENT_CONNECT_RETRIED`.
    Retrying(Duration),
    /// No further attempt to connect is made: the peer's answer would not change.
    GaveUp,
    /// Messages were dropped. Of those dropped at a high-water mark the first is told, and none after it until the
    /// queue has fallen to half of the mark; [`Stats`](crate::Stats) counts them all.
    Dropped {
        /// Why.
        reason: DropReason,
        /// How many.
        count: u64,
    },
}

/// Why a peer was not taken although it speaks the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Another connection has its routing id.
    #[error("the routing id is in use: choose another, or wait until its holder has left")]
    RoutingIdInUse,
    /// A PAIR has one peer at a time.
    #[error("the PAIR has a peer, and takes one at a time")]
    PairTaken,
    /// `max_connections` is reached.
    #[error("too many connections: raise `max_connections`, or try again later")]
    TooManyConnections,
    /// Too many handshakes were pending, and this one was the oldest of the busiest source.
    #[error("too many pending handshakes: raise `max_pending_handshakes`, or try again later")]
    TooManyHandshakes,
    /// The socket or the endpoint is being closed.
    #[error("it is being closed")]
    Closing,
}

/// Why an established connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The peer closed it.
    ClosedByPeer,
    /// We closed it: `close`, `disconnect`, `unbind`, or the socket was dropped.
    ClosedByUs,
    /// The peer broke the protocol, or exceeded a limit.
    Protocol(ProtocolError),
    /// The peer ended it, and said why: it found that we broke the protocol, or exceeded a limit.
    Rejected {
        /// What it said.
        reason: String,
    },
    /// The peer was silent for longer than `heartbeat` has patience, or than the time to live that it had announced.
    Silent,
    /// The peer stopped in the middle of a message for longer than `progress_timeout`.
    Stalled,
    /// The network failed.
    Io(IoError),
}

/// Why messages were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// The peer's queue was at its high-water mark.
    HighWaterMark,
    /// They were queued for, or half-way to, a peer that went away.
    Disconnect,
    /// Linger ran out.
    Linger,
    /// Nobody was there to take them: no subscriber, or no peer of that name.
    NoRoute,
    /// They were not what this socket receives: a malformed envelope, a late reply, data to a
    /// socket that only sends.
    Unexpected,
}

/// A stream of [`Event`]s; see [`Push::monitor`](crate::Push::monitor).
///
/// A reader that falls more than 1024 events behind misses the oldest, and can tell by
/// [`missed`](Self::missed). The socket never waits for it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sinew::Error> {
/// use sinew::{EventKind, Pull, Push};
/// let (push, pull) = (Push::new(), Pull::new());
/// let mut monitor = pull.monitor();
/// push.connect(&pull.bind("tcp://127.0.0.1:0").await?).await?;
/// while let Some(event) = monitor.recv().await {
///     println!("{}: {:?}", event.endpoint, event.kind);
///     if event.kind == EventKind::HandshakeSucceeded {
///         break;
///     }
/// }
/// # Ok(()) }
/// ```
pub struct Monitor {
    events: broadcast::Receiver<Event>,
    // `broadcast` has no poll method; the future borrows nothing and is made anew each time.
    waiting: Option<Waiting>,
    missed: u64,
}

type Received = (Result<Event, broadcast::error::RecvError>, broadcast::Receiver<Event>);
type Waiting = Pin<Box<dyn Future<Output = Received> + Send + Sync>>;

impl Monitor {
    /// The next event; `None` once the socket is gone.
    ///
    /// # Cancel safety
    ///
    /// Cancelled before it is ready, no event is lost.
    pub async fn recv(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// How many events were missed by reading too slowly.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.missed
    }
}

impl Stream for Monitor {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            let this = &mut *self;
            let waiting = this.waiting.get_or_insert_with(|| {
                let mut events = std::mem::replace(&mut this.events, broadcast::channel(1).1);
                Box::pin(async move { (events.recv().await, events) })
            });
            let (event, events) = ready!(waiting.as_mut().poll(cx));
            this.waiting = None;
            this.events = events;
            match event {
                Ok(event) => return Poll::Ready(Some(event)),
                Err(broadcast::error::RecvError::Lagged(count)) => this.missed += count,
                Err(broadcast::error::RecvError::Closed) => return Poll::Ready(None),
            }
        }
    }
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Monitor").field("missed", &self.missed).finish_non_exhaustive()
    }
}

/// The socket's end: costs nothing until somebody monitors.
#[derive(Debug, Default)]
pub(crate) struct Events(OnceLock<broadcast::Sender<Event>>);

impl Events {
    pub(crate) fn subscribe(&self) -> Monitor {
        let sender = self.0.get_or_init(|| broadcast::channel(BACKLOG).0);
        Monitor { events: sender.subscribe(), waiting: None, missed: 0 }
    }

    pub(crate) fn emit(&self, endpoint: &Arc<str>, peer: Option<&Arc<PeerInfo>>, kind: EventKind) {
        let address = peer.map_or("", |peer| &peer.address);
        tracing::debug!(%endpoint, peer = address, event = ?kind, "socket event");
        if let Some(sender) = self.0.get() {
            // An error means that nobody listens any more.
            let _ = sender.send(Event { endpoint: endpoint.clone(), peer: peer.cloned(), kind });
        }
    }
}

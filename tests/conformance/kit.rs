//! What the tests are made of: bounded waiting, any socket type behind one trait, and ways to meet a peer.

use std::panic::Location;

use sinew::{
    BindError, ConnectError, Context, Dealer, Endpoint, Event, EventKind, Frame, Message, Monitor, Pair, Pub,
    Pull, Push, RecvError, Rep, Req, Router, RoutingId, SendError, SendErrorKind, SocketClosed, Stats, Sub,
    XPub, XSub,
};

pub(crate) use crate::support::{MEDIA, Medium, inproc, unused_tcp};

use crate::support::raw_peer::{Properties, RawListener, RawPeer};
use crate::support::within;

/// Anything that a test waits for.
pub(crate) trait Soon: Future + Sized {
    /// Awaits it for ten seconds at most; then the test fails and names this line.
    #[track_caller]
    fn soon(self) -> impl Future<Output = Self::Output> {
        let at = Location::caller();
        async move { within(&at.to_string(), self).await }
    }
}

impl<F: Future> Soon for F {}

/// What every socket type can do.
pub(crate) trait Socket: Clone + Sized {
    const NAME: &'static str;
    /// A type that it may talk to.
    const PARTNER: &'static str;

    fn make(context: &Context) -> Self;
    async fn binds(&self, endpoint: &str) -> Result<Endpoint, BindError>;
    async fn connects(&self, endpoint: &str) -> Result<(), ConnectError>;
    fn unbinds(&self, endpoint: &str) -> Result<(), sinew::Error>;
    async fn peers(&self, count: usize) -> Result<(), SocketClosed>;
    fn watch(&self) -> Monitor;
    fn count(&self) -> Stats;
    async fn shut(&self) -> usize;
}

/// What sends to nobody in particular.
pub(crate) trait Sends: Socket {
    async fn put(&self, message: Message) -> Result<(), SendError>;
    #[allow(clippy::result_large_err, reason = "the message comes back")]
    fn try_put(&self, message: Message) -> Result<(), SendError>;
}

/// What receives.
pub(crate) trait Receives: Socket {
    async fn take(&self) -> Result<Message, RecvError>;
    fn try_take(&self) -> Result<Message, RecvError>;
}

macro_rules! sockets {
    ($($socket:ident talks to $partner:literal),*) => {$(
        impl Socket for $socket {
            const NAME: &'static str = stringify!($socket);
            const PARTNER: &'static str = $partner;

            fn make(context: &Context) -> Self {
                Self::builder().context(context).build().unwrap()
            }
            async fn binds(&self, endpoint: &str) -> Result<Endpoint, BindError> {
                self.bind(endpoint).soon().await
            }
            async fn connects(&self, endpoint: &str) -> Result<(), ConnectError> {
                self.connect(endpoint).soon().await
            }
            fn unbinds(&self, endpoint: &str) -> Result<(), sinew::Error> {
                self.unbind(endpoint)
            }
            async fn peers(&self, count: usize) -> Result<(), SocketClosed> {
                self.wait_for_peers(count).soon().await
            }
            fn watch(&self) -> Monitor {
                self.monitor()
            }
            fn count(&self) -> Stats {
                self.stats()
            }
            async fn shut(&self) -> usize {
                self.close().soon().await.undelivered
            }
        }
    )*};
}
sockets! {
    Push talks to "PULL", Pull talks to "PUSH", Pub talks to "SUB", Sub talks to "PUB", XPub talks to "SUB",
    XSub talks to "PUB", Req talks to "REP", Rep talks to "REQ", Dealer talks to "DEALER",
    Router talks to "DEALER", Pair talks to "PAIR"
}

macro_rules! senders {
    ($($socket:ident),*) => {$(
        impl Sends for $socket {
            async fn put(&self, message: Message) -> Result<(), SendError> {
                self.send(message).soon().await
            }
            fn try_put(&self, message: Message) -> Result<(), SendError> {
                self.try_send(message)
            }
        }
    )*};
}
senders!(Push, Pub, XPub, XSub, Req, Rep, Dealer, Pair);

impl Sends for Router {
    async fn put(&self, message: Message) -> Result<(), SendError> {
        self.send("nobody", message).soon().await
    }
    fn try_put(&self, message: Message) -> Result<(), SendError> {
        self.try_send("nobody", message)
    }
}

macro_rules! receivers {
    ($($socket:ident),*) => {$(
        impl Receives for $socket {
            async fn take(&self) -> Result<Message, RecvError> {
                self.recv().soon().await
            }
            fn try_take(&self) -> Result<Message, RecvError> {
                self.try_recv()
            }
        }
    )*};
}
receivers!(Pull, Sub, XPub, XSub, Req, Rep, Dealer, Pair);

impl Receives for Router {
    async fn take(&self) -> Result<Message, RecvError> {
        self.recv().soon().await.map(|(_, message)| message)
    }
    fn try_take(&self) -> Result<Message, RecvError> {
        self.try_recv().map(|(_, message)| message)
    }
}

/// Makes a test of a generic check for each of the given types.
macro_rules! for_each {
    ($check:ident: $($socket:ident),*) => {
        mod $check {
            $(
                #[tokio::test]
                #[allow(non_snake_case, reason = "the name of a type")]
                async fn $socket() {
                    super::$check::<sinew::$socket>().await;
                }
            )*
        }
    };
}
pub(crate) use for_each;

/// Binds to a free port of 127.0.0.1.
pub(crate) async fn bind(socket: &impl Socket) -> String {
    socket.binds("tcp://127.0.0.1:0").await.unwrap().to_string()
}

/// Binds one socket, connects the other, and waits until they know each other; says where.
pub(crate) async fn join(medium: Medium, binder: &impl Socket, connecter: &impl Socket) -> String {
    let endpoint = binder.binds(&medium.any()).await.unwrap().to_string();
    connecter.connects(&endpoint).await.unwrap();
    binder.peers(1).await.unwrap();
    connecter.peers(1).await.unwrap();
    endpoint
}

/// A raw peer that connects to `socket`, of its partner's type.
pub(crate) async fn raw<S: Socket>(socket: &S) -> RawPeer {
    raw_as(socket, S::PARTNER, 1).await
}

/// A raw peer of ZMTP 3.`minor` that connects to `socket`.
pub(crate) async fn raw_as(socket: &impl Socket, kind: &str, minor: u8) -> RawPeer {
    let endpoint = bind(socket).await;
    let mut monitor = socket.watch();
    let mut peer = RawPeer::connect(&endpoint).await;
    peer.handshake(kind, minor).await;
    until(&mut monitor, EventKind::HandshakeSucceeded).await;
    peer
}

/// A raw peer with an identity that connects to `endpoint`.
pub(crate) async fn raw_named(endpoint: &str, kind: &str, identity: &[u8]) -> RawPeer {
    let mut peer = RawPeer::connect(endpoint).await;
    peer.greeting(1).await;
    peer.ready(kind, Some(identity), &[]).await;
    peer.recv_greeting().await;
    peer.recv_ready().await;
    peer
}

/// A raw listener that `socket` has connected to, and the connection.
pub(crate) async fn raw_server<S: Socket>(socket: &S) -> (RawListener, RawPeer) {
    let listener = RawListener::bind().await;
    socket.connects(&listener.endpoint()).await.unwrap();
    let peer = answer(&listener, S::PARTNER, 1).await.0;
    socket.peers(1).await.unwrap();
    (listener, peer)
}

/// Accepts the next connection and shakes hands as a `kind`.
pub(crate) async fn answer(listener: &RawListener, kind: &str, minor: u8) -> (RawPeer, Properties) {
    let mut peer = listener.accept().await;
    let properties = peer.handshake(kind, minor).await;
    (peer, properties)
}

/// What a ROUTER received, with the name of the peer in place of its connection.
pub(crate) fn by_name((id, message): (RoutingId, Message)) -> (Frame, Message) {
    (id.into(), message)
}

/// The next event that `wanted` finds something in, past all others.
#[track_caller]
pub(crate) fn event<T>(
    monitor: &mut Monitor,
    mut wanted: impl FnMut(&Event) -> Option<T>,
) -> impl Future<Output = T> {
    let at = Location::caller();
    async move {
        let found = async {
            loop {
                let event = monitor.recv().await.expect("the socket lives");
                if let Some(found) = wanted(&event) {
                    return found;
                }
            }
        };
        within(&format!("an event, at {at}"), found).await
    }
}

/// The next event of that kind, past all others.
#[track_caller]
pub(crate) fn until(monitor: &mut Monitor, kind: EventKind) -> impl Future<Output = Event> {
    event(monitor, move |event| (event.kind == kind).then(|| event.clone()))
}

/// Why the next connection that breaks did so.
#[track_caller]
pub(crate) fn disconnected(monitor: &mut Monitor) -> impl Future<Output = sinew::DisconnectReason> {
    event(monitor, |event| match &event.kind {
        EventKind::Disconnected(reason) => Some(reason.clone()),
        _ => None,
    })
}

/// Why the next handshake that fails does so.
#[track_caller]
pub(crate) fn handshake_failed(monitor: &mut Monitor) -> impl Future<Output = sinew::HandshakeError> {
    event(monitor, |event| match &event.kind {
        EventKind::HandshakeFailed(error) => Some(error.clone()),
        _ => None,
    })
}

/// Waits until a counter is as wanted. The counters have no waker: it lets the other tasks run in between.
#[track_caller]
pub(crate) fn counted<S: Socket>(socket: &S, wanted: impl Fn(&Stats) -> bool) -> impl Future<Output = Stats> {
    let at = Location::caller();
    async move {
        let deadline = std::time::Instant::now() + crate::support::DEADLINE;
        loop {
            let stats = socket.count();
            if wanted(&stats) {
                return stats;
            }
            assert!(std::time::Instant::now() < deadline, "at {at}: {stats:#?}");
            tokio::task::yield_now().await;
        }
    }
}

/// Sends without waiting until nothing is taken any more; says how many were.
pub(crate) fn fill(socket: &impl Sends) -> usize {
    for count in 0..1_000_000 {
        if let Err(error) = socket.try_put(Message::from("x")) {
            assert!(matches!(error.kind(), SendErrorKind::Full | SendErrorKind::NoPeer), "{error}");
            return count;
        }
    }
    panic!("it is never full");
}

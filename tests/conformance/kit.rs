//! What the tests are made of: bounded waiting, any socket type behind one trait, and ways to meet a peer.

use std::panic::Location;

use sinew::{
    Context, Event, EventKind, Frame, Message, Monitor, Options, RoutingId, SendErrorKind, Sending, Socket,
    SocketType, Stats,
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

/// What is sent to nobody in particular, or received from anybody.
pub(crate) trait Item: Send + PartialEq + std::fmt::Debug {
    fn of(message: impl Into<Message>) -> Self;
    fn into_message(self) -> Message;
}

impl Item for Message {
    fn of(message: impl Into<Self>) -> Self {
        message.into()
    }
    fn into_message(self) -> Message {
        self
    }
}

impl Item for (RoutingId, Message) {
    fn of(message: impl Into<Message>) -> Self {
        ("nobody".into(), message.into())
    }
    fn into_message(self) -> Message {
        self.1
    }
}

/// A socket in that context.
pub(crate) fn make<S: Socket>(context: &Context) -> S {
    S::with_options(context, &Options::new()).unwrap()
}

/// The name of a type that it may talk to.
pub(crate) fn partner<S: Socket>() -> &'static str {
    match S::TYPE {
        SocketType::Push => "PULL",
        SocketType::Pull => "PUSH",
        SocketType::Pub | SocketType::XPub => "SUB",
        SocketType::Sub | SocketType::XSub => "PUB",
        SocketType::Req => "REP",
        SocketType::Rep => "REQ",
        SocketType::Dealer | SocketType::Router => "DEALER",
        other => other.name(),
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
    socket.bind("tcp://127.0.0.1:0").soon().await.unwrap().to_string()
}

/// Binds one socket, connects the other, and waits until they know each other; says where.
pub(crate) async fn join(medium: Medium, binder: &impl Socket, connecter: &impl Socket) -> String {
    let endpoint = binder.bind(&medium.any()).soon().await.unwrap().to_string();
    connecter.connect(&endpoint).soon().await.unwrap();
    binder.wait_for_peers(1).soon().await.unwrap();
    connecter.wait_for_peers(1).soon().await.unwrap();
    endpoint
}

/// A raw peer that connects to `socket`, of its partner's type.
pub(crate) async fn raw<S: Socket>(socket: &S) -> RawPeer {
    raw_as(socket, partner::<S>(), 1).await
}

/// A raw peer of ZMTP 3.`minor` that connects to `socket`.
pub(crate) async fn raw_as(socket: &impl Socket, kind: &str, minor: u8) -> RawPeer {
    let endpoint = bind(socket).await;
    let mut monitor = socket.monitor();
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
    socket.connect(&listener.endpoint()).soon().await.unwrap();
    let peer = answer(&listener, partner::<S>(), 1).await.0;
    socket.wait_for_peers(1).soon().await.unwrap();
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
            let stats = socket.stats();
            if wanted(&stats) {
                return stats;
            }
            assert!(std::time::Instant::now() < deadline, "at {at}: {stats:#?}");
            tokio::task::yield_now().await;
        }
    }
}

/// Sends without waiting until nothing is taken any more; says how many were.
pub(crate) fn fill(socket: &impl Sending<Item = Message>) -> usize {
    for count in 0..1_000_000 {
        if let Err(error) = socket.try_send("x") {
            assert!(matches!(error.kind(), SendErrorKind::Full | SendErrorKind::NoPeer), "{error}");
            return count;
        }
    }
    panic!("it is never full");
}

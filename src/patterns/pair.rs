use super::builder::{builder, receiving, sending};
use super::handle::{Handle, lifecycle};
use super::verbs::{receives, sends, sends_many};
use super::{pull, push};
use crate::message::Message;
use crate::proto::SocketType;
use crate::routing::{Rotation, Route};
use crate::socket::{LINGER, Pattern, keep};

/// Talks to exactly one other [`Pair`], in both directions.
///
/// A second peer is refused, and takes over when it tries again after the first has left. libzmq: `ZMQ_PAIR`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sinew::Error> {
/// use sinew::Pair;
/// let (a, b) = (Pair::new(), Pair::new());
/// a.bind("inproc://pair-doc").await?;
/// b.connect("inproc://pair-doc").await?;
/// a.send("over").await?;
/// b.send("and out").await?;
/// assert_eq!((b.recv().await?, a.recv().await?), ("over".into(), "and out".into()));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Pair {
    pub(crate) handle: Handle,
}

pub(super) static PATTERN: Pattern = Pattern {
    socket_type: SocketType::Pair,
    peers: &[SocketType::Pair],
    route: |_| Route::Balance(Rotation::default()),
    send: Some(push::SEND),
    receive: Some(pull::RECEIVE),
    arrive: keep,
    lockstep: false,
    exclusive: true,
    announces_routing_id: false,
    hears_subscriptions: false,
    groups: false,
    pings: true,
    filters: false,
    connects_once: false,
    linger: LINGER,
};

builder! {
    /// Options of a [`Pair`].
    PairBuilder => Pair, [sending, receiving]
}
lifecycle!(Pair, PairBuilder, PATTERN);
sends!(Pair, Message, push::offer);
sends_many!(Pair, push::offer);
receives!(Pair, Message, pull::take);

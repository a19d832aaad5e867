use super::builder::{builder, conflating, sending};
use super::handle::{Handle, lifecycle};
use super::verbs::{sends, sends_many};
use crate::message::Message;
use crate::pipe::{Deferred, Outbox, Refusal};
use crate::proto::{ProtocolError, Received, SocketType};
use crate::routing::{PeerKey, Rotation, Route};
use crate::socket::{Core, LINGER, Offer, Pattern, RawSend, Tally, step};

/// Hands each message to one of its peers, in turn: the ventilator of a pipeline. Talks to [`Pull`](crate::Pull).
///
/// Peers at their high-water mark are skipped; with none left, [`send`](Self::send) waits. libzmq: `ZMQ_PUSH`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sinew::Error> {
/// use sinew::{Pull, Push};
/// let sink = Pull::new();
/// let addr = sink.bind("tcp://127.0.0.1:0").await?;
/// let vent = Push::new();
/// vent.connect(&addr).await?;
/// vent.send("hello").await?;
/// assert_eq!(sink.recv().await?, "hello");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Push {
    pub(crate) handle: Handle,
}

pub(super) static PATTERN: Pattern = Pattern {
    socket_type: SocketType::Push,
    peers: &[SocketType::Pull],
    route: |_| Route::Balance(Rotation::default()),
    send: Some(SEND),
    receive: None,
    arrive: unexpected,
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
    /// Options of a [`Push`].
    PushBuilder => Push, [sending, conflating]
}
lifecycle!(Push, PushBuilder, PATTERN);
sends!(Push, Message, offer);
sends_many!(Push, offer);

#[inline]
pub(super) fn offer(core: &Core) -> impl Offer {
    step(core, balance)
}

/// Round robin over the peers with room: the whole policy of PUSH, DEALER and PAIR.
#[inline]
fn balance(
    _: &Core,
    outbox: &mut Outbox,
    message: &mut Message,
    later: &mut Deferred,
) -> Result<(), Refusal> {
    outbox.balance(&[], message, later).map(drop)
}

pub(super) const SEND: RawSend = RawSend { offer: balance, sent: |_| {} };

/// Nobody receives: what comes is dropped, and counted.
pub(super) fn unexpected(core: &Core, _: PeerKey, batch: &mut Received) -> Result<(), ProtocolError> {
    Tally::count(&core.tally.unexpected, std::mem::take(batch).len());
    Ok(())
}

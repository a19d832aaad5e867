use super::builder::{builder, conflating, receiving};
use super::handle::{Handle, lifecycle};
use super::verbs::receives;
use crate::message::Message;
use crate::pipe::{Deferred, Inbox, Popped};
use crate::proto::SocketType;
use crate::routing::{PeerKey, Route};
use crate::socket::{Core, LINGER, Pattern, RawReceive, Take, Taken, keep, next_message};

/// Receives from all its peers, one message of each in turn: the worker or sink of a pipeline. Talks to
/// [`Push`](crate::Push).
///
/// A full queue stops reading that peer, so a slow `Pull` slows its pushers down. libzmq: `ZMQ_PULL`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sinew::Error> {
/// use sinew::{Pull, Push};
/// let sink = Pull::builder().recv_hwm(100).build()?;
/// let addr = sink.bind("tcp://127.0.0.1:0").await?;
/// let vent = Push::new();
/// vent.connect(&addr).await?;
/// vent.send(["header", "body"]).await?;
/// assert_eq!(sink.recv().await?[1], "body");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Pull {
    pub(crate) handle: Handle,
}

pub(super) static PATTERN: Pattern = Pattern {
    socket_type: SocketType::Pull,
    peers: &[SocketType::Push],
    route: |_| Route::Nothing,
    send: None,
    receive: Some(RECEIVE),
    arrive: keep,
    lockstep: false,
    exclusive: false,
    announces_routing_id: false,
    hears_subscriptions: false,
    filters: false,
    connects_once: false,
    linger: LINGER,
};

builder! {
    /// Options of a [`Pull`].
    PullBuilder => Pull, [receiving, conflating]
}
lifecycle!(Pull, PullBuilder, &PATTERN);
receives!(Pull, Message, take);

/// The next message of any peer: the whole of receiving for most types.
#[inline]
pub(super) fn take(_: &Core) -> impl Take<Message> {
    next_message
}

/// As [`take`], for who does not know the type.
pub(super) const RECEIVE: RawReceive =
    RawReceive { take: |_, inbox, item, later| take_from(inbox, item, later), put_back };

fn take_from(inbox: &mut Inbox, (from, message): &mut (PeerKey, Message), later: &mut Deferred) -> Taken {
    match inbox.pop(message, later) {
        None => Taken::Nothing,
        Some(Popped::Message(peer) | Popped::Body(peer)) => {
            *from = peer;
            Taken::Item
        }
        Some(Popped::Filtered | Popped::Arrived(..) | Popped::Gone(..)) => Taken::Unwanted,
    }
}

/// Puts a message back where it came from.
pub(super) fn put_back(core: &Core, from: PeerKey, message: Message) {
    let mut later = Deferred::new();
    core.inbox.lock().unpop(from, message, &mut later);
    later.run();
}

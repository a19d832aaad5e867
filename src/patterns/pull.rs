use super::builder::{builder, conflating, receiving};
use super::handle::{Handle, lifecycle};
use super::verbs::receives;
#[cfg(feature = "draft")]
use crate::message::Frame;
use crate::message::Message;
use crate::pipe::{Deferred, Inbox, Popped};
use crate::proto::SocketType;
use crate::routing::{PeerKey, Route};
#[cfg(feature = "draft")]
use crate::socket::Tally;
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
    groups: false,
    pings: true,
    filters: false,
    connects_once: false,
    linger: LINGER,
};

builder! {
    /// Options of a [`Pull`].
    PullBuilder => Pull, [receiving, conflating]
}
lifecycle!(Pull, PullBuilder, PATTERN);
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

/// As [`RECEIVE`], of types whose messages are single frames.
#[cfg(feature = "draft")]
pub(super) const RECEIVE_FRAME: RawReceive =
    RawReceive { take: |core, inbox, item, later| take_of(1, core, inbox, item, later), ..RECEIVE };

/// The next message of exactly so many frames; others are dropped, and counted.
#[cfg(feature = "draft")]
pub(super) fn take_of(
    frames: usize,
    core: &Core,
    inbox: &mut Inbox,
    item: &mut (PeerKey, Message),
    later: &mut Deferred,
) -> Taken {
    let taken = take_from(inbox, item, later);
    if taken != Taken::Item || item.1.frame_count() == frames {
        return taken;
    }
    Tally::count(&core.tally.unexpected, 1);
    later.discard(std::mem::take(&mut item.1));
    Taken::Unwanted
}

/// The next frame of any peer.
#[cfg(feature = "draft")]
pub(super) fn take_frame(core: &Core) -> impl Take<Frame> {
    move |inbox: &mut Inbox, frame: &mut Frame, later: &mut Deferred| -> Taken {
        let mut item = (PeerKey::default(), Message::new());
        let taken = (RECEIVE_FRAME.take)(core, inbox, &mut item, later);
        *frame = std::mem::take(item.1.start());
        taken
    }
}

/// Puts a message back where it came from.
pub(super) fn put_back(_: &Core, inbox: &mut Inbox, from: PeerKey, message: Message, later: &mut Deferred) {
    inbox.unpop(from, message, later);
}

//! What the shared code knows of a socket type: a constant in the type's page, and the only way in which types differ.

use std::time::Duration;

use super::{Core, Taken};
use crate::message::Message;
use crate::options::TypeOptions;
use crate::pipe::{Deferred, Inbox, Outbox, Refusal};
use crate::proto::{ProtocolError, Received, SocketType};
use crate::routing::{PeerKey, Route};

/// A socket type. Every field has to be thought of: there are no defaults.
pub(crate) struct Pattern {
    pub(crate) socket_type: SocketType,
    /// Who may be its peer (A10).
    pub(crate) peers: &'static [SocketType],
    /// Whom a message goes to.
    pub(crate) route: fn(&TypeOptions) -> Route,
    /// How a message is sent by one who does not know the type, a proxy: as `send` does, with the frames that libzmq has
    /// (a ROUTER's peer is the first). `None` if it only receives.
    pub(crate) send: Option<RawSend>,
    /// How a message is received by such a one.
    pub(crate) receive: Option<RawReceive>,
    /// What happens when messages arrive, before they go to the inbox; whatever it takes out of them does not.
    pub(crate) arrive: fn(&Core, PeerKey, &mut Received) -> Result<(), ProtocolError>,
    /// Whether nothing more is to be expected of a peer before it is answered: then who sends writes itself, and the waker
    /// of what has come reads.
    pub(crate) lockstep: bool,
    /// Whether it has one peer at a time.
    pub(crate) exclusive: bool,
    /// Whether it tells its peers a routing id (A5.2).
    pub(crate) announces_routing_id: bool,
    /// Whether the application hears of subscriptions; they fill its inbox.
    pub(crate) hears_subscriptions: bool,
    /// Whether what it subscribes to, or publishes to, are groups: a message is for one of them exactly, and they are
    /// joined and left by commands of their own (48/RADIO-DISH).
    pub(crate) groups: bool,
    /// Whether it sends heartbeats, where options say so. A DISH of libzmq hangs up at any command, and never comes back.
    pub(crate) pings: bool,
    /// Whether it filters what it receives by its own subscriptions: its publisher may filter late or not at all (B6.2).
    pub(crate) filters: bool,
    /// Whether a second connection to the same endpoint has no use (B0.8).
    pub(crate) connects_once: bool,
    /// How long it goes on writing when it is closed, if it is not told.
    pub(crate) linger: Duration,
}

/// Sends as one who does not know the type: how, and what to do when it is done.
pub(crate) struct RawSend {
    pub(crate) offer: fn(&Core, &mut Outbox, &mut Message, &mut Deferred) -> Result<(), Refusal>,
    pub(crate) sent: fn(&Core),
}

/// Receives as one who does not know the type: the message and the pipe that it came from, and how to put it back.
pub(crate) struct RawReceive {
    pub(crate) take: fn(&Core, &mut Inbox, &mut (PeerKey, Message), &mut Deferred) -> Taken,
    pub(crate) put_back: fn(&Core, &mut Inbox, PeerKey, Message, &mut Deferred),
}

/// libzmq lingers for ever, which hangs programs at their end; omq not at all, which loses the
/// last messages of programs that just send and exit. Five seconds cover a reconnect (first retry
/// after 0.1 s) and a TCP connect with its first retransmissions at 1 s and 3 s.
pub(crate) const LINGER: Duration = Duration::from_secs(5);

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.socket_type.name())
    }
}

/// Everything goes to the inbox.
pub(crate) fn keep(_: &Core, _: PeerKey, _: &mut Received) -> Result<(), ProtocolError> {
    Ok(())
}

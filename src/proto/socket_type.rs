//! The socket types, their names on the wire, and which may talk to which.

use std::fmt;

/// The messaging pattern that one end of a connection plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SocketType {
    /// One peer, both ways.
    Pair,
    /// Publishes to whoever subscribed.
    Pub,
    /// Subscribes and receives.
    Sub,
    /// Sends a request, then receives its reply.
    Req,
    /// Receives a request, then sends its reply.
    Rep,
    /// Sends round-robin, receives from all.
    Dealer,
    /// Receives from all, sends to the peer it names.
    Router,
    /// Receives from all pushers.
    Pull,
    /// Sends round-robin to pullers.
    Push,
    /// A publisher that sees subscriptions.
    XPub,
    /// A subscriber that sends its subscriptions as messages.
    XSub,
}

impl SocketType {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pair => "PAIR",
            Self::Pub => "PUB",
            Self::Sub => "SUB",
            Self::Req => "REQ",
            Self::Rep => "REP",
            Self::Dealer => "DEALER",
            Self::Router => "ROUTER",
            Self::Pull => "PULL",
            Self::Push => "PUSH",
            Self::XPub => "XPUB",
            Self::XSub => "XSUB",
        }
    }

    /// The type of that name on the wire.
    #[must_use]
    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"PAIR" => Self::Pair,
            b"PUB" => Self::Pub,
            b"SUB" => Self::Sub,
            b"REQ" => Self::Req,
            b"REP" => Self::Rep,
            b"DEALER" => Self::Dealer,
            b"ROUTER" => Self::Router,
            b"PULL" => Self::Pull,
            b"PUSH" => Self::Push,
            b"XPUB" => Self::XPub,
            b"XSUB" => Self::XSub,
            _ => return None,
        })
    }

    /// Whether an identity of such a peer is heeded (A5.7).
    pub(crate) const fn has_identity(self) -> bool {
        matches!(self, Self::Req | Self::Dealer | Self::Router)
    }
}

impl fmt::Display for SocketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

//! The socket types and their names on the wire.

use std::fmt;

macro_rules! socket_types {
    ($($(#[doc = $doc:literal])* $(#[cfg($cfg:meta)])? $name:ident = $wire:literal,)*) => {
        /// The messaging pattern that one end of a connection plays.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum SocketType {
            $($(#[doc = $doc])* $(#[cfg($cfg)])? $name,)*
        }

        impl SocketType {
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$($(#[cfg($cfg)])? Self::$name,)*];

            /// The name on the wire.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $($(#[cfg($cfg)])? Self::$name => $wire,)*
                }
            }

            /// The type of that name on the wire.
            pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
                $($(#[cfg($cfg)])? if name == $wire.as_bytes() { return Some(Self::$name); })*
                None
            }
        }
    };
}

socket_types! {
    /// One peer, both ways.
    Pair = "PAIR",
    /// Publishes to whoever subscribed.
    Pub = "PUB",
    /// Subscribes and receives.
    Sub = "SUB",
    /// Sends a request, then receives its reply.
    Req = "REQ",
    /// Receives a request, then sends its reply.
    Rep = "REP",
    /// Sends round-robin, receives from all.
    Dealer = "DEALER",
    /// Receives from all, sends to the peer it names.
    Router = "ROUTER",
    /// Receives from all pushers.
    Pull = "PULL",
    /// Sends round-robin to pullers.
    Push = "PUSH",
    /// A publisher that sees subscriptions.
    XPub = "XPUB",
    /// A subscriber that sends its subscriptions as messages.
    XSub = "XSUB",
    /// Sends single frames round-robin, receives from all.
    #[cfg(feature = "draft")]
    Client = "CLIENT",
    /// Receives single frames from all, sends to the peer it names.
    #[cfg(feature = "draft")]
    Server = "SERVER",
    /// Publishes single frames to the members of a group.
    #[cfg(feature = "draft")]
    Radio = "RADIO",
    /// Joins groups and receives what is published to them.
    #[cfg(feature = "draft")]
    Dish = "DISH",
    /// Sends single frames round-robin to gatherers.
    #[cfg(feature = "draft")]
    Scatter = "SCATTER",
    /// Receives single frames from all scatterers.
    #[cfg(feature = "draft")]
    Gather = "GATHER",
    /// One peer, single frames both ways.
    #[cfg(feature = "draft")]
    Channel = "CHANNEL",
    /// Receives single frames from all, sends to the peer it names, connects to its like.
    #[cfg(feature = "draft")]
    Peer = "PEER",
}

impl SocketType {
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

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

    /// Whether a socket of this type may talk to one of type `peer`.
    #[must_use]
    pub const fn accepts(self, peer: Self) -> bool {
        match self {
            Self::Pair => matches!(peer, Self::Pair),
            Self::Pub | Self::XPub => matches!(peer, Self::Sub | Self::XSub),
            Self::Sub | Self::XSub => matches!(peer, Self::Pub | Self::XPub),
            Self::Req => matches!(peer, Self::Rep | Self::Router),
            Self::Rep => matches!(peer, Self::Req | Self::Dealer),
            Self::Dealer => matches!(peer, Self::Rep | Self::Dealer | Self::Router),
            Self::Router => matches!(peer, Self::Req | Self::Dealer | Self::Router),
            Self::Pull => matches!(peer, Self::Push),
            Self::Push => matches!(peer, Self::Pull),
        }
    }

    /// Whether it tells its peers an identity, and whether one is heeded when it does.
    #[must_use]
    pub(crate) const fn announces_identity(self) -> bool {
        matches!(self, Self::Req | Self::Dealer | Self::Router)
    }
}

impl fmt::Display for SocketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use SocketType::*;

    use super::*;

    pub(crate) const ALL: [SocketType; 11] =
        [Pair, Pub, Sub, Req, Rep, Dealer, Router, Pull, Push, XPub, XSub];

    #[test]
    fn a10_legal_pairs_are_exactly_these_in_both_directions() {
        let legal = [
            (Pair, Pair),
            (Pub, Sub),
            (Pub, XSub),
            (XPub, Sub),
            (XPub, XSub),
            (Req, Rep),
            (Req, Router),
            (Rep, Dealer),
            (Dealer, Dealer),
            (Dealer, Router),
            (Router, Router),
            (Pull, Push),
        ];
        for ours in ALL {
            for theirs in ALL {
                let expected = legal.contains(&(ours, theirs)) || legal.contains(&(theirs, ours));
                assert_eq!(ours.accepts(theirs), expected, "{ours} {theirs}");
            }
        }
    }

    #[test]
    fn names_round_trip_and_are_case_sensitive() {
        for kind in ALL {
            assert_eq!(SocketType::from_name(kind.name().as_bytes()), Some(kind));
            assert_eq!(SocketType::from_name(kind.name().to_lowercase().as_bytes()), None);
        }
        assert_eq!(SocketType::from_name(b"CLIENT"), None);
        assert_eq!(format!("{XPub:>5}"), " XPUB");
    }

    #[test]
    fn a5_2_three_types_announce_an_identity() {
        let announcing: Vec<_> = ALL.into_iter().filter(|t| t.announces_identity()).collect();
        assert_eq!(announcing, [Req, Dealer, Router]);
    }
}

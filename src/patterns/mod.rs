//! The sockets people meet: one type each, with the verbs that type has.
//!
//! A type is a page: a [`Pattern`](crate::socket::Pattern) that says all the shared code has to know, what it may be told
//! (its builder), whom a message goes to (`offer`, run on the outbox), and what it receives (`take`, run on the inbox).
//! The life of a socket and the verbs are written once, as macros over these, because a doc page per type
//! is worth more to the reader than a generic one.

mod builder;
mod dealer;
mod handle;
mod marks;
mod pair;
mod publish;
mod pull;
mod push;
mod rep;
mod req;
mod router;
mod subscribe;
mod verbs;
mod xpub;
mod xsub;

pub use dealer::{Dealer, DealerBuilder};
pub use pair::{Pair, PairBuilder};
pub use publish::{Pub, PubBuilder};
pub use pull::{Pull, PullBuilder};
pub use push::{Push, PushBuilder};
pub use rep::{Rep, RepBuilder};
pub use req::{Req, ReqBuilder};
pub use router::{PeerId, Router, RouterBuilder, RouterEvent, RoutingId};
pub use subscribe::{Sub, SubBuilder};
pub use xpub::{XPub, XPubBuilder};
pub use xsub::{XSub, XSubBuilder};

#[cfg(test)]
mod tests {
    use SocketType::*;

    use super::*;
    use crate::proto::SocketType;
    use crate::socket::Pattern;

    const ALL: [SocketType; 11] = [Pair, Pub, Sub, Req, Rep, Dealer, Router, Pull, Push, XPub, XSub];

    fn of(socket_type: SocketType) -> &'static Pattern {
        let all = [
            &pair::PATTERN,
            &publish::PATTERN,
            &subscribe::PATTERN,
            &req::PATTERN,
            &rep::PATTERN,
            &dealer::PATTERN,
            &router::PATTERN,
            &pull::PATTERN,
            &push::PATTERN,
            &xpub::PATTERN,
            &xsub::PATTERN,
        ];
        all.into_iter().find(|pattern| pattern.socket_type == socket_type).unwrap()
    }

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
                assert_eq!(of(ours).peers.contains(&theirs), expected, "{ours} {theirs}");
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
    fn a5_2_three_types_announce_an_identity_and_those_are_heeded() {
        let announcing: Vec<_> = ALL.into_iter().filter(|kind| of(*kind).announces_routing_id).collect();
        assert_eq!(announcing, [Req, Dealer, Router]);
        assert!(ALL.iter().all(|kind| kind.has_identity() == announcing.contains(kind)));
    }
}

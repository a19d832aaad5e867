//! The sockets people meet: one type each, with the verbs that type has.
//!
//! A type is a page: a [`Pattern`](crate::socket::Pattern) that says all the shared code has to know, what it may be told
//! (its builder), whom a message goes to (`offer`, run on the outbox), and what it receives (`take`, run on the inbox).
//! The life of a socket and the verbs are written once, as macros over these, because a doc page per type
//! is worth more to the reader than a generic one.

mod builder;
#[cfg(feature = "draft")]
mod channel;
#[cfg(feature = "draft")]
mod client;
mod dealer;
#[cfg(feature = "draft")]
mod dish;
#[cfg(feature = "draft")]
mod gather;
#[cfg(feature = "draft")]
mod group;
mod handle;
mod marks;
mod pair;
#[cfg(feature = "draft")]
mod peer;
mod publish;
mod pull;
mod push;
#[cfg(feature = "draft")]
mod radio;
mod rep;
mod req;
mod router;
mod routing_id;
#[cfg(feature = "draft")]
mod scatter;
#[cfg(feature = "draft")]
mod server;
mod subscribe;
pub(crate) mod traits;
mod verbs;
mod xpub;
mod xsub;

#[cfg(feature = "draft")]
pub use channel::{Channel, ChannelBuilder};
#[cfg(feature = "draft")]
pub use client::{Client, ClientBuilder};
pub use dealer::{Dealer, DealerBuilder};
#[cfg(feature = "draft")]
pub use dish::{Dish, DishBuilder};
#[cfg(feature = "draft")]
pub use gather::{Gather, GatherBuilder};
#[cfg(feature = "draft")]
pub use group::{Group, GroupError};
pub use pair::{Pair, PairBuilder};
#[cfg(feature = "draft")]
pub use peer::{Peer, PeerBuilder};
pub use publish::{Pub, PubBuilder};
pub use pull::{Pull, PullBuilder};
pub use push::{Push, PushBuilder};
#[cfg(feature = "draft")]
pub use radio::{Radio, RadioBuilder};
pub use rep::{Rep, RepBuilder};
pub use req::{Req, ReqBuilder};
pub use router::{Router, RouterBuilder, RouterEvent};
pub use routing_id::{PeerId, RoutingId};
#[cfg(feature = "draft")]
pub use scatter::{Scatter, ScatterBuilder};
#[cfg(feature = "draft")]
pub use server::{Server, ServerBuilder};
pub use subscribe::{Sub, SubBuilder};
pub use traits::{Receiving, Sending, Socket};
pub use xpub::{XPub, XPubBuilder};
pub use xsub::{XSub, XSubBuilder};

#[cfg(test)]
mod tests {
    use SocketType::*;

    use super::*;
    use crate::proto::SocketType;
    use crate::socket::Pattern;

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
            #[cfg(feature = "draft")]
            &client::PATTERN,
            #[cfg(feature = "draft")]
            &server::PATTERN,
            #[cfg(feature = "draft")]
            &radio::PATTERN,
            #[cfg(feature = "draft")]
            &dish::PATTERN,
            #[cfg(feature = "draft")]
            &scatter::PATTERN,
            #[cfg(feature = "draft")]
            &gather::PATTERN,
            #[cfg(feature = "draft")]
            &channel::PATTERN,
            #[cfg(feature = "draft")]
            &peer::PATTERN,
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
            #[cfg(feature = "draft")]
            (Client, Server),
            #[cfg(feature = "draft")]
            (Radio, Dish),
            #[cfg(feature = "draft")]
            (Scatter, Gather),
            #[cfg(feature = "draft")]
            (Channel, Channel),
            #[cfg(feature = "draft")]
            (Peer, Peer),
        ];
        for &ours in SocketType::ALL {
            for &theirs in SocketType::ALL {
                let expected = legal.contains(&(ours, theirs)) || legal.contains(&(theirs, ours));
                assert_eq!(of(ours).peers.contains(&theirs), expected, "{ours} {theirs}");
            }
        }
    }

    #[test]
    fn names_round_trip_and_are_case_sensitive() {
        for &kind in SocketType::ALL {
            assert_eq!(SocketType::from_name(kind.name().as_bytes()), Some(kind));
            assert_eq!(SocketType::from_name(kind.name().to_lowercase().as_bytes()), None);
        }
        assert_eq!(SocketType::from_name(b"STREAM"), None);
        assert_eq!(format!("{XPub:>5}"), " XPUB");
    }

    #[test]
    fn a5_2_three_types_announce_an_identity_and_those_are_heeded() {
        let announcing: Vec<_> =
            SocketType::ALL.iter().copied().filter(|kind| of(*kind).announces_routing_id).collect();
        assert_eq!(announcing, [Req, Dealer, Router]);
        assert!(SocketType::ALL.iter().all(|kind| kind.has_identity() == announcing.contains(kind)));
    }
}

//! Policy: which peer a message goes to, and which peer is read next.
//!
//! Pure data structures over peer keys: no tokio, no clock, no locks. A socket type picks one
//! [`Route`] for what it sends; what it receives is always fair-queued by a [`Rotation`].

mod fan_out;
mod rotation;
mod routing_ids;
mod trie;

pub(crate) use fan_out::{FanOut, as_topic};
pub(crate) use rotation::Rotation;
pub(crate) use routing_ids::RoutingIds;
pub(crate) use trie::{Inserted, Removed, Trie};

slotmap::new_key_type! {
    /// One peer of one socket, for as long as its pipes live; never reused for a later peer.
    pub(crate) struct PeerKey;
}

/// How a socket type chooses the peers of an outgoing message.
#[derive(Debug)]
pub(crate) enum Route {
    /// Round robin over the peers that have room: PUSH, DEALER, REQ, PAIR, CLIENT, SCATTER, CHANNEL.
    Balance(Rotation),
    /// A copy to every peer whose subscriptions match: PUB, XPUB, RADIO.
    Fan(Box<FanOut>),
    /// A copy to every peer: SUB, XSUB and DISH, upstream.
    All,
    /// To the peer the message names: ROUTER.
    Named(Box<RoutingIds>),
    /// Chooses none: it sends nothing, as PULL, or to the connection that is given, as REP and SERVER.
    Nothing,
}

impl Route {
    /// A peer has (again) room for messages.
    #[inline]
    pub(crate) fn writable(&mut self, key: PeerKey) {
        if let Self::Balance(ready) = self {
            ready.add(key);
        }
    }

    /// A peer takes no more messages.
    pub(crate) fn remove(&mut self, key: PeerKey) {
        match self {
            Self::Balance(ready) => ready.remove(key),
            Self::Named(ids) => ids.remove(key),
            // Its subscriptions are taken out with their notifications, by the socket.
            Self::Fan(_) | Self::All | Self::Nothing => {}
        }
    }
}

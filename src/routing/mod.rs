//! Policy: which peer a message goes to, and which peer is read next.
//!
//! Pure data structures over peer keys: no tokio, no clock, no locks. A socket type picks one
//! [`Route`] for what it sends; what it receives is always fair-queued by a [`Rotation`].

mod fan_out;
mod identity;
mod rotation;
mod trie;

pub(crate) use fan_out::FanOut;
pub(crate) use identity::IdentityMap;
pub(crate) use rotation::Rotation;
pub(crate) use trie::{Inserted, Removed, Trie};

slotmap::new_key_type! {
    /// One peer of one socket, for as long as its pipes live; never reused for a later peer.
    pub(crate) struct PeerKey;
}

/// How a socket type chooses the peers of an outgoing message.
#[derive(Debug)]
pub(crate) enum Route {
    /// Round robin over the peers that have room: PUSH, DEALER, REQ, PAIR.
    Balance(Rotation),
    /// A copy to every peer whose subscriptions match: PUB, XPUB.
    Fan(Box<FanOut>),
    /// A copy to every peer: SUB and XSUB, upstream.
    All,
    /// To the peer the message names: ROUTER, REP.
    Named(Box<IdentityMap>),
    /// Sends nothing: PULL.
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

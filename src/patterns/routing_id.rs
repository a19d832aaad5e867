//! Which peer is meant: by the name that it has, or by its connection.

use std::fmt;

use crate::message::Frame;
use crate::pipe::{Name, Outbox};
use crate::routing::{PeerKey, Route};

/// Which peer of a [`Router`](crate::Router) a message came from, or goes to.
///
/// One that was received names that peer's connection: what is sent to it reaches nobody else, not even a newcomer
/// of the same name (a connecting router's peer keeps its id when it reconnects). One made from bytes names whoever
/// has that name when the message is sent.
///
/// Two that name a connection are equal, and hash alike, if it is the same connection; two made from bytes, if their
/// bytes are the same. One of either kind equals none of the other, since a name passes from one connection to the next:
/// whether a peer has a certain name now is asked by its bytes, `id.as_ref() == b"worker-1"`. So what is kept in a map
/// by received ids is found by received ids, or by [`PeerId`].
///
/// ```
/// use sinew::RoutingId;
/// let id = RoutingId::from("worker-1");
/// assert_eq!(id.as_ref(), b"worker-1");
/// assert_eq!(id, RoutingId::from(b"worker-1"));
/// ```
#[derive(Clone, Default)]
pub struct RoutingId {
    name: Name,
    peer: Option<PeerKey>,
}

/// One connection of a socket with a peer: small, and quick to compare and to hash. Never used again for another of that
/// socket; those of two sockets may be equal. The default is nobody's.
///
/// What is sent to it reaches that connection or nobody; so it goes wherever a [`RoutingId`] goes. It does not know the
/// peer's name: as a [`RoutingId`] it has no bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub(super) PeerKey);

impl RoutingId {
    /// The connection that it names; `None` if it was made from bytes.
    #[must_use]
    pub fn peer(&self) -> Option<PeerId> {
        self.peer.map(PeerId)
    }

    /// That connection, under the name that it has.
    pub(super) const fn of(peer: PeerKey, name: Name) -> Self {
        Self { name, peer: Some(peer) }
    }

    /// The connection that it means now.
    pub(super) fn resolve(&self, outbox: &Outbox) -> Option<PeerKey> {
        self.peer.or_else(|| match &outbox.route {
            Route::Named(ids) => ids.get(self.as_ref()),
            _ => None,
        })
    }
}

impl AsRef<[u8]> for RoutingId {
    fn as_ref(&self) -> &[u8] {
        self.name.as_deref().unwrap_or_default()
    }
}

impl PartialEq for RoutingId {
    fn eq(&self, other: &Self) -> bool {
        self.peer == other.peer && (self.peer.is_some() || self.as_ref() == other.as_ref())
    }
}

impl Eq for RoutingId {}

impl std::hash::Hash for RoutingId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        match self.peer {
            Some(peer) => peer.hash(state),
            None => self.as_ref().hash(state),
        }
    }
}

impl fmt::Debug for RoutingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer() {
            Some(PeerId(peer)) => write!(f, "RoutingId({:?}, {peer:?})", Frame::from(self.as_ref())),
            None => write!(f, "RoutingId({:?})", Frame::from(self.as_ref())),
        }
    }
}

impl From<PeerId> for RoutingId {
    fn from(peer: PeerId) -> Self {
        Self { name: None, peer: Some(peer.0) }
    }
}

impl From<&Self> for RoutingId {
    fn from(id: &Self) -> Self {
        id.clone()
    }
}

impl From<RoutingId> for Frame {
    fn from(id: RoutingId) -> Self {
        id.as_ref().into()
    }
}

macro_rules! named_by {
    ($($name:ty),*) => {$(
        impl From<$name> for RoutingId {
            fn from(name: $name) -> Self {
                let name: &[u8] = name.as_ref();
                Self { name: Some(name.into()), peer: None }
            }
        }
    )*};
}
named_by!(&str, String, &[u8], Vec<u8>, bytes::Bytes, Frame);

impl<const N: usize> From<&[u8; N]> for RoutingId {
    fn from(name: &[u8; N]) -> Self {
        name.as_slice().into()
    }
}

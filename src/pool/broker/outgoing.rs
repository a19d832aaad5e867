//! What goes out: gathered over a batch of events, sent under one lock. A peer that does not read has a queue of its
//! own here, and holds nobody up.

use tokio::task::JoinSet;

use super::peers::{Peer, Peers};
use crate::error::SendErrorKind;
use crate::message::Message;
use crate::pool::protocol::Session;
use crate::socket::{PeerId, Router};

/// Messages on their way to the sockets.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// For each socket.
    batches: Vec<Batch>,
    /// Each waits for room for one peer.
    waiting: JoinSet<(usize, PeerId)>,
}

#[derive(Debug)]
struct Batch {
    router: Router,
    messages: Vec<(PeerId, Message)>,
}

impl Outgoing {
    pub(super) fn new(routers: impl IntoIterator<Item = Router>) -> Self {
        let batches = routers.into_iter().map(|router| Batch { router, messages: Vec::new() });
        Self { batches: batches.collect(), waiting: JoinSet::new() }
    }

    /// Queues a message for a peer.
    pub(super) fn push(&mut self, peer: &mut Peer, message: Message) {
        if peer.waiting {
            peer.backlog.push_back(message);
        } else if let Some(batch) = self.batches.get_mut(peer.door) {
            batch.messages.push((peer.id, message));
        }
    }

    /// Hands all that is queued to the sockets; appends to `congested` whose peers have no room.
    pub(super) fn flush(&mut self, peers: &mut Peers, congested: &mut Vec<Session>) {
        for (door, Batch { router, messages }) in self.batches.iter_mut().enumerate() {
            if messages.is_empty() {
                continue;
            }
            let mut refused = Vec::new();
            router.try_send_each(messages.drain(..), |to, error| refused.push((to, error)));
            for (to, error) in refused {
                // Whoever is not there any more is about to be reported.
                if error.kind() == SendErrorKind::Full
                    && let Some(peer) = to.peer().and_then(|id| peers.at(door, id))
                {
                    peer.backlog.push_back(error.into_message());
                    if !peer.waiting {
                        peer.waiting = true;
                        congested.push(peer.session);
                    }
                }
            }
        }
        for session in congested {
            if let Some(peer) = peers.get(*session) {
                self.wait(peer);
            }
        }
    }

    /// Has the first message of a backlog wait for room.
    fn wait(&mut self, peer: &mut Peer) {
        let Some(batch) = self.batches.get(peer.door) else { return };
        let Some(first) = peer.backlog.pop_front() else { return };
        let (router, door, id) = (batch.router.clone(), peer.door, peer.id);
        self.waiting.spawn(async move {
            // An error is that the peer has left, which is about to be reported.
            let _ = router.send(id, first).await;
            (door, id)
        });
    }

    /// Waits until some peer has room again.
    pub(super) async fn writable(&mut self) -> (usize, PeerId) {
        loop {
            match self.waiting.join_next().await {
                Some(Ok(peer)) => return peer,
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// A peer has room: queues its backlog again; what does not fit comes back at the next flush.
    pub(super) fn resume(&mut self, peer: &mut Peer) {
        peer.waiting = false;
        if let Some(batch) = self.batches.get_mut(peer.door) {
            batch.messages.extend(peer.backlog.drain(..).map(|message| (peer.id, message)));
        }
    }
}

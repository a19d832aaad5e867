//! What goes out: gathered over a batch of events, sent under one lock. A peer that does not read has a queue of its
//! own here, and holds nobody up.

use tokio::task::JoinSet;

use super::peers::{Peer, Peers};
use crate::error::SendErrorKind;
use crate::message::Message;
use crate::patterns::{PeerId, Router};
use crate::pool::protocol::Session;

/// Messages of a backlog that are tried at a time: as many as a socket has room for, unless set otherwise.
const PART: usize = 1024;

/// Messages on their way to the sockets.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// For each socket.
    batches: Vec<Batch>,
    /// Each waits for room for one peer.
    waiting: JoinSet<(usize, PeerId)>,
    /// Who has got a part of its backlog, and waits for room for the rest.
    resumed: Vec<Session>,
}

#[derive(Debug)]
struct Batch {
    router: Router,
    messages: Vec<(PeerId, Message)>,
}

impl Outgoing {
    pub(super) fn new(routers: impl IntoIterator<Item = Router>) -> Self {
        let batches = routers.into_iter().map(|router| Batch { router, messages: Vec::new() });
        Self { batches: batches.collect(), waiting: JoinSet::new(), resumed: Vec::new() }
    }

    /// Queues a message for a peer.
    pub(super) fn push(&mut self, peer: &mut Peer, message: Message) {
        if peer.cut_off {
            return;
        }
        if peer.waiting {
            peer.owed += cost(&message);
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
            // The last one first, for each goes in front.
            for (to, error) in refused.into_iter().rev() {
                // Whoever is not there any more is about to be reported.
                if error.kind() == SendErrorKind::Full
                    && let Some(peer) = to.peer().and_then(|id| peers.at(door, id))
                {
                    let message = error.into_message();
                    peer.owed += cost(&message);
                    peer.backlog.push_front(message);
                    if !peer.waiting {
                        peer.waiting = true;
                        congested.push(peer.session);
                    }
                }
            }
        }
        let resumed = std::mem::take(&mut self.resumed);
        for session in congested.iter().chain(&resumed) {
            if let Some(peer) = peers.get(*session) {
                self.wait(peer);
            }
        }
    }

    /// Has the first message of a backlog wait for room.
    fn wait(&mut self, peer: &mut Peer) {
        let Some(batch) = self.batches.get(peer.door) else { return };
        let Some(first) = peer.backlog.pop_front() else { return };
        peer.owed -= cost(&first);
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

    /// Ends the connection of a peer that does not read.
    pub(super) fn cut_off(&mut self, peer: &mut Peer) {
        peer.cut_off = true;
        peer.backlog.clear();
        peer.owed = 0;
        if let Some(batch) = self.batches.get(peer.door) {
            batch.router.disconnect_peer(peer.id);
        }
    }

    /// A peer has room: queues a part of its backlog again, and waits once more if there is more of it. What does not
    /// fit comes back at the next flush.
    pub(super) fn resume(&mut self, peer: &mut Peer) {
        let Some(batch) = self.batches.get_mut(peer.door) else { return };
        let part = peer.backlog.len().min(PART);
        for message in peer.backlog.drain(..part) {
            peer.owed -= cost(&message);
            batch.messages.push((peer.id, message));
        }
        if peer.backlog.is_empty() {
            peer.waiting = false;
            peer.replies = 0;
        } else {
            self.resumed.push(peer.session);
        }
    }
}

/// What a message takes here, roughly, in bytes.
fn cost(message: &Message) -> usize {
    message.footprint() + 64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Frame;
    use crate::patterns::{Dealer, RouterEvent};
    use crate::pool::time::Time;
    use crate::pool::wire::Door;

    /// What a peer owes is what its backlog takes, at each moment; all of it arrives, in order.
    #[tokio::test]
    async fn a_backlog_is_counted_and_comes_down_to_nothing() {
        const MESSAGES: usize = 3000;
        let router = Router::builder().notify(true).mandatory(true).send_hwm(8).build().unwrap();
        let endpoint = router.bind("tcp://127.0.0.1:0").await.unwrap();
        let slow = Dealer::builder().recv_hwm(8).build().unwrap();
        slow.connect(&endpoint).await.unwrap();
        let mut events = Vec::new();
        router.recv_events(&mut events, 1).await.unwrap();
        let Some(RouterEvent::Connected(from)) = events.pop() else { panic!("nobody came") };
        let id = from.peer().unwrap();
        let (mut outgoing, mut peers) = (Outgoing::new([router]), Peers::with_doors(1));
        peers.insert(0, id, Frame::new(), &Door::Main, Time::ZERO);
        let owed = |peers: &mut Peers| {
            let peer = peers.at(0, id).unwrap();
            assert_eq!(peer.owed, peer.backlog.iter().map(cost).sum::<usize>());
            peer.owed
        };

        let padding = Frame::from(vec![0; 16 * 1024]);
        for number in 0..MESSAGES {
            let message = Message::from([Frame::from(number.to_string()), padding.clone()]);
            outgoing.push(peers.at(0, id).unwrap(), message);
            if number % 10 == 0 {
                outgoing.flush(&mut peers, &mut Vec::new());
                owed(&mut peers);
            }
        }
        outgoing.flush(&mut peers, &mut Vec::new());
        assert!(owed(&mut peers) > 1000 * padding.len(), "more than the system takes in");

        let read = async {
            for number in 0..MESSAGES {
                assert_eq!(*slow.recv().await.unwrap().first(), number.to_string().as_str());
            }
        };
        let write = async {
            while peers.at(0, id).unwrap().waiting {
                outgoing.writable().await;
                outgoing.resume(peers.at(0, id).unwrap());
                outgoing.flush(&mut peers, &mut Vec::new());
                owed(&mut peers);
            }
        };
        tokio::join!(read, write);
        assert_eq!(owed(&mut peers), 0);
    }
}

use super::builder::{builder, receiving, sending};
use super::core::{Core, Offer, Take, Tally, Turn};
use super::handle::{Handle, lifecycle};
use super::verbs::{receives, sends};
use crate::error::RecvError;
use crate::message::{Frame, Message};
use crate::pipe::{Popped, Refusal};
use crate::proto::SocketType;

/// Receives a request from any of its peers, in turn, and sends that peer the reply. Talks to [`Req`](crate::Req)
/// and [`Dealer`](crate::Dealer).
///
/// Requests and replies alternate: out of turn, both verbs fail. A reply to a peer that has left, or does not read
/// its replies, is dropped and counted; sending never waits. libzmq: `ZMQ_REP`; see [`Req`](crate::Req) for an example.
#[derive(Debug, Clone)]
pub struct Rep {
    pub(crate) handle: Handle,
}

builder! {
    /// Options of a [`Rep`].
    RepBuilder => Rep, [sending, receiving]
}
lifecycle!(Rep, RepBuilder, SocketType::Rep);
sends!(Rep, offer);
receives!(Rep, Message, take);

/// The envelope of a request that came without one of its own.
pub(super) static DELIMITER: [Frame; 1] = [Frame::new()];

/// A message with its envelope set apart: all frames up to the first empty one (B2.1). An envelope that is not
/// followed by a body is none (B2.2).
fn open(message: &mut Message) -> Option<Vec<Frame>> {
    let delimiter = message.frames().position(|frame| frame.is_empty())?;
    if delimiter + 1 == message.frame_count() {
        return None;
    }
    let envelope = message.frames().take(delimiter + 1).cloned().collect();
    message.drop_front(delimiter + 1);
    Some(envelope)
}

pub(super) fn take(core: &Core) -> impl Take<Message> {
    move |inbox, message, wakes| {
        if inbox.is_closed() {
            return Some(Err(RecvError::Closed));
        }
        let mut turn = core.turn.lock();
        if matches!(*turn, Turn::MustReply { .. }) {
            return Some(Err(RecvError::OutOfTurn));
        }
        while let Some(popped) = inbox.pop(message, wakes) {
            let (peer, envelope) = match popped {
                Popped::Message(peer) => (peer, open(message)),
                Popped::Body(peer) => (peer, Some(Vec::new())),
                Popped::Arrived(..) | Popped::Gone(..) => continue,
            };
            if let Some(envelope) = envelope {
                *turn = Turn::MustReply { peer, envelope };
                return Some(Ok(()));
            }
            Tally::count(&core.tally.unexpected, 1);
        }
        None
    }
}

pub(super) fn offer(core: &Core) -> impl Offer {
    move |outbox, message, wakes| {
        if outbox.is_closed() {
            return Err(Refusal::Closed);
        }
        let mut turn = core.turn.lock();
        let Turn::MustReply { peer, envelope } = &*turn else { return Err(Refusal::OutOfTurn) };
        // The key is the pipe's, not the name's: whoever has the name now did not ask (B2.4).
        let envelope = if envelope.is_empty() { &DELIMITER[..] } else { envelope };
        match outbox.send_to(*peer, envelope, message, wakes) {
            Err(Refusal::NoPeer) => outbox.counters.dropped_no_peer += 1,
            Err(Refusal::Full) => outbox.miss(*peer, wakes),
            Err(other) => return Err(other),
            Ok(()) => {}
        }
        *turn = Turn::Idle;
        Ok(())
    }
}

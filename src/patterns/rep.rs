use super::builder::{builder, receiving, sending};
use super::handle::{Handle, lifecycle};
use super::verbs::{receives, sends, sends_many};
use crate::error::RecvError;
use crate::message::{Frame, Message};
use crate::pipe::{Deferred, Inbox, Outbox, Popped, Refusal, STEP};
use crate::proto::SocketType;
use crate::routing::{PeerKey, Route};
use crate::socket::{
    Conversation, Core, LINGER, Offer, Pattern, RawReceive, RawSend, Take, Taken, Tally, keep, step,
};

/// Receives a request from any of its peers, in turn, and sends that peer the reply. Talks to [`Req`](crate::Req)
/// and [`Dealer`](crate::Dealer).
///
/// Requests and replies alternate: out of turn, both verbs fail. A reply to a peer that has left, or does not read
/// its replies, is dropped and counted; sending never waits. libzmq: `ZMQ_REP`; see [`Req`](crate::Req) for an example.
#[derive(Debug, Clone)]
pub struct Rep {
    pub(crate) handle: Handle,
}

pub(super) static PATTERN: Pattern = Pattern {
    socket_type: SocketType::Rep,
    peers: &[SocketType::Req, SocketType::Dealer],
    route: |_| Route::Nothing,
    send: Some(SEND),
    receive: Some(RECEIVE),
    arrive: keep,
    lockstep: true,
    exclusive: false,
    announces_routing_id: false,
    hears_subscriptions: false,
    groups: false,
    pings: true,
    filters: false,
    connects_once: false,
    linger: LINGER,
};

builder! {
    /// Options of a [`Rep`].
    RepBuilder => Rep, [sending, receiving]
}
lifecycle!(Rep, RepBuilder, PATTERN);
sends!(Rep, Message, offer);
sends_many!(Rep, offer);
receives!(Rep, Message, take);

/// The envelope of a request that came without one of its own.
static DELIMITER: [Frame; 1] = [Frame::new()];

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

fn take(core: &Core) -> impl Take<Message> {
    move |inbox, message, later| {
        if inbox.is_closed() {
            return Taken::Failed(RecvError::Closed);
        }
        let mut conversation = core.conversation.lock();
        if matches!(*conversation, Conversation::MustReply { .. }) {
            return Taken::Failed(RecvError::OutOfTurn);
        }
        for _ in 0..STEP {
            let (peer, envelope) = match inbox.pop(message, later) {
                None => return Taken::Nothing,
                Some(Popped::Message(peer)) => (peer, open(message)),
                Some(Popped::Body(peer)) => (peer, Some(Vec::new())),
                Some(Popped::Arrived(..) | Popped::Gone(..) | Popped::Filtered) => continue,
            };
            if let Some(envelope) = envelope {
                *conversation = Conversation::MustReply { peer, envelope };
                return Taken::Item;
            }
            later.discard(std::mem::take(message));
            Tally::count(&core.tally.unexpected, 1);
        }
        Taken::Unwanted
    }
}

fn offer(core: &Core) -> impl Offer {
    step(core, reply)
}

fn reply(
    core: &Core,
    outbox: &mut Outbox,
    message: &mut Message,
    later: &mut Deferred,
) -> Result<(), Refusal> {
    if outbox.is_closed() {
        return Err(Refusal::Closed);
    }
    let mut conversation = core.conversation.lock();
    let Conversation::MustReply { peer, envelope } = &*conversation else { return Err(Refusal::OutOfTurn) };
    // The key is the pipe's, not the name's: whoever has the name now did not ask (B2.4).
    let envelope = if envelope.is_empty() { &DELIMITER[..] } else { envelope };
    match outbox.send_to(*peer, envelope, message, later) {
        Err(Refusal::NoPeer) => outbox.counters.dropped_no_peer += 1,
        Err(Refusal::PeerFull(peer)) => outbox.miss(peer, later),
        Err(other) => return Err(other),
        Ok(()) => {}
    }
    if let Conversation::MustReply { envelope, .. } = std::mem::take(&mut *conversation)
        && !envelope.is_empty()
    {
        later.discard(envelope);
    }
    Ok(())
}

/// As a proxy uses it. When a reply is sent, the next request can be received.
const SEND: RawSend = RawSend { offer: reply, sent: Core::wake_receivers };

const RECEIVE: RawReceive = RawReceive { take: take_raw, put_back };

fn take_raw(
    core: &Core,
    inbox: &mut Inbox,
    (from, message): &mut (PeerKey, Message),
    later: &mut Deferred,
) -> Taken {
    // Between a request and its reply it waits, where `recv` fails.
    if matches!(*core.conversation.lock(), Conversation::MustReply { .. }) && !inbox.is_closed() {
        return Taken::Nothing;
    }
    let taken = take(core)(inbox, message, later);
    if let Conversation::MustReply { peer, .. } = &*core.conversation.lock() {
        *from = *peer;
    }
    taken
}

fn put_back(core: &Core, inbox: &mut Inbox, from: PeerKey, mut message: Message, later: &mut Deferred) {
    let conversation = std::mem::take(&mut *core.conversation.lock());
    if let Conversation::MustReply { envelope, .. } = conversation {
        let envelope = if envelope.is_empty() { &DELIMITER[..] } else { &envelope };
        envelope.iter().rev().for_each(|frame| message.push_front(frame.clone()));
    }
    inbox.unpop(from, message, later);
}

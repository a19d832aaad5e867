use super::builder::{builder, greeting, receiving, sending};
use super::handle::{Handle, lifecycle};
use super::pull;
use super::routing_id::PeerId;
use super::verbs::{receives, sends_to};
use crate::message::{Frame, Message};
use crate::pipe::{Deferred, Inbox, Outbox, Refusal};
use crate::proto::SocketType;
use crate::routing::{PeerKey, Route};
use crate::socket::{Core, LINGER, Offer, Pattern, Take, Taken, keep};

/// Receives single frames from all its clients, one of each in turn, and sends to the one that is named. Talks to
/// [`Client`](crate::Client).
///
/// A frame for a client that has left is an [error](crate::SendErrorKind::Unroutable); for one at its high-water mark it
/// waits. libzmq: `ZMQ_SERVER`, with a [`PeerId`] for `zmq_msg_routing_id` (41/CLIENTSERVER, a draft); see
/// [`Client`](crate::Client) for an example.
#[derive(Debug, Clone)]
pub struct Server {
    pub(crate) handle: Handle<PeerId>,
}

pub(super) static PATTERN: Pattern = Pattern {
    socket_type: SocketType::Server,
    peers: &[SocketType::Client],
    route: |_| Route::Nothing,
    send: None,
    receive: Some(pull::RECEIVE_FRAME),
    arrive: keep,
    lockstep: false,
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
    /// Options of a [`Server`].
    ServerBuilder => Server, [sending, receiving, greeting]
}
lifecycle!(Server, ServerBuilder, PATTERN);
sends_to!(Server, PeerId, Frame, offer);
receives!(Server, (PeerId, Frame), take);

pub(super) fn offer(_: &Core, to: PeerId) -> impl Offer {
    move |outbox: &mut Outbox, message: &mut Message, later: &mut Deferred| {
        outbox.send_to(to.0, &[], message, later).map_err(|refusal| match refusal {
            Refusal::NoPeer => Refusal::Unroutable,
            other => other,
        })
    }
}

pub(super) fn take(core: &Core) -> impl Take<(PeerId, Frame)> {
    move |inbox: &mut Inbox, (peer, frame): &mut (PeerId, Frame), later: &mut Deferred| -> Taken {
        let mut item = (PeerKey::default(), Message::new());
        let taken = (pull::RECEIVE_FRAME.take)(core, inbox, &mut item, later);
        (*peer, *frame) = (PeerId(item.0), std::mem::take(item.1.start()));
        taken
    }
}

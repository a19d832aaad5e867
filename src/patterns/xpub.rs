use super::builder::{builder, receiving, sending, set};
use super::handle::{Handle, lifecycle};
use super::publish::{self, publisher, publishing};
use super::pull;
use super::verbs::{receives, sends, sends_many};
use crate::message::Message;
use crate::options::Verbosity;
use crate::pipe::{Deferred, Inbox};
use crate::proto::SocketType;
use crate::routing::{FanOut, PeerKey, Route, Trie};
use crate::socket::{Conversation, Core, LINGER, Pattern, RawReceive, Take, Taken, upstream};

macro_rules! notifying {
    () => {
        set! {
            /// Which subscriptions are received. Default: the first and the last of each topic.
            ///
            /// libzmq: `ZMQ_XPUB_VERBOSE`, `ZMQ_XPUB_VERBOSER`
            verbosity(verbosity: Verbosity) => set_specific, verbosity = verbosity
        }
        set! {
            /// Whether subscriptions take effect only by [`XPub::subscribe`], called after receiving
            /// one; all of them are received then. Default: no.
            ///
            /// libzmq: `ZMQ_XPUB_MANUAL`
            manual(on: bool) => set_specific, manual = on
        }
        /// As [`manual`](Self::manual), and the first message sent after receiving a subscription
        /// goes only to that subscriber, if it matches: for last-value caches. Default: no.
        ///
        /// libzmq: `ZMQ_XPUB_MANUAL_LAST_VALUE`
        pub fn manual_last_value(mut self, on: bool) -> Self {
            self.specific.manual = on;
            self.specific.last_value = on;
            self
        }
        set! {
            /// Whether only the first frame of a multipart message can be a subscription, and not
            /// each. Default: no.
            ///
            /// libzmq: `ZMQ_ONLY_FIRST_SUBSCRIBE`
            only_first_subscribe(on: bool) => set_specific, only_first_subscribe = on
        }
    };
}

/// A [`Pub`](crate::Pub) that receives the subscriptions of its peers, and any other message that they send.
/// Talks to [`Sub`](crate::Sub) and [`XSub`](crate::XSub).
///
/// A subscription is received as one frame: the byte 1, or 0 for a cancellation, and the topic. By default only the
/// first subscription and the last cancellation of each topic are, over all peers; a peer that leaves cancels all it
/// had. Subscriptions count towards the receive high-water mark: while they are not received, the peer is not read.
/// libzmq: `ZMQ_XPUB`; see [`XSub`](crate::XSub) for an example.
#[derive(Debug, Clone)]
pub struct XPub {
    pub(crate) handle: Handle,
}

pub(super) static PATTERN: Pattern = Pattern {
    socket_type: SocketType::XPub,
    peers: &[SocketType::Sub, SocketType::XSub],
    route: |specific| Route::Fan(Box::new(FanOut::new(specific.manual, specific.no_drop))),
    send: Some(publish::SEND),
    receive: Some(RawReceive { take: take_raw, ..pull::RECEIVE }),
    arrive: upstream,
    lockstep: false,
    exclusive: false,
    announces_routing_id: false,
    hears_subscriptions: true,
    groups: false,
    pings: true,
    filters: false,
    connects_once: false,
    linger: LINGER,
};

builder! {
    /// Options of an [`XPub`].
    XPubBuilder => XPub, [sending, receiving, publishing, notifying]
}
lifecycle!(XPub, XPubBuilder, PATTERN);
sends!(XPub, Message, publish::offer);
sends_many!(XPub, publish::offer);
receives!(XPub, Message, take);
publisher!(XPub);

fn take(core: &Core) -> impl Take<Message> {
    move |inbox, message, later| {
        let mut item = (PeerKey::default(), std::mem::take(message));
        let taken = take_raw(core, inbox, &mut item, later);
        *message = item.1;
        taken
    }
}

/// Notes whose subscription it is that is received.
fn take_raw(core: &Core, inbox: &mut Inbox, item: &mut (PeerKey, Message), later: &mut Deferred) -> Taken {
    let taken = (pull::RECEIVE.take)(core, inbox, item, later);
    let (peer, message) = item;
    if taken == Taken::Item && core.specific.manual && matches!(message.first().first(), Some(0 | 1)) {
        *core.conversation.lock() = Conversation::Subscriber(*peer);
    }
    taken
}

impl XPub {
    /// With manual subscriptions: has the peer whose subscription was received last get what begins with `topic`,
    /// which need not be what it asked for. Does nothing if it has left. libzmq: `ZMQ_SUBSCRIBE` on an XPUB.
    pub fn subscribe(&self, topic: impl AsRef<[u8]>) {
        self.edit(|table, peer| {
            table.insert(topic.as_ref(), peer);
        });
    }

    /// With manual subscriptions: takes that back. libzmq: `ZMQ_UNSUBSCRIBE` on an XPUB.
    pub fn unsubscribe(&self, topic: impl AsRef<[u8]>) {
        self.edit(|table, peer| {
            table.remove(topic.as_ref(), peer);
        });
    }

    fn edit(&self, edit: impl FnOnce(&mut Trie<PeerKey>, PeerKey)) {
        let core = &self.handle.core;
        let Conversation::Subscriber(peer) = *core.conversation.lock() else { return };
        let mut outbox = core.outbox.lock();
        if outbox.is_here(peer)
            && let Some(fan) = outbox.fan().filter(|fan| fan.asked.is_some())
        {
            edit(&mut fan.table, peer);
        }
    }
}

use super::builder::{builder, conflating, sending, set};
use super::handle::{Handle, lifecycle};
use super::verbs::{sends, sends_many};
use crate::message::Message;
use crate::pipe::{Deferred, Outbox, Refusal};
use crate::proto::SocketType;
use crate::routing::{FanOut, Route};
use crate::socket::{self, Conversation, Core, LINGER, Offer, Pattern, RawSend, step, upstream};

macro_rules! publishing {
    () => {
        set! {
            /// Whether a subscriber at its high-water mark holds the publisher up, so that none
            /// misses a message, instead of missing it. Default: no.
            ///
            /// libzmq: `ZMQ_XPUB_NODROP`
            no_drop(on: bool) => set_specific, no_drop = on
        }
        set! {
            /// Whether subscribers get what does *not* match their subscriptions; set it on both
            /// sides. Default: no.
            ///
            /// libzmq: `ZMQ_INVERT_MATCHING`
            invert_matching(on: bool) => set_specific, invert_matching = on
        }
        set! {
            /// How many topics a peer behind a connection may subscribe to; one that asks for more is disconnected.
            /// `None` or 0: no limit. Default: 100,000 (libzmq: no limit).
            max_subscriptions_per_peer(topics: impl Into<Option<usize>>) => set_specific, subscriptions.topics =
                topics.into().unwrap_or(0)
        }
        set! {
            /// How many bytes the topics of such a peer may have together; `None` or 0: no limit. Default: 8 MiB
            /// (libzmq: no limit).
            max_subscription_bytes(bytes: impl Into<Option<usize>>) => set_specific, subscriptions.bytes =
                bytes.into().unwrap_or(0)
        }
        set! {
            /// How many bytes one topic of such a peer may have; `None` or 0: no limit. Default: 4 KiB (libzmq: no
            /// limit).
            max_topic_len(bytes: impl Into<Option<usize>>) => set_specific, subscriptions.topic_len =
                bytes.into().unwrap_or(0)
        }
        set! {
            /// A message that every new subscriber gets first, whatever it subscribed to; a SUB still filters it. An
            /// empty one is none. Default: none.
            ///
            /// libzmq: `ZMQ_XPUB_WELCOME_MSG`
            welcome(message: impl Into<bytes::Bytes>) => set_specific, hello =
                Some(message.into()).filter(|message| !message.is_empty())
        }
    };
}

/// What publishers can be asked.
macro_rules! publisher {
    ($socket:ident) => {
        impl $socket {
            /// Waits until `count` peers have subscribed to something: what is published from here
            /// on reaches them. Ends the sleep that other libraries need here.
            ///
            /// # Errors
            ///
            /// If the socket is closed.
            ///
            /// # Cancel safety
            ///
            /// Cancelled, nothing has happened.
            pub async fn wait_for_subscribers(&self, count: usize) -> Result<(), crate::SocketClosed> {
                self.handle.core.outbox_ready(|outbox| outbox.subscribers() >= count).await
            }

            /// Distinct topics that peers have subscribed to. libzmq: `ZMQ_TOPICS_COUNT`.
            #[must_use]
            pub fn topic_count(&self) -> usize {
                self.handle.core.outbox.lock().fan().map_or(0, |fan| fan.table.len())
            }
        }
    };
}
pub(super) use {publisher, publishing};

/// Sends each message to every peer that has subscribed to a prefix of its first frame. Talks to
/// [`Sub`](crate::Sub) and [`XSub`](crate::XSub).
///
/// It never waits: without a subscriber a message is dropped, and a subscriber at its high-water mark misses it;
/// both are counted. What is published before a subscription has arrived is not for that subscriber:
/// [`wait_for_subscribers`](Self::wait_for_subscribers) ends the guessing. libzmq: `ZMQ_PUB`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sinew::Error> {
/// use sinew::{Pub, Sub};
/// let publisher = Pub::new();
/// let addr = publisher.bind("tcp://127.0.0.1:0").await?;
/// let subscriber = Sub::builder().subscribe("weather.").build()?;
/// subscriber.connect(&addr).await?;
/// publisher.wait_for_subscribers(1).await?;
/// publisher.send(["sports.", "4:2"]).await?;
/// publisher.send(["weather.oslo", "-3"]).await?;
/// assert_eq!(subscriber.recv().await?, ["weather.oslo", "-3"]);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Pub {
    pub(crate) handle: Handle,
}

pub(super) static PATTERN: Pattern = Pattern {
    socket_type: SocketType::Pub,
    peers: &[SocketType::Sub, SocketType::XSub],
    route: |specific| Route::Fan(Box::new(FanOut::new(specific.manual, specific.no_drop))),
    send: Some(SEND),
    receive: None,
    arrive: upstream,
    lockstep: false,
    exclusive: false,
    announces_routing_id: false,
    hears_subscriptions: false,
    groups: false,
    pings: true,
    filters: false,
    connects_once: true,
    linger: LINGER,
};

builder! {
    /// Options of a [`Pub`].
    PubBuilder => Pub, [sending, conflating, publishing]
}
lifecycle!(Pub, PubBuilder, PATTERN);
sends!(Pub, Message, offer);
sends_many!(Pub, offer);
publisher!(Pub);

#[inline]
pub(super) fn offer(core: &Core) -> impl Offer {
    socket::FanOut(step(core, publish))
}

/// A copy to every peer whose subscriptions match: PUB and XPUB.
#[inline]
fn publish(
    core: &Core,
    outbox: &mut Outbox,
    message: &mut Message,
    later: &mut Deferred,
) -> Result<(), Refusal> {
    let newest = if core.specific.last_value { core.newest_subscriber() } else { None };
    // One that has left takes it from nobody.
    let only = newest.filter(|peer| outbox.is_here(*peer));
    outbox.publish(message, only, core.specific.invert_matching, later)?;
    if let Some(newest) = newest {
        let mut conversation = core.conversation.lock();
        // Unless another subscription was received meanwhile.
        if matches!(*conversation, Conversation::Subscriber(peer) if peer == newest) {
            *conversation = Conversation::Idle;
        }
    }
    Ok(())
}

pub(super) const SEND: RawSend = RawSend { offer: publish, sent: |_| {} };

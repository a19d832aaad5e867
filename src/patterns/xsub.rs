use std::time::Duration;

use super::builder::{builder, receiving, sending, set};
use super::handle::{Handle, lifecycle};
use super::verbs::{receives, sends, sends_many};
use super::{pull, push};
use crate::message::{Frame, Message};
use crate::pipe::{Deferred, Outbox, Refusal};
use crate::proto::SocketType;
use crate::routing::Route;
use crate::socket::{Core, FanOut, Offer, Pattern, RawSend, as_subscription, keep, step};

macro_rules! forwarding {
    () => {
        set! {
            /// Whether unsubscribing from an unknown topic is passed on, too. Default: no.
            ///
            /// libzmq: `ZMQ_XSUB_VERBOSE_UNSUBSCRIBE`
            verbose_unsubscribe(on: bool) => set_specific, verbose_unsubscribe = on
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

/// A [`Sub`](crate::Sub) whose subscriptions are messages, for devices that pass them on. Talks to
/// [`Pub`](crate::Pub) and [`XPub`](crate::XPub).
///
/// A frame that begins with the byte 1 subscribes to what follows it, one that begins with 0 unsubscribes; the
/// other frames of a message go to all publishers. It does not filter what it receives. libzmq: `ZMQ_XSUB`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sinew::Error> {
/// use sinew::{XPub, XSub};
/// let (publisher, subscriber) = (XPub::new(), XSub::new());
/// publisher.bind("inproc://xsub-doc").await?;
/// subscriber.connect("inproc://xsub-doc").await?;
/// subscriber.send(b"\x01news").await?;
/// assert_eq!(publisher.recv().await?, b"\x01news");
/// publisher.send("news: none").await?;
/// assert_eq!(subscriber.recv().await?, "news: none");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct XSub {
    pub(crate) handle: Handle,
}

pub(super) static PATTERN: Pattern = Pattern {
    socket_type: SocketType::XSub,
    peers: &[SocketType::Pub, SocketType::XPub],
    route: |_| Route::All,
    send: Some(RawSend { offer: forward, ..push::SEND }),
    receive: Some(pull::RECEIVE),
    arrive: keep,
    lockstep: false,
    exclusive: false,
    announces_routing_id: false,
    hears_subscriptions: false,
    groups: false,
    pings: true,
    filters: false,
    connects_once: false,
    linger: Duration::ZERO,
};

builder! {
    /// Options of an [`XSub`].
    XSubBuilder => XSub, [sending, receiving, forwarding]
}
lifecycle!(XSub, XSubBuilder, PATTERN);
sends!(XSub, Message, offer);
sends_many!(XSub, offer);
receives!(XSub, Message, pull::take);

fn offer(core: &Core) -> impl Offer {
    FanOut(step(core, forward))
}

/// A subscription is recorded and passed on as one; other messages go to every publisher (B6.3).
fn forward(
    core: &Core,
    outbox: &mut Outbox,
    message: &mut Message,
    later: &mut Deferred,
) -> Result<(), Refusal> {
    let only_first = core.specific.only_first_subscribe;
    let mut frames = message.frames().enumerate();
    if !outbox.is_closed() && frames.any(|(index, frame)| as_subscription(frame, index, only_first).is_some())
    {
        return Err(Refusal::Subscription);
    }
    drop(frames);
    outbox.publish(message, None, false, later)
}

impl XSub {
    /// Subscribes to every message that begins with `topic`, as sending `1` and the topic does.
    pub fn subscribe(&self, topic: impl Into<Frame>) {
        self.handle.core.subscribe(&topic.into());
    }

    /// Takes one subscription back, as sending `0` and the topic does.
    pub fn unsubscribe(&self, topic: impl Into<Frame>) {
        let verbose = self.handle.core.specific.verbose_unsubscribe;
        self.handle.core.unsubscribe(&topic.into(), verbose);
    }

    /// Distinct topics subscribed to. libzmq: `ZMQ_TOPICS_COUNT`.
    #[must_use]
    pub fn topic_count(&self) -> usize {
        self.handle.core.subscriptions.lock().len()
    }
}

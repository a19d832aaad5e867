use super::builder::{builder, receiving, sending, set};
use super::core::{Core, Offer};
use super::handle::{Handle, lifecycle};
use super::pull;
use super::subscriptions::as_subscription;
use super::verbs::{receives, sends};
use crate::message::{Frame, Message};
use crate::pipe::Refusal;
use crate::proto::SocketType;

macro_rules! forwarding {
    () => {
        set! {
            /// Whether unsubscribing from an unknown topic is passed on, too. Default: no.
            ///
            /// libzmq: `ZMQ_XSUB_VERBOSE_UNSUBSCRIBE`
            verbose_unsubscribe(on: bool) => pattern.verbose_unsubscribe = on
        }
        set! {
            /// Whether only the first frame of a multipart message can be a subscription, and not
            /// each. Default: no.
            ///
            /// libzmq: `ZMQ_ONLY_FIRST_SUBSCRIBE`
            only_first_subscribe(on: bool) => pattern.only_first_subscribe = on
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

builder! {
    /// Options of an [`XSub`].
    XSubBuilder => XSub, [sending, receiving, forwarding]
}
lifecycle!(XSub, XSubBuilder, SocketType::XSub);
sends!(XSub, offer);
receives!(XSub, Message, pull::take);

/// A subscription is recorded and passed on as one; other messages go to every publisher (B6.3).
pub(super) fn offer(core: &Core) -> impl Offer {
    let only_first = core.options.pattern.only_first_subscribe;
    move |outbox, message, wakes| {
        let mut frames = message.frames().enumerate();
        if !outbox.is_closed()
            && frames.any(|(index, frame)| as_subscription(frame, index, only_first).is_some())
        {
            return Err(Refusal::Subscription);
        }
        drop(frames);
        outbox.publish(message, None, false, false, wakes)
    }
}

impl XSub {
    /// Subscribes to every message that begins with `topic`, as sending `1` and the topic does.
    pub fn subscribe(&self, topic: impl Into<Frame>) {
        self.handle.core.subscribe(topic.into());
    }

    /// Takes one subscription back, as sending `0` and the topic does.
    pub fn unsubscribe(&self, topic: impl Into<Frame>) {
        let verbose = self.handle.core.options.pattern.verbose_unsubscribe;
        self.handle.core.unsubscribe(&topic.into(), verbose);
    }

    /// Distinct topics subscribed to. libzmq: `ZMQ_TOPICS_COUNT`.
    #[must_use]
    pub fn topic_count(&self) -> usize {
        self.handle.core.subscriptions.lock().len()
    }
}

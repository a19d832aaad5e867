use std::time::Duration;

use super::builder::{builder, conflating, receiving, set};
use super::handle::{Handle, lifecycle};
use super::pull;
use super::verbs::receives;
use crate::message::{Frame, Message};
use crate::proto::SocketType;
use crate::routing::Route;
use crate::socket::{Pattern, keep};

macro_rules! filtering {
    () => {
        /// Subscribes to a topic from the start; may be given several times.
        ///
        /// libzmq: `ZMQ_SUBSCRIBE`
        pub fn subscribe(mut self, topic: impl Into<Frame>) -> Self {
            // A copy of our own, see `Core::subscribe`.
            self.specific.topics.push(Frame::copy_from_slice(&topic.into()));
            self
        }
        set! {
            /// Whether to receive what does *not* match the subscriptions; set it on both sides.
            /// Default: no.
            ///
            /// libzmq: `ZMQ_INVERT_MATCHING`
            invert_matching(on: bool) => set_specific, invert_matching = on
        }
    };
}

/// Receives what it has subscribed to from all its publishers. Talks to [`Pub`](crate::Pub) and
/// [`XPub`](crate::XPub).
///
/// A subscription is a prefix of a message's first frame; the empty one matches all. Without any, nothing is
/// received. Subscriptions outlive connections. libzmq: `ZMQ_SUB`; see [`Pub`](crate::Pub) for an example.
#[derive(Debug, Clone)]
pub struct Sub {
    pub(crate) handle: Handle,
}

pub(super) static PATTERN: Pattern = Pattern {
    socket_type: SocketType::Sub,
    peers: &[SocketType::Pub, SocketType::XPub],
    route: |_| Route::All,
    send: None,
    receive: Some(pull::RECEIVE),
    arrive: keep,
    lockstep: false,
    exclusive: false,
    announces_routing_id: false,
    hears_subscriptions: false,
    groups: false,
    pings: true,
    filters: true,
    connects_once: true,
    linger: Duration::ZERO,
};

builder! {
    /// Options of a [`Sub`].
    SubBuilder => Sub, [receiving, conflating, filtering]
}
lifecycle!(Sub, SubBuilder, PATTERN);
receives!(Sub, Message, pull::take);

impl Sub {
    /// Subscribes to every message that begins with `topic`. Takes effect at each publisher when the
    /// subscription arrives there. libzmq: `ZMQ_SUBSCRIBE`.
    ///
    /// Subscriptions count: a topic subscribed to twice has to be unsubscribed twice.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let sub = sinew::Sub::new();
    /// sub.subscribe("weather.");
    /// sub.subscribe(""); // everything
    /// sub.unsubscribe("");
    /// # }
    /// ```
    pub fn subscribe(&self, topic: impl Into<Frame>) {
        self.handle.core.subscribe(&topic.into());
    }

    /// Takes one subscription to `topic` back; an unknown one is ignored. libzmq: `ZMQ_UNSUBSCRIBE`.
    pub fn unsubscribe(&self, topic: impl Into<Frame>) {
        self.handle.core.unsubscribe(&topic.into(), false);
    }

    /// Distinct topics subscribed to. libzmq: `ZMQ_TOPICS_COUNT`.
    #[must_use]
    pub fn topic_count(&self) -> usize {
        self.handle.core.subscriptions.lock().len()
    }
}

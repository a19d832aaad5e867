//! What only some socket types have.

use std::time::Duration;

use bytes::Bytes;

use crate::error::OptionError;
use crate::message::Frame;
use crate::pipe::Level;
use crate::proto::{ProtocolError, metadata};

/// What only some socket types can be told; each type's builder offers what it has.
#[derive(Debug, Clone, Default)]
pub(crate) struct TypeOptions {
    /// Most types: only the newest message of each peer is kept (C7).
    pub(crate) conflate: bool,
    /// DEALER, REQ, ROUTER: the name by which a ROUTER knows this socket.
    pub(crate) routing_id: Bytes,
    /// ROUTER: an unroutable message is an error, a full peer is waited for.
    pub(crate) mandatory: bool,
    /// ROUTER: a newcomer takes the routing id of the connection that has it.
    pub(crate) handover: bool,
    /// ROUTER: peers that come and go are reported in order with their messages.
    pub(crate) announce: bool,
    /// DEALER, REQ, ROUTER: an empty message opens every connection.
    pub(crate) probe_router: bool,
    /// REQ: a number in front of each request tells its reply from a late one.
    pub(crate) correlate: bool,
    /// REQ: a new request may be sent while a reply is awaited.
    pub(crate) relaxed: bool,
    /// REQ: how long a request may take.
    pub(crate) request_timeout: Option<Duration>,
    /// PUB, XPUB: a full subscriber holds the publisher up instead of missing messages.
    pub(crate) no_drop: bool,
    /// PUB, XPUB, SUB: the messages that match no subscription.
    pub(crate) invert_matching: bool,
    /// XPUB: which subscriptions the application sees.
    pub(crate) verbosity: Verbosity,
    /// XPUB: the application edits the subscriptions.
    pub(crate) manual: bool,
    /// DEALER, ROUTER, PUB, XPUB: sent to every new peer first.
    pub(crate) hello: Option<Bytes>,
    /// XPUB: with `manual`, the first message after a subscription goes to that subscriber only.
    pub(crate) last_value: bool,
    /// XPUB: only the first frame of an upstream message can be a subscription.
    pub(crate) only_first_subscribe: bool,
    /// SUB: subscribed to from the start.
    pub(crate) topics: Vec<Frame>,
    /// PUB, XPUB: what one peer may subscribe to.
    pub(crate) subscriptions: SubscriptionLimits,
    /// XSUB: unsubscriptions of unknown topics are passed on, too.
    pub(crate) verbose_unsubscribe: bool,
}

impl TypeOptions {
    /// Checks what setters could not.
    pub(crate) fn check(&self) -> Result<(), OptionError> {
        if !self.routing_id.is_empty() && !metadata::is_identity(&self.routing_id) {
            let problem = "must be 1 to 255 bytes and not begin with a zero byte";
            return Err(OptionError { option: "routing_id", problem });
        }
        Ok(())
    }
}

/// What one peer of a publisher may subscribe to (limits D13, D14); 0: no limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SubscriptionLimits {
    pub(crate) topics: usize,
    /// Of all its topics together.
    pub(crate) bytes: usize,
    /// Of one topic.
    pub(crate) topic_len: usize,
}

impl Default for SubscriptionLimits {
    fn default() -> Self {
        Self { topics: 100_000, bytes: 8 << 20, topic_len: 4 << 10 }
    }
}

impl SubscriptionLimits {
    /// How long one topic may be.
    pub(crate) const fn max_topic(&self) -> usize {
        super::limit(self.topic_len)
    }

    /// Whether one topic may be this long.
    pub(crate) const fn check_topic(&self, size: usize) -> Result<(), ProtocolError> {
        let limit = self.max_topic();
        if size > limit { Err(ProtocolError::OversizedTopic { size, limit }) } else { Ok(()) }
    }

    /// Whether a peer may hold this much.
    pub(crate) const fn check(&self, held: Level) -> Result<(), ProtocolError> {
        if held.messages > super::limit(self.topics) {
            Err(ProtocolError::TooManySubscriptions { limit: self.topics })
        } else if held.bytes > super::limit(self.bytes) {
            Err(ProtocolError::OversizedSubscriptions { limit: self.bytes })
        } else {
            Ok(())
        }
    }
}

/// Which subscriptions and cancellations an XPUB hands to its application.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verbosity {
    /// The first subscription of a topic and the last cancellation, over all peers. The default.
    #[default]
    FirstAndLast,
    /// Every subscription, and the last cancellation. libzmq: `ZMQ_XPUB_VERBOSE`.
    EverySubscription,
    /// Every subscription and every cancellation. libzmq: `ZMQ_XPUB_VERBOSER`.
    Everything,
}

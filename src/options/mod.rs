//! What can be set on a socket before it is built. The setters are on the builders; defaults and
//! limits are here, once.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;

use crate::context::Context;
use crate::message::Frame;
use crate::pipe::{Hwm, Level};
use crate::proto::{ProtocolError, SocketType};
use crate::transport::TransportOptions;

/// Everything a socket can be told, whatever its type; each builder offers what its type has.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) context: Context,
    pub(crate) send_hwm: usize,
    pub(crate) recv_hwm: usize,
    pub(crate) send_hwm_bytes: usize,
    pub(crate) recv_hwm_bytes: usize,
    /// Outer `None`: the type's default. Inner `None`: for ever.
    pub(crate) linger: Option<Option<Duration>>,
    pub(crate) immediate: bool,
    pub(crate) conflate: bool,
    pub(crate) routing_id: Bytes,
    pub(crate) metadata: Vec<(String, Bytes)>,
    pub(crate) reconnect: Option<Reconnect>,
    pub(crate) heartbeat: Option<Heartbeat>,
    pub(crate) handshake_timeout: Duration,
    pub(crate) progress_timeout: Option<Duration>,
    pub(crate) max_message_size: usize,
    pub(crate) max_parts: usize,
    pub(crate) max_handshake_frame: usize,
    pub(crate) max_pending_handshakes: usize,
    pub(crate) max_connections: usize,
    pub(crate) transport: TransportOptions,
    pub(crate) pattern: Pattern,
}

/// How a silent peer is found out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heartbeat {
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    /// Sent with each PING, for the peer to do likewise; zero for nothing.
    pub(crate) ttl: Duration,
}

/// How a lost or refused connection is tried again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reconnect {
    pub(crate) interval: Duration,
    pub(crate) max: Duration,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self { interval: Duration::from_millis(100), max: Duration::from_secs(2) }
    }
}

/// What only some socket types have.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pattern {
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
    pub(crate) notify: Notify,
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

/// What one peer of a publisher may subscribe to (limits D13, D14).
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
    /// Whether one topic may be this long.
    pub(crate) const fn check_topic(&self, size: usize) -> Result<(), ProtocolError> {
        let limit = self.topic_len;
        if size > limit { Err(ProtocolError::OversizedTopic { size, limit }) } else { Ok(()) }
    }

    /// Whether a peer may hold this much.
    pub(crate) const fn check(&self, held: Level) -> Result<(), ProtocolError> {
        if held.messages > self.topics {
            Err(ProtocolError::TooManySubscriptions { limit: self.topics })
        } else if held.bytes > self.bytes {
            Err(ProtocolError::OversizedSubscriptions { limit: self.bytes })
        } else {
            Ok(())
        }
    }
}

/// Which subscriptions and cancellations an XPUB hands to its application.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notify {
    /// The first subscription of a topic and the last cancellation, over all peers. The default.
    #[default]
    FirstAndLast,
    /// Every subscription, and the last cancellation. libzmq: `ZMQ_XPUB_VERBOSE`.
    EverySubscription,
    /// Every subscription and every cancellation. libzmq: `ZMQ_XPUB_VERBOSER`.
    Everything,
}

/// Without end, as a duration that instants can be added to: longer ones are cut to it.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// libzmq lingers for ever, which hangs programs at their end; omq not at all, which loses the
/// last messages of programs that just send and exit. Five seconds cover a reconnect (first retry
/// after 0.1 s) and a TCP connect with its first retransmissions at 1 s and 3 s.
const LINGER: Duration = Duration::from_secs(5);

impl Default for Options {
    fn default() -> Self {
        Self {
            context: Context::default(),
            send_hwm: 1000,
            recv_hwm: 1000,
            send_hwm_bytes: 16 << 20,
            recv_hwm_bytes: 16 << 20,
            linger: None,
            immediate: false,
            conflate: false,
            routing_id: Bytes::new(),
            metadata: Vec::new(),
            reconnect: Some(Reconnect::default()),
            heartbeat: Some(Heartbeat {
                interval: Duration::from_secs(30),
                timeout: Duration::from_secs(90),
                ttl: Duration::ZERO,
            }),
            handshake_timeout: Duration::from_secs(10),
            progress_timeout: Some(Duration::from_secs(60)),
            max_message_size: 64 << 20,
            max_parts: 4096,
            max_handshake_frame: 64 << 10,
            max_pending_handshakes: 128,
            max_connections: default_max_connections(),
            transport: TransportOptions::default(),
            pattern: Pattern::default(),
        }
    }
}

impl Options {
    /// How long a closing socket goes on writing; `None`: for ever. A SUB has nothing to write (C5.1).
    pub(crate) fn linger(&self, kind: SocketType) -> Option<Duration> {
        self.linger.unwrap_or(match kind {
            SocketType::Sub | SocketType::XSub => Some(Duration::ZERO),
            _ => Some(LINGER),
        })
    }

    pub(crate) const fn send_mark(&self) -> Hwm {
        Hwm::new(self.send_hwm, self.send_hwm_bytes)
    }

    pub(crate) const fn recv_mark(&self) -> Hwm {
        Hwm::new(self.recv_hwm, self.recv_hwm_bytes)
    }
}

/// 16,384, but at most half of the file descriptors this process may open.
fn default_max_connections() -> usize {
    static DEFAULT: OnceLock<usize> = OnceLock::new();
    *DEFAULT.get_or_init(|| {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
        let soft = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
        soft.map_or(16_384, |soft| (soft / 2).clamp(1, 16_384))
    })
}

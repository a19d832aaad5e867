use super::builder::{builder, receiving, sending};
use super::handle::{Handle, lifecycle};
use super::verbs::{receives, sends};
use super::{pull, push};
use crate::message::Frame;
use crate::proto::SocketType;
use crate::routing::{Rotation, Route};
use crate::socket::{LINGER, Pattern, keep};

/// Exchanges single frames with exactly one other [`Channel`]: a [`Pair`](crate::Pair) without multipart messages.
/// libzmq: `ZMQ_CHANNEL` (52/CHANNEL, a draft).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sinew::Error> {
/// use sinew::Channel;
/// let (a, b) = (Channel::new(), Channel::new());
/// a.bind("inproc://channel-doc").await?;
/// b.connect("inproc://channel-doc").await?;
/// a.send("over").await?;
/// assert_eq!(b.recv().await?, "over");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Channel {
    pub(crate) handle: Handle,
}

pub(super) static PATTERN: Pattern = Pattern {
    socket_type: SocketType::Channel,
    peers: &[SocketType::Channel],
    route: |_| Route::Balance(Rotation::default()),
    send: Some(push::SEND),
    receive: Some(pull::RECEIVE_FRAME),
    arrive: keep,
    lockstep: false,
    exclusive: true,
    announces_routing_id: false,
    hears_subscriptions: false,
    groups: false,
    pings: true,
    filters: false,
    connects_once: false,
    linger: LINGER,
};

builder! {
    /// Options of a [`Channel`].
    ChannelBuilder => Channel, [sending, receiving]
}
lifecycle!(Channel, ChannelBuilder, PATTERN);
sends!(Channel, Frame, push::offer);
receives!(Channel, Frame, pull::take_frame);

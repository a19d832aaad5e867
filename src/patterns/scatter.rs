use super::builder::{builder, sending};
use super::handle::{Handle, lifecycle};
use super::push;
use super::verbs::sends;
use crate::message::Frame;
use crate::proto::SocketType;
use crate::routing::{Rotation, Route};
use crate::socket::{LINGER, Pattern};

/// Hands each frame to one of its peers, in turn. Talks to [`Gather`](crate::Gather). libzmq: `ZMQ_SCATTER`
/// (49/SCATTERGATHER, a draft).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sinew::Error> {
/// use sinew::{Gather, Scatter};
/// let sink = Gather::new();
/// let addr = sink.bind("tcp://127.0.0.1:0").await?;
/// let vent = Scatter::new();
/// vent.connect(&addr).await?;
/// vent.send("hello").await?;
/// assert_eq!(sink.recv().await?, "hello");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Scatter {
    pub(crate) handle: Handle,
}

pub(super) static PATTERN: Pattern = Pattern {
    socket_type: SocketType::Scatter,
    peers: &[SocketType::Gather],
    route: |_| Route::Balance(Rotation::default()),
    send: Some(push::SEND),
    receive: None,
    arrive: push::unexpected,
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
    /// Options of a [`Scatter`].
    ScatterBuilder => Scatter, [sending]
}
lifecycle!(Scatter, ScatterBuilder, PATTERN);
sends!(Scatter, Frame, push::offer);

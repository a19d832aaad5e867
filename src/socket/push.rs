use super::builder::{builder, conflating, sending};
use super::core::{Core, Offer};
use super::handle::{Handle, lifecycle};
use super::verbs::sends;
use crate::proto::SocketType;

/// Hands each message to one of its peers, in turn: the ventilator of a pipeline. Talks to [`Pull`](crate::Pull).
///
/// Peers at their high-water mark are skipped; with none left, [`send`](Self::send) waits. libzmq: `ZMQ_PUSH`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sinew::Error> {
/// use sinew::{Pull, Push};
/// let sink = Pull::new();
/// let addr = sink.bind("tcp://127.0.0.1:0").await?;
/// let vent = Push::new();
/// vent.connect(&addr).await?;
/// vent.send("hello").await?;
/// assert_eq!(sink.recv().await?, "hello");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Push {
    pub(crate) handle: Handle,
}

builder! {
    /// Options of a [`Push`].
    PushBuilder => Push, [sending, conflating]
}
lifecycle!(Push, PushBuilder, SocketType::Push);
sends!(Push, offer);

/// Round robin over the peers with room: the whole policy of PUSH, DEALER and PAIR.
#[inline]
pub(super) fn offer(_: &Core) -> impl Offer {
    |outbox, message, wakes| outbox.balance(&[], message, wakes).map(drop)
}

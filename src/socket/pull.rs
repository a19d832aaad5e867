use super::builder::{builder, conflating, receiving};
use super::core::{Core, Take, next_message};
use super::handle::{Handle, lifecycle};
use super::verbs::receives;
use crate::message::Message;
use crate::proto::SocketType;

/// Receives from all its peers, one message of each in turn: the worker or sink of a pipeline. Talks to
/// [`Push`](crate::Push).
///
/// A full queue stops reading that peer, so a slow `Pull` slows its pushers down. libzmq: `ZMQ_PULL`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sinew::Error> {
/// use sinew::{Pull, Push};
/// let sink = Pull::builder().recv_hwm(100).build()?;
/// let addr = sink.bind("tcp://127.0.0.1:0").await?;
/// let vent = Push::new();
/// vent.connect(&addr).await?;
/// vent.send(["header", "body"]).await?;
/// assert_eq!(sink.recv().await?[1], "body");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Pull {
    pub(crate) handle: Handle,
}

builder! {
    /// Options of a [`Pull`].
    PullBuilder => Pull, [receiving, conflating]
}
lifecycle!(Pull, PullBuilder, SocketType::Pull);
receives!(Pull, Message, take);

/// The next message of any peer: the whole of receiving for most types.
#[inline]
pub(super) fn take(_: &Core) -> impl Take<Message> {
    next_message
}

use super::builder::{builder, conflating, greeting, identified, probing, receiving, sending};
use super::handle::{Handle, lifecycle};
use super::verbs::{receives, sends, sends_many};
use super::{pull, push};
use crate::message::Message;
use crate::proto::SocketType;
use crate::routing::{Rotation, Route};
use crate::socket::{LINGER, Pattern, keep};

/// Sends to its peers in turn and receives from all of them, as it likes: an asynchronous [`Req`](crate::Req).
/// Talks to [`Router`](crate::Router), [`Rep`](crate::Rep) and [`Dealer`].
///
/// Nothing is added to a message and nothing taken off. To talk to a `Rep`, put an empty frame in front of the
/// body; the reply has one, too. libzmq: `ZMQ_DEALER`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sinew::Error> {
/// use sinew::{Dealer, Router};
/// let server = Router::new();
/// let addr = server.bind("tcp://127.0.0.1:0").await?;
/// let client = Dealer::builder().routing_id("client-1").build()?;
/// client.connect(&addr).await?;
/// client.send("ping").await?;
/// let (id, message) = server.recv().await?;
/// assert_eq!((id.as_ref(), message.to_str().unwrap()), (&b"client-1"[..], "ping"));
/// server.send(id, "pong").await?;
/// assert_eq!(client.recv().await?, "pong");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Dealer {
    pub(crate) handle: Handle,
}

pub(super) static PATTERN: Pattern = Pattern {
    socket_type: SocketType::Dealer,
    peers: &[SocketType::Rep, SocketType::Dealer, SocketType::Router],
    route: |_| Route::Balance(Rotation::default()),
    send: Some(push::SEND),
    receive: Some(pull::RECEIVE),
    arrive: keep,
    lockstep: false,
    exclusive: false,
    announces_routing_id: true,
    hears_subscriptions: false,
    groups: false,
    pings: true,
    filters: false,
    connects_once: true,
    linger: LINGER,
};

builder! {
    /// Options of a [`Dealer`].
    DealerBuilder => Dealer, [sending, receiving, conflating, identified, probing, greeting]
}
lifecycle!(Dealer, DealerBuilder, PATTERN);
sends!(Dealer, Message, push::offer);
sends_many!(Dealer, push::offer);
receives!(Dealer, Message, pull::take);

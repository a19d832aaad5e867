use super::builder::{builder, greeting, receiving, sending};
use super::handle::{Handle, lifecycle};
use super::verbs::{receives, sends};
use super::{pull, push};
use crate::message::Frame;
use crate::proto::SocketType;
use crate::routing::{Rotation, Route};
use crate::socket::{LINGER, Pattern, keep};

/// Sends single frames to its servers in turn and receives from all of them, as it likes. Talks to
/// [`Server`](crate::Server). libzmq: `ZMQ_CLIENT` (41/CLIENTSERVER, a draft).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sinew::Error> {
/// use sinew::{Client, Server};
/// let server = Server::new();
/// let addr = server.bind("tcp://127.0.0.1:0").await?;
/// let client = Client::new();
/// client.connect(&addr).await?;
/// client.send("ping").await?;
/// let (peer, request) = server.recv().await?;
/// server.send(peer, format!("{} pong", request.to_str().unwrap())).await?;
/// assert_eq!(client.recv().await?, "ping pong");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) handle: Handle,
}

pub(super) static PATTERN: Pattern = Pattern {
    socket_type: SocketType::Client,
    peers: &[SocketType::Server],
    route: |_| Route::Balance(Rotation::default()),
    send: Some(push::SEND),
    receive: Some(pull::RECEIVE_FRAME),
    arrive: keep,
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
    /// Options of a [`Client`].
    ClientBuilder => Client, [sending, receiving, greeting]
}
lifecycle!(Client, ClientBuilder, PATTERN);
sends!(Client, Frame, push::offer);
receives!(Client, Frame, pull::take_frame);

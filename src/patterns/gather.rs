use super::builder::{builder, receiving};
use super::handle::{Handle, lifecycle};
use super::pull;
use super::verbs::receives;
use crate::message::Frame;
use crate::proto::SocketType;
use crate::routing::Route;
use crate::socket::{LINGER, Pattern, keep};

/// Receives single frames from all its peers, one of each in turn. Talks to [`Scatter`](crate::Scatter). libzmq:
/// `ZMQ_GATHER` (49/SCATTERGATHER, a draft); see [`Scatter`](crate::Scatter) for an example.
#[derive(Debug, Clone)]
pub struct Gather {
    pub(crate) handle: Handle,
}

pub(super) static PATTERN: Pattern = Pattern {
    socket_type: SocketType::Gather,
    peers: &[SocketType::Scatter],
    route: |_| Route::Nothing,
    send: None,
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
    /// Options of a [`Gather`].
    GatherBuilder => Gather, [receiving]
}
lifecycle!(Gather, GatherBuilder, PATTERN);
receives!(Gather, Frame, pull::take_frame);

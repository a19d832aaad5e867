use std::time::Duration;

use super::builder::{builder, receiving};
use super::group::Group;
use super::handle::{Handle, lifecycle};
use super::pull;
use super::verbs::receives;
use crate::message::{Frame, Message};
use crate::pipe::{Deferred, Inbox};
use crate::proto::SocketType;
use crate::routing::{PeerKey, Route};
use crate::socket::{Core, Pattern, RawReceive, Take, Taken, keep};

macro_rules! joining {
    () => {
        /// Joins a group from the start; may be given several times.
        ///
        /// libzmq: `zmq_join`
        pub fn join(mut self, group: impl Into<Group>) -> Self {
            self.specific.topics.push(group.into().as_frame().clone());
            self
        }
    };
}

/// Receives the frames of the groups that it has joined, from all its peers. Talks to [`Radio`](crate::Radio). Without
/// any group nothing is received; groups outlive connections. libzmq: `ZMQ_DISH` (48/RADIO-DISH, a draft); see
/// [`Radio`](crate::Radio) for an example.
#[derive(Debug, Clone)]
pub struct Dish {
    pub(crate) handle: Handle,
}

pub(super) static PATTERN: Pattern = Pattern {
    socket_type: SocketType::Dish,
    peers: &[SocketType::Radio],
    route: |_| Route::All,
    send: None,
    receive: Some(RECEIVE),
    arrive: keep,
    lockstep: false,
    exclusive: false,
    announces_routing_id: false,
    hears_subscriptions: false,
    groups: true,
    pings: true,
    filters: true,
    connects_once: false,
    linger: Duration::ZERO,
};

builder! {
    /// Options of a [`Dish`].
    DishBuilder => Dish, [receiving, joining]
}
lifecycle!(Dish, DishBuilder, PATTERN);
receives!(Dish, (Group, Frame), take);

/// A message is the group and the frame.
const RECEIVE: RawReceive = RawReceive {
    take: |core, inbox, item, later| pull::take_of(2, core, inbox, item, later),
    ..pull::RECEIVE
};

fn take(core: &Core) -> impl Take<(Group, Frame)> {
    move |inbox: &mut Inbox, (group, frame): &mut (Group, Frame), later: &mut Deferred| -> Taken {
        let mut item = (PeerKey::default(), Message::new());
        let taken = (RECEIVE.take)(core, inbox, &mut item, later);
        *frame = item.1.last().clone();
        *group = Group::received(std::mem::take(item.1.start()));
        taken
    }
}

impl Dish {
    /// Joins a group; says whether it had not yet. Takes effect at each peer when it hears of it. libzmq: `zmq_join`.
    #[allow(clippy::must_use_candidate, reason = "joining is what it is for")]
    pub fn join(&self, group: impl Into<Group>) -> bool {
        self.handle.core.subscribe(group.into().as_frame())
    }

    /// Leaves a group; says whether it was in it. libzmq: `zmq_leave`.
    #[allow(clippy::must_use_candidate, reason = "leaving is what it is for")]
    pub fn leave(&self, group: impl Into<Group>) -> bool {
        self.handle.core.unsubscribe(group.into().as_frame(), false)
    }
}

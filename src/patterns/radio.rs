use super::builder::{builder, sending, set};
use super::group::Group;
use super::handle::{Handle, lifecycle};
use super::verbs::sends_to;
use crate::error::SocketClosed;
use crate::message::{Frame, Message};
use crate::pipe::{Deferred, Outbox, Refusal};
use crate::proto::SocketType;
use crate::routing::{self, Route};
use crate::socket::{Core, FanOut, LINGER, Offer, Pattern};

macro_rules! broadcasting {
    () => {
        set! {
            /// Whether a member at its high-water mark holds the sender up, instead of missing the frame. Default: no.
            ///
            /// libzmq: `ZMQ_XPUB_NODROP`
            no_drop(on: bool) => set_specific, no_drop = on
        }
        set! {
            /// How many groups a peer behind a connection may join; `None` or 0: no limit. One that asks for more is
            /// disconnected. Default: 100,000 (libzmq: no limit).
            max_groups_per_peer(groups: impl Into<Option<usize>>) => set_specific, subscriptions.topics =
                groups.into().unwrap_or(0)
        }
    };
}

/// Sends each frame to every peer that has joined its [`Group`]. Talks to [`Dish`](crate::Dish).
///
/// It never waits: without a member a frame is dropped, and a member at its high-water mark misses it; both are counted.
/// It sends no heartbeats, because a `ZMQ_DISH` hangs up at them. libzmq: `ZMQ_RADIO` (48/RADIO-DISH, a draft).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sinew::Error> {
/// use sinew::{Dish, Group, Radio};
/// let news: Group = "news".try_into().unwrap();
/// let radio = Radio::new();
/// let addr = radio.bind("tcp://127.0.0.1:0").await?;
/// let dish = Dish::builder().join(&news).build()?;
/// dish.connect(&addr).await?;
/// radio.wait_for_members(&news, 1).await?;
/// radio.send(&news, "all quiet").await?;
/// assert_eq!(dish.recv().await?, (news, "all quiet".into()));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Radio {
    pub(crate) handle: Handle<Group>,
}

pub(super) static PATTERN: Pattern = Pattern {
    socket_type: SocketType::Radio,
    peers: &[SocketType::Dish],
    route: |specific| Route::Fan(Box::new(routing::FanOut::exact(specific.no_drop))),
    send: None,
    receive: None,
    arrive: super::push::unexpected,
    lockstep: false,
    exclusive: false,
    announces_routing_id: false,
    hears_subscriptions: false,
    groups: true,
    pings: false,
    filters: false,
    connects_once: false,
    linger: LINGER,
};

builder! {
    /// Options of a [`Radio`].
    RadioBuilder => Radio, [sending, broadcasting]
}
lifecycle!(Radio, RadioBuilder, PATTERN);
sends_to!(Radio, Group, Frame, offer);

/// The group goes in front.
fn offer(_: &Core, to: Group) -> impl Offer {
    FanOut(move |outbox: &mut Outbox, message: &mut Message, later: &mut Deferred| -> Result<(), Refusal> {
        message.push_front(to.as_frame());
        outbox.publish(message, None, false, later).inspect_err(|_| drop(message.pop_front()))
    })
}

impl Radio {
    /// Waits until `count` peers have joined the group: what is sent to it from here on reaches them.
    ///
    /// # Errors
    ///
    /// If the socket is closed.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, nothing has happened.
    pub async fn wait_for_members(&self, group: impl Into<Group>, count: usize) -> Result<(), SocketClosed> {
        let group = group.into();
        let members = |outbox: &Outbox| match &outbox.route {
            Route::Fan(fan) => fan.count(group.as_ref()),
            _ => 0,
        };
        self.handle.core.outbox_ready(|outbox| members(outbox) >= count).await
    }
}

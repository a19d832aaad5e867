//! The device that QUEUE, FORWARDER and STREAMER are made of.

use std::fmt::Debug;

use crate::error::SendErrorKind;
use crate::message::Message;
use crate::patterns::traits::Sealed;
use crate::patterns::{Dealer, Pair, Pub, Pull, Push, Rep, Router, Sub, XPub, XSub};
use crate::pipe::{Deferred, Outbox, Refusal, Slot};
use crate::routing::PeerKey;
use crate::socket::{Core, FanOut, Offer, RawReceive, RawSend};

/// A socket that a [`proxy`] can pass messages from or to.
///
/// A message to or from a [`Router`] has the routing id as first frame, as in libzmq.
pub trait Device: Sealed + Debug + Send + Sync {}

/// A socket that gets a copy of everything that passes a [`proxy`].
#[derive(Debug)]
pub struct Capture(Box<dyn Device>);

macro_rules! devices {
    ($($socket:ident),*) => {$(
        impl Device for $socket {}
    )*};
}
devices!(Push, Pull, Pub, Sub, XPub, XSub, Rep, Dealer, Router, Pair);

macro_rules! captures {
    ($($socket:ident),*) => {$(
        impl From<$socket> for Capture {
            fn from(socket: $socket) -> Self {
                Self(Box::new(socket))
            }
        }
    )*};
}
captures!(Push, Pub, Dealer, Pair);

/// Passes messages from `frontend` to `backend` and back, until one of the two is closed. libzmq: `zmq_proxy`.
///
/// Router and Dealer make a QUEUE, XSub and XPub a FORWARDER, Pull and Push a STREAMER. Each direction takes a
/// message only when its other side has room for one, so high-water marks hold from end to end and a direction that
/// is stuck does not stop the other. `capture` gets a copy of every message before it is passed on; it misses what
/// it has no room for.
///
/// # Cancel safety
///
/// Cancelled, no message is lost: one that was taken and not yet passed on goes back to where it was, for those
/// who hold clones of the sockets.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sinew::Error> {
/// use sinew::{Pull, Push, proxy};
/// let (frontend, backend) = (Pull::new(), Push::new());
/// let inlet = frontend.bind("tcp://127.0.0.1:0").await?;
/// let outlet = backend.bind("tcp://127.0.0.1:0").await?;
/// let streamer = tokio::spawn(proxy(frontend, backend, None));
///
/// let (client, server) = (Push::new(), Pull::new());
/// client.connect(&inlet).await?;
/// server.connect(&outlet).await?;
/// client.send("job").await?;
/// assert_eq!(server.recv().await?, "job");
/// streamer.abort();
/// # Ok(()) }
/// ```
pub async fn proxy(frontend: impl Device, backend: impl Device, capture: Option<Capture>) {
    let (front, back) = (frontend.core(), backend.core());
    tokio::select! {
        () = forward(front, back, capture.as_ref()) => {}
        () = forward(back, front, capture.as_ref()) => {}
        // A direction that waits for room does not see its source close.
        _ = front.outbox_ready(|_| false) => {}
        _ = back.outbox_ready(|_| false) => {}
    }
}

/// One direction, until either socket is closed; for ever idle if there is no such direction.
async fn forward(source: &Core, sink: &Core, capture: Option<&Capture>) {
    let (Some(receive), Some(send)) = (&source.pattern.receive, &sink.pattern.send) else {
        return std::future::pending().await;
    };
    let mut held = Held { source, receive, sink, send, slot: Slot::default(), message: None };
    // Room first: what has been taken can be passed on, but for a peer that leaves just then.
    while sink.outbox_ready(Outbox::has_room).await.is_ok() {
        let taken = source.recv(|inbox, item, later| (receive.take)(source, inbox, item, later)).await;
        let Ok((from, message)) = taken else { return };
        if let Some(capture) = capture {
            capture.copy(&message);
        }
        held.message = Some((from, message));
        held.pass_on().await;
        if held.message.is_some() {
            return;
        }
        (send.sent)(sink);
    }
}

impl Capture {
    /// One that is full or alone misses it: it must not hold the proxy up.
    fn copy(&self, message: &Message) {
        let copy = self.0.core();
        if let Some(send) = &copy.pattern.send {
            let _ = copy.try_send(message.clone(), offer(copy, send));
        }
    }
}

fn offer<'a>(core: &'a Core, send: &'a RawSend) -> impl Offer + 'a {
    FanOut(|outbox: &mut Outbox, message: &mut Message, later: &mut Deferred| -> Result<(), Refusal> {
        (send.offer)(core, outbox, message, later)
    })
}

/// A message on its way; it goes back if the proxy is cancelled.
struct Held<'a> {
    source: &'a Core,
    receive: &'a RawReceive,
    sink: &'a Core,
    send: &'a RawSend,
    slot: Slot,
    message: Option<(PeerKey, Message)>,
}

impl Held<'_> {
    /// Sends it, and waits for room, or at the end of a turn for other tasks: a sink that never waits would drop what
    /// they had no time to write. A sink that closes meanwhile leaves the message here; what it refuses is dropped, as
    /// it would be without a proxy.
    async fn pass_on(&mut self) {
        let Self { sink, send, slot, message, .. } = self;
        let Some((_, waiting)) = message else { return };
        match std::future::poll_fn(|cx| sink.poll_send(cx, slot, waiting, &offer(sink, send))).await {
            Err(error) if error.kind() == SendErrorKind::Closed => *waiting = error.into_message(),
            _ => *message = None,
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.sink.forget_sender(&mut self.slot);
        if let Some((from, message)) = self.message.take() {
            self.source.put_back(self.receive, from, message);
        }
    }
}

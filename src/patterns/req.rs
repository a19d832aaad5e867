use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::builder::{builder, identified, probing, receiving, sending, set};
use super::handle::{Handle, lifecycle};
use super::verbs::{receives, sends, sends_many};
use crate::clock::{Elapsed, timeout};
use crate::error::{RecvError, RequestError};
use crate::message::{Frame, Message};
use crate::pipe::{Deferred, Inbox, Outbox, Popped, Refusal, STEP};
use crate::proto::SocketType;
use crate::routing::{Rotation, Route};
use crate::socket::{Conversation, Core, LINGER, Offer, Pattern, RawReceive, Take, Taken, Tally, keep};

macro_rules! requesting {
    () => {
        set! {
            /// Whether each request carries a number that its reply has to repeat, so that a late
            /// reply is never taken for that of the next request. REP does so by itself; a ROUTER
            /// has to send back every frame up to the empty one. Default: no.
            ///
            /// libzmq: `ZMQ_REQ_CORRELATE`
            correlate(on: bool) => set_specific, correlate = on
        }
        set! {
            /// Whether a new request may be sent before the reply to the last one, which is then
            /// abandoned. Use it with [`correlate`](Self::correlate). Default: no.
            ///
            /// libzmq: `ZMQ_REQ_RELAXED`
            relaxed(on: bool) => set_specific, relaxed = on
        }
        set! {
            /// How long [`Req::request`] waits, for room and for the reply together; `None`: for ever. Default: `None`.
            request_timeout(timeout: impl Into<Option<Duration>>) => set_specific, request_timeout = timeout.into()
        }
    };
}

/// Sends a request to one of its peers, in turn, and receives that peer's reply. Talks to [`Rep`](crate::Rep) and
/// [`Router`](crate::Router).
///
/// Requests and replies alternate: out of turn, both verbs fail. A peer that leaves with the request is
/// [reported](RecvError::PeerLost), where libzmq waits for ever; the request can then be sent again. libzmq: `ZMQ_REQ`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sinew::Error> {
/// use sinew::{Rep, Req};
/// let server = Rep::new();
/// let addr = server.bind("tcp://127.0.0.1:0").await?;
/// tokio::spawn(async move {
///     let request = server.recv().await?;
///     server.send(format!("hello {}", request.to_str().unwrap())).await?;
///     server.close().await;
///     Ok::<_, sinew::Error>(())
/// });
/// let client = Req::new();
/// client.connect(&addr).await?;
/// assert_eq!(client.request("world").await?, "hello world");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Req {
    pub(crate) handle: Handle,
}

pub(super) static PATTERN: Pattern = Pattern {
    socket_type: SocketType::Req,
    peers: &[SocketType::Rep, SocketType::Router],
    route: |_| Route::Balance(Rotation::default()),
    send: None,
    receive: Some(RECEIVE),
    arrive: keep,
    lockstep: true,
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
    /// Options of a [`Req`].
    ReqBuilder => Req, [sending, receiving, identified, probing, requesting]
}
lifecycle!(Req, ReqBuilder, PATTERN);
sends!(Req, Message, offer);
sends_many!(Req, offer);
receives!(Req, Message, take);

fn offer(core: &Core) -> impl Offer {
    Request { core, asked: None }
}

/// `[number]`, an empty frame, the body (B1.1). Tells `asked` which exchange this begins.
struct Request<'a> {
    core: &'a Core,
    asked: Option<&'a AtomicU32>,
}

impl Offer for Request<'_> {
    /// A second reply, say.
    const CLEARS_INBOX: bool = true;

    fn offer(&self, outbox: &mut Outbox, message: &mut Message, later: &mut Deferred) -> Result<(), Refusal> {
        let Self { core, asked } = self;
        if outbox.is_closed() {
            return Err(Refusal::Closed);
        }
        let mut conversation = core.conversation.lock();
        if matches!(*conversation, Conversation::AwaitReply { lost: false, .. }) && !core.specific.relaxed {
            return Err(Refusal::OutOfTurn);
        }
        let exchange = core.tally.next_request();
        let envelope = [Frame::copy_from_slice(&exchange.to_be_bytes()), Frame::new()];
        let envelope = if core.specific.correlate { &envelope[..] } else { &envelope[1..] };
        let peer = outbox.balance(envelope, message, later)?;
        *conversation = Conversation::AwaitReply { peer, exchange, lost: false };
        if let Some(asked) = asked {
            asked.store(exchange, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn take(core: &Core) -> impl Take<Message> {
    take_as(core, None)
}

/// The reply, from the peer that was asked; anything else is late, or malformed, and skipped (B1.4, B1.5). With `asked`
/// that of this exchange or none.
fn take_as(core: &Core, asked: Option<u32>) -> impl Take<Message> {
    move |inbox, message, later| {
        let mut conversation = core.conversation.lock();
        let taken = find(core, &conversation, asked, inbox, message, later);
        if matches!(taken, Taken::Item | Taken::Failed(RecvError::PeerLost)) {
            *conversation = Conversation::Idle;
        }
        taken
    }
}

#[inline]
fn find(
    core: &Core,
    conversation: &Conversation,
    asked: Option<u32>,
    inbox: &mut Inbox,
    message: &mut Message,
    later: &mut Deferred,
) -> Taken {
    if inbox.is_closed() {
        return Taken::Failed(RecvError::Closed);
    }
    let Conversation::AwaitReply { peer, exchange, lost } = *conversation else {
        return Taken::Failed(RecvError::OutOfTurn);
    };
    if asked.is_some_and(|asked| asked != exchange) {
        // Abandoned. What this was woken for may be another's.
        inbox.wake_all(later);
        return Taken::Failed(RecvError::OutOfTurn);
    }
    let number = core.specific.correlate.then(|| exchange.to_be_bytes());
    for _ in 0..STEP {
        let (from, opened) = match inbox.pop(message, later) {
            None if lost => return Taken::Failed(RecvError::PeerLost),
            None => return Taken::Nothing,
            Some(Popped::Message(from)) => (from, open(message, number.as_ref())),
            Some(Popped::Body(from)) => (from, number.is_none()),
            Some(Popped::Arrived(..) | Popped::Gone(..) | Popped::Filtered) => continue,
        };
        if from == peer && opened {
            return Taken::Item;
        }
        later.discard(std::mem::take(message));
        Tally::count(&core.tally.unexpected, 1);
    }
    Taken::Unwanted
}

/// For one who looks only: whose turn it is stays as it is.
const RECEIVE: RawReceive = RawReceive {
    take: |core, inbox, (from, message), later| {
        let conversation = core.conversation.lock();
        if let Conversation::AwaitReply { peer, .. } = *conversation {
            *from = peer;
        }
        find(core, &conversation, None, inbox, message, later)
    },
    put_back: |core, inbox, from, mut message, later| {
        message.push_front(Frame::new());
        if let (true, Conversation::AwaitReply { exchange, .. }) =
            (core.specific.correlate, &*core.conversation.lock())
        {
            message.push_front(exchange.to_be_bytes());
        }
        inbox.unpop(from, message, later);
    },
};

/// Takes the envelope off a reply; says whether it is the one expected.
fn open(message: &mut Message, number: Option<&[u8; 4]>) -> bool {
    let front = usize::from(number.is_some());
    let numbered = number.is_none_or(|number| *message.first() == number);
    let delimited = message.get(front).is_some_and(|frame| frame.is_empty());
    let whole = numbered && delimited && message.frame_count() > front + 1;
    if whole {
        message.drop_front(front + 1);
    }
    whole
}

impl Req {
    /// Sends a request and waits for its reply, at most for the [`request_timeout`](ReqBuilder::request_timeout).
    ///
    /// After an error or a cancellation the next request can be sent at once, to the next peer.
    ///
    /// # Errors
    ///
    /// If the request cannot be sent, its peer is lost, or no reply comes in time; and, where the socket is
    /// [`relaxed`](ReqBuilder::relaxed), if another request is sent before the reply.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the request may have been sent. Its reply is skipped if it comes before the next request; a
    /// later one is told apart only with [`correlate`](ReqBuilder::correlate).
    pub async fn request(&self, message: impl Into<Message>) -> Result<Message, RequestError> {
        let core = &*self.handle.core;
        let exchange = async {
            let asked = AtomicU32::new(0);
            core.send(message.into(), Request { core, asked: Some(&asked) }).await?;
            let asked = asked.into_inner();
            let mut abandon = Abandon(Some((core, asked)));
            if core.specific.relaxed {
                core.wake_receivers();
            }
            let reply = core.recv(take_as(core, Some(asked))).await;
            abandon.0 = None;
            Ok(reply?)
        };
        match core.specific.request_timeout {
            None => exchange.await,
            Some(limit) => {
                let in_time = timeout(limit, pin!(exchange)).await;
                in_time.unwrap_or_else(|Elapsed| Err(RecvError::Timeout.into()))
            }
        }
    }
}

/// Ends the wait for a reply when a request is cancelled, so that the socket stays usable; unless another request has
/// abandoned it.
struct Abandon<'a>(Option<(&'a Core, u32)>);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        let Some((core, asked)) = self.0 else { return };
        {
            let mut conversation = core.conversation.lock();
            if !matches!(*conversation, Conversation::AwaitReply { exchange, .. } if exchange == asked) {
                return;
            }
            *conversation = Conversation::Idle;
        }
        core.drop_unread();
    }
}

#[cfg(test)]
mod tests {
    use futures::SinkExt;

    use crate::{Rep, Req};

    #[tokio::test]
    async fn flushing_a_relaxed_req_does_not_drop_the_reply() {
        let (server, mut client) = (Rep::new(), Req::builder().relaxed(true).build().unwrap());
        server.bind("inproc://flushing-a-relaxed-req").await.unwrap();
        client.connect("inproc://flushing-a-relaxed-req").await.unwrap();
        client.feed("request".into()).await.unwrap();
        server.send(server.recv().await.unwrap()).await.unwrap();
        client.flush().await.unwrap();
        assert_eq!(client.try_recv().unwrap(), "request");
    }
}

//! What all socket types share: the two boxes, and waiting for them.

use std::collections::{HashMap, VecDeque};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake};

use slotmap::SecondaryMap;
use tokio_util::task::TaskTracker;

use super::endpoints::Endpoints;
use super::peers::PeerEntry;
use crate::error::{RecvError, SendError, SendErrorKind, SocketClosed};
use crate::message::{Frame, Message};
use crate::monitor::Events;
use crate::options::Options;
use crate::pipe::{Filter, Inbox, Outbox, PeerKey, Refusal, Slot, Wakes};
use crate::proto::SocketType;
use crate::routing::{FanOut, IdentityMap, Rotation, Route};
use crate::sync::{Arc as Shared, Mutex};

/// One socket, whatever its type: shared by its handles and its tasks.
///
/// Locks are taken in this order and never the other way round: `subscriptions`, `inbox` (and over
/// inproc, the peer's outbox), `outbox`; `peers` and `endpoints` are taken alone. None is held
/// across an await, a system call or a wake-up.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) kind: SocketType,
    pub(crate) options: Options,
    pub(crate) outbox: Shared<Mutex<Outbox>>,
    pub(crate) inbox: Shared<Mutex<Inbox>>,
    /// SUB, XSUB: the topics subscribed to, with how often (A7.4).
    pub(crate) subscriptions: Mutex<HashMap<Frame, usize>>,
    pub(crate) peers: Mutex<SecondaryMap<PeerKey, PeerEntry>>,
    pub(crate) endpoints: Mutex<Endpoints>,
    pub(crate) events: Events,
    /// Every task of the socket: listeners, dialers, connections.
    pub(crate) tasks: TaskTracker,
    pub(crate) tally: Tally,
    /// REQ, REP, XPUB: what the next call depends on. A leaf: no lock is taken under it.
    pub(crate) turn: Mutex<Turn>,
}

/// Where a conversation stands.
#[derive(Debug, Default)]
pub(crate) enum Turn {
    #[default]
    Idle,
    /// REQ: this peer has the request of this number, and with `correlate` marks its reply with it. If the
    /// peer is lost, only a reply that is there already can still be received.
    AwaitReply { peer: PeerKey, exchange: u32, lost: bool },
    /// REP: the reply goes to this peer, behind this envelope; an empty one stands for the delimiter alone.
    MustReply { peer: PeerKey, envelope: Vec<Frame> },
    /// XPUB: whose subscription was received last (B5.13).
    Subscriber(PeerKey),
}

/// Tells the monitors of peers that have begun to miss messages, in place of a task: whoever sends is under the
/// outbox's lock, and wakes it after that.
struct Reporter(Weak<Core>);

impl Wake for Reporter {
    fn wake(self: Arc<Self>) {
        let Some(core) = self.0.upgrade() else { return };
        let missing = core.outbox.lock().take_missing();
        for key in missing {
            core.report_missing(key);
        }
    }
}

/// What is counted outside the boxes' locks.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) reconnects: AtomicU64,
    pub(crate) unexpected: AtomicU64,
    pub(crate) refused: AtomicU64,
    /// The numbers of requests.
    requests: AtomicU32,
}

impl Tally {
    /// The number of the next request; the first is random (B1.2).
    pub(crate) fn next_request(&self) -> u32 {
        let _ = self.requests.compare_exchange(0, fastrand::u32(..), Ordering::Relaxed, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn count(counter: &AtomicU64, by: usize) {
        counter.fetch_add(u64::try_from(by).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// The step that offers a message to an [`Outbox`]; one that is refused stays where it is.
pub(crate) trait Offer: Fn(&mut Outbox, &mut Message, &mut Wakes) -> Result<(), Refusal> {}

impl<F: Fn(&mut Outbox, &mut Message, &mut Wakes) -> Result<(), Refusal>> Offer for F {}

/// The step that takes something from an [`Inbox`]; `None` where there is nothing for it. It fills in
/// what it is given: a message is too large to be handed up by value from step to step.
pub(crate) trait Take<T>:
    FnMut(&mut Inbox, &mut T, &mut Wakes) -> Option<Result<(), RecvError>>
{
}

impl<T, F: FnMut(&mut Inbox, &mut T, &mut Wakes) -> Option<Result<(), RecvError>>> Take<T> for F {}

impl Core {
    pub(crate) fn new(kind: SocketType, options: Options) -> Arc<Self> {
        let pattern = &options.pattern;
        let route = match kind {
            SocketType::Push | SocketType::Dealer | SocketType::Req | SocketType::Pair => {
                Route::Balance(Rotation::default())
            }
            SocketType::Pub | SocketType::XPub => Route::Fan(Box::new(FanOut::new(pattern.manual))),
            SocketType::Sub | SocketType::XSub => Route::All,
            SocketType::Router => Route::Named(Box::new(IdentityMap::new(fastrand::u32(..)))),
            SocketType::Rep | SocketType::Pull => Route::Nothing,
        };
        let mut topics = HashMap::new();
        for topic in &pattern.topics {
            *topics.entry(topic.clone()).or_default() += 1;
        }
        let send_mark = options.send_mark();
        let filter = (kind == SocketType::Sub).then(|| Filter::new(&pattern.topics, pattern.invert_matching));
        let mut outbox = Outbox::new(route, send_mark, send_mark.turn(), is_lockstep(kind));
        let mut inbox = Inbox::new(options.recv_mark(), pattern.announce, filter);
        inbox.open_envelopes = is_lockstep(kind);
        Arc::new_cyclic(|core| Self {
            kind,
            outbox: {
                outbox.reporter = Some(Arc::new(Reporter(core.clone())).into());
                Shared::new(Mutex::new(outbox))
            },
            inbox: Shared::new(Mutex::new(inbox)),
            subscriptions: Mutex::new(topics),
            peers: Mutex::default(),
            endpoints: Mutex::default(),
            events: Events::default(),
            tasks: TaskTracker::new(),
            tally: Tally::default(),
            turn: Mutex::default(),
            options,
        })
    }

    /// Whether nothing more is to be expected of a peer before it is answered.
    pub(crate) const fn is_lockstep(&self) -> bool {
        is_lockstep(self.kind)
    }

    /// Offers `message` once. A task that has had its turn is not turned away: it asked not to wait.
    #[inline]
    pub(crate) fn try_send(&self, mut message: Message, offer: impl Offer) -> Result<(), SendError> {
        let mut wakes = Wakes::new();
        let offered = {
            let mut outbox = self.outbox.lock();
            match offer(&mut outbox, &mut message, &mut wakes) {
                Err(Refusal::Yield) => offer(&mut outbox, &mut message, &mut wakes),
                offered => offered,
            }
        };
        wakes.fire();
        offered.or_else(|refusal| self.refused(refusal, message))
    }

    /// Offers `message` until it is accepted, waiting for room or for a peer. Cancel-safe: the
    /// message is accepted in the very step that makes the future ready.
    #[inline]
    pub(crate) fn send<F: Offer>(&self, message: Message, offer: F) -> Sending<'_, F> {
        Sending { core: self, message, offer, slot: Slot::default() }
    }

    /// A message that the outbox will not take: an error, unless it is an XSUB's subscription.
    #[cold]
    pub(super) fn refused(&self, refusal: Refusal, message: Message) -> Result<(), SendError> {
        match refusal {
            Refusal::Subscription => {
                self.forward(&message);
                Ok(())
            }
            Refusal::Full | Refusal::Yield => Err(SendError::new(SendErrorKind::Full, message)),
            Refusal::NoPeer => Err(SendError::new(SendErrorKind::NoPeer, message)),
            Refusal::Unroutable => Err(SendError::new(SendErrorKind::Unroutable, message)),
            Refusal::OutOfTurn => Err(SendError::new(SendErrorKind::OutOfTurn, message)),
            Refusal::Closed => Err(SendError::new(SendErrorKind::Closed, message)),
        }
    }

    /// Offers the message in `waiting`, which stays there while there is no room.
    #[inline]
    pub(crate) fn poll_send(
        &self,
        cx: &Context<'_>,
        slot: &mut Slot,
        waiting: &mut Message,
        offer: &impl Offer,
    ) -> Poll<Result<(), SendError>> {
        let mut wakes = Wakes::new();
        let refused = {
            let mut outbox = self.outbox.lock();
            let offered = offer(&mut outbox, waiting, &mut wakes);
            match offered {
                Ok(()) => {
                    outbox.senders.done(slot);
                    None
                }
                Err(refusal) => Some((refusal, outbox.wait(refusal, slot, cx.waker(), &mut wakes))),
            }
        };
        wakes.fire();
        match refused {
            None => Poll::Ready(Ok(())),
            Some((_, true)) => Poll::Pending,
            Some((refusal, false)) => Poll::Ready(self.refused(refusal, std::mem::take(waiting))),
        }
    }

    /// Offers messages from the front of `messages`, as many as there is room for under one lock.
    /// Cancel-safe: what was not accepted stays in `messages`.
    pub(crate) async fn send_many(
        &self,
        messages: &mut VecDeque<Message>,
        offer: impl Offer,
    ) -> Result<(), SendError> {
        let mut waiter = Sender { core: self, slot: Slot::default() };
        while !messages.is_empty() {
            std::future::poll_fn(|cx| {
                let mut wakes = Wakes::new();
                let mut outbox = self.outbox.lock();
                let mut turn_is_over = false;
                // Up to the one that is refused, which then takes the ordinary way.
                while let Some(message) = messages.front_mut() {
                    let offered = offer(&mut outbox, message, &mut wakes);
                    turn_is_over = offered == Err(Refusal::Yield);
                    if offered.is_err() {
                        break;
                    }
                    messages.pop_front();
                }
                drop(outbox);
                wakes.fire();
                if turn_is_over {
                    // To offer it again would begin the next turn.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                let Some(message) = messages.front_mut() else { return Poll::Ready(Ok(())) };
                let sent = self.poll_send(cx, &mut waiter.slot, message, &offer);
                if sent.is_ready() {
                    messages.pop_front();
                }
                sent
            })
            .await?;
        }
        Ok(())
    }

    /// Waits until `ready` says so, or the socket is closed.
    pub(crate) fn poll_outbox(
        &self,
        cx: &Context<'_>,
        slot: &mut Slot,
        ready: impl Fn(&Outbox) -> bool,
    ) -> Poll<Result<(), SocketClosed>> {
        let mut outbox = self.outbox.lock();
        if outbox.is_closed() {
            outbox.senders.done(slot);
            Poll::Ready(Err(SocketClosed))
        } else if ready(&outbox) {
            outbox.senders.done(slot);
            Poll::Ready(Ok(()))
        } else {
            outbox.senders.wait(slot, cx.waker());
            Poll::Pending
        }
    }

    /// As [`poll_outbox`](Self::poll_outbox), as a future. Cancel-safe: nothing happens on the way.
    pub(crate) async fn outbox_ready(&self, ready: impl Fn(&Outbox) -> bool) -> Result<(), SocketClosed> {
        let mut waiter = Sender { core: self, slot: Slot::bystander() };
        std::future::poll_fn(|cx| self.poll_outbox(cx, &mut waiter.slot, &ready)).await
    }

    /// Gives a sender's place up.
    #[inline]
    pub(crate) fn forget_sender(&self, slot: &mut Slot) {
        if slot.is_taken() {
            let mut wakes = Wakes::new();
            self.outbox.lock().senders.forget(slot, &mut wakes);
            wakes.fire();
        }
    }

    /// Looks once.
    #[inline]
    pub(crate) fn try_recv<T: Default>(&self, mut take: impl Take<T>) -> Result<T, RecvError> {
        let mut wakes = Wakes::new();
        let mut item = T::default();
        let (taken, closed) = {
            let mut inbox = self.inbox.lock();
            (take(&mut inbox, &mut item, &mut wakes), inbox.is_closed())
        };
        wakes.fire();
        taken.unwrap_or(Err(if closed { RecvError::Closed } else { RecvError::Empty }))?;
        Ok(item)
    }

    /// Waits for a message. Cancel-safe: the message is taken in the very step that makes the
    /// future ready.
    #[inline]
    pub(crate) fn recv<T: Default, F: Take<T>>(&self, take: F) -> Receiving<'_, T, F> {
        Receiving { core: self, take, slot: Slot::default(), item: PhantomData }
    }

    /// Takes up to `max` under one lock, and waits only for the first.
    pub(crate) async fn recv_many<T: Default>(
        &self,
        into: &mut Vec<T>,
        max: usize,
        mut take: impl Take<T>,
    ) -> Result<usize, RecvError> {
        if max == 0 {
            return Ok(0);
        }
        let mut waiter = Receiver { core: self, slot: Slot::default() };
        let several = |inbox: &mut Inbox, count: &mut usize, wakes: &mut Wakes| {
            loop {
                let mut item = T::default();
                match take(inbox, &mut item, wakes) {
                    Some(Ok(())) => {
                        into.push(item);
                        *count += 1;
                    }
                    None if *count == 0 => return None,
                    Some(Err(error)) if *count == 0 => return Some(Err(error)),
                    // An error shows again at the next call.
                    _ => return Some(Ok(())),
                }
                if *count == max {
                    return Some(Ok(()));
                }
            }
        };
        let mut several = several;
        std::future::poll_fn(|cx| self.poll_recv(cx, &mut waiter.slot, &mut several)).await
    }

    /// Looks, and queues up where there is nothing.
    #[inline]
    pub(crate) fn poll_recv<T: Default>(
        &self,
        cx: &Context<'_>,
        slot: &mut Slot,
        take: &mut impl Take<T>,
    ) -> Poll<Result<T, RecvError>> {
        let mut item = T::default();
        let mut wakes = Wakes::new();
        let taken = {
            let mut inbox = self.inbox.lock();
            if inbox.turn_is_over() {
                wakes.push(cx.waker().clone());
                None
            } else {
                let taken = match take(&mut inbox, &mut item, &mut wakes) {
                    None if inbox.is_closed() => Some(Err(RecvError::Closed)),
                    taken => taken,
                };
                match taken {
                    Some(_) => inbox.done(slot),
                    None => inbox.wait(slot, cx.waker()),
                }
                taken
            }
        };
        wakes.fire();
        match taken {
            Some(Ok(())) => Poll::Ready(Ok(item)),
            Some(Err(error)) => Poll::Ready(Err(error)),
            None => Poll::Pending,
        }
    }

    /// The peer whose subscription the application received last, unless it has published since.
    pub(crate) fn newest_subscriber(&self) -> Option<PeerKey> {
        match *self.turn.lock() {
            Turn::Subscriber(peer) => Some(peer),
            _ => None,
        }
    }

    /// Drops what is unread: replies that nobody waits for any more.
    pub(crate) fn drop_unread(&self) {
        let mut wakes = Wakes::new();
        let dropped = self.inbox.lock().clear(&mut wakes);
        wakes.fire();
        Tally::count(&self.tally.unexpected, dropped);
    }

    /// Has all receivers look again, at something other than a message.
    pub(super) fn wake_receivers(&self) {
        let mut wakes = Wakes::new();
        self.inbox.lock().wake_all(&mut wakes);
        wakes.fire();
    }

    /// Gives a receiver's place up.
    #[inline]
    pub(crate) fn forget_receiver(&self, slot: &mut Slot) {
        if slot.is_taken() {
            let mut wakes = Wakes::new();
            self.inbox.lock().forget(slot, &mut wakes);
            wakes.fire();
        }
    }
}

/// Takes the next message of any peer.
#[inline]
pub(crate) fn next_message(
    inbox: &mut Inbox,
    message: &mut Message,
    wakes: &mut Wakes,
) -> Option<Result<(), RecvError>> {
    // Only a ROUTER announces its peers, and it does not come this way.
    inbox.pop(message, wakes).map(|_| Ok(()))
}

/// Gives its place up when the future is dropped.
struct Sender<'a> {
    core: &'a Core,
    slot: Slot,
}

impl Drop for Sender<'_> {
    fn drop(&mut self) {
        self.core.forget_sender(&mut self.slot);
    }
}

/// Gives its place up when the future is dropped.
struct Receiver<'a> {
    core: &'a Core,
    slot: Slot,
}

impl Drop for Receiver<'_> {
    fn drop(&mut self) {
        self.core.forget_receiver(&mut self.slot);
    }
}

/// A message on its way into the outbox. Hand-written, because the message would be moved several
/// times more in an `async fn`.
#[must_use = "futures do nothing unless awaited"]
pub(crate) struct Sending<'a, F> {
    core: &'a Core,
    message: Message,
    offer: F,
    slot: Slot,
}

impl<F: Offer + Unpin> Future for Sending<'_, F> {
    type Output = Result<(), SendError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { core, message, offer, slot } = self.get_mut();
        core.poll_send(cx, slot, message, offer)
    }
}

impl<F> Drop for Sending<'_, F> {
    #[inline]
    fn drop(&mut self) {
        self.core.forget_sender(&mut self.slot);
    }
}

/// Somebody waiting for a message.
#[must_use = "futures do nothing unless awaited"]
pub(crate) struct Receiving<'a, T, F> {
    core: &'a Core,
    take: F,
    slot: Slot,
    item: PhantomData<fn() -> T>,
}

impl<T: Default, F: Take<T> + Unpin> Future for Receiving<'_, T, F> {
    type Output = Result<T, RecvError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { core, take, slot, .. } = self.get_mut();
        core.poll_recv(cx, slot, take)
    }
}

impl<T, F> Drop for Receiving<'_, T, F> {
    #[inline]
    fn drop(&mut self) {
        self.core.forget_receiver(&mut self.slot);
    }
}

const fn is_lockstep(kind: SocketType) -> bool {
    matches!(kind, SocketType::Req | SocketType::Rep)
}

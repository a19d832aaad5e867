//! What all socket types share: the two boxes, and waiting for them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use slotmap::SecondaryMap;
use tokio_util::task::TaskTracker;

use super::endpoints::Endpoints;
use super::peers::PeerEntry;
use crate::error::{RecvError, SendError, SendErrorKind, SocketClosed};
use crate::message::{Frame, Message};
use crate::monitor::Events;
use crate::options::Options;
use crate::pipe::{Filter, Inbox, Outbox, PeerKey, Popped, Refusal, Slot, Wakes};
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
    /// REQ: this peer has the request, and marks its reply with this number if it has one. If the
    /// peer is lost, only a reply that is there already can still be received.
    AwaitReply { peer: PeerKey, number: Option<[u8; 4]>, lost: bool },
    /// REP: the reply goes to this peer, behind this envelope.
    MustReply { peer: PeerKey, envelope: Vec<Frame> },
    /// XPUB: whose subscription was received last (B5.13).
    Subscriber(PeerKey),
}

/// What is counted outside the boxes' locks.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) reconnects: AtomicU64,
    pub(crate) unexpected: AtomicU64,
    pub(crate) refused: AtomicU64,
    /// Reported by `close`.
    pub(crate) undelivered: AtomicUsize,
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

/// The outcome of offering a message to an [`Outbox`].
pub(crate) type Offered = Result<(), (Refusal, Message)>;

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
        let filter = (kind == SocketType::Sub).then(|| Filter::new(&pattern.topics, pattern.invert_matching));
        Arc::new(Self {
            kind,
            outbox: Shared::new(Mutex::new(Outbox::new(route, options.turn()))),
            inbox: Shared::new(Mutex::new(Inbox::new(pattern.announce, filter))),
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

    /// Offers `message` once. A task that has had its turn is not turned away: it asked not to wait.
    #[inline]
    pub(crate) fn try_send(
        &self,
        message: Message,
        offer: impl Fn(&mut Outbox, Message, &mut Wakes) -> Offered,
    ) -> Result<(), SendError> {
        let mut wakes = Wakes::new();
        let offered = {
            let mut outbox = self.outbox.lock();
            match offer(&mut outbox, message, &mut wakes) {
                Err((Refusal::Yield, message)) => offer(&mut outbox, message, &mut wakes),
                offered => offered,
            }
        };
        wakes.fire();
        offered.or_else(|(refusal, message)| self.refused(refusal, message))
    }

    /// Offers `message` until it is accepted, waiting for room or for a peer. Cancel-safe: the
    /// message is accepted in the very step that makes the future ready.
    #[inline]
    pub(crate) async fn send(
        &self,
        message: Message,
        offer: impl Fn(&mut Outbox, Message, &mut Wakes) -> Offered,
    ) -> Result<(), SendError> {
        let mut wakes = Wakes::new();
        let offered = offer(&mut self.outbox.lock(), message, &mut wakes);
        wakes.fire();
        match offered {
            Ok(()) => Ok(()),
            Err((Refusal::Full | Refusal::NoPeer | Refusal::Yield, message)) => {
                self.send_slow(message, offer).await
            }
            Err((refusal, message)) => self.refused(refusal, message),
        }
    }

    /// A message that the outbox will not take: an error, unless it is an XSUB's subscription.
    #[cold]
    fn refused(&self, refusal: Refusal, message: Message) -> Result<(), SendError> {
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

    #[cold]
    async fn send_slow(
        &self,
        message: Message,
        offer: impl Fn(&mut Outbox, Message, &mut Wakes) -> Offered,
    ) -> Result<(), SendError> {
        let mut waiter = Sender { core: self, slot: Slot::default() };
        let mut waiting = message;
        // The task is here because it has had its turn, or because there is no room. Either way
        // the others run first.
        tokio::task::yield_now().await;
        std::future::poll_fn(|cx| self.poll_send(cx, &mut waiter.slot, &mut waiting, &offer)).await
    }

    /// Offers the message in `waiting`, which stays there while there is no room.
    pub(crate) fn poll_send(
        &self,
        cx: &Context<'_>,
        slot: &mut Slot,
        waiting: &mut Message,
        offer: impl Fn(&mut Outbox, Message, &mut Wakes) -> Offered,
    ) -> Poll<Result<(), SendError>> {
        let mut one = VecDeque::from([std::mem::take(waiting)]);
        let polled = self.poll_send_many(cx, slot, &mut one, offer);
        if let Some(message) = one.pop_front() {
            *waiting = message;
        }
        polled
    }

    /// Offers messages from the front of `messages`, as many as there is room for under one lock.
    /// Cancel-safe: what was not accepted stays in `messages`.
    pub(crate) async fn send_many(
        &self,
        messages: &mut VecDeque<Message>,
        offer: impl Fn(&mut Outbox, Message, &mut Wakes) -> Offered,
    ) -> Result<(), SendError> {
        let mut waiter = Sender { core: self, slot: Slot::default() };
        std::future::poll_fn(|cx| self.poll_send_many(cx, &mut waiter.slot, messages, &offer)).await
    }

    fn poll_send_many(
        &self,
        cx: &Context<'_>,
        slot: &mut Slot,
        messages: &mut VecDeque<Message>,
        offer: impl Fn(&mut Outbox, Message, &mut Wakes) -> Offered,
    ) -> Poll<Result<(), SendError>> {
        let mut wakes = Wakes::new();
        let mut failed = None;
        let polled = {
            let mut outbox = self.outbox.lock();
            loop {
                let Some(message) = messages.pop_front() else {
                    outbox.senders.done(slot);
                    break Poll::Ready(Ok(()));
                };
                let Err((refusal, message)) = offer(&mut outbox, message, &mut wakes) else { continue };
                if outbox.wait_or_fail(refusal, slot, cx.waker(), &mut wakes) {
                    messages.push_front(message);
                    break Poll::Pending;
                }
                failed = Some((refusal, message));
                break Poll::Ready(Ok(()));
            }
        };
        wakes.fire();
        match failed {
            Some((refusal, message)) => match self.refused(refusal, message) {
                Ok(()) if !messages.is_empty() => self.poll_send_many(cx, slot, messages, offer),
                result => Poll::Ready(result),
            },
            None => polled,
        }
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
    pub(crate) fn forget_sender(&self, slot: &mut Slot) {
        if slot.is_taken() {
            let mut wakes = Wakes::new();
            self.outbox.lock().senders.forget(slot, &mut wakes);
            wakes.fire();
        }
    }

    /// Looks once. `take` says `None` where there is nothing for it.
    #[inline]
    pub(crate) fn try_recv<T>(
        &self,
        mut take: impl FnMut(&mut Inbox, &mut Wakes) -> Option<Result<T, RecvError>>,
    ) -> Result<T, RecvError> {
        let mut wakes = Wakes::new();
        let (taken, closed) = {
            let mut inbox = self.inbox.lock();
            (take(&mut inbox, &mut wakes), inbox.is_closed())
        };
        wakes.fire();
        taken.unwrap_or(Err(if closed { RecvError::Closed } else { RecvError::Empty }))
    }

    /// Waits for a message. Cancel-safe: the message is taken in the very step that makes the
    /// future ready.
    #[inline]
    pub(crate) async fn recv<T>(
        &self,
        mut take: impl FnMut(&mut Inbox, &mut Wakes) -> Option<Result<T, RecvError>>,
    ) -> Result<T, RecvError> {
        let mut wakes = Wakes::new();
        let (over, taken) = {
            let mut inbox = self.inbox.lock();
            let over = inbox.turn_is_over();
            (over, if over { None } else { take(&mut inbox, &mut wakes) })
        };
        wakes.fire();
        match taken {
            Some(result) => result,
            None => self.recv_slow(over, take).await,
        }
    }

    #[cold]
    async fn recv_slow<T>(
        &self,
        yield_first: bool,
        mut take: impl FnMut(&mut Inbox, &mut Wakes) -> Option<Result<T, RecvError>>,
    ) -> Result<T, RecvError> {
        if yield_first {
            tokio::task::yield_now().await;
        }
        let mut waiter = Receiver { core: self, slot: Slot::default() };
        std::future::poll_fn(|cx| self.poll_recv(cx, &mut waiter.slot, &mut take)).await
    }

    /// Takes up to `max` under one lock, and waits only for the first.
    pub(crate) async fn recv_many<T>(
        &self,
        into: &mut Vec<T>,
        max: usize,
        mut take: impl FnMut(&mut Inbox, &mut Wakes) -> Option<Result<T, RecvError>>,
    ) -> Result<usize, RecvError> {
        if max == 0 {
            return Ok(0);
        }
        self.recv(|inbox, wakes| {
            let before = into.len();
            into.push(match take(inbox, wakes)? {
                Ok(first) => first,
                Err(error) => return Some(Err(error)),
            });
            while into.len() - before < max
                && let Some(Ok(next)) = take(inbox, wakes)
            {
                into.push(next);
            }
            Some(Ok(into.len() - before))
        })
        .await
    }

    /// Looks, and queues up where there is nothing.
    pub(crate) fn poll_recv<T>(
        &self,
        cx: &Context<'_>,
        slot: &mut Slot,
        mut take: impl FnMut(&mut Inbox, &mut Wakes) -> Option<Result<T, RecvError>>,
    ) -> Poll<Result<T, RecvError>> {
        let mut wakes = Wakes::new();
        let polled = {
            let mut inbox = self.inbox.lock();
            let taken = take(&mut inbox, &mut wakes);
            match taken {
                Some(result) => {
                    inbox.done(slot);
                    Poll::Ready(result)
                }
                None if inbox.is_closed() => {
                    inbox.done(slot);
                    Poll::Ready(Err(RecvError::Closed))
                }
                None => {
                    inbox.wait(slot, cx.waker());
                    Poll::Pending
                }
            }
        };
        wakes.fire();
        polled
    }

    /// Drops what is unread: replies that nobody waits for any more.
    pub(crate) fn drop_unread(&self) {
        let mut wakes = Wakes::new();
        let dropped = self.inbox.lock().clear(&mut wakes);
        wakes.fire();
        Tally::count(&self.tally.unexpected, dropped);
    }

    /// Gives a receiver's place up.
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
pub(crate) fn next_message(inbox: &mut Inbox, wakes: &mut Wakes) -> Option<Result<Message, RecvError>> {
    match inbox.pop(wakes)? {
        Popped::Message(_, message) => Some(Ok(message)),
        // Only a ROUTER announces its peers, and it does not come this way.
        Popped::Arrived(..) | Popped::Gone(..) => None,
    }
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

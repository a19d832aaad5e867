//! Sending: a message is offered to the outbox until it is accepted.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use super::{Core, Tally};
use crate::error::{SendError, SendErrorKind, SocketClosed};
use crate::message::Message;
use crate::pipe::{Copies, Deferred, Outbox, Refusal, STEP, Slot};

/// The step that offers a message to an [`Outbox`]; one that is refused stays where it is.
pub(crate) trait Offer {
    /// REQ: with the message, all that is unread is dropped. What came before a request is no reply to it (B1.4), and
    /// what comes after it may be.
    const CLEARS_INBOX: bool = false;

    /// PUB and its like: a message may have more copies than are made under one hold of the lock.
    const FANS_OUT: bool = false;

    fn offer(&self, outbox: &mut Outbox, message: &mut Message, later: &mut Deferred) -> Result<(), Refusal>;
}

impl<F: Fn(&mut Outbox, &mut Message, &mut Deferred) -> Result<(), Refusal>> Offer for F {
    #[inline]
    fn offer(&self, outbox: &mut Outbox, message: &mut Message, later: &mut Deferred) -> Result<(), Refusal> {
        self(outbox, message, later)
    }
}

/// The step of a type that sends copies.
pub(crate) struct FanOut<F>(pub(crate) F);

impl<F: Fn(&mut Outbox, &mut Message, &mut Deferred) -> Result<(), Refusal>> Offer for FanOut<F> {
    const FANS_OUT: bool = true;

    #[inline]
    fn offer(&self, outbox: &mut Outbox, message: &mut Message, later: &mut Deferred) -> Result<(), Refusal> {
        (self.0)(outbox, message, later)
    }
}

/// The step of a type that needs nothing but its socket.
#[inline]
pub(crate) fn step<'a>(
    core: &'a Core,
    offer: impl Fn(&Core, &mut Outbox, &mut Message, &mut Deferred) -> Result<(), Refusal> + 'a,
) -> impl Fn(&mut Outbox, &mut Message, &mut Deferred) -> Result<(), Refusal> + 'a {
    move |outbox: &mut Outbox, message: &mut Message, later: &mut Deferred| {
        offer(core, outbox, message, later)
    }
}

impl Core {
    /// Offers a message under the locks that it takes, and says what `with` makes of the answer.
    #[inline]
    fn offer<F: Offer, T>(
        &self,
        offer: &F,
        message: &mut Message,
        with: impl FnOnce(&mut Outbox, Result<(), Refusal>, &mut Deferred) -> T,
    ) -> T {
        let mut later = Deferred::new();
        let mut inbox = F::CLEARS_INBOX.then(|| self.inbox.lock());
        let said = {
            let mut outbox = self.outbox.lock();
            let offered = offer.offer(&mut outbox, message, &mut later);
            if offered.is_ok()
                && let Some(inbox) = &mut inbox
            {
                Tally::count(&self.tally.unexpected, inbox.clear(&mut later));
            }
            with(&mut outbox, offered, &mut later)
        };
        drop(inbox);
        let copies = if F::FANS_OUT { later.take_copies() } else { None };
        later.run();
        if let Some(copies) = copies {
            self.finish(copies, message);
        }
        said
    }

    /// Makes the copies that are left, under several holds of the lock.
    #[cold]
    pub(super) fn finish(&self, mut copies: Box<Copies>, message: &Message) {
        loop {
            let mut later = Deferred::new();
            let more = self.outbox.lock().copy_on(&mut copies, message, &mut later);
            later.run();
            if !more {
                return;
            }
        }
    }

    /// Offers `message` once.
    pub(crate) fn offer_once(&self, message: &mut Message, offer: &impl Offer) -> Result<(), Refusal> {
        self.offer(offer, message, |_, offered, _| offered)
    }

    /// Offers `message` once. A task that has had its turn is not turned away: it asked not to wait.
    #[inline]
    pub(crate) fn try_send(&self, mut message: Message, offer: impl Offer) -> Result<(), SendError> {
        let mut offered = self.offer_once(&mut message, &offer);
        if offered == Err(Refusal::Yield) {
            offered = self.offer_once(&mut message, &offer);
        }
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
    pub(crate) fn refused(&self, refusal: Refusal, message: Message) -> Result<(), SendError> {
        let kind = match refusal {
            Refusal::Subscription => {
                self.forward(&message);
                return Ok(());
            }
            Refusal::Full | Refusal::PeerFull(_) | Refusal::Yield => SendErrorKind::Full,
            Refusal::NoPeer => SendErrorKind::NoPeer,
            Refusal::Unroutable => SendErrorKind::Unroutable,
            Refusal::OutOfTurn => SendErrorKind::OutOfTurn,
            Refusal::Closed if self.runtime_ended.load(Ordering::Acquire) => SendErrorKind::RuntimeEnded,
            Refusal::Closed => SendErrorKind::Closed,
        };
        Err(SendError::new(kind, message))
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
        let refused = self.offer(offer, waiting, |outbox, offered, later| match offered {
            Ok(()) => {
                outbox.senders.done(slot, later);
                None
            }
            Err(refusal) => Some((refusal, outbox.wait(refusal, slot, cx.waker(), later))),
        });
        match refused {
            None => Poll::Ready(Ok(())),
            Some((_, true)) => Poll::Pending,
            Some((refusal, false)) => Poll::Ready(self.refused(refusal, std::mem::take(waiting))),
        }
    }

    /// Offers messages from the front of `messages`, as many as there is room for, several under one lock.
    /// Cancel-safe: what was not accepted stays in `messages`.
    pub(crate) async fn send_many(
        &self,
        messages: &mut VecDeque<Message>,
        offer: impl Offer,
    ) -> Result<(), SendError> {
        let mut waiter = Sender { core: self, slot: Slot::default() };
        while !messages.is_empty() {
            std::future::poll_fn(|cx| {
                if self.offer_some(messages, &offer) == Err(Refusal::Yield) {
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

    /// Offers messages up to the one that is refused, which then takes the ordinary way.
    fn offer_some<F: Offer>(&self, messages: &mut VecDeque<Message>, offer: &F) -> Result<(), Refusal> {
        // What REQ drops with a message is dropped by the ordinary way only.
        while !F::CLEARS_INBOX && !messages.is_empty() {
            let mut later = Deferred::new();
            let mut sent = 0;
            let offered = {
                let mut outbox = self.outbox.lock();
                let copies = outbox.copies();
                let mut offered = Ok(());
                for message in messages.iter_mut().take(STEP) {
                    offered = offer.offer(&mut outbox, message, &mut later);
                    sent += usize::from(offered.is_ok());
                    if offered.is_err() || (F::FANS_OUT && outbox.copies().wrapping_sub(copies) >= STEP) {
                        break;
                    }
                }
                offered
            };
            let copies = later.take_copies();
            later.run();
            if let (Some(copies), Some(message)) = (copies, messages.get(sent.wrapping_sub(1))) {
                self.finish(copies, message);
            }
            drop(messages.drain(..sent));
            offered?;
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
        let mut later = Deferred::new();
        let polled = {
            let mut outbox = self.outbox.lock();
            let polled = if outbox.is_closed() {
                Poll::Ready(Err(SocketClosed))
            } else if ready(&outbox) {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            };
            match polled {
                Poll::Ready(_) => outbox.senders.done(slot, &mut later),
                Poll::Pending => outbox.senders.wait(slot, None, cx.waker(), &mut later),
            }
            polled
        };
        later.run();
        polled
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
            let mut later = Deferred::new();
            self.outbox.lock().senders.forget(slot, &mut later);
            later.run();
        }
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

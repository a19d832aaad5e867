//! Receiving: the next message is taken from the inbox, or waited for.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use super::{Conversation, Core, RawReceive};
use crate::error::RecvError;
use crate::message::Message;
use crate::pipe::{Deferred, Inbox, Popped, STEP, Slot};
use crate::routing::PeerKey;

/// What a [`Take`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Something, put where the caller wanted it.
    Item,
    Nothing,
    /// Only what is not for the caller, so far: look again, under the lock's next hold.
    Unwanted,
    Failed(RecvError),
}

/// The step that takes something from an [`Inbox`]. It fills in what it is given: a message is too large to be handed up
/// by value from step to step.
pub(crate) trait Take<T>: FnMut(&mut Inbox, &mut T, &mut Deferred) -> Taken {}

impl<T, F: FnMut(&mut Inbox, &mut T, &mut Deferred) -> Taken> Take<T> for F {}

impl Core {
    /// Looks once.
    #[inline]
    pub(crate) fn try_recv<T: Default>(&self, mut take: impl Take<T>) -> Result<T, RecvError> {
        let mut item = T::default();
        loop {
            let mut later = Deferred::new();
            let taken = {
                let mut inbox = self.inbox.lock();
                match take(&mut inbox, &mut item, &mut later) {
                    Taken::Nothing if inbox.is_closed() => Taken::Failed(RecvError::Closed),
                    taken => taken,
                }
            };
            later.run();
            match taken {
                Taken::Item => return Ok(item),
                Taken::Nothing => return Err(RecvError::Empty),
                Taken::Failed(error) => return Err(self.failed(error)),
                Taken::Unwanted => {}
            }
        }
    }

    /// Waits for a message. Cancel-safe: the message is taken in the very step that makes the
    /// future ready.
    #[inline]
    pub(crate) fn recv<T: Default, F: Take<T>>(&self, take: F) -> Receiving<'_, T, F> {
        Receiving { core: self, take, slot: Slot::default(), item: PhantomData }
    }

    /// Takes up to `max`, several under one lock, and waits only for the first.
    pub(crate) async fn recv_many<T: Default>(
        &self,
        into: &mut Vec<T>,
        max: usize,
        mut take: impl Take<T>,
    ) -> Result<usize, RecvError> {
        let before = into.len();
        while into.len() - before < max {
            let most = STEP.min(max - (into.len() - before));
            // Room for them is made before the lock is taken.
            into.reserve(most.min(into.len() - before + 1));
            let (first, spare) = (into.len() == before, into.capacity() - into.len());
            let several = |inbox: &mut Inbox, more: &mut bool, later: &mut Deferred| {
                let most = most.min(spare);
                take_several(into, most, more, |item| take(inbox, item, later))
            };
            let more = if first {
                self.recv(several).await?
            } else {
                match self.try_recv(several) {
                    Ok(more) => more,
                    // An error shows again at the next call.
                    Err(_) => break,
                }
            };
            if !more {
                break;
            }
        }
        Ok(into.len() - before)
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
        let mut later = Deferred::new();
        let taken = {
            let mut inbox = self.inbox.lock();
            if inbox.turn_is_over() {
                Taken::Unwanted
            } else {
                let taken = match take(&mut inbox, &mut item, &mut later) {
                    Taken::Nothing if inbox.is_closed() => Taken::Failed(RecvError::Closed),
                    taken => taken,
                };
                match taken {
                    Taken::Nothing => inbox.wait(slot, cx.waker(), &mut later),
                    Taken::Item | Taken::Failed(_) => inbox.done(slot, &mut later),
                    Taken::Unwanted => {}
                }
                taken
            }
        };
        later.run();
        match taken {
            Taken::Item => Poll::Ready(Ok(item)),
            Taken::Failed(error) => Poll::Ready(Err(self.failed(error))),
            Taken::Nothing => Poll::Pending,
            Taken::Unwanted => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    /// Waits until somebody who receives would not have to wait. Cancel-safe: what it looks at stays where it is.
    pub(crate) async fn recv_ready(&self) -> Result<(), RecvError> {
        let mut waiter = Receiver { core: self, slot: Slot::bystander() };
        let mut look = |inbox: &mut Inbox, (): &mut (), later: &mut Deferred| self.look(inbox, later);
        std::future::poll_fn(|cx| self.poll_recv(cx, &mut waiter.slot, &mut look)).await
    }

    /// Takes a message, and puts it back at once.
    fn look(&self, inbox: &mut Inbox, later: &mut Deferred) -> Taken {
        let Some(receive) = &self.pattern.receive else { return Taken::Nothing };
        let conversation = self.conversation.lock().clone();
        // To a REP that has to reply it would be said at once.
        if matches!(conversation, Conversation::MustReply { .. }) {
            return Taken::Item;
        }
        // What is told of peers cannot be put back.
        if self.specific.announce {
            return if inbox.has_next(later) { Taken::Item } else { Taken::Nothing };
        }
        let mut item = (PeerKey::default(), Message::new());
        match (receive.take)(self, inbox, &mut item, later) {
            Taken::Item => {
                (receive.put_back)(self, inbox, item.0, item.1, later);
                *self.conversation.lock() = conversation;
                Taken::Item
            }
            Taken::Failed(error) if error != RecvError::Closed => Taken::Item,
            taken => taken,
        }
    }

    /// Puts back a message that was received as by one who does not know the type.
    pub(crate) fn put_back(&self, receive: &RawReceive, from: PeerKey, message: Message) {
        let mut later = Deferred::new();
        (receive.put_back)(self, &mut self.inbox.lock(), from, message, &mut later);
        later.run();
    }

    /// Why it is closed, if it is.
    fn failed(&self, error: RecvError) -> RecvError {
        let ended = error == RecvError::Closed && self.runtime_ended.load(Ordering::Acquire);
        if ended { RecvError::RuntimeEnded } else { error }
    }

    /// Gives a receiver's place up.
    #[inline]
    pub(crate) fn forget_receiver(&self, slot: &mut Slot) {
        if slot.is_taken() {
            let mut later = Deferred::new();
            self.inbox.lock().forget(slot, &mut later);
            later.run();
        }
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

/// Takes at most `most` items, which `into` has room for; says in `more` whether that was what ended it.
fn take_several<T: Default>(
    into: &mut Vec<T>,
    most: usize,
    more: &mut bool,
    mut take: impl FnMut(&mut T) -> Taken,
) -> Taken {
    for count in 0..most {
        let mut item = T::default();
        match take(&mut item) {
            Taken::Item => into.push(item),
            Taken::Unwanted if count > 0 => break,
            // An error shows again at the next call.
            Taken::Nothing | Taken::Failed(_) if count > 0 => return Taken::Item,
            other => return other,
        }
    }
    *more = true;
    Taken::Item
}

/// Takes the next message of any peer.
#[inline]
pub(crate) fn next_message(inbox: &mut Inbox, message: &mut Message, later: &mut Deferred) -> Taken {
    match inbox.pop(message, later) {
        None => Taken::Nothing,
        Some(Popped::Filtered) => Taken::Unwanted,
        // Only a ROUTER announces its peers, and it does not come this way.
        Some(_) => Taken::Item,
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

//! Models of the pipes: every interleaving (up to a number of preemptions) of the tasks that meet in
//! them, on the very source that runs in production.
//!
//! `RUSTFLAGS="--cfg sinew_loom" cargo test --release --lib loom`
//!
//! A lost wake-up shows as a deadlock, a lost or doubled message as a failed assertion.

mod inbox;
mod inproc;
mod outbox;

use ::loom::future::block_on;
use ::loom::model::Builder;
use slotmap::SlotMap;
use std::task::{Context, Poll};
use tokio::time::Instant;

use crate::message::Message;
use crate::pipe::{Deferred, Fetched, Hwm, InPipe, Inbox, OutPipe, Outbox, Popped, Refusal, Slot, WireBuf};
use crate::routing::{PeerKey, Rotation, Route};
use crate::sync::{Arc, Mutex};

type SharedOut = Arc<Mutex<Outbox>>;
type SharedIn = Arc<Mutex<Inbox>>;

/// Sends without yielding; the turn is not what is modelled.
const TURN: usize = 1_000;

/// Explores all interleavings with at most `preemptions` switches that nobody asked for.
fn model(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(body);
}

fn out(route: Route, hwm: usize) -> SharedOut {
    Arc::new(Mutex::new(Outbox::new(route, Hwm::new(hwm, 0), TURN)))
}

fn balance(hwm: usize) -> SharedOut {
    out(Route::Balance(Rotation::default()), hwm)
}

fn add(outbox: &SharedOut, pipe: OutPipe) -> PeerKey {
    let mut later = Deferred::new();
    let key = outbox.lock().attach(pipe, &mut later);
    later.run();
    key
}

fn wire(outbox: &SharedOut) -> PeerKey {
    add(outbox, OutPipe::wire(false))
}

fn message(number: u8) -> Message {
    Message::from(&[number])
}

fn number(message: &Message) -> u8 {
    message.first()[0]
}

/// A sender as `Core::send` is one: it offers, waits, and gives its place up when it is dropped.
struct Sending {
    outbox: SharedOut,
    to: Option<PeerKey>,
    message: Message,
    slot: Slot,
}

impl Sending {
    fn new(outbox: &SharedOut, number: u8) -> Self {
        Self { outbox: outbox.clone(), to: None, message: message(number), slot: Slot::default() }
    }

    fn to(mut self, peer: PeerKey) -> Self {
        self.to = Some(peer);
        self
    }
}

impl Future for Sending {
    type Output = Result<(), Refusal>;

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut later = Deferred::new();
        let polled = {
            let mut outbox = this.outbox.lock();
            let message = &mut this.message;
            let offered = match this.to {
                None => outbox.balance(&[], message, &mut later).map(drop),
                // As a ROUTER with `mandatory` does.
                Some(peer) => outbox.send_to(peer, &[], message, &mut later).map_err(|refusal| {
                    if refusal == Refusal::NoPeer { Refusal::Unroutable } else { refusal }
                }),
            };
            match offered {
                Ok(()) => {
                    outbox.senders.done(&mut this.slot, &mut later);
                    Poll::Ready(Ok(()))
                }
                Err(refusal) if outbox.wait(refusal, &mut this.slot, cx.waker(), &mut later) => Poll::Pending,
                Err(refusal) => Poll::Ready(Err(refusal)),
            }
        };
        later.run();
        polled
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if self.slot.is_taken() {
            let mut later = Deferred::new();
            self.outbox.lock().senders.forget(&mut self.slot, &mut later);
            later.run();
        }
    }
}

/// A receiver as `Core::recv` is one; `None` when the inbox is closed.
struct Receiving {
    inbox: SharedIn,
    slot: Slot,
}

impl Receiving {
    fn new(inbox: &SharedIn) -> Self {
        Self { inbox: inbox.clone(), slot: Slot::default() }
    }
}

impl Future for Receiving {
    type Output = Option<u8>;

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut later = Deferred::new();
        let polled = {
            let mut inbox = this.inbox.lock();
            let mut message = Message::new();
            match inbox.pop(&mut message, &mut later) {
                Some(Popped::Message(_)) => {
                    inbox.done(&mut this.slot, &mut later);
                    Poll::Ready(Some(number(&message)))
                }
                Some(other) => panic!("{other:?}"),
                None if inbox.is_closed() => {
                    inbox.done(&mut this.slot, &mut later);
                    Poll::Ready(None)
                }
                None => {
                    inbox.wait(&mut this.slot, cx.waker(), &mut later);
                    Poll::Pending
                }
            }
        };
        later.run();
        polled
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        if self.slot.is_taken() {
            let mut later = Deferred::new();
            self.inbox.lock().forget(&mut self.slot, &mut later);
            later.run();
        }
    }
}

/// Polls once, then drops the future, wherever its wake-up is by then.
fn poll_once_and_drop<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    block_on(std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    }))
}

/// The connection task of `key`: takes and "writes" until the pipe is finished or `limit` messages are
/// written; gives back what was written.
struct Connection {
    outbox: SharedOut,
    key: PeerKey,
    wire: WireBuf,
}

impl Connection {
    fn new(outbox: &SharedOut, key: PeerKey) -> Self {
        Self { outbox: outbox.clone(), key, wire: WireBuf::default() }
    }

    /// What the pipe says was written.
    fn total(&self) -> usize {
        self.outbox.lock().pipes.get(self.key).map_or(0, |pipe| usize::try_from(pipe.sent).unwrap())
    }

    /// One turn, as `Session::write`: ready when the pipe is finished, or after `limit` messages.
    fn poll(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<usize> {
        loop {
            let mut later = Deferred::new();
            let (fetched, _) = {
                let mut outbox = self.outbox.lock();
                let written = self.wire.drain(&mut later);
                outbox.credit(self.key, written, &mut later);
                outbox.fetch(self.key, &mut self.wire, None, cx.waker())
            };
            later.run();
            match fetched {
                Fetched::Finished => return Poll::Ready(self.total()),
                Fetched::Nothing if self.total() >= limit => return Poll::Ready(self.total()),
                Fetched::Nothing => return Poll::Pending,
                Fetched::Something => {}
            }
        }
    }

    fn run(mut self, limit: usize) -> usize {
        block_on(std::future::poll_fn(move |cx| self.poll(cx, limit)))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut later = Deferred::new();
        self.outbox.lock().abandon(self.key, &mut later);
        later.run();
    }
}

fn close(outbox: &SharedOut) {
    let mut later = Deferred::new();
    outbox.lock().close(Instant::now(), &mut later);
    later.run();
}

fn inbox(mark: Hwm) -> SharedIn {
    Arc::new(Mutex::new(Inbox::new(mark, false, None)))
}

fn keys<const N: usize>() -> [PeerKey; N] {
    let mut keys = SlotMap::<PeerKey, ()>::with_key();
    std::array::from_fn(|_| keys.insert(()))
}

fn inbound(inbox: &SharedIn, key: PeerKey) {
    inbox.lock().attach(key, InPipe::new(false));
}

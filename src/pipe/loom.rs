//! Models of the pipes: every interleaving (up to a number of preemptions) of the tasks that meet in
//! them, on the very source that runs in production.
//!
//! `RUSTFLAGS="--cfg sinew_loom" cargo test --release --lib loom`
//!
//! A lost wake-up shows as a deadlock, a lost or doubled message as a failed assertion.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, Waker};

use ::loom::future::block_on;
use ::loom::model::Builder;
use ::loom::thread;
use slotmap::SlotMap;
use tokio::time::Instant;

use super::{
    Hwm, InPipe, Inbox, Level, Medium, OutPipe, Outbox, PeerKey, Popped, Pull, Refusal, Slot, Taken, Wakes,
    Writer,
};
use crate::message::{Frame, Message};
use crate::proto::Received;
use crate::routing::{IdentityMap, Rotation, Route};
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
    Arc::new(Mutex::new(Outbox::new(route, Hwm::new(hwm, 0), TURN, false)))
}

fn balance(hwm: usize) -> SharedOut {
    out(Route::Balance(Rotation::default()), hwm)
}

/// As a REQ's.
fn lockstep() -> SharedOut {
    Arc::new(Mutex::new(Outbox::new(Route::Balance(Rotation::default()), Hwm::new(0, 0), TURN, true)))
}

fn add(outbox: &SharedOut, pipe: OutPipe) -> PeerKey {
    let mut wakes = Wakes::new();
    let key = outbox.lock().attach(pipe, &mut wakes);
    wakes.fire();
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
        let mut wakes = Wakes::new();
        let polled = {
            let mut outbox = this.outbox.lock();
            let message = &mut this.message;
            let offered = match this.to {
                None => outbox.balance(&[], message, &mut wakes).map(drop),
                // As a ROUTER with `mandatory` does.
                Some(peer) => outbox.send_to(peer, &[], message, &mut wakes).map_err(|refusal| {
                    if refusal == Refusal::NoPeer { Refusal::Unroutable } else { refusal }
                }),
            };
            match offered {
                Ok(()) => {
                    outbox.senders.done(&mut this.slot);
                    Poll::Ready(Ok(()))
                }
                Err(refusal) if outbox.wait(refusal, &mut this.slot, cx.waker(), &mut wakes) => Poll::Pending,
                Err(refusal) => Poll::Ready(Err(refusal)),
            }
        };
        wakes.fire();
        polled
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if self.slot.is_taken() {
            let mut wakes = Wakes::new();
            self.outbox.lock().senders.forget(&mut self.slot, &mut wakes);
            wakes.fire();
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
        let mut wakes = Wakes::new();
        let polled = {
            let mut inbox = this.inbox.lock();
            let mut message = Message::new();
            match inbox.pop(&mut message, &mut wakes) {
                Some(Popped::Message(_)) => {
                    inbox.done(&mut this.slot);
                    Poll::Ready(Some(number(&message)))
                }
                Some(other) => panic!("{other:?}"),
                None if inbox.is_closed() => {
                    inbox.done(&mut this.slot);
                    Poll::Ready(None)
                }
                None => {
                    inbox.wait(&mut this.slot, cx.waker());
                    Poll::Pending
                }
            }
        };
        wakes.fire();
        polled
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        if self.slot.is_taken() {
            let mut wakes = Wakes::new();
            self.inbox.lock().forget(&mut self.slot, &mut wakes);
            wakes.fire();
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

/// A kernel that takes everything.
#[derive(Debug)]
struct Sink;

impl Medium for Sink {
    fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(bufs.iter().map(|buf| buf.len()).sum())
    }
}

/// The connection task of `key`: takes and "writes" until the pipe is finished or `limit` messages are
/// written; gives back what was written.
struct Connection {
    outbox: SharedOut,
    key: PeerKey,
    held: Option<Box<Writer>>,
}

impl Connection {
    fn new(outbox: &SharedOut, key: PeerKey) -> Self {
        Writer::install(std::sync::Arc::new(Sink), outbox, key);
        Self { outbox: outbox.clone(), key, held: None }
    }

    /// What the pipe says was written.
    fn total(&self) -> usize {
        self.outbox.lock().pipes.get(self.key).map_or(0, |pipe| usize::try_from(pipe.sent).unwrap())
    }

    /// One turn, as `Session::write`: ready when the pipe is finished, or after `limit` messages.
    fn poll(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<usize> {
        loop {
            let mut wakes = Wakes::new();
            let taken = {
                let mut outbox = self.outbox.lock();
                if let Some(writer) = self.held.take() {
                    outbox.give_back(self.key, writer, &mut wakes);
                }
                outbox.take(self.key, false, &mut Vec::new(), cx.waker())
            };
            wakes.fire();
            match taken {
                Taken::Finished => return Poll::Ready(self.total()),
                Taken::Idle if self.total() >= limit => return Poll::Ready(self.total()),
                Taken::Idle => return Poll::Pending,
                Taken::Writer(mut writer) => {
                    writer.write().unwrap();
                    self.held = Some(writer);
                }
            }
        }
    }

    fn run(mut self, limit: usize) -> usize {
        block_on(std::future::poll_fn(move |cx| self.poll(cx, limit)))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.outbox.lock().abandon(self.key);
    }
}

fn close(outbox: &SharedOut) {
    let mut wakes = Wakes::new();
    outbox.lock().close(Instant::now(), &mut wakes);
    wakes.fire();
}

// The outbox, and the connection task.

#[test]
fn loom_m1_a_connection_task_that_goes_idle_hears_of_every_message() {
    model(3, || {
        let outbox = balance(0);
        let key = wire(&outbox);
        let writer = Connection::new(&outbox, key);
        let writer = thread::spawn(move || writer.run(2));
        let other = Sending::new(&outbox, 1);
        let other = thread::spawn(move || block_on(other));
        assert_eq!(block_on(Sending::new(&outbox, 2)), Ok(()));
        assert_eq!(other.join().unwrap(), Ok(()));
        assert_eq!(writer.join().unwrap(), 2);
        let outbox = outbox.lock();
        assert_eq!((outbox.queued(), outbox.counters.sent), (0, 2));
    });
}

#[test]
fn loom_in_lockstep_senders_and_the_connection_task_write_by_turns_and_leave_nothing() {
    model(3, || {
        let outbox = lockstep();
        let key = wire(&outbox);
        let writer = Connection::new(&outbox, key);
        let writer = thread::spawn(move || writer.run(usize::MAX));
        let other = Sending::new(&outbox, 1);
        let other = thread::spawn(move || block_on(other));
        assert_eq!(block_on(Sending::new(&outbox, 2)), Ok(()));
        assert_eq!(other.join().unwrap(), Ok(()));
        close(&outbox);
        assert_eq!(writer.join().unwrap(), 2);
        assert_eq!(outbox.lock().queued(), 0);
    });
}

#[test]
fn loom_a_connection_that_ends_waits_for_a_sender_who_writes() {
    model(3, || {
        let outbox = lockstep();
        let key = wire(&outbox);
        let mut writer = Connection::new(&outbox, key);
        // Idle, so that senders write.
        block_on(std::future::poll_fn(|cx| writer.poll(cx, 0)));
        let sender = Sending::new(&outbox, 1);
        let sender = thread::spawn(move || block_on(sender));
        let mut unwritten =
            block_on(std::future::poll_fn(|cx| match outbox.lock().disconnect(key, cx.waker()) {
                Some(unwritten) => Poll::Ready(unwritten),
                None => Poll::Pending,
            }));
        assert_eq!(sender.join().unwrap(), Ok(()));
        // Before it, or not at all: nothing is with the writer any more.
        assert_eq!(unwritten.drain().messages, 0);
        assert_eq!(writer.total() + outbox.lock().queued(), 1);
    });
}

#[test]
fn loom_m5_a_sender_at_the_high_water_mark_goes_on_when_the_consumer_credits() {
    for hwm in [1, 2] {
        model(3, move || {
            let outbox = balance(hwm);
            let key = wire(&outbox);
            let writer = Connection::new(&outbox, key);
            let writer = thread::spawn(move || writer.run(4));
            for number in 0..4 {
                assert_eq!(block_on(Sending::new(&outbox, number)), Ok(()));
                assert!(outbox.lock().queued() <= hwm);
            }
            assert_eq!(writer.join().unwrap(), 4);
        });
    }
}

#[test]
fn loom_two_senders_wait_for_a_pipe_of_one() {
    model(2, || {
        let outbox = balance(1);
        let key = wire(&outbox);
        assert_eq!(block_on(Sending::new(&outbox, 0)), Ok(()));
        let others = [1, 2].map(|number| {
            let sending = Sending::new(&outbox, number);
            thread::spawn(move || block_on(sending))
        });
        assert_eq!(Connection::new(&outbox, key).run(3), 3);
        for other in others {
            assert_eq!(other.join().unwrap(), Ok(()));
        }
    });
}

#[test]
fn loom_m10_a_cancelled_sender_passes_its_wake_up_on() {
    model(3, || {
        let outbox = balance(1);
        let key = wire(&outbox);
        assert_eq!(block_on(Sending::new(&outbox, 0)), Ok(()));
        let cancelled = Sending::new(&outbox, 1);
        let cancelled = thread::spawn(move || poll_once_and_drop(cancelled));
        let waiting = Sending::new(&outbox, 2);
        let waiting = thread::spawn(move || block_on(waiting));
        // One message, or two: a cancelled send that was not ready has sent nothing.
        let mut writer = Connection::new(&outbox, key);
        block_on(std::future::poll_fn(|cx| writer.poll(cx, 2).map(drop)));
        let sent = usize::from(cancelled.join().unwrap().is_some());
        assert_eq!(waiting.join().unwrap(), Ok(()));
        block_on(std::future::poll_fn(|cx| writer.poll(cx, 2 + sent).map(drop)));
        assert_eq!(writer.total(), 2 + sent);
        assert_eq!(outbox.lock().queued(), 0);
    });
}

#[test]
fn loom_one_who_waits_for_peers_does_not_take_a_senders_wake_up() {
    model(3, || {
        let outbox = balance(1);
        let key = wire(&outbox);
        assert_eq!(block_on(Sending::new(&outbox, 0)), Ok(()));
        // First in the queue, and never satisfied.
        let mut watcher = Slot::bystander();
        outbox.lock().senders.wait(&mut watcher, Waker::noop());
        let writer = Connection::new(&outbox, key);
        let writer = thread::spawn(move || writer.run(2));
        assert_eq!(block_on(Sending::new(&outbox, 1)), Ok(()));
        assert_eq!(writer.join().unwrap(), 2);
    });
}

#[test]
fn loom_m3_closing_ends_the_wait_and_finishes_the_pipe() {
    model(3, || {
        let outbox = balance(1);
        let key = wire(&outbox);
        let writer = Connection::new(&outbox, key);
        let writer = thread::spawn(move || writer.run(usize::MAX));
        let sender = outbox.clone();
        let sender = thread::spawn(move || {
            let results = [0, 1].map(|number| block_on(Sending::new(&sender, number)));
            results.iter().filter(|result| result.is_ok()).count()
        });
        close(&outbox);
        let sent = sender.join().unwrap();
        assert_eq!(writer.join().unwrap(), sent, "what was accepted is written before the pipe is finished");
    });
}

#[test]
fn loom_m4_a_peer_that_leaves_ends_the_wait_for_it() {
    model(3, || {
        let outbox = out(Route::Named(Box::new(IdentityMap::new(0))), 1);
        let key = wire(&outbox);
        assert_eq!(block_on(Sending::new(&outbox, 0).to(key)), Ok(()));
        let waiting = Sending::new(&outbox, 1).to(key);
        let waiting = thread::spawn(move || block_on(waiting));
        let mut wakes = Wakes::new();
        assert_eq!(outbox.lock().detach(key, &mut wakes), 1);
        wakes.fire();
        assert_eq!(waiting.join().unwrap(), Err(Refusal::Unroutable));
    });
}

#[test]
fn loom_senders_to_different_peers_do_not_take_each_others_wake_ups() {
    model(2, || {
        let outbox = out(Route::Named(Box::new(IdentityMap::new(0))), 1);
        let [stuck, moving] = [wire(&outbox), wire(&outbox)];
        for key in [stuck, moving] {
            assert_eq!(block_on(Sending::new(&outbox, 0).to(key)), Ok(()));
        }
        let first = Sending::new(&outbox, 1).to(stuck);
        let first = thread::spawn(move || block_on(first));
        let second = Sending::new(&outbox, 2).to(moving);
        let second = thread::spawn(move || block_on(second));
        assert_eq!(Connection::new(&outbox, moving).run(2), 2);
        assert_eq!(second.join().unwrap(), Ok(()));
        close(&outbox);
        assert_eq!(first.join().unwrap(), Err(Refusal::Closed));
    });
}

#[test]
fn loom_a_share_goes_elsewhere_when_a_peer_leaves_with_a_full_pipe() {
    model(2, || {
        let outbox = balance(1);
        let full = wire(&outbox);
        assert_eq!(block_on(Sending::new(&outbox, 0)), Ok(()));
        let waiting = Sending::new(&outbox, 1);
        let waiting = thread::spawn(move || block_on(waiting));
        let comes = outbox.clone();
        let comes = thread::spawn(move || wire(&comes));
        let mut wakes = Wakes::new();
        outbox.lock().detach(full, &mut wakes);
        wakes.fire();
        let key = comes.join().unwrap();
        assert_eq!(waiting.join().unwrap(), Ok(()));
        // It went to the newcomer, unless the old peer's pipe took it before it left; never to both.
        assert!(outbox.lock().pipes.get(key).is_some_and(|pipe| pipe.level().messages == 1));
    });
}

// The inbox.

fn inbox(mark: Hwm) -> SharedIn {
    Arc::new(Mutex::new(Inbox::new(mark, false, None)))
}

fn keys<const N: usize>() -> [PeerKey; N] {
    let mut keys = SlotMap::<PeerKey, ()>::with_key();
    std::array::from_fn(|_| keys.insert(()))
}

fn inbound(inbox: &SharedIn, key: PeerKey) {
    inbox.lock().attach(key, InPipe::new(false, Frame::new()));
}

fn deliver(inbox: &SharedIn, key: PeerKey, numbers: impl IntoIterator<Item = u8>) -> bool {
    let mut batch = Received::of(numbers.into_iter().map(message));
    let mut wakes = Wakes::new();
    let open = inbox.lock().deliver(key, &mut batch, &mut wakes);
    wakes.fire();
    open
}

/// Waits until the pipe takes messages again.
fn open(inbox: &SharedIn, key: PeerKey) -> impl Future<Output = ()> {
    std::future::poll_fn(move |cx| match inbox.lock().wait_open(key, cx.waker()) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
}

#[test]
fn loom_every_delivered_message_finds_a_waiting_receiver() {
    model(3, || {
        let inbox = inbox(Hwm::new(0, 0));
        let [a, b] = keys();
        inbound(&inbox, a);
        inbound(&inbox, b);
        let receivers = [(), ()].map(|()| {
            let receiving = Receiving::new(&inbox);
            thread::spawn(move || block_on(receiving))
        });
        deliver(&inbox, a, [1]);
        deliver(&inbox, b, [2]);
        let mut got = receivers.map(|receiver| receiver.join().unwrap());
        got.sort_unstable();
        assert_eq!(got, [Some(1), Some(2)]);
    });
}

#[test]
fn loom_one_batch_wakes_as_many_receivers_as_it_has_messages() {
    model(3, || {
        let inbox = inbox(Hwm::new(0, 0));
        let [a] = keys();
        inbound(&inbox, a);
        let other = Receiving::new(&inbox);
        let other = thread::spawn(move || block_on(other));
        let producer = inbox.clone();
        let producer = thread::spawn(move || deliver(&producer, a, [1, 2]));
        let mut got = [block_on(Receiving::new(&inbox)), other.join().unwrap()];
        got.sort_unstable();
        assert_eq!(got, [Some(1), Some(2)]);
        producer.join().unwrap();
    });
}

#[test]
fn loom_m10_a_cancelled_receiver_passes_its_wake_up_on() {
    model(3, || {
        let inbox = inbox(Hwm::new(0, 0));
        let [a] = keys();
        inbound(&inbox, a);
        let cancelled = Receiving::new(&inbox);
        let cancelled = thread::spawn(move || poll_once_and_drop(cancelled).flatten());
        let other = Receiving::new(&inbox);
        let other = thread::spawn(move || block_on(other));
        deliver(&inbox, a, [1]);
        let first = cancelled.join().unwrap();
        if first.is_some() {
            deliver(&inbox, a, [2]);
        }
        let second = other.join().unwrap();
        assert_eq!([first, second].iter().flatten().count(), 1 + usize::from(first.is_some()));
        assert_ne!(first, second);
    });
}

#[test]
fn loom_a_stream_that_is_not_polled_any_more_takes_no_receivers_wake_up() {
    model(3, || {
        let inbox = inbox(Hwm::new(0, 0));
        let [a] = keys();
        inbound(&inbox, a);
        let mut stream = Slot::bystander();
        inbox.lock().wait(&mut stream, Waker::noop());
        let receiving = Receiving::new(&inbox);
        let receiver = thread::spawn(move || block_on(receiving));
        deliver(&inbox, a, [1]);
        assert_eq!(receiver.join().unwrap(), Some(1));
    });
}

#[test]
fn loom_closing_ends_every_receivers_wait_and_wakes_the_producer() {
    model(3, || {
        let inbox = inbox(Hwm::new(1, 0));
        let [a] = keys();
        inbound(&inbox, a);
        deliver(&inbox, a, [1]);
        let receiver = inbox.clone();
        let receiver = thread::spawn(move || while block_on(Receiving::new(&receiver)).is_some() {});
        let producer = inbox.clone();
        let producer = thread::spawn(move || {
            block_on(open(&producer, a));
        });
        let mut wakes = Wakes::new();
        inbox.lock().close(&mut wakes);
        wakes.fire();
        receiver.join().unwrap();
        producer.join().unwrap();
    });
}

#[test]
fn loom_m5_a_stalled_producer_goes_on_at_the_low_water_mark() {
    for hwm in [1, 2] {
        model(3, move || {
            let inbox = inbox(Hwm::new(hwm, 0));
            let [a] = keys();
            inbound(&inbox, a);
            let shared = inbox.clone();
            // As `Session::hand_over`, one message a read; nothing is read ahead in the models.
            let producer = thread::spawn(move || {
                for number in 0..4 {
                    block_on(open(&shared, a));
                    deliver(&shared, a, [number]);
                }
            });
            for number in 0..4 {
                assert!(inbox.lock().get(a).is_some_and(|pipe| pipe.unread() <= hwm));
                assert_eq!(block_on(Receiving::new(&inbox)), Some(number));
            }
            producer.join().unwrap();
        });
    }
}

#[test]
fn loom_what_a_peer_sent_before_it_left_is_received_once() {
    model(3, || {
        let inbox = inbox(Hwm::new(0, 0));
        let [a] = keys();
        inbound(&inbox, a);
        let shared = inbox.clone();
        let peer = thread::spawn(move || {
            deliver(&shared, a, [1, 2]);
            let mut wakes = Wakes::new();
            shared.lock().end(a, &mut wakes);
            wakes.fire();
        });
        assert_eq!(block_on(Receiving::new(&inbox)), Some(1));
        assert_eq!(block_on(Receiving::new(&inbox)), Some(2));
        peer.join().unwrap();
        assert_eq!(poll_once_and_drop(Receiving::new(&inbox)), None);
        assert_eq!(inbox.lock().len(), 0);
    });
}

// Inproc: an outbox and an inbox, without a task between them.

/// Wakes the inbox, as `engine::inproc::Activate` does.
struct Activate {
    inbox: SharedIn,
    key: PeerKey,
}

impl std::task::Wake for Activate {
    fn wake(self: std::sync::Arc<Self>) {
        let mut wakes = Wakes::new();
        self.inbox.lock().activate(self.key, 1, &mut wakes);
        wakes.fire();
    }
}

/// Links a pipe of `outbox` to one of `inbox`, as `engine::inproc::link` does.
fn link(outbox: &SharedOut, out_key: PeerKey, inbox: &SharedIn, in_key: PeerKey) {
    let pull = Pull { outbox: outbox.clone(), key: out_key, consumed: Level::default() };
    let receiver = std::sync::Arc::new(Activate { inbox: inbox.clone(), key: in_key }).into();
    let mut wakes = Wakes::new();
    inbox.lock().link(in_key, pull, receiver, &mut wakes);
    wakes.fire();
}

/// The two ends of an inproc pipe that holds `hwm` messages.
fn inproc(hwm: usize) -> (SharedOut, PeerKey, SharedIn, PeerKey) {
    let (outbox, inbox) = (balance(hwm), inbox(Hwm::default()));
    let out_key = add(&outbox, OutPipe::inproc(false));
    let [in_key] = keys();
    inbound(&inbox, in_key);
    link(&outbox, out_key, &inbox, in_key);
    (outbox, out_key, inbox, in_key)
}

/// The outbox keeps the inbox alive and the other way round; the library ends that at unlink.
fn unlink(outbox: &SharedOut, out_key: PeerKey, inbox: &SharedIn, in_key: PeerKey) -> usize {
    let mut wakes = Wakes::new();
    inbox.lock().end(in_key, &mut wakes);
    let lost = outbox.lock().detach(out_key, &mut wakes);
    wakes.fire();
    lost
}

#[test]
fn loom_m9_inproc_hands_over_every_message_in_order_within_the_mark() {
    for hwm in [1, 2, 3] {
        model(3, move || {
            let (outbox, out_key, inbox, in_key) = inproc(hwm);
            let sender = outbox.clone();
            let sender = thread::spawn(move || {
                for number in 0..4 {
                    assert_eq!(block_on(Sending::new(&sender, number)), Ok(()));
                    assert!(sender.lock().queued() <= hwm);
                }
            });
            for number in 0..4 {
                assert_eq!(block_on(Receiving::new(&inbox)), Some(number));
            }
            sender.join().unwrap();
            unlink(&outbox, out_key, &inbox, in_key);
        });
    }
}

#[test]
fn loom_m9_inproc_two_receivers_share_what_comes() {
    model(3, || {
        let (outbox, out_key, inbox, in_key) = inproc(0);
        let other = Receiving::new(&inbox);
        let other = thread::spawn(move || block_on(other));
        let sender = outbox.clone();
        let sender = thread::spawn(move || {
            for number in [1, 2] {
                assert_eq!(block_on(Sending::new(&sender, number)), Ok(()));
            }
        });
        let mut got = [block_on(Receiving::new(&inbox)), other.join().unwrap()];
        got.sort_unstable();
        assert_eq!(got, [Some(1), Some(2)]);
        sender.join().unwrap();
        unlink(&outbox, out_key, &inbox, in_key);
    });
}

#[test]
fn loom_m9_inproc_a_cancelled_receiver_passes_the_activation_on() {
    model(3, || {
        let (outbox, out_key, inbox, in_key) = inproc(0);
        let cancelled = Receiving::new(&inbox);
        let cancelled = thread::spawn(move || poll_once_and_drop(cancelled).flatten());
        let other = Receiving::new(&inbox);
        let other = thread::spawn(move || block_on(other));
        assert_eq!(block_on(Sending::new(&outbox, 1)), Ok(()));
        if cancelled.join().unwrap().is_some() {
            assert_eq!(block_on(Sending::new(&outbox, 2)), Ok(()));
        }
        assert!(other.join().unwrap().is_some());
        unlink(&outbox, out_key, &inbox, in_key);
    });
}

#[test]
fn loom_c2_3_linking_frees_a_sender_and_brings_what_was_queued() {
    for hwm in [1, 3] {
        model(3, move || {
            let (outbox, inbox) = (balance(hwm.into()), inbox(Hwm::new(1, 0)));
            let out_key = add(&outbox, OutPipe::inproc(false));
            let [in_key] = keys();
            inbound(&inbox, in_key);
            let sender = outbox.clone();
            let sender = thread::spawn(move || {
                for number in 0..=hwm {
                    assert_eq!(block_on(Sending::new(&sender, number)), Ok(()));
                }
            });
            let receiving = inbox.clone();
            let receiver = thread::spawn(move || block_on(Receiving::new(&receiving)));
            link(&outbox, out_key, &inbox, in_key);
            assert_eq!(receiver.join().unwrap(), Some(0));
            sender.join().unwrap();
            for number in 1..=hwm {
                assert_eq!(block_on(Receiving::new(&inbox)), Some(number));
            }
            unlink(&outbox, out_key, &inbox, in_key);
        });
    }
}

#[test]
fn loom_c4_1_a_raised_mark_frees_a_sender_on_either_side() {
    for theirs in [false, true] {
        model(3, move || {
            let (outbox, out_key, inbox, in_key) = inproc(1);
            let sender = outbox.clone();
            let sender = thread::spawn(move || {
                for number in 0..2 {
                    assert_eq!(block_on(Sending::new(&sender, number)), Ok(()));
                }
            });
            let mut wakes = Wakes::new();
            if theirs {
                inbox.lock().set_mark(Hwm::new(1, 0), &mut wakes);
            } else {
                outbox.lock().set_mark(Hwm::new(2, 0), &mut wakes);
            }
            wakes.fire();
            sender.join().unwrap();
            unlink(&outbox, out_key, &inbox, in_key);
        });
    }
}

#[test]
fn loom_c4_1_a_raised_mark_frees_a_stalled_producer() {
    model(3, || {
        let inbox = inbox(Hwm::new(1, 0));
        let [a] = keys();
        inbound(&inbox, a);
        assert!(!deliver(&inbox, a, [0]));
        let raises = inbox.clone();
        let raises = thread::spawn(move || {
            let mut wakes = Wakes::new();
            raises.lock().set_mark(Hwm::new(2, 0), &mut wakes);
            wakes.fire();
        });
        block_on(open(&inbox, a));
        raises.join().unwrap();
    });
}

#[test]
fn loom_c2_3_linking_frees_a_sender_before_anything_is_received() {
    for hwm in [1, 3] {
        model(3, move || {
            let (outbox, inbox) = (balance(hwm.into()), inbox(Hwm::new(1, 0)));
            let out_key = add(&outbox, OutPipe::inproc(false));
            let [in_key] = keys();
            inbound(&inbox, in_key);
            let sender = outbox.clone();
            let sender = thread::spawn(move || {
                for number in 0..=hwm {
                    assert_eq!(block_on(Sending::new(&sender, number)), Ok(()));
                }
            });
            link(&outbox, out_key, &inbox, in_key);
            sender.join().unwrap();
            unlink(&outbox, out_key, &inbox, in_key);
        });
    }
}

#[test]
fn loom_inproc_a_sender_that_leaves_loses_nothing_it_was_told_is_sent() {
    model(3, || {
        let (outbox, out_key, inbox, in_key) = inproc(2);
        let sender = outbox.clone();
        let sender = thread::spawn(move || {
            let sent: Vec<_> = [1, 2].map(|number| block_on(Sending::new(&sender, number)).is_ok()).into();
            sent.iter().filter(|sent| **sent).count()
        });
        let first = poll_once_and_drop(Receiving::new(&inbox)).flatten();
        close(&outbox);
        let accepted = sender.join().unwrap();
        // Closed: nothing is added any more. The receiver fetches the rest before the pipe goes.
        let mut wakes = Wakes::new();
        inbox.lock().end(in_key, &mut wakes);
        let lost = outbox.lock().detach(out_key, &mut wakes);
        wakes.fire();
        let mut received = usize::from(first.is_some());
        while let Some(Some(_)) = poll_once_and_drop(Receiving::new(&inbox)) {
            received += 1;
        }
        assert_eq!((received, lost), (accepted, 0));
    });
}

//! Inproc: an outbox and an inbox, without a task between them.

use ::loom::future::block_on;
use ::loom::thread;

use super::{
    Receiving, Sending, SharedIn, SharedOut, add, balance, close, inbound, inbox, keys, model,
    poll_once_and_drop,
};
use crate::pipe::{Deferred, Hwm, Level, OutPipe, Pull};
use crate::routing::PeerKey;

/// Deferred the inbox, as `engine::inproc::Activate` does.
struct Activate {
    inbox: SharedIn,
    key: PeerKey,
}

impl std::task::Wake for Activate {
    fn wake(self: std::sync::Arc<Self>) {
        let mut later = Deferred::new();
        self.inbox.lock().activate(self.key, 1, &mut later);
        later.run();
    }
}

/// Links a pipe of `outbox` to one of `inbox`, as `engine::inproc::link` does.
fn link(outbox: &SharedOut, out_key: PeerKey, inbox: &SharedIn, in_key: PeerKey) {
    let pull = Pull { outbox: outbox.clone(), key: out_key, consumed: Level::default() };
    let receiver = std::sync::Arc::new(Activate { inbox: inbox.clone(), key: in_key }).into();
    let mut later = Deferred::new();
    inbox.lock().link(in_key, pull, receiver, &mut later);
    later.run();
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
    let mut later = Deferred::new();
    inbox.lock().end(in_key, &mut later);
    let lost = outbox.lock().detach(out_key, &mut later);
    later.run();
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
            let mut later = Deferred::new();
            if theirs {
                inbox.lock().set_mark(Hwm::new(1, 0), &mut later);
            } else {
                outbox.lock().set_mark(Hwm::new(2, 0), &mut later);
            }
            later.run();
            sender.join().unwrap();
            unlink(&outbox, out_key, &inbox, in_key);
        });
    }
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
        let mut later = Deferred::new();
        inbox.lock().end(in_key, &mut later);
        let lost = outbox.lock().detach(out_key, &mut later);
        later.run();
        let mut received = usize::from(first.is_some());
        while let Some(Some(_)) = poll_once_and_drop(Receiving::new(&inbox)) {
            received += 1;
        }
        assert_eq!((received, lost), (accepted, 0));
    });
}

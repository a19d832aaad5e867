//! The inbox.

use ::loom::future::block_on;
use ::loom::thread;
use std::task::{Poll, Waker};

use super::{Receiving, SharedIn, inbound, inbox, keys, message, model, poll_once_and_drop};
use crate::pipe::{Deferred, Hwm, Slot};
use crate::proto::Received;
use crate::routing::PeerKey;

fn deliver(inbox: &SharedIn, key: PeerKey, numbers: impl IntoIterator<Item = u8>) -> bool {
    let mut batch = Received::of(numbers.into_iter().map(message));
    let mut later = Deferred::new();
    let open = inbox.lock().deliver(key, &mut batch, &mut later);
    later.run();
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
        let mut later = Deferred::new();
        inbox.lock().wait(&mut stream, Waker::noop(), &mut later);
        later.run();
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
        let mut later = Deferred::new();
        inbox.lock().close(&mut later);
        later.run();
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
            let mut later = Deferred::new();
            shared.lock().end(a, &mut later);
            later.run();
        });
        assert_eq!(block_on(Receiving::new(&inbox)), Some(1));
        assert_eq!(block_on(Receiving::new(&inbox)), Some(2));
        peer.join().unwrap();
        assert_eq!(poll_once_and_drop(Receiving::new(&inbox)), None);
        assert_eq!(inbox.lock().len(), 0);
    });
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
            let mut later = Deferred::new();
            raises.lock().set_mark(Hwm::new(2, 0), &mut later);
            later.run();
        });
        block_on(open(&inbox, a));
        raises.join().unwrap();
    });
}

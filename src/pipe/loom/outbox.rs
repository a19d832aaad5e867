//! The outbox, and the connection task.

use ::loom::future::block_on;
use ::loom::thread;
use std::task::Waker;

use super::{Connection, Sending, balance, close, model, out, poll_once_and_drop, wire};
use crate::pipe::{Deferred, Refusal, Slot};
use crate::routing::{Route, RoutingIds};

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
        let mut later = Deferred::new();
        outbox.lock().senders.wait(&mut watcher, None, Waker::noop(), &mut later);
        later.run();
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
        let outbox = out(Route::Named(Box::new(RoutingIds::new(0))), 1);
        let key = wire(&outbox);
        assert_eq!(block_on(Sending::new(&outbox, 0).to(key)), Ok(()));
        let waiting = Sending::new(&outbox, 1).to(key);
        let waiting = thread::spawn(move || block_on(waiting));
        let mut later = Deferred::new();
        assert_eq!(outbox.lock().detach(key, &mut later), 1);
        later.run();
        assert_eq!(waiting.join().unwrap(), Err(Refusal::Unroutable));
    });
}

#[test]
fn loom_senders_to_different_peers_do_not_take_each_others_wake_ups() {
    model(2, || {
        let outbox = out(Route::Named(Box::new(RoutingIds::new(0))), 1);
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
        let mut later = Deferred::new();
        outbox.lock().detach(full, &mut later);
        later.run();
        let key = comes.join().unwrap();
        assert_eq!(waiting.join().unwrap(), Ok(()));
        // It went to the newcomer, unless the old peer's pipe took it before it left; never to both.
        assert!(outbox.lock().pipes.get(key).is_some_and(|pipe| pipe.level().messages == 1));
    });
}

//! Heartbeats, and workers that come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::pool::strategy::{Candidates, Seat, Strategy, TaskInfo};

fn rig() -> Rig {
    Rig::with(Config { heartbeat: seconds(2), ..Config::default() })
}

#[test]
fn g12_a_silent_worker_is_suspected_then_given_up() {
    let mut rig = rig();
    let worker = rig.worker("w", 2);
    let client = rig.client("c");
    rig.submit(client, "1");
    let given = rig.one();
    rig.pass(seconds(3));
    rig.submit(client, "2");
    assert!(rig.given().is_empty(), "suspected: nothing new");
    rig.say(worker, FromWorker::Heartbeat);
    assert_eq!(rig.bodies(), ["2"], "back, and nothing was taken from it");
    rig.pass(millis(5999));
    assert_eq!(rig.scheduler.totals().in_flight, 2);
    rig.pass(millis(1));
    assert_eq!((rig.scheduler.totals().in_flight, rig.scheduler.totals().silent), (0, 1));
    // SIGCONT: its answer is refused, and it is told to say hello again.
    rig.out.clear();
    rig.done(&given);
    assert!(matches!(rig.out[..], [Action::ToWorker(session, ToWorker::Rejoin)] if session == worker));
    assert_eq!(rig.scheduler.totals().stale, 1);
    rig.say(worker, FromWorker::Hello(WorkerHello { capacity: 2, ..hello() }));
    assert_eq!(rig.bodies(), ["1", "2"]);
}

#[test]
fn g12_nobody_is_given_up_for_a_silence_that_was_not_listened_to() {
    let mut rig = rig();
    let worker = rig.worker("w", 2);
    let client = rig.client("c");
    rig.submit(client, "1");
    let given = rig.one();
    // The broker's process is stopped for a minute; its last deadline was in a second or two.
    rig.now = rig.now + seconds(60);
    rig.on(Event::Late(seconds(58)));
    rig.say(worker, FromWorker::Heartbeat);
    rig.done(&given);
    assert_eq!((rig.scheduler.totals().silent, rig.scheduler.totals().ended), (0, 1));
    rig.pass(seconds(6));
    assert_eq!(rig.scheduler.totals().silent, 1);
}

#[test]
fn a_worker_that_was_suspected_in_vain_flaps_nothing() {
    let mut rig = rig();
    let worker = rig.worker("w", 1);
    for _ in 0..100 {
        rig.pass(millis(2900));
        rig.say(worker, FromWorker::Heartbeat);
    }
    assert_eq!(rig.scheduler.totals().silent, 0);
    let beats =
        rig.out.iter().filter(|action| matches!(action, Action::ToWorker(_, ToWorker::Heartbeat))).count();
    assert!((140..=150).contains(&beats), "every 2 s, busy or not: {beats}");
}

#[test]
fn a_worker_that_reconnects_keeps_what_it_is_still_running() {
    let mut rig = rig();
    let old = rig.worker("w", 3);
    let client = rig.client("c");
    for body in ["kept", "gone"] {
        rig.submit(client, body);
    }
    let given = rig.given();
    let running = vec![given[0].lease];
    let new = rig.hello(WorkerHello { capacity: 3, running: running.clone(), ..hello() });
    assert!(rig.given().is_empty(), "the other one may still be at work on the old connection");
    rig.on(Event::Lost(old));
    rig.out.clear();
    rig.say(new, FromWorker::Done(running[0], "result".into()));
    assert_eq!(rig.one().body, "gone", "what went down with the connection runs alone");
    assert_eq!(rig.told_text(), ["result 1 result"]);
    rig.scheduler.audit();
}

#[test]
fn what_a_lost_worker_still_runs_is_taken_up_again_unless_another_has_it() {
    let mut rig = rig();
    let old = rig.worker("w", 1);
    let client = rig.client("c");
    rig.submit(client, "x");
    let given = rig.one();
    rig.on(Event::Lost(old));
    let new = rig.hello(WorkerHello { running: vec![given.lease], ..hello() });
    assert!(rig.given().is_empty(), "not given out again");
    rig.on(Event::Lost(new));
    rig.worker("other", 1);
    rig.one();
    rig.hello(WorkerHello { running: vec![given.lease], ..hello() });
    assert_eq!(rig.scheduler.totals().in_flight, 1);
    rig.scheduler.audit();
}

#[test]
fn a_draining_worker_finishes_and_gets_nothing_new() {
    let mut rig = rig();
    let worker = rig.worker("w", 2);
    let client = rig.client("c");
    rig.submit(client, "1");
    let given = rig.one();
    rig.say(worker, FromWorker::Drain);
    rig.submit(client, "2");
    assert!(rig.given().is_empty());
    rig.done(&given);
    rig.say(worker, FromWorker::Bye);
    rig.on(Event::Lost(worker));
    assert_eq!((rig.scheduler.totals().in_flight, rig.scheduler.totals().waiting), (0, 1));
    assert!(rig.scheduler.workers().is_empty());
}

#[test]
fn a_stranger_is_told_to_say_hello() {
    let mut rig = rig();
    let stranger = rig.session();
    rig.say(stranger, FromWorker::Heartbeat);
    assert!(matches!(rig.out[..], [Action::ToWorker(session, ToWorker::Rejoin)] if session == stranger));
}

/// M5: the figures that a person looks for.
#[test]
fn m5_workers_show_id_address_response_time_and_availability() {
    let mut rig = rig();
    let worker = rig.hello(WorkerHello { address: "tcp://10.0.0.7:5555".into(), capacity: 2, ..hello() });
    let client = rig.client("c");
    rig.submit(client, "x");
    rig.submit(client, "x");
    let given = rig.given();
    rig.pass(millis(40));
    rig.done(&given[0]);
    let figures = rig.scheduler.workers().remove(0);
    assert_eq!((figures.id, &figures.address[..]), (worker.0, &b"tcp://10.0.0.7:5555"[..]));
    assert_eq!(figures.response_time, Some(millis(40)));
    assert_eq!(figures.availability, crate::pool::scheduler::Availability::Available);
    assert_eq!(
        (figures.credit, figures.in_flight, figures.done, figures.oldest),
        (1, 1, 1, Some(millis(40)))
    );
    let queue = rig.scheduler.queues().remove(0);
    assert_eq!((queue.workers, queue.available, queue.in_flight, queue.counters.done), (1, 1, 1, 1));
}

/// A worker that is back with its task was not taken down by it, however often its connection breaks.
#[test]
fn m10_a_connection_that_breaks_again_and_again_is_no_crash() {
    let mut rig = rig();
    let mut worker = rig.worker("w", 1);
    let client = rig.client("c");
    rig.submit(client, "long");
    let given = rig.one();
    for _ in 0..10 {
        rig.on(Event::Lost(worker));
        worker = rig.hello(WorkerHello { running: vec![given.lease], ..hello() });
        assert!(rig.given().is_empty(), "it has it already");
    }
    // What took a worker down before still counts.
    for _ in 0..2 {
        rig.on(Event::Lost(worker));
        worker = rig.worker("w", 1);
        rig.one();
    }
    rig.out.clear();
    rig.on(Event::Lost(worker));
    assert_eq!(rig.told_text(), ["failed 1 Crashed"]);
    let letter = rig.scheduler.dead_letters(&QUEUE.into()).remove(0);
    assert_eq!((letter.starts, letter.crashes), (3, 3));
    rig.scheduler.audit();
}

/// What it costs that a worker joins grows with the number of its queues, not with the square of it.
#[test]
fn g18_a_worker_of_many_queues_is_told_to_each_of_them_not_to_all_each_time() {
    #[derive(Debug)]
    struct Counting(Arc<AtomicUsize>);
    impl Strategy for Counting {
        fn pick(&mut self, workers: &Candidates, _: &TaskInfo<'_>) -> Option<Seat> {
            workers.available().first().copied()
        }

        fn loaded(&mut self, _: &Candidates, _: Seat) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    let told = Arc::new(AtomicUsize::new(0));
    let counted = told.clone();
    let policy = Policy::default().custom_strategy(move |_| Box::new(Counting(counted.clone())));
    let mut rig = Rig::new(policy);
    // Named twice, it is one of them all the same.
    let queues = (0..2000).map(|number| (number % 1000).to_string().into()).collect();
    rig.hello(WorkerHello { queues, ..hello() });
    assert_eq!(rig.scheduler.workers()[0].queues.len(), 1000);
    rig.scheduler.audit();
    let told = told.load(Ordering::Relaxed);
    assert!((1000..=5000).contains(&told), "{told}");
}

//! Repeated submissions, and clients that leave.

use super::*;

fn config() -> Config {
    Config { heartbeat: seconds(3600), ..Config::default() }
}

#[test]
fn m11_a_repeated_submission_is_the_same_task_and_gets_the_same_answer() {
    let mut rig = Rig::new(Policy::default());
    rig.worker("w", 1);
    let client = rig.client("c");
    rig.submit_as(client, 7, "x", SubmitOptions::default());
    let given = rig.one();
    rig.submit_as(client, 7, "x", SubmitOptions { ack: true, ..SubmitOptions::default() });
    assert!(rig.given().is_empty());
    rig.done(&given);
    assert_eq!(rig.told_text(), ["accept 7", "result 7 x done"]);
    // The same client, over another connection.
    rig.on(Event::Lost(client));
    let again = rig.client("c");
    rig.submit_as(again, 7, "x", SubmitOptions::default());
    assert_eq!(rig.told_text(), ["result 7 x done"]);
    assert_eq!(rig.scheduler.totals().accepted, 1);
}

#[test]
fn m11_a_name_makes_submissions_of_several_clients_one_task() {
    let mut rig = Rig::new(Policy::default());
    let (one, two) = (rig.client("one"), rig.client("two"));
    let named = || SubmitOptions { dedup: Some(Box::new("order-991".into())), ..SubmitOptions::default() };
    rig.submit_with(one, "x", named());
    rig.submit_with(two, "x", named());
    rig.worker("w", 1);
    let given = rig.one();
    rig.out.clear();
    rig.done(&given);
    assert!(rig.given().is_empty());
    assert_eq!(rig.told_text(), ["result 2 x done", "result 1 x done"]);
    rig.submit_with(two, "x", named());
    assert_eq!(rig.told_text(), ["result 3 x done"]);
}

#[test]
fn m11_names_are_forgotten_after_the_window_and_results_after_their_time() {
    let mut rig = Rig::with(Config { result_ttl: seconds(60), ..config() });
    rig.worker("w", 1);
    let client = rig.client("c");
    rig.submit_as(client, 1, "x", SubmitOptions::default());
    let given = rig.one();
    rig.done(&given);
    rig.out.clear();
    rig.pass(seconds(61));
    rig.submit_as(client, 1, "x", SubmitOptions::default());
    assert_eq!(rig.told_text(), ["failed 1 Forgotten"]);
    rig.pass(seconds(600));
    rig.submit_as(client, 1, "x", SubmitOptions::default());
    assert_eq!(rig.given().len(), 1, "a new task");
}

#[test]
fn m11_what_is_remembered_is_bounded() {
    let mut rig = Rig::with(Config { dedup_entries: 10, result_bytes: 30, ..config() });
    rig.worker("w", 1);
    let client = rig.client("c");
    for id in 0..100 {
        rig.submit_as(client, id, "x", SubmitOptions::default());
        let given = rig.one();
        rig.done(&given);
    }
    assert_eq!(rig.scheduler.memory.len(), 10);
    assert_eq!(rig.scheduler.totals().forgotten, 90 + 95, "of results of 6 bytes, 5 fit into 30");
    rig.out.clear();
    rig.submit_as(client, 99, "x", SubmitOptions::default());
    rig.submit_as(client, 92, "x", SubmitOptions::default());
    assert_eq!(rig.told_text(), ["result 99 x done", "failed 92 Forgotten"]);
}

#[test]
fn the_tasks_of_a_client_that_stays_away_are_cancelled_but_not_those_that_nobody_waits_for() {
    let mut rig = Rig::with(config());
    let client = rig.client("c");
    let worker = rig.worker("w", 1);
    rig.submit(client, "running");
    let given = rig.one();
    rig.submit(client, "waiting");
    rig.submit_with(client, "forgotten", SubmitOptions { no_reply: true, ..SubmitOptions::default() });
    rig.on(Event::Lost(client));
    rig.pass(millis(9999));
    assert_eq!(rig.scheduler.totals().waiting, 2, "it may come back");
    rig.pass(millis(1));
    assert_eq!(rig.scheduler.queues()[0].counters.cancelled, 2);
    let cancel = Action::ToWorker(worker, ToWorker::Cancel(given.lease));
    assert!(rig.out.iter().any(|action| format!("{action:?}") == format!("{cancel:?}")));
    rig.done(&given);
    assert_eq!(rig.bodies(), ["forgotten"]);
}

#[test]
fn a_client_that_comes_back_in_time_gets_its_answers() {
    let mut rig = Rig::with(config());
    let client = rig.client("c");
    rig.submit(client, "x");
    rig.on(Event::Lost(client));
    rig.pass(seconds(9));
    let back = rig.client("c");
    rig.pass(seconds(60));
    rig.worker("w", 1);
    let given = rig.one();
    rig.done(&given);
    assert!(matches!(rig.told()[..], [(session, ToClient::Result { .. })] if session == back));
}

#[test]
fn clients_leave_nothing_behind() {
    let mut rig = Rig::with(config());
    rig.worker("w", 1);
    for round in 0..50 {
        let client = if round % 2 == 0 { rig.client(&round.to_string()) } else { rig.session() };
        rig.submit(client, "x");
        let given = rig.one();
        rig.done(&given);
        rig.on(Event::Lost(client));
    }
    rig.pass(seconds(700));
    assert_eq!((rig.scheduler.clients.len(), rig.scheduler.memory.len()), (0, 0));
    assert_eq!(rig.scheduler.wheel.len(), 1, "the worker's");
}

/// A body of many empty frames is not nothing, wherever bytes are limited: in a queue, in all of them, among results.
#[test]
fn frames_count_even_if_they_are_empty() {
    let many = |frames: usize| Message::from(vec![Frame::new(); frames]);
    let frame = size_of::<Frame>();
    assert_eq!((many(1).footprint(), many(101).footprint()), (0, 100 * frame));

    let small_queue = Rig::new(Policy::default().max_bytes(150 * frame));
    let small_memory = Rig::with(Config { max_memory: 150 * frame + 512, ..config() });
    for (mut rig, limit) in [(small_queue, "queue"), (small_memory, "memory")] {
        let client = rig.client("c");
        for id in [1, 2] {
            let (queue, options) = ("q".into(), SubmitOptions::default());
            let said = FromClient::Submit { id, queue, options, body: many(101) };
            rig.on(Event::Client(client, said));
        }
        assert_eq!(rig.scheduler.totals().waiting, 1, "the second does not fit into the {limit}");
    }

    let mut rig = Rig::with(Config { result_bytes: 250 * frame, ..config() });
    let client = rig.client("c");
    let worker = rig.worker("w", 1);
    for _ in 0..10 {
        rig.submit(client, "x");
        let given = rig.one();
        rig.on(Event::Worker(worker, FromWorker::Done(given.lease, many(101))));
    }
    assert_eq!(rig.scheduler.totals().forgotten, 8, "two results fit");
}

#[test]
fn m11_who_cancels_a_task_that_others_wait_for_leaves_it_to_them() {
    let mut rig = Rig::with(config());
    let worker = rig.worker("w", 1);
    let (first, second) = (rig.client("first"), rig.client("second"));
    let named = || SubmitOptions { dedup: Some(Box::new("order".into())), ..SubmitOptions::default() };
    for cancelled in 0..2 {
        let mine = rig.submit_with(first, "x", named());
        let theirs = rig.submit_with(second, "x", named());
        let given = rig.one();
        rig.out.clear();
        rig.on(Event::Client(first, FromClient::Cancel { id: mine }));
        assert!(matches!(&rig.out[..], [Action::ToClient(to, ToClient::Failed { .. })] if *to == first));
        rig.out.clear();
        if cancelled == 0 {
            rig.on(Event::Client(second, FromClient::Cancel { id: theirs }));
            assert!(
                rig.out.iter().any(
                    |action| matches!(action, Action::ToWorker(to, ToWorker::Cancel(_)) if *to == worker)
                )
            );
            rig.done(&given);
            rig.pass(seconds(700));
        } else {
            rig.done(&given);
            assert_eq!(rig.told_text(), [format!("result {theirs} x done")]);
        }
        rig.scheduler.audit();
    }
}

#[test]
fn m11_how_many_wait_for_one_task_is_limited() {
    let mut rig = Rig::with(config());
    let client = rig.client("c");
    let named = || SubmitOptions { dedup: Some(Box::new("order".into())), ..SubmitOptions::default() };
    for _ in 0..=1 << 16 {
        rig.submit_with(client, "x", named());
    }
    assert!(rig.told().is_empty());
    let ack = rig.submit_with(client, "x", SubmitOptions { ack: true, ..named() });
    assert_eq!(rig.told_text(), [format!("reject {ack} QueueFull")]);
    assert_eq!(rig.scheduler.totals().waiting, 1);
    rig.scheduler.audit();
}

/// A buffer that messages are read into is hundreds of times as large as a small one of them.
#[test]
fn g17_what_is_kept_for_long_does_not_hold_on_to_what_was_read_with_it() {
    let read = || bytes::Bytes::from(vec![b'x'; 128 * 1024]);
    let task = |read: &bytes::Bytes| Message::from(Frame::from(read.slice(100..300)));
    let submit = |rig: &mut Rig, client, id, body, delay| {
        let options = SubmitOptions { delay, ..SubmitOptions::default() };
        rig.on(Event::Client(client, FromClient::Submit { id, queue: QUEUE.into(), options, body }));
    };
    let mut rig = Rig::with(config());
    let client = rig.client("c");
    // For later.
    let buffer = read();
    submit(&mut rig, client, 1, task(&buffer), seconds(3600));
    assert!(buffer.is_unique());
    // Given up, and what its worker said about it.
    let (buffer, said) = (read(), read());
    submit(&mut rig, client, 2, task(&buffer), Duration::ZERO);
    rig.worker("w", 1);
    let given = rig.one();
    rig.nack(&given, Nack::Reject { error: Frame::from(said.slice(..200)) });
    rig.out.clear();
    assert_eq!(rig.scheduler.dead_letters(&QUEUE.into()).len(), 1);
    assert!(buffer.is_unique() && said.is_unique());
    // One of many.
    rig.admin(Admin::Pause(QUEUE.into()));
    for id in 10..10_000 {
        submit(&mut rig, client, id, "x".into(), Duration::ZERO);
    }
    let buffer = read();
    submit(&mut rig, client, 10_000, task(&buffer), Duration::ZERO);
    assert!(buffer.is_unique());
    // A name.
    let buffer = read();
    let hello = WorkerHello { queues: vec![Frame::from(buffer.slice(..200))], ..hello() };
    rig.hello(hello);
    assert!(buffer.is_unique());
}

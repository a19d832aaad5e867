//! What a worker is promised, and what it promises.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sinew::pool::{
    Broker, CallError, FailReason, Failure, Job, JoinError, Policy, Prefetch, PullWorker, Retry, Task, Worker,
};
use sinew::{Message, PeerId, RecvError, Router, RouterEvent};
use tokio::sync::oneshot;

use crate::kit::{broker, client, next, pull, start, text, within, worker, workers};
use crate::raw::{
    CREDIT, DONE, NACK, PING, PONG, STARTED, TASK, WELCOME, WORKER_HELLO, argument, header, with_meta,
};
use crate::support::raw_peer::{RawListener, RawPeer};

#[tokio::test]
async fn m18_tasks_are_polled_for_with_and_without_waiting() {
    let (broker, address) = broker().await;
    let mut worker = pull(worker(&address, "polled")).await;
    workers(&broker, 1).await;
    assert_eq!(worker.try_recv().unwrap_err(), RecvError::Empty);
    assert_eq!(worker.recv_timeout(Duration::from_millis(20)).await.unwrap_err(), RecvError::Timeout);
    client(&address).await.submit("polled", "one").await.unwrap();
    let task = worker.recv_timeout(Duration::from_secs(10)).await.unwrap();
    assert_eq!(text(task.body()), "one");
    task.done("").await.unwrap();
}

#[tokio::test]
async fn m8_no_more_tasks_come_than_capacity_and_prefetch() {
    let (_broker, address) = broker().await;
    let client = client(&address).await;
    for number in 0..10 {
        client.submit("few", number.to_string()).await.unwrap();
    }
    let mut worker = pull(worker(&address, "few").capacity(2).prefetch(1)).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(next(&mut worker).await);
    }
    assert_eq!(worker.recv_timeout(Duration::from_millis(50)).await.unwrap_err(), RecvError::Timeout);
    held.pop().unwrap().done("").await.unwrap();
    assert_eq!(text(next(&mut worker).await.body()), "3");
}

#[tokio::test]
async fn a_task_that_is_dropped_goes_to_somebody_else_and_does_not_count() {
    let (broker, address) = broker().await;
    let client = client(&address).await;
    let mut first = pull(worker(&address, "shared")).await;
    workers(&broker, 1).await;
    client.submit("shared", "one").await.unwrap();
    drop(next(&mut first).await);
    let again = next(&mut first).await;
    assert_eq!(text(again.body()), "one");
    again.done("").await.unwrap();
}

#[tokio::test]
async fn a_handler_answers_fails_and_panics() {
    let retry = Retry::default().max_starts(2).max_crashes(2).immediate(5);
    let (_broker, address) = start(Broker::builder().queue("hard", Policy::default().retry(retry))).await;
    let worker = worker(&address, "hard").capacity(4);
    tokio::spawn(worker.serve_until(std::future::pending(), |job: Job| async move {
        match text(job.body()) {
            "panic" => panic!("as told"),
            "reject" => Err(Failure::reject("never")),
            number => Ok(number.parse::<u64>()?.to_string()),
        }
    }));
    let client = client(&address).await;
    assert_eq!(within("an answer", client.call("hard", "7").into_future()).await.unwrap(), "7");
    let failures = [
        ("panic", FailReason::Crashed, "as told"),
        ("reject", FailReason::Rejected, "never"),
        ("seven", FailReason::Exhausted, "invalid digit found in string"),
    ];
    for (body, expected, said) in failures {
        let answer = within("a failure", client.call("hard", body).into_future()).await;
        let Err(CallError::Failed { reason, text }) = answer else { panic!("{answer:?}") };
        assert_eq!((reason, text.contains(said)), (expected, true), "{text}");
    }
}

#[tokio::test]
async fn a_cancelled_handler_is_dropped_at_its_next_await() {
    let (_broker, address) = broker().await;
    let (gone, dropped) = oneshot::channel::<()>();
    let gone = std::sync::Mutex::new(Some(gone));
    let (begun, has_begun) = oneshot::channel::<()>();
    let begun = std::sync::Mutex::new(Some(begun));
    let worker = worker(&address, "endless");
    tokio::spawn(worker.serve_until(std::future::pending(), move |_| {
        let held = gone.lock().unwrap().take();
        let begun = begun.lock().unwrap().take();
        async move {
            drop(begun);
            std::future::pending::<()>().await;
            drop(held);
            Ok::<_, Failure>("")
        }
    }));
    let client = client(&address).await;
    let ticket = client.submit("endless", "").await.unwrap();
    let _ = within("the handler", has_begun).await;
    client.cancel(ticket);
    assert!(within("the handler's end", dropped).await.is_err());
}

#[tokio::test]
async fn a_worker_that_drains_finishes_and_gives_the_rest_back() {
    let (broker, address) = broker().await;
    let client = client(&address).await;
    let mut first = pull(worker(&address, "queue").prefetch(1)).await;
    workers(&broker, 1).await;
    for number in 1..=2 {
        client.submit("queue", number.to_string()).await.unwrap();
    }
    let task = next(&mut first).await;
    let mut second = pull(worker(&address, "queue")).await;
    let draining = tokio::spawn(async move { first.drain().await });
    let other = next(&mut second).await;
    assert_eq!((text(other.body()), other.attempt()), ("2", 2));
    assert!(!draining.is_finished());
    task.done("").await.unwrap();
    within("the end of draining", draining).await.unwrap();
    workers(&broker, 1).await;
    let figures = broker.figures().await.unwrap();
    assert_eq!((figures.queues[0].counters.done, figures.queues[0].in_flight), (1, 1));
}

/// G12: a worker that computes is not taken for dead, even where its runtime has one thread.
#[tokio::test]
async fn a_handler_that_blocks_its_thread_keeps_its_task() {
    let (broker, address) = start(Broker::builder().heartbeat(Duration::from_millis(50), 4)).await;
    let begun = Arc::new(AtomicUsize::new(0));
    let count = begun.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (end, ended) = oneshot::channel::<()>();
        let end = std::sync::Mutex::new(Some(end));
        let serve = worker(&address, "computed").serve_until(async { drop(ended.await) }, move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(1) {
                std::hint::spin_loop();
            }
            drop(end.lock().unwrap().take());
            async { Ok::<_, Failure>("done") }
        });
        runtime.block_on(serve).unwrap();
    });
    let client = client(&broker.endpoints()[0].to_string()).await;
    assert_eq!(within("an answer", client.call("computed", "").into_future()).await.unwrap(), "done");
    assert_eq!(begun.load(Ordering::Relaxed), 1);
    let counters = broker.figures().await.unwrap().queues[0].counters;
    assert_eq!((counters.dispatched, counters.redelivered), (1, 0));
    thread.join().unwrap();
}

#[tokio::test]
async fn tasks_go_to_workers_with_their_tags() {
    let (broker, address) = broker().await;
    let client = client(&address).await;
    let mut plain = pull(worker(&address, "render")).await;
    let mut tagged = pull(worker(&address, "render").tags(["gpu", "big"])).await;
    workers(&broker, 2).await;
    for _ in 0..4 {
        client.submit("render", "").tags(["gpu"]).await.unwrap();
        let task = next(&mut tagged).await;
        assert_eq!(plain.try_recv().unwrap_err(), RecvError::Empty);
        task.done("").await.unwrap();
    }
}

#[tokio::test]
async fn m20_a_worker_that_joins_gets_its_share_at_once() {
    let (broker, address) = broker().await;
    let client = client(&address).await;
    let mut first = pull(worker(&address, "busy")).await;
    workers(&broker, 1).await;
    for number in 0..3 {
        client.submit("busy", number.to_string()).await.unwrap();
    }
    let held = next(&mut first).await;
    let mut second = pull(worker(&address, "busy")).await;
    assert_eq!(text(next(&mut second).await.body()), "1");
    drop(held);
}

/// G16: only what was begun is to blame, whatever else the worker had.
#[tokio::test]
async fn what_was_prefetched_and_not_begun_is_not_to_blame_for_a_crash() {
    let retry = Retry::default().max_crashes(1);
    let (broker, address) = start(Broker::builder().queue("q", Policy::default().retry(retry))).await;
    let client = client(&address).await;
    for body in ["poison", "innocent", "harmless"] {
        client.submit("q", body).await.unwrap();
    }
    let mut first = pull(worker(&address, "q").prefetch(2)).await;
    let poison = next(&mut first).await;
    assert_eq!(text(poison.body()), "poison");
    let begun = async {
        while broker.explain(poison.id()).await.unwrap().contains("not begun") {
            tokio::task::yield_now().await;
        }
    };
    within("the news that it has begun", begun).await;
    // As if its process had died.
    std::mem::forget(poison);
    drop(first);
    let mut second = pull(worker(&address, "q")).await;
    for expected in ["innocent", "harmless"] {
        let task = next(&mut second).await;
        assert_eq!(text(task.body()), expected);
        task.done("").await.unwrap();
    }
    let dead = broker.dead_letters("q").await.unwrap();
    assert_eq!((dead.len(), text(&dead[0].body), dead[0].reason), (1, "poison", FailReason::Crashed));
}

/// A broker played by hand: what the worker says, heartbeats aside.
async fn hear(router: &Router) -> (PeerId, Vec<u8>) {
    loop {
        let event = within("the worker", router.recv_event()).await.unwrap();
        if let RouterEvent::Message(from, message) = event {
            let header = message.first().to_vec();
            if [WORKER_HELLO, CREDIT, STARTED, PING].contains(&header[4]) {
                return (from.peer().unwrap(), header);
            }
        }
    }
}

#[tokio::test]
async fn auto_prefetch_asks_for_more_where_the_way_is_longer_than_a_task() {
    let router = Router::new();
    let address = router.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let worker = worker(&address, "far").capacity(2).prefetch(Prefetch::Auto).io_thread(false);
    tokio::spawn(worker.serve_until(std::future::pending(), |_| async { Ok::<_, Failure>("") }));
    let (peer, hello) = hear(&router).await;
    assert_eq!(hello[4], WORKER_HELLO);
    router.send(peer, Message::from(header(WELCOME, 0, 3, 2000))).await.unwrap();
    // {"q": "far"}
    let meta = [0x81, 0xa1, b'q', 0xa3, b'f', b'a', b'r'];
    for id in 0..8 {
        router.send(peer, with_meta(header(TASK, id, 1, 0), &meta)).await.unwrap();
    }
    let (_, ping) = hear(&router).await;
    assert_eq!(ping[4], PING, "it has none waiting yet, so nothing is reported as begun");
    let far = Duration::from_millis(20);
    tokio::time::sleep(far).await;
    router.send(peer, Message::from(header(PONG, 0, 0, 0))).await.unwrap();
    let (_, credit) = hear(&router).await;
    // Those tasks take no time: the most there may be, for two places.
    assert_eq!((credit[4], argument(&credit)), (CREDIT, 64));
    router.send(peer, with_meta(header(TASK, 8, 1, 0), &meta)).await.unwrap();
    assert_eq!(hear(&router).await.1[4], STARTED);
}

/// It takes no time, and so would ask for more and more.
#[tokio::test]
async fn auto_prefetch_learns_nothing_from_tasks_that_are_given_back() {
    let router = Router::new();
    let address = router.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let worker = worker(&address, "far").prefetch(Prefetch::Auto).io_thread(false);
    let handler =
        |job: Job| async move { if *job.body() == "work" { Ok("") } else { Err(Failure::release()) } };
    tokio::spawn(worker.serve_until(std::future::pending(), handler));
    let (peer, _) = hear(&router).await;
    let send = async |id, body: &str| {
        // {"q": "far"}
        let meta = [0x81, 0xa1, b'q', 0xa3, b'f', b'a', b'r'];
        let [header, meta] = with_meta(header(TASK, id, 1, 0), &meta);
        router.send(peer, Message::from([header, meta, body.into()])).await.unwrap();
    };
    for id in 0..20 {
        send(id, "not mine").await;
    }
    // The question comes with the eighth task that is done, and so after all of those.
    for id in 20..27 {
        send(id, "work").await;
    }
    send(27, "last").await;
    send(28, "work").await;
    let mut answers = Vec::new();
    loop {
        let event = within("the worker", router.recv_event()).await.unwrap();
        let RouterEvent::Message(_, message) = event else { continue };
        match message.first()[4] {
            PING => break,
            DONE => answers.push(DONE),
            NACK => answers.push(NACK),
            _ => {}
        }
    }
    assert_eq!(answers, [vec![NACK; 20], vec![DONE; 7], vec![NACK]].concat());
}

#[tokio::test]
async fn auto_prefetch_asks_for_nothing_where_tasks_are_long() {
    let (broker, address) = broker().await;
    let worker = worker(&address, "long").prefetch(Prefetch::Auto);
    tokio::spawn(worker.serve_until(std::future::pending(), |_| async {
        // Stands for work.
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok::<_, Failure>("")
    }));
    let client = client(&address).await;
    for _ in 0..12 {
        within("an answer", client.call("long", "").into_future()).await.unwrap();
    }
    let worker = &broker.figures().await.unwrap().workers[0];
    assert_eq!((worker.done, worker.credit), (12, 1));
}

/// A worker with two tasks of a broker that is played by hand and does not read: an answer waits for room.
async fn worker_without_room() -> (PullWorker, RawPeer, [Task; 2]) {
    let listener = RawListener::bind().await;
    let mut worker = pull(worker(&listener.endpoint(), "q").capacity(2)).await;
    let mut broker = listener.accept().await;
    broker.handshake("ROUTER", 1).await;
    assert_eq!(broker.recv_msg().await[0][4], WORKER_HELLO);
    // It may be silent for 40 s, and the worker speaks every 20 ms.
    broker.send_msg(&[&header(WELCOME, 0, 1000, 20)]).await;
    for id in [1, 2] {
        // {"q": "q"}
        let [header, meta] = with_meta(header(TASK, id, 1, 0), &[0x81, 0xa1, b'q', 0xa1, b'q']);
        broker.send_msg(&[&header, &meta, b"body"]).await;
    }
    let tasks = [next(&mut worker).await, next(&mut worker).await];
    // Larger than what the system takes in, and than what may wait.
    tasks[0].partial(vec![0; 32 << 20]).await.unwrap();
    (worker, broker, tasks)
}

/// What `Task::done` says of its cancel safety: nobody is left with a task that is never answered.
#[tokio::test]
async fn a_task_whose_answer_is_given_up_half_way_is_released() {
    let (_worker, mut broker, [_first, second]) = worker_without_room().await;
    let mut answer = Box::pin(second.done("of no use any more"));
    assert!(futures::poll!(answer.as_mut()).is_pending());
    drop(answer);
    let released = async {
        loop {
            let said = broker.recv_msg().await.swap_remove(0);
            assert_ne!(said[4], DONE);
            if said[4] == NACK {
                return said;
            }
        }
    };
    let said = within("the task", released).await;
    assert_eq!((&said[6..8], said[15]), (&[0, 4][..], 2), "released");
}

#[tokio::test]
async fn who_drains_waits_for_answers_that_wait_for_room() {
    let (worker, mut broker, [first, second]) = worker_without_room().await;
    let answers = async { tokio::join!(first.done("one"), second.done("two")) };
    let mut leaving = std::pin::pin!(async { tokio::join!(answers, worker.drain()) });
    assert!(futures::poll!(leaving.as_mut()).is_pending());
    let read = async {
        let mut done = 0;
        while done < 2 {
            done += usize::from(broker.recv_msg().await[0][4] == DONE);
        }
    };
    let (((first, second), ()), ()) = within("the answers", async { tokio::join!(leaving, read) }).await;
    first.and(second).unwrap();
}

#[tokio::test]
async fn a_worker_cannot_connect_to_what_is_only_for_binding() {
    for address in ["tcp://*:5570", "tcp://127.0.0.1:0", "ipc://*"] {
        assert!(matches!(Worker::connect([address]).queue("q").pull().await, Err(JoinError::Endpoint(_))));
    }
}

//! Who dies, and what becomes of tasks then.

use std::time::{Duration, Instant};

use sinew::pool::{Broker, CallError, Client, Failure, RejectReason, Worker};
use sinew::{Dealer, Message};

use crate::kit::{Wire, broker, client, next, pull, start, text, within, worker, workers};
use crate::support::pass;
use crate::support::raw_peer::RawListener;

#[tokio::test]
async fn m10_the_tasks_of_a_worker_that_is_gone_go_to_others_at_once() {
    let (broker, address) = broker().await;
    let client = client(&address).await;
    let mut first = pull(worker(&address, "work")).await;
    workers(&broker, 1).await;
    let call = client.call("work", "one").into_future();
    let serve = async {
        let task = next(&mut first).await;
        let mut second = pull(worker(&address, "work")).await;
        workers(&broker, 2).await;
        // Without a word, as a process that is killed.
        let start = Instant::now();
        drop(first);
        let again = next(&mut second).await;
        let took = start.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert!(again.is_redelivered());
        assert!(again.attempt() > task.attempt());
        again.done("by the second").await.unwrap();
    };
    let (answer, ()) = tokio::join!(within("an answer", call), serve);
    assert_eq!(answer.unwrap(), "by the second");
    assert_eq!(broker.figures().await.unwrap().totals.conservation_error(), 0);
}

#[tokio::test]
async fn m24_a_client_takes_its_calls_to_the_next_broker() {
    let (first, first_at) = broker().await;
    let (_second, second_at) = broker().await;
    let mut worker = pull(Worker::connect([&first_at, &second_at]).queue("work")).await;
    let client = Client::connect([&first_at]).await.unwrap();
    client.wait_for_broker().await.unwrap();
    drop(client);
    // In this order, so that it begins with the first.
    let client = Client::connect([&first_at, &second_at]).await.unwrap();
    let call = client.call("work", "one").into_future();
    let serve = async {
        let task = next(&mut worker).await;
        drop(first);
        // It may have met the second broker first; else the second one gives the task again.
        let kept = task.done("by whoever").await;
        let again = next(&mut worker);
        kept.unwrap();
        again.await.done("by the second").await.unwrap();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = within("an answer", call) => {
            let answer = answer.unwrap();
            assert!(["by whoever", "by the second"].contains(&text(&answer)), "{answer:?}");
        }
        () = serve => unreachable!("it does not end"),
    }
}

#[tokio::test]
async fn m24_a_broker_that_shuts_down_finishes_what_it_has_and_another_gets_the_rest() {
    let (first, first_at) = broker().await;
    let (_second, second_at) = broker().await;
    let mut of_first = pull(worker(&first_at, "work").capacity(2)).await;
    let mut of_second = pull(worker(&second_at, "work")).await;
    let way = Wire::to(&second_at).await;
    way.down();
    let client = Client::connect([&first_at, &way.address]).await.unwrap();
    let mut early = client.call("work", "early").into_future();
    let task = tokio::select! {
        _ = &mut early => unreachable!("nobody has answered"),
        task = next(&mut of_first) => task,
    };
    let mut ending = std::pin::pin!(first.shut_down(Duration::from_secs(60)));
    assert!(futures::poll!(&mut ending).is_pending());
    let rejected = within("an answer", client.call("work", "nowhere else").into_future()).await;
    assert!(matches!(rejected, Err(CallError::Rejected { reason: RejectReason::ShuttingDown, .. })));
    way.up();
    // Until the client has met the second.
    let late = async {
        loop {
            match client.call("work", "late").await {
                Err(CallError::Rejected { reason: RejectReason::ShuttingDown, .. }) => {}
                answer => return answer,
            }
        }
    };
    let serve = async { next(&mut of_second).await.done("by the second").await.unwrap() };
    let (answer, ()) = tokio::join!(within("an answer", late), serve);
    assert_eq!(answer.unwrap(), "by the second");
    task.done("by the first").await.unwrap();
    assert_eq!(within("an answer", early).await.unwrap(), "by the first");
    within("the end", ending).await;
    // It is gone, and nothing was begun anew for that.
    assert!(of_second.try_recv().is_err());
}

/// A broker that is stopped, or a network that vanishes, closes no connection.
#[tokio::test]
async fn m24_a_client_leaves_a_broker_that_has_fallen_silent() {
    pass(Duration::from_millis(1)).await;
    let frozen = RawListener::bind().await;
    let (_second, second_at) = broker().await;
    let work = |_| async { Ok::<_, Failure>("by the second") };
    tokio::spawn(worker(&second_at, "work").serve_until(std::future::pending(), work));
    let wire = Wire::to(&second_at).await;
    // So that it begins with the first.
    wire.down();
    let client = Client::connect([&frozen.endpoint(), &wire.address]).await.unwrap();
    let mut silent = frozen.accept().await;
    silent.handshake("ROUTER", 1).await;
    let call = tokio::spawn(async move { client.call("work", "one").await });
    for said in ["HELLO", "SUBMIT"] {
        assert!(!silent.recv_msg().await.is_empty(), "{said}");
    }
    wire.up();
    pass(Duration::from_secs(2)).await;
    assert_eq!(silent.recv_command().await.0, "PING");
    pass(Duration::from_secs(6)).await;
    silent.expect_closed().await;
    let answer = within("an answer", call).await.unwrap();
    assert_eq!(answer.unwrap(), "by the second");
}

#[tokio::test]
async fn m11_a_connection_that_breaks_does_not_run_a_task_twice() {
    let (broker, address) = broker().await;
    let wire = Wire::to(&address).await;
    let mut worker = pull(worker(&address, "once")).await;
    workers(&broker, 1).await;
    let client = client(&wire.address).await;
    let call = client.call("once", "one").into_future();
    let serve = async {
        let task = next(&mut worker).await;
        wire.cut();
        // The client is back, and has submitted the same again.
        let back = async {
            while broker.figures().await.unwrap().queues[0].counters.repeated == 0 {
                tokio::task::yield_now().await;
            }
        };
        within("the client's return", back).await;
        task.done("the only one").await.unwrap();
    };
    let (answer, ()) = tokio::join!(within("an answer", call), serve);
    assert_eq!(answer.unwrap(), "the only one");
    assert_eq!(broker.figures().await.unwrap().queues[0].counters.dispatched, 1);
}

#[tokio::test]
async fn a_worker_is_back_after_its_connection_broke() {
    let (broker, address) = broker().await;
    let wire = Wire::to(&address).await;
    let mut worker = pull(worker(&wire.address, "work")).await;
    workers(&broker, 1).await;
    let client = client(&address).await;
    let call = client.call("work", "one").into_future();
    let serve = async {
        let task = next(&mut worker).await;
        wire.down();
        let noticed = async {
            while task.partial("").await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        within("the end of the connection", noticed).await;
        // Nobody else has it meanwhile: it is kept, and so is the result.
        task.done("kept").await.unwrap();
        wire.up();
    };
    let (answer, ()) = tokio::join!(within("an answer", call), serve);
    assert_eq!(answer.unwrap(), "kept");
    assert_eq!(broker.figures().await.unwrap().queues[0].counters.dispatched, 1);
}

#[tokio::test]
async fn a_broker_that_begins_anew_is_told_again() {
    let (first, address) = broker().await;
    let client = client(&address).await;
    let mut worker = pull(worker(&address, "work")).await;
    let call = client.call("work", "one").into_future();
    let serve = async {
        let lost = next(&mut worker).await;
        first.shut_down(Duration::ZERO).await;
        let second = Broker::builder().bind(&address).start().await.unwrap();
        let again = next(&mut worker).await;
        assert_ne!((lost.id(), lost.attempt()), (again.id(), again.attempt()));
        again.done("by the new one").await.unwrap();
        second
    };
    let (answer, _second) = tokio::join!(within("an answer", call), serve);
    assert_eq!(answer.unwrap(), "by the new one");
}

#[tokio::test]
async fn a_broker_that_shuts_down_finishes_first() {
    let (broker, address) = broker().await;
    let client = client(&address).await;
    let mut worker = pull(worker(&address, "work")).await;
    workers(&broker, 1).await;
    let call = client.call("work", "one").into_future();
    let serve = async {
        let task = next(&mut worker).await;
        let ending = tokio::spawn(async move { broker.shut_down(Duration::from_secs(60)).await });
        let refused = async {
            while client.submit("work", "two").await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        within("the refusal", refused).await;
        task.done("finished").await.unwrap();
        within("the end", ending).await.unwrap();
    };
    let (answer, ()) = tokio::join!(within("an answer", call), serve);
    assert_eq!(answer.unwrap(), "finished");
}

/// A client that does not read its results is not read either, and holds nobody up.
#[tokio::test]
async fn a_client_that_does_not_read_holds_nobody_up() {
    let (broker, address) = start(Broker::builder()).await;
    let worker = worker(&address, "large").capacity(64);
    tokio::spawn(
        worker.serve_until(std::future::pending(), |_| async { Ok::<_, Failure>(vec![7_u8; 4096]) }),
    );
    // One that speaks the language of Majordomo, by hand, and has hardly any room.
    let deaf = Dealer::builder().recv_hwm(1).recv_buffer(4096).build().unwrap();
    deaf.connect(&address).await.unwrap();
    let flooding = tokio::spawn(async move {
        loop {
            deaf.send(Message::from(["MDPC02", "\x01", "large", "more"])).await.unwrap();
        }
    });
    let client = client(&address).await;
    let stuck = async {
        let mut last = 0;
        let mut same = 0;
        while same < 20 {
            client.call("large", "").await.unwrap();
            let accepted = broker.figures().await.unwrap().queues[0].counters.accepted;
            // Ours counts, too.
            same = if accepted == last + 1 { same + 1 } else { 0 };
            last = accepted;
        }
    };
    within("the flood's end", stuck).await;
    assert!(!flooding.is_finished());
    flooding.abort();
}

//! What a client is promised.

use std::time::Duration;

use futures::future::join_all;
use sinew::pool::{Broker, CallError, FailReason, Policy, RejectReason, Retry};

use crate::kit::{broker, client, next, pull, start, text, within, worker, workers};

#[tokio::test]
async fn a_call_has_the_result_of_its_own_task() {
    let (_broker, address) = broker().await;
    let mut worker = pull(worker(&address, "double").capacity(16)).await;
    tokio::spawn(async move {
        while let Ok(task) = worker.recv().await {
            let number: u64 = text(task.body()).parse().unwrap();
            task.done((number * 2).to_string()).await.unwrap();
        }
    });
    let client = client(&address).await;
    let calls = (0..2000_u64).map(|number| {
        let client = &client;
        async move {
            let answer = within("an answer", client.call("double", number.to_string()).into_future()).await;
            assert_eq!(text(&answer.unwrap()), (number * 2).to_string());
        }
    });
    join_all(calls).await;
}

#[tokio::test]
async fn a_procedure_and_its_parameters_are_frames() {
    let (_broker, address) = broker().await;
    let mut worker = pull(worker(&address, "calculator")).await;
    let client = client(&address).await;
    let serve = async {
        let task = next(&mut worker).await;
        assert_eq!(*task.body(), ["add", "1", "2"]);
        task.done(["sum", "3"]).await.unwrap();
    };
    let call = client.call("calculator", ["add", "1", "2"]);
    let (answer, ()) = tokio::join!(within("an answer", call.into_future()), serve);
    assert_eq!(answer.unwrap(), ["sum", "3"]);
}

#[tokio::test]
async fn m19_submit_returns_when_it_is_accepted_not_when_it_is_done() {
    let (_broker, address) = broker().await;
    let client = client(&address).await;
    // Nobody serves the queue yet.
    let ticket = within("acceptance", client.submit("later", "body").into_future()).await.unwrap();
    assert!(within("its status", client.status(ticket)).await.unwrap().contains("worker"));
    let mut worker = pull(worker(&address, "later")).await;
    let task = next(&mut worker).await;
    assert_eq!((text(task.body()), task.attempt()), ("body", 1));
    task.done("").await.unwrap();
}

#[tokio::test]
async fn a_stream_is_its_parts_in_order_and_the_result() {
    let (_broker, address) = broker().await;
    let mut worker = pull(worker(&address, "count")).await;
    let client = client(&address).await;
    let mut replies = client.stream("count", "5000").await.unwrap();
    tokio::spawn(async move {
        let task = next(&mut worker).await;
        // More than are read ahead: the reader holds the worker up, and nothing is lost.
        for part in 0..5000 {
            task.partial(part.to_string()).await.unwrap();
        }
        task.done("end").await.unwrap();
        worker.drain().await;
    });
    for part in 0..5000 {
        let reply = within("a part", replies.next()).await.unwrap().unwrap();
        assert_eq!(text(&reply), part.to_string());
    }
    assert_eq!(within("the result", replies.next()).await.unwrap().unwrap(), "end");
    assert_eq!(replies.next().await, None);
}

#[tokio::test]
async fn a_deadline_ends_a_call_that_nobody_serves() {
    let (_broker, address) = broker().await;
    let client = client(&address).await;
    let call = client.call("nobody", "").deadline(Duration::from_millis(50));
    let error = within("the deadline", call.into_future()).await.unwrap_err();
    assert!(matches!(error, CallError::Failed { reason: FailReason::Expired, .. }), "{error}");
}

#[tokio::test]
async fn a_worker_knows_how_much_time_is_left() {
    let (_broker, address) = broker().await;
    let mut worker = pull(worker(&address, "timed")).await;
    let client = client(&address).await;
    let call = client.call("timed", "").deadline(Duration::from_secs(60));
    let serve = async {
        let task = next(&mut worker).await;
        let left = task.remaining().unwrap();
        assert!(left > Duration::from_secs(40) && left <= Duration::from_secs(60), "{left:?}");
        task.done("").await.unwrap();
    };
    let (answer, ()) = tokio::join!(call.into_future(), serve);
    answer.unwrap();
}

#[tokio::test]
async fn a_call_that_is_dropped_is_cancelled() {
    let (_broker, address) = broker().await;
    let mut worker = pull(worker(&address, "slow")).await;
    let client = client(&address).await;
    let task = tokio::select! {
        _ = client.call("slow", "").into_future() => panic!("nobody answers"),
        task = next(&mut worker) => task,
    };
    within("the cancellation", task.cancelled()).await;
}

#[tokio::test]
async fn a_submitted_task_can_be_cancelled() {
    let (_broker, address) = broker().await;
    let mut worker = pull(worker(&address, "slow")).await;
    let client = client(&address).await;
    let ticket = client.submit("slow", "").await.unwrap();
    let task = next(&mut worker).await;
    client.cancel(ticket);
    within("the cancellation", task.cancelled()).await;
}

#[tokio::test]
async fn priorities_go_first_and_delays_last() {
    let (broker, address) = broker().await;
    let client = client(&address).await;
    broker.pause("mixed");
    client.submit("mixed", "late").delay(Duration::from_millis(200)).priority(9).await.unwrap();
    client.submit("mixed", "low").priority(1).await.unwrap();
    client.submit("mixed", "high").priority(9).await.unwrap();
    let mut worker = pull(worker(&address, "mixed")).await;
    workers(&broker, 1).await;
    broker.resume("mixed");
    for expected in ["high", "low", "late"] {
        let task = next(&mut worker).await;
        assert_eq!(text(task.body()), expected);
        task.done("").await.unwrap();
    }
}

#[tokio::test]
async fn m11_the_same_name_is_the_same_task() {
    let (broker, address) = broker().await;
    let client = client(&address).await;
    for _ in 0..3 {
        client.submit("orders", "order").dedup("order-991").await.unwrap();
    }
    client.submit("orders", "last").await.unwrap();
    let mut worker = pull(worker(&address, "orders")).await;
    for expected in ["order", "last"] {
        let task = next(&mut worker).await;
        assert_eq!(text(task.body()), expected);
        task.done("").await.unwrap();
    }
    assert_eq!(broker.figures().await.unwrap().queues[0].counters.repeated, 2);
}

#[tokio::test]
async fn a_queue_that_is_not_there_or_full_is_refused() {
    let policy = Policy::default().max_len(1);
    let (_broker, address) = start(Broker::builder().queue("small", policy).queues_on_demand(false)).await;
    let client = client(&address).await;
    let error = client.submit("other", "").await.unwrap_err();
    assert!(matches!(error, CallError::Rejected { reason: RejectReason::UnknownQueue, .. }), "{error}");
    client.submit("small", "1").await.unwrap();
    let error = client.submit("small", "2").await.unwrap_err();
    let CallError::Rejected { reason: RejectReason::QueueFull, retry_after } = error else {
        panic!("{error}")
    };
    assert!(!retry_after.is_zero());
}

#[tokio::test]
async fn what_a_worker_rejects_fails_with_its_words() {
    let (broker, address) = broker().await;
    let mut worker = pull(worker(&address, "strict")).await;
    let client = client(&address).await;
    let call = client.call("strict", "nonsense");
    let serve = async { next(&mut worker).await.reject("no such thing").await.unwrap() };
    let (answer, ()) = tokio::join!(call.into_future(), serve);
    let Err(CallError::Failed { reason: FailReason::Rejected, text }) = answer else { panic!("{answer:?}") };
    assert_eq!(text, "no such thing");
    assert_eq!(broker.dead_letters("strict").await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_fails_too_often_is_given_up() {
    let retry = Retry::default().max_starts(3).backoff(Duration::from_millis(1), Duration::from_millis(1));
    let (_broker, address) = start(Broker::builder().queue("flaky", Policy::default().retry(retry))).await;
    let mut worker = pull(worker(&address, "flaky")).await;
    let client = client(&address).await;
    let call = client.call("flaky", "");
    let serve = async {
        for attempt in 1..=3 {
            let task = next(&mut worker).await;
            assert_eq!(task.attempt(), attempt);
            task.retry(None, "not today").await.unwrap();
        }
    };
    let (answer, ()) = tokio::join!(within("the failure", call.into_future()), serve);
    assert!(matches!(answer, Err(CallError::Failed { reason: FailReason::Exhausted, .. })), "{answer:?}");
}

#[tokio::test]
async fn a_closed_client_says_so() {
    let (_broker, address) = broker().await;
    let client = client(&address).await;
    let other = client.clone();
    let (answer, _) = tokio::join!(other.call("nobody", "").into_future(), client.close());
    assert_eq!(answer.unwrap_err(), CallError::Closed);
    assert_eq!(other.call("nobody", "").await.unwrap_err(), CallError::Closed);
}

/// M1, M17: each of two groups sees all that is submitted to their topic.
#[tokio::test]
async fn m17_what_goes_to_a_topic_goes_to_each_of_its_queues() {
    let groups = ["billing", "shipping"];
    let policy = Policy::default().max_len(3);
    let (broker, address) = start(Broker::builder().topic("orders", groups).queue("billing", policy)).await;
    let client = client(&address).await;
    for number in 0..3 {
        let ticket = client.submit("orders", number.to_string()).dedup(number.to_string()).await.unwrap();
        // It stands for none of the tasks.
        client.cancel(ticket);
        client.submit("orders", "again").dedup(number.to_string()).await.unwrap();
    }
    // All of them, or none.
    let error = client.submit("orders", "one too many").await.unwrap_err();
    assert!(matches!(error, CallError::Rejected { reason: RejectReason::QueueFull, .. }), "{error}");
    let error = client.call("orders", "whose result?").await.unwrap_err();
    assert!(matches!(error, CallError::Rejected { reason: RejectReason::Invalid, .. }), "{error}");
    for group in groups {
        let mut worker = pull(worker(&address, group)).await;
        for number in 0..3 {
            let task = next(&mut worker).await;
            assert_eq!((text(task.body()), &**task.queue()), (&*number.to_string(), group.as_bytes()));
            task.done("").await.unwrap();
        }
    }
    let totals = within("the figures", broker.figures()).await.unwrap().totals;
    assert_eq!((totals.accepted, totals.conservation_error()), (6, 0));
}

//! Peers that mean no good, or know no better: each is limited and counted, and nobody else notices.

use sinew::Message;
use sinew::pool::{Broker, CallError, Policy, RejectReason};

use crate::kit::{broker, client, dealer, next, pull, start, text, until, within, worker, workers};
use crate::raw::{DONE, SUBMIT, TASK, WORKER_HEARTBEAT, header, with_meta, worker_hello};

/// That others are served as if nothing was.
async fn serves(address: &str) {
    let mut worker = pull(worker(address, "others")).await;
    let client = client(address).await;
    let call = client.call("others", "").into_future();
    let serve = async { next(&mut worker).await.done("served").await.unwrap() };
    let (answer, ()) = tokio::join!(within("an answer", call), serve);
    assert_eq!(answer.unwrap(), "served");
}

#[tokio::test]
async fn garbage_is_counted_and_ignored() {
    let (broker, address) = broker().await;
    let long = vec![b'x'; 300];
    // {"q": a name of 300 bytes}
    let mut long_name = vec![0x81, 0xa1, b'q', 0xc5, 0x01, 0x2c];
    long_name.extend(&long);
    // An array that claims four thousand million entries.
    let many = [0x81, 0xa1, b't', 0xdd, 0xff, 0xff, 0xff, 0xff];
    let garbage: Vec<Message> = vec![
        "".into(),
        "SWP1".into(),
        vec![0xff; 24].into(),
        header(0x99, 1, 1, 1).into(),
        header(TASK, 1, 1, 1).into(),
        header(SUBMIT, 1, 0, 0).into(),
        with_meta(header(SUBMIT, 1, 0, 0), b"no map").into(),
        with_meta(header(SUBMIT, 1, 0, 0), &long_name).into(),
        with_meta(header(SUBMIT, 1, 0, 0), &many).into(),
        with_meta(header(SUBMIT, 1, 0, 0), &vec![0xc1; 300 * 1024]).into(),
        ["", "MDPC01"].into(),
        ["", "MDPW01", "\u{7}"].into(),
        ["", "MDPW02", "\u{1}", ""].into(),
    ];
    let mut count = 0;
    for message in &garbage {
        // One who says nothing else, and one who says it all.
        let alone = dealer(&address).await;
        alone.send(message.clone()).await.unwrap();
        count += 1;
        until(&broker, |figures| figures.malformed == count).await;
        alone.close().await;
    }
    let all = dealer(&address).await;
    for message in garbage {
        all.send(message).await.unwrap();
        count += 1;
    }
    until(&broker, |figures| figures.malformed == count).await;
    serves(&address).await;
}

#[tokio::test]
async fn a_submission_that_makes_no_sense_is_refused_not_forgotten() {
    let (_broker, address) = broker().await;
    let client = client(&address).await;
    let long = "x".repeat(256);
    let calls = [
        client.call(long.as_str(), ""),
        client.call("", ""),
        client.call("q", "").key(long.as_str()),
        client.call("q", "").dedup(""),
        client.call("q", "").tags([long.as_str()]),
        client.call("q", "").tags((0..17).map(|tag| tag.to_string())),
        client.call("q", "").priority(10),
    ];
    for call in calls {
        let error = within("a refusal", call.into_future()).await.unwrap_err();
        assert!(matches!(error, CallError::Rejected { reason: RejectReason::Invalid, .. }), "{error}");
    }
}

#[tokio::test]
async fn names_of_queues_come_to_an_end() {
    let (broker, address) = broker().await;
    let client = client(&address).await;
    client.submit("known", "").await.unwrap();
    let mut refused = 0;
    for number in 0..10_050 {
        match client.submit(format!("queue-{number}"), "").await {
            Ok(_) => {}
            Err(CallError::Rejected { reason: RejectReason::UnknownQueue, .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((refused, broker.figures().await.unwrap().queues.len()), (51, 10_000));
    client.submit("known", "").await.unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_read_its_results_is_cut_off() {
    let (broker, address) = start(Broker::builder().max_backlog(1 << 20)).await;
    let greedy = dealer(&address).await;
    // {"q": "big"}
    let meta = [0x81, 0xa1, b'q', 0xa3, b'b', b'i', b'g'];
    for id in 0..2000 {
        greedy.send(with_meta(header(SUBMIT, id, 0, 0), &meta)).await.unwrap();
    }
    until(&broker, |figures| figures.totals.accepted == 2000).await;
    let mut worker = pull(worker(&address, "big").capacity(16)).await;
    let result = Message::from(vec![0; 64 * 1024]);
    let work = async {
        while let Ok(task) = worker.recv().await {
            // Those of a client that is gone are cancelled.
            let _ = task.done(result.clone()).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = until(&broker, |figures| figures.cut_off == 1) => {}
    }
    drop(worker);
    serves(&address).await;
}

#[tokio::test]
async fn a_worker_that_asks_and_does_not_read_is_cut_off() {
    let (broker, address) = broker().await;
    let deaf = dealer(&address).await;
    let asking = async {
        // It has never introduced itself, and is told so each time.
        while deaf.send(header(WORKER_HEARTBEAT, 0, 0, 0)).await.is_ok() {}
    };
    tokio::select! {
        () = asking => {}
        () = until(&broker, |figures| figures.cut_off >= 1) => {}
    }
    drop(deaf);
    serves(&address).await;
}

#[tokio::test]
async fn nobody_answers_for_somebody_else() {
    let (broker, address) = broker().await;
    let mut owner = pull(worker(&address, "mine")).await;
    workers(&broker, 1).await;
    let client = client(&address).await;
    let call = client.call("mine", "").into_future();
    let serve = async {
        let task = next(&mut owner).await;
        let thief = dealer(&address).await;
        thief.send(worker_hello("theirs", 8)).await.unwrap();
        let guesses = [(task.id(), 1), (task.id(), 0), (task.id() + 1, 1), (0, 0), (u64::MAX, u32::MAX)];
        for (task, attempt) in guesses {
            let answer = [header(DONE, task, attempt, 0), b"stolen".to_vec()];
            thief.send(answer).await.unwrap();
        }
        until(&broker, |figures| figures.totals.stale == 5).await;
        task.done("mine").await.unwrap();
    };
    let (answer, ()) = tokio::join!(within("an answer", call), serve);
    assert_eq!(text(&answer.unwrap()), "mine");
}

#[tokio::test]
async fn all_queues_together_have_a_limit() {
    let policy = Policy::default().max_bytes(1 << 20);
    let (broker, address) = start(Broker::builder().default_policy(policy).max_memory(2 << 20)).await;
    let client = client(&address).await;
    let body = vec![0; 512 * 1024];
    for queue in ["a", "b", "c"] {
        client.submit(queue, body.clone()).await.unwrap();
    }
    let error = client.submit("d", body.clone()).await.unwrap_err();
    assert!(matches!(error, CallError::Rejected { reason: RejectReason::QueueFull, .. }), "{error}");
    broker.purge("a");
    client.submit("d", body).await.unwrap();
    assert_eq!(broker.figures().await.unwrap().totals.conservation_error(), 0);
}

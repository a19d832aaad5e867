//! Peers that speak something else: Majordomo in its versions, and programs that know no pool. Played by hand, frame by
//! frame.

use std::time::Duration;

use sinew::pool::{Broker, Failure, Job};
use sinew::{Dealer, Message, Req};

use crate::kit::{broker, client, dealer, next, pull, start, text, until, within, worker, workers};

async fn recv(dealer: &Dealer) -> Vec<Vec<u8>> {
    let message = within("a message", dealer.recv()).await.unwrap();
    message.frames().map(|frame| frame.to_vec()).collect()
}

/// The next message that is no heartbeat.
async fn recv_task(dealer: &Dealer, front: usize) -> Vec<Vec<u8>> {
    loop {
        let frames = recv(dealer).await;
        if frames[front] == b"\x02" {
            return frames;
        }
    }
}

fn message(parts: &[&[u8]]) -> Message {
    parts.iter().copied().collect()
}

/// Of each dialect: what stands in front, the number of a reply, and of a heartbeat.
type Front = &'static [&'static [u8]];
type Dialect = (Front, u8, u8);
const DIALECTS: [Dialect; 3] = [(&[b"", b"MDPW01"], 3, 4), (&[b"MDPW02"], 4, 5), (&[b"", b"MDPW02"], 4, 5)];

#[tokio::test]
async fn m25_a_worker_of_each_dialect_serves_our_client() {
    for (front, reply, _) in DIALECTS {
        let (broker, address) = broker().await;
        let worker = dealer(&address).await;
        worker.send(message(&[front, &[b"\x01", b"echo"]].concat())).await.unwrap();
        workers(&broker, 1).await;
        let client = client(&address).await;
        for round in ["one", "two"] {
            let call = client.call("echo", round).into_future();
            let serve = async {
                let frames = recv_task(&worker, front.len()).await;
                let [address, empty, body] = &frames[front.len() + 1..] else { panic!("{frames:?}") };
                assert_eq!((empty.as_slice(), body.as_slice()), (&b""[..], round.as_bytes()));
                let reply = [reply];
                let answer = [front, &[reply.as_slice(), address, b"", b"answer"]].concat();
                worker.send(message(&answer)).await.unwrap();
            };
            let (answer, ()) = tokio::join!(within("an answer", call), serve);
            assert_eq!(answer.unwrap(), "answer");
        }
    }
}

#[tokio::test]
async fn m25_a_client_of_each_dialect_is_served_by_our_worker() {
    let (_broker, address) = broker().await;
    let mut worker = pull(worker(&address, "echo")).await;
    let cases: [(Front, Front); 3] = [
        (&[b"", b"MDPC01", b"echo", b"a", b"b"], &[b"", b"MDPC01", b"echo", b"A"]),
        (&[b"MDPC02", b"\x01", b"echo", b"a", b"b"], &[b"MDPC02", b"\x03", b"echo", b"A"]),
        (&[b"", b"MDPC02", b"\x01", b"echo", b"a", b"b"], &[b"", b"MDPC02", b"\x03", b"echo", b"A"]),
    ];
    for (request, reply) in cases {
        let client = dealer(&address).await;
        client.send(message(request)).await.unwrap();
        let task = next(&mut worker).await;
        assert_eq!(*task.body(), ["a", "b"]);
        task.done("A").await.unwrap();
        assert_eq!(recv(&client).await, reply);
    }
}

#[tokio::test]
async fn a_second_version_client_gets_parts() {
    let (_broker, address) = broker().await;
    let mut worker = pull(worker(&address, "parts")).await;
    let client = dealer(&address).await;
    client.send(["MDPC02", "\x01", "parts", "go"]).await.unwrap();
    let task = next(&mut worker).await;
    task.partial("first").await.unwrap();
    task.done("last").await.unwrap();
    assert_eq!(recv(&client).await, [&b"MDPC02"[..], b"\x02", b"parts", b"first"]);
    assert_eq!(recv(&client).await, [&b"MDPC02"[..], b"\x03", b"parts", b"last"]);
}

/// What the guide's broker forgets: a worker that dies while it is busy.
#[tokio::test]
async fn the_request_of_a_majordomo_worker_that_dies_busy_goes_to_another() {
    let (broker, address) = broker().await;
    let client = client(&address).await;
    let first = dealer(&address).await;
    first.send(["", "MDPW01", "\x01", "echo"]).await.unwrap();
    workers(&broker, 1).await;
    let call = client.call("echo", "one").into_future();
    let serve = async {
        recv_task(&first, 2).await;
        drop(first);
        let second = dealer(&address).await;
        second.send(["", "MDPW01", "\x01", "echo"]).await.unwrap();
        let frames = recv_task(&second, 2).await;
        let answer: [&[u8]; 6] = [b"", b"MDPW01", b"\x03", &frames[3], b"", b"by the second"];
        second.send(message(&answer)).await.unwrap();
    };
    let (answer, ()) = tokio::join!(within("an answer", call), serve);
    assert_eq!(answer.unwrap(), "by the second");
}

/// A worker of the guide does not speak while it works.
#[tokio::test]
async fn a_busy_majordomo_worker_may_be_silent_for_long() {
    let (broker, address) = start(Broker::builder().heartbeat(Duration::from_millis(20), 3)).await;
    let worker = dealer(&address).await;
    worker.send(["", "MDPW01", "\x01", "echo"]).await.unwrap();
    workers(&broker, 1).await;
    let client = client(&address).await;
    let call = client.call("echo", "one").into_future();
    let serve = async {
        let task = recv_task(&worker, 2).await;
        // The broker's own heartbeats are the clock: thirty of them, of which three without ours would be too many.
        for _ in 0..30 {
            assert_eq!(recv(&worker).await, [&b""[..], b"MDPW01", b"\x04"]);
        }
        let answer: [&[u8]; 6] = [b"", b"MDPW01", b"\x03", &task[3], b"", b"at last"];
        worker.send(message(&answer)).await.unwrap();
    };
    let (answer, ()) = tokio::join!(within("an answer", call), serve);
    assert_eq!(answer.unwrap(), "at last");
    assert_eq!(broker.figures().await.unwrap().queues[0].counters.redelivered, 0);
}

#[tokio::test]
async fn a_worker_that_disconnects_gets_nothing_more() {
    let (broker, address) = broker().await;
    let worker = dealer(&address).await;
    worker.send(["", "MDPW01", "\x01", "echo"]).await.unwrap();
    workers(&broker, 1).await;
    worker.send(["", "MDPW01", "\x05"]).await.unwrap();
    workers(&broker, 0).await;
}

#[tokio::test]
async fn the_broker_answers_for_itself() {
    let (broker, address) = broker().await;
    let _worker = pull(worker(&address, "echo")).await;
    workers(&broker, 1).await;
    let asker = dealer(&address).await;
    for (service, body, expected) in
        [("mmi.service", "echo", "200"), ("mmi.service", "none", "404"), ("mmi.nothing", "echo", "501")]
    {
        asker.send(["", "MDPC01", service, body]).await.unwrap();
        let answer = recv(&asker).await;
        assert_eq!(answer, [b"", b"MDPC01".as_slice(), service.as_bytes(), expected.as_bytes()]);
    }
    let client = client(&address).await;
    let queues = client.call("mmi.queues", "").await.unwrap();
    assert!(text(&queues).starts_with("[{\"name\":\"echo\",\"waiting\":0,"), "{queues:?}");
    let workers = client.call("mmi.workers", "").await.unwrap();
    assert!(text(&workers).contains("\"availability\":\"available\""), "{workers:?}");
    let ticket = client.submit("nobody", "").await.unwrap();
    assert!(client.status(ticket).await.unwrap().contains("worker"));
    let explained = client.call("mmi.explain", "1234567").await.unwrap();
    assert!(text(&explained).starts_with("{\"task\":1234567,\"state\":"), "{explained:?}");
}

#[tokio::test]
async fn programs_that_know_no_pool_are_served_and_serve() {
    let broker = Broker::builder()
        .plain_clients("tcp://127.0.0.1:0", "plain")
        .plain_workers("tcp://127.0.0.1:0", "plain")
        .heartbeat(Duration::from_millis(20), 3)
        .start()
        .await
        .unwrap();
    let [clients_at, workers_at] = broker.endpoints() else { panic!("two endpoints") };
    let worker = Req::new();
    worker.connect(workers_at).await.unwrap();
    worker.send("READY").await.unwrap();
    workers(&broker, 1).await;
    let client = Req::new();
    client.connect(clients_at).await.unwrap();
    for round in ["one", "two"] {
        client.send(round).await.unwrap();
        let request = within("a request", worker.recv()).await.unwrap();
        assert_eq!((request.frame_count(), &request[1], &request[2]), (3, &"".into(), &round.into()));
        worker.send([request[0].clone(), "".into(), "answer".into()]).await.unwrap();
        assert_eq!(within("an answer", client.recv()).await.unwrap(), "answer");
    }
    assert_eq!(broker.figures().await.unwrap().queues[0].counters.redelivered, 0);
}

#[tokio::test]
async fn nonsense_is_counted_and_harms_nobody() {
    let (broker, address) = broker().await;
    let stranger = dealer(&address).await;
    for nonsense in [message(&[b"hello"]), message(&[b""]), message(&[b"SWP1"]), message(&[b"", b"MDPC01"])] {
        stranger.send(nonsense).await.unwrap();
    }
    until(&broker, |figures| figures.malformed == 4).await;
    let mut worker = pull(worker(&address, "echo")).await;
    let client = client(&address).await;
    let serve = async { next(&mut worker).await.done("fine").await.unwrap() };
    let (answer, ()) = tokio::join!(client.call("echo", "").into_future(), serve);
    assert_eq!(answer.unwrap(), "fine");
}

/// As the guide's `mdclient2` does: far more than any queue between them holds.
#[tokio::test]
async fn m25_a_client_that_asks_everything_first_is_answered_everything() {
    let (_broker, address) = broker().await;
    let echo = |job: Job| async move { Ok::<_, Failure>(job.body().clone()) };
    tokio::spawn(worker(&address, "echo").capacity(64).serve_until(std::future::pending(), echo));
    let client = dealer(&address).await;
    let body = vec![b'x'; 256];
    for _ in 0..10_000 {
        within("room", client.send(message(&[b"", b"MDPC01", b"echo", &body]))).await.unwrap();
    }
    for _ in 0..10_000 {
        assert_eq!(recv(&client).await, [&b""[..], b"MDPC01", b"echo", &body]);
    }
}

//! What goes on under a socket's locks: no user's code, and no more than a step of what a caller or a peer chose. And what
//! readiness and unpolled futures promise.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use sinew::{
    ConnectionOptions, Context, EventKind, Options, Pub, Pull, Push, Rep, Req, Router, SendErrorKind, Sub,
};
use tokio::time::{Duration, Instant};

use crate::kit::{Soon, bind, inproc};

/// A payload whose end looks at the socket that it was sent by.
struct Owner(Push, Arc<AtomicUsize>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &[7; 8192]
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.0.stats();
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

fn owned(push: &Push, dropped: &Arc<AtomicUsize>) -> Bytes {
    Bytes::from_owner(Owner(push.clone(), dropped.clone()))
}

/// In a thread of its own, because one that waits for a lock of its own waits for ever.
#[test]
fn a_payload_may_use_the_socket_when_it_is_dropped() {
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(drop_payloads());
        done.send(()).unwrap();
    });
    ended.recv_timeout(Duration::from_secs(10)).unwrap();
}

async fn drop_payloads() {
    let dropped = Arc::default();
    let conflating = Push::builder().conflate(true).build().unwrap();
    // Nobody listens: what is queued is replaced, then dropped with the endpoint, then with the socket.
    conflating.connect("tcp://127.0.0.1:9").soon().await.unwrap();
    for _ in 0..3 {
        conflating.send(owned(&conflating, &dropped)).soon().await.unwrap();
    }
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
    conflating.disconnect("tcp://127.0.0.1:9").unwrap();
    let push = Push::builder().linger(Duration::ZERO).build().unwrap();
    let pull = Pull::builder().conflate(true).build().unwrap();
    pull.bind("inproc://a-payload-may-use-the-socket").soon().await.unwrap();
    push.connect("inproc://a-payload-may-use-the-socket").soon().await.unwrap();
    for _ in 0..3 {
        push.send(owned(&push, &dropped)).soon().await.unwrap();
    }
    drop(pull.recv().soon().await.unwrap());
    push.send(owned(&push, &dropped)).soon().await.unwrap();
    pull.close().soon().await;
    push.close().soon().await;
}

#[tokio::test]
async fn c7_what_a_newer_message_takes_the_place_of_is_counted_where_it_is_received() {
    let (push, pull) = (Push::new(), Pull::builder().conflate(true).build().unwrap());
    let endpoint = bind(&pull).await;
    push.connect(&endpoint).soon().await.unwrap();
    for number in 0..100_u8 {
        push.send([number].as_slice()).soon().await.unwrap();
    }
    let mut received = 0;
    while pull.recv().soon().await.unwrap()[0][..] != [99] {
        received += 1;
    }
    assert_eq!(pull.stats().dropped.high_water_mark, 99 - received);
}

/// Else each message to one peer would wake all that wait for others.
#[tokio::test]
async fn senders_to_other_peers_are_not_woken_for_this_one() {
    let router = Router::builder().mandatory(true).send_hwm(1).build().unwrap();
    router.connect_as("tcp://127.0.0.1:9", "stuck").soon().await.unwrap();
    router.send("stuck", "fills it").soon().await.unwrap();
    let polls = Arc::new(AtomicUsize::new(0));
    let waiting: Vec<_> = (0..100)
        .map(|_| {
            let (router, polls) = (router.clone(), polls.clone());
            tokio::spawn(async move {
                let mut sending = std::pin::pin!(router.send("stuck", "waits"));
                std::future::poll_fn(|cx| {
                    polls.fetch_add(1, Ordering::Relaxed);
                    sending.as_mut().poll(cx)
                })
                .await
            })
        })
        .collect();
    let dealer = sinew::Dealer::builder().routing_id("moving").build().unwrap();
    dealer.connect(&bind(&router).await).soon().await.unwrap();
    router.wait_for_peers(1).soon().await.unwrap();
    let before = polls.load(Ordering::Relaxed);
    for number in 0..200_u8 {
        router.send("moving", [number].as_slice()).soon().await.unwrap();
        assert_eq!(dealer.recv().soon().await.unwrap()[0][..], [number]);
    }
    assert!(polls.load(Ordering::Relaxed) - before < 1000, "{polls:?} polls");
    router.close().soon().await;
    for waiting in waiting {
        assert_eq!(waiting.soon().await.unwrap().unwrap_err().kind(), SendErrorKind::Closed);
    }
}

#[tokio::test]
async fn ready_means_that_a_publisher_that_waits_for_all_can_send() {
    let publisher = Pub::builder().no_drop(true).send_hwm(2).build().unwrap();
    let subscriber = Sub::builder().subscribe("").recv_hwm(1).build().unwrap();
    subscriber.connect("inproc://ready-means-ready").soon().await.unwrap();
    publisher.bind("inproc://ready-means-ready").soon().await.unwrap();
    publisher.wait_for_subscribers(1).soon().await.unwrap();
    while publisher.try_send("fills it").is_ok() {}
    let ready = publisher.clone();
    let mut ready = tokio::spawn(async move { ready.send_ready().await });
    tokio::task::yield_now().await;
    assert!(!ready.is_finished());
    while subscriber.try_recv().is_ok() {}
    (&mut ready).soon().await.unwrap().unwrap();
    publisher.try_send("there is room").unwrap();
}

#[tokio::test]
async fn a_request_that_was_never_polled_drops_no_reply() {
    let (server, client) = (Rep::new(), Req::builder().relaxed(true).build().unwrap());
    server.bind("inproc://never-polled").soon().await.unwrap();
    client.connect("inproc://never-polled").soon().await.unwrap();
    client.send("request").soon().await.unwrap();
    server.send(server.recv().soon().await.unwrap()).soon().await.unwrap();
    drop(client.send("another"));
    drop(client.request("another"));
    assert_eq!(client.try_recv().unwrap(), "request");
}

#[tokio::test]
async fn many_are_received_in_steps_and_in_order() {
    let (push, pull) = (Push::new(), Pull::new());
    pull.bind("inproc://many-in-steps").soon().await.unwrap();
    push.connect("inproc://many-in-steps").soon().await.unwrap();
    for number in 0..1500_u32 {
        push.send(number.to_be_bytes().as_slice()).soon().await.unwrap();
    }
    let mut messages = Vec::new();
    assert_eq!(pull.recv_many(&mut messages, usize::MAX).soon().await.unwrap(), 1500);
    let numbers = messages.iter().map(|message| u32::from_be_bytes(message[0][..].try_into().unwrap()));
    assert!(numbers.eq(0..1500));
}

#[tokio::test]
async fn setters_commute_and_reconnecting_that_is_off_stays_off() {
    let second = Duration::from_secs(1);
    let pushes = [
        Push::builder().reconnect(false).reconnect_max(second).reconnect_interval(second),
        Push::builder().reconnect_interval(second).reconnect_max(second).reconnect(false),
        Push::builder().options(&Options::new().reconnect(false)),
    ];
    for push in pushes {
        let push = push.build().unwrap();
        let mut monitor = push.monitor();
        push.connect("tcp://127.0.0.1:9").soon().await.unwrap();
        loop {
            match monitor.recv().soon().await.unwrap().kind {
                EventKind::GaveUp => break,
                kind => assert!(!matches!(kind, EventKind::Retrying(_))),
            }
        }
    }
}

#[tokio::test]
async fn one_socket_faces_two_networks() {
    let pull = Pull::new();
    let strict = ConnectionOptions::new().max_message_size(10);
    let strict = pull.bind_with("tcp://127.0.0.1:0", &strict).soon().await.unwrap();
    let lax = bind(&pull).await;
    let mut monitor = pull.monitor();
    let (stranger, friend) = (Push::new(), Push::new());
    stranger.connect(&strict).soon().await.unwrap();
    friend.connect_with(&lax, &ConnectionOptions::new().reconnect(false)).soon().await.unwrap();
    stranger.send("more than ten bytes").soon().await.unwrap();
    while !matches!(monitor.recv().soon().await.unwrap().kind, EventKind::Disconnected(_)) {}
    friend.send("more than ten bytes").soon().await.unwrap();
    assert_eq!(pull.recv().soon().await.unwrap(), "more than ten bytes");
    let wrong = ConnectionOptions::new().handshake_timeout(Duration::ZERO);
    assert!(pull.bind_with("tcp://127.0.0.1:0", &wrong).soon().await.is_err());
    assert!(friend.connect_with(&lax, &wrong).soon().await.is_err());
}

#[test]
fn a_socket_whose_runtime_has_ended_says_so() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (push, pull) = (Push::new(), Pull::new());
    runtime.block_on(async {
        push.connect(&bind(&pull).await).soon().await.unwrap();
        push.send("one").soon().await.unwrap();
        pull.recv().soon().await.unwrap();
    });
    drop(runtime);
    assert_eq!(push.try_send("nobody will write this").unwrap_err().kind(), SendErrorKind::RuntimeEnded);
    assert_eq!(pull.try_recv().unwrap_err(), sinew::RecvError::RuntimeEnded);
}

#[test]
fn outside_a_runtime_binding_needs_a_context_with_one() {
    futures::executor::block_on(async {
        assert!(matches!(Pull::new().bind("tcp://127.0.0.1:0").await, Err(sinew::BindError::NoRuntime)));
        let connected = Push::new().connect("tcp://127.0.0.1:9").await;
        assert_eq!(connected, Err(sinew::ConnectError::NoRuntime));
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let context = Context::on(runtime.handle());
    futures::executor::block_on(async {
        let pull = Pull::builder().context(&context).build().unwrap();
        let push = Push::builder().context(&context).build().unwrap();
        push.connect(&pull.bind("tcp://127.0.0.1:0").await.unwrap()).await.unwrap();
        push.send("from a thread without a runtime").await.unwrap();
        assert_eq!(pull.recv().await.unwrap(), "from a thread without a runtime");
    });
}

#[tokio::test]
async fn a_context_closes_all_its_sockets_and_says_what_was_left() {
    let context = Context::new();
    let pushes = [(); 2].map(|()| Push::builder().context(&context).linger(None).build().unwrap());
    for push in &pushes {
        push.connect("tcp://127.0.0.1:9").soon().await.unwrap();
        push.send("for nobody").soon().await.unwrap();
    }
    let (other, begin) = (Push::new(), Instant::now());
    other.connect("tcp://127.0.0.1:9").soon().await.unwrap();
    let closed = context.shutdown(Duration::from_millis(50)).soon().await;
    assert_eq!(closed.undelivered, 2);
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert_eq!(pushes[0].try_send("late").unwrap_err().kind(), SendErrorKind::Closed);
    other.try_send("of another context").unwrap();
}

/// A socket that is closing already, and would linger for ever, is hurried.
#[tokio::test]
async fn a_context_that_ends_hurries_those_that_linger() {
    let context = Context::new();
    let push = Push::builder().context(&context).linger(None).build().unwrap();
    push.connect("tcp://127.0.0.1:9").soon().await.unwrap();
    push.send("for nobody").soon().await.unwrap();
    let mut closing = Box::pin(push.close());
    assert!(futures::poll!(&mut closing).is_pending());
    tokio::task::yield_now().await;
    assert_eq!(context.shutdown(Duration::from_millis(50)).soon().await.undelivered, 1);
    assert_eq!(closing.soon().await.undelivered, 1);
}

/// More subscribers than get their copies under one hold of the lock.
#[tokio::test]
async fn every_one_of_many_subscribers_gets_every_message_in_order() {
    for no_drop in [false, true] {
        let publisher = Pub::builder().no_drop(no_drop).build().unwrap();
        let endpoint = publisher.bind(inproc()).await.unwrap();
        let mut subs = Vec::new();
        for _ in 0..600 {
            let sub = Sub::builder().subscribe("").build().unwrap();
            sub.connect(&endpoint).await.unwrap();
            subs.push(sub);
        }
        publisher.wait_for_subscribers(600).soon().await.unwrap();
        for number in 0..3 {
            publisher.send(number.to_string()).soon().await.unwrap();
        }
        publisher.try_send("3").unwrap();
        let mut more = (4..8).map(|number| number.to_string().into()).collect();
        publisher.send_many(&mut more).soon().await.unwrap();
        for sub in &subs {
            for number in 0..8 {
                assert_eq!(sub.try_recv().unwrap(), number.to_string());
            }
        }
        let stats = publisher.stats();
        assert_eq!((stats.peers.len(), stats.dropped.high_water_mark), (600, 0));
        subs.truncate(1);
        publisher.send("left").soon().await.unwrap();
        assert_eq!(subs[0].recv().soon().await.unwrap(), "left");
    }
}

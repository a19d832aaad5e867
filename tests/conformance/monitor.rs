//! G3: the order of events, and that they name the peer.

use std::time::Duration;

use sinew::{DisconnectReason, DropReason, EventKind, Monitor, Pub, Pull, Push, Rep, Router};

use crate::kit::{Soon, answer, bind, counted, raw, raw_named, raw_server, until, unused_tcp};
use crate::support::raw_peer::RawListener;

async fn kinds(monitor: &mut Monitor, count: usize) -> Vec<EventKind> {
    let mut kinds = Vec::new();
    for _ in 0..count {
        kinds.push(monitor.recv().soon().await.unwrap().kind);
    }
    kinds
}

#[tokio::test]
async fn g3_1_the_order_on_the_listening_side() {
    let pull = Pull::new();
    let mut monitor = pull.monitor();
    let endpoint = bind(&pull).await;
    let mut peer = crate::support::raw_peer::RawPeer::connect(&endpoint).await;
    peer.handshake("PUSH", 1).await;
    pull.wait_for_peers(1).soon().await.unwrap();
    drop(peer);
    let first = monitor.recv().soon().await.unwrap();
    assert_eq!((first.kind, &*first.endpoint), (EventKind::Listening, &endpoint[..]));
    assert_eq!(
        kinds(&mut monitor, 3).await,
        [
            EventKind::Accepted,
            EventKind::HandshakeSucceeded,
            EventKind::Disconnected(DisconnectReason::ClosedByPeer)
        ]
    );
    pull.close().soon().await;
    assert_eq!(kinds(&mut monitor, 1).await, [EventKind::ListenerClosed]);
    drop(pull);
    assert!(monitor.recv().soon().await.is_none());
}

#[tokio::test]
async fn g3_1_the_order_on_the_connecting_side() {
    let listener = RawListener::bind().await;
    let push = Push::new();
    let mut monitor = push.monitor();
    push.connect(listener.endpoint()).await.unwrap();
    let (peer, _) = answer(&listener, "PULL", 1).await;
    push.wait_for_peers(1).soon().await.unwrap();
    drop(peer);
    let events = kinds(&mut monitor, 6).await;
    let EventKind::Retrying(delay) = events[4] else { panic!("{events:?}") };
    assert!(delay <= Duration::from_millis(100));
    let expected = [
        EventKind::Connecting,
        EventKind::Connected,
        EventKind::HandshakeSucceeded,
        EventKind::Disconnected(DisconnectReason::ClosedByPeer),
        EventKind::Retrying(delay),
        EventKind::Connecting,
    ];
    assert_eq!(events, expected);
}

#[tokio::test]
async fn g3_1_the_order_where_nobody_answers() {
    let push = Push::new();
    let mut monitor = push.monitor();
    push.connect(unused_tcp()).await.unwrap();
    let events = kinds(&mut monitor, 4).await;
    let order = matches!(
        &events[..],
        [EventKind::Connecting, EventKind::ConnectFailed(error), EventKind::Retrying(_), EventKind::Connecting]
            if error.kind() == std::io::ErrorKind::ConnectionRefused && error.raw_os_error().is_some()
    );
    assert!(order, "{events:?}");
}

#[tokio::test]
async fn g3_2_giving_up_is_the_last_event() {
    let push = Push::builder().reconnect(false).build().unwrap();
    let mut monitor = push.monitor();
    push.connect(unused_tcp()).await.unwrap();
    let events = kinds(&mut monitor, 3).await;
    let order =
        matches!(&events[..], [EventKind::Connecting, EventKind::ConnectFailed(_), EventKind::GaveUp]);
    assert!(order, "{events:?}");
}

#[tokio::test]
async fn g3_4_a_reader_that_falls_behind_misses_the_oldest_and_knows_how_many() {
    let pull = Pull::new();
    let mut monitor = pull.monitor();
    for _ in 0..600 {
        let endpoint = pull.bind("tcp://127.0.0.1:0").soon().await.unwrap();
        pull.unbind(&endpoint).unwrap();
        tokio::task::yield_now().await;
    }
    pull.close().soon().await;
    drop(pull);
    let mut read = 0;
    while monitor.recv().soon().await.is_some() {
        read += 1;
    }
    assert_eq!((read + monitor.missed(), read), (1200, 1024));
}

#[tokio::test]
async fn losses_are_told_with_their_number_and_reason() {
    let push = Push::builder().send_buffer(4096).build().unwrap();
    let mut monitor = push.monitor();
    let mut peer = raw(&push).await;
    for _ in 0..3 {
        push.send(vec![0; 4_000_000]).soon().await.unwrap();
    }
    peer.recv_raw(10).await;
    peer.reset();
    let dropped = EventKind::Dropped { reason: DropReason::Disconnect, count: 3 };
    let event = until(&mut monitor, dropped).await;
    assert!(event.peer.is_some());
}

/// The doc of `EventKind::Dropped`: the first at a high-water mark, until there is room again.
#[tokio::test]
async fn a_publisher_s_drops_at_the_mark_are_told_once() {
    let publisher = Pub::builder().send_hwm(1).send_buffer(4096).linger(Duration::ZERO).build().unwrap();
    let mut monitor = publisher.monitor();
    let mut peer = raw(&publisher).await;
    peer.send_command("SUBSCRIBE", b"").await;
    publisher.wait_for_subscribers(1).soon().await.unwrap();
    for _ in 0..5 {
        publisher.send(vec![0; 8_000_000]).soon().await.unwrap();
    }
    assert_eq!(publisher.stats().dropped.high_water_mark, 4);
    let dropped = EventKind::Dropped { reason: DropReason::HighWaterMark, count: 1 };
    let told = until(&mut monitor, dropped.clone()).await;
    assert!(told.peer.is_some());
    // There is room again, and again none.
    peer.recv_msg().await;
    counted(&publisher, |stats| stats.queued == 0).await;
    for _ in 0..2 {
        publisher.send(vec![0; 8_000_000]).soon().await.unwrap();
    }
    until(&mut monitor, dropped.clone()).await;
    publisher.close().soon().await;
    drop((publisher, peer));
    while let Some(event) = monitor.recv().soon().await {
        assert_ne!(event.kind, dropped, "told more than once");
    }
}

#[tokio::test]
async fn a_router_s_and_a_rep_s_drops_at_the_mark_are_told_once() {
    const LARGE: usize = 8_000_000;
    let dropped = EventKind::Dropped { reason: DropReason::HighWaterMark, count: 1 };
    let router = Router::builder().send_hwm(1).send_buffer(4096).build().unwrap();
    let mut monitor = router.monitor();
    let endpoint = bind(&router).await;
    let _peer = raw_named(&endpoint, "DEALER", b"slow").await;
    router.wait_for_peers(1).soon().await.unwrap();
    for _ in 0..3 {
        router.send("slow", vec![0; LARGE]).soon().await.unwrap();
    }
    until(&mut monitor, dropped.clone()).await;
    assert_eq!(router.stats().dropped.high_water_mark, 2);

    let rep = Rep::builder().send_hwm(1).send_buffer(4096).build().unwrap();
    let mut monitor = rep.monitor();
    let mut peer = raw(&rep).await;
    for _ in 0..3 {
        peer.send_msg(&[b"", b"request"]).await;
        rep.recv().soon().await.unwrap();
        rep.send(vec![0; LARGE]).soon().await.unwrap();
    }
    until(&mut monitor, dropped).await;
    assert_eq!(rep.stats().dropped.high_water_mark, 2);
}

#[tokio::test]
async fn g3_6_inproc_causes_no_events_of_connections() {
    let context = sinew::Context::new();
    let (push, pull) = (
        Push::builder().context(&context).build().unwrap(),
        Pull::builder().context(&context).build().unwrap(),
    );
    let (mut of_push, mut of_pull) = (push.monitor(), pull.monitor());
    crate::kit::join(crate::kit::Medium::Inproc, &pull, &push).await;
    push.send("x").soon().await.unwrap();
    pull.recv().soon().await.unwrap();
    push.close().soon().await;
    pull.close().soon().await;
    drop((push, pull));
    assert!(of_push.recv().soon().await.is_none());
    assert!(of_pull.recv().soon().await.is_none());
}

#[tokio::test]
async fn stats_tell_each_peer_apart() {
    let push = Push::new();
    let (_listener, mut first) = raw_server(&push).await;
    let mut second = raw(&push).await;
    for _ in 0..4 {
        push.send("x").soon().await.unwrap();
    }
    for peer in [&mut first, &mut second] {
        peer.recv_msg().await;
        peer.recv_msg().await;
    }
    let stats = counted(&push, |stats| stats.sent == 4).await;
    assert_eq!(stats.peers.iter().map(|peer| peer.sent).collect::<Vec<_>>(), [2, 2]);
    assert!(stats.peers.iter().all(|peer| peer.address.is_some() && peer.queued == 0));
}

//! C1 to C7: high-water marks, linger, close, conflation.

use std::time::Duration;

use sinew::{
    Dealer, Pair, Pub, Pull, Push, Receiving, RecvError, Router, SendErrorKind, Sending, Socket, SocketType,
    Sub, XSub,
};

use crate::kit::{
    Item, MEDIA, Medium, Soon, answer, bind, counted, disconnected, fill, for_each, inproc, join, make, raw,
    raw_server, unused_tcp,
};
use crate::support::raw_peer::RawListener;

async fn closed_send<S: Sending<Item: Item>>() {
    for medium in MEDIA {
        let socket = S::default();
        socket.bind(&medium.any()).soon().await.unwrap();
        let waiting = socket.clone();
        let waits =
            matches!(S::TYPE, SocketType::Push | SocketType::Dealer | SocketType::Pair | SocketType::Req);
        let blocked =
            waits.then(|| Box::pin(async move { waiting.send(S::Item::of("blocked")).soon().await }));
        let mut blocked = blocked.map(futures::FutureExt::boxed_local);
        if let Some(blocked) = &mut blocked {
            assert!(futures::poll!(blocked).is_pending());
        }
        assert_eq!(socket.close().soon().await.undelivered, 0);
        if let Some(blocked) = blocked {
            assert_eq!(blocked.soon().await.unwrap_err().kind(), SendErrorKind::Closed);
        }
        for message in [&["x"][..], &["\x01topic"], &["a", "b"]] {
            let message: sinew::Message = message.iter().copied().collect();
            let error = socket.send(S::Item::of(message.clone())).soon().await.unwrap_err();
            assert_eq!((error.kind(), error.into_message()), (SendErrorKind::Closed, message.clone()));
            let error = socket.try_send(S::Item::of(message.clone())).unwrap_err();
            assert_eq!((error.kind(), error.into_message()), (SendErrorKind::Closed, message));
        }
    }
}
for_each!(closed_send: Push, Pub, XPub, XSub, Req, Rep, Dealer, Router, Pair);

async fn closed_recv<S: Receiving<Item: Item>>() {
    let socket = S::default();
    let waiting = socket.clone();
    let mut blocked = Box::pin(async move { waiting.recv().soon().await });
    if S::TYPE != SocketType::Req {
        assert!(futures::poll!(&mut blocked).is_pending());
    }
    socket.close().soon().await;
    assert_eq!(blocked.soon().await, Err(RecvError::Closed));
    assert_eq!(socket.recv().soon().await, Err(RecvError::Closed));
    assert_eq!(socket.try_recv(), Err(RecvError::Closed));
}
for_each!(closed_recv: Pull, Sub, XPub, XSub, Req, Rep, Dealer, Router, Pair);

/// C5.3: what is unread when a socket closes is gone, on every type.
async fn recv_after_close<S: Receiving<Item: Item>>() {
    let socket = S::default();
    let mut peer = raw(&socket).await;
    peer.send_msg(&[b"", b"unread"]).await;
    if S::TYPE == SocketType::XPub {
        peer.send_command("SUBSCRIBE", b"x").await;
    }
    if S::TYPE != SocketType::Sub {
        counted(&socket, |stats| stats.unread > 0).await;
    }
    socket.close().soon().await;
    assert_eq!(socket.try_recv(), Err(RecvError::Closed));
    assert_eq!(socket.recv().soon().await, Err(RecvError::Closed));
    assert_eq!(socket.stats().unread, 0);
}
for_each!(recv_after_close: Pull, Sub, XPub, XSub, Req, Rep, Dealer, Router, Pair);

async fn closed_for_everything_else<S: Socket>() {
    let socket = S::default();
    socket.close().soon().await;
    for medium in MEDIA {
        assert!(matches!(socket.bind(&medium.any()).soon().await, Err(sinew::BindError::Closed)));
        assert_eq!(socket.connect(&medium.known()).soon().await, Err(sinew::ConnectError::Closed));
    }
    assert!(socket.wait_for_peers(1).soon().await.is_err());
    assert_eq!(socket.close().soon().await.undelivered, 0);
    assert!(socket.stats().peers.is_empty());
}
for_each!(closed_for_everything_else: Push, Pull, Pub, Sub, XPub, XSub, Req, Rep, Dealer, Router, Pair);

#[tokio::test]
async fn c1_1_the_mark_counts_messages_whatever_their_parts() {
    for parts in [1, 3] {
        let push = Push::builder().send_hwm(10).build().unwrap();
        push.connect(unused_tcp()).await.unwrap();
        let message: sinew::Message = vec!["part"; parts].into_iter().collect();
        for _ in 0..10 {
            push.try_send(message.clone()).unwrap();
        }
        assert_eq!(push.try_send(message).unwrap_err().kind(), SendErrorKind::Full);
        assert_eq!(push.stats().queued, 10);
    }
}

#[tokio::test]
async fn c1_2_the_mark_is_per_peer() {
    let push = Push::builder().send_hwm(10).build().unwrap();
    for _ in 0..3 {
        push.connect(unused_tcp()).await.unwrap();
    }
    assert_eq!(fill(&push), 30);
    let stats = push.stats();
    assert!(stats.peers.iter().all(|peer| peer.queued == 10 && peer.high_water_hits == 1));
}

#[tokio::test]
async fn c1_4_zero_is_no_limit_and_the_default_is_1000() {
    let push = Push::new();
    push.connect(unused_tcp()).await.unwrap();
    assert_eq!(fill(&push), 1000);
    let push = Push::builder().send_hwm(0).build().unwrap();
    push.connect(unused_tcp()).await.unwrap();
    for _ in 0..5000 {
        push.try_send("x").unwrap();
    }
}

/// Limits D31, and D12 inbound.
#[tokio::test]
async fn c1_5_d31_the_byte_budget_holds_and_one_message_always_fits() {
    let push = Push::builder().send_hwm_bytes(10_000).build().unwrap();
    push.connect(unused_tcp()).await.unwrap();
    push.try_send(vec![0; 50_000]).unwrap();
    assert_eq!(push.try_send("x").unwrap_err().kind(), SendErrorKind::Full);
    let push = Push::builder().send_hwm_bytes(10_000).build().unwrap();
    push.connect(unused_tcp()).await.unwrap();
    let mut accepted = 0;
    while push.try_send(vec![0; 1000]).is_ok() {
        accepted += 1;
    }
    assert_eq!(accepted, 9);
    assert!(push.stats().peers[0].queued_bytes <= 10_000);
}

#[tokio::test]
async fn c1_5_d12_the_inbound_byte_budget_is_exceeded_by_what_a_connection_reads_ahead_at_most() {
    const COUNT: u16 = 1000;
    let pull = Pull::builder().recv_hwm_bytes(10_000).build().unwrap();
    let mut peer = raw(&pull).await;
    for i in 0..COUNT {
        peer.send_msg(&[&i.to_be_bytes(), &[0; 1000]]).await;
    }
    counted(&pull, |stats| stats.unread >= 9).await;
    for i in 0..COUNT {
        // The budget, and what two reads of 128 KiB and the 64 KiB between them hold: far from all.
        assert!(pull.stats().unread <= 10 + 320, "{}", pull.stats().unread);
        assert_eq!(pull.recv().soon().await.unwrap()[0], &i.to_be_bytes());
    }
    // One larger than the budget.
    peer.send_msg(&[&[1; 50_000]]).await;
    assert_eq!(pull.recv().soon().await.unwrap()[0].len(), 50_000);
}

/// Ports the idea of libzmq's `test_hwm`: over inproc the marks of both sides are summed.
#[tokio::test]
async fn c2_2_over_inproc_the_marks_are_summed_and_unlimited_if_either_is() {
    for (send, recv, expected) in [(2, 2, Some(4)), (1, 5, Some(6)), (1, 0, None), (0, 1, None)] {
        for connecter_sends in [false, true] {
            let context = sinew::Context::new();
            let push = Push::builder().context(&context).send_hwm(send).build().unwrap();
            let pull = Pull::builder().context(&context).recv_hwm(recv).build().unwrap();
            let name = if connecter_sends {
                join(Medium::Inproc, &pull, &push).await
            } else {
                join(Medium::Inproc, &push, &pull).await
            };
            match expected {
                Some(expected) => assert_eq!(fill(&push), expected, "{send} {recv} {name}"),
                None => (0..5000).for_each(|_| push.try_send("x").unwrap()),
            }
        }
    }
}

#[tokio::test]
async fn c2_2_c2_3_a_connecter_has_its_own_mark_until_bind_and_the_sum_from_then_on() {
    let context = sinew::Context::new();
    let push = Push::builder().context(&context).send_hwm(3).build().unwrap();
    let pull = Pull::builder().context(&context).recv_hwm(5).build().unwrap();
    let name = inproc();
    push.connect(&name[..]).await.unwrap();
    assert_eq!(fill(&push), 3);
    let mut sending = Box::pin(push.send("the fourth"));
    assert!(futures::poll!(&mut sending).is_pending());
    pull.bind(&name[..]).await.unwrap();
    sending.soon().await.unwrap();
    assert_eq!(fill(&push), 4);
    for _ in 0..8 {
        pull.recv().soon().await.unwrap();
    }
    assert_eq!(pull.try_recv(), Err(RecvError::Empty));
}

#[tokio::test]
async fn c2_4_a_full_inbound_queue_stops_reading_for_every_receiving_type() {
    let (pull, router, dealer, pair) = (
        Pull::builder().recv_hwm(5).build().unwrap(),
        Router::builder().recv_hwm(5).build().unwrap(),
        Dealer::builder().recv_hwm(5).build().unwrap(),
        Pair::builder().recv_hwm(5).build().unwrap(),
    );
    let xsub = XSub::builder().recv_hwm(5).build().unwrap();
    macro_rules! check {
        ($($socket:ident),*) => {$(
            let mut peer = raw(&$socket).await;
            for i in 0..100_u8 {
                peer.send_msg(&[&[i]]).await;
            }
            counted(&$socket, |stats| stats.unread == 5).await;
            for i in 0..100_u8 {
                assert_eq!($socket.recv().soon().await.unwrap().into_message(), &[i]);
                assert!($socket.stats().unread <= 5);
            }
        )*};
    }
    check!(pull, router, dealer, pair, xsub);
}

#[tokio::test]
async fn c3_1_c3_2_credit_comes_back_by_half_of_the_mark_at_the_latest() {
    let context = sinew::Context::new();
    let push = Push::builder().context(&context).send_hwm(5).build().unwrap();
    let pull = Pull::builder().context(&context).recv_hwm(5).build().unwrap();
    join(Medium::Inproc, &pull, &push).await;
    assert_eq!(fill(&push), 10);
    for _ in 0..5 {
        pull.recv().soon().await.unwrap();
    }
    assert_eq!(fill(&push), 5);
}

/// After libzmq's `test_sockopt_hwm`: 1 + 1, then 5 + 1.
#[tokio::test]
async fn c4_1_a_raised_mark_applies_to_the_peers_that_are_there_over_inproc_at_both_ends() {
    let context = sinew::Context::new();
    let push = Push::builder().context(&context).send_hwm(1).build().unwrap();
    let pull = Pull::builder().context(&context).recv_hwm(1).build().unwrap();
    join(Medium::Inproc, &pull, &push).await;
    assert_eq!(fill(&push), 2);
    let mut sending = Box::pin(push.send("the third"));
    assert!(futures::poll!(&mut sending).is_pending());
    push.set_send_hwm(5);
    sending.soon().await.unwrap();
    assert_eq!(fill(&push), 3);
    let mut sending = Box::pin(push.send("the seventh"));
    assert!(futures::poll!(&mut sending).is_pending());
    pull.set_recv_hwm(4);
    sending.soon().await.unwrap();
    assert_eq!(fill(&push), 2);
    // Credit comes by halves of the new sum.
    for _ in 0..5 {
        pull.recv().soon().await.unwrap();
    }
    assert_eq!(fill(&push), 5);
    push.set_send_hwm(0);
    (0..5000).for_each(|_| push.try_send("x").unwrap());
}

#[tokio::test]
async fn c4_1_a_raised_send_mark_applies_to_connections_and_to_those_to_come() {
    let push = Push::builder().send_hwm(2).build().unwrap();
    push.connect(unused_tcp()).await.unwrap();
    assert_eq!(fill(&push), 2);
    let mut sending = Box::pin(push.send("the third"));
    assert!(futures::poll!(&mut sending).is_pending());
    push.set_send_hwm(5);
    sending.soon().await.unwrap();
    assert_eq!(fill(&push), 2);
    push.connect(unused_tcp()).await.unwrap();
    assert_eq!(fill(&push), 5);
}

#[tokio::test]
async fn c4_1_a_raised_receive_mark_has_a_stopped_connection_read_on() {
    let pull = Pull::builder().recv_hwm(2).build().unwrap();
    let mut other = raw(&pull).await;
    let mut peer = raw(&pull).await;
    // More than a connection reads ahead of a full queue, with what the kernel holds.
    for _ in 0..20 {
        peer.send_msg(&[&[0; 100_000]]).await;
    }
    counted(&pull, |stats| stats.unread == 2).await;
    // Time enough to read all of it, were the connection not stopped.
    for _ in 0..20 {
        other.settle().await;
    }
    pull.set_recv_hwm(20);
    counted(&pull, |stats| stats.unread == 20).await;
}

#[tokio::test]
async fn c4_2_a_lowered_mark_drops_nothing_and_sends_wait_until_they_are_under_it() {
    let context = sinew::Context::new();
    let push = Push::builder().context(&context).send_hwm(5).build().unwrap();
    let pull = Pull::builder().context(&context).recv_hwm(5).build().unwrap();
    join(Medium::Inproc, &pull, &push).await;
    for i in 0..10_u8 {
        push.try_send([i]).unwrap();
    }
    push.set_send_hwm(1);
    pull.set_recv_hwm(3);
    assert_eq!(push.stats().queued, 10);
    for i in 0..6_u8 {
        assert_eq!(pull.recv().soon().await.unwrap(), &[i]);
        assert_eq!(push.try_send("x").unwrap_err().kind(), SendErrorKind::Full, "{i}");
    }
    for i in 6..10_u8 {
        assert_eq!(pull.recv().soon().await.unwrap(), &[i]);
    }
    assert_eq!(fill(&push), 4);
}

#[tokio::test]
async fn c5_1_c5_2_a_closed_socket_goes_on_to_a_peer_that_is_not_there_yet() {
    for medium in [Medium::Tcp, Medium::Ipc] {
        let endpoint = medium.known();
        let push = Push::new();
        push.connect(&endpoint[..]).await.unwrap();
        push.send(["while", "alone"]).soon().await.unwrap();
        drop(push);
        let pull = Pull::new();
        pull.bind(&endpoint[..]).await.unwrap();
        assert_eq!(pull.recv().soon().await.unwrap(), ["while", "alone"], "{medium:?}");
    }
}

#[tokio::test]
async fn c5_2_more_than_the_kernel_takes_at_once_is_flushed_to_a_late_peer() {
    let endpoint = unused_tcp();
    let push = Push::builder().send_hwm_bytes(0).linger(None).build().unwrap();
    push.connect(&endpoint[..]).await.unwrap();
    for _ in 0..50 {
        push.send(vec![7; 1_000_000]).soon().await.unwrap();
    }
    let closing = tokio::spawn(async move { push.close().await });
    tokio::task::yield_now().await;
    let pull = Pull::builder().recv_hwm(1).build().unwrap();
    pull.bind(&endpoint[..]).await.unwrap();
    for _ in 0..50 {
        assert_eq!(pull.recv().soon().await.unwrap()[0].len(), 1_000_000);
    }
    assert_eq!(closing.soon().await.unwrap().undelivered, 0);
}

#[tokio::test]
async fn c5_1_linger_zero_discards_and_close_reports_it() {
    let push = Push::builder().linger(Duration::ZERO).build().unwrap();
    push.connect(unused_tcp()).await.unwrap();
    for _ in 0..7 {
        push.send("x").soon().await.unwrap();
    }
    let began = std::time::Instant::now();
    assert_eq!(push.close().soon().await.undelivered, 7);
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(push.close().soon().await.undelivered, 7);
    let stats = push.stats();
    assert_eq!((stats.dropped.linger, stats.queued, stats.sent), (7, 0, 0));
}

#[tokio::test]
async fn c5_1_close_returns_when_linger_is_over() {
    let push = Push::builder().linger(Duration::from_millis(200)).send_buffer(4096).build().unwrap();
    let _peer = raw(&push).await;
    for _ in 0..3 {
        push.send(vec![0; 4_000_000]).soon().await.unwrap();
    }
    let began = std::time::Instant::now();
    assert_eq!(push.close().soon().await.undelivered, 3);
    assert!((Duration::from_millis(200)..Duration::from_secs(5)).contains(&began.elapsed()));
}

#[tokio::test]
async fn c5_1_close_returns_as_soon_as_all_is_written() {
    let push = Push::builder().linger(None).build().unwrap();
    let mut peer = raw(&push).await;
    push.send("x").soon().await.unwrap();
    assert_eq!(push.close().soon().await.undelivered, 0);
    assert_eq!(peer.recv_msg().await, [b"x"]);
    peer.expect_closed().await;
}

#[tokio::test]
async fn c5_3_closing_ends_the_listener_and_the_connections() {
    for medium in [Medium::Tcp, Medium::Ipc] {
        let pull = Pull::new();
        let endpoint = pull.bind(&medium.any()).soon().await.unwrap().to_string();
        let mut peer = crate::support::raw_peer::RawPeer::connect(&endpoint).await;
        peer.handshake("PUSH", 1).await;
        pull.close().soon().await;
        peer.expect_closed().await;
        let again = Pull::new();
        if medium == Medium::Tcp {
            again.bind(&endpoint[..]).soon().await.unwrap();
        }
    }
}

#[tokio::test]
async fn c5_3_dropping_the_last_clone_closes_and_another_clone_keeps_open() {
    let push = Push::new();
    let clone = push.clone();
    let mut peer = raw(&push).await;
    drop(push);
    clone.send("x").soon().await.unwrap();
    assert_eq!(peer.recv_msg().await, [b"x"]);
    drop(clone);
    peer.expect_closed().await;
}

#[tokio::test]
async fn c5_3_a_socket_that_was_closed_while_it_was_binding_is_not_bound() {
    let pull = Pull::new();
    // A name, so that binding waits for its address.
    let mut binding = Box::pin(pull.bind("tcp://localhost:0"));
    assert!(futures::poll!(&mut binding).is_pending());
    pull.close().soon().await;
    let bound = binding.soon().await;
    assert!(matches!(bound, Err(sinew::BindError::Closed)), "{bound:?}");
}

#[tokio::test]
async fn c5_3_c5_5_what_is_dropped_unread_is_counted() {
    let pull = Pull::builder().recv_hwm(5).build().unwrap();
    let mut peer = raw(&pull).await;
    for i in 0..8_u8 {
        peer.send_msg(&[&[i]]).await;
    }
    peer.settle().await;
    pull.recv().soon().await.unwrap();
    // Those read ahead included, and those of a peer that has left.
    let closed = pull.close().soon().await;
    assert_eq!((closed.unread, pull.close().soon().await.unread), (7, 7));
    let stats = pull.stats();
    assert_eq!((stats.received, stats.unread, stats.dropped.unread), (1, 0, 7));

    let pull = Pull::new();
    let (listener, mut peer) = raw_server(&pull).await;
    peer.send_msg(&[b"one"]).await;
    peer.settle().await;
    pull.disconnect(&listener.endpoint()[..]).unwrap();
    assert_eq!(pull.stats().dropped.unread, 1);
    assert_eq!(pull.close().soon().await.unread, 0);
}

#[tokio::test]
async fn c5_6_unbind_ends_the_connections_that_came_that_way_and_only_those() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let push = make::<Push>(&context);
        let (a, b) = (make::<Pull>(&context), make::<Pull>(&context));
        let first = push.bind(&medium.any()).soon().await.unwrap().to_string();
        let second = push.bind(&medium.any()).soon().await.unwrap().to_string();
        a.connect(&first).soon().await.unwrap();
        b.connect(&second).soon().await.unwrap();
        push.wait_for_peers(2).soon().await.unwrap();
        push.unbind(&first).unwrap();
        counted(&push, |stats| stats.peers.len() == 1).await;
        for _ in 0..3 {
            push.send("x").soon().await.unwrap();
            assert_eq!(b.recv().soon().await.unwrap(), "x", "{medium:?}");
        }
        let error = push.unbind(&first).unwrap_err();
        let named =
            matches!(&error, sinew::Error::UnknownEndpoint(error) if error.endpoint().to_string() == first);
        assert!(named, "{error:?}");
        push.unbind(&second).unwrap();
        counted(&push, |stats| stats.peers.is_empty()).await;
        assert_eq!(push.try_send("x").unwrap_err().kind(), SendErrorKind::NoPeer);
    }
}

#[tokio::test]
async fn c5_6_unbind_writes_what_is_queued_first() {
    let push = Push::builder().linger(None).send_hwm_bytes(0).build().unwrap();
    let endpoint = bind(&push).await;
    let mut peer = crate::support::raw_peer::RawPeer::connect(&endpoint).await;
    peer.handshake("PULL", 1).await;
    for _ in 0..5 {
        push.send(vec![3; 3_000_000]).soon().await.unwrap();
    }
    push.unbind(&endpoint[..]).unwrap();
    for _ in 0..5 {
        assert_eq!(peer.recv_msg().await[0].len(), 3_000_000);
    }
    peer.expect_closed().await;
}

#[tokio::test]
async fn c5_8_a_pending_inproc_connect_hinders_nothing() {
    let context = sinew::Context::new();
    let name = inproc();
    let push = make::<Push>(&context);
    push.connect(&name[..]).await.unwrap();
    push.send("x").soon().await.unwrap();
    assert_eq!(push.close().soon().await.undelivered, 1);
    // Nor does it haunt whoever binds the name later, or connects after a disconnect.
    let (pair, pull) = (make::<Pair>(&context), make::<Pull>(&context));
    pull.bind(&name[..]).await.unwrap();
    assert!(pull.stats().peers.is_empty());
    let other = inproc();
    pair.connect(&other[..]).await.unwrap();
    pair.disconnect(&other[..]).unwrap();
    assert!(pair.stats().peers.is_empty());
    pair.connect(&other[..]).await.unwrap();
    let binder = make::<Pair>(&context);
    binder.bind(&other[..]).await.unwrap();
    assert_eq!((binder.stats().peers.len(), pair.stats().peers.len()), (1, 1));
}

/// Ports the idea of libzmq's `test_shutdown_stress`.
#[tokio::test]
async fn shutdown_stress_closing_while_peers_connect() {
    for _ in 0..5 {
        let publisher = Pub::new();
        let endpoint = bind(&publisher).await;
        let mut tasks = Vec::new();
        for _ in 0..30 {
            let sub = Sub::builder().subscribe("").build().unwrap();
            let endpoint = endpoint.clone();
            tasks.push(tokio::spawn(async move {
                sub.connect(&endpoint[..]).await.unwrap();
                tokio::task::yield_now().await;
                sub.close().await;
            }));
        }
        for _ in 0..10 {
            publisher.send("x").soon().await.unwrap();
            tokio::task::yield_now().await;
        }
        publisher.close().soon().await;
        for task in tasks {
            task.soon().await.unwrap();
        }
    }
}

#[tokio::test]
async fn every_accepted_message_is_sent_queued_or_dropped_by_reason() {
    let push = Push::builder().send_buffer(4096).build().unwrap();
    let mut monitor = push.monitor();
    let (listener, mut peer) = raw_server(&push).await;
    for _ in 0..10 {
        push.send(vec![1; 1_000_000]).soon().await.unwrap();
    }
    peer.recv_msg().await;
    peer.recv_raw(100).await;
    peer.reset();
    disconnected(&mut monitor).await;
    let stats = push.stats();
    assert_eq!(stats.sent + stats.queued + stats.dropped.disconnect, 10, "{stats:#?}");
    assert_eq!(stats.dropped.disconnect, 1);
    let (mut peer, _) = answer(&listener, "PULL", 1).await;
    for _ in 0..stats.queued {
        assert_eq!(peer.recv_msg().await[0].len(), 1_000_000);
    }
    assert_eq!(counted(&push, |stats| stats.queued == 0).await.sent, 9);
}

/// Ports the idea of libzmq's `test_conflate`.
#[tokio::test]
async fn c7_1_only_the_newest_message_is_kept_inbound() {
    let pull = Pull::builder().conflate(true).build().unwrap();
    let mut peer = raw(&pull).await;
    for i in 0..20_u8 {
        peer.send_msg(&[&[i], b"second part"]).await;
    }
    peer.settle().await;
    assert_eq!(pull.recv().soon().await.unwrap(), [&[19][..], b"second part"]);
    assert_eq!(pull.try_recv(), Err(RecvError::Empty));
}

#[tokio::test]
async fn c7_1_only_the_newest_message_is_kept_outbound_and_the_mark_does_not_apply() {
    let listener = RawListener::bind().await;
    let push = Push::builder().conflate(true).send_hwm(1).build().unwrap();
    push.connect(listener.endpoint()).await.unwrap();
    for i in 0..20_u8 {
        push.try_send([&[i][..], b"second part"]).unwrap();
    }
    let (mut peer, _) = answer(&listener, "PULL", 1).await;
    assert_eq!(peer.recv_msg().await, [&[19][..], b"second part"]);
    peer.settle().await;
    let stats = push.stats();
    assert_eq!((stats.queued, stats.sent, stats.dropped.high_water_mark), (0, 1, 19));
}

#[tokio::test]
async fn c7_2_over_inproc_and_for_a_sub_it_keeps_whole_messages() {
    let context = sinew::Context::new();
    let publisher = make::<Pub>(&context);
    let sub = Sub::builder().context(&context).conflate(true).subscribe("").build().unwrap();
    join(Medium::Inproc, &publisher, &sub).await;
    for i in 0..20_u8 {
        publisher.send([&[i][..], b"second part"]).soon().await.unwrap();
    }
    assert_eq!(sub.recv().soon().await.unwrap(), [&[19][..], b"second part"]);
    assert_eq!(sub.try_recv(), Err(RecvError::Empty));
}

#[tokio::test]
async fn send_ready_and_try_send_lose_nothing() {
    let push = Push::builder().send_hwm(2).build().unwrap();
    let mut ready = Box::pin(push.send_ready());
    assert!(futures::poll!(&mut ready).is_pending());
    let pull = Pull::builder().recv_hwm(2).build().unwrap();
    push.connect(bind(&pull).await).await.unwrap();
    ready.soon().await.unwrap();
    let mut message = sinew::Message::from(vec![1; 100_000]);
    let receiver = tokio::spawn(async move {
        for _ in 0..100 {
            pull.recv().await.unwrap();
        }
    });
    for _ in 0..100 {
        loop {
            push.send_ready().soon().await.unwrap();
            match push.try_send(message) {
                Ok(()) => break,
                Err(error) => message = error.into_message(),
            }
        }
        message = sinew::Message::from(vec![1; 100_000]);
    }
    receiver.soon().await.unwrap();
}

//! C6: connecting, and what survives a loss.

use std::time::Duration;

use sinew::{
    Dealer, DisconnectReason, EventKind, HandshakeError, ProtocolError, Pub, Pull, Push, Req, SendErrorKind,
    Sub,
};

use crate::kit::{
    MEDIA, Medium, Soon, answer, bind, counted, disconnected, event, handshake_failed, make, partner,
    raw_server, until, unused_tcp,
};
use crate::support::pass;
use crate::support::raw_peer::{RawListener, RawPeer};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Ports the idea of libzmq's `test_bind_after_connect_tcp`.
#[tokio::test]
async fn c6_1_what_was_sent_before_bind_arrives_in_order() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let (push, pull) = (make::<Push>(&context), make::<Pull>(&context));
        let endpoint = medium.known();
        push.connect(&endpoint).soon().await.unwrap();
        for message in ["1", "2", "3"] {
            push.send(message).soon().await.unwrap();
        }
        pull.bind(&endpoint).soon().await.unwrap();
        for message in ["1", "2", "3"] {
            assert_eq!(pull.recv().soon().await.unwrap(), message, "{medium:?}");
        }
    }
}

#[tokio::test]
async fn c6_3_delays_double_up_to_the_maximum_and_only_a_connection_that_stood_resets_them() {
    pass(ms(1)).await;
    let listener = RawListener::bind().await;
    let push = Push::builder().reconnect_interval(ms(8)).reconnect_max(ms(32)).build().unwrap();
    let mut monitor = push.monitor();
    push.connect(listener.endpoint()).await.unwrap();
    let delay = |event: &sinew::Event| match event.kind {
        EventKind::Retrying(delay) => Some(delay),
        _ => None,
    };
    // A peer that accepts and hangs up is not hammered.
    for (low, high) in [(4, 8), (8, 16), (16, 32), (16, 32)] {
        drop(listener.accept().await);
        let delay = event(&mut monitor, delay).await;
        assert!((ms(low)..=ms(high)).contains(&delay), "{delay:?}");
    }
    // Nor is one that shakes hands before it does.
    for stands in [false, true] {
        let peer = answer(&listener, "PULL", 1).await;
        push.wait_for_peers(1).soon().await.unwrap();
        if stands {
            pass(ms(40)).await;
        }
        drop(peer);
        let delay = event(&mut monitor, delay).await;
        let (low, high) = if stands { (4, 8) } else { (16, 32) };
        assert!((ms(low)..=ms(high)).contains(&delay), "{delay:?}");
    }
}

/// Whoever breaks a rule, or a limit, is told so, counted, and comes back less and less often.
#[tokio::test]
async fn who_exceeds_a_limit_is_told_and_backs_off() {
    let publisher = Pub::new();
    let sub =
        Sub::builder().subscribe("x".repeat(5000)).reconnect_interval(ms(4)).reconnect_max(ms(64)).build();
    let sub = sub.unwrap();
    let (mut theirs, mut ours) = (publisher.monitor(), sub.monitor());
    sub.connect(&bind(&publisher).await).await.unwrap();
    for (low, high) in [(2, 4), (4, 8), (8, 16), (16, 32), (32, 64), (32, 64)] {
        let error = ProtocolError::OversizedTopic { size: 5000, limit: 4096 };
        assert_eq!(disconnected(&mut theirs).await, DisconnectReason::Protocol(error));
        let reason = error.to_string();
        assert_eq!(disconnected(&mut ours).await, DisconnectReason::Rejected { reason });
        let delay = event(&mut ours, |event| match event.kind {
            EventKind::Retrying(delay) => Some(delay),
            _ => None,
        });
        let delay = delay.await;
        assert!((ms(low)..=ms(high)).contains(&delay), "{delay:?}");
    }
    assert_eq!(publisher.stats().refused, 6);
}

#[tokio::test]
async fn c6_4_the_connecting_side_keeps_what_is_queued() {
    let push = Push::new();
    let mut monitor = push.monitor();
    let (listener, peer) = raw_server(&push).await;
    drop(peer);
    disconnected(&mut monitor).await;
    for message in ["1", "2", "3"] {
        push.send(message).soon().await.unwrap();
    }
    let (mut peer, _) = answer(&listener, "PULL", 1).await;
    for message in ["1", "2", "3"] {
        assert_eq!(peer.recv_msg().await, [message.as_bytes()]);
    }
    assert_eq!(push.stats().reconnects, 1);
}

#[tokio::test]
async fn c6_4_the_connecting_side_keeps_what_is_unread() {
    let dealer = Dealer::new();
    let mut monitor = dealer.monitor();
    let (listener, mut peer) = raw_server(&dealer).await;
    peer.send_msg(&[b"1"]).await;
    peer.settle().await;
    drop(peer);
    disconnected(&mut monitor).await;
    let (mut peer, _) = answer(&listener, "ROUTER", 1).await;
    peer.send_msg(&[b"2"]).await;
    assert_eq!(dealer.recv().soon().await.unwrap(), "1");
    assert_eq!(dealer.recv().soon().await.unwrap(), "2");
}

#[tokio::test]
async fn c6_4_the_accepting_side_discards_what_is_queued_and_counts_it() {
    let push = Push::builder().send_buffer(4096).build().unwrap();
    let mut peer = crate::kit::raw(&push).await;
    for _ in 0..3 {
        push.send(vec![0; 4_000_000]).soon().await.unwrap();
    }
    peer.recv_raw(100).await;
    peer.reset();
    let stats = counted(&push, |stats| stats.peers.is_empty()).await;
    assert_eq!((stats.dropped.disconnect, stats.queued), (3, 0));
    let mut next = crate::kit::raw(&push).await;
    push.send("next").soon().await.unwrap();
    assert_eq!(next.recv_msg().await, [b"next"]);
}

/// Ports the idea of libzmq's `test_immediate`, third part.
#[tokio::test]
async fn c6_4_c6_6_with_immediate_the_pipe_goes_with_the_connection() {
    let push = Push::builder().immediate(true).build().unwrap();
    assert!(push.stats().peers.is_empty());
    let listener = RawListener::bind().await;
    push.connect(listener.endpoint()).await.unwrap();
    assert_eq!(push.try_send("x").unwrap_err().kind(), SendErrorKind::NoPeer);
    let (mut peer, _) = answer(&listener, "PULL", 1).await;
    push.send("1").soon().await.unwrap();
    assert_eq!(peer.recv_msg().await, [b"1"]);
    drop(peer);
    counted(&push, |stats| stats.peers.is_empty()).await;
    assert_eq!(push.try_send("x").unwrap_err().kind(), SendErrorKind::NoPeer);
    let (mut peer, _) = answer(&listener, "PULL", 1).await;
    push.send("2").soon().await.unwrap();
    assert_eq!(peer.recv_msg().await, [b"2"]);
}

#[tokio::test]
async fn c5_5_with_immediate_disconnect_ends_the_connection() {
    let push = Push::builder().immediate(true).build().unwrap();
    let (listener, mut peer) = raw_server(&push).await;
    push.send("last").soon().await.unwrap();
    push.disconnect(listener.endpoint()).unwrap();
    assert_eq!(peer.recv_msg().await, [b"last"]);
    peer.expect_closed().await;
    counted(&push, |stats| stats.peers.is_empty()).await;
}

/// Ports the idea of libzmq's `test_reconnect_ivl`.
#[tokio::test]
async fn c6_7_without_reconnecting_a_loss_or_a_failure_is_final_until_connected_anew() {
    let listener = RawListener::bind().await;
    let dealer = Dealer::builder().reconnect(false).build().unwrap();
    let mut monitor = dealer.monitor();
    for _ in 0..2 {
        dealer.connect(listener.endpoint()).await.unwrap();
        let (peer, _) = answer(&listener, "ROUTER", 1).await;
        drop(peer);
        until(&mut monitor, EventKind::GaveUp).await;
        assert!(dealer.stats().peers.is_empty());
    }
    dealer.connect(unused_tcp()).await.unwrap();
    until(&mut monitor, EventKind::GaveUp).await;
    assert!(dealer.stats().peers.is_empty());
}

#[tokio::test]
async fn c6_9_a_wrong_socket_type_ends_connecting_and_the_queue_is_counted() {
    let listener = RawListener::bind().await;
    let push = Push::new();
    let mut monitor = push.monitor();
    push.connect(listener.endpoint()).await.unwrap();
    push.send("x").soon().await.unwrap();
    let mut peer = listener.accept().await;
    peer.greeting(1).await;
    peer.ready("SUB", None, &[]).await;
    let error = handshake_failed(&mut monitor).await;
    assert!(matches!(error, HandshakeError::Protocol(ProtocolError::IncompatibleSocket { .. })));
    until(&mut monitor, EventKind::GaveUp).await;
    assert_eq!((push.stats().dropped.disconnect, push.stats().queued), (1, 0));
}

#[tokio::test]
async fn c6_9_other_faults_are_retried() {
    let listener = RawListener::bind().await;
    let push = Push::builder().reconnect_interval(ms(1)).reconnect_max(ms(1)).build().unwrap();
    let mut monitor = push.monitor();
    push.connect(listener.endpoint()).await.unwrap();
    for garbage in [&b"HTTP/1.1 400 Bad Request\r\n"[..], b"", b"\xFF"] {
        let mut peer = listener.accept().await;
        peer.send_raw(garbage).await;
        peer.finish().await;
        handshake_failed(&mut monitor).await;
    }
    let mut peer = answer(&listener, "PULL", 1).await.0;
    peer.send_raw(&[0xFF; 20]).await;
    let reason = disconnected(&mut monitor).await;
    assert!(matches!(reason, DisconnectReason::Protocol(_)), "{reason:?}");
    answer(&listener, "PULL", 1).await;
    push.wait_for_peers(1).soon().await.unwrap();
}

#[tokio::test]
async fn d0_3_disconnect_while_trying_stops_trying() {
    let endpoint = unused_tcp();
    let push = Push::builder().reconnect_interval(ms(1)).build().unwrap();
    let mut monitor = push.monitor();
    push.connect(&endpoint[..]).await.unwrap();
    event(&mut monitor, |event| matches!(event.kind, EventKind::Retrying(_)).then_some(())).await;
    push.disconnect(&endpoint[..]).unwrap();
    counted(&push, |stats| stats.peers.is_empty()).await;
    assert_eq!(push.try_send("x").unwrap_err().kind(), SendErrorKind::NoPeer);
}

#[tokio::test]
async fn d3_3_after_the_inproc_binder_is_gone_one_can_connect_anew() {
    let context = sinew::Context::new();
    let name = crate::kit::inproc();
    let dealer = make::<Dealer>(&context);
    for round in 0..3_u8 {
        let router = make::<sinew::Router>(&context);
        router.bind(&name[..]).await.unwrap();
        dealer.connect(&name[..]).await.unwrap();
        dealer.send(&[round]).soon().await.unwrap();
        assert_eq!(router.recv().soon().await.unwrap().1, &[round]);
        if round == 1 {
            router.unbind(&name[..]).unwrap();
        } else {
            router.close().soon().await;
        }
        assert!(dealer.stats().peers.is_empty());
        assert_eq!(dealer.try_send("x").unwrap_err().kind(), SendErrorKind::NoPeer);
    }
}

#[tokio::test]
async fn c6_a_server_that_restarts_is_found_again_by_every_type() {
    let context = sinew::Context::new();
    macro_rules! check {
        ($($socket:ident),*) => {$(
            let socket = make::<$socket>(&context);
            let (listener, peer) = raw_server(&socket).await;
            drop(peer);
            let _peer = answer(&listener, partner::<$socket>(), 1).await;
            counted(&socket, |stats| stats.reconnects == 1).await;
            socket.wait_for_peers(1).soon().await.unwrap();
        )*};
    }
    use sinew::{Pair, Pub, Rep, Router, XPub, XSub};
    check!(Push, Pull, Pub, Sub, XPub, XSub, Req, Rep, Dealer, Router, Pair);
}

/// Nothing is sent twice and nothing is lost unaccounted, however often the connection breaks.
#[tokio::test]
async fn c6_5_at_most_once_over_many_losses() {
    let push = Push::builder().reconnect_interval(ms(1)).reconnect_max(ms(1)).build().unwrap();
    let listener = RawListener::bind().await;
    push.connect(listener.endpoint()).await.unwrap();
    let sender = tokio::spawn({
        let push = push.clone();
        async move {
            for i in 0..3000_u32 {
                push.send([&i.to_be_bytes()[..], &[0; 20_000]]).await.unwrap();
            }
        }
    });
    let mut received = Vec::new();
    for round in 1..6 {
        let (mut peer, _) = answer(&listener, "PULL", 1).await;
        for _ in 0..round * 10 {
            received.push(u32::from_be_bytes(peer.recv_msg().await[0][..].try_into().unwrap()));
        }
        peer.reset();
    }
    sender.abort();
    assert!(received.windows(2).all(|pair| pair[0] < pair[1]), "{received:?}");
}

#[tokio::test]
async fn c6_3_a_peer_that_refuses_after_the_handshake_does_not_reset_the_back_off() {
    let taken = sinew::Pair::new();
    let (endpoint, first) = (bind(&taken).await, sinew::Pair::new());
    first.connect(&endpoint[..]).await.unwrap();
    taken.wait_for_peers(1).soon().await.unwrap();
    let second = sinew::Pair::builder().reconnect_interval(Duration::from_millis(8)).build().unwrap();
    let mut monitor = second.monitor();
    second.connect(&endpoint[..]).await.unwrap();
    let mut delays = Vec::new();
    for _ in 0..5 {
        delays.push(
            event(&mut monitor, |event| match event.kind {
                EventKind::Retrying(delay) => Some(delay),
                _ => None,
            })
            .await,
        );
    }
    // 8 ms, 16, 32, 64, 128, each less half of it at most.
    assert!(delays.is_sorted() && delays[4] >= Duration::from_millis(64), "{delays:?}");
}

#[tokio::test]
async fn c5_5_c6_6_of_two_connections_to_one_endpoint_disconnect_ends_one_at_a_time() {
    for immediate in [false, true] {
        let push = Push::builder().immediate(immediate).build().unwrap();
        let mut monitor = push.monitor();
        let listener = RawListener::bind().await;
        let endpoint = listener.endpoint();
        for _ in 0..2 {
            push.connect(&endpoint[..]).await.unwrap();
        }
        for _ in 0..2 {
            let (mut peer, _) = answer(&listener, "PULL", 1).await;
            tokio::spawn(async move { peer.expect_closed().await });
        }
        push.wait_for_peers(2).soon().await.unwrap();
        for left in [1, 0] {
            push.disconnect(&endpoint[..]).unwrap();
            assert_eq!(disconnected(&mut monitor).await, DisconnectReason::ClosedByUs);
            counted(&push, |stats| stats.peers.len() == left).await;
        }
        assert!(push.disconnect(&endpoint[..]).is_err());
    }
}

/// Over ipc, where what a peer has sent is with us when it closes.
#[tokio::test]
async fn c6_4_what_came_before_a_write_failed_stays_readable_behind_a_full_queue() {
    let dealer = Dealer::builder().recv_hwm(1).build().unwrap();
    let mut monitor = dealer.monitor();
    let endpoint = dealer.bind(&Medium::Ipc.any()).soon().await.unwrap().to_string();
    let mut peer = RawPeer::connect(&endpoint).await;
    peer.handshake("DEALER", 1).await;
    // The first fills the queue, two are read ahead, the others are left in the kernel.
    for i in 0..5 {
        peer.send_msg(&[&[i; 40_000]]).await;
    }
    counted(&dealer, |stats| stats.unread == 1).await;
    drop(peer);
    dealer.send("to nobody").soon().await.unwrap();
    let reason = disconnected(&mut monitor).await;
    assert!(matches!(reason, DisconnectReason::Io(_)), "{reason:?}");
    for i in 0..5 {
        assert_eq!(dealer.recv().soon().await.unwrap()[0], &[i; 40_000][..], "{i}");
    }
}

#[tokio::test]
async fn b3_4_a_connection_opens_with_one_hello_however_many_broke_before_it_was_written() {
    let listener = RawListener::bind().await;
    let dealer = Dealer::builder().hello("hello").reconnect_interval(ms(1)).build().unwrap();
    dealer.connect(listener.endpoint()).await.unwrap();
    for _ in 0..3 {
        let mut peer = listener.accept().await;
        peer.greeting(1).await;
        peer.ready("ROUTER", None, &[]).await;
        peer.finish().await;
        peer.expect_closed().await;
    }
    let (mut peer, _) = answer(&listener, "ROUTER", 1).await;
    dealer.send("next").soon().await.unwrap();
    assert_eq!(peer.recv_msg().await, [b"hello"]);
    assert_eq!(peer.recv_msg().await, [b"next"]);
    assert_eq!(dealer.stats().dropped.disconnect, 0);
}

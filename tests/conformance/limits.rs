//! A11 and the D rows of the limits: what a hostile peer may cost. Each attack is over when it is closed and named,
//! and a good peer is served meanwhile.

use std::time::Duration;

use sinew::{DisconnectReason, EventKind, ProtocolError, Pub, Pull, Push, Refused, Rep, Sub, XPub};

use crate::kit::{Medium, Soon, answer, bind, counted, disconnected, event, join, raw, raw_server, until};
use crate::support::pass;
use crate::support::raw_peer::{COMMAND, LONG, MORE, RawPeer};

#[tokio::test]
async fn a11_1_d7_a_message_beyond_the_limit_is_refused_at_its_header() {
    let pull = Pull::builder().max_message_size(1000).build().unwrap();
    let mut monitor = pull.monitor();
    let mut good = raw(&pull).await;
    good.send_msg(&[&[1; 1000]]).await;
    assert_eq!(pull.recv().soon().await.unwrap()[0].len(), 1000);
    let mut bad = raw(&pull).await;
    bad.send_raw(&[&[LONG][..], &1001_u64.to_be_bytes()].concat()).await;
    let error = ProtocolError::OversizedMessage { size: 1001, limit: 1000 };
    assert_eq!(disconnected(&mut monitor).await, DisconnectReason::Protocol(error));
    bad.expect_closed().await;
    good.send_msg(&[b"still served"]).await;
    assert_eq!(pull.recv().soon().await.unwrap(), "still served");
}

#[tokio::test]
async fn a11_1_d8_the_parts_of_a_message_count_together() {
    let pull = Pull::builder().max_message_size(1000).build().unwrap();
    let mut monitor = pull.monitor();
    let mut peer = raw(&pull).await;
    for _ in 0..20 {
        peer.send_frame(MORE, &[0; 100]).await;
    }
    let reason = disconnected(&mut monitor).await;
    assert!(
        matches!(reason, DisconnectReason::Protocol(ProtocolError::OversizedMessage { .. })),
        "{reason:?}"
    );
    assert_eq!(pull.stats().unread, 0);
}

#[tokio::test]
async fn a11_5_d9_empty_parts_are_not_free() {
    let pull = Pull::builder().max_parts(10).build().unwrap();
    let mut monitor = pull.monitor();
    let mut peer = raw(&pull).await;
    let ten = [&b""[..]; 10];
    peer.send_msg(&ten).await;
    assert_eq!(pull.recv().soon().await.unwrap().frame_count(), 10);
    for _ in 0..11 {
        peer.send_frame(MORE, b"").await;
    }
    let error = ProtocolError::TooManyParts { limit: 10 };
    assert_eq!(disconnected(&mut monitor).await, DisconnectReason::Protocol(error));
    // 64 bytes each against the size.
    let pull = Pull::builder().max_message_size(640).build().unwrap();
    let mut monitor = pull.monitor();
    let mut peer = raw(&pull).await;
    peer.send_msg(&ten).await;
    assert_eq!(pull.recv().soon().await.unwrap().frame_count(), 10);
    peer.send_msg(&[&b""[..]; 11]).await;
    let reason = disconnected(&mut monitor).await;
    assert!(
        matches!(reason, DisconnectReason::Protocol(ProtocolError::OversizedMessage { .. })),
        "{reason:?}"
    );
}

#[tokio::test]
async fn d18_a_command_of_more_than_64_kib_closes() {
    let pull = Pull::new();
    let mut monitor = pull.monitor();
    let mut peer = raw(&pull).await;
    peer.send_raw(&[&[COMMAND | LONG][..], &65_537_u64.to_be_bytes()].concat()).await;
    let error = ProtocolError::OversizedCommand { size: 65_537, limit: 65_536 };
    assert_eq!(disconnected(&mut monitor).await, DisconnectReason::Protocol(error));
}

#[tokio::test]
async fn d18_a_flood_of_unknown_commands_leaves_a_good_peer_its_share() {
    let pull = Pull::new();
    let mut flooder = raw(&pull).await;
    let mut good = raw(&pull).await;
    let command = crate::support::raw_peer::frame_bytes(COMMAND, b"\x05OTHER");
    let flood = tokio::spawn(async move {
        let burst = command.repeat(1000);
        for _ in 0..200 {
            flooder.send_raw(&burst).await;
        }
        flooder
    });
    for i in 0..100_u8 {
        good.send_msg(&[&[i]]).await;
        assert_eq!(pull.recv().soon().await.unwrap(), &[i]);
    }
    flood.soon().await.unwrap().settle().await;
}

#[tokio::test]
async fn d12_a_flood_of_tiny_messages_leaves_a_good_peer_its_turn() {
    let pull = Pull::new();
    let mut flooder = raw(&pull).await;
    let mut good = raw(&pull).await;
    let flood = tokio::spawn(async move {
        let burst = [0_u8; 20_000];
        for _ in 0..5 {
            flooder.send_raw(&burst).await;
        }
        flooder
    });
    for i in 0..20_u8 {
        good.send_msg(&[&[i]]).await;
    }
    let (mut served, mut flooded) = (0, 0);
    while served < 20 || flooded < 50_000 {
        let message = pull.recv().soon().await.unwrap();
        if message[0].is_empty() {
            flooded += 1
        } else {
            served += 1
        }
        assert!(pull.stats().unread <= 2000);
    }
    flood.soon().await.unwrap();
}

#[tokio::test]
async fn d4_beyond_max_connections_a_peer_is_refused_and_told() {
    let pull = Pull::builder().max_connections(3).build().unwrap();
    let mut monitor = pull.monitor();
    let endpoint = bind(&pull).await;
    let mut peers = Vec::new();
    for i in 1..=3 {
        let mut peer = RawPeer::connect(&endpoint).await;
        peer.handshake("PUSH", 1).await;
        pull.wait_for_peers(i).soon().await.unwrap();
        peers.push(peer);
    }
    let mut extra = RawPeer::connect(&endpoint).await;
    extra.handshake("PUSH", 1).await;
    until(&mut monitor, EventKind::Refused(Refused::TooManyConnections)).await;
    assert_eq!(extra.recv_command().await.0, "ERROR");
    extra.expect_closed().await;
    peers.pop();
    counted(&pull, |stats| stats.peers.len() == 2).await;
    raw(&pull).await;
}

#[tokio::test]
async fn d3_a_flood_of_silent_peers_evicts_itself_and_never_the_newcomer() {
    let pull = Pull::builder().max_pending_handshakes(8).build().unwrap();
    let mut monitor = pull.monitor();
    let endpoint = bind(&pull).await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(RawPeer::connect(&endpoint).await);
    }
    for _ in 0..32 {
        until(&mut monitor, EventKind::Refused(Refused::TooManyHandshakes)).await;
    }
    let push = Push::new();
    push.connect(&endpoint[..]).await.unwrap();
    push.send("good").soon().await.unwrap();
    assert_eq!(pull.recv().soon().await.unwrap(), "good");
    silent[0].expect_closed().await;
    // One more for the good peer, if its handshake began before another place was free.
    assert!((32..=33).contains(&pull.stats().refused));
}

/// D3: this host's own processes are not a flood, however many connect at once.
#[tokio::test]
async fn d3_peers_of_this_host_that_connect_at_once_do_not_put_each_other_out() {
    let pull = Pull::builder().max_pending_handshakes(8).build().unwrap();
    let endpoint = bind(&pull).await;
    let crowd: Vec<_> = (0..200).map(|_| Push::new()).collect();
    for push in &crowd {
        push.connect(&endpoint[..]).await.unwrap();
    }
    pull.wait_for_peers(crowd.len()).soon().await.unwrap();
    assert_eq!(pull.stats().refused, 0);
}

/// Limits T6, as far as it goes without CURVE: a peer is invisible to routing until it is ready.
#[tokio::test]
async fn t6_silent_peers_are_invisible() {
    let push = Push::new();
    let endpoint = bind(&push).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(RawPeer::connect(&endpoint).await);
    }
    let pull = Pull::new();
    pull.connect(&endpoint[..]).await.unwrap();
    push.wait_for_peers(1).soon().await.unwrap();
    for _ in 0..200 {
        push.send("x").soon().await.unwrap();
    }
    for _ in 0..200 {
        pull.recv().soon().await.unwrap();
    }
    assert_eq!(push.stats().peers.len(), 1);
}

/// Limits T8: unfinished messages of a server that resets, many times over.
#[tokio::test]
async fn t8_unfinished_messages_of_many_connections_leave_nothing() {
    let pull = Pull::builder()
        .reconnect_interval(Duration::from_millis(1))
        .reconnect_max(Duration::from_millis(1))
        .build()
        .unwrap();
    let (listener, peer) = raw_server(&pull).await;
    drop(peer);
    for _ in 0..100 {
        let (mut peer, _) = answer(&listener, "PUSH", 1).await;
        peer.send_frame(MORE, &[0; 10_000]).await;
        peer.reset();
    }
    let (mut peer, _) = answer(&listener, "PUSH", 1).await;
    peer.send_msg(&[b"whole"]).await;
    assert_eq!(pull.recv().soon().await.unwrap(), "whole");
    assert_eq!((pull.stats().received, pull.stats().unread), (1, 0));
}

#[tokio::test]
async fn d5_the_accept_loop_survives_resets() {
    let pull = Pull::new();
    let endpoint = bind(&pull).await;
    for _ in 0..200 {
        RawPeer::connect(&endpoint).await.reset();
    }
    let push = Push::new();
    push.connect(&endpoint[..]).await.unwrap();
    push.send("good").soon().await.unwrap();
    assert_eq!(pull.recv().soon().await.unwrap(), "good");
}

#[tokio::test]
async fn d31_a_subscriber_that_does_not_read_costs_its_byte_budget_and_no_more() {
    let publisher = Pub::builder().send_hwm(0).send_hwm_bytes(1 << 20).build().unwrap();
    let mut stuck = raw(&publisher).await;
    stuck.send_command("SUBSCRIBE", b"").await;
    publisher.wait_for_subscribers(1).soon().await.unwrap();
    for _ in 0..1000 {
        publisher.send(vec![0; 100_000]).soon().await.unwrap();
        assert!(publisher.stats().peers[0].queued_bytes <= 1 << 20);
    }
    assert!(publisher.stats().dropped.high_water_mark > 0);
}

#[tokio::test]
async fn options_that_make_no_sense_fail_at_build() {
    assert!(Pull::builder().handshake_timeout(Duration::ZERO).build().is_err());
    assert!(Pull::builder().progress_timeout(Duration::ZERO).build().is_err());
    assert!(Pull::builder().reconnect_interval(Duration::ZERO).build().is_err());
    assert!(Pull::builder().heartbeat(Some(Duration::ZERO), Duration::from_secs(1)).build().is_err());
    assert!(Pull::builder().heartbeat(Some(Duration::from_secs(1)), Duration::ZERO).build().is_err());
    for name in ["Rack", "X-", "X-Ra ck", "x-rack"] {
        let built = Pull::builder().metadata(name, "7").build();
        assert_eq!(built.is_err(), name != "X-", "{name}");
    }
}

#[tokio::test]
async fn every_limit_names_the_peer_that_broke_it() {
    let pull = Pull::builder().max_message_size(10).build().unwrap();
    let mut monitor = pull.monitor();
    let mut peer = raw(&pull).await;
    peer.send_frame(0, &[0; 11]).await;
    let address = event(&mut monitor, |event| match &event.kind {
        EventKind::Disconnected(_) => Some(event.peer.as_ref().unwrap().address.clone()),
        _ => None,
    });
    assert!(address.await.starts_with("tcp://127.0.0.1:"));
}

/// Begun and left: a frame without its end, a header without its end, a message without its last part.
const UNFINISHED: [&[u8]; 3] = [&[0, 5, b'h'], &[LONG, 0, 0], &[MORE, 1, b'x']];

#[tokio::test]
async fn d23_a_peer_that_stops_within_a_message_is_closed() {
    for begun in UNFINISHED {
        let pull =
            Pull::builder().heartbeat(None, Duration::MAX).progress_timeout(Duration::from_millis(300));
        let pull = pull.build().unwrap();
        let mut monitor = pull.monitor();
        let mut idle = raw(&pull).await;
        let mut peer = raw(&pull).await;
        let began = std::time::Instant::now();
        peer.send_msg(&[b"whole"]).await;
        peer.send_raw(begun).await;
        assert_eq!(pull.recv().soon().await.unwrap(), "whole");
        assert_eq!(disconnected(&mut monitor).await, DisconnectReason::Stalled);
        assert!(began.elapsed() >= Duration::from_millis(300));
        peer.expect_closed().await;
        // One that is between messages may be silent.
        idle.settle().await;
    }
}

/// Where no task reads (`engine/reader.rs`), its timer is set all the same.
#[tokio::test]
async fn d23_a_peer_in_lockstep_that_stops_within_a_message_is_closed() {
    for begun in UNFINISHED {
        let rep = Rep::builder().heartbeat(None, Duration::MAX).progress_timeout(Duration::from_millis(300));
        let rep = rep.build().unwrap();
        let mut monitor = rep.monitor();
        let mut peer = raw(&rep).await;
        for _ in 0..2 {
            peer.send_msg(&[b"", b"whole"]).await;
            assert_eq!(rep.recv().soon().await.unwrap(), "whole");
            rep.send("reply").soon().await.unwrap();
            assert_eq!(peer.recv_msg().await, [&b""[..], b"reply"]);
        }
        let began = std::time::Instant::now();
        peer.send_raw(begun).await;
        assert_eq!(disconnected(&mut monitor).await, DisconnectReason::Stalled);
        assert!(began.elapsed() < Duration::from_secs(3), "not by chance, as other timers come round");
    }
}

#[tokio::test]
async fn d23_it_is_60_s_and_each_byte_counts_anew() {
    pass(Duration::from_millis(1)).await;
    let pull = Pull::builder().heartbeat(None, Duration::MAX).build().unwrap();
    let mut monitor = pull.monitor();
    let mut peer = raw(&pull).await;
    peer.settle().await;
    peer.send_raw(&[MORE, 1, b'x']).await;
    // Commands may stand between two parts, and answer for the bytes before them.
    peer.settle().await;
    for _ in 0..2 {
        pass(Duration::from_secs(40)).await;
        peer.settle().await;
    }
    pass(Duration::from_secs(61)).await;
    assert_eq!(disconnected(&mut monitor).await, DisconnectReason::Stalled);
}

#[tokio::test]
async fn d23_it_does_not_run_while_this_side_does_not_read() {
    pass(Duration::from_millis(1)).await;
    let pull = Pull::builder().recv_hwm(1).heartbeat(None, Duration::MAX).build().unwrap();
    let mut peer = raw(&pull).await;
    // More than is read ahead, and less than the kernel holds.
    for _ in 0..20 {
        peer.send_msg(&[&[1; 100_000]]).await;
    }
    counted(&pull, |stats| stats.unread == 1).await;
    for _ in 0..4 {
        pass(Duration::from_secs(50)).await;
    }
    for _ in 0..20 {
        assert_eq!(pull.recv().soon().await.unwrap()[0].len(), 100_000);
    }
}

/// A publisher with small limits, its monitor, and a raw subscriber.
async fn limited() -> (XPub, sinew::Monitor, RawPeer) {
    let xpub = XPub::builder().max_subscriptions_per_peer(3).max_subscription_bytes(20).max_topic_len(10);
    let xpub = xpub.build().unwrap();
    let monitor = xpub.monitor();
    let peer = raw(&xpub).await;
    (xpub, monitor, peer)
}

#[tokio::test]
async fn d13_a_peer_may_hold_so_many_topics_and_is_closed_at_one_more() {
    let (xpub, mut monitor, mut peer) = limited().await;
    let mut good = raw(&xpub).await;
    // Neither a topic twice nor one given back counts.
    for topic in ["a", "b", "b", "c"] {
        peer.send_command("SUBSCRIBE", topic.as_bytes()).await;
    }
    peer.send_command("CANCEL", b"b").await;
    peer.send_command("SUBSCRIBE", b"d").await;
    peer.settle().await;
    assert_eq!(xpub.topic_count(), 3);
    peer.send_command("SUBSCRIBE", b"e").await;
    let error = ProtocolError::TooManySubscriptions { limit: 3 };
    assert_eq!(disconnected(&mut monitor).await, DisconnectReason::Protocol(error));
    peer.expect_closed().await;
    assert_eq!(xpub.topic_count(), 0);
    // B5.10: the application hears the end of all that it heard the beginning of.
    let mut held = std::collections::BTreeSet::new();
    while let Ok(note) = xpub.try_recv() {
        if note[0][0] == 1 {
            assert!(held.insert(note[0][1..].to_vec()));
        } else {
            assert!(held.remove(&note[0][1..]));
        }
    }
    assert!(held.is_empty(), "{held:?}");
    good.send_command("SUBSCRIBE", b"a").await;
    good.settle().await;
}

#[tokio::test]
async fn d13_the_bytes_of_all_topics_are_limited_together() {
    let (_xpub, mut monitor, mut peer) = limited().await;
    peer.send_command("SUBSCRIBE", b"1234567890").await;
    // In the old form.
    peer.send_msg(&[b"\x01abcdefghij"]).await;
    peer.settle().await;
    peer.send_msg(&[b"\x01k"]).await;
    let error = ProtocolError::OversizedSubscriptions { limit: 20 };
    assert_eq!(disconnected(&mut monitor).await, DisconnectReason::Protocol(error));
}

#[tokio::test]
async fn d14_a_topic_is_4_kib_long_at_most() {
    for old_form in [false, true] {
        let publisher = Pub::new();
        let mut monitor = publisher.monitor();
        let mut peer = raw(&publisher).await;
        for length in [4096, 4097] {
            if old_form {
                peer.send_msg(&[&vec![1; length + 1]]).await;
            } else {
                peer.send_command("SUBSCRIBE", &vec![b'x'; length]).await;
            }
            publisher.wait_for_subscribers(1).soon().await.unwrap();
        }
        let error = ProtocolError::OversizedTopic { size: 4097, limit: 4096 };
        assert_eq!(disconnected(&mut monitor).await, DisconnectReason::Protocol(error));
    }
}

#[tokio::test]
async fn d13_the_defaults_and_none_over_inproc_where_the_peer_is_this_program() {
    let publisher = Pub::new();
    let mut monitor = publisher.monitor();
    let mut peer = raw(&publisher).await;
    for i in 0..=100_000_u32 {
        peer.send_command("SUBSCRIBE", &i.to_be_bytes()).await;
        if i == 99_999 {
            peer.settle().await;
            assert_eq!(publisher.topic_count(), 100_000);
        }
    }
    let error = ProtocolError::TooManySubscriptions { limit: 100_000 };
    assert_eq!(disconnected(&mut monitor).await, DisconnectReason::Protocol(error));

    let context = sinew::Context::new();
    let publisher = Pub::builder().context(&context).max_subscriptions_per_peer(1).max_topic_len(1);
    let publisher = publisher.build().unwrap();
    let sub = Sub::builder().context(&context).build().unwrap();
    join(Medium::Inproc, &publisher, &sub).await;
    sub.subscribe("one");
    sub.subscribe("two");
    assert_eq!(publisher.topic_count(), 2);
}

#[tokio::test]
async fn no_time_out_is_too_long() {
    let ever = Duration::MAX;
    let pull = Pull::builder().handshake_timeout(ever).heartbeat(Some(ever), ever).progress_timeout(ever);
    let pull = pull.linger(ever).build().unwrap();
    let mut peer = raw(&pull).await;
    peer.send_frame(MORE, b"a").await;
    peer.settle().await;
    peer.send_frame(0, b"b").await;
    assert_eq!(pull.recv().soon().await.unwrap(), ["a", "b"]);
    pull.close().soon().await;
}

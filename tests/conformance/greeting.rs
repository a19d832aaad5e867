//! A1 and A2: the first 64 bytes.

use std::time::Duration;

use sinew::{DisconnectReason, EventKind, HandshakeError, ProtocolError, Pull, Push};

use crate::kit::{Soon, bind, counted, disconnected, handshake_failed, raw, until, unused_tcp};
use crate::support::raw_peer::{RawListener, RawPeer, frame_bytes, greeting_bytes};

fn ready(kind: &str) -> Vec<u8> {
    let metadata = crate::support::raw_peer::metadata_bytes(&[("Socket-Type", kind.as_bytes())]);
    frame_bytes(4, &crate::support::raw_peer::command_body("READY", &metadata))
}

#[tokio::test]
async fn a1_1_own_greeting_comes_unasked_from_both_sides() {
    let pull = Pull::new();
    let mut peer = RawPeer::connect(&bind(&pull).await).await;
    let greeting = peer.recv_greeting().await;
    assert_eq!((greeting.major, greeting.minor, greeting.mechanism.as_str()), (3, 1, "NULL"));
    assert!(!greeting.as_server);
    assert_eq!(greeting.raw[33..], [0; 31]);

    let listener = RawListener::bind().await;
    let push = Push::new();
    push.connect(listener.endpoint()).await.unwrap();
    listener.accept().await.recv_greeting().await;
}

#[tokio::test]
async fn a1_2_the_whole_greeting_comes_to_a_peer_that_sends_in_stages() {
    let pull = Pull::new();
    let mut peer = RawPeer::connect(&bind(&pull).await).await;
    let greeting = greeting_bytes(1, "NULL", false);
    peer.send_raw(&greeting[..10]).await;
    let ours = peer.recv_raw(11).await;
    assert_eq!(ours[10], 3);
    peer.send_raw(&greeting[10..11]).await;
    peer.recv_raw(53).await;
    peer.send_raw(&greeting[11..]).await;
    peer.recv_ready().await;
    peer.ready("PUSH", None, &[]).await;
    pull.wait_for_peers(1).soon().await.unwrap();
}

#[tokio::test]
async fn a1_3_every_byte_of_the_handshake_may_come_alone() {
    let pull = Pull::new();
    let mut peer = RawPeer::connect(&bind(&pull).await).await;
    let bytes = [&greeting_bytes(1, "NULL", false)[..], &ready("PUSH"), &frame_bytes(0, b"hello")].concat();
    for byte in bytes {
        peer.send_raw(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(pull.recv().soon().await.unwrap(), "hello");
}

#[tokio::test]
async fn a1_4_bytes_behind_the_greeting_and_the_handshake_are_kept() {
    let pull = Pull::new();
    let mut peer = RawPeer::connect(&bind(&pull).await).await;
    let bytes = [&greeting_bytes(1, "NULL", false)[..], &ready("PUSH"), &frame_bytes(0, b"hello")].concat();
    peer.send_raw(&bytes).await;
    assert_eq!(pull.recv().soon().await.unwrap(), "hello");
}

#[tokio::test]
async fn a1_padding_and_the_signature_s_other_bits_are_not_interpreted() {
    let pull = Pull::new();
    let endpoint = bind(&pull).await;
    let mut greeting = greeting_bytes(1, "NULL", false);
    greeting[1..9].copy_from_slice(&[0xAB; 8]);
    greeting[9] = 1;
    greeting[33..].fill(0xCD);
    let mut peer = RawPeer::connect(&endpoint).await;
    peer.send_raw(&greeting).await;
    peer.ready("PUSH", None, &[]).await;
    pull.wait_for_peers(1).soon().await.unwrap();
}

#[tokio::test]
async fn a1_5_as_server_is_not_required_and_not_refused() {
    let pull = Pull::new();
    let endpoint = bind(&pull).await;
    let mut peers = Vec::new();
    for as_server in [false, true] {
        let mut peer = RawPeer::connect(&endpoint).await;
        peer.send_raw(&greeting_bytes(1, "NULL", as_server)).await;
        peer.ready("PUSH", None, &[]).await;
        peer.recv_greeting().await;
        peer.recv_ready().await;
        peers.push(peer);
        pull.wait_for_peers(peers.len()).soon().await.unwrap();
    }
}

#[tokio::test]
async fn a1_7_a_silent_peer_is_closed_at_the_handshake_timeout_on_both_sides() {
    let timeout = Duration::from_millis(50);
    let pull = Pull::builder().handshake_timeout(timeout).build().unwrap();
    let mut monitor = pull.monitor();
    let mut silent = RawPeer::connect(&bind(&pull).await).await;
    assert_eq!(handshake_failed(&mut monitor).await, HandshakeError::Timeout);
    assert_eq!(silent.expect_closed().await.len(), 64);

    let listener = RawListener::bind().await;
    let push = Push::builder().handshake_timeout(timeout).build().unwrap();
    let mut monitor = push.monitor();
    push.connect(listener.endpoint()).await.unwrap();
    let mut first = listener.accept().await;
    assert_eq!(handshake_failed(&mut monitor).await, HandshakeError::Timeout);
    first.expect_closed().await;
    // It is a passing fault: the connecter tries again.
    listener.accept().await.handshake("PULL", 1).await;
    push.wait_for_peers(1).soon().await.unwrap();
}

#[tokio::test]
async fn d2_the_handshake_deadline_is_absolute_however_slowly_bytes_trickle_in() {
    let pull = Pull::builder().handshake_timeout(Duration::from_millis(100)).build().unwrap();
    let mut monitor = pull.monitor();
    let mut peer = RawPeer::connect(&bind(&pull).await).await;
    let greeting = greeting_bytes(1, "NULL", false);
    let began = std::time::Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    let drip = async {
        for byte in greeting {
            tick.tick().await;
            peer.send_raw(&[byte]).await;
        }
        panic!("64 bytes at 10 ms each were let through");
    };
    tokio::select! {
        () = drip => {}
        error = handshake_failed(&mut monitor) => assert_eq!(error, HandshakeError::Timeout),
    }
    assert!(began.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn a1_8_c6_9_a_mechanism_mismatch_ends_connecting_and_says_so() {
    let listener = RawListener::bind().await;
    let push = Push::new();
    let mut monitor = push.monitor();
    push.connect(listener.endpoint()).await.unwrap();
    let mut peer = listener.accept().await;
    peer.send_raw(&greeting_bytes(1, "PLAIN", true)).await;
    let error = HandshakeError::Protocol(ProtocolError::MechanismMismatch);
    assert_eq!(handshake_failed(&mut monitor).await, error);
    until(&mut monitor, EventKind::GaveUp).await;
    assert!(push.stats().peers.is_empty());
}

/// Limits T1: only identical mechanisms meet, whatever the as-server bit says.
#[tokio::test]
async fn t1_no_other_mechanism_is_fallen_back_to() {
    let pull = Pull::new();
    let mut monitor = pull.monitor();
    let endpoint = bind(&pull).await;
    let long = "NULLNULLNULLNULLNULL";
    for mechanism in ["", "PLAIN", "CURVE", "GSSAPI", "null", "NUL", "NULLX", "NULL ", "NULL\0X", long] {
        for minor in [0, 1, 255] {
            for as_server in [false, true] {
                let mut peer = RawPeer::connect(&endpoint).await;
                peer.send_raw(&greeting_bytes(minor, mechanism, as_server)).await;
                let error = handshake_failed(&mut monitor).await;
                assert_eq!(error, HandshakeError::Protocol(ProtocolError::MechanismMismatch), "{mechanism}");
                assert_eq!(peer.expect_closed().await.len(), 64, "{mechanism}");
            }
        }
    }
    assert!(pull.stats().peers.is_empty());
}

#[tokio::test]
async fn a2_1_any_version_from_3_0_on_is_met_at_our_own() {
    let pull = Pull::new();
    let endpoint = bind(&pull).await;
    for (major, minor) in [(3, 0), (3, 1), (3, 2), (3, 255), (4, 0), (4, 7), (255, 255)] {
        let mut peer = RawPeer::connect(&endpoint).await;
        let mut greeting = greeting_bytes(minor, "NULL", false);
        greeting[10] = major;
        peer.send_raw(&greeting).await;
        peer.ready("PUSH", None, &[]).await;
        assert_eq!(peer.recv_greeting().await.major, 3);
        peer.recv_ready().await;
        peer.send_msg(&[&[major, minor]]).await;
        assert_eq!(pull.recv().soon().await.unwrap(), &[major, minor], "{major}.{minor}");
    }
}

/// Limits T3, D6: nothing below 3.0, and nothing that is not ZMTP, comes in.
#[tokio::test]
async fn a2_3_t3_d6_older_versions_and_garbage_are_closed_and_named() {
    let pull = Pull::new();
    let mut monitor = pull.monitor();
    let endpoint = bind(&pull).await;
    let mut old = [2, 1, 0].map(|major| {
        let mut greeting = greeting_bytes(0, "NULL", false).to_vec();
        greeting[10] = major;
        greeting
    });
    // 2.0 goes on with the socket type.
    old[1].truncate(12);
    let mut legacy_length = greeting_bytes(1, "NULL", false).to_vec();
    legacy_length[9] = 0;
    let inputs = [
        old[0].clone(),
        old[1].clone(),
        old[2].clone(),
        legacy_length,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"\x05\x00hello".to_vec(),
        b"\x01\x00".to_vec(),
        vec![0; 64],
    ];
    for input in inputs {
        let mut peer = RawPeer::connect(&endpoint).await;
        peer.send_raw(&input).await;
        let error = handshake_failed(&mut monitor).await;
        let named = matches!(
            error,
            HandshakeError::Protocol(ProtocolError::NotZmtp | ProtocolError::VersionTooOld { .. })
        );
        assert!(named, "{input:02x?}: {error:?}");
        peer.expect_closed().await;
    }
    assert_eq!(pull.stats().unread + pull.stats().received, 0);
    assert_eq!(pull.stats().refused, 9);
}

#[tokio::test]
async fn d6_a_good_peer_is_served_while_others_send_garbage() {
    let pull = Pull::new();
    let endpoint = bind(&pull).await;
    let mut garbage = Vec::new();
    for seed in 0..50_u64 {
        let mut peer = RawPeer::connect(&endpoint).await;
        let bytes: Vec<u8> = (0..seed + 1).map(|i| (i * 37 + seed * 101) as u8).collect();
        peer.send_raw(&bytes).await;
        garbage.push(peer);
    }
    let push = Push::new();
    push.connect(&endpoint[..]).await.unwrap();
    push.send("good").soon().await.unwrap();
    assert_eq!(pull.recv().soon().await.unwrap(), "good");
}

#[tokio::test]
async fn a1_9_connecting_to_nobody_on_an_ephemeral_port_never_meets_oneself() {
    let endpoint = unused_tcp();
    let push = Push::builder().reconnect_interval(Duration::from_millis(1)).build().unwrap();
    let mut monitor = push.monitor();
    push.connect(&endpoint[..]).await.unwrap();
    for _ in 0..3 {
        crate::kit::event(&mut monitor, |event| {
            assert!(event.kind != EventKind::Connected);
            matches!(event.kind, EventKind::ConnectFailed(_)).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_peer_that_leaves_in_mid_handshake_is_an_event_and_no_peer() {
    let pull = Pull::new();
    let mut monitor = pull.monitor();
    let endpoint = bind(&pull).await;
    for cut in [0, 1, 10, 11, 63, 64, 70] {
        let bytes = [&greeting_bytes(1, "NULL", false)[..], &ready("PUSH")].concat();
        let mut peer = RawPeer::connect(&endpoint).await;
        peer.send_raw(&bytes[..cut]).await;
        drop(peer);
        assert_eq!(handshake_failed(&mut monitor).await, HandshakeError::Closed, "after {cut}");
    }
    let mut good = raw(&pull).await;
    good.send_msg(&[b"good"]).await;
    assert_eq!(pull.recv().soon().await.unwrap(), "good");
    good.finish().await;
    assert_eq!(disconnected(&mut monitor).await, DisconnectReason::ClosedByPeer);
    counted(&pull, |stats| stats.peers.is_empty()).await;
}

//! A4, A6 and A7 on the wire: commands after the handshake, ERROR, and both forms of a subscription.

use sinew::{
    DisconnectReason, EventKind, HandshakeError, ProtocolError, Pub, Pull, Push, Router, Sub, XPub, XSub,
};

use crate::kit::{
    Soon, answer, bind, counted, disconnected, handshake_failed, raw, raw_as, raw_server, until,
};
use crate::support::raw_peer::{COMMAND, RawListener, RawPeer};

#[tokio::test]
async fn a4_1_a_command_without_a_name_or_with_one_longer_than_itself_closes() {
    for body in [&b""[..], b"\0", b"\0PING", b"\x05PING", b"\xFFx"] {
        let pull = Pull::new();
        let mut monitor = pull.monitor();
        let mut peer = raw(&pull).await;
        peer.send_frame(COMMAND, body).await;
        let reason = disconnected(&mut monitor).await;
        assert_eq!(reason, DisconnectReason::Protocol(ProtocolError::MalformedCommand), "{body:02x?}");
        peer.expect_closed().await;
    }
}

#[tokio::test]
async fn a4_2_unknown_commands_are_ignored() {
    let pull = Pull::new();
    let mut peer = raw(&pull).await;
    for name in ["X", "JOIN", "LEAVE", "MESSAGE", "ping"] {
        peer.send_command(name, b"data").await;
    }
    peer.send_command(&"N".repeat(255), &[0; 60_000]).await;
    peer.send_msg(&[b"still here"]).await;
    assert_eq!(pull.recv().soon().await.unwrap(), "still here");
}

#[tokio::test]
async fn a4_3_a_subscription_to_what_does_not_publish_is_never_delivered() {
    let (pull, router) = (Pull::new(), Router::new());
    let (mut to_pull, mut to_router) = (raw(&pull).await, raw(&router).await);
    for peer in [&mut to_pull, &mut to_router] {
        peer.send_command("SUBSCRIBE", b"topic").await;
        peer.send_command("CANCEL", b"topic").await;
        peer.send_msg(&[b"data"]).await;
    }
    assert_eq!(pull.recv().soon().await.unwrap(), "data");
    assert_eq!(router.recv().soon().await.unwrap().1, "data");
}

#[tokio::test]
async fn a4_4_only_the_mechanism_s_commands_are_legal_in_the_handshake() {
    for (flags, body) in [(COMMAND, &b"\x04PING\0\0"[..]), (COMMAND, b"\x05HELLO"), (0, b"data")] {
        let pull = Pull::new();
        let mut monitor = pull.monitor();
        let mut peer = RawPeer::connect(&bind(&pull).await).await;
        peer.greeting(1).await;
        peer.send_frame(flags, body).await;
        let error = handshake_failed(&mut monitor).await;
        let expected =
            if flags == 0 { ProtocolError::MessageInHandshake } else { ProtocolError::UnexpectedCommand };
        assert_eq!(error, HandshakeError::Protocol(expected));
        peer.expect_closed().await;
    }
}

#[tokio::test]
async fn d20_handshake_commands_in_traffic_close() {
    for name in ["READY", "HELLO", "WELCOME", "INITIATE"] {
        let pull = Pull::new();
        let mut monitor = pull.monitor();
        let mut peer = raw(&pull).await;
        peer.send_command(name, b"\0").await;
        let reason = disconnected(&mut monitor).await;
        assert_eq!(reason, DisconnectReason::Protocol(ProtocolError::HandshakeCommandInTraffic), "{name}");
        peer.expect_closed().await;
    }
}

#[tokio::test]
async fn d20_an_error_in_traffic_closes_and_its_reason_is_told() {
    let pull = Pull::new();
    let mut monitor = pull.monitor();
    let mut peer = raw(&pull).await;
    peer.send_command("ERROR", b"\x08too much").await;
    let reason = "too much".to_owned();
    assert_eq!(disconnected(&mut monitor).await, DisconnectReason::Rejected { reason });
    assert!(peer.expect_closed().await.is_empty());
}

#[tokio::test]
async fn a6_1_an_error_in_the_handshake_ends_connecting() {
    let listener = RawListener::bind().await;
    let push = Push::new();
    let mut monitor = push.monitor();
    push.connect(listener.endpoint()).await.unwrap();
    let mut peer = listener.accept().await;
    peer.greeting(1).await;
    peer.send_command("ERROR", b"\x03400").await;
    let error = handshake_failed(&mut monitor).await;
    assert_eq!(error, HandshakeError::Rejected { reason: "400".into() });
    until(&mut monitor, EventKind::GaveUp).await;
}

#[tokio::test]
async fn a6_5_an_incompatible_socket_is_told_why_before_it_is_closed() {
    let pull = Pull::new();
    let mut monitor = pull.monitor();
    let mut peer = RawPeer::connect(&bind(&pull).await).await;
    peer.greeting(1).await;
    peer.ready("PULL", None, &[]).await;
    peer.recv_greeting().await;
    peer.recv_ready().await;
    let (name, reason) = peer.recv_command().await;
    assert_eq!((name.as_str(), &reason[1..]), ("ERROR", &b"PULL cannot talk to PULL"[..]));
    peer.expect_closed().await;
    assert!(matches!(handshake_failed(&mut monitor).await, HandshakeError::Protocol(_)));
}

#[tokio::test]
async fn a6_6_an_error_whose_reason_does_not_fill_it_is_malformed() {
    for data in [&b""[..], b"\x04400", b"\x02400"] {
        let pull = Pull::new();
        let mut monitor = pull.monitor();
        let mut peer = RawPeer::connect(&bind(&pull).await).await;
        peer.greeting(1).await;
        peer.send_command("ERROR", data).await;
        let error = handshake_failed(&mut monitor).await;
        assert_eq!(error, HandshakeError::Protocol(ProtocolError::MalformedError));
    }
}

/// Ports the idea of libzmq's `test_mock_pub_sub`.
#[tokio::test]
async fn a7_1_the_form_of_a_subscription_follows_the_peer_s_minor_version() {
    let sub = Sub::new();
    let mut new = raw_as(&sub, "PUB", 1).await;
    let mut old = raw_as(&sub, "PUB", 0).await;
    sub.subscribe("A");
    assert_eq!(new.recv_command().await, ("SUBSCRIBE".into(), b"A".to_vec()));
    assert_eq!(old.recv_msg().await, [b"\x01A"]);
    sub.unsubscribe("A");
    assert_eq!(new.recv_command().await, ("CANCEL".into(), b"A".to_vec()));
    assert_eq!(old.recv_msg().await, [b"\x00A"]);
}

#[tokio::test]
async fn a3_1_the_long_form_is_chosen_by_the_size_on_the_wire() {
    let sub = Sub::new();
    let mut new = raw_as(&sub, "PUB", 1).await;
    let mut old = raw_as(&sub, "PUB", 0).await;
    for size in [0, 244, 245, 246, 254, 255, 256, 1000] {
        let topic = vec![b't'; size];
        sub.subscribe(&topic[..]);
        assert_eq!(new.recv_command().await, ("SUBSCRIBE".into(), topic.clone()));
        assert_eq!(old.recv_msg().await, [[&[1], &topic[..]].concat()]);
    }
}

#[tokio::test]
async fn a7_2_a_publisher_takes_both_forms_from_any_3_x_peer() {
    for minor in [0, 1] {
        let publisher = Pub::new();
        let mut peer = raw_as(&publisher, "SUB", minor).await;
        peer.send_command("SUBSCRIBE", b"A").await;
        peer.send_msg(&[b"\x01B"]).await;
        counted(&publisher, |_| publisher.topic_count() == 2).await;
        for message in ["Aa", "Bb", "Cc"] {
            publisher.send(message).soon().await.unwrap();
        }
        assert_eq!(peer.recv_msg().await, [b"Aa"]);
        assert_eq!(peer.recv_msg().await, [b"Bb"]);
        peer.send_command("CANCEL", b"B").await;
        peer.send_msg(&[b"\x00A"]).await;
        counted(&publisher, |_| publisher.topic_count() == 0).await;
    }
}

#[tokio::test]
async fn a7_3_subscriptions_of_a_peer_are_a_set() {
    let publisher = Pub::new();
    let mut peer = raw(&publisher).await;
    peer.send_command("SUBSCRIBE", b"A").await;
    peer.send_command("SUBSCRIBE", b"A").await;
    peer.send_command("CANCEL", b"A").await;
    peer.send_command("SUBSCRIBE", b"B").await;
    peer.settle().await;
    assert_eq!(publisher.topic_count(), 1);
    publisher.send("A").soon().await.unwrap();
    publisher.send("B").soon().await.unwrap();
    assert_eq!(peer.recv_msg().await, [b"B"]);
}

#[tokio::test]
async fn a7_4_every_subscription_is_forwarded_and_only_the_last_cancellation() {
    let sub = Sub::new();
    let mut peer = raw(&sub).await;
    sub.subscribe("A");
    sub.subscribe("A");
    sub.unsubscribe("never");
    sub.unsubscribe("A");
    sub.subscribe("B");
    sub.unsubscribe("A");
    sub.unsubscribe("A");
    for (name, topic) in [("SUBSCRIBE", "A"), ("SUBSCRIBE", "A"), ("SUBSCRIBE", "B"), ("CANCEL", "A")] {
        assert_eq!(peer.recv_command().await, (name.to_owned(), topic.as_bytes().to_vec()));
    }
    peer.settle().await;
}

#[tokio::test]
async fn a7_5_b6_7_a_reconnected_publisher_gets_each_topic_once() {
    let sub = Sub::builder().subscribe("A").subscribe("A").subscribe("B").build().unwrap();
    let listener = RawListener::bind().await;
    sub.connect(listener.endpoint()).await.unwrap();
    sub.subscribe("C");
    sub.unsubscribe("B");
    for _ in 0..2 {
        let (mut peer, _) = answer(&listener, "PUB", 1).await;
        let mut topics = [peer.recv_command().await, peer.recv_command().await];
        topics.sort();
        let topic = |topic: &str| ("SUBSCRIBE".to_owned(), topic.as_bytes().to_vec());
        assert_eq!(topics, [topic("A"), topic("C")]);
        peer.settle().await;
    }
}

#[tokio::test]
async fn a7_6_subscriptions_are_not_subject_to_the_high_water_mark() {
    let xsub = XSub::builder().send_hwm(1).build().unwrap();
    let listener = RawListener::bind().await;
    xsub.connect(listener.endpoint()).await.unwrap();
    for i in 0..1500 {
        xsub.send(format!("\x01{i}")).soon().await.unwrap();
    }
    let (mut peer, _) = answer(&listener, "PUB", 1).await;
    let mut topics = std::collections::HashSet::new();
    for _ in 0..1500 {
        topics.insert(peer.recv_command().await);
    }
    assert_eq!(topics.len(), 1500);
    peer.settle().await;
    // Nor to what is set afterwards, all at once.
    for i in 0..1500 {
        xsub.subscribe(format!("later {i}"));
    }
    for i in 0..1500 {
        assert_eq!(peer.recv_command().await.1, format!("later {i}").into_bytes());
    }
}

#[tokio::test]
async fn a7_6_a_conflating_sub_sends_all_its_subscriptions() {
    let sub = Sub::builder().conflate(true).subscribe("A").subscribe("B").build().unwrap();
    let (_listener, mut peer) = raw_server(&sub).await;
    let mut topics = [peer.recv_command().await.1, peer.recv_command().await.1];
    topics.sort();
    assert_eq!(topics, [b"A", b"B"]);
}

/// Ports the idea of libzmq's `test_xpub_topic`: around the length where the command becomes a long frame.
#[tokio::test]
async fn a7_7_topics_are_any_bytes_of_any_length() {
    let (publisher, sub) = (XPub::new(), Sub::new());
    crate::kit::join(crate::kit::Medium::Tcp, &publisher, &sub).await;
    for size in [0, 1, 244, 245, 246, 247, 255, 256, 4000] {
        let topic: Vec<u8> = (0..size).map(|i| (i * 7) as u8).collect();
        sub.subscribe(&topic[..]);
        assert_eq!(publisher.recv().soon().await.unwrap(), &[&[1], &topic[..]].concat());
        publisher.send([&topic[..], b"second frame"]).soon().await.unwrap();
        assert_eq!(sub.recv().soon().await.unwrap(), [&topic[..], b"second frame"]);
        sub.unsubscribe(&topic[..]);
        assert_eq!(publisher.recv().soon().await.unwrap(), &[&[0], &topic[..]].concat());
    }
}

#[tokio::test]
async fn a7_8_only_the_first_frame_is_matched_and_from_its_beginning() {
    let publisher = Pub::new();
    let mut peer = raw(&publisher).await;
    peer.send_command("SUBSCRIBE", b"AB").await;
    publisher.wait_for_subscribers(1).soon().await.unwrap();
    publisher.send("A").soon().await.unwrap();
    publisher.send("xAB").soon().await.unwrap();
    publisher.send(["x", "AB"]).soon().await.unwrap();
    publisher.send(["ABC", "x"]).soon().await.unwrap();
    assert_eq!(peer.recv_msg().await, [&b"ABC"[..], b"x"]);
}

#[tokio::test]
async fn a7_10_cancelling_what_was_not_subscribed_changes_nothing() {
    let publisher = Pub::new();
    let mut peer = raw(&publisher).await;
    peer.send_command("SUBSCRIBE", b"AB").await;
    for topic in [&b"A"[..], b"ABC", b"", b"x"] {
        peer.send_command("CANCEL", topic).await;
        peer.send_msg(&[&[&[0], topic].concat()]).await;
    }
    peer.settle().await;
    assert_eq!(publisher.topic_count(), 1);
    publisher.send("AB").soon().await.unwrap();
    assert_eq!(peer.recv_msg().await, [b"AB"]);
}

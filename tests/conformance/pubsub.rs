//! B5 and B6: who gets what is published.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use sinew::{Pub, RecvError, SendErrorKind, Sub, XPub, XSub};

use crate::kit::{MEDIA, Medium, Soon, answer, bind, counted, disconnected, join, make, raw, raw_server};
use crate::support::raw_peer::command_body;

#[tokio::test]
async fn b5_1_one_copy_however_many_topics_match() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let publisher = make::<Pub>(&context);
        let sub = Sub::builder().context(&context);
        let sub = sub.subscribe("").subscribe("a").subscribe("ab").build().unwrap();
        join(medium, &publisher, &sub).await;
        counted(&publisher, |_| publisher.topic_count() == 3).await;
        for message in ["abc", "x", "a"] {
            publisher.send(message).soon().await.unwrap();
            assert_eq!(sub.recv().soon().await.unwrap(), message);
        }
        assert_eq!(sub.try_recv(), Err(RecvError::Empty));
    }
}

#[tokio::test]
async fn b5_1_each_subscriber_gets_what_it_asked_for() {
    let publisher = Pub::new();
    let mut peers = Vec::new();
    for topic in ["a", "b", "ab", ""] {
        let mut peer = raw(&publisher).await;
        peer.send_command("SUBSCRIBE", topic.as_bytes()).await;
        peers.push(peer);
    }
    publisher.wait_for_subscribers(4).soon().await.unwrap();
    for message in ["a", "b", "abc", "c", "end a", "a end", "b end", "ab end"] {
        publisher.send(message).soon().await.unwrap();
    }
    let expected: [&[&str]; 4] = [
        &["a", "abc", "a end", "ab end"],
        &["b", "b end"],
        &["abc", "ab end"],
        &["a", "b", "abc", "c", "end a", "a end", "b end", "ab end"],
    ];
    for (peer, expected) in peers.iter_mut().zip(expected) {
        for message in expected {
            assert_eq!(peer.recv_msg().await, [message.as_bytes()]);
        }
        peer.settle().await;
    }
}

#[tokio::test]
async fn b5_2_d31_a_full_subscriber_misses_whole_messages_and_nobody_else_does() {
    let publisher = Pub::builder().send_hwm(10).send_buffer(4096).build().unwrap();
    let mut slow = raw(&publisher).await;
    let mut fast = raw(&publisher).await;
    for peer in [&mut slow, &mut fast] {
        peer.send_command("SUBSCRIBE", b"").await;
    }
    publisher.wait_for_subscribers(2).soon().await.unwrap();
    let body = vec![7; 100_000];
    for i in 0..200_u8 {
        publisher.send([&[i][..], &body, b"end"]).soon().await.unwrap();
        assert_eq!(fast.recv_msg().await, [&[i][..], &body, b"end"]);
    }
    let dropped = publisher.stats().dropped.high_water_mark;
    assert!(dropped > 0);
    let mut last = None;
    for _ in 0..200 - dropped {
        let message = slow.recv_msg().await;
        assert_eq!(message[1..], [&body[..], b"end"]);
        assert!(last < Some(message[0][0]));
        last = Some(message[0][0]);
    }
    slow.settle().await;
}

#[tokio::test]
async fn b5_3_without_a_subscriber_sending_succeeds_and_is_counted() {
    let publisher = Pub::new();
    publisher.send("nobody").soon().await.unwrap();
    let _peer = raw(&publisher).await;
    publisher.try_send("nobody").unwrap();
    assert_eq!(publisher.stats().dropped.no_route, 2);
}

#[tokio::test]
async fn b5_4_subscriptions_are_heeded_without_the_publisher_calling_anything() {
    let publisher = Pub::new();
    let mut peer = raw(&publisher).await;
    peer.send_command("SUBSCRIBE", b"").await;
    // The PONG says that the subscription has been processed.
    peer.settle().await;
    assert_eq!(publisher.topic_count(), 1);
}

#[tokio::test]
async fn b5_10_a_subscriber_that_leaves_takes_its_subscriptions_along() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let publisher = make::<Pub>(&context);
        let sub = Sub::builder().context(&context).subscribe("a").subscribe("b").build().unwrap();
        let endpoint = join(medium, &publisher, &sub).await;
        counted(&publisher, |_| publisher.topic_count() == 2).await;
        sub.disconnect(&endpoint[..]).unwrap();
        counted(&publisher, |_| publisher.topic_count() == 0).await;
        sub.connect(&endpoint[..]).await.unwrap();
        counted(&publisher, |_| publisher.topic_count() == 2).await;
        drop(sub);
        counted(&publisher, |stats| publisher.topic_count() == 0 && stats.peers.is_empty()).await;
    }
}

/// Others wait for the publisher meanwhile. Over inproc it is the caller who takes the subscriptions out.
#[tokio::test]
async fn b5_10_a_subscriber_that_leaves_costs_what_it_held_and_not_what_the_others_hold() {
    let context = sinew::Context::new();
    let publisher = make::<Pub>(&context);
    let endpoint = publisher.bind(&Medium::Inproc.any()).soon().await.unwrap().to_string();
    let mut subs = Vec::new();
    for peer in 0..50 {
        let sub = make::<Sub>(&context);
        sub.connect(&endpoint).soon().await.unwrap();
        (0..1000).for_each(|topic| sub.subscribe(format!("{peer}/{topic}")));
        subs.push(sub);
    }
    assert_eq!(publisher.topic_count(), 50_000);
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
    let leaving = |sub: &Sub| {
        let before = now();
        sub.disconnect(&endpoint[..]).unwrap();
        now() - before
    };
    let of_a_thousand = leaving(&subs[0]);
    assert_eq!(publisher.topic_count(), 49_000);
    // The least of a few: whatever else the machine does may make one longer.
    let mut of_none = Duration::MAX;
    for _ in 0..5 {
        let none = make::<Sub>(&context);
        none.connect(&endpoint).soon().await.unwrap();
        of_none = of_none.min(leaving(&none));
    }
    assert!(of_none * 5 < of_a_thousand, "{of_none:?} without topics, {of_a_thousand:?} with a thousand");
}

/// Ports the idea of libzmq's `test_xpub_nodrop` and of the blocking half of `test_hwm_pubsub`.
#[tokio::test]
async fn b5_12_no_drop_waits_for_the_slowest_and_loses_nothing() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let publisher = Pub::builder().context(&context).no_drop(true).send_hwm(3).build().unwrap();
        let subs: Vec<_> = (0..3)
            .map(|_| Sub::builder().context(&context).recv_hwm(3).subscribe("").build().unwrap())
            .collect();
        let endpoint = publisher.bind(&medium.any()).soon().await.unwrap().to_string();
        for sub in &subs {
            sub.connect(&endpoint).soon().await.unwrap();
        }
        publisher.wait_for_subscribers(3).soon().await.unwrap();
        let body = vec![0; 20_000];
        let mut sent = 0;
        while publisher.try_send([&[sent][..], &body]).is_ok() {
            sent += 1;
            tokio::task::yield_now().await;
            assert!(sent < 255, "it is never full");
            if medium == Medium::Inproc {
                assert!(sent <= 6);
            } else if sent == 200 {
                break;
            }
        }
        let sender = publisher.clone();
        let last = body.clone();
        let sending = tokio::spawn(async move { sender.send([&b"last"[..], &last]).await });
        for sub in &subs {
            for i in 0..sent {
                assert_eq!(sub.recv().soon().await.unwrap()[0], &[i], "{medium:?}");
            }
        }
        sending.soon().await.unwrap().unwrap();
        for sub in &subs {
            assert_eq!(sub.recv().soon().await.unwrap()[0], "last");
        }
        assert_eq!(publisher.stats().dropped, sinew::Dropped::default());
    }
}

#[tokio::test]
async fn b5_12_no_drop_gives_nobody_what_one_has_no_room_for() {
    let context = sinew::Context::new();
    let publisher = Pub::builder().context(&context).no_drop(true).send_hwm(1).build().unwrap();
    let name = crate::kit::inproc();
    publisher.bind(&name[..]).await.unwrap();
    let slow = Sub::builder().context(&context).recv_hwm(1).subscribe("").build().unwrap();
    let fast = Sub::builder().context(&context).recv_hwm(100).subscribe("").build().unwrap();
    slow.connect(&name[..]).await.unwrap();
    fast.connect(&name[..]).await.unwrap();
    publisher.try_send("1").unwrap();
    publisher.try_send("2").unwrap();
    assert_eq!(publisher.try_send("3").unwrap_err().kind(), SendErrorKind::Full);
    assert_eq!(fast.try_recv().unwrap(), "1");
    assert_eq!(fast.try_recv().unwrap(), "2");
    assert_eq!(fast.try_recv(), Err(RecvError::Empty));
    assert_eq!(slow.try_recv().unwrap(), "1");
    publisher.try_send("3").unwrap();
}

#[tokio::test]
async fn b5_15_the_welcome_message_is_first_and_unfiltered_by_the_publisher() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let publisher = XPub::builder().context(&context).welcome("W").build().unwrap();
        let endpoint = publisher.bind(&medium.any()).soon().await.unwrap().to_string();
        let sub = Sub::builder().context(&context).subscribe("W").build().unwrap();
        sub.connect(&endpoint).soon().await.unwrap();
        assert_eq!(sub.recv().soon().await.unwrap(), "W", "{medium:?}");
        let deaf = Sub::builder().context(&context).subscribe("x").build().unwrap();
        deaf.connect(&endpoint).soon().await.unwrap();
        publisher.wait_for_subscribers(2).soon().await.unwrap();
        publisher.send("x").soon().await.unwrap();
        assert_eq!(deaf.recv().soon().await.unwrap(), "x");
    }
}

/// Ports the idea of libzmq's `test_pub_invert_matching`.
#[tokio::test]
async fn b5_17_inverted_matching_sends_what_does_not_match() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let publisher = Pub::builder().context(&context).invert_matching(true).build().unwrap();
        let sub = Sub::builder().context(&context).invert_matching(true).subscribe("PREFIX").build().unwrap();
        let plain = Sub::builder().context(&context).subscribe("PREFIX").build().unwrap();
        let endpoint = join(medium, &publisher, &sub).await;
        plain.connect(&endpoint).soon().await.unwrap();
        publisher.wait_for_subscribers(2).soon().await.unwrap();
        publisher.send("PREFIXED").soon().await.unwrap();
        publisher.send("other").soon().await.unwrap();
        assert_eq!(sub.recv().soon().await.unwrap(), "other");
        // Sent there, and let through by nobody.
        assert_eq!(plain.try_recv(), Err(RecvError::Empty));
    }
}

#[tokio::test]
async fn b5_18_topics_are_counted_once_over_all_peers_and_nested_ones_apart() {
    let (publisher, sub, other) = (Pub::new(), Sub::new(), Sub::new());
    let endpoint = join(Medium::Tcp, &publisher, &sub).await;
    other.connect(&endpoint[..]).await.unwrap();
    for topic in ["A", "AB", "ABC", "A"] {
        sub.subscribe(topic);
        other.subscribe(topic);
    }
    assert_eq!(sub.topic_count(), 3);
    publisher.wait_for_subscribers(2).soon().await.unwrap();
    counted(&publisher, |_| publisher.topic_count() == 3).await;
    drop(other);
    publisher.wait_for_peers(1).soon().await.unwrap();
    counted(&publisher, |stats| stats.peers.len() == 1).await;
    assert_eq!(publisher.topic_count(), 3);
    sub.unsubscribe("AB");
    counted(&publisher, |_| publisher.topic_count() == 2).await;
}

#[tokio::test]
async fn b6_1_without_a_subscription_nothing_is_received() {
    let (publisher, sub) = (Pub::new(), Sub::new());
    join(Medium::Tcp, &publisher, &sub).await;
    publisher.send("before").soon().await.unwrap();
    sub.subscribe("");
    publisher.wait_for_subscribers(1).soon().await.unwrap();
    publisher.send("after").soon().await.unwrap();
    assert_eq!(sub.recv().soon().await.unwrap(), "after");
}

#[tokio::test]
async fn b6_2_a_sub_filters_what_a_publisher_did_not_and_an_xsub_does_not() {
    let (sub, xsub) = (Sub::builder().subscribe("A").build().unwrap(), XSub::new());
    let mut to_sub = raw(&sub).await;
    let mut to_xsub = raw(&xsub).await;
    for peer in [&mut to_sub, &mut to_xsub] {
        peer.send_msg(&[b"B", b"A"]).await;
        peer.send_msg(&[b""]).await;
        peer.send_msg(&[b"A", b"B"]).await;
    }
    assert_eq!(sub.recv().soon().await.unwrap(), ["A", "B"]);
    assert_eq!(xsub.recv().soon().await.unwrap(), ["B", "A"]);
    assert_eq!(xsub.recv().soon().await.unwrap(), "");
    sub.unsubscribe("A");
    to_sub.send_msg(&[b"A"]).await;
    sub.subscribe("C");
    to_sub.send_msg(&[b"C"]).await;
    // The first subscription, its end, and the other are sent in that order.
    for name in ["SUBSCRIBE", "CANCEL", "SUBSCRIBE"] {
        assert_eq!(to_sub.recv_command().await.0, name);
    }
    to_sub.send_msg(&[b"C2"]).await;
    assert_eq!(sub.recv().soon().await.unwrap(), "C");
    assert_eq!(sub.recv().soon().await.unwrap(), "C2");
}

#[tokio::test]
async fn b6_3_an_xsub_sends_subscriptions_and_user_messages_and_never_waits() {
    let xsub = XSub::builder().send_hwm(1).build().unwrap();
    xsub.send("lost").soon().await.unwrap();
    let mut peers = [raw(&xsub).await, raw(&xsub).await];
    xsub.send("\x01A").soon().await.unwrap();
    xsub.send(["user", "message"]).soon().await.unwrap();
    xsub.try_send("\0A").unwrap();
    for peer in &mut peers {
        let (mut names, mut message) = (Vec::new(), Vec::new());
        while names.len() < 2 || message.len() < 2 {
            let frame = peer.recv_frame().await;
            if frame.flags & 4 == 0 { message.push(frame.body) } else { names.push(frame.body) }
        }
        assert_eq!(names, [&b"\x09SUBSCRIBEA"[..], b"\x06CANCELA"]);
        assert_eq!(message, [&b"user"[..], b"message"]);
    }
    for _ in 0..1000 {
        xsub.try_send("more than fits").unwrap();
    }
}

/// As libzmq: each frame of a message may be a subscription, and is recorded and replayed then.
#[tokio::test]
async fn b6_3_b5_16_subscriptions_within_a_message_of_an_xsub_are_recorded_and_replayed() {
    for only_first in [false, true] {
        let xsub = XSub::builder().only_first_subscribe(only_first).build().unwrap();
        let (listener, mut peer) = raw_server(&xsub).await;
        xsub.send(["\x01A", "user", "\x01B"]).soon().await.unwrap();
        let mut topics = if only_first { vec!["A"] } else { vec!["A", "B"] };
        let user: &[&[u8]] = if only_first { &[b"user", b"\x01B"] } else { &[b"user"] };
        let mut got = (Vec::new(), Vec::new());
        while got.0.len() < topics.len() || got.1.len() < user.len() {
            let frame = peer.recv_frame().await;
            if frame.flags & 4 == 0 { got.1.push(frame.body) } else { got.0.push(frame.body) }
        }
        assert_eq!(
            got.0,
            topics.iter().map(|topic| command_body("SUBSCRIBE", topic.as_bytes())).collect::<Vec<_>>()
        );
        assert_eq!(got.1, user);
        assert_eq!(xsub.topic_count(), topics.len());
        drop(peer);
        let (mut peer, _) = answer(&listener, "PUB", 1).await;
        while !topics.is_empty() {
            let (name, topic) = peer.recv_command().await;
            assert_eq!(name, "SUBSCRIBE");
            topics.retain(|held| held.as_bytes() != topic);
        }
    }
}

/// Ports the idea of libzmq's `test_xsub_verbose`.
#[tokio::test]
async fn b6_4_an_unknown_unsubscription_is_forwarded_only_if_verbose() {
    let (quiet, verbose) = (XSub::new(), XSub::builder().verbose_unsubscribe(true).build().unwrap());
    for (xsub, expected) in [(quiet, &["B"][..]), (verbose, &["A", "A", "B"])] {
        let mut peer = raw(&xsub).await;
        xsub.send("\0A").soon().await.unwrap();
        xsub.send("\x01B").soon().await.unwrap();
        xsub.send("\x01B").soon().await.unwrap();
        xsub.unsubscribe("A");
        xsub.unsubscribe("B");
        xsub.unsubscribe("B");
        let mut cancelled = Vec::new();
        while cancelled.last().is_none_or(|last| last != b"B") {
            let (name, topic) = peer.recv_command().await;
            if name == "CANCEL" {
                cancelled.push(topic);
            }
        }
        assert_eq!(cancelled, expected.iter().map(|topic| topic.as_bytes()).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn b6_5_a_full_sub_stops_reading_and_loses_nothing() {
    let sub = Sub::builder().recv_hwm(5).subscribe("").build().unwrap();
    let (_listener, mut peer) = raw_server(&sub).await;
    for i in 0..200_u8 {
        peer.send_msg(&[&[i]]).await;
    }
    counted(&sub, |stats| stats.unread == 5).await;
    for i in 0..200_u8 {
        assert_eq!(sub.recv().soon().await.unwrap(), &[i]);
    }
}

#[tokio::test]
async fn b6_7_subscriptions_outlive_the_publisher() {
    let endpoint = crate::kit::unused_tcp();
    let sub = Sub::builder().subscribe("a").build().unwrap();
    sub.connect(&endpoint[..]).await.unwrap();
    for _ in 0..3 {
        let publisher = Pub::new();
        publisher.bind(&endpoint[..]).await.unwrap();
        publisher.wait_for_subscribers(1).soon().await.unwrap();
        publisher.send("ab").soon().await.unwrap();
        assert_eq!(sub.recv().soon().await.unwrap(), "ab");
        publisher.close().soon().await;
    }
}

#[tokio::test]
async fn d3_2_a_pub_that_connects_first_drops_and_a_sub_that_connects_first_gets_all() {
    let context = sinew::Context::new();
    let name = crate::kit::inproc();
    let (publisher, sub) =
        (make::<Pub>(&context), Sub::builder().context(&context).subscribe("").build().unwrap());
    publisher.connect(&name[..]).await.unwrap();
    publisher.send("dropped").soon().await.unwrap();
    sub.bind(&name[..]).await.unwrap();
    publisher.wait_for_subscribers(1).soon().await.unwrap();
    publisher.send("received").soon().await.unwrap();
    assert_eq!(sub.recv().soon().await.unwrap(), "received");
}

#[tokio::test]
async fn a_publisher_may_connect_and_a_subscriber_bind() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let sub = Sub::builder().context(&context).subscribe("").build().unwrap();
        let endpoint = sub.bind(&medium.any()).soon().await.unwrap().to_string();
        let publishers = [make::<Pub>(&context), make::<Pub>(&context)];
        for publisher in &publishers {
            publisher.connect(&endpoint).soon().await.unwrap();
            publisher.wait_for_subscribers(1).soon().await.unwrap();
            publisher.send("x").soon().await.unwrap();
            assert_eq!(sub.recv().soon().await.unwrap(), "x");
        }
    }
}

#[tokio::test]
async fn fan_out_reaches_many_subscribers_in_order() {
    let publisher = Pub::builder().send_hwm(0).build().unwrap();
    let endpoint = bind(&publisher).await;
    let mut subs = Vec::new();
    for _ in 0..20 {
        let sub = Sub::builder().subscribe("").build().unwrap();
        sub.connect(&endpoint[..]).await.unwrap();
        subs.push(sub);
    }
    publisher.wait_for_subscribers(20).soon().await.unwrap();
    for i in 0..500_u32 {
        publisher.send(&i.to_be_bytes()).soon().await.unwrap();
    }
    for sub in &subs {
        for i in 0..500_u32 {
            assert_eq!(sub.recv().soon().await.unwrap(), &i.to_be_bytes());
        }
    }
}

#[tokio::test]
async fn c2_a_publisher_with_many_messages_lets_them_be_written() {
    let publisher = Pub::new();
    let sub = Sub::builder().subscribe("").recv_hwm(0).build().unwrap();
    join(Medium::Tcp, &publisher, &sub).await;
    publisher.wait_for_subscribers(1).soon().await.unwrap();
    let messages = || (0..10_000).map(|_| sinew::Message::from("x"));
    publisher.send_many(&mut messages().collect()).soon().await.unwrap();
    assert_eq!(publisher.stats().dropped.high_water_mark, 0, "send_many");
    let mut sink = publisher.clone();
    let mut messages = futures::stream::iter(messages().map(Ok));
    futures::SinkExt::send_all(&mut sink, &mut messages).soon().await.unwrap();
    assert_eq!(publisher.stats().dropped.high_water_mark, 0, "Sink");
}

/// Limits D13: the limit given holds, also above what other commands may have.
#[tokio::test]
async fn d13_topics_of_any_length_that_is_allowed() {
    for (limit, fits, too_long) in
        [(Some(100_000), 100_000, 100_001), (Some(300), 300, 301), (None, 2 << 20, 0)]
    {
        let xpub = XPub::builder().max_topic_len(limit).build().unwrap();
        let mut monitor = xpub.monitor();
        let mut peer = raw(&xpub).await;
        peer.send_command("SUBSCRIBE", &vec![b'a'; fits]).await;
        assert_eq!(xpub.recv().soon().await.unwrap().size(), fits + 1);
        let message = vec![b'a'; fits + 1];
        xpub.send(message.clone()).soon().await.unwrap();
        assert_eq!(peer.recv_msg().await, [message]);
        if too_long > 0 {
            peer.send_command("SUBSCRIBE", &vec![b'b'; too_long]).await;
            let error = sinew::ProtocolError::OversizedTopic { size: too_long, limit: fits };
            assert_eq!(disconnected(&mut monitor).await, sinew::DisconnectReason::Protocol(error));
        }
    }
    // What is no topic has the limit of all commands, and no topic may be longer than a message.
    let xpub = XPub::builder().max_topic_len(None).max_message_size(100_000).build().unwrap();
    let mut monitor = xpub.monitor();
    let mut peer = raw(&xpub).await;
    peer.send_command("SUBSCRIBE", &vec![b'a'; 100_001]).await;
    let error = sinew::ProtocolError::OversizedCommand { size: 100_011, limit: 100_000 };
    assert_eq!(disconnected(&mut monitor).await, sinew::DisconnectReason::Protocol(error));
}

//! B7 and the rules of B0 that PUSH and PULL show best.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sinew::{Message, Pull, Push, RecvError, SendErrorKind, Sending, Socket, SocketType};

use crate::kit::{MEDIA, Medium, Soon, bind, counted, fill, for_each, join, make, raw, raw_server};
use crate::support::raw_peer::MORE;

/// Ports the idea of libzmq's `test_spec_pushpull`.
#[tokio::test]
async fn b7_1_push_takes_its_peers_in_turn() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let push = make::<Push>(&context);
        let endpoint = push.bind(&medium.any()).soon().await.unwrap().to_string();
        let pulls: Vec<_> = (0..4).map(|_| make::<Pull>(&context)).collect();
        for pull in &pulls {
            pull.connect(&endpoint).soon().await.unwrap();
        }
        push.wait_for_peers(4).soon().await.unwrap();
        for i in 0..40_u8 {
            push.send(&[i]).soon().await.unwrap();
        }
        for pull in &pulls {
            let first = pull.recv().soon().await.unwrap()[0][0];
            for turn in 1..10 {
                assert_eq!(pull.recv().soon().await.unwrap(), &[first + 4 * turn], "{medium:?}");
            }
            assert_eq!(pull.try_recv(), Err(RecvError::Empty));
        }
    }
}

#[tokio::test]
async fn b7_2_pull_takes_one_message_of_each_peer_in_turn_whatever_its_parts() {
    let pull = Pull::new();
    let mut peers = [raw(&pull).await, raw(&pull).await, raw(&pull).await];
    for (name, peer) in [b"a", b"b", b"c"].iter().zip(&mut peers) {
        for _ in 0..5 {
            peer.send_msg(&[*name, b"2", b"3"]).await;
        }
    }
    counted(&pull, |stats| stats.unread == 15).await;
    for _ in 0..5 {
        let mut turn = [(); 3].map(|()| pull.try_recv().unwrap()[0].to_vec());
        turn.sort();
        assert_eq!(turn, [b"a", b"b", b"c"]);
    }
}

async fn b0_2_sending_without_a_peer_waits_and_try_send_gives_the_message_back<S: Sending<Item = Message>>() {
    let socket = S::default();
    let error = socket.try_send(["a", "b"]).unwrap_err();
    assert_eq!(error.kind(), SendErrorKind::NoPeer);
    assert_eq!(error.into_message(), ["a", "b"]);
    let sender = socket.clone();
    let mut sending = Box::pin(async move { sender.send("x").soon().await });
    assert!(futures::poll!(&mut sending).is_pending());
    let _peer = raw(&socket).await;
    sending.soon().await.unwrap();
}
for_each!(b0_2_sending_without_a_peer_waits_and_try_send_gives_the_message_back: Push, Req, Dealer, Pair);

#[tokio::test]
async fn b0_2_a_cancelled_send_has_sent_nothing() {
    let push = Push::new();
    for _ in 0..10 {
        let mut sending = Box::pin(push.send("cancelled"));
        assert!(futures::poll!(&mut sending).is_pending());
    }
    let mut peer = raw(&push).await;
    push.send("sent").soon().await.unwrap();
    assert_eq!(peer.recv_msg().await, [b"sent"]);
    assert_eq!(counted(&push, |stats| stats.queued == 0).await.sent, 1);
}

#[tokio::test]
async fn b0_2_a_cancelled_recv_has_taken_nothing() {
    let pull = Pull::new();
    let mut peer = raw(&pull).await;
    for i in 0..100_u8 {
        let mut receiving = Box::pin(pull.recv());
        assert!(futures::poll!(&mut receiving).is_pending());
        peer.send_msg(&[&[i]]).await;
        if i % 2 == 0 {
            drop(receiving);
            assert_eq!(pull.recv().soon().await.unwrap(), &[i]);
        } else {
            assert_eq!(receiving.soon().await.unwrap(), &[i]);
        }
    }
}

/// B0.3, ports the idea of libzmq's `test_immediate`: an endpoint that nobody answers on takes its share.
#[tokio::test]
async fn b0_3_a_dead_endpoint_takes_its_share_unless_immediate() {
    for immediate in [false, true] {
        let push = Push::builder().immediate(immediate).build().unwrap();
        let pull = Pull::new();
        push.connect(crate::kit::unused_tcp()).await.unwrap();
        push.connect(bind(&pull).await).await.unwrap();
        push.wait_for_peers(1).soon().await.unwrap();
        for _ in 0..10 {
            push.try_send("x").unwrap();
        }
        let expected = if immediate { 10 } else { 5 };
        for _ in 0..expected {
            pull.recv().soon().await.unwrap();
        }
        let stats = counted(&push, |stats| stats.sent == expected).await;
        assert_eq!(stats.queued, 10 - expected);
    }
}

#[tokio::test]
async fn b0_5_a_full_peer_is_passed_over_until_it_has_room() {
    let push = Push::builder().send_hwm(3).build().unwrap();
    let pull = Pull::new();
    push.connect(crate::kit::unused_tcp()).await.unwrap();
    push.connect(bind(&pull).await).await.unwrap();
    push.wait_for_peers(1).soon().await.unwrap();
    for _ in 0..50 {
        push.send("x").soon().await.unwrap();
    }
    for _ in 0..47 {
        pull.recv().soon().await.unwrap();
    }
    assert_eq!(counted(&push, |stats| stats.queued == 3).await.sent, 47);
}

#[tokio::test]
async fn b0_6_what_was_received_stays_readable_when_the_peer_leaves_and_others_come() {
    let pull = Pull::new();
    let mut first = raw(&pull).await;
    first.send_msg(&[b"1"]).await;
    first.send_msg(&[b"2"]).await;
    first.send_frame(MORE, b"in part").await;
    drop(first);
    counted(&pull, |stats| stats.peers.is_empty()).await;
    for _ in 0..5 {
        drop(raw(&pull).await);
    }
    assert_eq!(pull.stats().unread, 2);
    assert_eq!(pull.recv().soon().await.unwrap(), "1");
    assert_eq!(pull.recv().soon().await.unwrap(), "2");
    assert_eq!(pull.try_recv(), Err(RecvError::Empty));
}

#[tokio::test]
async fn b0_6_c5_5_disconnect_discards_what_is_unread_and_flushes_what_is_unsent() {
    use sinew::Dealer;
    let dealer = Dealer::new();
    let (listener, mut peer) = raw_server(&dealer).await;
    peer.send_msg(&[b"unread"]).await;
    counted(&dealer, |stats| stats.unread == 1).await;
    dealer.send("unsent").soon().await.unwrap();
    dealer.disconnect(listener.endpoint()).unwrap();
    assert_eq!(dealer.try_recv(), Err(RecvError::Empty));
    assert_eq!(peer.recv_msg().await, [b"unsent"]);
    peer.expect_closed().await;
    assert!(dealer.disconnect(listener.endpoint()).is_err());
}

#[tokio::test]
async fn b0_7_data_to_a_socket_that_only_sends_is_counted_and_harmless() {
    let (push, publisher) = (Push::new(), sinew::Pub::new());
    let mut to_push = raw(&push).await;
    let mut to_pub = raw(&publisher).await;
    for _ in 0..5000 {
        to_push.send_msg(&[b"x", b"y"]).await;
        to_pub.send_msg(&[b"x", b"y"]).await;
    }
    counted(&push, |stats| stats.dropped.unexpected == 5000).await;
    counted(&publisher, |stats| stats.dropped.unexpected == 5000).await;
    to_push.settle().await;
    push.send("still here").soon().await.unwrap();
    assert_eq!(to_push.recv_msg().await, [b"still here"]);
    assert_eq!((push.stats().unread, publisher.stats().unread), (0, 0));
}

async fn b0_8_connecting_twice_to_the_same_endpoint<S: Socket>() {
    let socket = S::default();
    let endpoint = crate::kit::unused_tcp();
    socket.connect(&endpoint).soon().await.unwrap();
    let second = socket.connect(&endpoint).soon().await;
    let expected = match S::TYPE {
        SocketType::Dealer | SocketType::Sub | SocketType::Pub | SocketType::Req => 1,
        SocketType::Pair => {
            assert_eq!(second, Err(sinew::ConnectError::Refused(sinew::Refused::PairTaken)));
            1
        }
        _ => 2,
    };
    assert_eq!(socket.stats().peers.len(), expected);
}
for_each!(b0_8_connecting_twice_to_the_same_endpoint:
    Push, Pull, Pub, Sub, XPub, XSub, Req, Rep, Dealer, Router, Pair);

#[tokio::test]
async fn b7_3_the_first_pull_gets_everything_there_is() {
    let (push, first, second) = (Push::new(), Pull::new(), Pull::new());
    let endpoint = join(Medium::Tcp, &push, &first).await;
    for _ in 0..5 {
        push.send("x").soon().await.unwrap();
    }
    second.connect(&endpoint[..]).await.unwrap();
    push.wait_for_peers(2).soon().await.unwrap();
    for _ in 0..5 {
        first.recv().soon().await.unwrap();
    }
    assert_eq!(second.try_recv(), Err(RecvError::Empty));
}

#[tokio::test]
async fn batches_are_what_single_calls_are() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let push = Push::builder().context(&context).send_hwm(7).build().unwrap();
        let pull = Pull::builder().context(&context).recv_hwm(5).build().unwrap();
        join(medium, &pull, &push).await;
        let sender = tokio::spawn(async move {
            let mut batch = (0..1000_u32).map(|i| Message::from(&i.to_be_bytes())).collect();
            push.send_many(&mut batch).await.unwrap();
            assert!(batch.is_empty());
            push
        });
        let mut received = Vec::new();
        while received.len() < 1000 {
            let before = received.len();
            let count = pull.recv_many(&mut received, 10).soon().await.unwrap();
            assert!((1..=10).contains(&count) && received.len() == before + count);
        }
        for (i, message) in (0_u32..).zip(&received) {
            assert_eq!(*message, &i.to_be_bytes());
        }
        sender.soon().await.unwrap();
    }
}

#[tokio::test]
async fn many_tasks_share_both_ends_and_each_message_is_received_once() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let push = Push::builder().context(&context).send_hwm(3).build().unwrap();
        let pull = Pull::builder().context(&context).recv_hwm(3).build().unwrap();
        join(medium, &pull, &push).await;
        for sender in 0..8_u32 {
            let push = push.clone();
            tokio::spawn(async move {
                for i in 0..200_u32 {
                    push.send(&(sender * 1000 + i).to_be_bytes()).await.unwrap();
                }
            });
        }
        let receivers: Vec<_> = (0..8)
            .map(|_| {
                let pull = pull.clone();
                tokio::spawn(async move {
                    let mut received = Vec::new();
                    for _ in 0..200 {
                        received.push(pull.recv().await.unwrap()[0].to_vec());
                    }
                    received
                })
            })
            .collect();
        let mut seen = HashMap::new();
        for receiver in receivers {
            for message in receiver.soon().await.unwrap() {
                *seen.entry(message).or_insert(0) += 1;
            }
        }
        assert_eq!(seen.len(), 1600, "{medium:?}");
    }
}

/// A waiter that cannot use a wake-up must not swallow it.
#[tokio::test]
async fn waiting_for_peers_does_not_hold_up_a_waiting_sender() {
    let push = Push::builder().send_hwm(1).build().unwrap();
    let pull = Pull::builder().recv_hwm(1).build().unwrap();
    join(Medium::Tcp, &pull, &push).await;
    let waiter = push.clone();
    let waiting = tokio::spawn(async move { waiter.wait_for_peers(2).await });
    tokio::task::yield_now().await;
    let sender = push.clone();
    tokio::spawn(async move {
        for _ in 0..50 {
            sender.send(vec![0; 4_000_000]).await.unwrap();
        }
    });
    for _ in 0..50 {
        pull.recv().soon().await.unwrap();
    }
    assert!(!waiting.is_finished());
}

#[tokio::test]
async fn sinks_and_streams_are_the_same_verbs() {
    use futures::{SinkExt, StreamExt};
    let (mut push, mut pull) = (Push::builder().send_hwm(2).build().unwrap(), Pull::new());
    join(Medium::Tcp, &pull, &push).await;
    let sender = tokio::spawn(async move {
        for i in 0..100_u8 {
            push.feed(Message::from(&[i])).await.unwrap();
        }
        push.flush().await.unwrap();
        push
    });
    for i in 0..100_u8 {
        assert_eq!(pull.next().soon().await.unwrap().unwrap(), &[i]);
    }
    let push = sender.soon().await.unwrap();
    assert!(fill(&push) <= 1000);
    pull.close().soon().await;
    assert!(pull.next().soon().await.is_none());
}

/// Nothing else runs on this thread meanwhile, the connections and their heartbeats included.
#[tokio::test]
async fn a_receiver_that_works_long_with_each_message_lets_others_run_in_between() {
    let pull = Pull::new();
    let mut peer = raw(&pull).await;
    for _ in 0..900 {
        peer.send_msg(&[b"work"]).await;
    }
    counted(&pull, |stats| stats.unread == 900).await;
    let turns = Arc::new(AtomicUsize::new(0));
    let other = tokio::spawn({
        let turns = turns.clone();
        async move {
            loop {
                turns.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        }
    });
    for _ in 0..900 {
        pull.recv().await.unwrap();
        let work = Instant::now();
        while work.elapsed() < Duration::from_micros(50) {}
    }
    other.abort();
    assert!(turns.load(Ordering::Relaxed) >= 3, "{turns:?}");
}

//! What the scripts find only by chance, each once; and P3, at every byte.

use std::time::Duration;

use futures::future::join_all;
use sinew::{Dealer, Pull, Push, Router, SendErrorKind};
use tokio::task::{JoinHandle, yield_now};

use crate::support::raw_peer::{MORE, RawPeer, frame_bytes};
use crate::support::within;
use crate::{MEDIA, Medium, rest, until};

#[tokio::test]
async fn p3_t12_a_connection_cut_at_any_byte_of_a_message_leaves_whole_messages_only() {
    let parts: [&[u8]; 3] = [b"one", &[2; 300], b"three"];
    let bytes = [frame_bytes(MORE, parts[0]), frame_bytes(MORE, parts[1]), frame_bytes(0, parts[2])].concat();
    for medium in [Medium::Tcp, Medium::Ipc] {
        let pull = Pull::new();
        let addr = pull.bind(medium.any()).await.unwrap().to_string();
        for cut in 0..=bytes.len() {
            for reset in [false, true] {
                let what = &format!("{addr}, cut at {cut} of {}, reset: {reset}", bytes.len());
                let mut broken = RawPeer::connect(&addr).await;
                broken.handshake("PUSH", 1).await;
                broken.send_raw(&bytes[..cut]).await;
                if cut == bytes.len() {
                    let whole = within(what, pull.recv()).await.unwrap();
                    assert!(whole.frames().map(|frame| &frame[..]).eq(parts), "{what}: {whole:?}");
                }
                if reset {
                    broken.reset()
                } else {
                    drop(broken)
                }
                let mut next = RawPeer::connect(&addr).await;
                next.handshake("PUSH", 1).await;
                next.send_msg(&[b"next", b"whole"]).await;
                let received = within(what, pull.recv()).await.unwrap();
                assert_eq!(received, ["next", "whole"], "{what}");
            }
        }
        until("the peers to be gone", || pull.stats().peers.is_empty()).await;
        assert!(pull.try_recv().is_err());
        assert_eq!(pull.stats().unread, 0);
    }
}

/// A peer that left, and one that came in its place, in the same breath.
#[tokio::test]
async fn b0_6_what_a_peer_sent_before_it_left_survives_newcomers() {
    for medium in MEDIA {
        let pull = Pull::new();
        let addr = pull.bind(medium.any()).await.unwrap();
        for n in 0..20 {
            let push = Push::new();
            push.connect(&addr).await.unwrap();
            push.try_send(n.to_string()).unwrap();
            assert_eq!(within("close", push.close()).await.undelivered, 0);
            until("it to be gone", || pull.stats().peers.is_empty()).await;
        }
        for n in 0..20 {
            assert_eq!(within(&format!("{addr}: {n}"), pull.recv()).await.unwrap(), n.to_string().as_str());
        }
    }
}

/// More senders wait than there is room for at once.
#[tokio::test]
async fn every_waiting_sender_gets_its_turn() {
    for medium in MEDIA {
        let push = Push::builder().send_hwm(1).build().unwrap();
        let addr = push.bind(medium.any()).await.unwrap();
        let senders: Vec<_> = (0..50)
            .map(|n: i32| {
                let push = push.clone();
                tokio::spawn(async move { push.send(n.to_string()).await.unwrap() })
            })
            .collect();
        rest(3).await;
        let pull = Pull::builder().recv_hwm(1).build().unwrap();
        pull.connect(&addr).await.unwrap();
        let mut received = Vec::new();
        for n in 0..50 {
            let message = within(&format!("{addr}: message {n}"), pull.recv()).await.unwrap();
            received.push(message.to_str().unwrap().parse::<i32>().unwrap());
        }
        received.sort_unstable();
        assert!(received.into_iter().eq(0..50));
        within("the senders", join_all(senders)).await;
    }
}

/// Senders to two peers wait in one queue.
#[tokio::test]
async fn a_sender_to_one_peer_does_not_wait_for_another() {
    for (medium, size) in [(Medium::Inproc, 1), (Medium::Ipc, 200_000)] {
        let router = Router::builder().mandatory(true).send_hwm(1).build().unwrap();
        let addr = router.bind(medium.any()).await.unwrap();
        let dealers =
            ["stuck", "busy"].map(|name| Dealer::builder().routing_id(name).recv_hwm(1).build().unwrap());
        for dealer in &dealers {
            dealer.connect(&addr).await.unwrap();
        }
        within("the dealers", router.wait_for_peers(2)).await.unwrap();
        for name in ["stuck", "busy"] {
            for _ in 0..20 {
                while router.try_send(name, vec![0; size]).is_ok() {}
                yield_now().await;
            }
        }
        let send = |name: &'static str| {
            let router = router.clone();
            tokio::spawn(async move { router.send(name, vec![1; size]).await.unwrap() })
        };
        let stuck: Vec<_> = (0..5).map(|_| send("stuck")).collect();
        rest(3).await;
        let busy = send("busy");
        rest(3).await;
        let sent = within("the last message", async {
            while dealers[1].recv().await.unwrap()[0][0] == 0 {}
            busy.await.unwrap();
        });
        sent.await;
        stuck.iter().for_each(JoinHandle::abort);
    }
}

/// C2.2, D3.2: given up before anybody bound, it is not linked later.
#[tokio::test]
async fn d3_2_an_inproc_endpoint_given_up_before_it_is_bound_stays_given_up() {
    let endpoint = Medium::Inproc.known();
    let push = Push::new();
    push.connect(endpoint.as_str()).await.unwrap();
    push.try_send("given up").unwrap();
    push.disconnect(endpoint.as_str()).unwrap();
    assert_eq!((push.stats().queued, push.stats().dropped.linger), (0, 1));
    let pull = Pull::new();
    pull.bind(endpoint.as_str()).await.unwrap();
    assert!(pull.stats().peers.is_empty());
    assert!(pull.try_recv().is_err());
    push.connect(endpoint.as_str()).await.unwrap();
    push.try_send("again").unwrap();
    assert_eq!(within("the second", pull.recv()).await.unwrap(), "again");
}

/// C5.6, for every transport.
#[tokio::test]
async fn c5_6_unbind_ends_the_peers_that_came_that_way() {
    for medium in MEDIA {
        let pull = Pull::new();
        let addr = pull.bind(medium.any()).await.unwrap();
        let push = Push::builder().reconnect(false).build().unwrap();
        push.connect(&addr).await.unwrap();
        push.try_send("before").unwrap();
        assert_eq!(within("a message", pull.recv()).await.unwrap(), "before");
        pull.unbind(&addr).unwrap();
        until("both to be alone", || pull.stats().peers.is_empty() && push.stats().peers.is_empty()).await;
        let error = push.try_send("after").unwrap_err();
        assert_eq!(error.kind(), SendErrorKind::NoPeer, "{medium:?}");
    }
}

/// 8: what was not delivered is reported, and to whoever asks.
#[tokio::test]
async fn close_reports_the_same_to_all_who_wait_for_it() {
    for medium in [Medium::Inproc, Medium::Ipc] {
        let push = Push::builder().linger(Duration::ZERO).build().unwrap();
        push.connect(medium.known()).await.unwrap();
        for _ in 0..3 {
            push.try_send("nobody there").unwrap();
        }
        let both = async { tokio::join!(push.close(), push.close()) };
        let (first, second) = within("both", both).await;
        let third = within("a late one", push.close()).await;
        assert_eq!([first, second, third].map(|closed| closed.undelivered), [3; 3], "{medium:?}");
        assert_eq!(push.stats().dropped.linger, 3);
    }
}

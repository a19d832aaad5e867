//! B8: one peer at a time.

use sinew::{EventKind, Pair, Refused, SendErrorKind};

use crate::kit::{MEDIA, Medium, Soon, bind, counted, join, make, raw, until};
use crate::support::raw_peer::RawPeer;

/// Ports the ideas of libzmq's `test_pair_tcp`, `_ipc` and `_inproc`.
#[tokio::test]
async fn b8_both_ways_over_every_transport() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let (a, b) = (make::<Pair>(&context), make::<Pair>(&context));
        join(medium, &a, &b).await;
        for i in 0..10_u8 {
            a.send([&b"there"[..], &[i]]).soon().await.unwrap();
            b.send([&b"back"[..], &[i]]).soon().await.unwrap();
        }
        for i in 0..10_u8 {
            assert_eq!(b.recv().soon().await.unwrap(), [&b"there"[..], &[i]], "{medium:?}");
            assert_eq!(a.recv().soon().await.unwrap(), [&b"back"[..], &[i]]);
        }
    }
}

#[tokio::test]
async fn b8_1_a_second_peer_is_refused_and_told() {
    let pair = Pair::new();
    let mut monitor = pair.monitor();
    let mut first = raw(&pair).await;
    let endpoint = bind(&pair).await;
    let mut second = RawPeer::connect(&endpoint).await;
    second.handshake("PAIR", 1).await;
    until(&mut monitor, EventKind::Refused(Refused::PairTaken)).await;
    assert_eq!(second.recv_command().await.0, "ERROR");
    second.expect_closed().await;
    pair.send("x").soon().await.unwrap();
    assert_eq!(first.recv_msg().await, [b"x"]);
}

#[tokio::test]
async fn b8_1_b8_2_a_refused_peer_takes_over_when_the_first_leaves() {
    let (pair, first, second) = (Pair::new(), Pair::new(), Pair::new());
    let endpoint = join(Medium::Tcp, &pair, &first).await;
    let mut monitor = pair.monitor();
    second.connect(&endpoint[..]).await.unwrap();
    until(&mut monitor, EventKind::Refused(Refused::PairTaken)).await;
    drop(first);
    counted(&pair, |stats| stats.peers.is_empty()).await;
    pair.send("for the second").soon().await.unwrap();
    assert_eq!(second.recv().soon().await.unwrap(), "for the second");
}

#[tokio::test]
async fn b8_1_over_inproc_the_second_gets_an_error_and_the_slot_is_free_afterwards() {
    let context = sinew::Context::new();
    let (pair, first, second) = (make::<Pair>(&context), make::<Pair>(&context), make::<Pair>(&context));
    let name = join(Medium::Inproc, &pair, &first).await;
    let error = second.connect(&name).soon().await.unwrap_err();
    assert_eq!(error, sinew::ConnectError::Refused(Refused::PairTaken));
    first.close().soon().await;
    second.connect(&name).soon().await.unwrap();
    pair.send("x").soon().await.unwrap();
    assert_eq!(second.recv().soon().await.unwrap(), "x");
}

#[tokio::test]
async fn b8_2_a_pair_whose_peer_left_waits_for_the_next() {
    let pair = Pair::new();
    drop(raw(&pair).await);
    counted(&pair, |stats| stats.peers.is_empty()).await;
    assert_eq!(pair.try_send("x").unwrap_err().kind(), SendErrorKind::NoPeer);
    let mut sending = Box::pin(pair.send("x"));
    assert!(futures::poll!(&mut sending).is_pending());
    let mut next = raw(&pair).await;
    sending.soon().await.unwrap();
    assert_eq!(next.recv_msg().await, [b"x"]);
}

//! A9 and D17: PING, PONG, and peers that fall silent.

use std::time::Duration;

use sinew::{
    Dealer, DisconnectReason, Pair, ProtocolError, Pub, Pull, Push, Rep, Req, Router, Socket, Sub, XPub, XSub,
};

use crate::kit::{Soon, counted, disconnected, for_each, partner, raw, raw_as, raw_server};
use crate::support::pass;
use crate::support::raw_peer::COMMAND;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

async fn a9_1_every_type_answers_a_ping_with_its_context<S: Socket>() {
    for minor in [0, 1] {
        let socket = S::default();
        let mut peer = raw_as(&socket, partner::<S>(), minor).await;
        for context in [&b""[..], b"x", &[7; 16]] {
            peer.send_command("PING", &[&[0, 0], context].concat()).await;
            assert_eq!(peer.recv_command().await, ("PONG".to_owned(), context.to_vec()));
        }
    }
}
for_each!(a9_1_every_type_answers_a_ping_with_its_context:
    Push, Pull, Pub, Sub, XPub, XSub, Req, Rep, Dealer, Router, Pair);

#[tokio::test]
async fn a9_2_a_context_of_more_than_16_bytes_is_cut() {
    let pull = Pull::new();
    let mut peer = raw(&pull).await;
    peer.send_command("PING", b"\0\0 0123456789abcdef0123").await;
    assert_eq!(peer.recv_command().await, ("PONG".to_owned(), b" 0123456789abcde".to_vec()));
}

#[tokio::test]
async fn a9_3_a_ping_without_a_whole_time_to_live_closes() {
    for body in [&b"\x04PING"[..], b"\x04PING\0"] {
        let pull = Pull::new();
        let mut monitor = pull.monitor();
        let mut peer = raw(&pull).await;
        peer.send_frame(COMMAND, body).await;
        let reason = disconnected(&mut monitor).await;
        let error = ProtocolError::MalformedPing;
        assert_eq!(reason, DisconnectReason::Protocol(error));
        // It is told why.
        let told = [&[error.to_string().len() as u8], error.to_string().as_bytes()].concat();
        assert_eq!(peer.recv_command().await, ("ERROR".to_owned(), told));
        assert!(peer.expect_closed().await.is_empty());
        assert_eq!(pull.stats().refused, 1);
    }
}

#[tokio::test]
async fn a9_4_d19_a_peer_that_announced_a_time_to_live_and_falls_silent_is_closed() {
    let pull = Pull::builder().heartbeat(None, ms(1)).build().unwrap();
    let mut monitor = pull.monitor();
    let mut peer = raw(&pull).await;
    let began = std::time::Instant::now();
    peer.send_command("PING", b"\0\x01").await;
    peer.recv_command().await;
    assert_eq!(disconnected(&mut monitor).await, DisconnectReason::Silent);
    // A tenth of a second is asked for; less than one is not taken literally.
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a9_4_any_later_byte_cancels_the_time_to_live() {
    pass(ms(1)).await;
    let pull = Pull::builder().heartbeat(None, ms(1)).build().unwrap();
    let mut peer = raw(&pull).await;
    peer.send_command("PING", b"\0\x01").await;
    peer.recv_command().await;
    peer.send_msg(&[b"alive"]).await;
    assert_eq!(pull.recv().soon().await.unwrap(), "alive");
    // From here on the clock moves by hand: well past the time to live, nothing happens.
    pass(Duration::from_secs(30)).await;
    peer.settle().await;
    assert_eq!(pull.stats().peers.len(), 1);
}

#[tokio::test]
async fn a9_6_a_silent_peer_is_pinged_at_the_interval_with_our_time_to_live() {
    let pull = Pull::builder().heartbeat(Some(ms(20)), Duration::from_secs(9)).heartbeat_ttl(ms(1250));
    let pull = pull.build().unwrap();
    let mut peer = raw(&pull).await;
    for _ in 0..3 {
        assert_eq!(peer.recv_command().await, ("PING".to_owned(), b"\0\x0c".to_vec()));
    }
}

#[tokio::test]
async fn a9_7_a_peer_silent_beyond_the_timeout_is_lost_and_a_connecter_tries_again() {
    let push = Push::builder().heartbeat(Some(ms(30)), ms(150)).build().unwrap();
    let mut monitor = push.monitor();
    let (listener, mut peer) = raw_server(&push).await;
    assert_eq!(disconnected(&mut monitor).await, DisconnectReason::Silent);
    peer.expect_closed().await;
    crate::kit::answer(&listener, "PULL", 1).await;
}

#[tokio::test]
async fn a9_7_any_byte_is_a_sign_of_life() {
    let pull = Pull::builder().heartbeat(Some(ms(50)), ms(400)).build().unwrap();
    let mut peer = raw(&pull).await;
    let began = std::time::Instant::now();
    // Bytes of one never-ending frame, no PONG.
    peer.send_raw(&[2, 0, 0, 0, 0, 0, 1, 0, 0]).await;
    let mut tick = tokio::time::interval(ms(100));
    while began.elapsed() < ms(1000) {
        tick.tick().await;
        peer.send_raw(b"x").await;
    }
    assert_eq!(pull.stats().peers.len(), 1);
}

/// Ports the idea of libzmq's `test_heartbeats`: on for every pair of types, and nobody is lost.
#[tokio::test]
async fn a9_7_no_false_loss_between_idle_peers_of_any_pair() {
    let (beat, patience) = (Some(ms(20)), ms(2000));
    macro_rules! pairs {
        ($($a:ident $b:ident),*) => {{
            let mut all = Vec::new();
            $(
                let a = $a::builder().heartbeat(beat, patience).heartbeat_ttl(patience).build().unwrap();
                let b = $b::builder().heartbeat(beat, patience).heartbeat_ttl(patience).build().unwrap();
                crate::kit::join(crate::kit::Medium::Tcp, &a, &b).await;
                let pair: Box<dyn Fn() -> (usize, u64)> =
                    Box::new(move || (a.stats().peers.len(), b.stats().reconnects));
                all.push(pair);
            )*
            all
        }};
    }
    let pairs = pairs!(
        Push Pull, Pub Sub, XPub XSub, Req Rep, Dealer Router, Router Router, Dealer Dealer, Pair Pair
    );
    let mut tick = tokio::time::interval(ms(20));
    for _ in 0..15 {
        tick.tick().await;
    }
    assert!(pairs.iter().all(|pair| pair() == (1, 0)));
}

#[tokio::test]
async fn a9_9_a_3_0_peer_is_never_pinged() {
    let pull = Pull::builder().heartbeat(Some(ms(10)), ms(50)).build().unwrap();
    let mut old = raw_as(&pull, "PUSH", 0).await;
    let mut new = raw_as(&pull, "PUSH", 1).await;
    for _ in 0..3 {
        assert_eq!(new.recv_command().await.0, "PING");
    }
    new.expect_closed().await;
    // The old one has seen neither a PING nor the end of our patience.
    old.settle().await;
}

/// Limits D17: one PONG at most is owed, however many PINGs go unread.
#[tokio::test]
async fn a9_10_d17_a_ping_flood_grows_nothing_and_data_flows() {
    let pair = Pair::builder().send_buffer(4096).recv_buffer(4096).build().unwrap();
    let mut peer = raw(&pair).await;
    let ping = crate::support::raw_peer::frame_bytes(COMMAND, b"\x04PING\0\x000123456789abcdef");
    let flood = ping.repeat(1000);
    for _ in 0..100 {
        peer.send_raw(&flood).await;
    }
    peer.send_command("PING", b"\0\0the last").await;
    peer.send_msg(&[b"data"]).await;
    assert_eq!(pair.recv().soon().await.unwrap(), "data");
    pair.send("answer").soon().await.unwrap();
    let (mut pongs, mut last, mut answer) = (0, false, false);
    while !(last && answer) {
        let frame = peer.recv_frame().await;
        answer |= frame.body == b"answer";
        last |= frame.body == b"\x04PONGthe last";
        pongs += 1;
    }
    assert!(pongs < 100_000);
}

#[tokio::test]
async fn a9_11_a_pong_comes_past_a_full_outbound_queue() {
    let push = Push::builder().send_hwm(1).build().unwrap();
    let mut peer = raw(&push).await;
    push.send("x").soon().await.unwrap();
    peer.send_command("PING", b"\0\0c").await;
    let bodies = [peer.recv_frame().await.body, peer.recv_frame().await.body];
    assert!(bodies.contains(&b"\x04PONGc".to_vec()));
}

#[tokio::test]
async fn a9_11_commands_are_read_while_the_inbound_queue_is_full() {
    let pull = Pull::builder().recv_hwm(1).build().unwrap();
    let mut peer = raw(&pull).await;
    peer.send_msg(&[b"1"]).await;
    counted(&pull, |stats| stats.unread == 1).await;
    peer.settle().await;
    assert_eq!(pull.recv().soon().await.unwrap(), "1");
}

#[tokio::test]
async fn a9_11_not_reading_a_full_queue_does_not_make_the_peer_look_dead() {
    let (beat, patience) = (Some(ms(20)), ms(100));
    let pull = Pull::builder().recv_hwm(1).heartbeat(beat, patience).build().unwrap();
    let mut monitor = pull.monitor();
    let mut peer = raw(&pull).await;
    for i in 0..10 {
        peer.send_msg(&[&[i]]).await;
    }
    let mut tick = tokio::time::interval(ms(50));
    for _ in 0..8 {
        tick.tick().await;
    }
    for i in 0..10 {
        assert_eq!(pull.recv().soon().await.unwrap(), &[i]);
    }
    // Now the silence is the peer's.
    assert_eq!(disconnected(&mut monitor).await, DisconnectReason::Silent);
}

/// libzmq's default: as long as the interval, and from the PING on.
#[tokio::test]
async fn a9_7_a_peer_is_asked_before_it_is_given_up() {
    let pull = Pull::builder().heartbeat(Some(ms(150)), ms(150)).build().unwrap();
    let mut monitor = pull.monitor();
    let mut peer = raw(&pull).await;
    for _ in 0..3 {
        assert_eq!(peer.recv_command().await.0, "PING");
        peer.send_command("PONG", b"").await;
    }
    assert_eq!(disconnected(&mut monitor).await, DisconnectReason::Silent);
    assert_eq!(peer.recv_command().await.0, "PING");
}

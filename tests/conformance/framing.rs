//! A3: frames, and that a message is whole or nothing.

use sinew::{DisconnectReason, ProtocolError, Pull, Push};

use crate::kit::{Soon, counted, disconnected, raw, raw_server};
use crate::support::raw_peer::{COMMAND, LONG, MORE};

#[tokio::test]
async fn a3_1_short_form_up_to_255_bytes_and_long_form_from_256() {
    let push = Push::new();
    let mut peer = raw(&push).await;
    for (size, flags) in [(0, 0), (1, 0), (254, 0), (255, 0), (256, LONG), (70_000, LONG)] {
        push.send(vec![7; size]).soon().await.unwrap();
        let frame = peer.recv_frame().await;
        assert_eq!((frame.flags, frame.body.len()), (flags, size));
    }
    push.send([vec![1; 256], vec![2; 1]]).soon().await.unwrap();
    assert_eq!(peer.recv_frame().await.flags, MORE | LONG);
    assert_eq!(peer.recv_frame().await.flags, 0);
}

#[tokio::test]
async fn a3_2_d21_the_long_form_is_accepted_for_any_size() {
    let pull = Pull::new();
    let mut peer = raw(&pull).await;
    for size in [0, 1, 77, 78, 79, 255] {
        peer.send_frame(LONG, &vec![9; size]).await;
        assert_eq!(pull.recv().soon().await.unwrap(), &vec![9; size]);
    }
}

#[tokio::test]
async fn a3_3_t4_sizes_beyond_the_limit_are_closed_at_the_header() {
    let sizes = [u64::MAX, u64::MAX - 8, 1 << 63, (1 << 63) - 1, 1 << 62, 1 << 40, (64 << 20) + 1];
    for size in sizes {
        for flags in [LONG, LONG | MORE, LONG | COMMAND] {
            let pull = Pull::new();
            let mut monitor = pull.monitor();
            let mut peer = raw(&pull).await;
            peer.send_raw(&[&[flags][..], &size.to_be_bytes()].concat()).await;
            let reason = disconnected(&mut monitor).await;
            let named = matches!(
                reason,
                DisconnectReason::Protocol(
                    ProtocolError::FrameSizeOutOfRange
                        | ProtocolError::OversizedMessage { .. }
                        | ProtocolError::OversizedCommand { .. }
                )
            );
            assert!(named, "{size:#x}: {reason:?}");
            peer.expect_closed().await;
        }
    }
}

#[tokio::test]
async fn a3_4_d21_reserved_bits_and_commands_with_more_are_refused() {
    for flags in [8, 16, 32, 64, 128, COMMAND | MORE, 0xFF] {
        let pull = Pull::new();
        let mut monitor = pull.monitor();
        let mut peer = raw(&pull).await;
        peer.send_frame(flags, b"x").await;
        let reason = disconnected(&mut monitor).await;
        let named = matches!(
            reason,
            DisconnectReason::Protocol(ProtocolError::ReservedFlags { .. } | ProtocolError::CommandWithMore)
        );
        assert!(named, "{flags:#x}: {reason:?}");
        peer.expect_closed().await;
    }
}

#[tokio::test]
async fn a3_5_ping_between_frames_of_one_message() {
    let pull = Pull::new();
    let mut peer = raw(&pull).await;
    peer.send_frame(MORE, b"1").await;
    peer.settle().await;
    peer.send_frame(MORE, b"").await;
    peer.send_command("WHATEVER", b"data").await;
    peer.send_command("PONG", b"").await;
    peer.send_frame(0, b"3").await;
    assert_eq!(pull.recv().soon().await.unwrap(), ["1", "", "3"]);
}

#[tokio::test]
async fn a3_5_a_pong_goes_out_between_the_frames_of_a_message_never_within_one() {
    let push = Push::builder().send_buffer(4096).build().unwrap();
    let mut peer = raw(&push).await;
    let parts = [vec![1; 3_000_000], vec![2; 3_000_000]];
    push.send(parts.clone()).soon().await.unwrap();
    peer.send_command("PING", b"\0\0ctx").await;
    let mut received = Vec::new();
    let mut pongs = 0;
    while received.len() < 2 || pongs < 1 {
        let frame = peer.recv_frame().await;
        if frame.flags & COMMAND == 0 {
            received.push(frame.body);
        } else {
            assert_eq!(frame.body, b"\x04PONGctx");
            pongs += 1;
        }
    }
    assert_eq!(received, parts);
}

#[tokio::test]
async fn a3_6_d24_what_came_of_an_unfinished_message_is_discarded() {
    let pull = Pull::new();
    let mut monitor = pull.monitor();
    let mut peer = raw(&pull).await;
    peer.send_msg(&[b"whole"]).await;
    peer.send_frame(MORE, b"part").await;
    peer.finish().await;
    disconnected(&mut monitor).await;
    let mut next = raw(&pull).await;
    next.send_msg(&[b"next"]).await;
    assert_eq!(pull.recv().soon().await.unwrap(), "whole");
    assert_eq!(pull.recv().soon().await.unwrap(), "next");
}

/// Limits T12: whatever byte a connection breaks at, whole messages are received.
#[tokio::test]
async fn t12_a_connection_cut_at_every_byte_delivers_whole_messages_only() {
    use crate::support::raw_peer::frame_bytes;
    let message: [Vec<u8>; 3] = [b"a".to_vec(), vec![2; 90], vec![3; 300]];
    let bytes: Vec<u8> =
        (0..3).flat_map(|i| frame_bytes(if i < 2 { MORE } else { 0 }, &message[i])).collect();
    let pull = Pull::builder().recv_hwm(0).build().unwrap();
    let mut monitor = pull.monitor();
    let endpoint = crate::kit::bind(&pull).await;
    for cut in 0..=bytes.len() {
        let mut peer = crate::support::raw_peer::RawPeer::connect(&endpoint).await;
        peer.handshake("PUSH", 1).await;
        peer.send_raw(&bytes).await;
        peer.send_raw(&bytes[..cut]).await;
        if cut % 2 == 0 {
            peer.finish().await
        } else {
            drop(peer)
        }
        disconnected(&mut monitor).await;
    }
    for _ in 0..bytes.len() + 2 {
        assert_eq!(pull.recv().soon().await.unwrap(), message);
    }
    assert_eq!(pull.try_recv(), Err(sinew::RecvError::Empty));
}

#[tokio::test]
async fn a3_6_c6_5_a_message_sent_in_part_is_not_resumed_and_its_successors_come_whole() {
    let push = Push::builder().send_buffer(4096).build().unwrap();
    let mut monitor = push.monitor();
    let (listener, mut peer) = raw_server(&push).await;
    push.send([vec![1; 4_000_000], vec![2; 10]]).soon().await.unwrap();
    push.send("second").soon().await.unwrap();
    peer.recv_raw(1000).await;
    peer.reset();
    disconnected(&mut monitor).await;
    let (mut peer, _) = crate::kit::answer(&listener, "PULL", 1).await;
    assert_eq!(peer.recv_msg().await, [b"second"]);
    let stats = counted(&push, |stats| stats.sent == 1).await;
    assert_eq!((stats.dropped.disconnect, stats.queued), (1, 0));
}

#[tokio::test]
async fn a3_7_empty_frames_are_legal_everywhere() {
    let (push, pull) = (Push::new(), Pull::new());
    let mut to_pull = raw(&pull).await;
    to_pull.send_msg(&[b""]).await;
    to_pull.send_msg(&[b"", b"", b""]).await;
    assert_eq!(pull.recv().soon().await.unwrap(), "");
    assert_eq!(pull.recv().soon().await.unwrap(), ["", "", ""]);
    let mut from_push = raw(&push).await;
    push.send("").soon().await.unwrap();
    push.send(["", ""]).soon().await.unwrap();
    assert_eq!(from_push.recv_msg().await, [b""]);
    assert_eq!(from_push.recv_msg().await, [b"", b""]);
}

#[tokio::test]
async fn a3_8_order_is_kept() {
    let (push, pull) = (Push::new(), Pull::new());
    crate::kit::join(crate::kit::Medium::Tcp, &pull, &push).await;
    let sender = tokio::spawn(async move {
        for i in 0..20_000_u32 {
            push.send(&i.to_be_bytes()).await.unwrap();
        }
        push.close().await
    });
    for i in 0..20_000_u32 {
        assert_eq!(pull.recv().soon().await.unwrap(), &i.to_be_bytes());
    }
    assert_eq!(sender.soon().await.unwrap().undelivered, 0);
}

#[tokio::test]
async fn a3_any_split_of_the_stream_gives_the_same_messages() {
    use crate::support::raw_peer::frame_bytes;
    let pull = Pull::new();
    let mut peer = raw(&pull).await;
    let bytes = [frame_bytes(MORE, b"a"), frame_bytes(0, &[5; 300]), frame_bytes(0, b"")].concat();
    for step in [1, 2, 3, 7, 64, 299, 400] {
        for chunk in bytes.chunks(step) {
            peer.send_raw(chunk).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(pull.recv().soon().await.unwrap(), [&b"a"[..], &[5; 300]]);
        assert_eq!(pull.recv().soon().await.unwrap(), "");
    }
}

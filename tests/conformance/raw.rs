//! The raw peer against another one: the tests' own tool does what it says.

use crate::support::ipc_path;
use crate::support::raw_peer::{COMMAND, Frame, LONG, MORE, RawListener, RawPeer};

async fn pair() -> (RawPeer, RawPeer) {
    let listener = RawListener::bind().await;
    let endpoint = listener.endpoint();
    tokio::join!(RawPeer::connect(&endpoint), listener.accept())
}

#[tokio::test]
async fn handshake_tells_the_properties() {
    let (mut a, mut b) = pair().await;
    let script = async {
        b.greeting(0).await;
        b.ready("DEALER", Some(b"me"), &[("X-Key", b"value")]).await;
        let greeting = b.recv_greeting().await;
        assert_eq!((greeting.major, greeting.minor), (3, 1));
        assert_eq!((greeting.mechanism.as_str(), greeting.as_server), ("NULL", false));
        b.recv_ready().await
    };
    let (theirs, ours) = tokio::join!(a.handshake("ROUTER", 1), script);
    assert_eq!(theirs.get("socket-type"), Some(&b"DEALER"[..]));
    assert_eq!(theirs.get("Identity"), Some(&b"me"[..]));
    assert_eq!(theirs.get("X-Key"), Some(&b"value"[..]));
    assert_eq!(ours.0, [("Socket-Type".to_owned(), b"ROUTER".to_vec())]);
}

#[tokio::test]
async fn frames_are_what_the_specification_says() {
    let (mut a, mut b) = pair().await;
    a.send_msg(&[b"ab", b""]).await;
    assert_eq!(b.recv_raw(6).await, b"\x01\x02ab\x00\x00");
    a.send_frame(LONG, b"x").await;
    assert_eq!(b.recv_raw(10).await, b"\x02\0\0\0\0\0\0\0\x01x");
    a.send_command("SUBSCRIBE", b"A").await;
    assert_eq!(b.recv_raw(13).await, b"\x04\x0b\x09SUBSCRIBEA");
    for (size, flags) in [(255, MORE), (256, MORE | LONG)] {
        let body = vec![7; size];
        a.send_frame(MORE, &body).await;
        assert_eq!(b.recv_frame().await, Frame { flags, body });
    }
}

#[tokio::test]
async fn commands_between_frames_are_asked_for() {
    let (mut a, mut b) = pair().await;
    for frame in [(MORE, &b"1"[..]), (COMMAND, b"\x04PONG"), (0, b"2")] {
        a.send_frame(frame.0, frame.1).await;
    }
    assert_eq!(b.recv_msg_past(&["PONG"]).await, [b"1", b"2"]);
    let pong = async {
        assert_eq!(b.recv_command().await, ("PING".to_owned(), b"\0\0settle".to_vec()));
        b.send_command("PONG", b"settle").await;
    };
    tokio::join!(a.settle(), pong);
}

#[tokio::test]
#[should_panic(expected = "PING [00, 00] where a message was due")]
async fn commands_are_errors_otherwise() {
    let (mut a, mut b) = pair().await;
    a.send_command("PING", &[0, 0]).await;
    b.recv_msg().await;
}

#[tokio::test]
async fn a_close_is_an_end_or_a_reset() {
    let (mut a, mut b) = pair().await;
    a.send_raw(b"bye").await;
    a.finish().await;
    assert_eq!(b.expect_closed().await, b"bye");
    b.reset();
    assert_eq!(a.expect_closed().await, b"");
}

#[tokio::test]
#[should_panic(expected = "closed after [61]")]
async fn a_close_in_mid_frame_is_told() {
    let (mut a, mut b) = pair().await;
    a.send_raw(b"\x00\x02a").await;
    drop(a);
    b.recv_frame().await;
}

#[cfg(unix)]
#[tokio::test]
#[should_panic(expected = "reset by peer")]
async fn a_reset_is_no_end() {
    let (a, mut b) = pair().await;
    a.reset();
    b.recv_frame().await;
}

#[cfg(unix)]
#[tokio::test]
async fn speaks_over_ipc() {
    let path = ipc_path();
    let listener = RawListener::bind_ipc(&path);
    let endpoint = listener.endpoint();
    let (mut a, mut b) = tokio::join!(RawPeer::connect(&endpoint), listener.accept());
    a.send_msg(&[b"over ipc"]).await;
    assert_eq!(b.recv_msg().await, [b"over ipc"]);
    a.reset();
    b.expect_closed().await;
    drop(listener);
    assert!(!path.exists());
}

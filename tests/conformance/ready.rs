//! A5 and A10: metadata, and who may talk to whom.

use sinew::{
    Dealer, HandshakeError, Pair, ProtocolError, Pub, Pull, Push, Rep, Req, Router, Socket, SocketType, Sub,
    XPub, XSub,
};

use crate::kit::{Soon, bind, event, for_each, handshake_failed, make};
use crate::support::raw_peer::{COMMAND, RawPeer, command_body, frame_bytes, greeting_bytes, metadata_bytes};

const ALL: [&str; 11] =
    ["PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL", "PUSH", "XPUB", "XSUB"];

async fn a5_1_a5_2_ready_comes_unasked_with_type_and_identity_first<S: Socket>() {
    let socket = S::default();
    let mut peer = RawPeer::connect(&bind(&socket).await).await;
    peer.greeting(1).await;
    peer.recv_greeting().await;
    let properties = peer.recv_ready().await.0;
    let name = S::TYPE.name().to_owned();
    let mut expected = vec![("Socket-Type".to_owned(), name.clone().into_bytes())];
    if ["REQ", "DEALER", "ROUTER"].contains(&name.as_str()) {
        expected.push(("Identity".to_owned(), Vec::new()));
    }
    assert_eq!(properties, expected);
}
for_each!(a5_1_a5_2_ready_comes_unasked_with_type_and_identity_first:
    Push, Pull, Pub, Sub, XPub, XSub, Req, Rep, Dealer, Router, Pair);

#[tokio::test]
async fn a5_2_a5_10_own_properties_follow_and_a_peer_s_are_told_by_the_monitor() {
    let dealer = Dealer::builder().routing_id("me").metadata("X-Rack", "7").build().unwrap();
    let mut monitor = dealer.monitor();
    let mut peer = RawPeer::connect(&bind(&dealer).await).await;
    peer.greeting(1).await;
    peer.recv_greeting().await;
    let names: Vec<_> = peer.recv_ready().await.0;
    let expected = [("Socket-Type", "DEALER"), ("Identity", "me"), ("X-Rack", "7")];
    assert_eq!(names, expected.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())));
    peer.ready("ROUTER", Some(b"you"), &[("X-Job", b"42"), ("x-empty", b"")]).await;
    let info = event(&mut monitor, |event| {
        (event.kind == sinew::EventKind::HandshakeSucceeded).then(|| event.peer.clone().unwrap())
    })
    .await;
    assert_eq!(info.socket_type, Some(SocketType::Router));
    assert_eq!(info.routing_id, "you");
    assert_eq!(info.metadata, [("X-Job".into(), "42".into()), ("x-empty".into(), "".into())]);
    assert!(info.address.starts_with("tcp://127.0.0.1:"), "{}", info.address);
}

#[tokio::test]
async fn a5_4_names_are_matched_whatever_their_case() {
    let router = Router::new();
    let mut peer = RawPeer::connect(&bind(&router).await).await;
    peer.greeting(1).await;
    peer.send_command("READY", &metadata_bytes(&[("IDENTITY", b"me"), ("socket-TYPE", b"DEALER")])).await;
    peer.send_msg(&[b"x"]).await;
    let (id, message) = router.recv().soon().await.unwrap();
    assert_eq!((id.as_ref(), message), (&b"me"[..], "x".into()));
}

/// Limits D11: what a READY may not say, each closed and named, and nobody else harmed.
#[tokio::test]
async fn a5_5_d11_a_malformed_ready_is_refused() {
    let good = metadata_bytes(&[("Socket-Type", b"DEALER")]);
    let with = |more: &[u8]| [&good, more].concat();
    let long = metadata_bytes(&[("Identity", &[7; 256])]);
    let properties: Vec<_> = (0..65).map(|i| format!("X-{i}")).collect();
    let many: Vec<_> = properties.iter().map(|name| (name.as_str(), &b""[..])).collect();
    let bodies = [
        Vec::new(),
        with(b"\0"),
        with(b"\x01"),
        with(b"\x01a\0\0\0"),
        with(b"\x01a\0\0\0\x01"),
        with(b"\x01a\x80\0\0\0"),
        with(b"\x01a\xFF\xFF\xFF\xFF"),
        with(b"\x01a\x7F\xFF\xFF\xFF"),
        with(b"\x01 \0\0\0\0"),
        with(b"\x02a\0\0\0\0\0"),
        with(b"\xFFabc"),
        with(&good),
        with(&metadata_bytes(&[("X-a", b"1"), ("x-A", b"2")])),
        with(&metadata_bytes(&[("Identity", b"\0id")])),
        with(&long),
        with(&metadata_bytes(&many)),
        metadata_bytes(&[("Socket-Type", b"dealer")]),
        metadata_bytes(&[("Socket-Type", b"")]),
        metadata_bytes(&[("Socket-Type", b"STREAM")]),
        metadata_bytes(&[("Identity", b"me")]),
        good[..good.len() - 1].to_vec(),
    ];
    let router = Router::new();
    let mut monitor = router.monitor();
    let endpoint = bind(&router).await;
    for body in bodies {
        let mut peer = RawPeer::connect(&endpoint).await;
        peer.greeting(1).await;
        peer.send_command("READY", &body).await;
        let error = handshake_failed(&mut monitor).await;
        assert!(matches!(error, HandshakeError::Protocol(_)), "{body:02x?}: {error:?}");
        let ended = peer.expect_closed().await;
        let text = String::from_utf8_lossy(&ended).into_owned();
        assert!(text.contains("\x05ERROR"), "{body:02x?}: told nothing");
    }
    assert!(router.stats().peers.is_empty());
    let mut good_peer = crate::kit::raw_named(&endpoint, "DEALER", b"good").await;
    good_peer.send_msg(&[b"x"]).await;
    assert_eq!(router.recv().soon().await.unwrap().0.as_ref(), b"good");
}

#[tokio::test]
async fn a5_7_the_identity_of_a_type_that_has_none_is_ignored() {
    let pull = Pull::new();
    let mut monitor = pull.monitor();
    let mut peer = RawPeer::connect(&bind(&pull).await).await;
    peer.greeting(1).await;
    peer.ready("PUSH", Some(b"me"), &[]).await;
    let info = event(&mut monitor, |event| {
        (event.kind == sinew::EventKind::HandshakeSucceeded).then(|| event.peer.clone().unwrap())
    })
    .await;
    assert_eq!(info.routing_id, "");
}

#[tokio::test]
async fn a5_9_d10_a_handshake_command_is_limited_apart_from_messages() {
    let pull = Pull::builder().max_handshake_frame(100).build().unwrap();
    let mut monitor = pull.monitor();
    let endpoint = bind(&pull).await;
    let mut peer = RawPeer::connect(&endpoint).await;
    peer.greeting(1).await;
    peer.ready("PUSH", None, &[("X-Long", &[0; 100])]).await;
    let error = handshake_failed(&mut monitor).await;
    let named = matches!(error, HandshakeError::Protocol(ProtocolError::OversizedCommand { limit: 100, .. }));
    assert!(named, "{error:?}");
    // A small message limit leaves the handshake alone.
    let dealer = Dealer::builder().max_message_size(1).build().unwrap();
    crate::kit::raw(&dealer).await;
}

/// Every type against every name: a legal pair is ready, any other is closed before a message is delivered.
async fn a10_1_only_legal_pairs_are_ready<S: Socket>() {
    let socket = S::default();
    let mut monitor = socket.monitor();
    let endpoint = bind(&socket).await;
    let ours = S::TYPE.name().to_owned();
    let legal: &[&str] = match ours.as_str() {
        "REQ" => &["REP", "ROUTER"],
        "REP" => &["REQ", "DEALER"],
        "DEALER" => &["REP", "DEALER", "ROUTER"],
        "ROUTER" => &["REQ", "DEALER", "ROUTER"],
        "PUB" | "XPUB" => &["SUB", "XSUB"],
        "SUB" | "XSUB" => &["PUB", "XPUB"],
        "PUSH" => &["PULL"],
        "PULL" => &["PUSH"],
        _ => &["PAIR"],
    };
    for theirs in ALL {
        let mut peer = RawPeer::connect(&endpoint).await;
        let metadata = metadata_bytes(&[("Socket-Type", theirs.as_bytes())]);
        let ready = frame_bytes(COMMAND, &command_body("READY", &metadata));
        peer.send_raw(&[&greeting_bytes(1, "NULL", false)[..], &ready].concat()).await;
        let met = event(&mut monitor, |event| match &event.kind {
            sinew::EventKind::HandshakeSucceeded => Some(true),
            sinew::EventKind::HandshakeFailed(HandshakeError::Protocol(
                ProtocolError::IncompatibleSocket { .. },
            )) => Some(false),
            sinew::EventKind::HandshakeFailed(error) => panic!("{ours} {theirs}: {error}"),
            _ => None,
        })
        .await;
        assert_eq!(met, legal.contains(&theirs), "{ours} {theirs}");
    }
}
for_each!(a10_1_only_legal_pairs_are_ready:
    Push, Pull, Pub, Sub, XPub, XSub, Req, Rep, Dealer, Router, Pair);

/// libzmq lets any type connect to any other over inproc.
#[tokio::test]
async fn a10_1_d3_5_the_pair_is_checked_over_inproc_too() {
    let context = sinew::Context::new();
    macro_rules! refuses {
        ($($a:ident $b:ident),*) => {$(
            let (a, b) = (make::<$a>(&context), make::<$b>(&context));
            let name = crate::kit::inproc();
            a.bind(&name).soon().await.unwrap();
            let error = b.connect(&name).soon().await.unwrap_err();
            assert!(matches!(error, sinew::ConnectError::Incompatible { .. }), "{error:?}");
            assert!(a.stats().peers.is_empty() && b.stats().peers.is_empty());
        )*};
    }
    refuses!(Push Push, Pull Pull, Pub Pub, Sub Sub, Pub Pull, Push Sub, Req Req, Rep Rep, Req Dealer);
    refuses!(Rep Router, Pair Dealer, XPub Pub, XSub XSub, Dealer Req, Router Rep);
}

//! D: every legal pair over every transport, and what endpoints mean.

use sinew::{
    BindError, ConnectError, Dealer, Endpoint, Pair, Pub, Pull, Push, Rep, Req, Router, Socket, Sub, XPub,
    XSub,
};

use crate::kit::{MEDIA, Medium, Soon, by_name, counted, inproc, make, raw_named, until};
use crate::support::ipc_path;

/// Sockets with names, as ROUTERs need them to find each other.
trait Named: Socket {
    fn named(context: &sinew::Context, _name: &'static str) -> Self {
        make::<Self>(context)
    }
}

macro_rules! named {
    ($($with:ident),*; $($without:ident),*) => {
        $(impl Named for $with {
            fn named(context: &sinew::Context, name: &'static str) -> Self {
                Self::builder().context(context).routing_id(name).build().unwrap()
            }
        })*
        $(impl Named for $without {})*
    };
}
named!(Req, Dealer, Router; Push, Pull, Pub, Sub, XPub, XSub, Rep, Pair);

/// Three tests for a legal pair: who binds, and that connecting may come first, each over every transport.
macro_rules! legal_pairs {
    ($($name:ident: $a:ident $b:ident, $talk:expr;)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test]
            async fn the_first_binds() {
                for medium in MEDIA {
                    let context = sinew::Context::new();
                    let (a, b) = ($a::named(&context, "A"), $b::named(&context, "B"));
                    crate::kit::join(medium, &a, &b).await;
                    $talk(&a, &b).await;
                }
            }

            #[tokio::test]
            async fn the_second_binds() {
                for medium in MEDIA {
                    let context = sinew::Context::new();
                    let (a, b) = ($a::named(&context, "A"), $b::named(&context, "B"));
                    crate::kit::join(medium, &b, &a).await;
                    $talk(&a, &b).await;
                }
            }

            #[tokio::test]
            async fn c6_1_connect_before_bind() {
                for medium in MEDIA {
                    let context = sinew::Context::new();
                    let (a, b) = ($a::named(&context, "A"), $b::named(&context, "B"));
                    let endpoint = medium.known();
                    b.connect(&endpoint).soon().await.unwrap();
                    a.bind(&endpoint).soon().await.unwrap();
                    a.wait_for_peers(1).soon().await.unwrap();
                    b.wait_for_peers(1).soon().await.unwrap();
                    $talk(&a, &b).await;
                }
            }
        }
    )*};
}

macro_rules! says {
    ($from:expr, $to:expr) => {
        $from.send(["one", "", "three"]).soon().await.unwrap();
        assert_eq!($to.recv().soon().await.unwrap(), ["one", "", "three"]);
    };
}

macro_rules! publishes {
    ($from:expr, $to:expr) => {
        $to.subscribe("topic");
        $from.wait_for_subscribers(1).soon().await.unwrap();
        $from.send("another").soon().await.unwrap();
        $from.send(["topic.", "body"]).soon().await.unwrap();
        assert_eq!($to.recv().soon().await.unwrap(), ["topic.", "body"]);
    };
}

legal_pairs! {
    push_pull: Push Pull, async |a: &Push, b: &Pull| { says!(a, b); };
    pub_sub: Pub Sub, async |a: &Pub, b: &Sub| { publishes!(a, b); };
    pub_xsub: Pub XSub, async |a: &Pub, b: &XSub| { publishes!(a, b); };
    xpub_sub: XPub Sub, async |a: &XPub, b: &Sub| {
        publishes!(a, b);
        assert_eq!(a.recv().soon().await.unwrap(), "\x01topic");
    };
    xpub_xsub: XPub XSub, async |a: &XPub, b: &XSub| {
        publishes!(a, b);
        assert_eq!(a.recv().soon().await.unwrap(), "\x01topic");
        says!(b, a);
    };
    req_rep: Req Rep, async |a: &Req, b: &Rep| {
        says!(a, b);
        says!(b, a);
    };
    req_router: Req Router, async |a: &Req, b: &Router| {
        a.send("question").soon().await.unwrap();
        let (id, message) = b.recv().soon().await.unwrap();
        assert_eq!((id.as_ref(), message), (&b"A"[..], ["", "question"].into()));
        b.send(id, ["", "answer"]).soon().await.unwrap();
        assert_eq!(a.recv().soon().await.unwrap(), "answer");
    };
    dealer_rep: Dealer Rep, async |a: &Dealer, b: &Rep| {
        a.send(["", "question"]).soon().await.unwrap();
        assert_eq!(b.recv().soon().await.unwrap(), "question");
        b.send("answer").soon().await.unwrap();
        assert_eq!(a.recv().soon().await.unwrap(), ["", "answer"]);
    };
    dealer_router: Dealer Router, async |a: &Dealer, b: &Router| {
        a.send(["x", "y"]).soon().await.unwrap();
        let (id, message) = b.recv().soon().await.unwrap();
        assert_eq!((id.as_ref(), message), (&b"A"[..], ["x", "y"].into()));
        b.send(id, "z").soon().await.unwrap();
        assert_eq!(a.recv().soon().await.unwrap(), "z");
    };
    dealer_dealer: Dealer Dealer, async |a: &Dealer, b: &Dealer| {
        says!(a, b);
        says!(b, a);
    };
    router_router: Router Router, async |a: &Router, b: &Router| {
        a.send("B", "there").soon().await.unwrap();
        assert_eq!(by_name(b.recv().soon().await.unwrap()), ("A".into(), "there".into()));
        b.send("A", "back").soon().await.unwrap();
        assert_eq!(by_name(a.recv().soon().await.unwrap()), ("B".into(), "back".into()));
    };
    pair_pair: Pair Pair, async |a: &Pair, b: &Pair| {
        says!(a, b);
        says!(b, a);
    };
}

#[tokio::test]
async fn large_and_empty_messages_over_every_transport() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let (push, pull) = (make::<Push>(&context), make::<Pull>(&context));
        crate::kit::join(medium, &pull, &push).await;
        for size in [0, 1, 78, 79, 255, 256, 16_383, 16_384, 16_385, 1_000_000, 10_000_000] {
            let body: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            push.send([&body[..], b"", &body[..]]).soon().await.unwrap();
            let message = pull.recv().soon().await.unwrap();
            assert_eq!(message.frame_count(), 3);
            assert!(message[0] == body && message[1].is_empty() && message[2] == body, "{medium:?} {size}");
        }
    }
}

#[tokio::test]
async fn d0_1_malformed_endpoints_are_errors() {
    let push = Push::new();
    for text in
        ["", "tcp", "tcp:/x", "://x", "udp://1:2", "tcp://", "ipc://", "inproc://", "TCP://127.0.0.1:1"]
    {
        assert!(matches!(push.bind(text).await, Err(BindError::Endpoint(_))), "{text}");
        assert!(matches!(push.connect(text).await, Err(ConnectError::Endpoint(_))), "{text}");
    }
}

/// Ports the idea of libzmq's `test_connect_resolve`.
#[tokio::test]
async fn d1_2_d1_3_connect_wants_a_host_and_a_port_of_digits() {
    let push = Push::new();
    for text in [
        "tcp://localhost",
        "tcp://localhost:",
        "tcp://localhost:*",
        "tcp://localhost:0",
        "tcp://localhost:invalid",
        "tcp://localhost:55x",
        "tcp://localhost:70000",
        "tcp://localhost:-1",
        "tcp://local host:5555",
        "tcp:// localhost:5555",
        "tcp://localhost :5555",
        "tcp://:5555",
        "tcp://*:5555",
        "ipc://*",
    ] {
        assert!(push.connect(text).await.is_err(), "{text}");
    }
    for text in ["tcp://localhost:1234", "tcp://[::1]:1234", "tcp://127.0.0.1:0;127.0.0.1:1234"] {
        push.connect(text).await.unwrap();
    }
}

#[tokio::test]
async fn d0_2_bind_gives_the_resolved_endpoint() {
    let pull = Pull::new();
    let endpoint = pull.bind("tcp://127.0.0.1:*").soon().await.unwrap();
    assert!(endpoint.port().is_some_and(|port| port > 0));
    let any = pull.bind("tcp://*:*").soon().await.unwrap().to_string();
    assert!(any.starts_with("tcp://0.0.0.0:"), "{any}");
    let lo = pull.bind("tcp://lo:0").soon().await.unwrap().to_string();
    assert!(lo.starts_with("tcp://127.0.0.1:"), "{lo}");
    let name = inproc();
    assert_eq!(pull.bind(&name[..]).soon().await.unwrap().to_string(), name);
    // D1.7: people paste what bind gave.
    let push = Push::new();
    push.connect(&any[..]).await.unwrap();
    push.send("x").soon().await.unwrap();
    assert_eq!(pull.recv().soon().await.unwrap(), "x");
}

/// Ports the ideas of libzmq's `test_term_endpoint` and `test_unbind_wildcard`.
#[tokio::test]
async fn d0_3_unbind_and_disconnect_take_the_resolved_endpoint_only() {
    let pull = Pull::new();
    for wildcard in ["tcp://127.0.0.1:*", "tcp://*:*", "ipc://*"] {
        let endpoint = pull.bind(wildcard).soon().await.unwrap();
        assert!(pull.unbind(wildcard).is_err(), "{wildcard}");
        assert!(pull.disconnect(&endpoint).is_err());
        pull.unbind(&endpoint).unwrap();
        assert!(pull.unbind(&endpoint).is_err());
    }
}

#[tokio::test]
async fn an_unbound_endpoint_can_be_bound_again() {
    let pull = Pull::new();
    let mut monitor = pull.monitor();
    for medium in [Medium::Tcp, Medium::Inproc] {
        let endpoint = pull.bind(&medium.any()).soon().await.unwrap().to_string();
        for _ in 0..3 {
            pull.unbind(&endpoint).unwrap();
            if medium != Medium::Inproc {
                until(&mut monitor, sinew::EventKind::ListenerClosed).await;
            }
            pull.bind(&endpoint).soon().await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_endpoint_in_use_is_refused_on_every_transport() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let (a, b) = (make::<Pull>(&context), make::<Pull>(&context));
        let endpoint = a.bind(&medium.any()).soon().await.unwrap().to_string();
        let error = b.bind(&endpoint).soon().await.unwrap_err();
        assert!(matches!(error, BindError::AddressInUse { .. }), "{medium:?}: {error:?}");
    }
}

#[tokio::test]
async fn d1_1_addresses_that_are_not_ours_are_told_apart() {
    let pull = Pull::new();
    let foreign = pull.bind("tcp://192.0.2.1:0").soon().await;
    assert!(matches!(foreign, Err(BindError::NotLocal { .. })), "{foreign:?}");
    let missing = pull.bind("tcp://no-such-interface0:0").soon().await;
    assert!(matches!(missing, Err(BindError::NoSuchInterface { .. })), "{missing:?}");
}

#[tokio::test]
async fn d1_5_ipv6_literals_work() {
    let (push, pull) = (Push::new(), Pull::new());
    let Ok(endpoint) = pull.bind("tcp://[::1]:0").soon().await else { return };
    assert!(endpoint.to_string().starts_with("tcp://[::1]:"));
    push.connect(&endpoint).await.unwrap();
    push.send("x").soon().await.unwrap();
    assert_eq!(pull.recv().soon().await.unwrap(), "x");
}

#[tokio::test]
async fn d2_1_a_path_too_long_is_an_error() {
    let text = format!("ipc:///tmp/{}", "x".repeat(110));
    assert!(text.parse::<Endpoint>().is_err());
}

/// Ports the idea of libzmq's `test_abstract_ipc`.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn d2_2_abstract_names() {
    let name = format!("ipc://@{}", ipc_path().file_name().unwrap().to_str().unwrap());
    let (push, pull) = (Push::new(), Pull::new());
    assert_eq!(pull.bind(&name[..]).soon().await.unwrap().to_string(), name);
    push.connect(&name[..]).await.unwrap();
    push.send("x").soon().await.unwrap();
    assert_eq!(pull.recv().soon().await.unwrap(), "x");
    assert!("ipc://@".parse::<Endpoint>().is_err());
}

/// Ports the idea of libzmq's `test_ipc_wildcard`.
#[tokio::test]
async fn d2_3_a_wildcard_is_a_fresh_private_path_that_goes_with_the_socket() {
    use std::os::unix::fs::PermissionsExt;
    let pull = Pull::new();
    let endpoint = pull.bind("ipc://*").soon().await.unwrap().to_string();
    let path = std::path::PathBuf::from(endpoint.strip_prefix("ipc://").unwrap());
    assert!(path.is_absolute() && path.exists());
    let directory = path.parent().unwrap().to_owned();
    assert_eq!(directory.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    pull.close().soon().await;
    assert!(!directory.exists());
}

/// Ports the idea of libzmq's `test_rebind_ipc`.
#[tokio::test]
async fn d2_4_a_path_can_be_bound_again_after_close_and_a_stale_file_is_taken_over() {
    let path = ipc_path();
    let endpoint = format!("ipc://{}", path.display());
    for _ in 0..3 {
        let pull = Pull::new();
        pull.bind(&endpoint[..]).soon().await.unwrap();
        let push = Push::new();
        push.connect(&endpoint[..]).await.unwrap();
        push.send("x").soon().await.unwrap();
        assert_eq!(pull.recv().soon().await.unwrap(), "x");
        pull.close().soon().await;
    }
    // D2.5: the named file stays.
    assert!(path.exists());
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "precious").unwrap();
    let error = Pull::new().bind(&endpoint[..]).soon().await.unwrap_err();
    assert!(matches!(error, BindError::NotASocket { .. }), "{error:?}");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn d3_1_names_are_exact_and_belong_to_one_context() {
    let (context, other) = (sinew::Context::new(), sinew::Context::new());
    let (a, b, c) = (make::<Pull>(&context), make::<Pull>(&context), make::<Pull>(&other));
    a.bind("inproc://name").await.unwrap();
    b.bind("inproc://Name").await.unwrap();
    c.bind("inproc://name").await.unwrap();
    assert!(matches!(b.bind("inproc://name").await, Err(BindError::AddressInUse { .. })));
    let push = make::<Push>(&other);
    push.connect("inproc://name").await.unwrap();
    push.send("x").soon().await.unwrap();
    assert_eq!(c.recv().soon().await.unwrap(), "x");
    assert!(a.stats().peers.is_empty());
    drop(a);
    b.bind("inproc://name").await.unwrap();
}

/// Ports the idea of libzmq's `test_inproc_connect`: many that wait, joined by one bind.
#[tokio::test]
async fn d3_2_any_number_of_pending_connects_is_joined_at_bind() {
    let context = sinew::Context::new();
    let name = inproc();
    let pushes: Vec<_> = (0..20).map(|_| make::<Push>(&context)).collect();
    for (i, push) in (0_u8..).zip(&pushes) {
        push.connect(&name[..]).await.unwrap();
        push.send(&[i]).soon().await.unwrap();
    }
    let pull = make::<Pull>(&context);
    pull.bind(&name[..]).await.unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20 {
        seen.insert(pull.recv().soon().await.unwrap()[0][0]);
    }
    assert_eq!(seen, (0..20).collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn d3_2_connecting_and_binding_at_the_same_moment_always_meet() {
    for _ in 0..200 {
        let context = sinew::Context::new();
        let name = inproc();
        let (push, pull) = (make::<Push>(&context), make::<Pull>(&context));
        let (connecting, binding) = (push.clone(), pull.clone());
        let (to_connect, to_bind) = (name.clone(), name);
        let connected = tokio::spawn(async move { connecting.connect(&to_connect[..]).await });
        let bound = tokio::spawn(async move { binding.bind(&to_bind[..]).await });
        connected.soon().await.unwrap().unwrap();
        bound.soon().await.unwrap().unwrap();
        push.send("x").soon().await.unwrap();
        assert_eq!(pull.recv().soon().await.unwrap(), "x");
    }
}

/// Ports the idea of libzmq's `test_disconnect_inproc`.
#[tokio::test]
async fn d3_3_what_was_sent_stays_readable_after_the_sender_is_gone() {
    let context = sinew::Context::new();
    let (push, pull) = (make::<Push>(&context), make::<Pull>(&context));
    let name = crate::kit::join(Medium::Inproc, &pull, &push).await;
    for i in 0..5_u8 {
        push.send(&[i]).soon().await.unwrap();
    }
    push.disconnect(&name[..]).unwrap();
    assert!(pull.stats().peers.is_empty());
    for i in 0..5_u8 {
        assert_eq!(pull.recv().soon().await.unwrap(), &[i]);
    }
    assert_eq!(push.stats().sent, 5);
}

#[tokio::test]
async fn d3_6_large_payloads_are_shared_not_copied() {
    let context = sinew::Context::new();
    let (push, pull) = (make::<Push>(&context), make::<Pull>(&context));
    crate::kit::join(Medium::Inproc, &pull, &push).await;
    let body = bytes_of(100_000);
    push.send(body.clone()).soon().await.unwrap();
    let received = pull.recv().soon().await.unwrap();
    assert_eq!(received[0].as_ptr(), body.as_ptr());
}

fn bytes_of(size: usize) -> sinew::Frame {
    vec![1; size].into()
}

#[tokio::test]
async fn one_socket_binds_and_connects_to_many_places_at_once() {
    let context = sinew::Context::new();
    let pull = make::<Pull>(&context);
    let mut pushes = Vec::new();
    for medium in MEDIA {
        let endpoint = pull.bind(&medium.any()).soon().await.unwrap().to_string();
        let connecting = make::<Push>(&context);
        connecting.connect(&endpoint).soon().await.unwrap();
        let binding = make::<Push>(&context);
        let endpoint = binding.bind(&medium.any()).soon().await.unwrap().to_string();
        pull.connect(&endpoint).soon().await.unwrap();
        pushes.extend([connecting, binding]);
    }
    pull.wait_for_peers(6).soon().await.unwrap();
    for push in &pushes {
        push.send("x").soon().await.unwrap();
    }
    for _ in 0..6 {
        pull.recv().soon().await.unwrap();
    }
    counted(&pull, |stats| stats.received == 6).await;
}

#[tokio::test]
async fn ipc_speaks_the_same_protocol_as_tcp() {
    let router = Router::new();
    let endpoint = router.bind("ipc://*").soon().await.unwrap().to_string();
    let mut peer = raw_named(&endpoint, "DEALER", b"me").await;
    peer.send_msg(&[b"x", b"y"]).await;
    assert_eq!(by_name(router.recv().soon().await.unwrap()), ("me".into(), ["x", "y"].into()));
    router.send("me", "z").soon().await.unwrap();
    assert_eq!(peer.recv_msg().await, [b"z"]);
}

#[tokio::test]
async fn d3_5_a_name_that_the_wrong_type_bound_first_can_be_connected_to_anew() {
    let context = sinew::Context::new();
    let (sub, push, publisher) = (make::<Sub>(&context), make::<Push>(&context), make::<Pub>(&context));
    let name = inproc();
    sub.connect(&name[..]).soon().await.unwrap();
    push.bind(&name[..]).soon().await.unwrap();
    push.unbind(&name[..]).unwrap();
    publisher.bind(&name[..]).soon().await.unwrap();
    sub.connect(&name[..]).soon().await.unwrap();
    publisher.wait_for_peers(1).soon().await.unwrap();
}

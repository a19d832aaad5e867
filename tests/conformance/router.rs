//! B4: addressing by routing id.

use sinew::{
    Dealer, DisconnectReason, EventKind, Message, Refused, Router, RouterEvent, RoutingId, SendErrorKind,
};

use crate::kit::{
    MEDIA, Medium, Soon, bind, by_name, counted, disconnected, event, join, make, raw, raw_named, raw_server,
    until,
};
use crate::support::raw_peer::{MORE, RawPeer};

fn named(name: &'static str, context: &sinew::Context) -> Dealer {
    Dealer::builder().context(context).routing_id(name).build().unwrap()
}

/// The peer that the next event says has come.
async fn connected(router: &Router, name: &str) -> RoutingId {
    let RouterEvent::Connected(id) = router.recv_event().soon().await.unwrap() else { panic!("no news") };
    assert_eq!(id.as_ref(), name.as_bytes());
    id
}

#[tokio::test]
async fn b4_1_b4_2_a_peer_goes_by_the_identity_that_it_announced() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let router = make::<Router>(&context);
        let endpoint = router.bind(&medium.any()).soon().await.unwrap().to_string();
        let dealers = [named("one", &context), named("two", &context)];
        for dealer in &dealers {
            dealer.connect(&endpoint).soon().await.unwrap();
        }
        router.wait_for_peers(2).soon().await.unwrap();
        for (name, dealer) in ["one", "two"].into_iter().zip(&dealers) {
            router.send(name, [name, ""]).soon().await.unwrap();
            assert_eq!(dealer.recv().soon().await.unwrap(), [name, ""], "{medium:?}");
            dealer.send(["reply", name]).soon().await.unwrap();
            assert_eq!(by_name(router.recv().soon().await.unwrap()), (name.into(), ["reply", name].into()));
        }
    }
}

#[tokio::test]
async fn b4_3_a_generated_id_is_five_bytes_and_begins_with_zero_and_none_may_be_chosen_so() {
    let router = Router::new();
    let mut ids = std::collections::HashSet::new();
    let mut peers = Vec::new();
    for _ in 0..5 {
        let mut peer = raw(&router).await;
        peer.send_msg(&[b"x"]).await;
        let id = router.recv().soon().await.unwrap().0;
        assert_eq!((id.as_ref().len(), id.as_ref()[0]), (5, 0));
        assert!(ids.insert(sinew::Frame::from(id)));
        peers.push(peer);
    }
    for bad in [&b"\0"[..], b"\0abc", &[7; 256]] {
        assert!(Dealer::builder().routing_id(bad.to_vec()).build().is_err());
    }
    assert!(Dealer::builder().routing_id(vec![7; 255]).build().is_ok());
}

#[tokio::test]
async fn b4_4_the_peer_of_a_connecting_router_is_routable_after_the_handshake() {
    let router = Router::builder().mandatory(true).build().unwrap();
    let dealer = Dealer::builder().routing_id("D").build().unwrap();
    let endpoint = bind(&dealer).await;
    router.connect(&endpoint[..]).await.unwrap();
    assert_eq!(router.try_send("D", "early").unwrap_err().kind(), SendErrorKind::Unroutable);
    router.wait_for_peers(1).soon().await.unwrap();
    router.send("D", "now").soon().await.unwrap();
    assert_eq!(dealer.recv().soon().await.unwrap(), "now");
}

/// Limits D25. libzmq leaves the newcomer connected and mute.
#[tokio::test]
async fn b4_6_d25_duplicate_identity_is_refused() {
    let router = Router::new();
    let mut monitor = router.monitor();
    let endpoint = bind(&router).await;
    let mut victim = raw_named(&endpoint, "DEALER", b"name").await;
    router.wait_for_peers(1).soon().await.unwrap();
    let mut thief = raw_named(&endpoint, "DEALER", b"name").await;
    until(&mut monitor, EventKind::Refused(Refused::RoutingIdInUse)).await;
    assert_eq!(thief.recv_command().await.0, "ERROR");
    thief.expect_closed().await;
    router.send("name", "for the victim").soon().await.unwrap();
    assert_eq!(victim.recv_msg().await, [b"for the victim"]);
    victim.send_msg(&[b"x"]).await;
    assert_eq!(by_name(router.recv().soon().await.unwrap()), ("name".into(), "x".into()));
    // Once the victim is gone the name is free.
    drop(victim);
    counted(&router, |stats| stats.peers.is_empty()).await;
    let mut heir = raw_named(&endpoint, "DEALER", b"name").await;
    router.wait_for_peers(1).soon().await.unwrap();
    router.send("name", "for the heir").soon().await.unwrap();
    assert_eq!(heir.recv_msg().await, [b"for the heir"]);
}

#[tokio::test]
async fn d25_duplicate_identity_over_inproc_is_an_error_to_the_newcomer() {
    let context = sinew::Context::new();
    let (router, victim, thief) =
        (make::<Router>(&context), named("name", &context), named("name", &context));
    let name = join(Medium::Inproc, &router, &victim).await;
    let error = thief.connect(&name).soon().await.unwrap_err();
    assert_eq!(error, sinew::ConnectError::Refused(Refused::RoutingIdInUse));
    router.send("name", "for the victim").soon().await.unwrap();
    assert_eq!(victim.recv().soon().await.unwrap(), "for the victim");
    assert!(thief.stats().peers.is_empty());
    drop(victim);
    thief.connect(&name).soon().await.unwrap();
    router.send("name", "for the heir").soon().await.unwrap();
    assert_eq!(thief.recv().soon().await.unwrap(), "for the heir");
}

/// Ports the idea of libzmq's `test_router_handover`.
#[tokio::test]
async fn b4_7_with_handover_the_newcomer_takes_the_name_and_the_old_connection_ends() {
    let router = Router::builder().handover(true).build().unwrap();
    let mut monitor = router.monitor();
    let endpoint = bind(&router).await;
    let mut old = raw_named(&endpoint, "DEALER", b"name").await;
    old.send_msg(&[b"from the old"]).await;
    old.settle().await;
    let mut new = raw_named(&endpoint, "DEALER", b"name").await;
    assert_eq!(disconnected(&mut monitor).await, DisconnectReason::ClosedByUs);
    assert_eq!(old.expect_closed().await, b"");
    router.send("name", "for the new").soon().await.unwrap();
    assert_eq!(new.recv_msg().await, [b"for the new"]);
    // A reply to what the old one said is not for the new one.
    let (id, message) = router.recv().soon().await.unwrap();
    assert_eq!(message, "from the old");
    router.send(&id, "for the old").soon().await.unwrap();
    new.settle().await;
    assert_eq!(router.stats().dropped.no_route, 1);
}

#[tokio::test]
async fn b4_7_handover_over_inproc_ends_the_old_peer() {
    let context = sinew::Context::new();
    let router = Router::builder().context(&context).handover(true).build().unwrap();
    let (old, new) = (named("name", &context), named("name", &context));
    let name = join(Medium::Inproc, &router, &old).await;
    new.connect(&name).soon().await.unwrap();
    router.send("name", "for the new").soon().await.unwrap();
    assert_eq!(new.recv().soon().await.unwrap(), "for the new");
    counted(&router, |stats| stats.peers.len() == 1).await;
    assert!(old.stats().peers.is_empty());
}

#[tokio::test]
async fn b4_8_what_cannot_be_routed_is_dropped_and_counted() {
    let router = Router::new();
    router.send("nobody", ["a", "b"]).soon().await.unwrap();
    router.try_send("nobody", "c").unwrap();
    assert_eq!(router.stats().dropped.no_route, 2);
    let router = Router::builder().send_hwm(1).send_buffer(4096).build().unwrap();
    let mut peer = raw_named(&bind(&router).await, "DEALER", b"D").await;
    router.wait_for_peers(1).soon().await.unwrap();
    for _ in 0..5 {
        router.send("D", vec![0; 8_000_000]).soon().await.unwrap();
    }
    assert_eq!(router.stats().dropped.high_water_mark, 4);
    assert_eq!(peer.recv_msg().await[0].len(), 8_000_000);
}

/// Ports the ideas of libzmq's `test_router_mandatory` and `_hwm`.
#[tokio::test]
async fn b4_9_mandatory_says_unroutable_and_full_and_waits_for_room() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let router = Router::builder().context(&context).mandatory(true).send_hwm(1);
        let router = router.send_hwm_bytes(0).send_buffer(4096).build().unwrap();
        let dealer = Dealer::builder().context(&context).routing_id("D").recv_hwm(1).build().unwrap();
        let error = router.send("D", ["a", "b"]).soon().await.unwrap_err();
        assert_eq!((error.kind(), error.into_message()), (SendErrorKind::Unroutable, ["a", "b"].into()));
        join(medium, &router, &dealer).await;
        let mut accepted = 0;
        while router.try_send("D", vec![0; 8_000_000]).is_ok() {
            accepted += 1;
            tokio::task::yield_now().await;
            assert!(accepted < 20);
        }
        let error = router.try_send("D", "x").unwrap_err();
        assert_eq!(error.kind(), SendErrorKind::Full);
        let mut sending = Box::pin(router.send("D", "last"));
        assert!(futures::poll!(&mut sending).is_pending());
        for _ in 0..accepted {
            assert_eq!(dealer.recv().soon().await.unwrap()[0].len(), 8_000_000);
        }
        sending.soon().await.unwrap();
        assert_eq!(dealer.recv().soon().await.unwrap(), "last", "{medium:?}");
        drop(dealer);
        counted(&router, |stats| stats.peers.is_empty()).await;
        assert_eq!(router.send("D", "x").soon().await.unwrap_err().kind(), SendErrorKind::Unroutable);
    }
}

/// A waiter for one peer must not swallow the wake-up of a waiter for another.
#[tokio::test]
async fn b4_9_a_sender_stuck_on_one_peer_does_not_hold_up_the_others() {
    let context = sinew::Context::new();
    let router = Router::builder().context(&context).mandatory(true).send_hwm(1).build().unwrap();
    let name = crate::kit::inproc();
    router.bind(&name[..]).await.unwrap();
    let small = |id| Dealer::builder().context(&context).routing_id(id).recv_hwm(1).build().unwrap();
    let (stuck, quick) = (small("stuck"), small("quick"));
    stuck.connect(&name).soon().await.unwrap();
    quick.connect(&name).soon().await.unwrap();
    let mut senders = Vec::new();
    let stuck_senders = [("stuck", 3); 8];
    for (id, count) in stuck_senders.into_iter().chain([("quick", 100)]) {
        let router = router.clone();
        senders.push(tokio::spawn(async move {
            for _ in 0..count {
                router.send(id, "x").await.unwrap();
            }
        }));
    }
    for _ in 0..100 {
        quick.recv().soon().await.unwrap();
    }
    senders.pop().unwrap().soon().await.unwrap();
    assert!(!senders[0].is_finished());
}

#[tokio::test]
async fn b4_9_a_sender_that_waits_for_room_learns_that_the_peer_has_left() {
    let router = Router::builder().mandatory(true).send_hwm(1).send_buffer(4096).build().unwrap();
    let peer = raw_named(&bind(&router).await, "DEALER", b"D").await;
    router.wait_for_peers(1).soon().await.unwrap();
    router.send("D", vec![0; 8_000_000]).soon().await.unwrap();
    let mut sending = Box::pin(router.send("D", "x"));
    assert!(futures::poll!(&mut sending).is_pending());
    drop(peer);
    assert_eq!(sending.soon().await.unwrap_err().kind(), SendErrorKind::Unroutable);
}

#[tokio::test]
async fn b4_12_what_a_peer_said_stays_readable_and_what_was_for_it_is_dropped_and_counted() {
    let router = Router::builder().send_buffer(4096).build().unwrap();
    let mut peer = raw_named(&bind(&router).await, "DEALER", b"D").await;
    peer.send_msg(&[b"last words"]).await;
    peer.settle().await;
    for _ in 0..3 {
        router.send("D", vec![0; 4_000_000]).soon().await.unwrap();
    }
    peer.reset();
    counted(&router, |stats| stats.peers.is_empty()).await;
    let stats = router.stats();
    assert_eq!(stats.dropped.disconnect + stats.sent, 3);
    assert_eq!(by_name(router.recv().soon().await.unwrap()), ("D".into(), "last words".into()));
    router.send("D", "x").soon().await.unwrap();
    assert_eq!(router.stats().dropped.no_route, 1);
}

/// Limits D26.
#[tokio::test]
async fn d26_replies_to_a_peer_that_left_do_not_reach_who_took_its_name() {
    let router = Router::new();
    let endpoint = bind(&router).await;
    let mut victim = raw_named(&endpoint, "DEALER", b"name").await;
    let mut ids = Vec::new();
    for _ in 0..100 {
        victim.send_msg(&[b"question"]).await;
        ids.push(router.recv().soon().await.unwrap().0);
    }
    drop(victim);
    counted(&router, |stats| stats.peers.is_empty()).await;
    let mut thief = raw_named(&endpoint, "DEALER", b"name").await;
    router.wait_for_peers(1).soon().await.unwrap();
    for id in &ids {
        router.send(id, "secret").soon().await.unwrap();
    }
    thief.settle().await;
    assert_eq!(router.stats().dropped.no_route, 100);
    // By name it is reached.
    router.send("name", "public").soon().await.unwrap();
    assert_eq!(thief.recv_msg().await, [b"public"]);
}

#[tokio::test]
async fn b4_12_on_the_connecting_side_the_pipe_and_its_id_survive_a_reconnect() {
    let router = Router::builder().mandatory(true).build().unwrap();
    let mut monitor = router.monitor();
    let (listener, mut peer) = raw_server(&router).await;
    peer.send_msg(&[b"x"]).await;
    let id = router.recv().soon().await.unwrap().0;
    drop(peer);
    disconnected(&mut monitor).await;
    router.send(&id, "queued").soon().await.unwrap();
    // B4.13: a name that comes later is ignored.
    let mut peer = listener.accept().await;
    peer.greeting(1).await;
    peer.ready("DEALER", Some(b"late name"), &[]).await;
    peer.recv_greeting().await;
    peer.recv_ready().await;
    assert_eq!(peer.recv_msg().await, [b"queued"]);
    peer.send_msg(&[b"y"]).await;
    assert_eq!(router.recv().soon().await.unwrap().0, id);
    assert_eq!(router.try_send("late name", "x").unwrap_err().kind(), SendErrorKind::Unroutable);
}

/// Ports the idea of libzmq's `test_router_notify`.
#[tokio::test]
async fn b4_14_peers_that_come_and_go_are_told_in_order_with_their_messages() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let router = Router::builder().context(&context).notify(true).build().unwrap();
        let dealer = named("D", &context);
        join(medium, &router, &dealer).await;
        dealer.send("1").soon().await.unwrap();
        dealer.send("2").soon().await.unwrap();
        dealer.close().soon().await;
        let id = connected(&router, "D").await;
        let said = |message: &str| RouterEvent::Message(id.clone(), message.into());
        for expected in [said("1"), said("2"), RouterEvent::Disconnected(id.clone())] {
            assert_eq!(router.recv_event().soon().await.unwrap(), expected, "{medium:?}");
        }
    }
}

#[tokio::test]
async fn b4_14_a_failed_handshake_notifies_nothing_and_a_partial_message_is_not_glued_to_the_notice() {
    let router = Router::builder().notify(true).build().unwrap();
    let mut monitor = router.monitor();
    let endpoint = bind(&router).await;
    let mut failing = RawPeer::connect(&endpoint).await;
    failing.send_raw(b"not ZMTP").await;
    crate::kit::handshake_failed(&mut monitor).await;
    let mut peer = raw_named(&endpoint, "DEALER", b"D").await;
    peer.send_msg(&[b"whole"]).await;
    peer.send_frame(MORE, b"part").await;
    peer.finish().await;
    let id = connected(&router, "D").await;
    let whole = RouterEvent::Message(id.clone(), "whole".into());
    assert_eq!(router.recv_event().soon().await.unwrap(), whole);
    assert_eq!(router.recv_event().soon().await.unwrap(), RouterEvent::Disconnected(id));
    assert!(router.try_recv_event().is_err());
}

#[tokio::test]
async fn notices_are_skipped_by_recv() {
    let router = Router::builder().notify(true).build().unwrap();
    let dealer = Dealer::new();
    join(Medium::Tcp, &router, &dealer).await;
    dealer.send("x").soon().await.unwrap();
    assert_eq!(router.recv().soon().await.unwrap().1, "x");
    drop(dealer);
    counted(&router, |stats| stats.peers.is_empty()).await;
    assert_eq!(router.try_recv(), Err(sinew::RecvError::Empty));
}

/// Ports the idea of libzmq's `test_issue_566`: a dealer of a known name is reached as soon as it is there.
#[tokio::test]
async fn issue_566_a_known_name_is_routable_as_soon_as_its_peer_is_there() {
    let router = Router::builder().mandatory(true).build().unwrap();
    let endpoint = bind(&router).await;
    for i in 0..20 {
        let name = format!("dealer-{i}");
        let dealer = Dealer::builder().routing_id(name.clone()).build().unwrap();
        dealer.connect(&endpoint[..]).await.unwrap();
        router.wait_for_peers(1).soon().await.unwrap();
        router.send(name, "hello").soon().await.unwrap();
        assert_eq!(dealer.recv().soon().await.unwrap(), "hello");
        drop(dealer);
        counted(&router, |stats| stats.peers.is_empty()).await;
    }
}

/// Ports the idea of libzmq's `test_spec_router`.
#[tokio::test]
async fn b4_a_router_takes_its_peers_in_turn() {
    let router = Router::new();
    let mut peers = [raw(&router).await, raw(&router).await, raw(&router).await];
    for peer in &mut peers {
        for _ in 0..4 {
            peer.send_msg(&[b"x", b"y"]).await;
        }
    }
    counted(&router, |stats| stats.unread == 12).await;
    for _ in 0..4 {
        let turn: std::collections::HashSet<_> = (0..3).map(|_| router.try_recv().unwrap().0).collect();
        assert_eq!(turn.len(), 3);
    }
}

#[tokio::test]
async fn a_refused_connecter_tries_again_and_gets_in_when_the_name_is_free() {
    let router = Router::new();
    let endpoint = bind(&router).await;
    let context = sinew::Context::new();
    let (first, second) = (named("name", &context), named("name", &context));
    first.connect(&endpoint[..]).await.unwrap();
    router.wait_for_peers(1).soon().await.unwrap();
    let mut monitor = second.monitor();
    second.connect(&endpoint[..]).await.unwrap();
    event(&mut monitor, |event| matches!(event.kind, EventKind::Disconnected(_)).then_some(())).await;
    drop(first);
    counted(&router, |stats| stats.peers.is_empty()).await;
    router.wait_for_peers(1).soon().await.unwrap();
    router.send("name", "in").soon().await.unwrap();
    assert_eq!(second.recv().soon().await.unwrap(), Message::from("in"));
}

#[tokio::test]
async fn events_come_as_many_at_a_time_as_there_are_and_in_order() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let router = Router::builder().context(&context).notify(true).build().unwrap();
        let dealer = named("D", &context);
        join(medium, &router, &dealer).await;
        for number in 0..10 {
            dealer.send(number.to_string()).soon().await.unwrap();
        }
        dealer.close().soon().await;
        let id = connected(&router, "D").await;
        let mut events = Vec::new();
        while events.len() < 11 {
            let before = events.len();
            let count = router.recv_events(&mut events, 4).soon().await.unwrap();
            assert!((1..=4).contains(&count), "{medium:?}");
            assert_eq!(events.len(), before + count);
        }
        let messages = (0..10).map(|number| RouterEvent::Message(id.clone(), number.to_string().into()));
        let expected: Vec<_> = messages.chain([RouterEvent::Disconnected(id.clone())]).collect();
        assert_eq!(events, expected, "{medium:?}");
    }
}

#[tokio::test]
async fn a_paused_peer_waits_while_others_are_heard_and_its_end_is_told_after_its_messages() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let router = Router::builder().context(&context).notify(true).build().unwrap();
        let endpoint = router.bind(&medium.any()).soon().await.unwrap().to_string();
        let (paused, other) = (named("paused", &context), named("other", &context));
        paused.connect(&endpoint).soon().await.unwrap();
        let RouterEvent::Connected(id) = router.recv_event().soon().await.unwrap() else { panic!() };
        let peer = id.peer().unwrap();
        router.pause(peer);
        paused.send("1").soon().await.unwrap();
        other.connect(&endpoint).soon().await.unwrap();
        other.send("2").soon().await.unwrap();
        assert_eq!(router.recv().soon().await.unwrap().1, "2", "{medium:?}");
        assert!(router.try_recv().is_err(), "{medium:?}");
        router.resume(peer);
        assert_eq!(router.recv().soon().await.unwrap().1, "1", "{medium:?}");
        router.pause(peer);
        paused.send("3").soon().await.unwrap();
        paused.close().soon().await;
        let said = RouterEvent::Message(id.clone(), "3".into());
        assert_eq!(router.recv_event().soon().await.unwrap(), said, "{medium:?}");
        assert_eq!(router.recv_event().soon().await.unwrap(), RouterEvent::Disconnected(id), "{medium:?}");
    }
}

#[tokio::test]
async fn a_full_peer_holds_up_none_but_its_own_and_its_order_is_kept() {
    let context = sinew::Context::new();
    let builder = Router::builder().context(&context).mandatory(true);
    let router = builder.send_hwm_bytes(2000).build().unwrap();
    let endpoint = router.bind(&Medium::Inproc.any()).soon().await.unwrap().to_string();
    let full = Dealer::builder().context(&context).routing_id("full").recv_hwm_bytes(1).build().unwrap();
    let other = named("other", &context);
    full.connect(&endpoint).soon().await.unwrap();
    other.connect(&endpoint).soon().await.unwrap();
    router.wait_for_peers(2).soon().await.unwrap();
    let large = Message::from(vec![0; 1900]);
    let mut refused = Vec::new();
    // The third would fit where the second did not; it has to wait behind it.
    let messages =
        [("full", large.clone()), ("full", large), ("full", "small".into()), ("other", "fine".into())];
    router.try_send_each(messages, |to, error| refused.push((to, error.kind(), error.into_message().size())));
    let full_id = RoutingId::from("full");
    assert_eq!(refused, [(full_id.clone(), SendErrorKind::Full, 1900), (full_id, SendErrorKind::Full, 5)]);
    assert_eq!(other.recv().soon().await.unwrap(), "fine");
    refused.clear();
    router.try_send_each([("nobody", Message::from("x"))], |to, error| refused.push((to, error.kind(), 0)));
    assert_eq!(refused, [("nobody".into(), SendErrorKind::Unroutable, 0)]);
}

#[tokio::test]
async fn a_peer_that_was_connected_to_and_is_disconnected_takes_its_endpoint_along() {
    let router = Router::builder().notify(true).build().unwrap();
    let (listener, mut peer) = raw_server(&router).await;
    peer.send_msg(&[b"hi"]).await;
    let (id, _) = router.recv().soon().await.unwrap();
    router.disconnect_peer(id.peer().unwrap());
    peer.expect_closed().await;
    assert_eq!(router.recv_event().soon().await.unwrap(), RouterEvent::Disconnected(id));
    assert!(router.disconnect(listener.endpoint()).is_err());

    router.connect(listener.endpoint()).soon().await.unwrap();
    let (mut peer, _) = crate::kit::answer(&listener, "DEALER", 1).await;
    peer.send_msg(&[b"again"]).await;
    let (id, _) = router.recv().soon().await.unwrap();
    router.send(id, "welcome").soon().await.unwrap();
    assert_eq!(peer.recv_msg().await, [b"welcome"]);
}

#[test]
fn try_send_each_tells_what_was_refused_when_the_socket_can_be_used_again() {
    let refused = comes_back(|| {
        let router = Router::builder().mandatory(true).build().unwrap();
        let mut refused = Vec::new();
        let messages = ["a", "b"].map(|message| ("nobody", Message::from(message)));
        router.try_send_each(messages, |_, error| {
            assert_eq!(router.stats().queued, 0);
            refused.push((error.kind(), error.into_message()));
        });
        refused
    });
    let unroutable = |message: &str| (SendErrorKind::Unroutable, Message::from(message));
    assert_eq!(refused, [unroutable("a"), unroutable("b")]);
}

/// Runs it in a thread of its own, because what waits for a socket there waits for ever.
fn comes_back<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, finished) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    finished.recv_timeout(crate::support::DEADLINE).expect("it comes back")
}

/// Uses the socket whenever the caller's code runs: when it becomes an id.
struct Lookup(Router);

impl From<Lookup> for RoutingId {
    fn from(Lookup(router): Lookup) -> Self {
        router.try_send("nobody", "from within").unwrap_err();
        "nobody".into()
    }
}

#[test]
fn whoever_gives_messages_to_try_send_each_may_use_the_socket_meanwhile() {
    comes_back(|| {
        let router = Router::builder().mandatory(true).build().unwrap();
        let mut refused = 0;
        let messages = (0..600).map(|number| {
            assert_eq!(router.stats().queued, 0);
            (Lookup(router.clone()), Message::from(number.to_string()))
        });
        router.try_send_each(messages, |_, error| {
            assert_eq!(error.into_message(), refused.to_string().as_str());
            refused += 1;
        });
        assert_eq!(refused, 600);
    });
}

/// Uses the socket when it is dropped.
struct Payload(Router);

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        b"payload"
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        let _ = self.0.stats();
    }
}

#[test]
fn payloads_that_try_send_each_drops_may_use_the_socket() {
    comes_back(|| {
        // Not mandatory: a message for nobody is dropped.
        let router = Router::new();
        let payload = bytes::Bytes::from_owner(Payload(router.clone()));
        router.try_send_each([("nobody", payload.into())], |_, error| panic!("{error}"));
        assert_eq!(router.stats().dropped.no_route, 1);
    });
}

#[tokio::test]
async fn a_full_peer_gets_nothing_out_of_order_when_it_has_room_again_meanwhile() {
    let context = sinew::Context::new();
    let router =
        Router::builder().context(&context).mandatory(true).notify(true).send_hwm(4).build().unwrap();
    let dealer = Dealer::builder().context(&context).routing_id("D").recv_hwm(4).build().unwrap();
    join(Medium::Inproc, &router, &dealer).await;
    let id = connected(&router, "D").await;
    // By its name and by its connection, in turn, for longer than one lock is held.
    let ways = [RoutingId::from("D"), id.clone(), id.peer().unwrap().into()];
    let messages = (0..600).map(|number| (&ways[number % 3], Message::from(number.to_string())));
    let (mut refused, mut received) = (Vec::new(), Vec::new());
    router.try_send_each(messages, |_, error| {
        received.extend(dealer.try_recv());
        refused.push(error.into_message());
    });
    received.extend(std::iter::from_fn(|| dealer.try_recv().ok()));
    assert!(!received.is_empty() && received.len() < 256);
    let all: Vec<_> = received.into_iter().chain(refused).collect();
    assert_eq!(all, (0..600).map(|number| Message::from(number.to_string())).collect::<Vec<_>>());
}

#[tokio::test]
async fn ids_of_connections_are_equal_for_the_same_connection_only_and_those_of_bytes_by_their_bytes() {
    let hash = |id: &RoutingId| {
        std::hash::BuildHasher::hash_one(
            &std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default(),
            id,
        )
    };
    let router = Router::builder().notify(true).build().unwrap();
    let endpoint = bind(&router).await;
    let first = raw_named(&endpoint, "DEALER", b"D").await;
    let id = connected(&router, "D").await;
    let peer = id.peer().unwrap();
    let _other = raw_named(&endpoint, "DEALER", b"E").await;
    let other = connected(&router, "E").await;
    assert_ne!(RoutingId::from(peer), RoutingId::from(other.peer().unwrap()));
    // With its name or without.
    assert_eq!((&RoutingId::from(peer), hash(&peer.into())), (&id, hash(&id)));
    drop(first);
    assert_eq!(router.recv_event().soon().await.unwrap(), RouterEvent::Disconnected(id.clone()));
    let _heir = raw_named(&endpoint, "DEALER", b"D").await;
    let heir = connected(&router, "D").await;
    assert_ne!(id, heir);
    // A name is neither of those who had it one after the other.
    let name = RoutingId::from("D");
    assert_ne!(name, id);
    assert_ne!(name, heir);
    assert_eq!((&RoutingId::from(b"D".to_vec()), hash(&"D".into())), (&name, hash(&name)));
    assert_ne!(name, RoutingId::from("E"));
    assert_ne!(RoutingId::default(), RoutingId::from(peer));
    let all = std::collections::HashSet::from([id.clone(), peer.into(), other, heir, name.clone(), name]);
    assert_eq!(all.len(), 4);
}

#[tokio::test]
async fn b4_5_an_id_in_use_is_an_error_with_handover_too() {
    let router = Router::builder().handover(true).build().unwrap();
    let mut peer = raw_named(&bind(&router).await, "DEALER", b"one").await;
    router.wait_for_peers(1).soon().await.unwrap();
    let error = router.connect_as(crate::kit::unused_tcp(), "one").soon().await.unwrap_err();
    assert_eq!(error, sinew::ConnectError::Refused(Refused::RoutingIdInUse));
    router.send("one", "still here").soon().await.unwrap();
    assert_eq!(peer.recv_msg().await, [b"still here"]);
}

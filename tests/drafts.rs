//! The draft socket types (41, 48, 49, 51, 52): their bytes against a raw peer, and what each promises over every medium.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod support;

use std::time::Duration;

use sinew::{
    Channel, Client, Dish, EventKind, Gather, Group, Peer, Radio, Receiving, RecvError, Refused, Scatter,
    SendErrorKind, Sending, Server, Socket,
};
use support::raw_peer::{COMMAND, RawListener, RawPeer};
use support::{MEDIA, Medium, pass, within};

fn group(name: &str) -> Group {
    name.try_into().unwrap()
}

async fn bind(socket: &impl Socket, medium: Medium) -> String {
    within("our bind", socket.bind(&medium.any())).await.unwrap().to_string()
}

async fn recv<S: Receiving>(socket: &S) -> S::Item {
    within("a message", socket.recv()).await.unwrap()
}

/// A raw peer that is connected to `socket`, of that type.
async fn raw(socket: &impl Socket, kind: &str) -> RawPeer {
    let mut peer = RawPeer::connect(&bind(socket, Medium::Tcp).await).await;
    peer.handshake(kind, 1).await;
    within("the peer", socket.wait_for_peers(1)).await.unwrap();
    peer
}

async fn announces<S: Socket>(partner: &str) {
    let socket = S::default();
    let mut peer = RawPeer::connect(&bind(&socket, Medium::Tcp).await).await;
    let properties = peer.handshake(partner, 1).await;
    assert_eq!(properties.0, [("Socket-Type".to_owned(), S::TYPE.name().as_bytes().to_vec())]);
}

#[tokio::test]
async fn each_type_announces_itself_and_nothing_else() {
    announces::<Client>("SERVER").await;
    announces::<Server>("CLIENT").await;
    announces::<Radio>("DISH").await;
    announces::<Dish>("RADIO").await;
    announces::<Scatter>("GATHER").await;
    announces::<Gather>("SCATTER").await;
    announces::<Channel>("CHANNEL").await;
    announces::<Peer>("PEER").await;
}

/// What comes in several frames is dropped and counted, and the connection stays.
async fn takes_single_frames<S: Receiving>(partner: &str) {
    let socket = S::default();
    let mut peer = raw(&socket, partner).await;
    peer.send_msg(&[b"a", b"b"]).await;
    peer.send_msg(&[b"", b"", b"c"]).await;
    peer.send_msg(&[b"after"]).await;
    recv(&socket).await;
    assert!(matches!(socket.try_recv(), Err(RecvError::Empty)));
    assert_eq!((socket.stats().received, socket.stats().dropped.unexpected), (3, 2));
}

#[tokio::test]
async fn messages_of_several_frames_are_skipped_and_counted() {
    takes_single_frames::<Client>("SERVER").await;
    takes_single_frames::<Server>("CLIENT").await;
    takes_single_frames::<Gather>("SCATTER").await;
    takes_single_frames::<Channel>("CHANNEL").await;
    takes_single_frames::<Peer>("PEER").await;
}

/// Sent as it is, without an envelope.
async fn sends_plain_frames<S: Sending<Item = sinew::Frame>>(partner: &str) {
    let socket = S::default();
    let mut peer = raw(&socket, partner).await;
    within("room", socket.send("task")).await.unwrap();
    within("room", socket.send("")).await.unwrap();
    assert_eq!(peer.recv_raw(8).await, b"\x00\x04task\x00\x00");
}

#[tokio::test]
async fn frames_travel_as_they_are() {
    sends_plain_frames::<Client>("SERVER").await;
    sends_plain_frames::<Scatter>("GATHER").await;
    sends_plain_frames::<Channel>("CHANNEL").await;
}

#[tokio::test]
async fn a_server_answers_the_client_that_asked() {
    for medium in MEDIA {
        let server = Server::new();
        let endpoint = bind(&server, medium).await;
        let clients = [Client::new(), Client::new()];
        for (number, client) in clients.iter().enumerate() {
            client.connect(&endpoint).await.unwrap();
            client.send(number.to_string()).await.unwrap();
        }
        for _ in &clients {
            let (peer, frame) = recv(&server).await;
            within("room", server.send(peer, frame)).await.unwrap();
        }
        for (number, client) in clients.iter().enumerate() {
            assert_eq!(recv(client).await, number.to_string());
        }
    }
}

#[tokio::test]
async fn who_has_left_or_never_was_is_unroutable_and_who_is_full_is_waited_for() {
    let server = Server::builder().send_hwm(1).build().unwrap();
    let error = server.try_send(sinew::PeerId::default(), "nobody").unwrap_err();
    assert_eq!((error.kind(), error.message()), (SendErrorKind::Unroutable, &"nobody".into()));
    let endpoint = bind(&server, Medium::Inproc).await;
    let client = Client::builder().recv_hwm(1).build().unwrap();
    client.connect(&endpoint).await.unwrap();
    client.send("here").await.unwrap();
    let (peer, _) = recv(&server).await;
    while server.try_send(peer, "x").is_ok() {}
    assert_eq!(server.try_send(peer, "x").unwrap_err().kind(), SendErrorKind::Full);
    let mut waiting = Box::pin(server.send(peer, "last"));
    assert!(futures::poll!(&mut waiting).is_pending());
    within("the end of the client", client.close()).await;
    let error = within("an answer", waiting).await.unwrap_err();
    assert_eq!(error.kind(), SendErrorKind::Unroutable);
}

#[tokio::test]
async fn a_peer_names_its_like_before_it_is_there_and_the_name_outlives_the_connection() {
    let listener = RawListener::bind().await;
    let peer = Peer::builder().immediate(true).reconnect_interval(Duration::from_millis(1)).build().unwrap();
    let mut monitor = peer.monitor();
    let id = peer.connect_peer(&listener.endpoint()).await.unwrap();
    peer.send(id, "early").await.unwrap();
    for expected in ["early", "again"] {
        let mut other = listener.accept().await;
        other.handshake("PEER", 1).await;
        assert_eq!(other.recv_msg().await, [expected.as_bytes()]);
        other.send_msg(&[b"yes"]).await;
        assert_eq!(recv(&peer).await, (id, "yes".into()));
        drop(other);
        let lost =
            async { while !matches!(monitor.recv().await.unwrap().kind, EventKind::Disconnected(_)) {} };
        within("the end of the connection", lost).await;
        within("room", peer.send(id, "again")).await.unwrap();
    }
}

#[tokio::test]
async fn peers_talk_over_every_medium() {
    for medium in MEDIA {
        let (a, b) = (Peer::new(), Peer::new());
        let to_a = b.connect_peer(&bind(&a, medium).await).await.unwrap();
        b.send(to_a, "there").await.unwrap();
        let (to_b, frame) = recv(&a).await;
        assert_eq!(frame, "there");
        a.send(to_b, "and back").await.unwrap();
        assert_eq!(recv(&b).await, (to_a, "and back".into()));
    }
}

#[tokio::test]
async fn a_channel_has_one_peer() {
    for medium in MEDIA {
        let (a, b) = (Channel::new(), Channel::new());
        let endpoint = bind(&a, medium).await;
        b.connect(&endpoint).await.unwrap();
        b.send("there").await.unwrap();
        assert_eq!(recv(&a).await, "there");
        assert_eq!(
            b.connect(&endpoint).await,
            Err(sinew::ConnectError::Refused(Refused::PairTaken)),
            "{medium:?}"
        );
    }
}

#[tokio::test]
async fn scatter_hands_each_frame_to_one_gather() {
    for medium in MEDIA {
        let scatter = Scatter::new();
        let endpoint = bind(&scatter, medium).await;
        let gathers = [Gather::new(), Gather::new()];
        for gather in &gathers {
            gather.connect(&endpoint).await.unwrap();
        }
        within("both", scatter.wait_for_peers(2)).await.unwrap();
        scatter.send("one").await.unwrap();
        scatter.send("two").await.unwrap();
        let mut got = [recv(&gathers[0]).await, recv(&gathers[1]).await];
        got.sort();
        assert_eq!(got, ["one", "two"]);
    }
}

#[tokio::test]
async fn a_radio_reaches_the_members_of_exactly_that_group() {
    for medium in MEDIA {
        let radio = Radio::new();
        let endpoint = bind(&radio, medium).await;
        let [all, news, newsy] = ["", "news", "newsy"]
            .map(|name| (group(name), Dish::builder().join(group(name)).build().unwrap()));
        for (group, dish) in [&all, &news, &newsy] {
            dish.connect(&endpoint).await.unwrap();
            within("a member", radio.wait_for_members(group, 1)).await.unwrap();
        }
        for (group, _) in [&all, &news, &newsy] {
            radio.send(group, "for you").await.unwrap();
        }
        for (group, dish) in [&all, &news, &newsy] {
            assert_eq!(recv(dish).await, (group.clone(), "for you".into()));
            assert!(matches!(dish.try_recv(), Err(RecvError::Empty)), "{medium:?}");
        }
        assert!(!news.1.join(&news.0) && news.1.leave(&news.0) && !news.1.leave(&news.0));
        while radio.stats().dropped.no_route == 0 {
            radio.send(&news.0, "nobody").await.unwrap();
            tokio::task::yield_now().await;
        }
    }
}

/// More members than get their copies under one hold of the lock.
#[tokio::test]
async fn every_one_of_many_members_gets_every_frame() {
    let radio = Radio::new();
    let endpoint = bind(&radio, Medium::Inproc).await;
    let dishes: Vec<_> = (0..600).map(|_| Dish::builder().join(group("g")).build().unwrap()).collect();
    for dish in &dishes {
        dish.connect(&endpoint).await.unwrap();
    }
    within("all", radio.wait_for_members(group("g"), 600)).await.unwrap();
    for number in 0..3 {
        radio.send(group("g"), number.to_string()).await.unwrap();
    }
    for dish in &dishes {
        for number in 0..3 {
            assert_eq!(dish.try_recv().unwrap(), (group("g"), number.to_string().into()));
        }
    }
}

#[tokio::test]
async fn a_dish_joins_by_commands_and_anew_with_each_connection() {
    let listener = RawListener::bind().await;
    let dish = Dish::builder()
        .join(group("b"))
        .join(group("b"))
        .reconnect_interval(Duration::from_millis(1))
        .build()
        .unwrap();
    dish.connect(&listener.endpoint()).await.unwrap();
    let mut radio = listener.accept().await;
    radio.handshake("RADIO", 1).await;
    assert_eq!(radio.recv_raw(8).await, b"\x04\x06\x04JOINb");
    dish.join(group("new"));
    assert_eq!(radio.recv_raw(10).await, b"\x04\x08\x04JOINnew");
    dish.leave(group("b"));
    assert_eq!(radio.recv_raw(9).await, b"\x04\x07\x05LEAVEb");
    // What is not a group and a frame is dropped, and so is what is for a group that was left.
    for message in [&[&b"new"[..]][..], &[b"new", b"a", b"b"], &[b"b", b"late"], &[b"new", b"right"]] {
        radio.send_msg(message).await;
    }
    assert_eq!(recv(&dish).await, (group("new"), "right".into()));
    assert_eq!(dish.stats().dropped.unexpected, 2);
    drop(radio);
    let mut radio = listener.accept().await;
    radio.handshake("RADIO", 0).await;
    assert_eq!(radio.recv_raw(10).await, b"\x04\x08\x04JOINnew");
}

#[tokio::test]
async fn a_radio_says_nothing_to_a_dish_but_what_is_for_it() {
    pass(Duration::from_millis(1)).await;
    let radio = Radio::builder().heartbeat(Duration::from_secs(5), Duration::from_secs(60)).build().unwrap();
    let mut dish = raw(&radio, "DISH").await;
    dish.send_command("JOIN", b"news").await;
    // Neither of these is a membership.
    dish.send_command("SUBSCRIBE", b"other").await;
    dish.send_msg(&[b"\x01other"]).await;
    dish.settle().await;
    // A PING would come before the answer.
    pass(Duration::from_secs(50)).await;
    dish.settle().await;
    radio.send(group("other"), "no").await.unwrap();
    radio.send(group("news"), "hello").await.unwrap();
    assert_eq!(dish.recv_raw(13).await, b"\x01\x04news\x00\x05hello");
    dish.send_command("LEAVE", b"news").await;
    dish.settle().await;
    radio.send(group("news"), "gone").await.unwrap();
    assert_eq!(radio.stats().dropped.no_route, 2);
}

#[tokio::test]
async fn a_group_that_no_dish_can_join_ends_the_connection() {
    let radio = Radio::new();
    let mut dish = raw(&radio, "DISH").await;
    dish.send_command("JOIN", &[b'x'; 255]).await;
    dish.settle().await;
    dish.send_frame(COMMAND, &[b"\x04JOIN", &[b'x'; 256][..]].concat()).await;
    dish.expect_closed().await;
}

#[tokio::test]
async fn a_radio_that_drops_nothing_waits_for_its_members() {
    let radio = Radio::builder().no_drop(true).send_hwm(1).build().unwrap();
    let dish = Dish::builder().join(group("g")).recv_hwm(1).build().unwrap();
    dish.connect(&bind(&radio, Medium::Inproc).await).await.unwrap();
    within("a member", radio.wait_for_members(group("g"), 1)).await.unwrap();
    while radio.try_send(group("g"), "x").is_ok() {}
    let error = radio.try_send(group("g"), "kept").unwrap_err();
    assert_eq!((error.kind(), error.message()), (SendErrorKind::Full, &"kept".into()));
    recv(&dish).await;
    within("room", radio.send_ready()).await.unwrap();
    assert_eq!(radio.stats().dropped.high_water_mark, 0);
}

//! `recv_ready`, `send_ready` and the sinks: what is said to be ready is, and looking takes nothing away.

use std::time::Duration;

use futures::SinkExt;
use sinew::{
    Dealer, Message, Pull, Push, Receiving, RecvError, Rep, Req, Router, RouterEvent, RoutingId,
    SendErrorKind, Sub,
};

use crate::kit::{Item, MEDIA, Soon, bind, for_each, join, partner, raw, raw_as};

/// What a peer of each type sends so that there is something to receive, and what is received then.
async fn looking_takes_nothing<S: Receiving<Item: Item>>() {
    let socket = S::default();
    let mut peer = raw_as(&socket, partner::<S>(), 1).await;
    let mut ready = Box::pin(socket.recv_ready());
    assert!(futures::poll!(&mut ready).is_pending());
    for number in [b"1", b"2"] {
        peer.send_msg(&[b"", number]).await;
    }
    ready.soon().await.unwrap();
    let mut got = Vec::new();
    while got.len() < 2 {
        socket.recv_ready().soon().await.unwrap();
        socket.recv_ready().soon().await.unwrap();
        got.push(socket.try_recv().unwrap().into_message().last().clone());
        if let Some(reply) = <dyn std::any::Any>::downcast_ref::<Rep>(&socket) {
            // To one that has to reply it would be said at once that it is out of turn.
            socket.recv_ready().soon().await.unwrap();
            assert_eq!(socket.try_recv().map(Item::into_message), Err(RecvError::OutOfTurn));
            reply.send("done").soon().await.unwrap();
        }
    }
    assert_eq!(got, ["1", "2"]);
    let mut ready = Box::pin(socket.recv_ready());
    assert!(futures::poll!(&mut ready).is_pending());
    assert_eq!((socket.stats().received, socket.stats().unread), (2, 0));
    socket.close().soon().await;
    assert_eq!(ready.soon().await, Err(RecvError::Closed));
}
for_each!(looking_takes_nothing: Pull, XSub, Rep, Dealer, Router, Pair, XPub);

#[tokio::test]
async fn a_sub_is_ready_for_what_it_has_subscribed_to_only() {
    let sub = Sub::builder().subscribe("news").build().unwrap();
    let mut peer = raw(&sub).await;
    peer.recv_command().await;
    peer.send_msg(&[b"sports"]).await;
    peer.settle().await;
    let mut ready = Box::pin(sub.recv_ready());
    assert!(futures::poll!(&mut ready).is_pending());
    peer.send_msg(&[b"news: none"]).await;
    ready.soon().await.unwrap();
    assert_eq!(sub.try_recv().unwrap(), "news: none");
}

#[tokio::test]
async fn a_req_is_ready_for_its_reply_and_for_the_news_that_none_will_come() {
    for correlate in [false, true] {
        let req = Req::builder().correlate(correlate).build().unwrap();
        // Nothing was asked: it is said at once.
        req.recv_ready().soon().await.unwrap();
        let mut peer = raw(&req).await;
        req.send("question").soon().await.unwrap();
        let request = peer.recv_msg().await;
        let mut envelope: Vec<&[u8]> = request[..request.len() - 1].iter().map(Vec::as_slice).collect();
        let mut ready = Box::pin(req.recv_ready());
        assert!(futures::poll!(&mut ready).is_pending());
        peer.send_msg(&[b"out of place"]).await;
        envelope.push(b"answer");
        peer.send_msg(&envelope).await;
        ready.soon().await.unwrap();
        req.recv_ready().soon().await.unwrap();
        assert_eq!(req.try_send("early").unwrap_err().kind(), SendErrorKind::OutOfTurn);
        assert_eq!(req.try_recv().unwrap(), "answer");

        req.send("another").soon().await.unwrap();
        peer.recv_msg().await;
        drop(peer);
        req.recv_ready().soon().await.unwrap();
        assert_eq!(req.try_recv(), Err(RecvError::PeerLost));
    }
}

#[tokio::test]
async fn a_router_is_ready_for_news_of_its_peers_and_they_stay() {
    let router = Router::builder().notify(true).build().unwrap();
    let peer = raw(&router).await;
    router.recv_ready().soon().await.unwrap();
    let RouterEvent::Connected(id) = router.try_recv_event().unwrap() else { panic!("it has come first") };
    drop(peer);
    router.recv_ready().soon().await.unwrap();
    assert_eq!(router.try_recv_event().unwrap(), RouterEvent::Disconnected(id));

    // Behind a peer that has nothing more to say, too.
    let mut first = raw(&router).await;
    first.send_msg(&[b"all"]).await;
    assert!(matches!(router.recv_event().soon().await.unwrap(), RouterEvent::Connected(_)));
    assert!(matches!(router.recv_event().soon().await.unwrap(), RouterEvent::Message(..)));
    let _second = raw(&router).await;
    for _ in 0..3 {
        router.recv_ready().soon().await.unwrap();
    }
    assert!(matches!(router.try_recv_event().unwrap(), RouterEvent::Connected(_)));
    let mut ready = Box::pin(router.recv_ready());
    assert!(futures::poll!(&mut ready).is_pending());
    first.send_msg(&[b"more"]).await;
    ready.soon().await.unwrap();
    assert!(matches!(router.try_recv_event().unwrap(), RouterEvent::Message(..)));
}

#[tokio::test]
async fn who_only_looks_keeps_no_message_from_who_receives() {
    for medium in MEDIA {
        let (push, pull) = (Push::new(), Pull::new());
        join(medium, &push, &pull).await;
        let looking = pull.clone();
        let mut ready = Box::pin(looking.recv_ready());
        assert!(futures::poll!(&mut ready).is_pending());
        let mut receiving = Box::pin(pull.recv());
        assert!(futures::poll!(&mut receiving).is_pending());
        push.send("one").soon().await.unwrap();
        assert_eq!(receiving.soon().await.unwrap(), "one");
    }
}

#[tokio::test]
async fn a_router_is_a_sink_of_addressed_messages() {
    let mut router = Router::builder().mandatory(true).send_hwm(1).build().unwrap();
    let endpoint = bind(&router).await;
    let dealer = Dealer::builder().routing_id("d").build().unwrap();
    dealer.connect(&endpoint).await.unwrap();
    router.wait_for_peers(1).soon().await.unwrap();
    let item = |text: &str| -> (RoutingId, Message) { ("d".into(), text.into()) };
    let mut items = futures::stream::iter((0..100).map(|number| Ok(item(&number.to_string()))));
    let sending = async { router.send_all(&mut items).await.unwrap() };
    let receiving = async {
        for number in 0..100 {
            assert_eq!(dealer.recv().await.unwrap(), number.to_string());
        }
    };
    async { tokio::join!(sending, receiving) }.soon().await;
    let error = SinkExt::send(&mut router, ("nobody".into(), "x".into())).soon().await.unwrap_err();
    assert_eq!(error.kind(), SendErrorKind::Unroutable);
}

/// An option set on a builder itself holds, whatever value the builder takes for all of them, and whenever.
#[tokio::test]
async fn options_commute_with_a_value_of_them() {
    let all = sinew::Options::new().send_hwm(7).reconnect(false).linger(Duration::from_secs(1));
    let (before, after) =
        (Push::builder().send_hwm(2).options(&all), Push::builder().options(&all).send_hwm(2));
    for builder in [before, after] {
        let push = builder.build().unwrap();
        let pull = Pull::builder().recv_hwm(1).build().unwrap();
        let endpoint = pull.bind(crate::kit::inproc()).await.unwrap();
        push.connect(&endpoint).await.unwrap();
        assert_eq!((0..10).take_while(|_| push.try_send("x").is_ok()).count(), 3);
    }
    let clashes = Push::builder().handshake_timeout(Duration::ZERO).options(&all).build();
    assert_eq!(clashes.unwrap_err().option(), "handshake_timeout");
}

//! Requests, replies and names across the two libraries: numbered and relaxed requests (B1), envelopes (B2), routing
//! ids, probes and handover (B3.3, B4), queues built of ROUTER and DEALER.

use std::time::Duration;

use sinew::{
    Dealer, DisconnectReason, EventKind, Frame, Message, RecvError, Refused, Rep, Req, RequestError, Router,
    RouterEvent, SendErrorKind, proxy,
};

use super::driver::{Frames, Lib, Over, frames, is_lost, until, within};

fn quick() -> Duration {
    Duration::from_millis(10)
}

fn parts<const N: usize>(parts: [&[u8]; N]) -> Frames {
    parts.map(<[u8]>::to_vec).into()
}

/// B1.2, B1.5, B1.8: each request has a number of four bytes, and only the reply with it counts.
#[tokio::test]
async fn our_correlated_and_relaxed_req_takes_only_the_reply_to_its_last_request() {
    let theirs = Lib::new(zmq::ROUTER);
    let endpoint = theirs.bind("tcp://127.0.0.1:*").await;
    let ours = Req::builder().correlate(true).relaxed(true).build().unwrap();
    ours.connect(&*endpoint).await.unwrap();
    let mut numbers = Vec::new();
    for round in 0..5_u8 {
        ours.send(format!("abandoned {round}")).await.unwrap();
        let old = theirs.recv().await;
        ours.send(format!("wanted {round}")).await.unwrap();
        let new = theirs.recv().await;
        for request in [&old, &new] {
            assert_eq!((request.len(), request[1].len(), request[2].len()), (4, 4, 0), "{request:?}");
            numbers.push(request[1].clone());
        }
        let reply = |to: &Frames, body: &str| vec![to[0].clone(), to[1].clone(), vec![], body.into()];
        theirs.send(reply(&old, "late")).await;
        // No number, no delimiter: neither is its reply. libzmq would hang up; we go on.
        theirs.send(vec![new[0].clone(), vec![], b"unnumbered".to_vec()]).await;
        theirs.send(vec![new[0].clone(), new[1].clone(), b"undelimited".to_vec()]).await;
        theirs.send(reply(&new, "right")).await;
        assert_eq!(within("the reply", ours.recv()).await.unwrap(), "right");
    }
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), 10, "no number twice");
    assert_eq!(ours.stats().dropped.unexpected, 15);
    theirs.close().await;
}

/// B1.4: a reply that comes twice is not that of the next request.
#[tokio::test]
async fn a_second_reply_is_not_the_next_requests() {
    let theirs = Lib::new(zmq::ROUTER);
    let endpoint = theirs.bind("tcp://127.0.0.1:*").await;
    let ours = Req::new();
    ours.connect(&*endpoint).await.unwrap();
    for round in 0..20 {
        ours.send(format!("{round}")).await.unwrap();
        let request = theirs.recv().await;
        assert_eq!(request[2], format!("{round}").into_bytes());
        for reply in ["right", "again", "and again"] {
            theirs.send(vec![request[0].clone(), vec![], format!("{reply} {round}").into()]).await;
        }
        let reply = within("the reply", ours.recv()).await.unwrap();
        assert_eq!(reply, &format!("right {round}"));
        // The others have come before the next request goes.
        let come = async {
            while ours.stats().unread < 2 {
                tokio::task::yield_now().await;
            }
        };
        within("the replies too many", come).await;
    }
    theirs.close().await;
}

/// B1.8 the other way round: our ROUTER sends back every frame up to the empty one.
#[tokio::test]
async fn libzmqs_correlated_and_relaxed_req_gets_the_right_reply_from_ours() {
    let router = Router::new();
    let endpoint = router.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let theirs = Lib::with(zmq::REQ, |socket| {
        socket.set_req_correlate(true)?;
        socket.set_req_relaxed(true)
    });
    theirs.connect(&endpoint).await;
    theirs.send(parts([b"abandoned"])).await;
    theirs.send(parts([b"wanted"])).await;
    let mut requests = Vec::new();
    for body in ["abandoned", "wanted"] {
        let (id, request) = within("a request", router.recv()).await.unwrap();
        assert_eq!((request.frame_count(), request[0].len(), &request[1][..]), (3, 4, &[][..]));
        assert_eq!(request[2], body);
        requests.push((id, request));
    }
    for (id, mut reply) in requests {
        reply.push_back("reply");
        router.send(id, reply).await.unwrap();
    }
    assert_eq!(theirs.recv().await, parts([b"wanted", b"reply"]));
    theirs.close().await;

    let rep = Rep::new();
    let endpoint = rep.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let theirs = Lib::with(zmq::REQ, |socket| {
        socket.set_req_correlate(true)?;
        socket.set_req_relaxed(true)
    });
    theirs.connect(&endpoint).await;
    theirs.send(parts([b"abandoned"])).await;
    theirs.send(parts([b"wanted"])).await;
    for body in ["abandoned", "wanted"] {
        assert_eq!(within("a request", rep.recv()).await.unwrap(), body);
        rep.send(body).await.unwrap();
    }
    assert_eq!(theirs.recv().await, parts([b"wanted"]));
    theirs.close().await;
}

/// B2.1, B2.2: the envelope goes back as it came; a message without one is no request and costs nobody anything.
#[tokio::test]
async fn our_rep_keeps_envelopes_and_skips_what_has_none() {
    let ours = Rep::new();
    let endpoint = ours.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let theirs = Lib::new(zmq::DEALER);
    theirs.connect(&endpoint).await;
    let hop = [b'h'; 255];
    let envelopes = [parts([b""]), parts([b"a", b"b", b""]), parts([&hop, b"", b""])];
    for envelope in envelopes {
        theirs.send(parts([b"no", b"delimiter"])).await;
        theirs.send(parts([b"delimiter last", b""])).await;
        theirs.send(parts([b""])).await;
        let mut request = envelope.clone();
        request.extend(parts([b"request", b"body"]));
        theirs.send(request).await;
        let mut got = within("a request", ours.recv()).await.unwrap();
        // A second empty frame belongs to the body.
        let inner = if envelope.len() == 3 && envelope[1].is_empty() { 1 } else { 0 };
        for _ in 0..inner {
            assert_eq!(got.pop_front().unwrap(), "");
        }
        assert_eq!(got, ["request", "body"]);
        ours.send("reply").await.unwrap();
        let mut reply = envelope;
        reply.truncate(reply.len() - inner);
        reply.push(b"reply".to_vec());
        assert_eq!(theirs.recv().await, reply);
    }
    assert_eq!(ours.stats().dropped.unexpected, 9);
    theirs.close().await;
}

/// B1.9: where libzmq waits for ever, the loss of the peer is an error, and the request can be sent again.
#[tokio::test]
async fn our_req_survives_a_libzmq_rep_that_dies_with_its_request() {
    for over in [Over::Tcp, Over::Ipc] {
        let place = over.place();
        let mut theirs = Lib::new(zmq::REP);
        let endpoint = theirs.bind(&place.endpoint).await;
        let ours = Req::builder().reconnect_interval(quick()).build().unwrap();
        ours.connect(&*endpoint).await.unwrap();
        for round in 0..3 {
            ours.send("dies with you").await.unwrap();
            theirs.recv().await;
            theirs.close().await;
            assert_eq!(within("the loss", ours.recv()).await, Err(RecvError::PeerLost), "round {round}");
            theirs = Lib::new(zmq::REP);
            // It waits for the server to come back.
            ours.send("again").await.unwrap();
            theirs.bind(&endpoint).await;
            assert_eq!(theirs.recv().await, parts([b"again"]));
            theirs.send(parts([b"reply"])).await;
            assert_eq!(within("the reply", ours.recv()).await.unwrap(), "reply");
        }
        theirs.close().await;
    }
}

/// `request` with a timeout leaves the socket ready for the next request.
#[tokio::test]
async fn our_req_goes_on_after_a_timeout() {
    let theirs = Lib::new(zmq::ROUTER);
    let endpoint = theirs.bind("tcp://127.0.0.1:*").await;
    let ours = Req::builder().correlate(true).request_timeout(Duration::from_millis(50)).build().unwrap();
    ours.connect(&*endpoint).await.unwrap();
    let timeout = within("the timeout", ours.request("unanswered")).await;
    assert_eq!(timeout, Err(RequestError::Recv(RecvError::Timeout)));
    let late = theirs.recv().await;
    ours.send("answered").await.unwrap();
    let next = theirs.recv().await;
    for (request, reply) in [(late, "late"), (next, "right")] {
        theirs.send(vec![request[0].clone(), request[1].clone(), vec![], reply.into()]).await;
    }
    assert_eq!(within("the reply", ours.recv()).await.unwrap(), "right");
    theirs.close().await;
}

/// A libzmq REQ that is relaxed gets its replies again from our REP that comes back.
#[tokio::test]
async fn libzmq_req_finds_our_rep_again() {
    let mut ours = Rep::new();
    let endpoint = ours.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let mut theirs = Lib::with(zmq::REQ, |socket| {
        socket.set_req_correlate(true)?;
        socket.set_req_relaxed(true)
    });
    theirs.connect(&endpoint).await;
    for _ in 0..3 {
        theirs.send(parts([b"dies with you"])).await;
        within("a request", ours.recv()).await.unwrap();
        within("our close", ours.close()).await;
        theirs.until(zmq::SocketEvent::DISCONNECTED).await;
        ours = Rep::new();
        theirs.send(parts([b"again"])).await;
        ours.bind(&*endpoint).await.unwrap();
        assert_eq!(within("a request", ours.recv()).await.unwrap(), "again");
        ours.send("reply").await.unwrap();
        assert_eq!(theirs.recv().await, parts([b"reply"]));
    }
    theirs.close().await;
}

/// B4.3: names made up are five bytes, the first zero; all differ.
#[tokio::test]
async fn our_router_names_the_nameless() {
    let ours = Router::builder().mandatory(true).build().unwrap();
    let endpoint = ours.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let dealers: Vec<_> = (0..4).map(|_| Lib::new(zmq::DEALER)).collect();
    let mut names = std::collections::HashSet::new();
    for dealer in &dealers {
        dealer.connect(&endpoint).await;
        dealer.send(parts([b"hello"])).await;
        let (id, _) = within("a message", ours.recv()).await.unwrap();
        assert_eq!((id.as_ref().len(), id.as_ref()[0]), (5, 0));
        ours.send(id.as_ref(), "to you").await.unwrap();
        assert_eq!(dealer.recv().await, parts([b"to you"]));
        names.insert(Frame::from(id));
    }
    assert_eq!(names.len(), 4);
    let error = ours.send("nobody", "hello").await.unwrap_err();
    assert_eq!(error.kind(), SendErrorKind::Unroutable);
}

/// B4.6: the first bearer of a name keeps it, and the newcomer gets it when the first has left.
#[tokio::test]
async fn our_router_keeps_a_name_for_its_first_bearer() {
    let ours = Router::builder().mandatory(true).build().unwrap();
    let mut monitor = ours.monitor();
    let endpoint = ours.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let named = || Lib::with(zmq::DEALER, |socket| socket.set_identity(b"name"));
    let (first, second) = (named(), named());
    first.connect(&endpoint).await;
    first.send(parts([b"from the first"])).await;
    assert_eq!(within("a message", ours.recv()).await.unwrap().1, "from the first");
    second.connect(&endpoint).await;
    let refused = |event: &EventKind| *event == EventKind::Refused(Refused::RoutingIdInUse);
    until(&mut monitor, "the refusal", refused).await;
    ours.send("name", "to the first").await.unwrap();
    assert_eq!(first.recv().await, parts([b"to the first"]));
    first.close().await;
    second.send(parts([b"from the second"])).await;
    assert_eq!(within("a message", ours.recv()).await.unwrap().1, "from the second");
    ours.send("name", "to the second").await.unwrap();
    assert_eq!(second.recv().await, parts([b"to the second"]));
    second.close().await;
}

/// B4.7: with handover the newcomer has the name at once, and the old connection ends.
#[tokio::test]
async fn our_router_hands_a_name_over() {
    let ours = Router::builder().mandatory(true).handover(true).build().unwrap();
    let mut monitor = ours.monitor();
    let endpoint = ours.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let named = || {
        Lib::with(zmq::DEALER, |socket| {
            socket.set_reconnect_ivl(-1)?;
            socket.set_identity(b"name")
        })
    };
    let (mut first, second) = (named(), named());
    first.connect(&endpoint).await;
    first.send(parts([b"from the first"])).await;
    let (old, _) = within("a message", ours.recv()).await.unwrap();
    second.connect(&endpoint).await;
    let closed = |event: &EventKind| *event == EventKind::Disconnected(DisconnectReason::ClosedByUs);
    until(&mut monitor, "the handover", closed).await;
    first.until(zmq::SocketEvent::DISCONNECTED).await;
    ours.send("name", "to the second").await.unwrap();
    assert_eq!(second.recv().await, parts([b"to the second"]));
    // A reply to the first never reaches the second.
    assert_eq!(ours.send(old, "to the first").await.unwrap_err().kind(), SendErrorKind::Unroutable);
    second.close().await;
    first.close().await;
}

#[tokio::test]
async fn libzmq_router_hands_our_name_over() {
    let theirs = Lib::with(zmq::ROUTER, |socket| {
        socket.set_router_mandatory(true)?;
        socket.set_router_handover(true)
    });
    let endpoint = theirs.bind("tcp://127.0.0.1:*").await;
    let named = || Dealer::builder().routing_id("name").build().unwrap();
    let (first, second) = (named(), named());
    first.connect(&*endpoint).await.unwrap();
    first.send("from the first").await.unwrap();
    assert_eq!(theirs.recv().await, parts([b"name", b"from the first"]));
    second.connect(&*endpoint).await.unwrap();
    second.send("from the second").await.unwrap();
    assert_eq!(theirs.recv().await, parts([b"name", b"from the second"]));
    theirs.send(parts([b"name", b"to the second"])).await;
    assert_eq!(within("our recv", second.recv()).await.unwrap(), "to the second");
    // libzmq leaves the connection of the first open, and mute.
    assert_eq!(first.try_recv(), Err(RecvError::Empty));
    theirs.close().await;
}

/// B3.3: a probe tells a ROUTER of a peer that has nothing to say yet.
#[tokio::test]
async fn probes_cross() {
    let theirs = Lib::new(zmq::ROUTER);
    let endpoint = theirs.bind("tcp://127.0.0.1:*").await;
    let ours = Dealer::builder().routing_id("ours").probe_router(true).build().unwrap();
    ours.connect(&*endpoint).await.unwrap();
    assert_eq!(theirs.recv().await, parts([b"ours", b""]));
    theirs.close().await;

    let ours = Router::new();
    let endpoint = ours.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let theirs = Lib::with(zmq::DEALER, |socket| {
        socket.set_identity(b"theirs")?;
        socket.set_probe_router(true)
    });
    theirs.connect(&endpoint).await;
    let (id, probe) = within("the probe", ours.recv()).await.unwrap();
    assert_eq!((id.as_ref(), frames(&probe)), (&b"theirs"[..], parts([b""])));
    theirs.close().await;
}

/// B4.12: a peer that leaves is unroutable at once; the same name back is another connection.
#[tokio::test]
async fn our_router_hears_of_libzmq_dealers_that_come_and_go() {
    let ours = Router::builder().mandatory(true).notify(true).build().unwrap();
    let endpoint = ours.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    for round in 0..3 {
        let theirs = Lib::with(zmq::DEALER, |socket| socket.set_identity(b"name"));
        theirs.connect(&endpoint).await;
        theirs.send(parts([b"hello"])).await;
        let mut events = Vec::new();
        let connected = within("an event", ours.recv_event()).await.unwrap();
        let RouterEvent::Connected(id) = &connected else { panic!("{connected:?}") };
        assert_eq!(id.as_ref(), b"name");
        events.push(within("an event", ours.recv_event()).await.unwrap());
        ours.send(id, "to you").await.unwrap();
        assert_eq!(theirs.recv().await, parts([b"to you"]));
        theirs.close().await;
        events.push(within("an event", ours.recv_event()).await.unwrap());
        let wanted =
            [RouterEvent::Message(id.clone(), "hello".into()), RouterEvent::Disconnected(id.clone())];
        assert_eq!(events, wanted, "round {round}");
        assert_eq!(ours.send(id, "gone").await.unwrap_err().kind(), SendErrorKind::Unroutable);
        assert_eq!(ours.send("name", "gone").await.unwrap_err().kind(), SendErrorKind::Unroutable);
    }
}

/// B4.12 with several threads: what the monitor says of a loss is true when it says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_peer_is_unroutable_when_the_monitor_says_so() {
    let ours = Router::builder().mandatory(true).build().unwrap();
    let mut monitor = ours.monitor();
    let endpoint = ours.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    for round in 0..50 {
        let theirs = Lib::with(zmq::DEALER, |socket| socket.set_identity(b"name"));
        theirs.connect(&endpoint).await;
        theirs.send(parts([b"hello"])).await;
        within("a message", ours.recv()).await.unwrap();
        theirs.close().await;
        until(&mut monitor, "the loss", is_lost).await;
        let sent = ours.try_send("name", "gone").map_err(|error| error.kind());
        assert_eq!(sent, Err(SendErrorKind::Unroutable), "round {round}");
    }
}

/// C6.4: a connecting DEALER and its ROUTER find each other again, by name, whoever is away.
#[tokio::test]
async fn names_survive_reconnects() {
    let mut theirs = Lib::with(zmq::ROUTER, |socket| socket.set_router_mandatory(true));
    let endpoint = theirs.bind("tcp://127.0.0.1:*").await;
    let ours = Dealer::builder().routing_id("ours").reconnect_interval(quick()).build().unwrap();
    let mut monitor = ours.monitor();
    ours.connect(&*endpoint).await.unwrap();
    for round in 0..3 {
        ours.send("hello").await.unwrap();
        assert_eq!(theirs.recv().await, parts([b"ours", b"hello"]), "round {round}");
        theirs.send(parts([b"ours", b"to you"])).await;
        assert_eq!(within("our recv", ours.recv()).await.unwrap(), "to you");
        theirs.close().await;
        until(&mut monitor, "the loss", is_lost).await;
        theirs = Lib::with(zmq::ROUTER, |socket| socket.set_router_mandatory(true));
        theirs.bind(&endpoint).await;
    }
    theirs.close().await;

    let mut ours = Router::builder().mandatory(true).build().unwrap();
    let endpoint = ours.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let mut theirs = Lib::with(zmq::DEALER, |socket| socket.set_identity(b"theirs"));
    theirs.connect(&endpoint).await;
    for round in 0..3 {
        within("a peer", ours.wait_for_peers(1)).await.unwrap();
        ours.send("theirs", "hello").await.unwrap();
        assert_eq!(theirs.recv().await, parts([b"hello"]), "round {round}");
        theirs.send(parts([b"to you"])).await;
        assert_eq!(within("our recv", ours.recv()).await.unwrap().1, "to you");
        within("our close", ours.close()).await;
        theirs.until(zmq::SocketEvent::DISCONNECTED).await;
        ours = Router::builder().mandatory(true).build().unwrap();
        ours.bind(&*endpoint).await.unwrap();
    }
    theirs.close().await;
}

/// A QUEUE of ours between libzmq clients and workers, and one of libzmq's between ours.
#[tokio::test]
async fn queues_between_the_two() {
    const CLIENTS: usize = 4;
    let (frontend, backend) = (Router::new(), Dealer::new());
    let inlet = frontend.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let outlet = backend.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let queue = tokio::spawn(proxy(frontend, backend, None));
    let workers = [Lib::new(zmq::REP), Lib::new(zmq::REP)];
    let clients: Vec<_> = (0..CLIENTS).map(|_| Lib::new(zmq::REQ)).collect();
    for worker in &workers {
        worker.connect(&outlet).await;
    }
    for client in &clients {
        client.connect(&inlet).await;
    }
    let echo = |worker: Lib| async move {
        loop {
            let Some(request) = worker.recv_within(Duration::from_millis(50)).await else { continue };
            worker.send(request).await;
        }
    };
    let [one, two] = workers;
    let ask = async {
        for number in 0..50 {
            for (which, client) in clients.iter().enumerate() {
                client.send(vec![format!("{which}").into(), format!("{number}").into()]).await;
            }
            for (which, client) in clients.iter().enumerate() {
                assert_eq!(
                    client.recv().await,
                    [format!("{which}").into_bytes(), format!("{number}").into()]
                );
            }
        }
    };
    tokio::select! {
        () = ask => {}
        () = echo(one) => {}
        () = echo(two) => {}
    }
    queue.abort();

    let context = zmq::Context::new();
    let (frontend, backend) = (context.socket(zmq::ROUTER).unwrap(), context.socket(zmq::DEALER).unwrap());
    frontend.bind("tcp://127.0.0.1:*").unwrap();
    backend.bind("tcp://127.0.0.1:*").unwrap();
    let inlet = frontend.get_last_endpoint().unwrap().unwrap();
    let outlet = backend.get_last_endpoint().unwrap().unwrap();
    // Ends with its context.
    let queue = std::thread::spawn(move || zmq::proxy(&frontend, &backend));
    {
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..2 {
            let worker = Rep::new();
            worker.connect(&*outlet).await.unwrap();
            workers.spawn(async move {
                loop {
                    let request = worker.recv().await.unwrap();
                    worker.send(request).await.unwrap();
                }
            });
        }
        let mut clients = tokio::task::JoinSet::new();
        for which in 0..CLIENTS {
            let client = Req::new();
            client.connect(&*inlet).await.unwrap();
            clients.spawn(async move {
                for number in 0..50 {
                    let request = Message::from([format!("{which}"), format!("{number}")]);
                    let reply = within("the reply", client.request(request.clone())).await.unwrap();
                    assert_eq!(reply, request);
                }
            });
        }
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
    }
    let mut context = context;
    let ended = tokio::task::spawn_blocking(move || (context.destroy(), queue.join()));
    within("libzmq's proxy", ended).await.unwrap().1.unwrap().unwrap_err();
}

//! B1 and B2: REQ and REP.

use std::time::Duration;

use sinew::{Dealer, DisconnectReason, RecvError, Rep, Req, RequestError, Router, SendErrorKind};

use crate::kit::{MEDIA, Medium, Soon, bind, counted, disconnected, join, make, raw, raw_server};
use crate::support::raw_peer::{COMMAND, MORE, frame_bytes};

#[tokio::test]
async fn b1_1_a_request_on_the_wire_is_a_delimiter_and_the_body() {
    let req = Req::new();
    let mut peer = raw(&req).await;
    req.send(["a", "", "b"]).soon().await.unwrap();
    assert_eq!(peer.recv_msg().await, [&b""[..], b"a", b"", b"b"]);
    peer.send_msg(&[b"", b"x", b"", b"y"]).await;
    assert_eq!(req.recv().soon().await.unwrap(), ["x", "", "y"]);
}

/// Ports the idea of libzmq's `test_req_correlate`.
#[tokio::test]
async fn b1_2_b1_5_a_correlated_reply_repeats_the_number_and_any_other_is_skipped() {
    let req = Req::builder().correlate(true).build().unwrap();
    let mut peer = raw(&req).await;
    let mut last = None;
    for _ in 0..3 {
        req.send("question").soon().await.unwrap();
        let request = peer.recv_msg().await;
        assert_eq!((request[0].len(), &request[1..]), (4, &[b"".to_vec(), b"question".to_vec()][..]));
        let number = u32::from_be_bytes(request[0][..].try_into().unwrap());
        assert!(last.is_none_or(|last: u32| number == last.wrapping_add(1)));
        last = Some(number);
        let wrong = (number ^ 1).to_be_bytes();
        peer.send_msg(&[&wrong, b"", b"wrong number"]).await;
        peer.send_msg(&[b"", b"no number"]).await;
        peer.send_msg(&[&request[0], b"x", b"no delimiter"]).await;
        peer.send_msg(&[&request[0], b"", b"answer"]).await;
        assert_eq!(req.recv().soon().await.unwrap(), "answer");
    }
    assert_eq!(req.stats().dropped.unexpected, 9);
}

/// Ports the idea of libzmq's `test_spec_req`.
#[tokio::test]
async fn b1_3_requests_go_to_the_peers_in_turn() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let req = make::<Req>(&context);
        let endpoint = req.bind(&medium.any()).soon().await.unwrap().to_string();
        let reps: Vec<_> = (0..3).map(|_| make::<Rep>(&context)).collect();
        for (i, rep) in reps.iter().enumerate() {
            rep.connect(&endpoint).soon().await.unwrap();
            req.wait_for_peers(i + 1).soon().await.unwrap();
        }
        for round in 0..3_u8 {
            for rep in &reps {
                req.send(&[round]).soon().await.unwrap();
                assert_eq!(rep.recv().soon().await.unwrap(), &[round], "{medium:?}");
                rep.send("ok").soon().await.unwrap();
                assert_eq!(req.recv().soon().await.unwrap(), "ok");
            }
        }
    }
}

#[tokio::test]
async fn b1_4_a_reply_is_taken_from_the_peer_that_was_asked_only() {
    let req = Req::new();
    let (mut a, mut b) = (raw(&req).await, raw(&req).await);
    req.send("1").soon().await.unwrap();
    a.recv_msg().await;
    b.send_msg(&[b"", b"not asked"]).await;
    b.settle().await;
    a.send_msg(&[b"", b"asked"]).await;
    assert_eq!(req.recv().soon().await.unwrap(), "asked");
    // The same for what was there before the request.
    a.send_msg(&[b"", b"unasked"]).await;
    b.send_msg(&[b"", b"unasked"]).await;
    a.settle().await;
    b.settle().await;
    req.send("2").soon().await.unwrap();
    assert_eq!(b.recv_msg().await[1], b"2");
    b.send_msg(&[b"", b"the answer to 2"]).await;
    assert_eq!(req.recv().soon().await.unwrap(), "the answer to 2");
}

/// Ports the idea of libzmq's `test_invalid_rep`.
#[tokio::test]
async fn b1_5_b1_6_a_malformed_reply_is_skipped_and_the_connection_stays() {
    let req = Req::new();
    let mut peer = raw(&req).await;
    req.send("question").soon().await.unwrap();
    for frames in [&[&b"no delimiter"[..]][..], &[b"x", b"y"], &[b""], &[b"1234", b"", b"a number"]] {
        peer.send_msg(frames).await;
    }
    peer.send_msg(&[b"", b"answer"]).await;
    assert_eq!(req.recv().soon().await.unwrap(), "answer");
    assert_eq!(req.stats().dropped.unexpected, 4);
}

#[tokio::test]
async fn b1_7_b2_5_out_of_turn() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let (req, rep) = (make::<Req>(&context), make::<Rep>(&context));
        join(medium, &rep, &req).await;
        assert_eq!(req.recv().soon().await, Err(RecvError::OutOfTurn));
        assert_eq!(req.try_recv(), Err(RecvError::OutOfTurn));
        assert_eq!(rep.send("x").soon().await.unwrap_err().kind(), SendErrorKind::OutOfTurn);
        assert_eq!(rep.try_recv(), Err(RecvError::Empty));
        req.send("1").soon().await.unwrap();
        let error = req.send("2").soon().await.unwrap_err();
        assert_eq!((error.kind(), error.into_message()), (SendErrorKind::OutOfTurn, "2".into()));
        assert_eq!(req.try_recv(), Err(RecvError::Empty));
        assert_eq!(rep.recv().soon().await.unwrap(), "1");
        assert_eq!(rep.recv().soon().await, Err(RecvError::OutOfTurn));
        rep.send("one").soon().await.unwrap();
        assert_eq!(rep.try_send("two").unwrap_err().kind(), SendErrorKind::OutOfTurn);
        assert_eq!(req.recv().soon().await.unwrap(), "one");
    }
}

/// Ports the idea of libzmq's `test_req_relaxed`.
#[tokio::test]
async fn b1_8_a_relaxed_req_asks_again_and_takes_the_reply_to_the_last_request() {
    let req = Req::builder().relaxed(true).correlate(true).build().unwrap();
    let (mut a, mut b) = (raw(&req).await, raw(&req).await);
    req.send("1").soon().await.unwrap();
    let first = a.recv_msg().await;
    req.send("2").soon().await.unwrap();
    let second = b.recv_msg().await;
    req.send("3").soon().await.unwrap();
    let third = a.recv_msg().await;
    a.send_msg(&[&first[0], b"", b"one"]).await;
    b.send_msg(&[&second[0], b"", b"two"]).await;
    b.settle().await;
    a.send_msg(&[&third[0], b"", b"three"]).await;
    assert_eq!(req.recv().soon().await.unwrap(), "three");
    // Nobody was hung up on.
    assert_eq!(req.stats().peers.len(), 2);
    req.send("4").soon().await.unwrap();
    assert_eq!(b.recv_msg().await[2], b"4");
}

#[tokio::test]
async fn b1_8_requests_of_a_relaxed_req_in_one_batch_reach_a_peer_each() {
    let req = Req::builder().relaxed(true).correlate(true).build().unwrap();
    let (mut a, mut b) = (raw(&req).await, raw(&req).await);
    // Both connections idle, so that the sender writes itself.
    a.settle().await;
    b.settle().await;
    let mut requests = ["1", "2", "3"].map(sinew::Message::from).into();
    req.send_many(&mut requests).soon().await.unwrap();
    assert_eq!(a.recv_msg().await[2], b"1");
    assert_eq!(b.recv_msg().await[2], b"2");
    assert_eq!(a.recv_msg().await[2], b"3");
}

#[tokio::test]
async fn b1_4_what_was_there_before_a_relaxed_request_is_no_reply_to_it() {
    let req = Req::builder().relaxed(true).build().unwrap();
    let mut peer = raw(&req).await;
    req.send("1").soon().await.unwrap();
    peer.recv_msg().await;
    peer.send_msg(&[b"", b"one"]).await;
    peer.settle().await;
    req.send("2").soon().await.unwrap();
    peer.recv_msg().await;
    peer.send_msg(&[b"", b"two"]).await;
    assert_eq!(req.recv().soon().await.unwrap(), "two");
}

#[tokio::test]
async fn b1_9_the_loss_of_the_peer_that_was_asked_is_an_error_and_the_next_is_asked() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let (req, rep) = (make::<Req>(&context), make::<Rep>(&context));
        join(medium, &req, &rep).await;
        req.send("1").soon().await.unwrap();
        rep.recv().soon().await.unwrap();
        drop(rep);
        assert_eq!(req.recv().soon().await, Err(RecvError::PeerLost), "{medium:?}");
        let rep = make::<Rep>(&context);
        rep.connect(&req_endpoint(&req, medium).await).soon().await.unwrap();
        req.send("2").soon().await.unwrap();
        assert_eq!(rep.recv().soon().await.unwrap(), "2");
        rep.send("two").soon().await.unwrap();
        assert_eq!(req.recv().soon().await.unwrap(), "two");
    }
}

async fn req_endpoint(req: &Req, medium: Medium) -> String {
    req.bind(&medium.any()).soon().await.unwrap().to_string()
}

#[tokio::test]
async fn b1_9_a_reply_that_came_before_the_loss_is_still_received() {
    let req = Req::new();
    let mut peer = raw(&req).await;
    req.send("question").soon().await.unwrap();
    peer.recv_msg().await;
    peer.send_msg(&[b"", b"answer"]).await;
    drop(peer);
    counted(&req, |stats| stats.peers.is_empty()).await;
    assert_eq!(req.recv().soon().await.unwrap(), "answer");
    assert_eq!(req.recv().soon().await, Err(RecvError::OutOfTurn));
}

#[tokio::test]
async fn b1_9_a_connecting_req_whose_server_restarts_learns_of_the_loss() {
    let req = Req::new();
    let (listener, mut peer) = raw_server(&req).await;
    req.send("1").soon().await.unwrap();
    peer.recv_msg().await;
    drop(peer);
    assert_eq!(req.recv().soon().await, Err(RecvError::PeerLost));
    req.send("2").soon().await.unwrap();
    let (mut peer, _) = crate::kit::answer(&listener, "REP", 1).await;
    assert_eq!(peer.recv_msg().await[1], b"2");
    peer.send_msg(&[b"", b"two"]).await;
    assert_eq!(req.recv().soon().await.unwrap(), "two");
}

#[tokio::test]
async fn request_is_one_call_with_a_timeout_that_leaves_the_socket_usable() {
    let req = Req::builder().request_timeout(Duration::from_millis(50)).correlate(true).build().unwrap();
    assert_eq!(req.request("nobody").soon().await, Err(RecvError::Timeout.into()));
    let mut peer = raw(&req).await;
    assert_eq!(req.request("1").soon().await, Err(RequestError::Recv(RecvError::Timeout)));
    let late = peer.recv_msg().await;
    let exchange = async {
        let request = peer.recv_msg().await;
        peer.send_msg(&[&late[0], b"", b"late"]).await;
        peer.send_msg(&[&request[0], b"", b"in time"]).await;
    };
    let (answer, ()) = tokio::join!(req.request("2").soon(), exchange);
    assert_eq!(answer.unwrap(), "in time");
}

#[tokio::test]
async fn a_cancelled_request_leaves_the_socket_usable() {
    let req = Req::new();
    let mut peer = raw(&req).await;
    for i in 0..5_u8 {
        let mut asking = Box::pin(req.request(vec![i]));
        assert!(futures::poll!(&mut asking).is_pending());
        peer.recv_msg().await;
        drop(asking);
        // Its reply comes before the next request, and is skipped.
        peer.send_msg(&[b"", b"late"]).await;
        peer.settle().await;
    }
    req.send("last").soon().await.unwrap();
    assert_eq!(peer.recv_msg().await[1], b"last");
    peer.send_msg(&[b"", b"answer"]).await;
    assert_eq!(req.recv().soon().await.unwrap(), "answer");
}

/// Ports the idea of libzmq's `test_spec_rep`: envelopes of 0 to n addresses are hidden, and returned.
#[tokio::test]
async fn b2_1_the_envelope_is_kept_for_the_reply() {
    let rep = Rep::new();
    let mut peer = raw(&rep).await;
    for envelope in [&[&b""[..]][..], &[b"a", b""], &[b"a", b"b", b"c", b""]] {
        peer.send_msg(&[envelope, &[b"body", b"", b"more"]].concat()).await;
        assert_eq!(rep.recv().soon().await.unwrap(), ["body", "", "more"]);
        rep.send(["reply", ""]).soon().await.unwrap();
        assert_eq!(peer.recv_msg().await, [envelope, &[b"reply", b""]].concat());
    }
}

#[tokio::test]
async fn b2_2_a_message_without_an_envelope_or_a_body_is_discarded() {
    let rep = Rep::new();
    let mut peer = raw(&rep).await;
    for frames in [&[&b"x"[..]][..], &[b"x", b"y"], &[b""], &[b"x", b""]] {
        peer.send_msg(frames).await;
    }
    peer.send_msg(&[b"", b"good"]).await;
    assert_eq!(rep.recv().soon().await.unwrap(), "good");
    assert_eq!(rep.stats().dropped.unexpected, 4);
    rep.send("reply").soon().await.unwrap();
    assert_eq!(peer.recv_msg().await, [&b""[..], b"reply"]);
}

#[tokio::test]
async fn b2_3_b2_4_a_reply_to_a_peer_that_left_is_dropped_whoever_has_its_name_now() {
    let rep = Rep::new();
    let endpoint = bind(&rep).await;
    let mut peer = crate::kit::raw_named(&endpoint, "REQ", b"name").await;
    peer.send_msg(&[b"", b"1"]).await;
    assert_eq!(rep.recv().soon().await.unwrap(), "1");
    drop(peer);
    counted(&rep, |stats| stats.peers.is_empty()).await;
    let mut namesake = crate::kit::raw_named(&endpoint, "REQ", b"name").await;
    rep.wait_for_peers(1).soon().await.unwrap();
    rep.send("one").soon().await.unwrap();
    assert_eq!(rep.stats().dropped.no_route, 1);
    namesake.send_msg(&[b"", b"2"]).await;
    assert_eq!(rep.recv().soon().await.unwrap(), "2");
    rep.send("two").soon().await.unwrap();
    assert_eq!(namesake.recv_msg().await, [&b""[..], b"two"]);
}

#[tokio::test]
async fn b2_3_a_reply_to_a_peer_that_does_not_read_is_dropped_and_sending_never_waits() {
    let rep = Rep::builder().send_hwm(1).send_buffer(4096).build().unwrap();
    let mut peer = raw(&rep).await;
    let body = vec![0; 8_000_000];
    for _ in 0..5 {
        peer.send_msg(&[b"", b"x"]).await;
        rep.recv().soon().await.unwrap();
        rep.try_send(body.clone()).unwrap();
    }
    assert_eq!(rep.stats().dropped.high_water_mark, 4);
}

#[tokio::test]
async fn b2_rep_takes_its_peers_in_turn() {
    let rep = Rep::new();
    let mut peers = [raw(&rep).await, raw(&rep).await];
    for (i, peer) in (0_u8..).zip(&mut peers) {
        for _ in 0..3 {
            peer.send_msg(&[b"", &[i]]).await;
        }
    }
    counted(&rep, |stats| stats.unread == 6).await;
    let mut order = Vec::new();
    for _ in 0..6 {
        order.push(rep.recv().soon().await.unwrap()[0][0]);
        rep.send("ok").soon().await.unwrap();
    }
    assert!(order.windows(2).all(|pair| pair[0] != pair[1]), "{order:?}");
}

#[tokio::test]
async fn b3_1_a_dealer_adds_and_removes_nothing() {
    let dealer = Dealer::new();
    let mut peer = raw(&dealer).await;
    dealer.send(["", "x"]).soon().await.unwrap();
    assert_eq!(peer.recv_msg().await, [&b""[..], b"x"]);
    for _ in 0..3 {
        dealer.send("again").soon().await.unwrap();
    }
    peer.send_msg(&[b"x", b"", b"y"]).await;
    assert_eq!(dealer.recv().soon().await.unwrap(), ["x", "", "y"]);
}

/// Ports the idea of libzmq's `test_probe_router`.
#[tokio::test]
async fn b3_3_b4_15_a_probe_is_the_first_message_of_every_connection() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let router = make::<Router>(&context);
        let endpoint = router.bind(&medium.any()).soon().await.unwrap().to_string();
        let dealer = Dealer::builder().context(&context).probe_router(true).build().unwrap();
        dealer.connect(&endpoint).soon().await.unwrap();
        dealer.send("second").soon().await.unwrap();
        let (id, probe) = router.recv().soon().await.unwrap();
        assert_eq!(probe, "", "{medium:?}");
        assert_eq!((id.as_ref().len(), id.as_ref()[0]), (5, 0));
        assert_eq!(router.recv().soon().await.unwrap(), (id.clone(), "second".into()));
        router.send(&id, "hello").soon().await.unwrap();
        assert_eq!(dealer.recv().soon().await.unwrap(), "hello");
        let prober = Router::builder().context(&context).probe_router(true).routing_id("P").build().unwrap();
        prober.connect(&endpoint).soon().await.unwrap();
        let (id, probe) = router.recv().soon().await.unwrap();
        assert_eq!((id.as_ref(), probe), (&b"P"[..], "".into()));
    }
}

#[tokio::test]
async fn b3_3_a_probe_opens_each_new_connection() {
    let dealer = Dealer::builder().probe_router(true).build().unwrap();
    let (listener, mut peer) = raw_server(&dealer).await;
    assert_eq!(peer.recv_msg().await, [b""]);
    drop(peer);
    let (mut peer, _) = crate::kit::answer(&listener, "ROUTER", 1).await;
    assert_eq!(peer.recv_msg().await, [b""]);
    dealer.send("x").soon().await.unwrap();
    assert_eq!(peer.recv_msg().await, [b"x"]);
}

/// Ports the idea of libzmq's `test_reqrep_tcp`: one REQ, many connections, some to the same server.
#[tokio::test]
async fn b1_3_a_req_connected_to_several_reps_is_answered_by_each() {
    let req = Req::new();
    let mut reps = Vec::new();
    for _ in 0..3 {
        let rep = Rep::new();
        req.connect(bind(&rep).await).await.unwrap();
        reps.push(rep);
    }
    req.wait_for_peers(3).soon().await.unwrap();
    for rep in &reps {
        req.send("q").soon().await.unwrap();
        assert_eq!(rep.recv().soon().await.unwrap(), "q");
        rep.send("a").soon().await.unwrap();
        assert_eq!(req.recv().soon().await.unwrap(), "a");
    }
}

#[tokio::test]
async fn a3_5_commands_between_the_frames_of_a_reply_leave_the_state_alone() {
    let req = Req::new();
    let mut peer = raw(&req).await;
    req.send("q").soon().await.unwrap();
    peer.recv_msg().await;
    peer.send_frame(MORE, b"").await;
    peer.settle().await;
    peer.send_frame(0, b"a").await;
    assert_eq!(req.recv().soon().await.unwrap(), "a");
}

#[tokio::test]
async fn b2_6_an_envelope_is_bounded_by_the_parts_of_a_message() {
    let rep = Rep::builder().max_parts(10).build().unwrap();
    let mut monitor = rep.monitor();
    let mut peer = raw(&rep).await;
    for _ in 0..11 {
        peer.send_frame(MORE, b"x").await;
    }
    disconnected(&mut monitor).await;
}

/// In lockstep the waker of the connection's readiness reads; what is no message is for the task, whether a receiver
/// waits or not, and is polled again or not (A9.1).
#[tokio::test]
async fn commands_and_the_end_reach_the_connection_past_a_receiver_that_waits() {
    let rep = Rep::new();
    let mut monitor = rep.monitor();
    let mut peer = raw(&rep).await;
    let ping = frame_bytes(COMMAND, b"\x04PING\0\0x");
    let request = [frame_bytes(MORE, b""), frame_bytes(0, b"request")].concat();
    let pong = ("PONG".to_owned(), b"x".to_vec());

    {
        let mut waiting = std::pin::pin!(rep.recv());
        assert!(futures::poll!(&mut waiting).is_pending());
        peer.send_raw(&ping).await;
        assert_eq!(peer.recv_command().await, pong, "not polled");
        peer.send_raw(&[&ping[..], &request].concat()).await;
        assert_eq!(waiting.soon().await.unwrap(), "request");
    }
    assert_eq!(peer.recv_command().await, pong, "in one read with a request");
    rep.send("reply").soon().await.unwrap();
    assert_eq!(peer.recv_msg().await, [&b""[..], b"reply"]);

    let mut waiting = std::pin::pin!(rep.recv());
    assert!(futures::poll!(&mut waiting).is_pending());
    peer.finish().await;
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("there is no request"),
        reason = disconnected(&mut monitor) => assert_eq!(reason, DisconnectReason::ClosedByPeer),
    }
}

#[tokio::test]
async fn b1_8_a_reply_goes_to_whom_it_was_asked_by_whether_or_not_the_abandoned_request_is_cancelled() {
    for cancelled in [false, true] {
        let req = Req::builder().relaxed(true).correlate(true).build().unwrap();
        let (_listener, mut peer) = raw_server(&req).await;
        let mut first = Box::pin(req.request("first"));
        assert!(futures::poll!(&mut first).is_pending());
        peer.recv_msg().await;
        let mut second = Box::pin(req.request("second"));
        assert!(futures::poll!(&mut second).is_pending());
        let number = peer.recv_msg().await.swap_remove(0);
        let first = if cancelled { None } else { Some(first) };
        peer.send_msg(&[&number, b"", b"to the second"]).await;
        if let Some(first) = first {
            assert_eq!(first.soon().await, Err(RequestError::Recv(RecvError::OutOfTurn)));
        }
        assert_eq!(second.soon().await.unwrap(), "to the second");
    }
}

//! G1: the devices.

use sinew::{Capture, Dealer, Pair, Pub, Pull, Push, Rep, Req, Router, Sub, XPub, XSub, proxy};

use crate::kit::{MEDIA, Soon, bind, counted, inproc, make, raw};

/// Ports the ideas of libzmq's `test_reqrep_device` and `test_proxy`.
#[tokio::test]
async fn g1_6_queue_many_clients_and_workers() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let (front, back) = (make::<Router>(&context), make::<Dealer>(&context));
        let inlet = front.bind(&medium.any()).soon().await.unwrap().to_string();
        let outlet = back.bind(&medium.any()).soon().await.unwrap().to_string();
        let device = tokio::spawn(proxy(front, back, None));
        for _ in 0..3 {
            let rep = make::<Rep>(&context);
            rep.connect(&outlet).soon().await.unwrap();
            tokio::spawn(async move {
                while let Ok(mut request) = rep.recv().await {
                    request.push_back("answered");
                    rep.send(request).await.unwrap();
                }
            });
        }
        let mut clients = Vec::new();
        for client in 0..5_u8 {
            let req = make::<Req>(&context);
            req.connect(&inlet).soon().await.unwrap();
            clients.push(tokio::spawn(async move {
                for i in 0..50_u8 {
                    let reply = req.request([&[client], &[i]]).await.unwrap();
                    assert_eq!(reply, [&[client][..], &[i], b"answered"]);
                }
            }));
        }
        for client in clients {
            client.soon().await.unwrap();
        }
        device.abort();
    }
}

/// Ports the idea of libzmq's `test_sub_forward`.
#[tokio::test]
async fn g1_6_forwarder_subscriptions_flow_backwards() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let (front, back) = (make::<XSub>(&context), make::<XPub>(&context));
        let inlet = front.bind(&medium.any()).soon().await.unwrap().to_string();
        let outlet = back.bind(&medium.any()).soon().await.unwrap().to_string();
        let device = tokio::spawn(proxy(front, back, None));
        let publisher = make::<Pub>(&context);
        publisher.connect(&inlet).soon().await.unwrap();
        let sub = Sub::builder().context(&context).subscribe("A").build().unwrap();
        sub.connect(&outlet).soon().await.unwrap();
        publisher.wait_for_subscribers(1).soon().await.unwrap();
        publisher.send("B").soon().await.unwrap();
        publisher.send(["A", "", "x"]).soon().await.unwrap();
        assert_eq!(sub.recv().soon().await.unwrap(), ["A", "", "x"], "{medium:?}");
        drop(sub);
        counted(&publisher, |_| publisher.topic_count() == 0).await;
        device.abort();
    }
}

#[tokio::test]
async fn g1_6_streamer_keeps_order_and_parts() {
    let (front, back) = (Pull::new(), Push::new());
    let (inlet, outlet) = (bind(&front).await, bind(&back).await);
    let device = tokio::spawn(proxy(front, back, None));
    let (push, pull) = (Push::new(), Pull::new());
    push.connect(&inlet[..]).await.unwrap();
    pull.connect(&outlet[..]).await.unwrap();
    for i in 0..500_u32 {
        push.send([&i.to_be_bytes()[..], b"", b"x"]).soon().await.unwrap();
    }
    for i in 0..500_u32 {
        assert_eq!(pull.recv().soon().await.unwrap(), [&i.to_be_bytes()[..], b"", b"x"]);
    }
    device.abort();
}

/// Ports the idea of libzmq's `test_proxy_terminate`: SUB to PUSH with nobody to pull.
#[tokio::test]
async fn g1_2_a_stuck_sink_holds_its_source_up_and_the_proxy_still_ends() {
    let context = sinew::Context::new();
    let (front, back) =
        (Pull::builder().context(&context).recv_hwm(2).build().unwrap(), make::<Push>(&context));
    let name = inproc();
    front.bind(&name[..]).await.unwrap();
    let device = tokio::spawn(proxy(front.clone(), back.clone(), None));
    let push = Push::builder().context(&context).send_hwm(2).build().unwrap();
    push.connect(&name[..]).await.unwrap();
    let mut accepted = 0;
    while push.try_send("x").is_ok() {
        accepted += 1;
        tokio::task::yield_now().await;
        assert!(accepted < 100, "there is no end to what it takes");
    }
    assert_eq!(accepted, 4);
    front.close().soon().await;
    device.soon().await.unwrap();
}

#[tokio::test]
async fn g1_2_a_stuck_direction_does_not_stop_the_other() {
    let (front, back) = (
        Dealer::builder().recv_hwm(1).send_hwm(1).build().unwrap(),
        Dealer::builder().recv_hwm(1).send_hwm(1).send_buffer(4096).build().unwrap(),
    );
    let mut client = raw(&front).await;
    let mut server = raw(&back).await;
    let device = tokio::spawn(proxy(front.clone(), back.clone(), None));
    // The server does not read: this direction is stuck soon.
    for _ in 0..5 {
        client.send_msg(&[&vec![0; 1_000_000]]).await;
        if back.stats().high_water_hits > 0 {
            break;
        }
    }
    for i in 0..100_u8 {
        server.send_msg(&[&[i]]).await;
        assert_eq!(client.recv_msg().await, [[i]]);
    }
    device.abort();
}

#[tokio::test]
async fn g1_4_the_capture_gets_a_copy_of_both_directions() {
    let (front, back, capture) = (Dealer::new(), Dealer::new(), Push::new());
    let mut client = raw(&front).await;
    let mut server = raw(&back).await;
    let sink = Pull::new();
    sink.connect(bind(&capture).await).await.unwrap();
    capture.wait_for_peers(1).soon().await.unwrap();
    let device = tokio::spawn(proxy(front, back, Some(Capture::from(capture))));
    client.send_msg(&[b"there", b"2"]).await;
    assert_eq!(server.recv_msg().await, [&b"there"[..], b"2"]);
    assert_eq!(sink.recv().soon().await.unwrap(), ["there", "2"]);
    server.send_msg(&[b"back"]).await;
    assert_eq!(client.recv_msg().await, [b"back"]);
    assert_eq!(sink.recv().soon().await.unwrap(), "back");
    device.abort();
}

#[tokio::test]
async fn g1_4_a_capture_that_is_full_or_alone_holds_nothing_up() {
    for capture in [Capture::from(Push::new()), Capture::from(Pair::new()), Capture::from(Pub::new())] {
        let (front, back) = (Pull::new(), Push::new());
        let mut client = raw(&front).await;
        let mut server = raw(&back).await;
        let device = tokio::spawn(proxy(front, back, Some(capture)));
        for i in 0..10_u8 {
            client.send_msg(&[&[i]]).await;
            assert_eq!(server.recv_msg().await, [[i]]);
        }
        device.abort();
    }
}

/// Ports the idea of libzmq's `test_proxy_single_socket`.
#[tokio::test]
async fn g1_5_one_rep_as_both_ends_echoes() {
    let rep = Rep::new();
    let req = Req::new();
    req.connect(bind(&rep).await).await.unwrap();
    let device = tokio::spawn(proxy(rep.clone(), rep, None));
    for i in 0..50_u8 {
        assert_eq!(req.request(vec![i]).soon().await.unwrap(), &[i]);
    }
    assert!(!device.is_finished());
    device.abort();
}

#[tokio::test]
async fn a_rep_in_front_of_a_dealer_takes_one_request_after_the_other() {
    let (front, back) = (Rep::new(), Dealer::new());
    let mut clients = [raw(&front).await, raw(&front).await];
    let mut server = raw(&back).await;
    let device = tokio::spawn(proxy(front, back, None));
    for client in &mut clients {
        client.send_msg(&[b"", b"question"]).await;
    }
    for client in 0..2_u8 {
        assert_eq!(server.recv_msg().await, [b"question"]);
        server.send_msg(&[&[client]]).await;
    }
    for client in &mut clients {
        assert_eq!(client.recv_msg().await[0], b"");
    }
    assert!(!device.is_finished());
    device.abort();
}

/// Cancelled at any moment and started again, the proxy has lost nothing, doubled nothing, and kept the order.
#[tokio::test]
async fn cancelling_loses_nothing() {
    for medium in MEDIA {
        let context = sinew::Context::new();
        let front = Pull::builder().context(&context).recv_hwm(3).build().unwrap();
        let back = Push::builder().context(&context).send_hwm(3).build().unwrap();
        let inlet = front.bind(&medium.any()).soon().await.unwrap().to_string();
        let outlet = back.bind(&medium.any()).soon().await.unwrap().to_string();
        let (push, pull) =
            (make::<Push>(&context), Pull::builder().context(&context).recv_hwm(3).build().unwrap());
        push.connect(&inlet).soon().await.unwrap();
        pull.connect(&outlet).soon().await.unwrap();
        let sender = tokio::spawn(async move {
            for i in 0..2000_u32 {
                push.send(&i.to_be_bytes()).await.unwrap();
            }
            push
        });
        let devices = tokio::spawn(async move {
            for turns in 0_u64.. {
                let mut device = Box::pin(proxy(front.clone(), back.clone(), None));
                for _ in 0..turns % 7 {
                    assert!(futures::poll!(&mut device).is_pending());
                    tokio::task::yield_now().await;
                }
            }
        });
        for i in 0..2000_u32 {
            assert_eq!(pull.recv().soon().await.unwrap(), &i.to_be_bytes(), "{medium:?}");
        }
        sender.soon().await.unwrap();
        devices.abort();
    }
}

#[tokio::test]
async fn a_proxy_ends_when_either_socket_is_closed() {
    let (front, back) = (XSub::new(), XPub::new());
    let device = tokio::spawn(proxy(front.clone(), back.clone(), None));
    tokio::task::yield_now().await;
    back.close().soon().await;
    device.soon().await.unwrap();
    let (front, back) = (Router::new(), Dealer::new());
    let device = tokio::spawn(proxy(front.clone(), back, None));
    front.close().soon().await;
    device.soon().await.unwrap();
}

#[tokio::test]
async fn g1_a_forwarder_lets_what_it_passes_on_be_written() {
    let (front, back) = (XSub::new(), XPub::new());
    let outlet = bind(&back).await;
    let mut publisher = raw(&front).await;
    let counts = back.clone();
    let device = tokio::spawn(proxy(front, back, None));
    let sub = Sub::builder().subscribe("").recv_hwm(0).build().unwrap();
    sub.connect(outlet).soon().await.unwrap();
    assert_eq!(publisher.recv_command().await.0, "SUBSCRIBE");
    publisher.send_raw(&b"\0\x01x".repeat(1900)).await;
    counted(&counts, |stats| stats.sent + stats.dropped.high_water_mark == 1900).await;
    assert_eq!(counts.stats().dropped.high_water_mark, 0);
    device.abort();
}

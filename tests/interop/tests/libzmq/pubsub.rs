//! Publish and subscribe across the two libraries: topics at the edges of the short form (A7.7), subscriptions that
//! count (A7.3, A7.4), are told anew after a reconnect (A7.5), are messages where a proxy passes them on (A7.2), and
//! what an XPUB hears of them (B5.7–B5.10).

use std::time::Duration;

use sinew::{Message, Pub, Sub, Verbosity, XPub, XSub, proxy};

use super::driver::{Lib, Over, frames, is_lost, until, within};

const NAMES: [&str; 2] = ["one", "two"];

async fn recv(sub: &Sub) -> Vec<Vec<u8>> {
    frames(&within("our recv", sub.recv()).await.unwrap())
}

/// Publishes until something has come through: a libzmq PUB does not say that it has been subscribed to.
async fn publish_until_heard(
    publisher: &Lib,
    first: &'static str,
    heard: impl Future<Output = Vec<Vec<u8>>>,
) {
    let mut pause = tokio::time::interval(Duration::from_millis(1));
    let publishing = async {
        loop {
            publisher.send(vec![first.into()]).await;
            pause.tick().await;
        }
    };
    let heard = tokio::select! {
        heard = heard => heard,
        never = publishing => never,
    };
    assert_eq!(heard, [first.as_bytes()]);
}

/// Not longer: libzmq's trie takes a stack frame for each byte.
fn topics() -> Vec<Vec<u8>> {
    [1, 243, 244, 245, 246, 247, 253, 254, 255, 256, 257, 1000, 5000].map(|length| vec![b't'; length]).into()
}

#[tokio::test]
async fn a7_7_our_topics_of_any_length_reach_libzmq_and_are_taken_back() {
    let theirs = Lib::with(zmq::XPUB, |socket| socket.set_xpub_verbose(true));
    let endpoint = theirs.bind("tcp://127.0.0.1:*").await;
    let ours = Sub::new();
    ours.connect(&*endpoint).await.unwrap();
    within("a peer", ours.wait_for_peers(1)).await.unwrap();
    for topic in topics() {
        let (on, off) = ([&[1], &*topic].concat(), [&[0], &*topic].concat());
        ours.subscribe(&*topic);
        assert_eq!(theirs.recv().await, std::slice::from_ref(&on));
        // A7.4: the second counts, and its end is not the topic's.
        ours.subscribe(&*topic);
        assert_eq!(theirs.recv().await, [on]);
        ours.unsubscribe(&*topic);
        theirs.send(vec![[&*topic, b"!"].concat(), b"body".to_vec()]).await;
        assert_eq!(recv(&ours).await, [[&*topic, b"!"].concat(), b"body".to_vec()]);
        ours.unsubscribe(&*topic);
        assert_eq!(theirs.recv().await, [off]);
    }
    ours.close().await;
    theirs.close().await;
}

#[tokio::test]
async fn a7_7_libzmq_topics_of_any_length_reach_us_and_are_taken_back() {
    let ours = XPub::builder().verbosity(Verbosity::Everything).max_topic_len(5000).build().unwrap();
    let endpoint = ours.bind("tcp://127.0.0.1:0").await.unwrap();
    let theirs = Lib::new(zmq::SUB);
    theirs.connect(&endpoint.to_string()).await;
    // libzmq before 4.3.5 breaks its own stream with a topic of which only the name of the command makes a long frame.
    for topic in topics().into_iter().filter(|topic| !(246..256).contains(&topic.len())) {
        let (on, off) = ([&[1], &*topic].concat(), [&[0], &*topic].concat());
        let wanted = topic.clone();
        // X2: libzmq's SUB says SUBSCRIBE twice and CANCEL once.
        let twice = move |socket: &zmq::Socket| {
            socket.set_subscribe(&wanted)?;
            socket.set_subscribe(&wanted)?;
            socket.set_unsubscribe(&wanted)
        };
        theirs.run("subscribe twice", twice).await;
        for _ in 0..2 {
            assert_eq!(within("a subscription", ours.recv()).await.unwrap(), &on);
        }
        ours.send([&[&*topic, b"!"].concat()[..], b"body"]).await.unwrap();
        assert_eq!(theirs.recv().await, [[&*topic, b"!"].concat(), b"body".to_vec()]);
        let last = topic.clone();
        theirs.run("unsubscribe", move |socket| socket.set_unsubscribe(&last)).await;
        assert_eq!(within("a cancellation", ours.recv()).await.unwrap(), &off);
        assert_eq!(ours.topic_count(), 0);
    }
    ours.close().await;
    theirs.close().await;
}

/// B5.7, B5.10: over two peers, the first subscription and the last cancellation; a peer that leaves cancels.
#[tokio::test]
async fn our_xpub_hears_of_the_first_and_the_last_of_libzmq_subs() {
    let ours = XPub::new();
    let endpoint = ours.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let [one, two] = [Lib::new(zmq::SUB), Lib::new(zmq::SUB)];
    one.connect(&endpoint).await;
    one.subscribe("a").await;
    assert_eq!(within("a subscription", ours.recv()).await.unwrap(), b"\x01a");
    two.connect(&endpoint).await;
    two.subscribe("a").await;
    two.subscribe("b").await;
    // The second "a" is no news.
    assert_eq!(within("a subscription", ours.recv()).await.unwrap(), b"\x01b");
    one.close().await;
    two.run("unsubscribe", |socket| socket.set_unsubscribe(b"b")).await;
    assert_eq!(within("a cancellation", ours.recv()).await.unwrap(), b"\0b");
    two.close().await;
    assert_eq!(within("a cancellation", ours.recv()).await.unwrap(), b"\0a");
    assert_eq!(ours.topic_count(), 0);
}

#[tokio::test]
async fn libzmq_xpub_hears_of_our_subs_that_leave() {
    let theirs = Lib::new(zmq::XPUB);
    let endpoint = theirs.bind("tcp://127.0.0.1:*").await;
    let ours = Sub::builder().subscribe("a").build().unwrap();
    ours.connect(&*endpoint).await.unwrap();
    assert_eq!(theirs.recv().await, [b"\x01a"]);
    ours.close().await;
    assert_eq!(theirs.recv().await, [b"\0a"]);
    theirs.close().await;
}

/// A7.5: after a reconnect each topic that is still wanted is told once.
#[tokio::test]
async fn our_sub_resubscribes_when_libzmq_comes_back() {
    for over in [Over::Tcp, Over::Ipc] {
        let place = over.place();
        let mut theirs = Lib::with(zmq::XPUB, |socket| socket.set_xpub_verbose(true));
        let endpoint = theirs.bind(&place.endpoint).await;
        let quick = Duration::from_millis(10);
        let ours = Sub::builder().subscribe("kept").reconnect_interval(quick).build().unwrap();
        let mut monitor = ours.monitor();
        ours.connect(&*endpoint).await.unwrap();
        assert_eq!(theirs.recv().await, [b"\x01kept"]);
        ours.subscribe("kept");
        ours.subscribe("gone");
        assert_eq!(theirs.recv().await, [b"\x01kept"]);
        assert_eq!(theirs.recv().await, [b"\x01gone"]);
        for round in 0..3 {
            theirs.close().await;
            until(&mut monitor, "the loss", is_lost).await;
            // While nobody listens.
            if round == 0 {
                ours.unsubscribe("gone");
            }
            theirs = Lib::with(zmq::XPUB, |socket| socket.set_xpub_verbose(true));
            theirs.bind(&endpoint).await;
            assert_eq!(theirs.recv().await, [b"\x01kept"]);
            theirs.send(vec![b"gone".to_vec()]).await;
            theirs.send(vec![b"kept".to_vec()]).await;
            assert_eq!(recv(&ours).await, [b"kept"]);
        }
        // Nothing else was said in the last round: the next thing is this.
        ours.subscribe("end");
        assert_eq!(theirs.recv().await, [b"\x01end"]);
        ours.close().await;
        theirs.close().await;
    }
}

#[tokio::test]
async fn libzmq_sub_resubscribes_when_we_come_back() {
    for over in [Over::Tcp, Over::Ipc] {
        let place = over.place();
        let mut ours = Pub::new();
        let endpoint = ours.bind(&*place.endpoint).await.unwrap().to_string();
        let mut theirs = Lib::with(zmq::SUB, |socket| {
            socket.set_subscribe(b"kept")?;
            socket.set_subscribe(b"kept too")
        });
        theirs.connect(&endpoint).await;
        for round in 0..3 {
            let subscribed = async {
                while ours.topic_count() < 2 {
                    within("a subscriber", ours.wait_for_subscribers(1)).await.unwrap();
                    tokio::task::yield_now().await;
                }
            };
            within("both topics", subscribed).await;
            ours.send("other").await.unwrap();
            ours.send("kept too").await.unwrap();
            assert_eq!(theirs.recv().await, [b"kept too"], "round {round}");
            ours.close().await;
            theirs.until(zmq::SocketEvent::DISCONNECTED).await;
            ours = Pub::new();
            ours.bind(&*endpoint).await.unwrap();
        }
        theirs.close().await;
    }
}

/// A7.6: subscriptions are no messages, so a high-water mark does not lose any.
#[tokio::test]
async fn libzmq_gets_all_of_our_1500_topics() {
    let ours = Sub::new();
    for topic in 0..1500 {
        ours.subscribe(format!("{topic:08}"));
    }
    let theirs = Lib::new(zmq::XPUB);
    let endpoint = theirs.bind("tcp://127.0.0.1:*").await;
    ours.connect(&*endpoint).await.unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..1500 {
        seen.insert(theirs.recv().await);
    }
    assert_eq!(seen.len(), 1500);
    theirs.close().await;
}

/// A publisher that must not lose waits for the slowest (B5.12): every message arrives, in order.
#[tokio::test]
async fn with_no_drop_a_slow_libzmq_sub_misses_nothing() {
    let ours = Pub::builder().no_drop(true).send_hwm(10).build().unwrap();
    let endpoint = ours.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let subs = NAMES.map(|_| {
        Lib::with(zmq::SUB, |socket| {
            socket.set_rcvhwm(10)?;
            socket.set_subscribe(b"")
        })
    });
    for sub in &subs {
        sub.connect(&endpoint).await;
    }
    within("subscribers", ours.wait_for_subscribers(2)).await.unwrap();
    let sending = async {
        for number in 0..5000 {
            within("our send", ours.send(format!("{number}"))).await.unwrap();
        }
    };
    let receiving = async {
        for number in 0..5000 {
            for sub in &subs {
                assert_eq!(sub.recv().await, [format!("{number}").into_bytes()]);
            }
        }
    };
    tokio::join!(sending, receiving);
}

/// B6.5: our SUB at its mark stops reading; libzmq's publisher is not disconnected and what it queued arrives.
#[tokio::test]
async fn our_sub_at_its_mark_holds_up_and_loses_nothing_that_fits_libzmq() {
    let theirs = Lib::with(zmq::XPUB, |socket| socket.set_sndhwm(0));
    let endpoint = theirs.bind("tcp://127.0.0.1:*").await;
    let ours = Sub::builder().subscribe("").recv_hwm(5).build().unwrap();
    ours.connect(&*endpoint).await.unwrap();
    assert_eq!(theirs.recv().await, [b"\x01"]);
    let publish = |socket: &zmq::Socket| (0..20_000).try_for_each(|i| socket.send(&format!("{i:0100}"), 0));
    theirs.run("publish", publish).await;
    for number in 0..20_000 {
        assert_eq!(recv(&ours).await, [format!("{number:0100}").into_bytes()]);
    }
    ours.close().await;
    theirs.close().await;
}

/// B5.15, across.
#[tokio::test]
async fn welcome_messages_cross() {
    let ours = Pub::builder().welcome("welcome, you").build().unwrap();
    let endpoint = ours.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let theirs = Lib::with(zmq::SUB, |socket| socket.set_subscribe(b"welcome"));
    theirs.connect(&endpoint).await;
    assert_eq!(theirs.recv().await, [b"welcome, you"]);
    theirs.close().await;

    let theirs = Lib::with(zmq::XPUB, |socket| socket.set_xpub_welcome_msg(Some("welcome, you")));
    let endpoint = theirs.bind("tcp://127.0.0.1:*").await;
    let ours = Sub::builder().subscribe("welcome").build().unwrap();
    ours.connect(&*endpoint).await.unwrap();
    assert_eq!(recv(&ours).await, [b"welcome, you"]);
    theirs.close().await;
}

/// A7.2: libzmq's publisher and subscriber do not notice that our proxy is between them.
#[tokio::test]
async fn our_forwarder_between_two_libzmq_peers() {
    let (frontend, backend) = (XSub::new(), XPub::new());
    let inlet = frontend.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let outlet = backend.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let forwarder = tokio::spawn(proxy(frontend, backend, None));
    let publisher = Lib::new(zmq::XPUB);
    publisher.connect(&inlet).await;
    let subscriber = Lib::with(zmq::SUB, |socket| socket.set_subscribe(b"a"));
    subscriber.connect(&outlet).await;
    assert_eq!(publisher.recv().await, [b"\x01a"]);
    publisher.send(vec![b"b".to_vec()]).await;
    publisher.send(vec![b"a".to_vec(), vec![b'x'; 300]]).await;
    assert_eq!(subscriber.recv().await, [b"a".to_vec(), vec![b'x'; 300]]);
    subscriber.run("unsubscribe", |socket| socket.set_unsubscribe(b"a")).await;
    assert_eq!(publisher.recv().await, [b"\0a"]);
    forwarder.abort();
    publisher.close().await;
    subscriber.close().await;
}

/// A7.2: a libzmq XSUB passes its application's subscriptions on as messages, `01…`, also to a 3.1 peer.
#[tokio::test]
async fn libzmq_forwarder_between_two_of_ours() {
    let context = zmq::Context::new();
    let (frontend, backend) = (context.socket(zmq::XSUB).unwrap(), context.socket(zmq::XPUB).unwrap());
    frontend.bind("tcp://127.0.0.1:*").unwrap();
    backend.bind("tcp://127.0.0.1:*").unwrap();
    let inlet = frontend.get_last_endpoint().unwrap().unwrap();
    let outlet = backend.get_last_endpoint().unwrap().unwrap();
    // Ends with its context.
    let forwarder = std::thread::spawn(move || zmq::proxy(&frontend, &backend));
    {
        let publisher = XPub::new();
        publisher.connect(&*inlet).await.unwrap();
        let quiet = Pub::new();
        quiet.connect(&*inlet).await.unwrap();
        let subscriber = Sub::builder().subscribe("a").build().unwrap();
        subscriber.connect(&*outlet).await.unwrap();
        assert_eq!(within("a subscription", publisher.recv()).await.unwrap(), b"\x01a");
        within("a subscriber", quiet.wait_for_subscribers(1)).await.unwrap();
        publisher.send("b").await.unwrap();
        publisher.send(["a", "body"]).await.unwrap();
        assert_eq!(recv(&subscriber).await, [b"a".to_vec(), b"body".to_vec()]);
        quiet.send("a, too").await.unwrap();
        assert_eq!(recv(&subscriber).await, [b"a, too"]);
        subscriber.unsubscribe("a");
        assert_eq!(within("a cancellation", publisher.recv()).await.unwrap(), b"\0a");
    }
    let mut context = context;
    let ended = tokio::task::spawn_blocking(move || (context.destroy(), forwarder.join()));
    within("libzmq's proxy", ended).await.unwrap().1.unwrap().unwrap_err();
}

/// B5.5, B6.3: what is no subscription goes upstream as a message, many frames and all.
#[tokio::test]
async fn messages_go_upstream_both_ways() {
    let upstream: [&[u8]; 3] = [b"to", b"", b"you"];
    let ours = XPub::new();
    let endpoint = ours.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let theirs = Lib::new(zmq::XSUB);
    theirs.connect(&endpoint).await;
    theirs.send(upstream.map(<[u8]>::to_vec).into()).await;
    assert_eq!(within("our recv", ours.recv()).await.unwrap(), upstream);
    theirs.close().await;

    let theirs = Lib::new(zmq::XPUB);
    let endpoint = theirs.bind("tcp://127.0.0.1:*").await;
    let ours = XSub::new();
    ours.connect(&*endpoint).await.unwrap();
    within("a peer", ours.wait_for_peers(1)).await.unwrap();
    ours.send(Message::from(upstream)).await.unwrap();
    assert_eq!(theirs.recv().await, upstream);
    theirs.close().await;
}

/// Many messages through filters on both sides, with libzmq's plain PUB.
#[tokio::test]
async fn libzmq_pub_to_several_of_ours() {
    let theirs = Lib::with(zmq::PUB, |socket| socket.set_sndhwm(0));
    let endpoint = theirs.bind("tcp://127.0.0.1:*").await;
    let mut subs = Vec::new();
    for name in NAMES {
        let sub = Sub::builder().subscribe(name).build().unwrap();
        sub.connect(&*endpoint).await.unwrap();
        publish_until_heard(&theirs, name, recv(&sub)).await;
        subs.push(sub);
    }
    let publish = |socket: &zmq::Socket| {
        (0..10_000).try_for_each(|i| {
            let name = if i % 3 == 2 { "none" } else { NAMES[i % 3] };
            socket.send_multipart([format!("{name} {i}").as_str(), "body"], 0)
        })
    };
    theirs.run("publish", publish).await;
    for (which, sub) in subs.iter().enumerate() {
        for number in (0..10_000).filter(|number| number % 3 == which) {
            let mut next = recv(sub).await;
            while next.len() == 1 {
                next = recv(sub).await;
            }
            assert_eq!(next[0], format!("{} {number}", NAMES[which]).into_bytes());
        }
    }
    theirs.close().await;
}

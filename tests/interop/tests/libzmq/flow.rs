//! What a slow, silent or closing peer of the other library costs: high-water marks hold on both sides and lose
//! nothing (B7, C2.4), heartbeats of either side keep a quiet connection (A9), and a socket that closes delivers
//! first what it has accepted (C5).

use std::time::Duration;

use sinew::{EventKind, Pull, Push, Router, SendErrorKind};

use super::driver::{DEADLINE, Lib, Over, frames, is_lost, until, within};

const SIZE: usize = 1024;
/// Two marks of 10, and what the kernel and libzmq hold between them, in messages of [`SIZE`].
const HELD: usize = 2000;

fn body(number: usize) -> Vec<u8> {
    let mut body = format!("{number:08}").into_bytes();
    body.resize(SIZE, b'.');
    body
}

fn small(socket: &zmq::Socket) -> zmq::Result<()> {
    socket.set_sndhwm(10)?;
    socket.set_rcvhwm(10)?;
    socket.set_sndbuf(16 * 1024)?;
    socket.set_rcvbuf(16 * 1024)
}

fn small_pull() -> Pull {
    Pull::builder().recv_hwm(10).recv_buffer(16 * 1024).build().unwrap()
}

async fn expect_ours(ours: &Pull, numbers: std::ops::Range<usize>) {
    for number in numbers {
        assert_eq!(frames(&within("our recv", ours.recv()).await.unwrap()), [body(number)]);
    }
}

async fn expect_theirs(theirs: &Lib, numbers: std::ops::Range<usize>) {
    for number in numbers {
        assert_eq!(theirs.recv().await, [body(number)]);
    }
}

/// C2.4: we stop reading, so libzmq's PUSH gets `EAGAIN`; when we go on, so does it, and nothing is missing.
#[tokio::test]
async fn our_slow_pull_holds_libzmq_push_up() {
    for over in [Over::Tcp, Over::Ipc] {
        let place = over.place();
        let ours = small_pull();
        let endpoint = ours.bind(&*place.endpoint).await.unwrap().to_string();
        let theirs = Lib::with(zmq::PUSH, small);
        theirs.connect(&endpoint).await;
        let fill = |from: usize| {
            move |socket: &zmq::Socket| {
                for number in from.. {
                    // Not at once: it may still be writing.
                    if socket.poll(zmq::POLLOUT, 200)? == 0 {
                        return Ok(number);
                    }
                    socket.send(body(number), zmq::DONTWAIT)?;
                }
                Ok(usize::MAX)
            }
        };
        let held = theirs.run("fill", fill(0)).await;
        assert!((20..HELD).contains(&held), "{over:?}: {held}");
        assert!(ours.stats().unread <= 10, "{:?}", ours.stats());
        // Once more: what is received makes room for as much. A little is read ahead of a full queue, so most of it.
        let most = held - 10;
        expect_ours(&ours, 0..most).await;
        let more = theirs.run("fill", fill(held)).await;
        assert!(more > held, "{over:?}: {more} after {held}");
        expect_ours(&ours, most..more).await;
        theirs.close().await;
    }
}

#[tokio::test]
async fn a_slow_libzmq_pull_holds_our_push_up() {
    for over in [Over::Tcp, Over::Ipc] {
        let place = over.place();
        let ours = Push::builder().send_hwm(10).send_buffer(16 * 1024).build().unwrap();
        let endpoint = ours.bind(&*place.endpoint).await.unwrap().to_string();
        let theirs = Lib::with(zmq::PULL, small);
        theirs.connect(&endpoint).await;
        let mut sent = 0;
        let mut through = 0;
        for round in 0..2 {
            while tokio::time::timeout(Duration::from_millis(200), ours.send(body(sent))).await.is_ok() {
                sent += 1;
            }
            assert!(sent > through && sent < through + HELD, "{over:?}, round {round}: {sent}");
            assert_eq!(ours.try_send(body(sent)).unwrap_err().kind(), SendErrorKind::Full);
            assert_eq!(ours.stats().queued, 10);
            let upto = if round == 0 { sent / 2 } else { sent };
            expect_theirs(&theirs, through..upto).await;
            through = upto;
        }
        theirs.close().await;
    }
}

/// A full sender that waits goes on when libzmq reads: many times the mark goes through in order.
#[tokio::test]
async fn tiny_marks_pass_everything() {
    let ours = Push::builder().send_hwm(1).build().unwrap();
    let endpoint = ours.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let theirs = Lib::with(zmq::PULL, |socket| socket.set_rcvhwm(1));
    theirs.connect(&endpoint).await;
    let sending = async {
        for number in 0..3000 {
            within("our send", ours.send(body(number))).await.unwrap();
        }
    };
    tokio::join!(sending, expect_theirs(&theirs, 0..3000));
    theirs.close().await;

    let ours = Pull::builder().recv_hwm(1).build().unwrap();
    let endpoint = ours.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let theirs = Lib::with(zmq::PUSH, |socket| socket.set_sndhwm(1));
    theirs.connect(&endpoint).await;
    let send = |socket: &zmq::Socket| (0..3000).try_for_each(|number| socket.send(body(number), 0));
    tokio::join!(theirs.run("send", send), expect_ours(&ours, 0..3000));
    theirs.close().await;
}

/// A9.1, A9.7: we answer libzmq's PINGs, so it does not hang up on a connection without traffic, nor on one with.
#[tokio::test]
async fn libzmq_heartbeats_keep_a_quiet_connection() {
    let ours = Pull::builder().heartbeat(None, Duration::ZERO).build().unwrap();
    let endpoint = ours.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let mut monitor = ours.monitor();
    let theirs = Lib::with(zmq::PUSH, |socket| {
        socket.set_heartbeat_ivl(20)?;
        socket.set_heartbeat_timeout(1000)?;
        socket.set_heartbeat_ttl(1000)
    });
    theirs.connect(&endpoint).await;
    theirs.send(vec![b"before".to_vec()]).await;
    assert_eq!(within("our recv", ours.recv()).await.unwrap(), "before");
    let quiet = tokio::time::timeout(Duration::from_millis(1600), until(&mut monitor, "a loss", is_lost));
    assert!(quiet.await.is_err(), "disconnected");
    // PINGs fall between the frames, too.
    let large: Vec<_> = (0..50).map(|i| vec![b'a' + i; 200_000]).collect();
    theirs.send(large.clone()).await;
    assert!(frames(&within("our recv", ours.recv()).await.unwrap()) == large, "all its parts");
    theirs.close().await;
}

/// A9.6, A9.7: libzmq answers ours, and its PONGs count.
#[tokio::test]
async fn our_heartbeats_keep_a_quiet_connection() {
    let (every, patience) = (Duration::from_millis(20), Duration::from_secs(1));
    let builder = Router::builder().heartbeat(Some(every), patience);
    let ours = builder.heartbeat_ttl(patience).build().unwrap();
    let endpoint = ours.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let mut monitor = ours.monitor();
    let mut theirs = Lib::with(zmq::DEALER, |socket| socket.set_identity(b"theirs"));
    theirs.connect(&endpoint).await;
    theirs.send(vec![b"before".to_vec()]).await;
    within("our recv", ours.recv()).await.unwrap();
    let quiet = tokio::time::timeout(Duration::from_millis(1600), until(&mut monitor, "a loss", is_lost));
    assert!(quiet.await.is_err(), "disconnected");
    ours.send("theirs", "after").await.unwrap();
    assert_eq!(theirs.recv().await, [b"after"]);
    // Nor did libzmq take our time to live for more than it was.
    drop(ours);
    theirs.until(zmq::SocketEvent::DISCONNECTED).await;
    theirs.close().await;
}

/// A9: both at once, with messages both ways.
#[tokio::test]
async fn heartbeats_of_both_sides_and_traffic() {
    let every = Duration::from_millis(5);
    let ours = Push::builder().heartbeat(Some(every), DEADLINE).build().unwrap();
    let endpoint = ours.bind("ipc://*").await.unwrap().to_string();
    let theirs = Lib::with(zmq::PULL, |socket| {
        socket.set_heartbeat_ivl(5)?;
        // Unset, it is the interval, which a busy machine exceeds.
        socket.set_heartbeat_timeout(20_000)
    });
    theirs.connect(&endpoint).await;
    let sending = async {
        for number in 0..300 {
            ours.send([body(number), vec![b'x'; 100_000], vec![]]).await.unwrap();
            if number % 50 == 0 {
                // Long enough for PINGs.
                theirs.run("a pause", |socket| socket.poll(zmq::PollEvents::empty(), 20)).await;
            }
        }
    };
    let receiving = async {
        for number in 0..300 {
            let wanted = [body(number), vec![b'x'; 100_000], vec![]];
            assert!(theirs.recv().await == wanted, "message {number}");
        }
    };
    tokio::join!(sending, receiving);
    theirs.close().await;
}

/// C5: send, then close: libzmq receives all, whichever side connected, and also if the socket is only dropped.
#[tokio::test]
async fn our_socket_that_closes_delivers_first() {
    const COUNT: usize = 3000;
    for over in [Over::Tcp, Over::Ipc] {
        for (we_bind, drop_only) in [(true, false), (true, true), (false, false), (false, true)] {
            let place = over.place();
            let ours = Push::builder().send_hwm(0).build().unwrap();
            let mut theirs = Lib::with(zmq::PULL, small);
            if we_bind {
                let endpoint = ours.bind(&*place.endpoint).await.unwrap();
                theirs.connect(&endpoint.to_string()).await;
                within("a peer", ours.wait_for_peers(1)).await.unwrap();
            } else {
                ours.connect(&*theirs.bind(&place.endpoint).await).await.unwrap();
            }
            for number in 0..COUNT {
                within("our send", ours.send(body(number))).await.unwrap();
            }
            let closing = async {
                if drop_only {
                    drop(ours);
                } else {
                    assert_eq!(within("our close", ours.close()).await.undelivered, 0);
                }
            };
            tokio::join!(closing, expect_theirs(&theirs, 0..COUNT));
            theirs.until(zmq::SocketEvent::DISCONNECTED).await;
            theirs.close().await;
        }
    }
}

/// C5.2: closing goes on connecting, so a server that comes late still gets what was sent.
#[tokio::test]
async fn our_socket_that_closed_before_libzmq_was_there_delivers() {
    for over in [Over::Tcp, Over::Ipc] {
        let place = over.place();
        // An endpoint that is free, and then is not.
        let theirs = Lib::new(zmq::PULL);
        let endpoint = theirs.bind(&place.endpoint).await;
        theirs.close().await;
        let builder = Push::builder().reconnect_interval(Duration::from_millis(10)).linger(DEADLINE);
        let ours = builder.build().unwrap();
        let mut monitor = ours.monitor();
        ours.connect(&*endpoint).await.unwrap();
        for number in 0..100 {
            ours.send(body(number)).await.unwrap();
        }
        let closing = tokio::spawn(async move { ours.close().await.undelivered });
        let failed = |event: &EventKind| matches!(event, EventKind::ConnectFailed(_));
        until(&mut monitor, "a failure to connect", failed).await;
        let theirs = Lib::new(zmq::PULL);
        theirs.bind(&endpoint).await;
        expect_theirs(&theirs, 0..100).await;
        assert_eq!(within("our close", closing).await.unwrap(), 0);
        theirs.close().await;
    }
}

/// C5.1: with no linger what is queued is dropped, counted, and closing does not wait for a peer that does not read.
#[tokio::test]
async fn without_linger_closing_is_quick_and_counts() {
    let ours = Push::builder().linger(Duration::ZERO).send_hwm(0).send_buffer(16 * 1024).build().unwrap();
    let endpoint = ours.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let theirs = Lib::with(zmq::PULL, small);
    theirs.connect(&endpoint).await;
    within("a peer", ours.wait_for_peers(1)).await.unwrap();
    for number in 0..5000 {
        ours.send(body(number)).await.unwrap();
    }
    let undelivered = within("our close", ours.close()).await.undelivered;
    assert!((5000 - HELD..5000).contains(&undelivered), "{undelivered}");
    // What was delivered is whole and in order; the message that was cut is not there.
    let mut got = 0;
    while let Some(message) = theirs.recv_within(Duration::from_millis(200)).await {
        assert_eq!(message, [body(got)]);
        got += 1;
    }
    assert!(got + undelivered <= 5000, "{got} received and {undelivered} not delivered");
    theirs.close().await;
}

/// The other way round: libzmq lingers, we receive all.
#[tokio::test]
async fn libzmq_that_closes_delivers_first() {
    for over in [Over::Tcp, Over::Ipc] {
        for we_bind in [true, false] {
            let place = over.place();
            let ours = small_pull();
            let theirs = Lib::with(zmq::PUSH, |socket| socket.set_sndhwm(0));
            if we_bind {
                theirs.connect(&ours.bind(&*place.endpoint).await.unwrap().to_string()).await;
            } else {
                ours.connect(&*theirs.bind(&place.endpoint).await).await.unwrap();
            }
            theirs.run("send", |socket| (0..2000).try_for_each(|number| socket.send(body(number), 0))).await;
            tokio::join!(theirs.close(), expect_ours(&ours, 0..2000));
        }
    }
}

/// A11.1: a libzmq peer that sends more than we allow is disconnected, and one that sends less is not.
#[tokio::test]
async fn libzmq_may_send_only_what_we_allow() {
    let ours = Pull::builder().max_message_size(10_000).build().unwrap();
    let endpoint = ours.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let mut monitor = ours.monitor();
    let [good, mut bad] = [Lib::new(zmq::PUSH), Lib::with(zmq::PUSH, |socket| socket.set_reconnect_ivl(-1))];
    good.connect(&endpoint).await;
    bad.connect(&endpoint).await;
    bad.send(vec![vec![b'x'; 10_001]]).await;
    bad.until(zmq::SocketEvent::DISCONNECTED).await;
    until(&mut monitor, "the loss", is_lost).await;
    good.send(vec![vec![b'x'; 9_900]]).await;
    assert_eq!(within("our recv", ours.recv()).await.unwrap().size(), 9_900);
    good.close().await;
}

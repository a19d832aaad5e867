//! The cancel sweep (P10): every asynchronous verb of every socket is polled k times, for all k up to
//! 200, and dropped. Afterwards the socket works as before, and numbered messages show that nothing
//! was lost or doubled.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says why and stops")]

mod support;

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use futures::{FutureExt, SinkExt, StreamExt};
use sinew::{
    Dealer, EventKind, Message, Pair, Pub, Pull, Push, Rep, Req, Router, RouterEvent, RoutingId,
    SendErrorKind, Sub, XPub, XSub,
};
use support::{Medium, ipc_path, within};
use tokio::sync::Mutex;
use tokio::task::yield_now;

const POLLS: std::ops::RangeInclusive<usize> = 0..=200;

/// Polls `future` `polls` times, lets all other tasks run after each poll, and drops it; its output if
/// it was ready by then. Before one of the polls, or the drop, `event` takes place.
async fn cancel<T>(polls: usize, event: impl FnOnce(), future: impl Future<Output = T>) -> Option<T> {
    // At the first poll, half-way, or so late that nobody but the drop sees what it woke.
    let at = [0, polls / 2, polls][polls % 3];
    let mut event = Some(event);
    let mut future = pin!(future);
    let mut output = None;
    for poll in 0..=polls {
        if poll == at
            && let Some(event) = event.take()
        {
            event();
            yield_now().await;
        }
        if poll < polls && output.is_none() {
            output = std::future::poll_fn(|cx| {
                Poll::Ready(match future.as_mut().poll(cx) {
                    Poll::Ready(output) => Some(output),
                    Poll::Pending => None,
                })
            })
            .await;
            yield_now().await;
        }
    }
    output
}

fn endpoints() -> [String; 3] {
    [Medium::Inproc.known(), Medium::Tcp.any(), Medium::Ipc.known()]
}

/// What is received, as a number.
trait Numbered {
    fn number(&self) -> u32;
}

impl Numbered for Message {
    fn number(&self) -> u32 {
        std::str::from_utf8(self.first()).unwrap().parse().unwrap()
    }
}

impl Numbered for (RoutingId, Message) {
    fn number(&self) -> u32 {
        self.1.number()
    }
}

impl Numbered for RouterEvent {
    fn number(&self) -> u32 {
        match self {
            Self::Message(_, message) => message.number(),
            other => panic!("{other:?}"),
        }
    }
}

fn message(number: u32) -> Message {
    Message::from(number.to_string())
}

/// Receiving: `feed` has the peer send a number, `verb` receives what is there, at least one.
async fn receives(what: &str, feed: impl Fn(u32), verb: impl AsyncFn() -> Vec<u32>) {
    for (polls, first) in POLLS.zip((0..).step_by(2)) {
        let received = cancel(polls, || feed(first), verb()).await;
        let mut received = received.unwrap_or_default();
        feed(first + 1);
        while received.len() < 2 {
            let what = format!("{what}: after one dropped at poll {polls}, received {received:?}");
            received.extend(within(&what, verb()).await);
        }
        assert_eq!(received, [first, first + 1], "{what}: after one dropped at poll {polls}");
    }
}

/// The receiving sockets: `$sender` feeds, `$done` follows each receive.
macro_rules! receivers {
    ($($test:ident: $tx:expr => $rx:expr, |$sender:ident, $number:ident| $feed:expr, |$receiver:ident| $done:block;)*) => {$(
        #[tokio::test]
        async fn $test() {
            for endpoint in endpoints() {
                let ($sender, $receiver) = ($tx, $rx);
                let addr = $receiver.bind(endpoint.as_str()).await.unwrap();
                $sender.connect(&addr).await.unwrap();
                within("the sender's peer", $sender.wait_for_peers(1)).await.unwrap();
                within("the receiver's peer", $receiver.wait_for_peers(1)).await.unwrap();
                let feed = |$number: u32| $feed;
                receives(&format!("{endpoint} recv"), feed, async || {
                    let item = $receiver.recv().await.unwrap();
                    $done
                    vec![item.number()]
                })
                .await;
                receives(&format!("{endpoint} recv_many"), feed, async || {
                    let mut items = Vec::new();
                    $receiver.recv_many(&mut items, 2).await.unwrap();
                    $done
                    items.iter().map(Numbered::number).collect()
                })
                .await;
                let stream = Mutex::new($receiver.clone());
                receives(&format!("{endpoint} Stream"), feed, async || {
                    let item = stream.lock().await.next().await.unwrap().unwrap();
                    $done
                    vec![item.number()]
                })
                .await;
                // The stream's handle is still there, and must not stand in anybody's way.
                receives(&format!("{endpoint} recv beside an idle stream"), feed, async || {
                    let item = $receiver.recv().await.unwrap();
                    $done
                    vec![item.number()]
                })
                .await;
            }
        }
    )*};
}

receivers! {
    pull: Push::new() => Pull::new(), |push, n| push.try_send(message(n)).unwrap(), |pull| {};
    pair: Pair::new() => Pair::new(), |peer, n| peer.try_send(message(n)).unwrap(), |pair| {};
    dealer: Dealer::new() => Dealer::new(), |peer, n| peer.try_send(message(n)).unwrap(), |dealer| {};
    router: Dealer::new() => Router::new(), |dealer, n| dealer.try_send(message(n)).unwrap(), |router| {};
    xpub: XSub::new() => XPub::new(), |xsub, n| xsub.try_send(message(n)).unwrap(), |xpub| {};
    rep: Dealer::new() => Rep::new(), |dealer, n| {
        while dealer.try_recv().is_ok() {}
        dealer.try_send(["", &n.to_string()]).unwrap();
    }, |rep| { rep.try_send("reply").unwrap(); };
}

/// As above, where the peer has to be subscribed to first.
macro_rules! subscribers {
    ($($test:ident: $tx:expr => $rx:expr;)*) => {$(
        #[tokio::test]
        async fn $test() {
            for endpoint in endpoints() {
                let (publisher, subscriber) = ($tx, $rx);
                let addr = publisher.bind(endpoint.as_str()).await.unwrap();
                subscriber.connect(&addr).await.unwrap();
                subscriber.subscribe("");
                within("the subscription", publisher.wait_for_subscribers(1)).await.unwrap();
                let feed = |n| publisher.try_send(message(n)).unwrap();
                receives(&format!("{endpoint} recv"), feed, async || {
                    vec![subscriber.recv().await.unwrap().number()]
                })
                .await;
                receives(&format!("{endpoint} recv_many"), feed, async || {
                    let mut messages = Vec::new();
                    subscriber.recv_many(&mut messages, 2).await.unwrap();
                    messages.iter().map(Numbered::number).collect()
                })
                .await;
                let stream = Mutex::new(subscriber.clone());
                receives(&format!("{endpoint} Stream"), feed, async || {
                    vec![stream.lock().await.next().await.unwrap().unwrap().number()]
                })
                .await;
            }
        }
    )*};
}

subscribers! {
    sub: Pub::new() => Sub::new();
    xsub: XPub::new() => XSub::new();
}

#[tokio::test]
async fn router_events() {
    for endpoint in endpoints() {
        let (dealer, router) = (Dealer::new(), Router::builder().notify(true).build().unwrap());
        let addr = router.bind(endpoint.as_str()).await.unwrap();
        dealer.connect(&addr).await.unwrap();
        let event = within("the dealer's arrival", router.recv_event()).await.unwrap();
        assert!(matches!(event, RouterEvent::Connected(_)), "{event:?}");
        receives(
            &format!("{endpoint} recv_event"),
            |n| dealer.try_send(message(n)).unwrap(),
            async || vec![router.recv_event().await.unwrap().number()],
        )
        .await;
    }
}

#[tokio::test]
async fn monitor() {
    let socket = Pull::new();
    let monitor = Mutex::new(socket.monitor());
    let directory = ipc_path();
    std::fs::create_dir(&directory).unwrap();
    let endpoint = |n: u32| format!("ipc://{}/{n}", directory.display());
    let feed = |n: u32| {
        let bound = socket.bind(endpoint(n)).now_or_never().expect("binding a path does not wait");
        socket.unbind(bound.unwrap()).unwrap();
    };
    receives("Monitor::recv", feed, async || {
        let mut monitor = monitor.lock().await;
        loop {
            let event = monitor.recv().await.unwrap();
            if event.kind == EventKind::Listening {
                return vec![event.endpoint.rsplit('/').next().unwrap().parse().unwrap()];
            }
        }
    })
    .await;
    socket.close().await;
    std::fs::remove_dir_all(&directory).unwrap();
}

/// The last message of a round.
const END: u32 = u32::MAX;
/// Messages in the hand of the verb that is cancelled.
const IN_HAND: u32 = 3;

/// Sending: `verb` takes each message off the queue in the step that accepts it; `try_send` says
/// whether there was room; `recv` and `try_recv` are the peer's.
async fn sends(
    what: &str,
    padding: usize,
    verb: impl AsyncFn(&mut VecDeque<Message>),
    try_send: impl Fn(Message) -> bool,
    recv: impl AsyncFn() -> u32,
    try_recv: impl Fn() -> Option<u32>,
) {
    let message = |n: u32| Message::from([n.to_string().into_bytes(), vec![0; padding]]);
    let mut next = 0;
    for polls in POLLS {
        let what = &format!("{what}: dropped at poll {polls}");
        let (mut sent, mut received) = (Vec::new(), Vec::new());
        // Up to the mark, where it has one.
        for _ in 0..8 {
            while sent.len() < 16 && try_send(message(next)) {
                sent.push(next);
                next += 1;
            }
            yield_now().await;
        }
        let mut queue: VecDeque<_> = (next..next + IN_HAND).map(message).collect();
        let room = || received.extend([try_recv(), try_recv()].into_iter().flatten());
        cancel(polls, room, verb(&mut queue)).await;
        let accepted = IN_HAND - u32::try_from(queue.len()).unwrap();
        sent.extend(next..next + accepted);
        next += IN_HAND;

        let mut end = VecDeque::from([message(END)]);
        let finish = verb(&mut end);
        let rest = async {
            loop {
                match recv().await {
                    END => return,
                    number => received.push(number),
                }
            }
        };
        within(what, async { tokio::join!(finish, rest) }).await;
        assert_eq!(received, sent, "{what}");
        assert_eq!(try_recv(), None, "{what}");
    }
}

/// The sending sockets and their verbs; `$mark` is set on both sides.
macro_rules! senders {
    ($($test:ident: $tx:ident $(.$option:ident($value:expr))* => $rx:ident, |$receiver:ident| $ready:block;)*) => {$(
        #[tokio::test]
        async fn $test() {
            for (endpoint, padding) in endpoints().iter().zip([0, 0, 100_000]) {
                if endpoint.starts_with("tcp") {
                    // Its buffers are too large to be filled, and of no other kind than those of ipc.
                    continue;
                }
                let $receiver = $rx::builder().recv_hwm(1).build().unwrap();
                let sender = $tx::builder().send_hwm(1)$(.$option($value))*.build().unwrap();
                let addr = sender.bind(endpoint.as_str()).await.unwrap();
                $receiver.connect(&addr).await.unwrap();
                $ready
                within("the sender's peer", sender.wait_for_peers(1)).await.unwrap();
                let try_send = |message: Message| sender.try_send(message).is_ok();
                let recv = async || $receiver.recv().await.unwrap().number();
                let try_recv = || $receiver.try_recv().ok().map(|message| message.number());
                sends(&format!("{endpoint} send"), padding, async |queue: &mut VecDeque<Message>| {
                    while let Some(message) = queue.front().cloned() {
                        sender.send(message).await.unwrap();
                        queue.pop_front();
                    }
                }, try_send, recv, try_recv).await;
                sends(&format!("{endpoint} send_many"), padding, async |queue: &mut VecDeque<Message>| {
                    sender.send_many(queue).await.unwrap();
                }, try_send, recv, try_recv).await;
                sends(&format!("{endpoint} send_ready"), padding, async |queue: &mut VecDeque<Message>| {
                    while let Some(message) = queue.front().cloned() {
                        sender.send_ready().await.unwrap();
                        match sender.try_send(message) {
                            Ok(()) => drop(queue.pop_front()),
                            // Ready for a publisher means that it can drop.
                            Err(error) => {
                                assert_eq!(error.kind(), SendErrorKind::Full);
                                yield_now().await;
                            }
                        }
                    }
                }, try_send, recv, try_recv).await;
                let sink = Mutex::new(sender.clone());
                sends(&format!("{endpoint} Sink"), padding, async |queue: &mut VecDeque<Message>| {
                    let mut sink = sink.lock().await;
                    while let Some(message) = queue.front().cloned() {
                        std::future::poll_fn(|cx| sink.poll_ready_unpin(cx)).await.unwrap();
                        sink.start_send_unpin(message).unwrap();
                        queue.pop_front();
                    }
                    sink.flush().await.unwrap();
                }, try_send, recv, try_recv).await;
            }
        }
    )*};
}

senders! {
    push_sends: Push => Pull, |pull| {};
    pair_sends: Pair => Pair, |pair| {};
    dealer_sends: Dealer => Dealer, |dealer| {};
    pub_sends: Pub.no_drop(true) => Sub, |sub| { sub.subscribe(""); };
    xpub_sends: XPub.no_drop(true) => XSub, |xsub| { xsub.subscribe(""); };
    // It never waits for room, and would drop without it.
    xsub_sends: XSub.send_hwm(0) => XPub, |xpub| {};
}

#[tokio::test]
async fn router_sends() {
    for (endpoint, padding) in [(&endpoints()[0], 0), (&endpoints()[2], 100_000)] {
        let dealer = Dealer::builder().recv_hwm(1).routing_id("it").build().unwrap();
        let router = Router::builder().send_hwm(1).mandatory(true).build().unwrap();
        let addr = router.bind(endpoint.as_str()).await.unwrap();
        dealer.connect(&addr).await.unwrap();
        within("the dealer", router.wait_for_peers(1)).await.unwrap();
        sends(
            &format!("{endpoint} send"),
            padding,
            async |queue: &mut VecDeque<Message>| {
                while let Some(message) = queue.front().cloned() {
                    router.send("it", message).await.unwrap();
                    queue.pop_front();
                }
            },
            |message| router.try_send("it", message).is_ok(),
            async || dealer.recv().await.unwrap().number(),
            || dealer.try_recv().ok().map(|message| message.number()),
        )
        .await;
    }
}

/// A REP that gives each request back, after as many yields as it says in its second frame.
fn echo(rep: Rep) {
    tokio::spawn(async move {
        while let Ok(request) = rep.recv().await {
            for _ in 0..request.number() % 64 {
                yield_now().await;
            }
            rep.send(request).await.unwrap();
        }
    });
}

#[tokio::test]
async fn req() {
    for endpoint in endpoints() {
        let (rep, req) = (Rep::new(), Req::builder().correlate(true).build().unwrap());
        let addr = rep.bind(endpoint.as_str()).await.unwrap();
        req.connect(&addr).await.unwrap();
        echo(rep);
        for (polls, n) in POLLS.zip((0..).step_by(2)) {
            let what = &format!("{endpoint} request: dropped at poll {polls}");
            if let Some(reply) = cancel(polls, || (), req.request(message(n))).await {
                assert_eq!(reply.unwrap().number(), n, "{what}");
            }
            let reply = within(what, req.request(message(n + 1))).await.unwrap();
            assert_eq!(reply.number(), n + 1, "{what}: another's reply");
        }
        for (polls, n) in POLLS.zip(0..) {
            let what = &format!("{endpoint} recv: dropped at poll {polls}");
            within(what, req.send(message(n))).await.unwrap();
            let reply = match cancel(polls, || (), req.recv()).await {
                Some(reply) => reply,
                None => within(what, req.recv()).await,
            };
            assert_eq!(reply.unwrap().number(), n, "{what}");
        }
        for (polls, n) in POLLS.zip((0..).step_by(2)) {
            let what = &format!("{endpoint} send: dropped at poll {polls}");
            if let Some(sent) = cancel(polls, || (), req.send(message(n))).await {
                sent.unwrap();
                assert_eq!(within(what, req.recv()).await.unwrap().number(), n, "{what}");
            }
            within(what, req.send(message(n + 1))).await.unwrap();
            assert_eq!(within(what, req.recv()).await.unwrap().number(), n + 1, "{what}");
        }
    }
}

/// REQ without a peer: the request waits, and is not sent when it is dropped.
#[tokio::test]
async fn req_without_a_peer() {
    for endpoint in endpoints() {
        let req = Req::new();
        let addr = req.bind(endpoint.as_str()).await.unwrap();
        for polls in POLLS {
            let sent = cancel(polls, || (), req.request("never")).await;
            assert_eq!(sent, None, "{endpoint}: dropped at poll {polls}");
        }
        let rep = Rep::new();
        rep.connect(&addr).await.unwrap();
        echo(rep);
        let reply = within(&endpoint, req.request(message(7))).await.unwrap();
        assert_eq!(reply.number(), 7);
    }
}

#[tokio::test]
async fn wait_for_peers_and_subscribers() {
    for endpoint in endpoints() {
        let publisher = Pub::new();
        let addr = publisher.bind(endpoint.as_str()).await.unwrap();
        for polls in POLLS {
            let what = &format!("{endpoint} wait: dropped at poll {polls}");
            let subscriber = Sub::builder().subscribe("").build().unwrap();
            let comes = || subscriber.connect(&addr).now_or_never().unwrap().unwrap();
            // Both wait in one queue, one is dropped, the other has to hear of it.
            let waits = publisher.clone();
            let other = tokio::spawn(async move { waits.wait_for_subscribers(1).await });
            match polls % 2 {
                0 => drop(cancel(polls, comes, publisher.wait_for_peers(1)).await),
                _ => drop(cancel(polls, comes, publisher.wait_for_subscribers(1)).await),
            }
            within(what, publisher.wait_for_peers(1)).await.unwrap();
            within(what, other).await.unwrap().unwrap();
            publisher.try_send("news").unwrap();
            assert_eq!(within(what, subscriber.recv()).await.unwrap(), "news", "{what}");
            within(what, subscriber.close()).await;
            while !publisher.stats().peers.is_empty() {
                within(what, yield_now()).await;
            }
        }
    }
}

#[tokio::test]
async fn bind() {
    let [inproc, tcp, ipc] = endpoints();
    for endpoint in [inproc, tcp, ipc, "tcp://localhost:0".to_owned()] {
        for polls in POLLS {
            let what = &format!("{endpoint} bind: dropped at poll {polls}");
            let pull = Pull::new();
            let bound = match cancel(polls, || (), pull.bind(endpoint.as_str())).await {
                Some(bound) => bound,
                // Nothing was bound: the same name is free.
                None => within(what, pull.bind(endpoint.as_str())).await,
            };
            let bound = bound.unwrap_or_else(|error| panic!("{what}: {error}"));
            let push = Push::new();
            push.connect(&bound).await.unwrap();
            push.try_send("there").unwrap();
            assert_eq!(within(what, pull.recv()).await.unwrap(), "there", "{what}");
            within(what, push.close()).await;
            within(what, pull.close()).await;
        }
    }
}

#[tokio::test]
async fn connect() {
    for endpoint in endpoints() {
        let pull = Pull::new();
        let addr = pull.bind(endpoint.as_str()).await.unwrap();
        for polls in POLLS {
            let what = &format!("{endpoint} connect: dropped at poll {polls}");
            let push = Push::new();
            match cancel(polls, || (), push.connect(&addr)).await {
                Some(connected) => connected.unwrap(),
                None => {
                    assert!(push.stats().peers.is_empty(), "{what}");
                    push.connect(&addr).await.unwrap();
                }
            }
            push.try_send(message(7)).unwrap();
            assert_eq!(within(what, pull.recv()).await.unwrap().number(), 7, "{what}");
            within(what, push.close()).await;
        }
    }
}

#[tokio::test]
async fn close() {
    for endpoint in endpoints() {
        let pull = Pull::new();
        let addr = pull.bind(endpoint.as_str()).await.unwrap();
        for polls in POLLS {
            let what = &format!("{endpoint} close: dropped at poll {polls}");
            let push = Push::new();
            push.connect(&addr).await.unwrap();
            for n in 0..3 {
                push.try_send(message(n)).unwrap();
            }
            cancel(polls, || (), push.close()).await;
            let closed = within(what, push.close()).await;
            assert_eq!(closed.undelivered, 0, "{what}");
            for n in 0..3 {
                assert_eq!(within(what, pull.recv()).await.unwrap().number(), n, "{what}");
            }
            assert!(
                push.try_send("late").is_err_and(|error| error.kind() == SendErrorKind::Closed),
                "{what}"
            );
        }
        assert!(pull.try_recv().is_err(), "{endpoint}: doubled");
    }
}

/// A proxy that is dropped gives back what it has in hand.
#[tokio::test]
async fn proxy() {
    for (inlet, outlet) in endpoints().iter().zip(endpoints()) {
        let frontend = Pull::builder().recv_hwm(1).build().unwrap();
        let backend = Push::builder().send_hwm(1).build().unwrap();
        let (push, pull) = (Push::new(), Pull::builder().recv_hwm(1).build().unwrap());
        push.connect(&frontend.bind(inlet.as_str()).await.unwrap()).await.unwrap();
        pull.connect(&backend.bind(outlet.as_str()).await.unwrap()).await.unwrap();
        within("the inlet", push.wait_for_peers(1)).await.unwrap();
        within("the outlet", backend.wait_for_peers(1)).await.unwrap();
        let mut next = 0;
        for polls in POLLS {
            let what = &format!("{inlet} to {outlet}: dropped at poll {polls}");
            let first = next;
            next += 5;
            for n in first..next {
                push.try_send(message(n)).unwrap();
            }
            yield_now().await;
            let mut received = Vec::new();
            let room = || received.extend(pull.try_recv().map(|message| message.number()));
            let passing = sinew::proxy(frontend.clone(), backend.clone(), None);
            assert!(cancel(polls, room, passing).await.is_none(), "{what}: ended");
            let passing = sinew::proxy(frontend.clone(), backend.clone(), None);
            let rest = async {
                while received.len() < 5 {
                    received.push(pull.recv().await.unwrap().number());
                }
            };
            within(what, async {
                tokio::select! {
                    () = passing => panic!("{what}: ended"),
                    () = rest => {}
                }
            })
            .await;
            assert_eq!(received, (first..next).collect::<Vec<_>>(), "{what}");
            assert!(pull.try_recv().is_err(), "{what}: doubled");
        }
    }
}

/// On two threads a wake-up can be under way while its receiver, or sender, is dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_between_two_threads() {
    for endpoint in endpoints() {
        let pull = Pull::builder().recv_hwm(1).build().unwrap();
        let addr = pull.bind(endpoint.as_str()).await.unwrap();
        let push = Push::builder().send_hwm(1).build().unwrap();
        push.connect(&addr).await.unwrap();
        let sender = tokio::spawn(async move {
            let mut sent = Vec::new();
            for (n, polls) in (0..2000).zip(POLLS.cycle()) {
                if cancel(polls % 7, || (), push.send(message(n))).await.is_some() {
                    sent.push(n);
                }
            }
            push.send(message(END)).await.unwrap();
            push.close().await;
            sent
        });
        let receivers = [pull.clone(), pull.clone()].map(|pull| {
            tokio::spawn(async move {
                let mut received = Vec::new();
                for polls in (0..5).cycle() {
                    if let Some(message) = cancel(polls, || (), pull.recv()).await {
                        match message.map(|message| message.number()) {
                            Ok(END) => drop(pull.close().await),
                            Ok(number) => received.push(number),
                            Err(_) => break,
                        }
                    }
                }
                received
            })
        });
        let sent = within(&format!("{endpoint}: the sender"), sender).await.unwrap();
        let mut received = Vec::new();
        for receiver in receivers {
            received.extend(within(&format!("{endpoint}: a receiver"), receiver).await.unwrap());
        }
        received.sort_unstable();
        assert_eq!(received, sent, "{endpoint}");
    }
}

/// A waiter that is dropped passes its wake-up on, whichever way it waits.
#[tokio::test]
async fn the_next_in_the_queue_is_woken_instead() {
    for endpoint in endpoints() {
        let pull = Pull::new();
        let addr = pull.bind(endpoint.as_str()).await.unwrap();
        let push = Push::new();
        push.connect(&addr).await.unwrap();
        within("the peer", pull.wait_for_peers(1)).await.unwrap();
        for polls in POLLS {
            let what = &format!("{endpoint}: dropped at poll {polls}");
            let mut dropped: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async {
                drop(pull.recv().await);
            });
            // First in the queue.
            let first = futures::poll!(&mut dropped);
            assert!(first.is_pending(), "{what}");
            let next = pull.clone();
            let next = tokio::spawn(async move { next.recv().await.unwrap().number() });
            yield_now().await;
            push.try_send(message(7)).unwrap();
            for _ in 0..polls {
                yield_now().await;
            }
            drop(dropped);
            assert_eq!(within(what, next).await.unwrap(), 7, "{what}");
        }
    }
}

/// The deadlines above are real time; this one shows that the sweep does not live on them.
#[tokio::test]
async fn a_request_that_times_out_leaves_the_socket_usable() {
    for endpoint in endpoints() {
        let req = Req::builder().correlate(true).request_timeout(Duration::from_millis(1)).build().unwrap();
        let addr = req.bind(endpoint.as_str()).await.unwrap();
        assert!(within(&endpoint, req.request("nobody there")).await.is_err());
        let rep = Rep::new();
        rep.connect(&addr).await.unwrap();
        within(&endpoint, req.wait_for_peers(1)).await.unwrap();
        assert!(within(&endpoint, req.request("no reply")).await.is_err());
        assert_eq!(within(&endpoint, rep.recv()).await.unwrap(), "no reply");
        rep.send("late").await.unwrap();
        echo(rep);
        // A millisecond may be too short for any one of them.
        let served = async {
            loop {
                if let Ok(reply) = req.request(message(64)).await {
                    return reply.number();
                }
            }
        };
        assert_eq!(within(&endpoint, served).await, 64);
    }
}

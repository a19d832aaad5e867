//! Properties of real sockets under random scripts: limits hold at every step (P5), nothing is lost
//! unseen (P9), messages are whole (P3), shares are fair (P6, P7), and a routing id names one
//! connection (P12).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says why and stops")]

mod support;

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use proptest::prelude::*;
use sinew::{
    Context, Dealer, Dropped, Message, Pub, Pull, Push, Router, RoutingId, SendErrorKind, Stats, Sub,
};
use support::raw_peer::{MORE, RawPeer, frame_bytes};
use support::{ipc_path, within};
use tokio::task::{JoinHandle, yield_now};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Inproc,
    Tcp,
    Ipc,
}

const TRANSPORTS: [Transport; 3] = [Transport::Inproc, Transport::Tcp, Transport::Ipc];

fn transport() -> impl Strategy<Value = Transport> {
    prop::sample::select(&TRANSPORTS[..])
}

impl Transport {
    fn endpoint(self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        match self {
            Self::Inproc => format!("inproc://properties-{}", NEXT.fetch_add(1, Ordering::Relaxed)),
            Self::Tcp => "tcp://127.0.0.1:0".to_owned(),
            Self::Ipc => format!("ipc://{}", ipc_path().display()),
        }
    }
}

/// So many cases, or `PROPTEST_CASES`.
fn cases(cases: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(cases);
    ProptestConfig { failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::with_cases(cases) }
}

/// Runs `test` on a runtime of its own.
fn run<T>(threads: bool, test: impl Future<Output = T>) -> T {
    let mut builder = if threads {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2);
        builder
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    builder.enable_all().build().unwrap().block_on(test)
}

async fn rest(turns: usize) {
    for _ in 0..turns {
        yield_now().await;
    }
}

/// Waits until `there` says so; on the clock of the others, whatever they wait for.
async fn until(what: &str, there: impl Fn() -> bool) {
    within(what, async {
        while !there() {
            yield_now().await;
        }
    })
    .await;
}

/// Polls `future` at most `polls` times, then drops it.
async fn poll<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..polls {
        let polled = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        yield_now().await;
    }
    None
}

// P5, P9: limits and conservation.

/// The pushers and pullers of a script; each pusher connects to each puller.
const PUSHERS: usize = 2;
const PULLERS: usize = 2;

/// What a connection reads beyond a full pipe: 64 KiB, begun and ended by a read of 128 KiB at most.
const READ_AHEAD: u64 = (64 + 2 * 128) * 1024;

#[derive(Debug, Clone)]
enum Op {
    TrySend {
        from: usize,
    },
    Send {
        from: usize,
        polls: usize,
    },
    SendMany {
        from: usize,
        count: u32,
        polls: usize,
    },
    TryRecv {
        at: usize,
    },
    Recv {
        at: usize,
        polls: usize,
    },
    RecvMany {
        at: usize,
        max: usize,
        polls: usize,
    },
    Rest {
        turns: usize,
    },
    /// Or connects again.
    Disconnect {
        from: usize,
        to: usize,
    },
    /// Or binds again.
    Unbind {
        at: usize,
    },
    ClosePusher {
        from: usize,
    },
    ClosePuller {
        at: usize,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let (from, at, polls) = (0..PUSHERS, 0..PULLERS, 0..6usize);
    prop_oneof![
        6 => from.clone().prop_map(|from| Op::TrySend { from }),
        6 => (from.clone(), polls.clone()).prop_map(|(from, polls)| Op::Send { from, polls }),
        4 => (from.clone(), 1..12u32, polls.clone())
            .prop_map(|(from, count, polls)| Op::SendMany { from, count, polls }),
        4 => at.clone().prop_map(|at| Op::TryRecv { at }),
        6 => (at.clone(), polls.clone()).prop_map(|(at, polls)| Op::Recv { at, polls }),
        4 => (at.clone(), 1..12usize, polls).prop_map(|(at, max, polls)| Op::RecvMany { at, max, polls }),
        8 => (1..20usize).prop_map(|turns| Op::Rest { turns }),
        1 => (from.clone(), at.clone()).prop_map(|(from, to)| Op::Disconnect { from, to }),
        1 => at.clone().prop_map(|at| Op::Unbind { at }),
        1 => from.prop_map(|from| Op::ClosePusher { from }),
        1 => at.prop_map(|at| Op::ClosePuller { at }),
    ]
}

#[derive(Debug, Clone)]
struct Script {
    transport: Transport,
    threads: bool,
    send: (usize, usize),
    recv: (usize, usize),
    /// Bytes of each message's second frame.
    padding: usize,
    ops: Vec<Op>,
}

fn script() -> impl Strategy<Value = Script> {
    let marks = || (0..6usize, prop_oneof![Just(0usize), 20..2_000usize]);
    // Now and then more than the kernel's buffers hold, so that connections are cut within messages.
    let padding = prop_oneof![4 => 0..300usize, 1 => Just(40_000usize)];
    let ops = prop::collection::vec(op(), 1..80);
    (transport(), any::<bool>(), marks(), marks(), padding, ops).prop_map(
        |(transport, threads, send, recv, padding, ops)| Script {
            transport,
            threads,
            send,
            recv,
            padding,
            ops,
        },
    )
}

/// One past or present pusher, as the script knows it.
struct Pusher {
    socket: Push,
    id: u32,
    next: u32,
    accepted: u64,
    connected: [bool; PULLERS],
}

struct Puller {
    socket: Pull,
    endpoint: String,
    bound: bool,
    /// Received by the application since this socket was made.
    received: u64,
}

struct Stage {
    script: Script,
    context: Context,
    pushers: Vec<Pusher>,
    pullers: Vec<Puller>,
    /// Pushers that close, with what they had accepted.
    closing: Vec<(u64, JoinHandle<(usize, Stats)>)>,
    next_id: u32,
    /// All that was received, by pusher, with the puller.
    received: HashMap<u32, Vec<(usize, u32)>>,
    /// Something happened after which messages may be lost on the way, unknown to both sides.
    lossy: bool,
    /// Unread when its puller was closed.
    discarded: u64,
    /// Two connections may have carried one pusher's messages to one puller.
    reordering: bool,
}

impl Stage {
    async fn new(script: Script) -> Self {
        let mut stage = Self {
            context: Context::new(),
            pushers: Vec::new(),
            pullers: Vec::new(),
            closing: Vec::new(),
            next_id: 0,
            received: HashMap::new(),
            lossy: false,
            discarded: 0,
            reordering: false,
            script,
        };
        for _ in 0..PULLERS {
            let socket = stage.puller();
            let endpoint = socket.bind(stage.script.transport.endpoint()).await.unwrap().to_string();
            stage.pullers.push(Puller { socket, endpoint, bound: true, received: 0 });
        }
        for _ in 0..PUSHERS {
            let pusher = stage.pusher().await;
            stage.pushers.push(pusher);
        }
        stage
    }

    fn puller(&self) -> Pull {
        let (messages, bytes) = self.script.recv;
        Pull::builder()
            .context(&self.context)
            .recv_hwm(messages)
            .recv_hwm_bytes(bytes)
            .recv_buffer(4096)
            .build()
            .unwrap()
    }

    async fn pusher(&mut self) -> Pusher {
        let (messages, bytes) = self.script.send;
        let socket = Push::builder()
            .context(&self.context)
            .send_hwm(messages)
            .send_hwm_bytes(bytes)
            .send_buffer(4096)
            .reconnect_interval(Duration::from_millis(1))
            .reconnect_max(Duration::from_millis(5))
            // Messages that have nowhere to go are counted when it is over.
            .linger(Duration::from_millis(100))
            .build()
            .unwrap();
        for puller in &self.pullers {
            socket.connect(puller.endpoint.as_str()).await.unwrap();
        }
        self.next_id += 1;
        Pusher { socket, id: self.next_id, next: 0, accepted: 0, connected: [true; PULLERS] }
    }

    fn messages(&mut self, from: usize, count: u32) -> VecDeque<Message> {
        let padding = self.script.padding;
        let pusher = &mut self.pushers[from];
        let first = pusher.next;
        pusher.next += count;
        (first..pusher.next)
            .map(|n| Message::from([format!("{:04} {n:06}", pusher.id).into_bytes(), vec![7; padding]]))
            .collect()
    }

    fn receive(&mut self, at: usize, message: &Message) {
        assert_eq!(message.frame_count(), 2, "a part is missing");
        assert_eq!(message[1].len(), self.script.padding, "a part is not whole");
        let (id, n) = message.to_str_pair();
        self.received.entry(id).or_default().push((at, n));
        self.pullers[at].received += 1;
    }

    async fn step(&mut self, op: &Op) {
        match *op {
            Op::TrySend { from } => {
                let message = self.messages(from, 1).pop_front().unwrap();
                let pusher = &mut self.pushers[from];
                match pusher.socket.try_send(message.clone()) {
                    Ok(()) => pusher.accepted += 1,
                    Err(error) => assert_eq!(error.into_message(), message, "it comes back whole"),
                }
            }
            Op::Send { from, polls } => {
                let message = self.messages(from, 1).pop_front().unwrap();
                let pusher = &mut self.pushers[from];
                if let Some(sent) = poll(polls, pusher.socket.send(message)).await {
                    sent.unwrap();
                    pusher.accepted += 1;
                }
            }
            Op::SendMany { from, count, polls } => {
                let mut messages = self.messages(from, count);
                let pusher = &mut self.pushers[from];
                poll(polls, pusher.socket.send_many(&mut messages)).await;
                pusher.accepted += u64::from(count) - messages.len() as u64;
            }
            Op::TryRecv { at } => {
                if let Ok(message) = self.pullers[at].socket.try_recv() {
                    self.receive(at, &message);
                }
            }
            Op::Recv { at, polls } => {
                let socket = self.pullers[at].socket.clone();
                if let Some(message) = poll(polls, socket.recv()).await {
                    self.receive(at, &message.unwrap());
                }
            }
            Op::RecvMany { at, max, polls } => {
                let socket = self.pullers[at].socket.clone();
                let mut messages = Vec::new();
                poll(polls, socket.recv_many(&mut messages, max)).await;
                assert!(messages.len() <= max);
                messages.iter().for_each(|message| self.receive(at, message));
            }
            Op::Rest { turns } => rest(turns).await,
            Op::Disconnect { from, to } => {
                let (pusher, endpoint) = (&mut self.pushers[from], self.pullers[to].endpoint.as_str());
                if pusher.connected[to] {
                    // D3.3: over inproc an endpoint goes with its binder.
                    if let Err(error) = pusher.socket.disconnect(endpoint) {
                        assert!(endpoint.starts_with("inproc:"), "{error}");
                    }
                    self.reordering = true;
                } else {
                    pusher.socket.connect(endpoint).await.unwrap();
                }
                pusher.connected[to] ^= true;
            }
            Op::Unbind { at } => {
                let puller = &mut self.pullers[at];
                if puller.bound {
                    puller.socket.unbind(puller.endpoint.as_str()).unwrap();
                    puller.bound = false;
                    // What was handed to the kernel may be lost with the connection.
                    self.lossy |= self.script.transport != Transport::Inproc;
                } else {
                    // The port may be somebody else's by now.
                    puller.bound = puller.socket.bind(puller.endpoint.as_str()).await.is_ok();
                }
            }
            Op::ClosePusher { from } => {
                let new = self.pusher().await;
                let old = std::mem::replace(&mut self.pushers[from], new);
                self.close(old);
            }
            Op::ClosePuller { at } => {
                // Likewise; in this process only what peers left behind that had been told it is sent.
                self.lossy |= self.script.transport != Transport::Inproc || self.script.threads;
                let stats = self.pullers[at].socket.stats();
                self.discarded += stats.unread - stats.peers.iter().map(|peer| peer.unread).sum::<u64>();
                let new = self.puller();
                let old = std::mem::replace(&mut self.pullers[at].socket, new);
                within("a puller to close", old.close()).await;
                let puller = &mut self.pullers[at];
                puller.received = 0;
                puller.bound = puller.socket.bind(puller.endpoint.as_str()).await.is_ok();
            }
        }
    }

    fn close(&mut self, Pusher { socket, accepted, .. }: Pusher) {
        let closing = async move {
            let closed = socket.close().await;
            (closed.undelivered, socket.stats())
        };
        self.closing.push((accepted, tokio::spawn(closing)));
    }

    /// The most messages and bytes that a pipe may hold.
    fn mark(&self, own: (usize, usize), other: (usize, usize)) -> (u64, u64) {
        let sum = |own: usize, other: usize| match (self.script.transport, own, other) {
            (_, 0, _) | (Transport::Inproc, _, 0) => u64::MAX,
            (Transport::Inproc, ..) => (own + other) as u64,
            _ => own as u64,
        };
        (sum(own.0, other.0), sum(own.1, other.1))
    }

    /// What must hold at every moment.
    fn check(&self) {
        let Script { send, recv, padding, .. } = self.script;
        for pusher in &self.pushers {
            let stats = pusher.socket.stats();
            assert_eq!(stats.sent + stats.queued + total(stats.dropped), pusher.accepted, "{stats:?}");
            let (messages, bytes) = self.mark(send, recv);
            for peer in &stats.peers {
                assert!(peer.queued <= messages, "{peer:?}");
                assert!(peer.queued_bytes <= bytes || peer.queued <= 1, "{peer:?}");
            }
        }
        for puller in &self.pullers {
            let stats = puller.socket.stats();
            assert_eq!(stats.received, puller.received, "{stats:?}");
            let (messages, bytes) = self.mark(recv, send);
            for peer in &stats.peers {
                assert!(peer.unread <= messages, "{peer:?}");
                // Within the budget before the last one came, or read ahead by the connection.
                let ahead = if self.script.transport == Transport::Inproc { 0 } else { READ_AHEAD };
                let unread = peer.unread.saturating_sub(1) * (padding as u64 + 13);
                assert!(unread <= bytes.saturating_add(ahead), "{peer:?}");
            }
        }
    }

    async fn finish(mut self) {
        for pusher in std::mem::take(&mut self.pushers) {
            self.close(pusher);
        }
        let (accepted, closing): (Vec<_>, Vec<_>) = std::mem::take(&mut self.closing).into_iter().unzip();
        let mut closed = pin!(join_all(closing));
        let mut ends = None;
        within("all to be closed, and received", async {
            loop {
                if ends.is_none() {
                    ends = (&mut closed).now_or_never();
                }
                let peers: usize = self.pullers.iter().map(|puller| puller.socket.stats().peers.len()).sum();
                let over = ends.is_some() && peers == 0;
                for at in 0..PULLERS {
                    while let Ok(message) = self.pullers[at].socket.try_recv() {
                        self.receive(at, &message);
                    }
                }
                if over {
                    return;
                }
                yield_now().await;
            }
        })
        .await;
        let mut lost = 0;
        for (accepted, end) in accepted.iter().zip(ends.unwrap()) {
            let (undelivered, stats) = end.unwrap();
            assert_eq!(stats.queued, 0);
            assert_eq!(stats.sent + total(stats.dropped), *accepted, "{stats:?}");
            assert!(undelivered as u64 <= stats.dropped.linger, "{undelivered} of {stats:?}");
            lost += total(stats.dropped);
        }
        let received = self.received.values().map(Vec::len).sum::<usize>() as u64;
        let accepted = accepted.iter().sum::<u64>();
        if self.lossy {
            assert!(received + lost <= accepted, "{received} received, {lost} lost, {accepted} accepted");
        } else {
            assert_eq!(received + lost + self.discarded, accepted, "{received} received, {lost} lost");
        }
        for (id, mut received) in std::mem::take(&mut self.received) {
            for at in 0..PULLERS {
                let order: Vec<_> = received.iter().filter(|(to, _)| *to == at).map(|(_, n)| *n).collect();
                assert!(self.reordering || order.is_sorted(), "pusher {id} to puller {at}: {order:?}");
            }
            received.sort_unstable_by_key(|(_, n)| *n);
            let twice = received.windows(2).find(|pair| pair[0].1 == pair[1].1);
            assert_eq!(twice, None, "pusher {id}");
        }
    }
}

fn total(dropped: Dropped) -> u64 {
    dropped.high_water_mark + dropped.disconnect + dropped.linger + dropped.no_route
}

trait Pair {
    fn to_str_pair(&self) -> (u32, u32);
}

impl Pair for Message {
    fn to_str_pair(&self) -> (u32, u32) {
        let text = std::str::from_utf8(self.first()).unwrap();
        let (id, n) = text.split_once(' ').unwrap();
        (id.parse().unwrap(), n.parse().unwrap())
    }
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn p5_p9_limits_hold_and_every_message_is_accounted_for(script in script()) {
        run(script.threads, async {
            let ops = script.ops.clone();
            let mut stage = Stage::new(script).await;
            for op in &ops {
                within(&format!("{op:?}"), stage.step(op)).await;
                stage.check();
            }
            stage.finish().await;
        });
    }
}

/// `unread` counts up to the mark only, so this one counts what is there: all that can be received
/// while the connection, on the same thread, cannot read.
#[tokio::test]
async fn p5_an_unread_pipe_holds_its_marks_and_what_is_read_ahead() {
    const SIZE: usize = 1000;
    for (transport, messages, bytes) in [
        (Transport::Tcp, 10, 0),
        (Transport::Tcp, 0, 10_000),
        (Transport::Ipc, 1, 0),
        (Transport::Ipc, 0, 500_000),
    ] {
        let pull = Pull::builder().recv_hwm(messages).recv_hwm_bytes(bytes).build().unwrap();
        let addr = pull.bind(transport.endpoint()).await.unwrap().to_string();
        let mut peer = RawPeer::connect(&addr).await;
        peer.handshake("PUSH", 1).await;
        let wire = frame_bytes(0, &[7; SIZE - 9]);
        // More than everything on the way can hold.
        let mut flood = pin!(async {
            loop {
                peer.send_raw(&wire.repeat(100)).await;
            }
        });
        let mut held = 0;
        let mut still = 0;
        within(&format!("{addr} to be full"), async {
            while still < 200 {
                assert!((&mut flood).now_or_never().is_none());
                yield_now().await;
                let there = pull.stats().unread;
                still = if there == held { still + 1 } else { 0 };
                held = there;
            }
        })
        .await;
        let unread = std::iter::from_fn(|| pull.try_recv().ok()).count();
        let mark = if messages > 0 { messages * SIZE } else { bytes };
        assert!(unread * SIZE >= mark, "{addr}: {unread} of {messages} or {bytes}");
        assert!(
            (unread * SIZE) as u64 <= mark as u64 + READ_AHEAD,
            "{addr}: {unread} of {messages} or {bytes}"
        );
    }
}

// P9 for fan-out: a copy is delivered or counted.

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn p9_every_copy_that_a_publisher_makes_is_delivered_or_counted(
        transport in transport(),
        threads in any::<bool>(),
        marks in (1..6usize, 1..6usize),
        // How many to publish, then how many each subscriber may receive.
        rounds in prop::collection::vec((0..20u32, 0..10usize, 0..10usize), 1..20),
    ) {
        run(threads, async {
            let publisher = Pub::builder().send_hwm(marks.0).build().unwrap();
            let addr = publisher.bind(transport.endpoint()).await.unwrap();
            let subscribers =
                [(); 2].map(|()| Sub::builder().subscribe("a").recv_hwm(marks.1).build().unwrap());
            for subscriber in &subscribers {
                subscriber.connect(&addr).await.unwrap();
            }
            within("the subscriptions", publisher.wait_for_subscribers(2)).await.unwrap();
            let (mut next, mut unmatched) = (0u32, 0u64);
            let mut received = [Vec::new(), Vec::new()];
            for (count, first, second) in rounds {
                for _ in 0..count {
                    let topic = if next % 5 == 4 { "b" } else { "a" };
                    unmatched += u64::from(topic == "b");
                    within("publishing", publisher.send([topic.to_owned(), next.to_string()])).await.unwrap();
                    next += 1;
                }
                for (at, count) in [first, second].into_iter().enumerate() {
                    received[at].extend((0..count).map_while(|_| subscribers[at].try_recv().ok()));
                }
                for peer in publisher.stats().peers {
                    let mark = marks.0 + if transport == Transport::Inproc { marks.1 } else { 0 };
                    assert!(peer.queued <= mark as u64, "{peer:?}");
                }
            }
            within("everything to be sent and received", async {
                loop {
                    let idle = publisher.stats().queued == 0;
                    for (subscriber, received) in subscribers.iter().zip(&mut received) {
                        received.extend(std::iter::from_fn(|| subscriber.try_recv().ok()));
                    }
                    let stats = publisher.stats();
                    let total = received.iter().map(Vec::len).sum::<usize>() as u64;
                    if idle && total == stats.sent {
                        return;
                    }
                    yield_now().await;
                }
            })
            .await;
            let stats = publisher.stats();
            assert_eq!(stats.dropped.no_route, unmatched);
            let matching = u64::from(next) - unmatched;
            assert_eq!(stats.sent + stats.dropped.high_water_mark, 2 * matching, "{stats:?}");
            for peer in &stats.peers {
                assert_eq!(peer.sent + peer.dropped, matching, "{peer:?}");
            }
            for received in received {
                let order: Vec<u32> = received.iter().map(|m| m[1].to_str().unwrap().parse().unwrap()).collect();
                assert!(order.windows(2).all(|pair| pair[0] < pair[1]), "{order:?}");
            }
        });
    }
}

trait Text {
    fn to_str(&self) -> Result<&str, std::str::Utf8Error>;
}

impl Text for sinew::Frame {
    fn to_str(&self) -> Result<&str, std::str::Utf8Error> {
        std::str::from_utf8(self)
    }
}

// P3: whole messages.

#[tokio::test]
async fn p3_t12_a_connection_cut_at_any_byte_of_a_message_leaves_whole_messages_only() {
    let parts: [&[u8]; 3] = [b"one", &[2; 300], b"three"];
    let bytes = [frame_bytes(MORE, parts[0]), frame_bytes(MORE, parts[1]), frame_bytes(0, parts[2])].concat();
    for transport in [Transport::Tcp, Transport::Ipc] {
        let pull = Pull::new();
        let addr = pull.bind(transport.endpoint()).await.unwrap().to_string();
        for cut in 0..=bytes.len() {
            for reset in [false, true] {
                let what = &format!("{addr}, cut at {cut} of {}, reset: {reset}", bytes.len());
                let mut broken = RawPeer::connect(&addr).await;
                broken.handshake("PUSH", 1).await;
                broken.send_raw(&bytes[..cut]).await;
                if cut == bytes.len() {
                    let whole = within(what, pull.recv()).await.unwrap();
                    assert!(whole.frames().map(|frame| &frame[..]).eq(parts), "{what}: {whole:?}");
                }
                if reset {
                    broken.reset()
                } else {
                    drop(broken)
                }
                let mut next = RawPeer::connect(&addr).await;
                next.handshake("PUSH", 1).await;
                next.send_msg(&[b"next", b"whole"]).await;
                let received = within(what, pull.recv()).await.unwrap();
                assert_eq!(received, ["next", "whole"], "{what}");
            }
        }
        until("the peers to be gone", || pull.stats().peers.is_empty()).await;
        assert!(pull.try_recv().is_err());
        assert_eq!(pull.stats().unread, 0);
    }
}

// P6, P7: taking turns.

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn p6_equally_ready_peers_are_received_from_in_turn(
        transport in transport(),
        counts in prop::collection::vec(0..40u32, 2..5),
        batch in 1..8usize,
    ) {
        run(false, async {
            let pull = Pull::new();
            let addr = pull.bind(transport.endpoint()).await.unwrap();
            let mut pushers = Vec::new();
            for (who, &count) in counts.iter().enumerate() {
                let push = Push::new();
                push.connect(&addr).await.unwrap();
                for n in 0..count {
                    push.try_send(format!("{who} {n}")).unwrap();
                }
                pushers.push(push);
            }
            let all: u32 = counts.iter().sum();
            if transport != Transport::Inproc {
                until("all to be there", || pull.stats().unread == u64::from(all)).await;
            }
            let mut received = Vec::new();
            while received.len() < all as usize {
                if received.len() % 2 == 0 {
                    received.push(within("a message", pull.recv()).await.unwrap());
                } else {
                    within("messages", pull.recv_many(&mut received, batch)).await.unwrap();
                }
            }
            let mut left = counts.clone();
            let mut had = vec![0u32; counts.len()];
            for message in received {
                let (who, n) = message.to_str_pair();
                let who = who as usize;
                assert_eq!(n, had[who], "in order");
                had[who] += 1;
                left[who] -= 1;
                for other in (0..counts.len()).filter(|&other| left[other] > 0) {
                    assert!(had[who] <= had[other] + 1, "{who} before {other}: {had:?}");
                }
            }
            assert_eq!(had, counts);
        });
    }

    #[test]
    fn p7_full_peers_are_skipped_and_none_is_starved(
        transport in prop::sample::select(vec![Transport::Inproc, Transport::Ipc]),
        hwm in 1..5usize,
        peers in 2..5usize,
        drained in prop::collection::vec(0..5usize, 1..20),
    ) {
        run(false, async {
            let push = Push::builder().send_hwm(hwm).build().unwrap();
            let addr = push.bind(transport.endpoint()).await.unwrap();
            let pullers: Vec<_> =
                (0..peers).map(|_| Pull::builder().recv_hwm(1).build().unwrap()).collect();
            for pull in &pullers {
                pull.connect(&addr).await.unwrap();
            }
            within("the peers", push.wait_for_peers(peers)).await.unwrap();
            let (mut accepted, mut received) = (0, 0);
            // Large enough that a kernel's buffer holds two or three.
            let message = Message::from(vec![0u8; 100_000]);
            let fill = async |accepted: &mut usize| {
                // Full for good: whatever a connection could still write, it has.
                let mut full = 0;
                while full < 20 {
                    match push.try_send(message.clone()) {
                        Ok(()) => {
                            *accepted += 1;
                            full = 0;
                        }
                        Err(error) => {
                            assert_eq!(error.kind(), SendErrorKind::Full);
                            full += 1;
                        }
                    }
                    yield_now().await;
                }
            };
            within("all to be full", fill(&mut accepted)).await;
            for at in drained {
                // All but one are full, and that one gets its share.
                let pull = &pullers[at % peers];
                let mut got = 0;
                within("one to be empty", async {
                    let mut empty = 0;
                    while empty < 20 {
                        match pull.try_recv() {
                            Ok(_) => (got, empty) = (got + 1, 0),
                            Err(_) => empty += 1,
                        }
                        yield_now().await;
                    }
                })
                .await;
                received += got;
                assert!(got > 0, "starved");
                let before = accepted;
                within("a send past the full ones", push.send(message.clone())).await.unwrap();
                accepted += 1;
                within("all to be full again", fill(&mut accepted)).await;
                assert!(accepted > before);
                for peer in push.stats().peers {
                    let mark = hwm + usize::from(transport == Transport::Inproc);
                    assert!(peer.queued <= mark as u64, "{peer:?}");
                }
            }
            within("the rest", async {
                while received < accepted {
                    received += pullers.iter().filter(|pull| pull.try_recv().is_ok()).count();
                    yield_now().await;
                }
            })
            .await;
            assert!(pullers.iter().all(|pull| pull.try_recv().is_err()), "doubled");
        });
    }
}

// P12: routing ids.

#[derive(Debug, Clone)]
enum Visit {
    /// A peer of this name comes, or leaves if it is there.
    Name(usize),
    /// A message to the connection that this many visits ago had been heard of.
    Reply(usize),
    /// A message to whoever has this name.
    Call(usize),
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn p12_d26_what_is_for_one_connection_never_reaches_a_newcomer_of_its_name(
        transport in transport(),
        visits in prop::collection::vec(
            prop_oneof![
                (0..3usize).prop_map(Visit::Name),
                (0..20usize).prop_map(Visit::Reply),
                (0..3usize).prop_map(Visit::Call),
            ],
            1..60,
        ),
    ) {
        run(false, async {
            let router = Router::builder().mandatory(true).build().unwrap();
            let addr = router.bind(transport.endpoint()).await.unwrap();
            let mut present: [Option<(usize, Dealer)>; 3] = [None, None, None];
            let mut known: Vec<(usize, RoutingId)> = Vec::new();
            for visit in visits {
                match visit {
                    Visit::Name(name) => match present[name].take() {
                        Some((_, dealer)) => {
                            within("a dealer to close", dealer.close()).await;
                            let there = present.iter().flatten().count();
                            until("its leaving to be seen", || router.stats().peers.len() == there).await;
                        }
                        None => {
                            let generation = known.len();
                            let dealer = Dealer::builder().routing_id(format!("peer {name}")).build().unwrap();
                            dealer.connect(&addr).await.unwrap();
                            dealer.try_send(generation.to_string()).unwrap();
                            let (id, message) = within("its first message", router.recv()).await.unwrap();
                            assert_eq!(message, generation.to_string().as_str());
                            assert_eq!(id, RoutingId::from(format!("peer {name}")));
                            known.push((name, id));
                            present[name] = Some((generation, dealer));
                        }
                    },
                    Visit::Reply(ago) => {
                        let Some(generation) = known.len().checked_sub(ago + 1) else { continue };
                        let (name, id) = &known[generation];
                        let sent = router.try_send(id, generation.to_string());
                        match &present[*name] {
                            Some((current, dealer)) if *current == generation => {
                                sent.unwrap();
                                let reply = within("the reply", dealer.recv()).await.unwrap();
                                assert_eq!(reply, generation.to_string().as_str());
                            }
                            _ => assert_eq!(sent.unwrap_err().kind(), SendErrorKind::Unroutable),
                        }
                    }
                    Visit::Call(name) => {
                        let sent = router.try_send(format!("peer {name}"), "call");
                        match &present[name] {
                            Some((_, dealer)) => {
                                sent.unwrap();
                                assert_eq!(within("the call", dealer.recv()).await.unwrap(), "call");
                            }
                            None => assert_eq!(sent.unwrap_err().kind(), SendErrorKind::Unroutable),
                        }
                    }
                }
                for (generation, dealer) in present.iter().flatten() {
                    assert!(dealer.try_recv().is_err(), "{generation} got what was not for it");
                }
            }
        });
    }
}

// What the scripts find only by chance, each once.

/// A peer that left, and one that came in its place, in the same breath.
#[tokio::test]
async fn b0_6_what_a_peer_sent_before_it_left_survives_newcomers() {
    for transport in TRANSPORTS {
        let pull = Pull::new();
        let addr = pull.bind(transport.endpoint()).await.unwrap();
        for n in 0..20 {
            let push = Push::new();
            push.connect(&addr).await.unwrap();
            push.try_send(n.to_string()).unwrap();
            assert_eq!(within("close", push.close()).await.undelivered, 0);
            until("it to be gone", || pull.stats().peers.is_empty()).await;
        }
        for n in 0..20 {
            assert_eq!(within(&format!("{addr}: {n}"), pull.recv()).await.unwrap(), n.to_string().as_str());
        }
    }
}

/// More senders wait than there is room for at once.
#[tokio::test]
async fn every_waiting_sender_gets_its_turn() {
    for transport in TRANSPORTS {
        let push = Push::builder().send_hwm(1).build().unwrap();
        let addr = push.bind(transport.endpoint()).await.unwrap();
        let senders: Vec<_> = (0..50)
            .map(|n: i32| {
                let push = push.clone();
                tokio::spawn(async move { push.send(n.to_string()).await.unwrap() })
            })
            .collect();
        rest(3).await;
        let pull = Pull::builder().recv_hwm(1).build().unwrap();
        pull.connect(&addr).await.unwrap();
        let mut received = Vec::new();
        for n in 0..50 {
            let message = within(&format!("{addr}: message {n}"), pull.recv()).await.unwrap();
            received.push(message.to_str().unwrap().parse::<i32>().unwrap());
        }
        received.sort_unstable();
        assert!(received.into_iter().eq(0..50));
        within("the senders", join_all(senders)).await;
    }
}

/// Senders to two peers wait in one queue.
#[tokio::test]
async fn a_sender_to_one_peer_does_not_wait_for_another() {
    for (transport, size) in [(Transport::Inproc, 1), (Transport::Ipc, 200_000)] {
        let router = Router::builder().mandatory(true).send_hwm(1).build().unwrap();
        let addr = router.bind(transport.endpoint()).await.unwrap();
        let dealers =
            ["stuck", "busy"].map(|name| Dealer::builder().routing_id(name).recv_hwm(1).build().unwrap());
        for dealer in &dealers {
            dealer.connect(&addr).await.unwrap();
        }
        within("the dealers", router.wait_for_peers(2)).await.unwrap();
        for name in ["stuck", "busy"] {
            for _ in 0..20 {
                while router.try_send(name, vec![0; size]).is_ok() {}
                yield_now().await;
            }
        }
        let send = |name: &'static str| {
            let router = router.clone();
            tokio::spawn(async move { router.send(name, vec![1; size]).await.unwrap() })
        };
        let stuck: Vec<_> = (0..5).map(|_| send("stuck")).collect();
        rest(3).await;
        let busy = send("busy");
        rest(3).await;
        let sent = within("the last message", async {
            while dealers[1].recv().await.unwrap()[0][0] == 0 {}
            busy.await.unwrap();
        });
        sent.await;
        stuck.iter().for_each(JoinHandle::abort);
    }
}

/// C2.2, D3.2: given up before anybody bound, it is not linked later.
#[tokio::test]
async fn d3_2_an_inproc_endpoint_given_up_before_it_is_bound_stays_given_up() {
    let endpoint = Transport::Inproc.endpoint();
    let push = Push::new();
    push.connect(endpoint.as_str()).await.unwrap();
    push.try_send("given up").unwrap();
    push.disconnect(endpoint.as_str()).unwrap();
    assert_eq!((push.stats().queued, push.stats().dropped.linger), (0, 1));
    let pull = Pull::new();
    pull.bind(endpoint.as_str()).await.unwrap();
    assert!(pull.stats().peers.is_empty());
    assert!(pull.try_recv().is_err());
    push.connect(endpoint.as_str()).await.unwrap();
    push.try_send("again").unwrap();
    assert_eq!(within("the second", pull.recv()).await.unwrap(), "again");
}

/// C5.6, for every transport.
#[tokio::test]
async fn c5_6_unbind_ends_the_peers_that_came_that_way() {
    for transport in TRANSPORTS {
        let pull = Pull::new();
        let addr = pull.bind(transport.endpoint()).await.unwrap();
        let push = Push::builder().reconnect(false).build().unwrap();
        push.connect(&addr).await.unwrap();
        push.try_send("before").unwrap();
        assert_eq!(within("a message", pull.recv()).await.unwrap(), "before");
        pull.unbind(&addr).unwrap();
        until("both to be alone", || pull.stats().peers.is_empty() && push.stats().peers.is_empty()).await;
        let error = push.try_send("after").unwrap_err();
        assert_eq!(error.kind(), SendErrorKind::NoPeer, "{transport:?}");
    }
}

/// 8: what was not delivered is reported, and to whoever asks.
#[tokio::test]
async fn close_reports_the_same_to_all_who_wait_for_it() {
    for transport in [Transport::Inproc, Transport::Ipc] {
        let push = Push::builder().linger(Duration::ZERO).build().unwrap();
        push.connect(transport.endpoint()).await.unwrap();
        for _ in 0..3 {
            push.try_send("nobody there").unwrap();
        }
        let both = async { tokio::join!(push.close(), push.close()) };
        let (first, second) = within("both", both).await;
        let third = within("a late one", push.close()).await;
        assert_eq!([first, second, third].map(|closed| closed.undelivered), [3; 3], "{transport:?}");
        assert_eq!(push.stats().dropped.linger, 3);
    }
}

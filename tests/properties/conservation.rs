//! P5, P9: limits hold at every step, and nothing is lost unseen.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use proptest::prelude::*;
use sinew::{Context, Dropped, Message, Pull, Push, Stats};
use tokio::task::{JoinHandle, yield_now};

use crate::support::raw_peer::{RawPeer, frame_bytes};
use crate::support::within;
use crate::{Medium, Pair, cases, medium, poll, rest, run};

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
    medium: Medium,
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
    (medium(), any::<bool>(), marks(), marks(), padding, ops).prop_map(
        |(medium, threads, send, recv, padding, ops)| Script { medium, threads, send, recv, padding, ops },
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
            let endpoint = socket.bind(stage.script.medium.any()).await.unwrap().to_string();
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
                    self.lossy |= self.script.medium != Medium::Inproc;
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
                self.lossy |= self.script.medium != Medium::Inproc || self.script.threads;
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
        let sum = |own: usize, other: usize| match (self.script.medium, own, other) {
            (_, 0, _) | (Medium::Inproc, _, 0) => u64::MAX,
            (Medium::Inproc, ..) => (own + other) as u64,
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
                let ahead = if self.script.medium == Medium::Inproc { 0 } else { READ_AHEAD };
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
    for (medium, messages, bytes) in
        [(Medium::Tcp, 10, 0), (Medium::Tcp, 0, 10_000), (Medium::Ipc, 1, 0), (Medium::Ipc, 0, 500_000)]
    {
        let pull = Pull::builder().recv_hwm(messages).recv_hwm_bytes(bytes).build().unwrap();
        let addr = pull.bind(medium.any()).await.unwrap().to_string();
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

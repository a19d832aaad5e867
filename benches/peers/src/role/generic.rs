//! The roles, written once for the libraries that are not ours.
//!
//! As in `sinew perf`, a message is a clone of one that is at hand, each call sends or receives one message, and the
//! loop of a single socket runs in the main task. What differs: they have no way to wait for their peers that all of
//! them share, so a sender waits for a time; and a silent receiver is ended by a token and not by closing its socket,
//! which costs one poll of it each time that the loop has to wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::perf::payload::{expected, payload, payloads, shares, topics};
use crate::perf::router::IN_FLIGHT;
use crate::perf::tally::{Tally, line, round_trips};
use crate::perf::{Args, Flavor, Outcome, Role};

/// How long a receiver waits for the next message before it ends with what it has.
pub(super) const SILENCE: Duration = Duration::from_secs(3);

/// A socket of one of the libraries.
pub(super) trait Peer: Send + Sized + 'static {
    /// Whether calls block their thread; then each socket has one.
    const BLOCKING: bool = false;
    type Context: Send + Sync;
    type Message: Clone + Send + Sync;

    fn context() -> Outcome<Self::Context>;
    fn message(payload: Vec<u8>) -> Self::Message;
    fn open(context: &Self::Context, role: Role, hwm: u32) -> impl Future<Output = Outcome<Self>> + Send;
    /// Gives back where it is bound.
    fn bind(&mut self, endpoint: &str) -> impl Future<Output = Outcome<String>> + Send;
    fn connect(&mut self, endpoint: &str) -> impl Future<Output = Outcome> + Send;
    fn subscribe(&mut self, topic: &str) -> impl Future<Output = Outcome> + Send;
    fn send(&mut self, message: Self::Message) -> impl Future<Output = Outcome> + Send;
    fn recv(&mut self) -> impl Future<Output = Outcome<Self::Message>> + Send;
    /// Sends the next message back where it came from.
    fn echo(&mut self) -> impl Future<Output = Outcome> + Send {
        async {
            let message = self.recv().await?;
            self.send(message).await
        }
    }
}

pub(super) fn run<P: Peer>(args: Args) -> Outcome {
    let runtime = if P::BLOCKING {
        Builder::new_current_thread().enable_all().max_blocking_threads(4096).build()?
    } else {
        args.runtime.start()?
    };
    // As `sinew perf` does: on multi_thread, in a task.
    let task = args.runtime == Flavor::Mt && !P::BLOCKING;
    if task { runtime.block_on(runtime.spawn(role::<P>(args)))? } else { runtime.block_on(role::<P>(args)) }
}

async fn role<P: Peer>(args: Args) -> Outcome {
    match args.role {
        Role::Pull | Role::Sub => receive::<P>(&args).await?,
        Role::Dealer => ask::<P>(&args).await?,
        Role::Req => request::<P>(&args).await?,
        Role::Inproc => inproc::<P>(&args).await?,
        Role::Push | Role::Pub => return send::<P>(&args).await,
        Role::Rep | Role::Router => return reply::<P>(&args).await,
    }
    super::done();
    // Whatever the library does at its end, the run is over.
    std::process::exit(0)
}

async fn open<P: Peer>(context: &P::Context, args: &Args) -> Outcome<Vec<P>> {
    let hwm = u32::try_from(args.hwm.unwrap_or(1000))?;
    let mut peers = Vec::new();
    if args.binds() {
        let mut peer = P::open(context, args.role, hwm).await?;
        eprintln!("bound {}", peer.bind(&args.endpoint).await?);
        peers.push(peer);
        return Ok(peers);
    }
    for index in 0..args.sockets {
        let mut peer = P::open(context, args.role, hwm).await?;
        peer.connect(&args.endpoint).await?;
        if args.role == Role::Sub {
            for topic in topics(args, index) {
                peer.subscribe(&topic).await?;
            }
        }
        peers.push(peer);
    }
    Ok(peers)
}

/// Runs a loop beside others: in a task, or in a thread if it blocks.
fn spawn<P: Peer, T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    if P::BLOCKING {
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || runtime.block_on(work))
    } else {
        tokio::spawn(work)
    }
}

/// Runs one loop where it is, several beside each other.
async fn run_all<P: Peer, F>(mut loops: Vec<F>) -> Outcome<Vec<F::Output>>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let mut results = Vec::new();
    if loops.len() == 1 {
        for only in loops.drain(..) {
            results.push(only.await);
        }
    }
    let tasks: Vec<_> = loops.into_iter().map(spawn::<P, _>).collect();
    for task in tasks {
        results.push(task.await?);
    }
    Ok(results)
}

/// Ends the receiving loops.
#[derive(Default)]
struct Watch {
    seen: Vec<Arc<AtomicU64>>,
    over: CancellationToken,
}

/// A tally that the watch can look at.
struct Counter {
    tally: Tally,
    got: u64,
    seen: Arc<AtomicU64>,
}

impl Watch {
    fn counter(&mut self, limit: u64, share: u64) -> (Counter, CancellationToken) {
        let seen = Arc::new(AtomicU64::new(0));
        self.seen.push(seen.clone());
        (Counter { tally: Tally::new(limit, share), got: 0, seen }, self.over.clone())
    }

    /// Ends the loops when all messages are there, or after a silence.
    async fn run(self, of: u64) {
        let (mut total, mut since) = (0, Instant::now());
        while total < of && (total == 0 || since.elapsed() < SILENCE) {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let now = self.seen.iter().map(|seen| seen.load(Ordering::Relaxed)).sum();
            if now != total {
                (total, since) = (now, Instant::now());
            }
        }
        self.over.cancel();
    }
}

impl Counter {
    fn count(&mut self) {
        self.tally.count();
        self.got += 1;
        self.seen.store(self.got, Ordering::Relaxed);
    }
}

/// Runs `work` until it ends by itself, or all is over.
async fn unless_over(over: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = work => (),
        () = over.cancelled() => (),
    }
}

async fn receive<P: Peer>(args: &Args) -> Outcome {
    let context = P::context()?;
    let peers = open::<P>(&context, args).await?;
    drain_all(args, peers).await
}

async fn drain_all<P: Peer>(args: &Args, peers: Vec<P>) -> Outcome {
    let (of, limit, share) = expected(args, u32::try_from(peers.len())?);
    let mut watch = Watch::default();
    let loops = peers.into_iter().map(|peer| drain(peer, watch.counter(limit, share))).collect();
    tokio::spawn(watch.run(of));
    let tallies = run_all::<P, _>(loops).await?;
    println!("{}", line("got", &tallies, of, args.size)?);
    Ok(())
}

async fn drain<P: Peer>(mut peer: P, (mut counter, over): (Counter, CancellationToken)) -> Tally {
    let work = async {
        while counter.tally.wants_more() && peer.recv().await.is_ok() {
            counter.count();
        }
    };
    unless_over(over, work).await;
    counter.tally
}

async fn ask<P: Peer>(args: &Args) -> Outcome {
    let context = P::context()?;
    let peers = open::<P>(&context, args).await?;
    let request = P::message(payload(args.size));
    let mut watch = Watch::default();
    let loops = peers
        .into_iter()
        .zip(shares(args.count, args.sockets))
        .map(|(peer, share)| ask_one(peer, request.clone(), share, watch.counter(share, share)))
        .collect();
    tokio::spawn(watch.run(args.count));
    let tallies = run_all::<P, _>(loops).await?;
    println!("{}", line("got", &tallies, args.count, args.size)?);
    Ok(())
}

async fn ask_one<P: Peer>(
    mut peer: P,
    request: P::Message,
    count: u64,
    (mut counter, over): (Counter, CancellationToken),
) -> Tally {
    let work = async {
        let mut unsent = count;
        while unsent > count.saturating_sub(IN_FLIGHT) && peer.send(request.clone()).await.is_ok() {
            unsent -= 1;
        }
        while counter.tally.wants_more() && peer.recv().await.is_ok() {
            counter.count();
            if unsent > 0 && peer.send(request.clone()).await.is_ok() {
                unsent -= 1;
            }
        }
    };
    unless_over(over, work).await;
    counter.tally
}

async fn reply<P: Peer>(args: &Args) -> Outcome {
    let context = P::context()?;
    let mut peers = open::<P>(&context, args).await?;
    for peer in &mut peers {
        for _ in 0..args.count {
            peer.echo().await?;
        }
    }
    hold().await
}

async fn request<P: Peer>(args: &Args) -> Outcome {
    let context = P::context()?;
    let mut trips = Vec::new();
    for mut peer in open::<P>(&context, args).await? {
        let request = P::message(payload(args.size));
        for _ in 0..args.count {
            let start = Instant::now();
            peer.send(request.clone()).await?;
            peer.recv().await?;
            trips.push(start.elapsed());
        }
    }
    trips.sort_unstable();
    println!("{}", round_trips(&trips));
    Ok(())
}

async fn send<P: Peer>(args: &Args) -> Outcome {
    let context = P::context()?;
    let peers = open::<P>(&context, args).await?;
    if args.role == Role::Pub || args.sockets > 1 {
        let topics = u32::try_from(args.topics)?;
        // Long enough for connections and subscriptions to arrive.
        let settle = Duration::from_millis(1000) + Duration::from_millis(2) * args.sockets;
        tokio::time::sleep(settle + Duration::from_micros(30) * topics).await;
    }
    let messages: Arc<[_]> = payloads(args).into_iter().map(P::message).collect();
    let peer_count = u32::try_from(peers.len())?;
    let loops = peers.into_iter().zip(shares(args.count, peer_count));
    let loops = loops.map(|(peer, share)| fill(peer, messages.clone(), share)).collect();
    let (_alive, tallies): (Vec<_>, Vec<_>) = run_all::<P, _>(loops).await?.into_iter().unzip();
    eprintln!("{}", line("sent", &tallies, args.count, args.size)?);
    hold().await
}

async fn fill<P: Peer>(mut peer: P, messages: Arc<[P::Message]>, count: u64) -> (P, Tally) {
    let mut tally = Tally::new(count, count);
    for message in messages.iter().cycle() {
        if !tally.wants_more() || peer.send(message.clone()).await.is_err() {
            break;
        }
        tally.count();
    }
    (peer, tally)
}

async fn inproc<P: Peer>(args: &Args) -> Outcome {
    let context = P::context()?;
    let hwm = u32::try_from(args.hwm.unwrap_or(1000))?;
    let mut pull = P::open(&context, Role::Pull, hwm).await?;
    pull.bind(&args.endpoint).await?;
    let mut push = P::open(&context, Role::Push, hwm).await?;
    push.connect(&args.endpoint).await?;
    let messages: Arc<[_]> = payloads(args).into_iter().map(P::message).collect();
    let (runtime, count) = (args.runtime, args.count);
    let sender = fill(push, messages, count);
    // As in `sinew perf`: across threads on either runtime.
    let sent = match (P::BLOCKING, runtime) {
        (false, Flavor::Ct) => {
            tokio::task::spawn_blocking(move || Ok::<_, std::io::Error>(runtime.start()?.block_on(sender)))
        }
        _ => spawn::<P, _>(async { Ok(sender.await) }),
    };
    drain_all(args, vec![pull]).await?;
    sent.await??;
    Ok(())
}

/// Keeps what was sent on its way until the process is ended from outside.
async fn hold() -> Outcome {
    super::done();
    std::future::pending().await
}

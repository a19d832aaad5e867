//! What attacks cost: descriptors, memory and time of a process. The victim is a process of its own, this test binary
//! again, so that other tests do not disturb the figures; the attacker is the test.
//!
//! The victim reads commands, a line each, and answers each with one line.

use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sinew::{EventKind, Monitor, Pub, Pull, Push, SendErrorKind, Socket, XPub};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::kit::{Soon, bind, counted, event};
use crate::support::raw_peer::{LONG, RawPeer, frame_bytes};

const MARK: &str = ">> ";
/// Resident memory of a process varies by this much for reasons of its own.
const NOISE: usize = 6 << 20;

/// The attacked process.
struct Victim {
    // Killed when it is dropped.
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    endpoint: String,
}

impl Victim {
    /// Starts a victim that may open `descriptors`, or as many as this process may.
    async fn start(kind: &str, descriptors: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "resources::victim", "--ignored", "--nocapture"])
            .env("SINEW_VICTIM", format!("{kind} {descriptors}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let output = BufReader::new(output).lines();
        let mut victim = Self { _child: child, input, output, endpoint: String::new() };
        victim.endpoint = victim.says().await;
        victim
    }

    async fn says(&mut self) -> String {
        loop {
            let line = self.output.next_line().soon().await.unwrap().expect("the victim lives");
            if let Some(said) = line.strip_prefix(MARK) {
                return said.to_owned();
            }
        }
    }

    async fn ask(&mut self, command: &str) -> String {
        self.input.write_all(format!("{command}\n").as_bytes()).await.unwrap();
        self.says().await
    }

    async fn numbers(&mut self, command: &str) -> [usize; 2] {
        let said = self.ask(command).await;
        let mut numbers = said.split(' ').map(|number| number.parse().unwrap());
        [numbers.next().unwrap(), numbers.next().unwrap()]
    }

    /// Bytes that are resident, and that are mapped.
    async fn memory(&mut self) -> [usize; 2] {
        self.numbers("memory").await
    }

    async fn peer(&self, kind: &str) -> RawPeer {
        let mut peer = RawPeer::connect(&self.endpoint).await;
        peer.handshake(kind, 1).await;
        peer
    }
}

/// The other side of [`Victim`]; nothing by itself.
#[test]
#[ignore = "a process that other tests start"]
fn victim() {
    let Ok(what) = std::env::var("SINEW_VICTIM") else { return };
    let (kind, descriptors) = what.split_once(' ').unwrap();
    allow(descriptors.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match kind {
            "pull" => serve(Pull::new(), pull).await,
            "xpub" => serve(XPub::new(), nothing).await,
            "pub" => serve(Pub::new(), publish).await,
            "push" => serve(Push::new(), push).await,
            other => panic!("{other}"),
        }
    });
}

fn allow(descriptors: u64) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let current = Some(maximum.map_or(descriptors, |maximum| maximum.min(descriptors)));
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
}

async fn serve<S: Socket>(socket: S, act: impl AsyncFn(&S, &mut Monitor, &[&str]) -> String) {
    let mut monitor = socket.monitor();
    let say = |line: &str| {
        // A line of its own: the harness has begun one.
        println!("\n{MARK}{line}");
        std::io::stdout().flush().unwrap();
    };
    say(&bind(&socket).await);
    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    while let Some(command) = commands.next_line().await.unwrap() {
        let words: Vec<_> = command.split(' ').collect();
        let answer = match words[..] {
            ["memory"] => {
                let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
                let pages: Vec<usize> =
                    pages.split(' ').take(2).map(|pages| pages.parse().unwrap()).collect();
                format!("{} {}", pages[1] * rustix::param::page_size(), pages[0] * rustix::param::page_size())
            }
            ["peers", count] => {
                socket.wait_for_peers(count.parse().unwrap()).soon().await.map(|()| "there".into()).unwrap()
            }
            ["unread", count] => {
                let count = count.parse().unwrap();
                counted(&socket, |stats| stats.unread >= count).await;
                "there".into()
            }
            _ => act(&socket, &mut monitor, &words).await,
        };
        say(&answer);
    }
    // Standard input has a thread, which would be waited for.
    std::process::exit(0);
}

async fn nothing<S>(_: &S, _: &mut Monitor, command: &[&str]) -> String {
    panic!("{command:?}")
}

async fn pull(pull: &Pull, monitor: &mut Monitor, command: &[&str]) -> String {
    match command {
        ["receive"] => pull.recv().soon().await.unwrap().to_str().unwrap().to_owned(),
        // The time that it takes, and the processor's.
        ["exhausted", failures] => {
            let (began, used) = (Instant::now(), processor_time());
            for _ in 0..failures.parse().unwrap() {
                let no_descriptor = rustix::io::Errno::MFILE.raw_os_error();
                event(monitor, |event| match &event.kind {
                    EventKind::AcceptFailed(error) => {
                        (error.raw_os_error() == Some(no_descriptor)).then_some(())
                    }
                    _ => None,
                })
                .await;
            }
            format!("{} {}", began.elapsed().as_millis(), (processor_time() - used).as_millis())
        }
        other => panic!("{other:?}"),
    }
}

async fn publish(publisher: &Pub, _: &mut Monitor, command: &[&str]) -> String {
    match command {
        ["send"] => {
            publisher.wait_for_subscribers(1).soon().await.unwrap();
            for _ in 0..2000 {
                publisher.send(vec![1; 100_000]).soon().await.unwrap();
            }
            format!("{}", publisher.stats().dropped.high_water_mark)
        }
        ["topics"] => publisher.topic_count().to_string(),
        other => panic!("{other:?}"),
    }
}

async fn push(push: &Push, _: &mut Monitor, command: &[&str]) -> String {
    assert_eq!(command, ["send"]);
    let mut refused = 0;
    for _ in 0..2000 {
        match push.try_send(vec![1; 100_000]) {
            Ok(()) => tokio::task::yield_now().await,
            Err(error) => {
                assert_eq!(error.kind(), SendErrorKind::Full);
                refused += 1;
            }
        }
    }
    refused.to_string()
}

/// Of this process. Without a file, for there may be no descriptor for one.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap()
}

/// Limits R1.
#[tokio::test]
async fn d5_a_listener_out_of_descriptors_waits_keeps_its_peers_and_accepts_again() {
    let mut victim = Victim::start("pull", 64).await;
    let mut established = victim.peer("PUSH").await;
    established.send_msg(&[b"before"]).await;
    assert_eq!(victim.ask("receive").await, "before");
    // It has less than 64 places; the others wait in the backlog.
    let mut silent = Vec::new();
    for _ in 0..90 {
        silent.push(RawPeer::connect(&victim.endpoint).await);
    }
    // 10 ms, doubling: 1.27 s until the eighth.
    let [elapsed, used] = victim.numbers("exhausted 8").await;
    assert!(elapsed >= 1000 && used * 10 <= elapsed, "{used} ms of the processor in {elapsed} ms");
    established.send_msg(&[b"meanwhile"]).await;
    assert_eq!(victim.ask("receive").await, "meanwhile");
    drop(silent);
    let freed = Instant::now();
    let mut newcomer = victim.peer("PUSH").await;
    assert!(freed.elapsed() < Duration::from_secs(3), "{:?}", freed.elapsed());
    newcomer.send_msg(&[b"after"]).await;
    assert_eq!(victim.ask("receive").await, "after");
    established.settle().await;
}

#[tokio::test]
async fn d7_a_thousand_claims_of_the_largest_message_cost_what_has_come_of_them() {
    const PEERS: usize = 1000;
    const SENT: usize = 4 << 10;
    allow(20_000);
    let mut victim = Victim::start("pull", 20_000).await;
    let mut peers = Vec::new();
    for _ in 0..PEERS {
        peers.push(victim.peer("PUSH").await);
    }
    victim.ask(&format!("peers {PEERS}")).await;
    let before = victim.memory().await;
    for peer in &mut peers {
        peer.send_raw(&[&[LONG][..], &(64_u64 << 20).to_be_bytes(), &[0; SENT]].concat()).await;
    }
    let mut good = victim.peer("PUSH").await;
    for _ in 0..5 {
        good.settle().await;
    }
    let after = victim.memory().await;
    let [resident, mapped] = [0, 1].map(|which| after[which].saturating_sub(before[which]));
    assert!(resident <= PEERS * (64 << 10), "{} KiB each", (resident / PEERS) >> 10);
    assert!(mapped <= PEERS * (256 << 10), "{} KiB each", (mapped / PEERS) >> 10);
}

#[tokio::test]
async fn d13_subscriptions_cost_a_small_multiple_of_their_topics() {
    const TOPICS: usize = 100_000;
    let mut victim = Victim::start("pub", 20_000).await;
    let mut peer = victim.peer("SUB").await;
    let before = victim.memory().await[0];
    let mut random = 1_u64;
    for _ in 0..TOPICS / 1000 {
        let mut burst = Vec::new();
        for _ in 0..1000 {
            let mut topic = [0; 17];
            topic[0] = 1;
            for half in topic[1..].chunks_mut(8) {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                half.copy_from_slice(&(random ^ (random >> 29)).to_be_bytes());
            }
            burst.extend(frame_bytes(0, &topic));
        }
        peer.send_raw(&burst).await;
    }
    peer.settle().await;
    assert_eq!(victim.ask("topics").await, TOPICS.to_string());
    let cost = victim.memory().await[0].saturating_sub(before);
    assert!(cost <= 4 * 16 * TOPICS + NOISE, "{} times", cost / (16 * TOPICS));
}

/// A peer that reads nothing while it is sent to.
#[tokio::test]
async fn d31_a_peer_that_reads_nothing_costs_the_byte_budget() {
    for (kind, partner) in [("pub", "SUB"), ("push", "PULL")] {
        let mut victim = Victim::start(kind, 20_000).await;
        let mut peer = victim.peer(partner).await;
        if kind == "pub" {
            peer.send_command("SUBSCRIBE", b"").await;
        }
        victim.ask("peers 1").await;
        let before = victim.memory().await[0];
        let refused: usize = victim.ask("send").await.parse().unwrap();
        // 200 MB offered; 16 MiB and the kernel's buffers taken.
        assert!((1000..2000).contains(&refused), "{kind}: {refused}");
        let cost = victim.memory().await[0].saturating_sub(before);
        assert!(cost <= (16 << 20) + NOISE, "{kind}: {} KiB", cost >> 10);
    }
}

/// A peer that sends without end into a socket that nobody reads. Limits T10, D15.
#[tokio::test]
async fn d12_d15_a_peer_that_sends_without_end_costs_the_byte_budget() {
    for (kind, partner) in [("pull", "PUSH"), ("xpub", "SUB")] {
        let mut victim = Victim::start(kind, 20_000).await;
        let mut good = victim.peer(partner).await;
        let mut flooder = victim.peer(partner).await;
        victim.ask("peers 2").await;
        let before = victim.memory().await[0];
        let message = frame_bytes(0, &[2; 100_000]);
        let (mut at, mut total, mut stuck) = (0, 0, 0);
        // The kernel takes no more, and the victim has had many turns to read.
        while stuck < 100 {
            match flooder.send_some(&message[at..]).await {
                0 => {
                    stuck += 1;
                    good.settle().await;
                }
                sent => {
                    (at, stuck) = ((at + sent) % message.len(), 0);
                    total += sent;
                }
            }
            assert!(total < 200 << 20, "{kind}: it reads for ever");
        }
        victim.ask("unread 100").await;
        let cost = victim.memory().await[0].saturating_sub(before);
        // The budget counts bytes of messages; the buffers that they lie in are not quite full.
        assert!(cost <= (24 << 20) + NOISE, "{kind}: {} KiB", cost >> 10);
    }
}

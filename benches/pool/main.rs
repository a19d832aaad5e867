//! How many tasks a broker passes on in a second, and how long one takes: three processes, over TCP on this machine.
//!
//! ```text
//! cargo bench --bench pool                      all of it
//! cargo bench --bench pool -- throughput [tasks] [clients] [workers] [calls under way per client] [payload bytes]
//! cargo bench --bench pool -- latency [calls]   one call at a time, beside a plain echo over the same sockets
//! ```
//!
//! The program starts itself again as broker and as workers, and prints the processor time of each process, from
//! which follows what more processors would give.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that fails says where and stops")]

use std::convert::Infallible;
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sinew::pool::{Broker, Client, Job, Worker};
use sinew::{Dealer, Message, Router};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let number = |index: usize, default: usize| args.get(index).map_or(default, |arg| arg.parse().unwrap());
    match args.first().map(String::as_str) {
        Some("broker") => broker().await,
        Some("worker") => worker(args[1].clone(), number(2, 1)).await,
        Some("echo") => echo().await,
        Some("throughput") => {
            throughput(number(1, 400_000), number(2, 8), number(3, 8), number(4, 128), number(5, 64)).await
        }
        Some("latency") => latency(number(1, 20_000)).await,
        _ => {
            throughput(400_000, 8, 8, 128, 64).await?;
            throughput(100_000, 8, 8, 128, 4096).await?;
            latency(20_000).await
        }
    }
}

/// Another process of this program; it says where it is reached in its first line, and ends with its input.
struct Process {
    child: Child,
    name: &'static str,
    address: String,
}

impl Process {
    fn start(name: &'static str, args: &[String]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(name)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { child, name, address: address.trim().to_owned() }
    }

    /// The processor time that it has used.
    fn used(&self) -> Duration {
        used(&self.child.id().to_string())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// User and system time of a process, from the system's table.
fn used(process: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    // 100 ticks a second, on every Linux of today.
    Duration::from_millis(ticks * 10)
}

fn say(address: &str) {
    println!("{address}");
    let _ = std::io::stdout().flush();
}

async fn broker() -> Result<(), Box<dyn Error>> {
    let broker = Broker::builder().bind("tcp://127.0.0.1:0").start().await?;
    say(&broker.endpoints()[0].to_string());
    broker.run().await;
    Ok(())
}

async fn worker(broker: String, count: usize) -> Result<(), Box<dyn Error>> {
    for _ in 0..count {
        let worker = Worker::connect([&broker]).queue("noop").capacity(16).prefetch(16).io_thread(false);
        tokio::spawn(worker.serve(|job: Job| async move { Ok::<_, Infallible>(job.body().clone()) }));
    }
    say("started");
    std::future::pending().await
}

async fn echo() -> Result<(), Box<dyn Error>> {
    let router = Router::new();
    say(&router.bind("tcp://127.0.0.1:0").await?.to_string());
    loop {
        let (from, message) = router.recv().await?;
        router.send(from, message).await?;
    }
}

async fn throughput(
    tasks: usize,
    clients: usize,
    workers: usize,
    depth: usize,
    size: usize,
) -> Result<(), Box<dyn Error>> {
    let broker = Process::start("broker", &[]);
    let worker = Process::start("worker", &[broker.address.clone(), workers.to_string()]);
    let body = Message::from(vec![7; size]);
    let mut connected = Vec::new();
    for _ in 0..clients {
        let client = Client::connect([&broker.address]).await?;
        client.call("noop", body.clone()).await?;
        connected.push(client);
    }
    let before = [broker.used(), worker.used(), used("self")];
    let start = Instant::now();
    let left = Arc::new(AtomicUsize::new(tasks));
    let mut running = Vec::new();
    for client in &connected {
        for _ in 0..depth {
            let (client, left, body) = (client.clone(), left.clone(), body.clone());
            running.push(tokio::spawn(async move {
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                    .is_ok()
                {
                    client.call("noop", body.clone()).await.unwrap();
                }
            }));
        }
    }
    for running in running {
        running.await?;
    }
    let took = start.elapsed();
    let after = [broker.used(), worker.used(), used("self")];
    println!(
        "throughput: {tasks} tasks of {size} B, {clients} clients with {depth} calls under way, {workers} workers: {:.0} tasks/s",
        tasks as f64 / took.as_secs_f64()
    );
    for ((name, before), after) in [broker.name, worker.name, "clients"].iter().zip(before).zip(after) {
        let cpu = (after - before).as_secs_f64();
        println!("  {name:8} {:5.2} us of processor time for each task", cpu * 1e6 / tasks as f64);
    }
    Ok(())
}

async fn latency(calls: usize) -> Result<(), Box<dyn Error>> {
    let echo = Process::start("echo", &[]);
    let dealer = Dealer::new();
    dealer.connect(&echo.address).await?;
    let body = Message::from(vec![7; 64]);
    let mut plain = Vec::with_capacity(calls);
    for _ in 0..calls {
        let start = Instant::now();
        dealer.send(body.clone()).await?;
        dealer.recv().await?;
        plain.push(start.elapsed());
    }
    drop(echo);
    let broker = Process::start("broker", &[]);
    let _worker = Process::start("worker", &[broker.address.clone(), "1".into()]);
    let client = Client::connect([&broker.address]).await?;
    let mut pooled = Vec::with_capacity(calls);
    for _ in 0..calls {
        let start = Instant::now();
        client.call("noop", body.clone()).await?;
        pooled.push(start.elapsed());
    }
    let plain = show("echo, DEALER to ROUTER", plain);
    let pooled = show("call through a broker", pooled);
    let added = |index: usize| pooled[index].saturating_sub(plain[index]);
    println!("  added by the broker: p50 {:?}, p99 {:?}", added(0), added(1));
    Ok(())
}

/// The median, the 99th and the 99.9th part in a thousand.
fn show(what: &str, mut times: Vec<Duration>) -> [Duration; 3] {
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    let shown = [at(0.5), at(0.99), at(0.999)];
    println!("latency: {what}: p50 {:?}, p99 {:?}, p99.9 {:?}", shown[0], shown[1], shown[2]);
    shown
}

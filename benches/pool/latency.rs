//! How long a task takes: alone on an idle system, and while others come at 70 % of what it can do.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::error::Error;
use std::rc::Rc;
use std::time::{Duration, Instant};

use sinew::pool::Client;
use sinew::{Dealer, Message, Router};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::LocalSet;

use crate::process::{Process, say};
use crate::throughput::{Load, Pool};

/// What a call is compared with.
pub(crate) async fn echo() -> Result<(), Box<dyn Error>> {
    let router = Router::new();
    say(&router.bind("tcp://127.0.0.1:0").await?.to_string());
    loop {
        let (from, message) = router.recv().await?;
        router.send(from, message).await?;
    }
}

/// One call at a time, beside a plain echo over the same sockets.
pub(crate) async fn idle(calls: usize) -> Result<(), Box<dyn Error>> {
    let echo = Process::start(&["echo"]);
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
    let pool = Pool::start(Load { clients: 1, workers: 1, ..Load::USUAL }).await?;
    let mut pooled = Vec::with_capacity(calls);
    for _ in 0..calls {
        let start = Instant::now();
        pool.clients[0].call("noop", body.clone()).await?;
        pooled.push(start.elapsed());
    }
    let plain = show("echo, DEALER to ROUTER", plain);
    let pooled = show("call through a broker", pooled);
    let added = |index: usize| pooled[index].saturating_sub(plain[index]);
    println!("  added by the broker: p50 {:?}, p99 {:?}", added(0), added(1));
    Ok(())
}

/// Finds out what the pool can do, then has tasks come at `share` of it for some seconds, or so many a second if it is
/// above 1: at times drawn beforehand, whether or not those before are answered. A task's time counts from when it
/// should have come, not from when this process got round to it, so that nothing that is slow hides what waits behind
/// it.
pub(crate) async fn loaded(share: f64, seconds: f64) -> Result<(), Box<dyn Error>> {
    let pool = Pool::start(Load::USUAL).await?;
    let most = pool.measure(Load::USUAL).await?.tasks_per_second;
    let rate = if share > 1.0 { share } else { share * most };
    let expected = (rate * seconds) as usize;
    let line = Rc::new(Line { calls: Semaphore::new(0), due: RefCell::default(), times: RefCell::default() });
    line.times.borrow_mut().reserve(expected * 2);
    let callers = LocalSet::new();
    for number in 0..CALLERS {
        let (client, line) = (pool.clients[number % pool.clients.len()].clone(), line.clone());
        callers.spawn_local(async move { line.call(&client).await });
    }
    let before = pool.used();
    let mut arrivals = arrivals(rate, seconds);
    let feed = async {
        let mut came = 0;
        while let Some(batch) = arrivals.recv().await {
            came += batch.len();
            line.calls.add_permits(batch.len());
            line.due.borrow_mut().extend(batch);
        }
        while line.times.borrow().len() < came {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        came
    };
    let came = callers.run_until(feed).await;
    let cost = pool.cost(before, came);
    println!("{rate:.0} tasks/s for {seconds:.0} s; the most it can do: {most:.0} tasks/s");
    println!(
        "  processor time for each task: broker {:.2} us, workers {:.2} us, clients {:.2} us",
        cost[0], cost[1], cost[2]
    );
    let times = line.times.take();
    let mut seconds: Vec<Duration> =
        times.chunks(rate as usize).map(|second| at(second.to_vec(), 0.99)).collect();
    seconds.sort_unstable();
    println!("  p99 of each second: {seconds:?}");
    show("call under load", times);
    Ok(())
}

/// Calls under way at most; what comes beyond waits for one of them, and its time counts.
const CALLERS: usize = Load::USUAL.clients * Load::USUAL.depth;

/// How often calls are begun, all that have become due: to wake this process up for each would cost more than the call.
const TICK: Duration = Duration::from_micros(250);

/// Calls that are due, and how long those took that are done.
struct Line {
    calls: Semaphore,
    due: RefCell<VecDeque<Instant>>,
    times: RefCell<Vec<Duration>>,
}

impl Line {
    /// Makes one call after the other, as they are due.
    async fn call(&self, client: &Client) {
        while let Ok(call) = self.calls.acquire().await {
            call.forget();
            let due = self.due.borrow_mut().pop_front().unwrap();
            client.call("noop", [7; 64]).await.unwrap();
            self.times.borrow_mut().push(due.elapsed());
        }
    }
}

/// Calls that are due, as a Poisson process has them. A thread keeps the time, because the runtime's clock has a tick
/// of a millisecond.
fn arrivals(rate: f64, seconds: f64) -> mpsc::UnboundedReceiver<Vec<Instant>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let mut random = fastrand::Rng::with_seed(1);
        let mut next = Instant::now();
        let end = next + Duration::from_secs_f64(seconds);
        while next < end {
            std::thread::sleep(next.saturating_duration_since(Instant::now()).max(TICK));
            let mut batch = Vec::new();
            while next <= Instant::now() {
                batch.push(next);
                next += Duration::from_secs_f64(-random.f64().max(1e-12).ln() / rate);
            }
            if sender.send(batch).is_err() {
                break;
            }
        }
    });
    receiver
}

/// The time that `part` of all are below.
fn at(mut times: Vec<Duration>, part: f64) -> Duration {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * part) as usize]
}

/// The median, and what 99 % and 99.9 % are below.
fn show(what: &str, times: Vec<Duration>) -> [Duration; 3] {
    let shown = [0.5, 0.99, 0.999].map(|part| at(times.clone(), part));
    println!("latency: {what}: p50 {:?}, p99 {:?}, p99.9 {:?}", shown[0], shown[1], shown[2]);
    shown
}

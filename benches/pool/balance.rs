//! Unequal workers, eight fast ones and eight that are four times as slow, tasks of very different length, coming
//! at 0.8 of what the workers can do. Beside what a simulation of the same tasks says that nobody could do better
//! who does not know how long they will take: no time between a worker's tasks, nor on the way.

use std::collections::{BinaryHeap, VecDeque};
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sinew::pool::{Broker, Client, Failure, Job, Worker};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const FAST: usize = 8;
const SLOW: usize = 8;
/// How long a task takes on a fast worker, on average, in seconds.
const MEAN: f64 = 0.010;
const SHARE: f64 = 0.8;
/// A task does not wait before it has had so many seconds to get to a worker.
const ON_ITS_WAY: f64 = 0.0005;

/// When it comes, and how long it takes on a fast worker: seconds.
#[derive(Debug, Clone, Copy)]
struct Task {
    at: f64,
    work: f64,
}

/// What a worker did: its number, the task's, from when to when.
#[derive(Debug, Clone, Copy)]
struct Done {
    worker: usize,
    task: usize,
    start: f64,
    end: f64,
}

const fn speed(worker: usize) -> f64 {
    if worker < FAST { 1.0 } else { 0.25 }
}

fn capacity() -> f64 {
    (0..FAST + SLOW).map(speed).sum()
}

/// Poisson arrivals, and work of two phases whose coefficient of variation is 2.
fn tasks(count: usize) -> Vec<Task> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut exponential = move |mean: f64| -random.f64().max(1e-12).ln() * mean;
    let mut coin = fastrand::Rng::with_seed(2);
    let long = 0.5 * (1.0 - 0.6_f64.sqrt());
    let mut at = 0.0;
    let mut next = || {
        at += exponential(MEAN / (SHARE * capacity()));
        let part = if coin.f64() < long { long } else { 1.0 - long };
        Task { at, work: exponential(MEAN / (2.0 * part)) }
    };
    (0..count).map(|_| next()).collect()
}

/// The same without a broker: the first task in line goes to the worker that has been idle for longest.
fn ideal(tasks: &[Task]) -> Vec<Done> {
    let (mut idle, mut line): (VecDeque<usize>, VecDeque<usize>) =
        ((0..FAST + SLOW).collect(), VecDeque::new());
    // By end, soonest first; times are positive, so their bits are in their order.
    let mut busy: BinaryHeap<std::cmp::Reverse<(u64, usize)>> = BinaryHeap::new();
    let (mut done, mut coming) = (Vec::new(), (0..tasks.len()).peekable());
    loop {
        let end = busy.peek().map_or(f64::INFINITY, |next| f64::from_bits(next.0.0));
        let now = match coming.next_if(|task| tasks[*task].at <= end) {
            Some(task) => {
                line.push_back(task);
                tasks[task].at
            }
            None => {
                let Some(std::cmp::Reverse((_, worker))) = busy.pop() else { return done };
                idle.push_back(worker);
                end
            }
        };
        while let Some((worker, task)) = idle.front().copied().zip(line.front().copied()) {
            idle.pop_front();
            line.pop_front();
            let end = now + tasks[task].work / speed(worker);
            done.push(Done { worker, task, start: now, end });
            busy.push(std::cmp::Reverse((end.to_bits(), worker)));
        }
    }
}

/// The same through a broker, over TCP; workers that sleep for as long as they would work.
async fn real(tasks: &Arc<Vec<Task>>) -> Result<Vec<Done>, Box<dyn Error>> {
    let broker = Broker::builder().bind("tcp://127.0.0.1:0").start().await?;
    let address = broker.endpoints()[0].to_string();
    let (log, begin) = (Arc::new(Mutex::new(Vec::new())), Instant::now() + Duration::from_secs(1));
    for worker in 0..FAST + SLOW {
        let (log, tasks) = (log.clone(), tasks.clone());
        let serving = Worker::connect([&address]).queue("jobs").io_thread(false);
        tokio::spawn(serving.serve(move |job: Job| {
            let (log, tasks) = (log.clone(), tasks.clone());
            async move {
                let task: usize = job.body().to_str()?.parse()?;
                let start = begin.elapsed().as_secs_f64();
                let work = Duration::from_secs_f64(tasks[task].work / speed(worker));
                // A thread of its own, because the runtime's clock has a tick of a millisecond.
                tokio::task::spawn_blocking(move || std::thread::sleep(work)).await?;
                log.lock().unwrap().push(Done { worker, task, start, end: begin.elapsed().as_secs_f64() });
                Ok::<_, Failure>("")
            }
        }));
    }
    let client = Client::connect([&address]).await?;
    let (mut due, mut calls) = (due(tasks, begin), JoinSet::new());
    while let Some(number) = due.recv().await {
        let client = client.clone();
        calls.spawn(async move { client.call("jobs", number.to_string()).await.map(drop) });
    }
    for done in calls.join_all().await {
        done?;
    }
    broker.shut_down(Duration::ZERO).await;
    Ok(std::mem::take(&mut *log.lock().unwrap()))
}

/// The tasks, each when it comes; by a thread, as above.
fn due(tasks: &Arc<Vec<Task>>, begin: Instant) -> mpsc::UnboundedReceiver<usize> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let tasks = tasks.clone();
    std::thread::spawn(move || {
        for (number, task) in tasks.iter().enumerate() {
            let at = begin + Duration::from_secs_f64(task.at);
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            if sender.send(number).is_err() {
                break;
            }
        }
    });
    receiver
}

pub(crate) async fn unequal(count: usize) -> Result<(), Box<dyn Error>> {
    let tasks = Arc::new(tasks(count));
    let ideal = Figures::of("simulated", &tasks, &ideal(&tasks));
    let real = Figures::of("measured", &tasks, &real(&tasks).await?);
    println!("  p99 is {:.3} times that of the simulation", real.p99 / ideal.p99);
    Ok(())
}

struct Figures {
    p99: f64,
}

impl Figures {
    fn of(what: &str, tasks: &[Task], done: &[Done]) -> Self {
        let mut times: Vec<f64> = done.iter().map(|done| (done.end - tasks[done.task].at) * 1e3).collect();
        times.sort_unstable_by(f64::total_cmp);
        let (mean, p99) = (times.iter().sum::<f64>() / times.len() as f64, times[times.len() * 99 / 100]);
        println!(
            "balance, {what}: mean {mean:.1} ms, p99 {p99:.0} ms; idle while tasks wait: {:.2} %; busiest to mean: {:.3}",
            100.0 * idle_while_queued(tasks, done),
            busiest_to_mean(done)
        );
        Self { p99 }
    }
}

/// The share of the capacity that was idle while some task waited.
fn idle_while_queued(tasks: &[Task], done: &[Done]) -> f64 {
    // When, how many more wait, how much more capacity is busy.
    let mut changes: Vec<(f64, i32, f64)> = Vec::new();
    for done in done {
        let arrived = tasks[done.task].at + ON_ITS_WAY;
        changes.push((arrived, 1, 0.0));
        changes.push((done.start.max(arrived), -1, 0.0));
        changes.push((done.start, 0, speed(done.worker)));
        changes.push((done.end, 0, -speed(done.worker)));
    }
    changes.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut waiting, mut busy, mut queued, mut idle, mut last) = (0, 0.0, 0.0, 0.0, 0.0);
    for (at, more, work) in changes {
        if waiting > 0 {
            queued += at - last;
            idle += (at - last) * (capacity() - busy);
        }
        (last, waiting, busy) = (at, waiting + more, busy + work);
    }
    if queued > 0.0 { idle / (queued * capacity()) } else { 0.0 }
}

/// How busy the busiest worker was, in proportion to the mean: slow ones are as busy with fewer tasks.
fn busiest_to_mean(done: &[Done]) -> f64 {
    let mut busy = [0.0_f64; FAST + SLOW];
    for done in done {
        busy[done.worker] += done.end - done.start;
    }
    busy.iter().copied().fold(0.0, f64::max) * busy.len() as f64 / busy.iter().sum::<f64>()
}

//! Unequal workers under load: eight fast ones, and eight that are four times as slow, tasks of very different length.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::join_all;
use sinew::pool::{Broker, Candidates, Client, Failure, Job, Policy, Seat, Strategy, TaskInfo};

use crate::kit::{broker, client, next, pull, start, worker, workers};

const FAST: usize = 8;
const SLOW: usize = 8;
/// How long a task takes on a fast worker, on average.
const MEAN: Duration = Duration::from_millis(40);
const TASKS: u32 = 1000;
/// A task does not wait before it has had this time to get to a worker.
const ON_ITS_WAY: Duration = Duration::from_millis(2);

/// Which worker did which task, from when to when.
type Log = Arc<Mutex<Vec<Done>>>;
type Done = (usize, usize, Instant, Instant);

/// A task in a thousandth of the mean: most are short, some are long, as jobs are (coefficient of variation 2).
fn cost(number: u32) -> u32 {
    let random = number.wrapping_mul(2_654_435_761) >> 8;
    if random.is_multiple_of(10) { 6_400 } else { 400 }
}

async fn handle(job: Job, name: usize, log: Log) -> Result<&'static str, Failure> {
    let task: usize = job.body().to_str()?.parse()?;
    let cost = cost(u32::try_from(task).unwrap_or(0));
    let slowness = if name < FAST { 1 } else { 4 };
    let start = Instant::now();
    // Stands for the work itself.
    tokio::time::sleep(MEAN * cost / 1000 * slowness).await;
    log.lock().unwrap().push((name, task, start, Instant::now()));
    Ok("")
}

/// G5, scaled to some seconds: nobody is idle while a task waits, and all have their share.
#[tokio::test]
async fn g5_unequal_workers_are_all_busy_while_tasks_wait() {
    let (broker, address) = broker().await;
    let log = Log::default();
    for name in 0..FAST + SLOW {
        let log = log.clone();
        let worker = worker(&address, "jobs").io_thread(false);
        let serve = worker.serve_until(std::future::pending(), move |job| handle(job, name, log.clone()));
        tokio::spawn(serve);
    }
    workers(&broker, FAST + SLOW).await;
    let client = Client::connect([&address]).await.unwrap();
    // Open loop at 0.8 of what they can do: a task comes when it comes.
    let rate = 0.8 * (FAST as f64 + SLOW as f64 / 4.0) / MEAN.as_secs_f64();
    let begin = tokio::time::Instant::now();
    let submitted: Vec<Instant> = join_all((0..TASKS).map(|number| {
        let client = client.clone();
        async move {
            tokio::time::sleep_until(begin + Duration::from_secs_f64(f64::from(number) / rate)).await;
            let submitted = Instant::now();
            client.call("jobs", number.to_string()).await.unwrap();
            submitted
        }
    }))
    .await;
    let log = log.lock().unwrap();
    assert_eq!(log.len(), TASKS as usize);
    let idle = idle_while_queued(&submitted, &log);
    let balance = balance(&log);
    println!("idle while tasks wait: {:.2} % of capacity; most to mean busy: {balance:.3}", idle * 100.0);
    // The target is 1 % on a quiet machine: what is above is the time that a busy one takes to wake a worker up.
    assert!(idle <= 0.03, "idle while tasks wait: {:.2} %", idle * 100.0);
    // Nor do a few seconds even out what chance gives to whom: one long task more or less is a tenth of it.
    assert!(balance <= 1.35, "the busiest worker is {balance:.3} times as busy as the mean");
}

/// The share of the capacity that was idle while some task waited.
fn idle_while_queued(submitted: &[Instant], log: &[Done]) -> f64 {
    // A change of the number of waiting tasks, and of the busy capacity.
    let mut changes = Vec::new();
    changes.extend(submitted.iter().map(|&at| (at + ON_ITS_WAY, 1_i32, 0.0)));
    for &(name, task, start, end) in log {
        let task = submitted[task];
        let speed = if name < FAST { 1.0 } else { 0.25 };
        changes.push((start, 0, speed));
        // One that began on its arrival has never waited.
        changes.push((start.max(task + ON_ITS_WAY), -1, 0.0));
        changes.push((end, 0, -speed));
    }
    changes.sort_by_key(|change| change.0);
    let capacity = FAST as f64 + SLOW as f64 / 4.0;
    let (mut waiting, mut busy, mut queued, mut idle) = (0, 0.0, 0.0, 0.0);
    let mut last = changes[0].0;
    for (at, wait, work) in changes {
        let time = (at - last).as_secs_f64();
        if waiting > 0 {
            queued += time;
            idle += time * (capacity - busy);
        }
        (last, waiting, busy) = (at, waiting + wait, busy + work);
    }
    if queued > 0.0 { idle / (queued * capacity) } else { 0.0 }
}

/// How busy the busiest worker was, in proportion to the mean of its kind.
fn balance(log: &[Done]) -> f64 {
    let mut busy = [Duration::ZERO; FAST + SLOW];
    for (name, _, start, end) in log {
        busy[*name] += *end - *start;
    }
    let most = busy.iter().max().unwrap().as_secs_f64();
    most / (busy.iter().sum::<Duration>().as_secs_f64() / busy.len() as f64)
}

/// Whoever has a name that ends like the key.
#[derive(Debug)]
struct ByName;

impl Strategy for ByName {
    fn pick(&mut self, workers: &Candidates, task: &TaskInfo<'_>) -> Option<Seat> {
        let wanted = task.key()?;
        workers.seats().find(|seat| workers.get(*seat).is_some_and(|member| member.name().ends_with(wanted)))
    }
}

/// M6: a strategy of one's own, over the network.
#[tokio::test]
async fn m6_a_broker_takes_a_strategy_of_a_users_own() {
    let policy = Policy::default().custom_strategy(|_seed| Box::new(ByName));
    let (broker, address) = start(Broker::builder().queue("named", policy)).await;
    let mut anna = pull(worker(&address, "named").name("worker-anna")).await;
    let mut bert = pull(worker(&address, "named").name("worker-bert")).await;
    workers(&broker, 2).await;
    let client = client(&address).await;
    for key in ["bert", "anna", "bert"] {
        client.submit("named", key).key(key).await.unwrap();
        let task = next(if key == "anna" { &mut anna } else { &mut bert }).await;
        assert_eq!(*task.body(), key);
        task.done("").await.unwrap();
    }
}

//! A pipeline in one process: a ventilator hands tasks to workers, a sink collects their results.
//!
//! Each worker gets every fourth task: `Push` takes its peers in turn. The same as three programs, for three terminals
//! or three machines: the examples `ventilator`, `worker` and `sink`.
//!
//! ```text
//! cargo run --release --example pipeline
//!
//!                +-> Pull worker Push -+
//! ventilator Push+-> Pull worker Push -+-> Pull sink
//!                +-> Pull worker Push -+
//! ```

use std::error::Error;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use sinew::{Endpoint, Message, Pull, Push};

const WORKERS: usize = 4;
const TASKS: u64 = 2000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let ventilator = Push::new();
    let sink = Pull::new();
    let tasks_at = ventilator.bind("tcp://127.0.0.1:0").await?;
    let results_at = sink.bind("tcp://127.0.0.1:0").await?;

    let mut workers = Vec::new();
    for name in 0..WORKERS {
        // A clone is the same socket: this one is kept to end the worker with.
        let tasks = Pull::new();
        let work = tokio::spawn(worker(name, tasks.clone(), tasks_at.clone(), results_at.clone()));
        workers.push((tasks, work));
    }
    // Or the first worker to connect would get all the tasks.
    ventilator.wait_for_peers(WORKERS).await?;

    let start = Instant::now();
    let ventilate = tokio::spawn(async move {
        for task in 0..TASKS {
            // How long this task takes, in milliseconds: 1 to 8, in no order that favours a worker.
            let cost = 1 + task * 7919 % 1009 % 8;
            ventilator.send(cost.to_string()).await?;
        }
        Ok::<_, sinew::Error>(ventilator)
    });

    let bar = ProgressBar::new(TASKS).with_style(ProgressStyle::with_template(
        "{msg} {wide_bar} {human_pos}/{human_len} tasks, {per_sec}, {eta} left",
    )?);
    bar.set_message(format!("{WORKERS} workers"));
    let mut done = [(0_u32, Duration::ZERO); WORKERS];
    for _ in 0..TASKS {
        let result = sink.recv().await?;
        let (name, cost) = parse(&result)?;
        done[name].0 += 1;
        done[name].1 += Duration::from_millis(cost);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let took = start.elapsed();

    println!("worker  tasks    share     busy");
    for (name, (tasks, busy)) in done.iter().enumerate() {
        let share = f64::from(*tasks) * 100.0 / TASKS as f64;
        println!("{name:>6}  {tasks:>5}  {share:>5.1} %  {:>5.2} s", busy.as_secs_f64());
    }
    let busy: Duration = done.iter().map(|(_, busy)| busy).sum();
    println!("{TASKS} tasks, {:.2} s of work, done in {:.2} s", busy.as_secs_f64(), took.as_secs_f64());

    let closed = ventilate.await??.close().await;
    println!("undelivered tasks: {}", closed.undelivered);
    for (tasks, work) in workers {
        tasks.close().await;
        work.await??;
    }
    Ok(())
}

/// Works until its socket is closed.
async fn worker(
    name: usize,
    tasks: Pull,
    tasks_at: Endpoint,
    results_at: Endpoint,
) -> Result<(), sinew::Error> {
    let results = Push::new();
    results.connect(&results_at).await?;
    tasks.connect(&tasks_at).await?;
    while let Ok(task) = tasks.recv().await {
        let cost = task.to_str().ok().and_then(|cost| cost.parse().ok()).unwrap_or(0);
        // Stands for the work itself.
        let start = Instant::now();
        tokio::time::sleep(Duration::from_millis(cost)).await;
        let busy = start.elapsed().as_millis();
        // Two frames, one message.
        results.send([name.to_string(), busy.to_string()]).await?;
    }
    results.close().await;
    Ok(())
}

/// Which worker, and how long it took.
fn parse(result: &Message) -> Result<(usize, u64), Box<dyn Error>> {
    Ok((std::str::from_utf8(&result[0])?.parse()?, result.to_str()?.parse()?))
}

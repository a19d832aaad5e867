//! The first of three programs that make a pipeline: it hands tasks to workers, in turn.
//!
//! Start `ventilator`, `worker` and `sink` in any order, each in a terminal of its own, the worker as often as you
//! like. All of them end by themselves.
//!
//! ```text
//! cargo run --example sink
//! cargo run --example worker
//! cargo run --example ventilator [workers to wait for] [tasks] [bind for tasks] [connect to the sink]
//! ```

use std::error::Error;

use sinew::Push;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let workers: usize = args.next().map_or(Ok(1), |count| count.parse())?;
    let tasks: usize = args.next().map_or(Ok(500), |count| count.parse())?;
    let tasks_at = args.next().unwrap_or_else(|| "tcp://127.0.0.1:5557".into());
    let sink_at = args.next().unwrap_or_else(|| "tcp://127.0.0.1:5558".into());

    // Whatever is queued at the end is worth waiting for, however slow the workers are.
    let ventilator = Push::builder().linger(None).build()?;
    ventilator.bind(&tasks_at).await?;

    println!("waiting for {workers} workers on {tasks_at}");
    // Or the first worker to connect would get all the tasks.
    ventilator.wait_for_peers(workers).await?;

    // The sink is told what to expect. It may be started later: this waits for it.
    let sink = Push::builder().linger(None).build()?;
    sink.connect(&sink_at).await?;
    sink.send(["begin".to_string(), tasks.to_string(), workers.to_string()]).await?;
    sink.close().await;

    println!("handing out {tasks} tasks");
    for task in 0..tasks {
        // How long this task takes, in milliseconds: 1 to 20.
        let cost = 1 + task * 7919 % 1009 % 20;
        ventilator.send(cost.to_string()).await?;
    }
    let closed = ventilator.close().await;
    println!("done, {} tasks undelivered", closed.undelivered);
    Ok(())
}

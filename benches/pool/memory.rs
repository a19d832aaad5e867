//! What a queued task takes in the broker's process.

use std::error::Error;

use sinew::pool::{Broker, Client, Policy};

use crate::process::{Process, say};

/// A broker that takes in more than one does by default.
pub(crate) async fn large_broker() -> Result<(), Box<dyn Error>> {
    let policy = Policy::default().max_len(usize::MAX).max_bytes(usize::MAX);
    let broker = Broker::builder().default_policy(policy).bind("tcp://127.0.0.1:0").start().await?;
    say(&broker.endpoints()[0].to_string());
    broker.run().await;
    Ok(())
}

/// Queues tasks that nobody takes, and looks at the broker's resident memory.
pub(crate) async fn queued(tasks: usize, size: usize) -> Result<(), Box<dyn Error>> {
    let broker = Process::start(&["large-broker"]);
    let client = Client::connect([&broker.address]).await?;
    submit(&client, 1000, size).await?;
    let before = resident(&broker);
    submit(&client, tasks, size).await?;
    let all = resident(&broker);
    let each = (all - before) as f64 / tasks as f64;
    println!(
        "memory: {tasks} tasks of {size} B queued: {:.0} B each, {:.0} B without the payload; {:.0} MB of the broker in all",
        each,
        each - size as f64,
        all as f64 / 1e6
    );
    Ok(())
}

async fn submit(client: &Client, tasks: usize, size: usize) -> Result<(), Box<dyn Error>> {
    let body = vec![7; size];
    for first in (0..tasks).step_by(1000) {
        let batch =
            (first..tasks.min(first + 1000)).map(|_| client.submit("nobody", &body[..]).into_future());
        futures::future::try_join_all(batch).await?;
    }
    Ok(())
}

/// The resident memory of a process in bytes.
fn resident(process: &Process) -> usize {
    let text = std::fs::read_to_string(format!("/proc/{}/statm", process.child.id())).unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

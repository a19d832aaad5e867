//! The third of three programs that make a pipeline: it collects the results, tells the workers when all is done, and
//! prints who did how much. See `ventilator`.
//!
//! ```text
//! cargo run --example sink [bind for results] [bind for the word that all is done]
//! ```

use std::collections::BTreeMap;
use std::error::Error;

use sinew::{Message, Pub, Pull};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let results_at = args.next().unwrap_or_else(|| "tcp://127.0.0.1:5558".into());
    let control_at = args.next().unwrap_or_else(|| "tcp://127.0.0.1:5559".into());

    let results = Pull::new();
    results.bind(&results_at).await?;
    let control = Pub::new();
    control.bind(&control_at).await?;
    println!("collecting results on {results_at}");

    // The ventilator and the workers are different peers, so a result may come before the ventilator's word.
    let mut expected = None;
    let mut received = 0;
    let mut workers = BTreeMap::<String, (usize, u64)>::new();
    while expected.is_none_or(|(tasks, _)| received < tasks) {
        let message = results.recv().await?;
        if message[0] == "begin" {
            expected = Some((number(&message, 1)?, number(&message, 2)?));
        } else {
            let worker = String::from_utf8(message[1].to_vec())?;
            let (tasks, busy) = workers.entry(worker).or_default();
            *tasks += 1;
            *busy += number(&message, 2)? as u64;
            received += 1;
        }
    }

    for (worker, (tasks, busy)) in &workers {
        println!("worker {worker}: {tasks} tasks, {busy} ms of work");
    }
    println!("{received} tasks done by {} workers", workers.len());

    // A worker that got no task has to hear it, too.
    let (_, workers) = expected.unwrap_or_default();
    control.wait_for_subscribers(workers).await?;
    control.send("end").await?;
    control.close().await;
    Ok(())
}

/// The number in one frame of a message.
fn number(message: &Message, frame: usize) -> Result<usize, Box<dyn Error>> {
    Ok(std::str::from_utf8(&message[frame])?.parse()?)
}

//! Events that cause events: a parcel is received, weighed, paid for and sent. Each step is a queue with workers of its
//! own, which submit the next step before they answer; so a step that fails is tried again, and no parcel is forgotten.
//! A reminder comes later, by itself.
//!
//! ```text
//! cargo run --example pool_events
//!
//! received -> weighed -> paid -> sent
//!                  \-> reminder, after a while
//! ```

use std::error::Error;
use std::time::Duration;

use sinew::pool::{Broker, Client, Failure, Job, Policy, Rate, Retry, Worker};

const PARCELS: usize = 20;
/// A step, what comes after it, and how many workers it has.
const STEPS: [(&str, Option<&str>, u32); 4] = [
    ("received", Some("weighed"), 4),
    ("weighed", Some("paid"), 2),
    ("paid", Some("sent"), 2),
    ("sent", None, 1),
];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let again_soon = Retry::default().backoff(Duration::from_millis(5), Duration::from_millis(50));
    let broker = Broker::builder()
        .bind("tcp://127.0.0.1:0")
        .default_policy(Policy::default().retry(again_soon))
        // The lorry takes a hundred a second, however many are waiting.
        .queue("sent", Policy::default().rate(Rate::per_second(100.0)))
        .start()
        .await?;
    let address = broker.endpoints()[0].to_string();
    let client = Client::connect([&address]).await?;
    for (step, next, capacity) in STEPS {
        let client = client.clone();
        let worker = Worker::connect([&address]).queue(step).capacity(capacity);
        tokio::spawn(worker.serve(move |job| handle(job, step, next, client.clone())));
    }
    tokio::spawn(Worker::connect([&address]).queue("reminder").serve(|job: Job| async move {
        println!("has {} been paid for?", job.body().to_str()?);
        Ok::<_, Failure>("")
    }));

    for parcel in 0..PARCELS {
        client.submit("received", format!("parcel-{parcel}")).await?;
    }
    loop {
        let figures = broker.figures().await?;
        let done = |name: &str| {
            let queue = figures.queues.iter().find(|queue| queue.name == name.as_bytes());
            queue.map_or(0, |queue| queue.counters.done)
        };
        if done("sent") == PARCELS as u64 && done("reminder") == 1 {
            for (step, ..) in STEPS {
                println!("{step}: {}", done(step));
            }
            let again: u64 = figures.queues.iter().map(|queue| queue.counters.redelivered).sum();
            println!("{again} steps were tried again");
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn handle(job: Job, step: &str, next: Option<&str>, client: Client) -> Result<&'static str, Failure> {
    let parcel = job.body().to_str()?.to_owned();
    if step == "paid" && job.attempt() == 1 && parcel.ends_with('7') {
        return Err(Failure::retry("the bank does not answer"));
    }
    if step == "weighed" && parcel == "parcel-0" {
        client.submit("reminder", parcel.clone()).delay(Duration::from_millis(200)).await?;
    }
    if let Some(next) = next {
        // Under the name of step and parcel: done again, this step does not cause the next one twice.
        client.submit(next, parcel.clone()).dedup(format!("{next} {parcel}")).await?;
    }
    Ok("")
}

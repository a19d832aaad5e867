//! A pool within one process: the same scheduler as the broker's, without a network. What fails is tried again, and
//! what cannot work is among the dead letters.
//!
//! ```text
//! cargo run --example pool_local
//! ```

use std::error::Error;
use std::time::Duration;

use futures::future::join_all;
use sinew::pool::local::LocalPool;
use sinew::pool::{Failure, Policy, Retry, StrategyName};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let retry = Retry::default().max_starts(3).backoff(Duration::from_millis(1), Duration::from_millis(5));
    let pool = LocalPool::new(Policy::default().strategy(StrategyName::LeastLoaded).retry(retry));
    let workers: Vec<_> = (0..4)
        .map(|name| {
            let worker = pool.worker("square").name(format!("worker-{name}")).capacity(2);
            worker.serve(|job| async move {
                let number: u64 = job.body().to_str()?.parse()?;
                // Stands for the work itself.
                tokio::time::sleep(Duration::from_millis(number % 5)).await;
                Ok::<_, Failure>((number * number).to_string())
            })
        })
        .collect();

    let numbers = (1..=100_u64).map(|number| pool.call("square", number.to_string()).into_future());
    let mut sum = 0;
    for square in join_all(numbers).await {
        sum += square?.to_str()?.parse::<u64>()?;
    }
    println!("the sum of the squares up to 100 is {sum}");
    println!("a word squared: {:?}", pool.call("square", "seven").await);

    for worker in pool.workers() {
        println!("{:?} did {}", worker.name, worker.done);
    }
    println!("{} dead letter", pool.dead_letters("square").len());
    for worker in workers {
        worker.drain().await;
    }
    Ok(())
}

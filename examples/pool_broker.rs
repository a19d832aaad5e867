//! The first of three programs that make a pool: the broker, between those who have work and those who do it.
//!
//! Start `pool_broker`, `pool_worker` and `pool_client` in any order, each in a terminal of its own, workers and clients
//! as often as you like. The broker ends when it has seen a client and nobody is connected any more.
//!
//! ```text
//! cargo run --example pool_broker [where to bind]
//! cargo run --example pool_worker [broker]
//! cargo run --example pool_client [broker] [tasks]
//! ```

use std::error::Error;
use std::time::Duration;

use sinew::pool::{Broker, Policy, StrategyName};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "tcp://127.0.0.1:5570".into());
    let policy = Policy::default().strategy(StrategyName::LeastResponseTime);
    let broker = Broker::builder().bind(address).queue("resize", policy).start().await?;
    println!("broker on {}", broker.endpoints()[0]);

    let mut shown = 0;
    let mut clock = tokio::time::interval(Duration::from_millis(250));
    loop {
        clock.tick().await;
        let figures = broker.figures().await?;
        for queue in &figures.queues {
            if queue.counters.done > shown {
                shown = queue.counters.done;
                println!("{shown} tasks done, {} waiting, {} workers", queue.waiting, queue.workers);
            }
        }
        if shown > 0 && figures.connections == 0 {
            break;
        }
    }
    for worker in broker.figures().await?.workers {
        println!("{:?} did {}", worker.name, worker.done);
    }
    broker.shut_down(Duration::from_secs(5)).await;
    Ok(())
}

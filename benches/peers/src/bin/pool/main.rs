//! Sinew's broker beside two on libzmq, with the same clients and workers in the same run: the load-balancing broker of
//! the guide, which gives a task to the worker that has been idle for longest, and a bare proxy, which knows neither
//! tasks nor workers and is as fast as a program on libzmq can be that passes messages on.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml --bin pool [rounds]
//! ```
//!
//! Each run is three processes over TCP: the broker, 8 workers that do nothing, 8 clients with 128 calls of 64 B under
//! way each. The brokers take turns; what is printed is the median of each, the least and the most.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that fails says where and stops")]

mod libzmq;
#[path = "../../../../pool/process.rs"]
mod process;
#[path = "../../../../pool/throughput.rs"]
mod throughput;

use std::error::Error;

use libzmq::Kind;
use throughput::{Load, Pool};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let count = |index: usize| args.get(index).map_or(1, |arg| arg.parse().unwrap());
    match args.first().map(String::as_str) {
        Some("broker") => throughput::broker().await,
        Some("worker") => throughput::workers(&args[1], count(2)).await,
        Some("libzmq-broker") => Ok(libzmq::broker(Kind::parse(&args[1]))?),
        Some("libzmq-worker") => Ok(libzmq::workers(Kind::parse(&args[1]), &args[2], count(3))?),
        rounds => compare(rounds.map_or(5, |rounds| rounds.parse().unwrap())).await,
    }
}

async fn compare(rounds: usize) -> Result<(), Box<dyn Error>> {
    let (mut ours, mut lru, mut proxy) = (Vec::new(), Vec::new(), Vec::new());
    let mut cost = [0.0; 3];
    for _ in 0..rounds {
        let load = Load { tasks: 300_000, ..Load::USUAL };
        let outcome = Pool::start(load).await?.measure(load).await?;
        ours.push(outcome.tasks_per_second);
        cost = outcome.cost;
        lru.push(libzmq::measure(Kind::Lru, Load { tasks: 50_000, ..load })?);
        proxy.push(libzmq::measure(Kind::Proxy, load)?);
    }
    let ours = show("Sinew's broker", ours);
    println!(
        "  processor time for each task: broker {:.2} us, workers {:.2}, clients {:.2}",
        cost[0], cost[1], cost[2]
    );
    let lru = show("the guide's LRU broker, libzmq", lru);
    let proxy = show("ROUTER-DEALER proxy, libzmq", proxy);
    println!("Sinew: {:.1} times the LRU broker, {:.2} times the proxy", ours / lru, ours / proxy);
    Ok(())
}

fn show(what: &str, mut rates: Vec<f64>) -> f64 {
    rates.sort_unstable_by(f64::total_cmp);
    let median = rates[rates.len() / 2];
    println!("{what:32} {median:8.0} tasks/s [{:.0}, {:.0}]", rates[0], rates[rates.len() - 1]);
    median
}

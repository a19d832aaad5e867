//! What a pool can do: broker, workers and clients in three processes, over TCP on this machine.
//!
//! ```text
//! cargo bench --bench pool                      all of it, in two minutes
//! cargo bench --bench pool -- throughput [tasks] [clients] [workers] [calls under way per client] [payload bytes]
//! cargo bench --bench pool -- latency [calls]   one call at a time, beside a plain echo over the same sockets
//! cargo bench --bench pool -- loaded [share] [seconds]   at a share of the most that is possible, or at so many tasks a second
//! cargo bench --bench pool -- stalls [share] [seconds]   how late the machine alone makes tasks at such a share
//! cargo bench --bench pool -- balance [tasks]   unequal workers, beside a simulation
//! cargo bench --bench pool -- memory [tasks] [payload bytes]
//! ```
//!
//! The program starts itself again as broker and as workers, and prints the processor time of each process, from
//! which follows what more processors would give. Beside brokers on libzmq: `benches/peers/src/bin/pool/`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that fails says where and stops")]

mod balance;
mod latency;
mod memory;
mod process;
mod stalls;
mod throughput;

use std::error::Error;

use throughput::{Load, Pool};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let number = |index: usize, default: usize| args.get(index).map_or(default, |arg| arg.parse().unwrap());
    let real = |index: usize, default: f64| args.get(index).map_or(default, |arg| arg.parse().unwrap());
    let usual = Load::USUAL;
    match args.first().map(String::as_str) {
        Some("broker") => throughput::broker().await,
        Some("large-broker") => memory::large_broker().await,
        Some("worker") => throughput::workers(&args[1], number(2, 1)).await,
        Some("echo") => latency::echo().await,
        Some("throughput") => {
            let (tasks, clients) = (number(1, usual.tasks), number(2, usual.clients));
            let (workers, depth) = (number(3, usual.workers), number(4, usual.depth));
            throughput(Load { tasks, clients, workers, depth, size: number(5, usual.size) }).await
        }
        Some("latency") => latency::idle(number(1, 20_000)).await,
        Some("loaded") => latency::loaded(real(1, 0.7), real(2, 10.0)).await,
        Some("stalls") => {
            stalls::watch(real(1, 0.7), real(2, 10.0));
            Ok(())
        }
        Some("balance") => balance::unequal(number(1, 30_000)).await,
        Some("memory") => memory::queued(number(1, 1_000_000), number(2, 64)).await,
        _ => {
            throughput(usual).await?;
            throughput(Load { tasks: 100_000, size: 4096, ..usual }).await?;
            latency::idle(20_000).await?;
            stalls::watch(0.7, 10.0);
            latency::loaded(0.7, 10.0).await?;
            memory::queued(1_000_000, 64).await?;
            balance::unequal(30_000).await
        }
    }
}

async fn throughput(load: Load) -> Result<(), Box<dyn Error>> {
    let outcome = Pool::start(load).await?.measure(load).await?;
    println!(
        "throughput: {} tasks of {} B, {} clients with {} calls under way, {} workers: {:.0} tasks/s",
        load.tasks, load.size, load.clients, load.depth, load.workers, outcome.tasks_per_second
    );
    for (name, cost) in ["broker", "workers", "clients"].iter().zip(outcome.cost) {
        println!("  {name:8} {cost:5.2} us of processor time for each task");
    }
    Ok(())
}

//! How many tasks a broker passes on in a second: clients with many calls under way each, workers that do nothing.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sinew::Message;
use sinew::pool::{Broker, Client, Job, Worker};

use crate::process::{Process, say, used};

/// How much of what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) tasks: usize,
    pub(crate) clients: usize,
    pub(crate) workers: usize,
    /// Calls under way of each client.
    pub(crate) depth: usize,
    /// Bytes of a payload.
    pub(crate) size: usize,
}

impl Load {
    pub(crate) const USUAL: Self = Self { tasks: 400_000, clients: 8, workers: 8, depth: 128, size: 64 };
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) tasks_per_second: f64,
    /// Processor time for each task: of the broker, the workers and the clients, in microseconds.
    pub(crate) cost: [f64; 3],
}

pub(crate) async fn broker() -> Result<(), Box<dyn Error>> {
    let broker = Broker::builder().bind("tcp://127.0.0.1:0").start().await?;
    say(&broker.endpoints()[0].to_string());
    broker.run().await;
    Ok(())
}

pub(crate) async fn workers(broker: &str, count: usize) -> Result<(), Box<dyn Error>> {
    for _ in 0..count {
        let worker = Worker::connect([broker]).queue("noop").capacity(16).prefetch(16).io_thread(false);
        tokio::spawn(worker.serve(|job: Job| async move { Ok::<_, Infallible>(job.body().clone()) }));
    }
    say("started");
    std::future::pending().await
}

/// Broker and workers as processes of their own, and clients that are connected.
pub(crate) struct Pool {
    broker: Process,
    worker: Process,
    pub(crate) clients: Vec<Client>,
}

impl Pool {
    pub(crate) async fn start(load: Load) -> Result<Self, Box<dyn Error>> {
        let broker = Process::start(&["broker"]);
        let worker = Process::start(&["worker", &broker.address, &load.workers.to_string()]);
        let mut clients = Vec::new();
        for _ in 0..load.clients {
            let client = Client::connect([&broker.address]).await?;
            client.call("noop", "is anybody there?").await?;
            clients.push(client);
        }
        Ok(Self { broker, worker, clients })
    }

    pub(crate) fn used(&self) -> [Duration; 3] {
        [self.broker.used(), self.worker.used(), used("self")]
    }

    /// All clients keep as many calls under way as they may, until there are no more to make.
    pub(crate) async fn measure(&self, load: Load) -> Result<Outcome, Box<dyn Error>> {
        let body = Message::from(vec![7; load.size]);
        let before = self.used();
        let start = Instant::now();
        let left = Arc::new(AtomicUsize::new(load.tasks));
        let mut running = Vec::new();
        for client in &self.clients {
            for _ in 0..load.depth {
                let (client, left, body) = (client.clone(), left.clone(), body.clone());
                running.push(tokio::spawn(async move {
                    let next = |left: usize| left.checked_sub(1);
                    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok() {
                        client.call("noop", body.clone()).await.unwrap();
                    }
                }));
            }
        }
        for running in running {
            running.await?;
        }
        let took = start.elapsed();
        let cost = self.cost(before, load.tasks);
        Ok(Outcome { tasks_per_second: load.tasks as f64 / took.as_secs_f64(), cost })
    }

    /// Processor time for each task since `before`, in microseconds: of the broker, the workers and the clients.
    pub(crate) fn cost(&self, before: [Duration; 3], tasks: usize) -> [f64; 3] {
        let after = self.used();
        std::array::from_fn(|part| (after[part] - before[part]).as_secs_f64() * 1e6 / tasks as f64)
    }
}

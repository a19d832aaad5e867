//! The second of three programs that make a pool: a worker. It ends when told to (SIGTERM), after its last task, or when
//! it has had nothing to do for a while. See `pool_broker`.
//!
//! ```text
//! cargo run --example pool_worker [broker]
//! ```

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use sinew::pool::{Failure, Job, Worker};
use tokio::sync::Notify;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let broker = std::env::args().nth(1).unwrap_or_else(|| "tcp://127.0.0.1:5570".into());
    println!("worker of {broker}");

    let busy = Arc::new(Notify::new());
    let begun = busy.clone();
    let nothing_to_do =
        async move { while tokio::time::timeout(Duration::from_secs(3), busy.notified()).await.is_ok() {} };
    let worker = Worker::connect([broker]).queue("resize").capacity(4);
    worker
        .serve_until(nothing_to_do, move |job: Job| {
            begun.notify_one();
            async move {
                let size: u64 = job.body().to_str()?.parse()?;
                // Stands for the work itself.
                tokio::time::sleep(Duration::from_millis(size % 20)).await;
                Ok::<_, Failure>(format!("{size} pixels are {} now", size / 2))
            }
        })
        .await?;
    println!("worker: nothing to do any more");
    Ok(())
}

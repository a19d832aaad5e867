//! The second of three programs that make a pipeline: it takes tasks from the ventilator and sends results to the
//! sink, until the sink says that everything is done. Start it as often as you like; see `ventilator`.
//!
//! ```text
//! cargo run --example worker [ventilator] [sink] [the sink's word that all is done]
//! ```

use std::error::Error;
use std::time::Duration;

use sinew::{Pull, Push, Sub};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let tasks_at = args.next().unwrap_or_else(|| "tcp://127.0.0.1:5557".into());
    let results_at = args.next().unwrap_or_else(|| "tcp://127.0.0.1:5558".into());
    let control_at = args.next().unwrap_or_else(|| "tcp://127.0.0.1:5559".into());
    let name = std::process::id().to_string();

    let control = Sub::builder().subscribe("end").build()?;
    control.connect(&control_at).await?;
    println!("worker {name}: waiting for the sink at {control_at}");
    // No task before the sink can tell us when to stop.
    control.wait_for_peers(1).await?;

    let results = Push::new();
    results.connect(&results_at).await?;
    let tasks = Pull::new();
    tasks.connect(&tasks_at).await?;

    let mut count = 0;
    loop {
        tokio::select! {
            // Neither `recv` loses a message when the other one is faster.
            _ = control.recv() => break,
            task = tasks.recv() => {
                let cost: u64 = task?.to_str()?.parse()?;
                // Stands for the work itself.
                tokio::time::sleep(Duration::from_millis(cost)).await;
                results.send(["done".to_string(), name.clone(), cost.to_string()]).await?;
                count += 1;
            }
        }
    }
    println!("worker {name}: {count} tasks done");
    results.close().await;
    Ok(())
}

//! The third of three programs that make a pool: a client, with many calls under way at a time. See `pool_broker`.
//!
//! ```text
//! cargo run --example pool_client [broker] [tasks]
//! ```

use std::error::Error;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use sinew::pool::Client;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let broker = args.next().unwrap_or_else(|| "tcp://127.0.0.1:5570".into());
    let tasks: u32 = args.next().map_or(Ok(200), |count| count.parse())?;

    let client = Client::connect([&broker]).await?;
    println!("client of {broker}");
    // Nothing has to be there yet: calls wait for a broker, and tasks wait for a worker, at most this long.
    let deadline = Duration::from_secs(30);
    let answers =
        stream::iter(0..tasks).map(|task| client.call("resize", task.to_string()).deadline(deadline));
    let mut answers = answers.map(IntoFuture::into_future).buffer_unordered(16);
    let mut count = 0;
    while let Some(answer) = answers.next().await {
        let answer = answer?;
        count += 1;
        if count % 50 == 0 {
            println!("{count} answers, the last one: {}", answer.to_str()?);
        }
    }
    drop(answers);
    client.close().await;
    Ok(())
}

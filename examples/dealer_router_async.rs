//! Asynchronous requests: a client has many requests under way, and the server answers each when it is ready.
//!
//! `Req` and `Rep` take turns; `Dealer` and `Router` do not. The router names the peer of every message, so an answer
//! finds its way whenever it is sent, from whichever task.
//!
//! ```text
//! cargo run --example dealer_router_async
//! ```

use std::error::Error;
use std::time::Duration;

use sinew::{Dealer, Endpoint, Router};

const CLIENTS: usize = 2;
const REQUESTS: usize = 8;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Router::new();
    let server_at = server.bind("tcp://127.0.0.1:0").await?;
    let serving = tokio::spawn(serve(server.clone()));

    let clients: Vec<_> =
        (0..CLIENTS).map(|name| tokio::spawn(client(format!("client-{name}"), server_at.clone()))).collect();
    for client in clients {
        client.await??;
    }
    server.close().await;
    serving.await?;
    Ok(())
}

/// Answers each request in a task of its own.
async fn serve(server: Router) {
    while let Ok((from, request)) = server.recv().await {
        let server = server.clone();
        tokio::spawn(async move {
            let number: u64 = request.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(0);
            // Stands for the work itself; later requests need less of it.
            tokio::time::sleep(Duration::from_millis(20 * (8 - number.min(8)))).await;
            let _ = server.send(from, format!("{number} squared is {}", number * number)).await;
        });
    }
}

/// Sends all its requests before it looks for an answer.
async fn client(name: String, server: Endpoint) -> Result<(), sinew::Error> {
    let client = Dealer::builder().routing_id(name.clone()).build()?;
    client.connect(&server).await?;
    for number in 0..REQUESTS {
        client.send(number.to_string()).await?;
    }
    for _ in 0..REQUESTS {
        let answer = client.recv().await?;
        println!("{name}: {}", answer.to_str().unwrap_or("not text"));
    }
    Ok(())
}

//! Request and reply: clients ask, a server answers, one request at a time.
//!
//! ```text
//! cargo run --example req_rep
//! ```

use std::error::Error;
use std::time::Duration;

use sinew::{Endpoint, Rep, Req};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Rep::new();
    let server_at = server.bind("tcp://127.0.0.1:0").await?;
    let serving = tokio::spawn(serve(server.clone()));

    let mut clients = JoinSet::new();
    for name in ["ada", "ben", "cleo"] {
        clients.spawn(ask(name, server_at.clone()));
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }

    // Closing one clone closes the socket: `recv` in the other task says so, and that task ends.
    server.close().await;
    serving.await??;
    Ok(())
}

async fn serve(server: Rep) -> Result<(), sinew::Error> {
    while let Ok(request) = server.recv().await {
        let name = String::from_utf8_lossy(request.first()).to_uppercase();
        // Every request has exactly one reply; it goes to whoever asked.
        server.send(format!("HELLO {name}")).await?;
    }
    Ok(())
}

async fn ask(name: &str, server: Endpoint) -> Result<(), sinew::Error> {
    // A server that dies with the request is an error; so is one that does not answer in time.
    let client = Req::builder().request_timeout(Duration::from_secs(5)).build()?;
    client.connect(&server).await?;
    for _ in 0..3 {
        let reply = client.request(name).await?;
        println!("{name}: {}", reply.to_str().unwrap_or("not text"));
    }
    Ok(())
}

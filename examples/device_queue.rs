//! The device QUEUE: any number of clients share any number of servers, and know only the device.
//!
//! ```text
//! cargo run --example device_queue
//!
//! Req client -+                       +- Rep server
//! Req client -+- Router proxy Dealer -+
//! Req client -+                       +- Rep server
//! ```

use std::error::Error;

use sinew::{Dealer, Endpoint, Rep, Req, Router, proxy};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (frontend, backend) = (Router::new(), Dealer::new());
    let clients_at = frontend.bind("tcp://127.0.0.1:0").await?;
    let servers_at = backend.bind("tcp://127.0.0.1:0").await?;
    let device = tokio::spawn(proxy(frontend.clone(), backend.clone(), None));

    let mut servers = Vec::new();
    for name in ["left", "right"] {
        let server = Rep::new();
        server.connect(&servers_at).await?;
        servers.push((server.clone(), tokio::spawn(serve(name, server))));
    }
    backend.wait_for_peers(2).await?;

    let clients: Vec<_> = (1..=3).map(|name| tokio::spawn(client(name, clients_at.clone()))).collect();
    for client in clients {
        client.await??;
    }
    for (server, serving) in servers {
        server.close().await;
        serving.await??;
    }
    // The proxy ends when one of its sockets is closed.
    frontend.close().await;
    device.await?;
    Ok(())
}

async fn serve(name: &str, server: Rep) -> Result<(), sinew::Error> {
    while let Ok(request) = server.recv().await {
        let question = request.to_str().unwrap_or("not text");
        server.send(format!("{question}, says the {name} server")).await?;
    }
    Ok(())
}

async fn client(name: usize, device: Endpoint) -> Result<(), sinew::Error> {
    let client = Req::new();
    client.connect(&device).await?;
    for request in 1..=4 {
        let reply = client.request(format!("client {name}, request {request}")).await?;
        println!("{}", reply.to_str().unwrap_or("not text"));
    }
    Ok(())
}

//! The device STREAMER: pushers and pullers that know only the device. A third socket, the capture, sees everything
//! that passes.
//!
//! ```text
//! cargo run --example device_streamer
//!
//! Push client -+                    +- Pull server
//!              +- Pull proxy Push --+
//! Push client -+       |            +- Pull server
//!                 Push capture
//! ```

use std::error::Error;

use sinew::{Pull, Push, proxy};

const EACH: usize = 6;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (frontend, backend) = (Pull::new(), Push::new());
    let clients_at = frontend.bind("tcp://127.0.0.1:0").await?;
    let servers_at = backend.bind("tcp://127.0.0.1:0").await?;

    let (capture, log) = (Push::new(), Pull::new());
    capture.bind("inproc://log").await?;
    log.connect("inproc://log").await?;
    let device = tokio::spawn(proxy(frontend.clone(), backend.clone(), Some(capture.into())));

    let mut servers = Vec::new();
    for name in ["left", "right"] {
        let server = Pull::new();
        server.connect(&servers_at).await?;
        servers.push(tokio::spawn(serve(name, server)));
    }
    // With both of them there, the jobs are dealt out in turn.
    backend.wait_for_peers(2).await?;

    for name in ["first", "second"] {
        let client = Push::new();
        client.connect(&clients_at).await?;
        for number in 1..=EACH {
            client.send(format!("job {number} of the {name} client")).await?;
        }
        client.close().await;
    }

    for server in servers {
        server.await??;
    }
    // The proxy ends when one of its sockets is closed.
    frontend.close().await;
    device.await?;
    let mut captured = 0;
    while log.try_recv().is_ok() {
        captured += 1;
    }
    println!("captured: {captured} jobs");
    Ok(())
}

async fn serve(name: &str, server: Pull) -> Result<(), sinew::Error> {
    for _ in 0..EACH {
        let job = server.recv().await?;
        println!("{name:<5} server: {}", job.to_str().unwrap_or("not text"));
    }
    Ok(())
}

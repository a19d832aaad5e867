//! A load-balancing broker on plain sockets: whoever says that it is ready gets the next request, and nobody else.
//!
//! Forty lines, and all that they leave out is in `sinew::pool`: what becomes of the request of a worker that dies,
//! more than one request at a time, priorities, retries. See `pool_orders` for that.
//!
//! ```text
//! cargo run --example lbbroker
//!
//! Req client ->  Router | broker | Router  <- Req worker
//! ```

use std::collections::VecDeque;
use std::error::Error;

use sinew::{Endpoint, Req, Router, RoutingId};

const CLIENTS: usize = 10;
const WORKERS: usize = 3;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (front, back) = (Router::new(), Router::new());
    let front_at = front.bind("tcp://127.0.0.1:0").await?;
    let back_at = back.bind("tcp://127.0.0.1:0").await?;
    tokio::spawn(broker(front, back));
    for name in 0..WORKERS {
        tokio::spawn(worker(name, back_at.clone()));
    }
    let clients: Vec<_> = (0..CLIENTS).map(|name| tokio::spawn(client(name, front_at.clone()))).collect();
    for client in clients {
        client.await??;
    }
    Ok(())
}

async fn broker(front: Router, back: Router) -> Result<(), sinew::Error> {
    let mut ready = VecDeque::<RoutingId>::new();
    loop {
        tokio::select! {
            // A worker: ready for the first time, or with an answer, and so ready again.
            received = back.recv() => {
                let (worker, mut message) = received?;
                ready.push_back(worker);
                message.pop_front();
                // The answer: who asked, an empty frame, and what is said.
                if message.frame_count() == 3 && let Some(client) = message.pop_front() {
                    front.send(client, message).await?;
                }
            }
            // A request, if there is somebody to do it; else it waits where it is.
            received = front.recv(), if !ready.is_empty() => {
                let (client, mut message) = received?;
                let Some(worker) = ready.pop_front() else { continue };
                message.push_front(client);
                message.push_front("");
                back.send(worker, message).await?;
            }
        }
    }
}

async fn worker(name: usize, broker: Endpoint) -> Result<(), sinew::Error> {
    let socket = Req::new();
    socket.connect(&broker).await?;
    socket.send("READY").await?;
    loop {
        // Who asked, an empty frame, and the question.
        let request = socket.recv().await?;
        let answer = format!("{} from worker {name}", request.to_str().unwrap_or("not text"));
        socket.send([request[0].clone(), "".into(), answer.into()]).await?;
    }
}

async fn client(name: usize, broker: Endpoint) -> Result<(), sinew::Error> {
    let socket = Req::new();
    socket.connect(&broker).await?;
    let answer = socket.request(format!("hello {name}")).await?;
    println!("client {name}: {}", answer.to_str().unwrap_or("not text"));
    Ok(())
}

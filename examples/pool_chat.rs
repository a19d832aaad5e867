//! A chat: what is said goes to a pool that checks it, and from there to everybody who listens. Point to point, and
//! publish and subscribe, side by side. One asks an assistant, who answers word by word.
//!
//! ```text
//! cargo run --example pool_chat
//!
//! speakers -> pool of moderators -> Pub -> listeners
//! ```

use std::error::Error;

use sinew::pool::{Broker, Client, Failure, Job, Policy, StrategyName, Worker};
use sinew::{Pub, Sub};

const LISTENERS: usize = 3;
const SAID: [(&str, &str); 5] = [
    ("ann", "hello everybody"),
    ("ben", "hello ann"),
    ("ann", "buy my cheap watches"),
    ("ben", "no thank you"),
    ("ann", "goodbye"),
];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // One after the other of each speaker, whoever checks it.
    let policy = Policy::default().strategy(StrategyName::OrderedKey);
    let broker = Broker::builder().bind("tcp://127.0.0.1:0").queue("say", policy).start().await?;
    let address = broker.endpoints()[0].to_string();

    let room = Pub::new();
    let room_at = room.bind("tcp://127.0.0.1:0").await?;
    let mut listening = Vec::new();
    for _ in 0..LISTENERS {
        let listener = Sub::builder().subscribe("").build()?;
        listener.connect(&room_at).await?;
        listening.push(tokio::spawn(listen(listener)));
    }
    room.wait_for_subscribers(LISTENERS).await?;

    for _ in 0..2 {
        let room = room.clone();
        tokio::spawn(Worker::connect([&address]).queue("say").serve(move |job| moderate(job, room.clone())));
    }
    tokio::spawn(Worker::connect([&address]).queue("ask").serve(assist));

    let client = Client::connect([&address]).await?;
    for (who, what) in SAID {
        let verdict = client.call("say", [who, what]).key(who).await;
        println!("{who}: {what:?}: {}", if verdict.is_ok() { "said" } else { "not said" });
    }
    let mut words = client.stream("ask", "what is a pool?").await?;
    while let Some(word) = words.next().await {
        println!("the assistant: {}", word?.to_str()?);
    }
    room.send("end").await?;
    for listener in listening {
        println!("a listener heard {} lines", listener.await??);
    }
    Ok(())
}

async fn moderate(job: Job, room: Pub) -> Result<&'static str, Failure> {
    let [who, what] = [0, 1].map(|frame| String::from_utf8_lossy(&job.body()[frame]).into_owned());
    if what.contains("cheap") {
        // It will not get better by trying again.
        return Err(Failure::reject("advertising"));
    }
    room.send(format!("{who}: {what}")).await?;
    Ok("said")
}

async fn assist(job: Job) -> Result<&'static str, Failure> {
    for word in ["workers", "that", "share"] {
        job.partial(word).await?;
    }
    Ok("a queue")
}

async fn listen(room: Sub) -> Result<usize, sinew::Error> {
    let mut lines = 0;
    while room.recv().await? != "end" {
        lines += 1;
    }
    Ok(lines)
}

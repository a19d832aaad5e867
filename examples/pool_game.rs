//! The requests of a game: those of one player go to the same worker, which has the player's world in memory; they have
//! little time, and what pays goes first.
//!
//! ```text
//! cargo run --example pool_game
//! ```

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use sinew::pool::{Broker, Client, Failure, Job, Policy, StrategyName, Worker};

const SERVERS: usize = 4;
const PLAYERS: usize = 50;
const MOVES: usize = 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let policy = Policy::default().strategy(StrategyName::HashShard);
    let broker = Broker::builder().bind("tcp://127.0.0.1:0").queue("moves", policy).start().await?;
    let address = broker.endpoints()[0].to_string();

    for name in 0..SERVERS {
        // The worlds that this server has in memory: who comes back finds it.
        let worlds = Arc::new(Mutex::new(HashMap::<String, usize>::new()));
        let server = Worker::connect([&address]).queue("moves").capacity(16).name(format!("server-{name}"));
        tokio::spawn(server.serve(move |job| play(job, name, worlds.clone())));
    }

    // A player's server depends on how many there are.
    while broker.figures().await?.workers.len() < SERVERS {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let client = Client::connect([&address]).await?;
    let games = (0..PLAYERS).map(|player| {
        let client = client.clone();
        async move {
            let name = format!("player-{player}");
            let mut servers = HashSet::new();
            for turn in 0..MOVES {
                let call = client.call("moves", [&name, &format!("move {turn}")]).key(name.clone());
                // Some pay for it; and nobody waits for long.
                let priority = if player % 10 == 0 { 9 } else { 4 };
                let answer = call.priority(priority).deadline(Duration::from_secs(5)).await?;
                servers.insert(answer[0].to_vec());
            }
            Ok::<_, sinew::pool::CallError>(servers.len())
        }
    });
    let mut loyal = 0;
    for servers in join_all(games).await {
        loyal += usize::from(servers? == 1);
    }
    println!("{loyal} of {PLAYERS} players were served by one server throughout");
    for worker in broker.figures().await?.workers {
        println!("{:?}: {} moves", worker.name, worker.done);
    }
    Ok(())
}

async fn play(
    job: Job,
    server: usize,
    worlds: Arc<Mutex<HashMap<String, usize>>>,
) -> Result<[String; 2], Failure> {
    let player = String::from_utf8_lossy(&job.body()[0]).into_owned();
    let mut worlds = worlds.lock().map_err(|_| Failure::retry("the worlds are lost"))?;
    let moves = worlds.entry(player).or_default();
    *moves += 1;
    Ok([format!("server-{server}"), format!("move {moves}")])
}

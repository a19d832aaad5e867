//! A large file, counted by a pool: each task is a piece of the file, and says only where it begins and ends. Workers
//! that are done early get more; the results are added up as they come.
//!
//! ```text
//! cargo run --release --example pool_mapreduce [megabytes]
//! ```

use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use futures::StreamExt;
use futures::stream;
use sinew::pool::{Broker, Client, Failure, Job, Worker};

const WORDS: [&str; 8] = ["broker", "client", "queue", "worker", "task", "lease", "credit", "result"];
/// Every line has this length, so that a piece is easily cut between two of them.
const LINE: u64 = 64;
const PIECE: u64 = LINE * 16 * 1024;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let megabytes: u64 = std::env::args().nth(1).map_or(Ok(32), |size| size.parse())?;
    let path = std::env::temp_dir().join(format!("sinew-mapreduce-{}", std::process::id()));
    let size = generate(&path, megabytes << 20)?;
    let counted = count(&path, size).await;
    std::fs::remove_file(&path)?;
    let counts = counted?;
    assert_eq!(counts.values().sum::<u64>(), size / LINE);
    for word in WORDS {
        println!("{word:8} {}", counts.get(word).unwrap_or(&0));
    }
    Ok(())
}

/// A file of lines, each of which begins with a word.
fn generate(path: &Path, size: u64) -> std::io::Result<u64> {
    let mut file = BufWriter::new(File::create(path)?);
    let lines = size / LINE;
    for line in 0..lines {
        // Some words are more frequent than others.
        let random = line.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let word = WORDS[(random % 8).min(random / 8 % 8) as usize];
        writeln!(file, "{word:<63}")?;
    }
    file.flush()?;
    Ok(lines * LINE)
}

async fn count(path: &Path, size: u64) -> Result<HashMap<String, u64>, Box<dyn Error>> {
    let broker = Broker::builder().bind("tcp://127.0.0.1:0").start().await?;
    let address = broker.endpoints()[0].to_string();
    for _ in 0..2 {
        let path = path.to_owned();
        tokio::spawn(Worker::connect([&address]).queue("map").serve(move |job| map(job, path.clone())));
    }

    let client = Client::connect([&address]).await?;
    let start = Instant::now();
    let pieces = (0..size.div_ceil(PIECE)).map(|piece| piece * PIECE);
    // Some more under way than there are workers, so that none waits for the next piece.
    let mut results = stream::iter(pieces)
        .map(|from| client.call("map", format!("{from} {}", PIECE.min(size - from))).into_future())
        .buffer_unordered(8);
    let mut counts = HashMap::new();
    let mut pieces = 0;
    while let Some(result) = results.next().await {
        // The reduction: what each piece says is added up.
        for line in result?.to_str()?.lines() {
            let (word, count) = line.split_once(' ').ok_or("a line without a count")?;
            *counts.entry(word.to_owned()).or_default() += count.parse::<u64>()?;
        }
        pieces += 1;
    }
    let speed = size as f64 / start.elapsed().as_secs_f64() / 1e6;
    println!("{pieces} pieces of {} KiB, {speed:.0} MB/s", PIECE >> 10);
    Ok(counts)
}

async fn map(job: Job, path: PathBuf) -> Result<String, Failure> {
    let piece = job.body().to_str()?;
    let (from, length) = piece.split_once(' ').ok_or_else(|| Failure::reject("no piece"))?;
    let (from, length) = (from.parse::<u64>()?, length.parse::<usize>()?);
    // Reading and counting blocks its thread, so it has one of its own.
    tokio::task::spawn_blocking(move || {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes)?;
        let mut counts = HashMap::<&str, u64>::new();
        for line in std::str::from_utf8(&bytes)?.lines() {
            *counts.entry(line.trim_end()).or_default() += 1;
        }
        Ok(counts.iter().map(|(word, count)| format!("{word} {count}\n")).collect())
    })
    .await?
}

//! Publish and subscribe: a weather station publishes for several cities, each subscriber hears of one.
//!
//! A subscription is a prefix of the message. What is published before it arrives is not for that subscriber, so the
//! station waits for its subscribers instead of sleeping and hoping.
//!
//! ```text
//! cargo run --example pubsub_weather
//! ```

use std::error::Error;

use sinew::{Endpoint, Pub, Sub};
use tokio::task::JoinSet;

const REPORTS: i32 = 100;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let station = Pub::new();
    let station_at = station.bind("tcp://127.0.0.1:0").await?;

    let mut subscribers = JoinSet::new();
    for city in ["bergen", "lagos", "quito"] {
        subscribers.spawn(subscriber(city, station_at.clone()));
    }
    station.wait_for_subscribers(3).await?;

    for report in 0..REPORTS {
        for (city, warmth) in [("bergen", 8), ("lagos", 28), ("quito", 14), ("yakutsk", -30)] {
            let degrees = warmth + report * 31 % 9 - 4;
            // Two frames: the topic, and the report.
            station.send([city.to_string(), degrees.to_string()]).await?;
        }
    }
    while let Some(subscriber) = subscribers.join_next().await {
        subscriber??;
    }

    station.close().await;
    let stats = station.stats();
    println!("sent: {}, for nobody: {}", stats.sent, stats.dropped.no_route);
    Ok(())
}

async fn subscriber(city: &str, station: Endpoint) -> Result<(), Box<dyn Error + Send + Sync>> {
    let weather = Sub::builder().subscribe(city).build()?;
    weather.connect(&station).await?;
    let mut sum = 0;
    for _ in 0..REPORTS {
        let report = weather.recv().await?;
        sum += report.to_str()?.parse::<i32>()?;
    }
    println!("{city}: {} degrees on average of {REPORTS} reports", sum / REPORTS);
    Ok(())
}

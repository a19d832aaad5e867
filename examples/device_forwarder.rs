//! The device FORWARDER: publishers and subscribers that know only the device. Subscriptions travel the other way, so
//! what nobody wants never leaves its publisher.
//!
//! ```text
//! cargo run --example device_forwarder
//!
//! Pub publisher -+                   +- Sub subscriber
//!                +- XSub proxy XPub -+
//! Pub publisher -+                   +- Sub subscriber
//! ```

use std::error::Error;

use sinew::{Endpoint, Pub, Sub, XPub, XSub, proxy};

const EACH: usize = 4;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (frontend, backend) = (XSub::new(), XPub::new());
    let publishers_at = frontend.bind("tcp://127.0.0.1:0").await?;
    let subscribers_at = backend.bind("tcp://127.0.0.1:0").await?;
    let device = tokio::spawn(proxy(frontend.clone(), backend.clone(), None));

    let subscribers = ["first", "second"].map(|name| tokio::spawn(subscriber(name, subscribers_at.clone())));
    backend.wait_for_subscribers(2).await?;

    for name in ["first", "second"] {
        let publisher = Pub::new();
        publisher.connect(&publishers_at).await?;
        // Its one subscriber is the device, which subscribes to what its own subscribers want.
        publisher.wait_for_subscribers(1).await?;
        for number in 1..=EACH {
            publisher.send(format!("weather: report {number} of the {name} publisher")).await?;
            publisher.send(format!("sports: result {number} of the {name} publisher")).await?;
        }
        publisher.close().await;
        let unwanted = publisher.stats().dropped.no_route;
        println!("{name} publisher: {unwanted} of {} messages were for nobody", 2 * EACH);
    }

    for subscriber in subscribers {
        subscriber.await??;
    }
    // The proxy ends when one of its sockets is closed.
    frontend.close().await;
    device.await?;
    Ok(())
}

async fn subscriber(name: &str, device: Endpoint) -> Result<(), sinew::Error> {
    let subscriber = Sub::builder().subscribe("weather:").build()?;
    subscriber.connect(&device).await?;
    for _ in 0..2 * EACH {
        let message = subscriber.recv().await?;
        println!("{name} subscriber: {}", message.to_str().unwrap_or("not text"));
    }
    Ok(())
}

//! Orders of a shop: none is lost, none is charged twice, and those of one customer are done one after the other.
//!
//! An order is submitted under its number, so a customer who clicks twice has ordered once. One worker is lost in the
//! middle of an order; another does it again, and the number of the attempt keeps the first from being counted.
//!
//! ```text
//! cargo run --example pool_orders
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sinew::pool::{Broker, Client, Failure, Job, Policy, StrategyName, Worker};

const CUSTOMERS: usize = 5;
const ORDERS: usize = 40;

/// Stands for the shop's database: of each order, who was charged, by which attempt.
type Books = Arc<Mutex<BTreeMap<String, (String, u32)>>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let policy = Policy::default().strategy(StrategyName::OrderedKey);
    let broker = Broker::builder().bind("tcp://127.0.0.1:0").queue("orders", policy).start().await?;
    let address = broker.endpoints()[0].to_string();

    let client = Client::connect([&address]).await?;
    for number in 0..ORDERS {
        let customer = format!("customer-{}", number % CUSTOMERS);
        let order = format!("order-{number}");
        for _click in 0..2 {
            client.submit("orders", [&customer, &order]).key(customer.clone()).dedup(order.clone()).await?;
        }
    }
    println!("{ORDERS} orders, each submitted twice");

    // A worker that is lost in the middle of its first order.
    let mut unlucky = Worker::connect([&address]).queue("orders").pull().await?;
    let lost = unlucky.recv().await?;
    println!("a worker is lost with {:?}", lost.body()[1]);
    drop(unlucky);

    let books = Books::default();
    for _ in 0..3 {
        let books = books.clone();
        let worker = Worker::connect([&address]).queue("orders");
        tokio::spawn(worker.serve(move |job| charge(job, books.clone())));
    }
    loop {
        let figures = broker.figures().await?;
        if figures.queues[0].counters.done >= ORDERS as u64 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let books = books.lock().map_err(|_| "the books are lost")?;
    let again: Vec<_> =
        books.iter().filter(|(_, (_, attempt))| *attempt > 1).map(|(order, _)| order).collect();
    println!("{} orders charged, once each; done again after the loss: {again:?}", books.len());
    assert_eq!(books.len(), ORDERS);
    Ok(())
}

async fn charge(job: Job, books: Books) -> Result<&'static str, Failure> {
    let [customer, order] = [0, 1].map(|frame| String::from_utf8_lossy(&job.body()[frame]).into_owned());
    // Stands for the work itself.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let mut books = books.lock().map_err(|_| Failure::retry("the books are lost"))?;
    let entry = books.entry(order).or_insert_with(|| (customer, job.attempt()));
    if entry.1 > job.attempt() {
        // Somebody else has it by now: the database goes by the attempt.
        return Err(Failure::release());
    }
    Ok("charged")
}

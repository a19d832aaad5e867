//! What the tests share: a broker with its clients and workers, and a wire that can be cut.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use sinew::pool::{Broker, BrokerBuilder, BrokerFigures, Client, PullWorker, Task, Worker, WorkerBuilder};
use sinew::{Dealer, Message};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub(crate) use crate::support::within;

/// A broker on a port of its own.
pub(crate) async fn broker() -> (Broker, String) {
    start(Broker::builder()).await
}

pub(crate) async fn start(builder: BrokerBuilder) -> (Broker, String) {
    let broker = builder.bind("tcp://127.0.0.1:0").start().await.unwrap();
    let address = broker.endpoints()[0].to_string();
    (broker, address)
}

pub(crate) async fn client(address: &str) -> Client {
    Client::connect([address]).await.unwrap()
}

pub(crate) async fn pull(worker: WorkerBuilder) -> PullWorker {
    worker.pull().await.unwrap()
}

pub(crate) fn worker(address: &str, queue: &str) -> WorkerBuilder {
    Worker::connect([address]).queue(queue.to_owned())
}

pub(crate) async fn next(worker: &mut PullWorker) -> Task {
    within("a task", worker.recv()).await.unwrap()
}

/// Until the figures are so.
pub(crate) async fn until(broker: &Broker, so: impl Fn(&BrokerFigures) -> bool) {
    let watch = async {
        while !so(&broker.figures().await.unwrap()) {
            tokio::task::yield_now().await;
        }
    };
    within("what the broker counts", watch).await;
}

/// Until so many workers serve some queue.
pub(crate) async fn workers(broker: &Broker, count: usize) {
    until(broker, |figures| figures.workers.len() == count).await;
}

/// A peer that is played by hand.
pub(crate) async fn dealer(address: &str) -> Dealer {
    let dealer = Dealer::new();
    dealer.connect(address).await.unwrap();
    dealer
}

pub(crate) fn text(message: &Message) -> &str {
    message.to_str().unwrap()
}

/// A wire between two programs that can be cut, and is whole again for who connects anew.
pub(crate) struct Wire {
    pub(crate) address: String,
    cables: Arc<Mutex<JoinSet<()>>>,
    up: Arc<AtomicBool>,
    _accepting: JoinSet<()>,
}

impl Wire {
    pub(crate) async fn to(target: &str) -> Self {
        let target = target.trim_start_matches("tcp://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        let cables = Arc::new(Mutex::new(JoinSet::new()));
        let mut accepting = JoinSet::new();
        let up = Arc::new(AtomicBool::new(true));
        let (ends, is_up) = (cables.clone(), up.clone());
        accepting.spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                if !is_up.load(Ordering::SeqCst) {
                    continue;
                }
                let target = target.clone();
                ends.lock().unwrap().spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(target).await {
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
        Self { address, cables, up, _accepting: accepting }
    }

    /// Cuts what goes through it; whoever connects anew gets through.
    pub(crate) fn cut(&self) {
        self.cables.lock().unwrap().abort_all();
    }

    /// Cuts what goes through it, and lets nobody through.
    pub(crate) fn down(&self) {
        self.up.store(false, Ordering::SeqCst);
        self.cut();
    }

    pub(crate) fn up(&self) {
        self.up.store(true, Ordering::SeqCst);
    }
}

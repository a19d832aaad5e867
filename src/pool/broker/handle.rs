//! A running broker, from outside.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::Instant;

use super::builder::BrokerBuilder;
use super::driver::{Command, Wire};
use crate::endpoint::Endpoint;
use crate::message::Frame;
use crate::pool::policy::Policy;
use crate::pool::protocol::TaskId;
use crate::pool::scheduler::{Admin, DeadLetter, QueueFigures, Scheduler, Totals, WorkerFigures};
use crate::pool::time::Time;

/// A running broker. A clone is the same broker; it ends with [`shut_down`](Self::shut_down), or when the last clone is
/// dropped.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sinew::pool::{Broker, Client, Policy, StrategyName, Worker};
///
/// let broker = Broker::builder()
///     .bind("tcp://127.0.0.1:0")
///     .queue("double", Policy::default().strategy(StrategyName::LeastLoaded))
///     .start()
///     .await?;
///
/// let mut worker = Worker::connect(broker.endpoints()).queue("double").pull().await?;
/// tokio::spawn(async move {
///     while let Ok(task) = worker.recv().await {
///         let number: u64 = task.body().to_str().unwrap().parse().unwrap();
///         task.done((number * 2).to_string()).await.unwrap();
///     }
/// });
/// let client = Client::connect(broker.endpoints()).await?;
/// assert_eq!(client.call("double", "21").await?, "42");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a broker ends when its last clone is dropped"]
pub struct Broker {
    commands: mpsc::UnboundedSender<Command>,
    ended: Arc<Mutex<oneshot::Receiver<()>>>,
    endpoints: Arc<[Endpoint]>,
}

impl Broker {
    /// A broker to be told what to be.
    pub fn builder() -> BrokerBuilder {
        BrokerBuilder::default()
    }

    pub(super) fn new(
        commands: mpsc::UnboundedSender<Command>,
        ended: oneshot::Receiver<()>,
        endpoints: Vec<Endpoint>,
    ) -> Self {
        Self { commands, ended: Arc::new(Mutex::new(ended)), endpoints: endpoints.into() }
    }

    /// Where it is bound, in the order in which the builder was told, with the real ports.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Gives nothing more of a queue to workers, until [`resume`](Self::resume).
    pub fn pause(&self, queue: impl Into<Frame>) {
        self.tell(Command::Admin(Admin::Pause(queue.into())));
    }

    /// Goes on with a queue.
    pub fn resume(&self, queue: impl Into<Frame>) {
        self.tell(Command::Admin(Admin::Resume(queue.into())));
    }

    /// Changes the rules of a queue. What waits stays, even above a lower limit.
    pub fn set_policy(&self, queue: impl Into<Frame>, policy: Policy) {
        self.tell(Command::Admin(Admin::SetPolicy(queue.into(), Box::new(policy))));
    }

    /// Drops what waits in a queue; clients are told.
    pub fn purge(&self, queue: impl Into<Frame>) {
        self.tell(Command::Admin(Admin::Purge(queue.into())));
    }

    /// What there is now, and what has happened so far.
    ///
    /// # Errors
    ///
    /// If it has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, nothing has happened.
    pub async fn figures(&self) -> Result<BrokerFigures, BrokerEnded> {
        self.ask(|scheduler, _, wire| BrokerFigures {
            queues: scheduler.queues(),
            workers: scheduler.workers(),
            totals: scheduler.totals(),
            connections: wire.connections,
            malformed: wire.malformed,
            cut_off: wire.cut_off,
        })
        .await
    }

    /// Why a task is where it is, in words; `id` is the broker's number of it, as its worker knows it. A client asks
    /// [`Client::status`](crate::pool::Client::status).
    ///
    /// # Errors
    ///
    /// If it has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, nothing has happened.
    pub async fn explain(&self, id: u64) -> Result<String, BrokerEnded> {
        self.ask(move |scheduler, now, _| scheduler.explain(TaskId(id)).at(now).to_string()).await
    }

    /// The dead letters of a queue, oldest first.
    ///
    /// ```
    /// # use sinew::pool::{Broker, BrokerEnded};
    /// # async fn look(broker: &Broker) -> Result<(), BrokerEnded> {
    /// for letter in broker.dead_letters("orders").await? {
    ///     println!("{:?} after {} starts: {:?}", letter.reason, letter.starts, letter.error);
    /// }
    /// broker.retry_dead("orders", 100); // once the reason is gone
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If it has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, nothing has happened.
    pub async fn dead_letters(&self, queue: impl Into<Frame>) -> Result<Vec<DeadLetter>, BrokerEnded> {
        let queue = queue.into();
        self.ask(move |scheduler, _, _| scheduler.dead_letters(&queue)).await
    }

    /// Puts up to so many dead letters back into their queue, oldest first, with a clean record.
    pub fn retry_dead(&self, queue: impl Into<Frame>, most: usize) {
        self.tell(Command::Admin(Admin::RetryDead(queue.into(), most)));
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Scheduler, Time, &Wire) -> T + Send + 'static,
    ) -> Result<T, BrokerEnded> {
        let (answer, answered) = oneshot::channel();
        let ask = move |scheduler: &Scheduler, now: Time, wire: &Wire| {
            drop(answer.send(question(scheduler, now, wire)));
        };
        self.tell(Command::Ask(Box::new(ask)));
        answered.await.map_err(|_| BrokerEnded)
    }

    /// Takes no more tasks, finishes those it has, and ends: within `grace`, whatever is left.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the broker goes on shutting down.
    pub async fn shut_down(&self, grace: Duration) {
        let end = Instant::now().checked_add(grace).unwrap_or_else(far);
        self.tell(Command::ShutDown(end));
        self.run().await;
    }

    /// Until it has ended: what a program that is a broker does.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the broker goes on, as long as there is a handle to it.
    pub async fn run(&self) {
        let mut ended = self.ended.lock().await;
        if !ended.is_terminated() {
            let _ = (&mut *ended).await;
        }
    }

    fn tell(&self, command: Command) {
        // One that has ended has nothing to be told.
        let _ = self.commands.send(command);
    }
}

/// What there is in a broker; from [`Broker::figures`].
///
/// ```
/// # use sinew::pool::{Broker, BrokerEnded};
/// # async fn look(broker: &Broker) -> Result<(), BrokerEnded> {
/// let figures = broker.figures().await?;
/// for queue in &figures.queues {
///     println!("{:?}: {} waiting, the oldest for {:?}", queue.name, queue.waiting, queue.oldest);
/// }
/// for worker in &figures.workers {
///     println!("{:?} at {:?}: {:?}", worker.name, worker.address, worker.availability);
/// }
/// assert_eq!(figures.totals.conservation_error(), 0);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BrokerFigures {
    /// Its queues, in the order in which they were made.
    pub queues: Vec<QueueFigures>,
    /// Its workers.
    pub workers: Vec<WorkerFigures>,
    /// What is counted for all queues together.
    pub totals: Totals,
    /// Connections of clients and workers.
    pub connections: usize,
    /// Messages that made no sense, and were ignored.
    pub malformed: u64,
    /// Connections that were ended because the peer did not read.
    pub cut_off: u64,
}

/// The broker has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the broker has ended")]
#[non_exhaustive]
pub struct BrokerEnded;

/// As good as never.
fn far() -> Instant {
    Instant::now() + Duration::from_secs(365 * 24 * 3600)
}

//! The worker: takes tasks from brokers and answers them.
//!
//! Heartbeats must not stop because a handler computes, or blocks. So the I/O has a task of its own, and where the
//! runtime has one thread only, a thread of its own; see [`WorkerBuilder::io_thread`].

mod link;
mod prefetch;
mod serve;
mod shelf;
mod task;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub(super) use link::Link;
pub use prefetch::Prefetch;
pub use task::Task;

use crate::endpoint::{Endpoint, EndpointError};
use crate::error::RecvError;
use crate::message::Frame;
use crate::pool::client::JoinError;
use crate::pool::protocol::WorkerHello;
use crate::pool::socket;
use link::Io;
use shelf::Shelf;

/// Where a worker begins: [`Worker::connect`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use sinew::pool::{Broker, Client, Failure, Job, Worker};
/// let broker = Broker::builder().bind("tcp://127.0.0.1:0").start().await?;
///
/// let worker = Worker::connect(broker.endpoints()).queue("length").capacity(8);
/// tokio::spawn(worker.serve(|job: Job| async move {
///     let text = job.body().to_str()?; // an error is a failure: tried again, by the rules of the queue
///     Ok::<_, Failure>(text.len().to_string())
/// }));
///
/// let client = Client::connect(broker.endpoints()).await?;
/// assert_eq!(client.call("length", "hello").await?, "5");
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Worker;

/// What a worker is to be; from [`Worker::connect`].
///
/// ```
/// use sinew::pool::Worker;
///
/// let worker = Worker::connect(["tcp://10.0.0.1:5570", "tcp://10.0.0.2:5570"])
///     .queue("render")
///     .name("render-7")
///     .capacity(8)
///     .tags(["gpu"]);
/// # drop(worker);
/// ```
#[derive(Debug, Clone)]
#[must_use = "a worker does nothing until `serve` or `pull`"]
pub struct WorkerBuilder {
    brokers: Result<Vec<Endpoint>, EndpointError>,
    hello: WorkerHello,
    prefetch: Prefetch,
    io_thread: Option<bool>,
}

impl Worker {
    /// A worker of all these brokers; each may give it as many tasks as its capacity.
    pub fn connect<E>(brokers: impl IntoIterator<Item = E>) -> WorkerBuilder
    where
        E: TryInto<Endpoint>,
        EndpointError: From<E::Error>,
    {
        let name = format!("{}-{:08x}", std::process::id(), fastrand::u32(..));
        WorkerBuilder {
            brokers: brokers
                .into_iter()
                .map(|broker| broker.try_into().map_err(EndpointError::from))
                .collect(),
            hello: WorkerHello { name: name.into(), capacity: 1, weight: 1.0, ..WorkerHello::default() },
            prefetch: Prefetch::Fixed(0),
            io_thread: None,
        }
    }
}

impl WorkerBuilder {
    /// A queue that it serves. May be called several times.
    pub fn queue(mut self, name: impl Into<Frame>) -> Self {
        self.hello.queues.push(name.into());
        self
    }

    /// How many tasks it runs at a time, at least 1. Default: 1.
    pub fn capacity(mut self, tasks: u32) -> Self {
        self.hello.capacity = tasks.max(1);
        self
    }

    /// How many tasks more it may have waiting: a number, or [`Prefetch::Auto`]. They are out of reach of other workers
    /// meanwhile, so it pays only where a task is shorter than the way to the broker and back. Default: 0.
    pub fn prefetch(mut self, tasks: impl Into<Prefetch>) -> Self {
        self.prefetch = tasks.into();
        self
    }

    /// What it has that tasks may need; up to 64, of up to 255 bytes each. Default: nothing.
    pub fn tags<T: Into<Frame>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.hello.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// Its share under weighted strategies. Default: 1.
    pub fn weight(mut self, weight: f64) -> Self {
        self.hello.weight = weight;
        self
    }

    /// Its name: in figures, and what `consistent_hash` knows it by, so that a worker that comes back under the name that
    /// it had gets the keys that it had. Default: the process and a random number.
    pub fn name(mut self, name: impl Into<Frame>) -> Self {
        self.hello.name = name.into();
        self
    }

    /// Whether its I/O has a thread of its own, so that a handler that computes or blocks does not keep it from saying
    /// that it is there. Default: in a runtime of one thread, yes; where the runtime has several, its I/O is a task,
    /// and handlers must leave one thread free.
    pub fn io_thread(mut self, own: bool) -> Self {
        self.io_thread = Some(own);
        self
    }

    /// Connects; tasks are then taken one by one.
    ///
    /// # Errors
    ///
    /// If an endpoint is malformed, or one that is only for binding, none was given, or there is no room for a thread of
    /// its own.
    ///
    /// # Cancel safety
    ///
    /// It never waits, so it is never cancelled half-way.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[allow(clippy::unused_async, reason = "as of all that connects")]
    pub async fn pull(self) -> Result<PullWorker, JoinError> {
        self.start()
    }

    fn start(self) -> Result<PullWorker, JoinError> {
        let endpoints = self.brokers?;
        if endpoints.is_empty() {
            return Err(JoinError::NoBroker);
        }
        endpoints.iter().try_for_each(Endpoint::check_connect)?;
        let own = self
            .io_thread
            .unwrap_or_else(|| Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread);
        let shelf = Arc::new(Shelf::default());
        let (stop, io) = (CancellationToken::new(), TaskTracker::new());
        let mut links = Vec::new();
        for endpoint in endpoints {
            let link = Link::new(socket::bounded(), shelf.clone(), self.prefetch, self.hello.capacity);
            links.push(link.clone());
            let (hello, stop) = (self.hello.clone(), stop.clone());
            let run = io.track_future(async move {
                // In here, for a socket's tasks run where it connects.
                match link.connect(&endpoint).await {
                    Ok(()) => Io::new(link, endpoint, hello).run(stop).await,
                    Err(error) => tracing::warn!(%endpoint, %error, "a worker cannot connect to this broker"),
                }
            });
            if own {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                std::thread::Builder::new()
                    .name("sinew-worker".into())
                    .spawn(move || runtime.block_on(run))?;
            } else {
                tokio::spawn(run);
            }
        }
        io.close();
        Ok(PullWorker { shelf, links, io, _stop: stop.clone().drop_guard(), stop })
    }
}

/// A worker that takes its tasks one by one; from [`WorkerBuilder::pull`]. It may have as many at a time as its
/// capacity. Dropped, it leaves at once, and its brokers give its tasks to others; see [`drain`](Self::drain).
///
/// ```
/// # use std::time::Duration;
/// # use sinew::pool::Worker;
/// # async fn work() -> Result<(), Box<dyn std::error::Error>> {
/// let mut worker = Worker::connect(["tcp://127.0.0.1:5570"]).queue("orders").pull().await?;
/// while let Ok(task) = worker.recv_timeout(Duration::from_secs(60)).await {
///     let length = task.body().size();
///     task.done(length.to_string()).await?;
/// }
/// worker.drain().await;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a worker leaves when it is dropped"]
pub struct PullWorker {
    shelf: Arc<Shelf>,
    links: Vec<Arc<Link>>,
    io: TaskTracker,
    _stop: DropGuard,
    stop: CancellationToken,
}

impl PullWorker {
    /// The next task.
    ///
    /// # Errors
    ///
    /// If the worker drains.
    ///
    /// # Cancel safety
    ///
    /// Cancelled before it is ready, no task was taken.
    pub async fn recv(&mut self) -> Result<Task, RecvError> {
        self.shelf.take().await.ok_or(RecvError::Closed)
    }

    /// The next task, if one is there.
    ///
    /// # Errors
    ///
    /// [`Empty`](RecvError::Empty), or if the worker drains.
    pub fn try_recv(&mut self) -> Result<Task, RecvError> {
        self.shelf.try_take()
    }

    /// The next task, if one comes in time.
    ///
    /// # Errors
    ///
    /// [`Timeout`](RecvError::Timeout), or if the worker drains.
    ///
    /// # Cancel safety
    ///
    /// Cancelled before it is ready, no task was taken.
    pub async fn recv_timeout(&mut self, timeout: Duration) -> Result<Task, RecvError> {
        tokio::time::timeout(timeout, self.recv()).await.unwrap_or(Err(RecvError::Timeout))
    }

    /// Takes no more tasks, gives those back that have not been taken from it, waits for those that have, and leaves.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it takes no more tasks; a second call waits for the same end.
    pub async fn drain(&self) {
        // First, or what is given back would come again.
        self.links.iter().for_each(|link| link.stop());
        self.shelf.close();
        for link in &self.links {
            link.finish_all().await;
        }
        self.stop.cancel();
        self.io.wait().await;
    }
}

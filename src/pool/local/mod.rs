//! A pool within one process: the scheduler, its rules and its strategies, without a network.
//!
//! Handlers run as tasks of the runtime. What holds for a broker holds here: a handler that panics is a crash, and its
//! task runs again, alone; one that fails is tried again with back-off; what was given up is among the dead letters.
//!
//! ```
//! use sinew::pool::local::LocalPool;
//! use sinew::pool::{Failure, Policy};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), sinew::pool::CallError> {
//! let pool = LocalPool::new(Policy::default());
//! let worker = pool.worker("double").capacity(4).serve(|job| async move {
//!     let number: u32 = job.body().to_str()?.parse()?;
//!     Ok::<_, Failure>((2 * number).to_string())
//! });
//! assert_eq!(pool.call("double", "21").await?, "42");
//! pool.submit("double", "4").priority(9).await?; // returns once it is queued
//! worker.drain().await;
//! # Ok(())
//! # }
//! ```

mod driver;
mod request;
#[cfg(test)]
mod tests;
mod worker;

use std::sync::Arc;

use tokio_util::sync::DropGuard;

pub(super) use self::worker::Here;
pub use self::worker::{LocalWorker, LocalWorkerBuilder};

use self::driver::Driver;
use crate::message::{Frame, Message};
use crate::pool::policy::Policy;
use crate::pool::protocol::TaskId;
use crate::pool::request::{Call, Submit};
use crate::pool::scheduler::{Admin, DeadLetter, Event, Explanation, QueueFigures, Totals, WorkerFigures};

/// Queues and workers within this process. A clone is the same pool; when the last one is dropped, its workers end and
/// what was not done is forgotten. See [the example](crate::pool::local).
#[derive(Debug, Clone)]
pub struct LocalPool {
    driver: Arc<Driver>,
    /// Ends the pool's tasks.
    _guard: Arc<DropGuard>,
}

impl LocalPool {
    /// A pool whose queues have these rules, unless [`LocalPool::set_policy`] gives one its own. Queues are made when
    /// they are first named.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime: one task keeps the time.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let driver = Arc::new(Driver::new(policy));
        let cancel = driver.cancel.clone();
        driver.tracker.spawn(driver::keep_time(Arc::clone(&driver)));
        Self { driver, _guard: Arc::new(cancel.drop_guard()) }
    }

    /// A worker for this queue, and for others if more are named; it begins with [`LocalWorkerBuilder::serve`].
    pub fn worker(&self, queue: impl Into<Frame>) -> LocalWorkerBuilder {
        LocalWorkerBuilder::new(Arc::clone(&self.driver), queue.into())
    }

    /// Has a task done, and gives its result.
    ///
    /// Await it, or set more first: see [`Call`].
    pub fn call(&self, queue: impl Into<Frame>, body: impl Into<Message>) -> Call<'_, Self> {
        Call::new(self, queue.into(), body.into())
    }

    /// Has a task done some time; returns once it is queued.
    ///
    /// Await it, or set more first: see [`Submit`].
    pub fn submit(&self, queue: impl Into<Frame>, body: impl Into<Message>) -> Submit<'_, Self> {
        Submit::new(self, queue.into(), body.into())
    }

    /// Gives a queue rules of its own. What waits in it stays.
    pub fn set_policy(&self, queue: impl Into<Frame>, policy: Policy) {
        self.admin(Admin::SetPolicy(queue.into(), Box::new(policy)));
    }

    /// Gives nothing more of this queue to workers, until [`LocalPool::resume`].
    pub fn pause(&self, queue: impl Into<Frame>) {
        self.admin(Admin::Pause(queue.into()));
    }

    /// Goes on after [`LocalPool::pause`].
    pub fn resume(&self, queue: impl Into<Frame>) {
        self.admin(Admin::Resume(queue.into()));
    }

    /// Makes a topic: what is submitted to it goes to each of these queues; without any, it is a queue like others. It has
    /// no result, so it can be submitted, but not called.
    pub fn set_topic<Q: Into<Frame>>(&self, name: impl Into<Frame>, queues: impl IntoIterator<Item = Q>) {
        self.admin(Admin::SetTopic(name.into(), queues.into_iter().map(Into::into).collect()));
    }

    /// Drops what waits in a queue.
    pub fn purge(&self, queue: impl Into<Frame>) {
        self.admin(Admin::Purge(queue.into()));
    }

    /// The dead letters of a queue, oldest first.
    #[must_use]
    pub fn dead_letters(&self, queue: impl Into<Frame>) -> Vec<DeadLetter> {
        self.driver.read(|scheduler| scheduler.dead_letters(&queue.into()))
    }

    /// Puts up to `most` dead letters back into their queue, oldest first, as if they had never failed.
    pub fn retry_dead(&self, queue: impl Into<Frame>, most: usize) {
        self.admin(Admin::RetryDead(queue.into(), most));
    }

    /// Forgets the dead letters of a queue.
    pub fn purge_dead(&self, queue: impl Into<Frame>) {
        self.admin(Admin::PurgeDead(queue.into()));
    }

    /// All queues.
    #[must_use]
    pub fn queues(&self) -> Vec<QueueFigures> {
        self.driver.read(|scheduler| scheduler.queues())
    }

    /// All workers.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerFigures> {
        self.driver.read(|scheduler| scheduler.workers())
    }

    /// What is counted for all queues together.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.driver.read(|scheduler| scheduler.totals())
    }

    /// Why a task is not running, by its number: [`Job::id`](crate::pool::Job::id), or that of the holder of a key.
    #[must_use]
    pub fn explain(&self, task: u64) -> Explanation {
        self.driver.read(|scheduler| scheduler.explain(TaskId(task)))
    }

    /// Ends the pool: takes nothing more, and waits until what was accepted has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped before the end, the pool still takes nothing more.
    pub async fn close(&self) {
        self.admin(Admin::ShutDown);
        self.driver.until_empty().await;
        self.driver.cancel.cancel();
        self.driver.tracker.close();
        self.driver.tracker.wait().await;
    }

    fn admin(&self, admin: Admin) {
        self.driver.on(Event::Admin(admin));
    }
}

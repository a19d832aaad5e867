//! Who does the tasks of a local pool.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use crate::message::{Frame, Message};
use crate::pool::protocol::{FromWorker, Lease, Nack, Session, ToWorker, WorkerHello};
use crate::pool::scheduler::Event;

/// A task, as its handler gets it.
#[derive(Debug, Clone)]
pub struct Job {
    lease: Lease,
    queue: Frame,
    body: Message,
    budget: Option<Duration>,
    redelivered: bool,
}

impl Job {
    /// What is to be done.
    #[must_use]
    pub const fn body(&self) -> &Message {
        &self.body
    }

    /// The queue that it comes from.
    #[must_use]
    pub const fn queue(&self) -> &Frame {
        &self.queue
    }

    /// Its number: the same each time that it is tried.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.lease.task.0
    }

    /// How often it has been given to somebody, this time included: grows each time, so what is done under a lower one
    /// can be told to be outdated.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.lease.attempt
    }

    /// What is left of its deadline when it is given; then the handler is dropped.
    #[must_use]
    pub const fn budget(&self) -> Option<Duration> {
        self.budget
    }

    /// Whether somebody may have begun it before.
    #[must_use]
    pub const fn is_redelivered(&self) -> bool {
        self.redelivered
    }
}

/// Why a handler did not do its task.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// It failed; again later, after the delay, or by the queue's back-off.
    Retry(Option<Duration>, Frame),
    /// It will never work: to the dead letters.
    Reject(Frame),
    /// Not now; it does not count as a failure.
    Defer(Duration),
}

/// Any text is a reason to try again.
impl<E: Into<Frame>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Retry(None, error.into())
    }
}

/// A worker about to begin; from [`LocalPool::worker`](super::LocalPool::worker).
#[derive(Debug)]
#[must_use = "nothing happens before `serve`"]
pub struct LocalWorkerBuilder {
    shared: Arc<Shared>,
    hello: WorkerHello,
}

impl LocalWorkerBuilder {
    pub(super) fn new(shared: Arc<Shared>, queue: Frame) -> Self {
        let hello = WorkerHello {
            queues: vec![queue],
            capacity: 1,
            weight: 1.0,
            address: "local".into(),
            ..WorkerHello::default()
        };
        Self { shared, hello }
    }

    /// One more queue that it serves.
    pub fn queue(mut self, name: impl Into<Frame>) -> Self {
        self.hello.queues.push(name.into());
        self
    }

    /// What it is called in figures, and hashed by. Empty unless set.
    pub fn name(mut self, name: impl Into<Frame>) -> Self {
        self.hello.name = name.into();
        self
    }

    /// How many tasks it runs at a time: 1 unless set, and at least that.
    pub fn capacity(mut self, tasks: u32) -> Self {
        self.hello.capacity = tasks.max(1);
        self
    }

    /// Its share under weighted strategies: 1 unless set.
    pub fn weight(mut self, weight: f64) -> Self {
        self.hello.weight = weight;
        self
    }

    /// What it has that tasks may need. Nothing unless set.
    pub fn tags<T: Into<Frame>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.hello.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// Begins: each task runs `handler`, as a task of the runtime. A handler that panics has crashed its task: that is
    /// tried again alone, up to a limit.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn serve<H, F>(self, handler: H) -> LocalWorker
    where
        H: Fn(Job) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Message, Failure>> + Send + 'static,
    {
        let Self { shared, hello } = self;
        let (session, told) = shared.join();
        let end = shared.cancel.child_token();
        let drain = CancellationToken::new();
        let work = Work {
            session,
            shared: Arc::clone(&shared),
            jobs: JoinSet::new(),
            leases: HashMap::new(),
            aborts: HashMap::new(),
        };
        shared.tracker.spawn(work.run(told, Arc::new(handler), end.clone(), drain.clone()));
        shared.on(Event::Worker(session, FromWorker::Hello(hello)));
        LocalWorker { end, drain }
    }
}

/// A worker at work. Dropped, it ends at once: what it was at goes to others.
#[derive(Debug)]
#[must_use = "a worker ends when it is dropped"]
pub struct LocalWorker {
    end: CancellationToken,
    drain: CancellationToken,
}

impl LocalWorker {
    /// Takes nothing more, finishes what it has, and ends.
    ///
    /// # Cancel safety
    ///
    /// Dropped before the end, it ends at once.
    pub async fn drain(self) {
        self.drain.cancel();
        // `Work` cancels it when it is done.
        self.end.cancelled().await;
    }
}

impl Drop for LocalWorker {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// The task that owns a worker's jobs.
struct Work {
    session: Session,
    shared: Arc<Shared>,
    jobs: JoinSet<Result<Message, Failure>>,
    leases: HashMap<Id, Lease>,
    aborts: HashMap<Lease, AbortHandle>,
}

impl Work {
    async fn run<H, F>(
        mut self,
        mut told: UnboundedReceiver<ToWorker>,
        handler: Arc<H>,
        end: CancellationToken,
        drain: CancellationToken,
    ) where
        H: Fn(Job) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Message, Failure>> + Send + 'static,
    {
        let mut draining = false;
        while !(draining && self.jobs.is_empty() && told.is_empty()) {
            tokio::select! {
                biased;
                () = end.cancelled() => break,
                () = drain.cancelled(), if !draining => {
                    draining = true;
                    self.say(FromWorker::Drain);
                }
                Some(ended) = self.jobs.join_next_with_id() => self.ended(ended),
                said = told.recv() => match said {
                    Some(said) => self.told(said, &handler),
                    None => break,
                },
            }
        }
        // Bye, not lost: that its jobs were dropped is no crash of theirs.
        self.say(FromWorker::Bye);
        drop(self);
        end.cancel();
    }

    fn told<H, F>(&mut self, said: ToWorker, handler: &Arc<H>)
    where
        H: Fn(Job) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Message, Failure>> + Send + 'static,
    {
        match said {
            ToWorker::Task { lease, queue, budget, redelivered, body } => {
                let (handler, job) = (Arc::clone(handler), Job { lease, queue, body, budget, redelivered });
                // The call, too: it may panic before there is a future.
                let abort = self.jobs.spawn(async move { handler(job).await });
                self.leases.insert(abort.id(), lease);
                self.aborts.insert(lease, abort);
            }
            ToWorker::Cancel(lease) => {
                if let Some(abort) = self.aborts.get(&lease) {
                    abort.abort();
                }
            }
            ToWorker::Welcome { .. } | ToWorker::Heartbeat | ToWorker::Rejoin => {}
        }
    }

    fn ended(&mut self, ended: Result<(Id, Result<Message, Failure>), JoinError>) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some(lease) = self.leases.remove(&id) else { return };
        self.aborts.remove(&lease);
        let nack = match ended {
            Ok((_, Ok(body))) => return self.say(FromWorker::Done(lease, body)),
            Ok((_, Err(Failure::Retry(delay, error)))) => Nack::Retry { delay, error },
            Ok((_, Err(Failure::Reject(error)))) => Nack::Reject { error },
            Ok((_, Err(Failure::Defer(delay)))) => Nack::Defer { delay },
            Err(error) if error.is_panic() => Nack::Crash { error: panic_text(error).into() },
            Err(_) => Nack::Release,
        };
        self.say(FromWorker::Nack(lease, nack));
    }

    fn say(&self, said: FromWorker) {
        self.shared.on(Event::Worker(self.session, said));
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.shared.leave(self.session);
    }
}

fn panic_text(error: JoinError) -> String {
    let panic = error.into_panic();
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panicked".to_owned())
}

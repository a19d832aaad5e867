//! Who does the tasks of a local pool.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::driver::Driver;
use crate::message::{Frame, Message};
use crate::pool::caught::{caught, said};
use crate::pool::job::{Failure, Given, Job, Origin};
use crate::pool::protocol::{FromWorker, Lease, Nack, Session, ToWorker, WorkerHello};
use crate::pool::scheduler::Event;

/// A worker about to begin; see [the example](crate::pool::local). From [`LocalPool::worker`](super::LocalPool::worker).
#[derive(Debug)]
#[must_use = "nothing happens before `serve`"]
pub struct LocalWorkerBuilder {
    driver: Arc<Driver>,
    hello: WorkerHello,
}

impl LocalWorkerBuilder {
    pub(super) fn new(driver: Arc<Driver>, queue: Frame) -> Self {
        let hello = WorkerHello {
            queues: vec![queue],
            capacity: 1,
            weight: 1.0,
            address: "local".into(),
            ..WorkerHello::default()
        };
        Self { driver, hello }
    }

    /// One more queue that it serves.
    pub fn queue(mut self, name: impl Into<Frame>) -> Self {
        self.hello.queues.push(name.into());
        self
    }

    /// Its name: in figures, and what `consistent_hash` knows it by. Default: empty.
    pub fn name(mut self, name: impl Into<Frame>) -> Self {
        self.hello.name = name.into();
        self
    }

    /// How many tasks it runs at a time, at least 1. Default: 1.
    pub fn capacity(mut self, tasks: u32) -> Self {
        self.hello.capacity = tasks.max(1);
        self
    }

    /// Its share under weighted strategies. Default: 1.
    pub fn weight(mut self, weight: f64) -> Self {
        self.hello.weight = weight;
        self
    }

    /// What it has that tasks may need; up to 64. Default: nothing.
    pub fn tags<T: Into<Frame>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.hello.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// Begins: each task runs `handler`, as a task of the runtime. A handler that panics has crashed its task: that is
    /// tried again alone, up to a limit. One whose task is cancelled, or past its deadline, is dropped.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn serve<H, F, M, E>(self, handler: H) -> LocalWorker
    where
        H: Fn(Job) -> F + Send + Sync + 'static,
        F: Future<Output = Result<M, E>> + Send + 'static,
        M: Into<Message>,
        E: Into<Failure>,
    {
        let Self { driver, hello } = self;
        let (session, told) = driver.join();
        let end = driver.cancel.child_token();
        let drain = CancellationToken::new();
        let handler = Arc::new(handler);
        let begin = move |jobs: &mut Jobs, job: Job| {
            let (handler, span) = (Arc::clone(&handler), job.span());
            // The call, too: it may panic before there is a future.
            let run = async move { handler(job).await.map(Into::into).map_err(|error| error.into().0) };
            jobs.spawn(run.instrument(span))
        };
        let work = Work {
            here: Here { session, driver: Arc::clone(&driver) },
            begin: Box::new(begin),
            jobs: JoinSet::new(),
            leases: HashMap::new(),
            running: HashMap::new(),
        };
        driver.tracker.spawn(work.run(told, end.clone(), drain.clone()));
        driver.on(Event::Worker(session, FromWorker::Hello(hello)));
        LocalWorker { end, drain }
    }
}

/// A worker at work; from [`LocalWorkerBuilder::serve`]. Dropped, it ends at once: what it was at goes to others.
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

/// A worker's way to its pool.
#[derive(Debug, Clone)]
pub(in crate::pool) struct Here {
    session: Session,
    driver: Arc<Driver>,
}

impl Here {
    pub(in crate::pool) fn say(&self, said: FromWorker) {
        self.driver.on(Event::Worker(self.session, said));
    }
}

type Jobs = JoinSet<Result<Message, Nack>>;

/// Starts the handler.
type Begin = dyn Fn(&mut Jobs, Job) -> AbortHandle + Send + Sync;

/// The task that owns a worker's jobs.
struct Work {
    here: Here,
    begin: Box<Begin>,
    jobs: Jobs,
    leases: HashMap<Id, Lease>,
    running: HashMap<Lease, (Job, AbortHandle)>,
}

impl Work {
    async fn run(
        mut self,
        mut told: UnboundedReceiver<ToWorker>,
        end: CancellationToken,
        drain: CancellationToken,
    ) {
        let mut draining = false;
        while !(draining && self.jobs.is_empty() && told.is_empty()) {
            tokio::select! {
                biased;
                () = end.cancelled() => break,
                () = drain.cancelled(), if !draining => {
                    draining = true;
                    self.here.say(FromWorker::Drain);
                }
                Some(ended) = self.jobs.join_next_with_id() => self.ended(ended),
                said = told.recv() => match said {
                    Some(said) => self.told(said),
                    None => break,
                },
            }
        }
        // Bye, not lost: that its jobs were dropped is no crash of theirs.
        self.here.say(FromWorker::Bye);
        drop(self);
        end.cancel();
    }

    fn told(&mut self, said: ToWorker) {
        match said {
            ToWorker::Task { lease, queue, budget, redelivered, trace, body } => {
                let given = Given { lease, queue, body, budget, redelivered, trace };
                let job = Job::new(given, Origin::Here(self.here.clone()));
                let abort = (self.begin)(&mut self.jobs, job.clone());
                self.leases.insert(abort.id(), lease);
                self.running.insert(lease, (job, abort));
            }
            ToWorker::Cancel(lease) => {
                if let Some((job, abort)) = self.running.get(&lease) {
                    job.cancel();
                    abort.abort();
                }
            }
            ToWorker::Welcome { .. } | ToWorker::Heartbeat | ToWorker::Pong | ToWorker::Rejoin => {}
        }
    }

    fn ended(&mut self, ended: Result<(Id, Result<Message, Nack>), JoinError>) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some(lease) = self.leases.remove(&id) else { return };
        let job = self.running.remove(&lease);
        let answer = match ended {
            Ok((_, Ok(body))) => FromWorker::Done(lease, body),
            Ok((_, Err(nack))) => FromWorker::Nack(lease, nack),
            Err(error) => {
                let crash = |panic| Nack::Crash { error: said(panic) };
                FromWorker::Nack(lease, error.try_into_panic().map_or(Nack::Release, crash))
            }
        };
        // What the pool drops under its lock is not the last of what is the user's.
        self.here.say(answer.clone());
        let _ = caught(|| drop((job, answer)));
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.here.driver.leave(self.here.session);
    }
}

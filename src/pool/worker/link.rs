//! One worker's connection to one broker: its tasks, its heartbeats, and beginning anew when it breaks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::prefetch::{Meter, Prefetch};
use super::shelf::Shelf;
use super::task::Task;
use crate::endpoint::Endpoint;
use crate::error::ConnectError;
use crate::message::Message;
use crate::patterns::{PeerId, Router, RouterEvent};
use crate::pool::caught::caught;
use crate::pool::job::{Given, Job, Origin, TaskLost};
use crate::pool::protocol::{FromWorker, Lease, Nack, TaskId, ToWorker, WorkerHello};
use crate::pool::wire::{Names, decode_to_worker, encode_from_worker, parse};

/// Events taken at a time.
const BATCH: usize = 256;
/// Before the broker has said how often it wants to hear from us.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How many silent intervals of the broker's are taken for its end.
const LIVENESS: u32 = 3;

/// Shared by the tasks of one broker and the I/O that carries them.
#[derive(Debug)]
pub(in crate::pool) struct Link {
    router: Router,
    state: Mutex<LinkState>,
    shelf: Arc<Shelf>,
    /// The last task has ended, of those that a worker that drains still has.
    idle: Notify,
    draining: AtomicBool,
    /// More tasks come than are run at a time, so the broker is told which are begun.
    reports: AtomicBool,
    /// Whether the number of those is computed.
    auto: bool,
}

#[derive(Debug)]
struct LinkState {
    broker: Option<PeerId>,
    running: HashMap<TaskId, Job>,
    /// Tasks that run no longer, and whose answer is not on its way yet.
    answering: usize,
    /// Answers that could not be sent.
    owed: Vec<(Lease, FromWorker)>,
    meter: Meter,
}

impl LinkState {
    fn is_idle(&self) -> bool {
        self.running.is_empty() && self.answering == 0
    }
}

impl Link {
    pub(super) fn new(router: Router, shelf: Arc<Shelf>, prefetch: Prefetch, capacity: u32) -> Arc<Self> {
        let mut meter = Meter::new(capacity);
        if let Prefetch::Fixed(tasks) = prefetch {
            meter.prefetch = tasks;
        }
        let reports = AtomicBool::new(meter.prefetch > 0);
        let state =
            LinkState { broker: None, running: HashMap::new(), answering: 0, owed: Vec::new(), meter };
        Arc::new(Self {
            router,
            state: Mutex::new(state),
            shelf,
            idle: Notify::new(),
            draining: AtomicBool::new(false),
            reports,
            auto: prefetch == Prefetch::Auto,
        })
    }

    pub(super) async fn connect(&self, endpoint: &Endpoint) -> Result<(), ConnectError> {
        self.router.connect(endpoint).await
    }

    fn state(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn broker(&self) -> Option<PeerId> {
        self.state().broker
    }

    pub(in crate::pool) async fn partial(&self, part: FromWorker) -> Result<(), TaskLost> {
        let broker = self.broker().ok_or(TaskLost)?;
        self.router.send(broker, encode_from_worker(part)).await.map_err(|_| TaskLost)
    }

    /// A task is taken: now, if that is of interest.
    pub(super) fn begin(&self, lease: Lease) -> Option<Instant> {
        if self.reports.load(Ordering::Relaxed) {
            self.say(FromWorker::Started(lease));
        }
        self.auto.then(Instant::now)
    }

    /// A task that was taken then is answered; from time to time, the broker is asked how far away it is.
    fn measure(&self, begun: Option<Instant>, answer: &FromWorker) {
        // To give a task back is no work, and says nothing about how long that takes.
        let unworked = matches!(answer, FromWorker::Nack(_, Nack::Release | Nack::Defer { .. }));
        let Some(begun) = begun.filter(|_| !unworked) else { return };
        let ask = self.state().meter.ran(begun.elapsed());
        if ask {
            self.say(FromWorker::Ping);
        }
    }

    /// The broker has answered that.
    fn measured(&self) {
        let more = self.state().meter.answered();
        if more != 0 {
            self.reports.store(true, Ordering::Relaxed);
            self.say(FromWorker::Credit(more));
        }
    }

    /// Takes a task out of those that run; says whom to tell, if the broker still counts on this worker. To be
    /// followed by [`answered`](Self::answered).
    fn finish(&self, lease: Lease) -> Result<Option<PeerId>, TaskLost> {
        let mut state = self.state();
        let ours = state.running.get(&lease.task).is_some_and(|job| job.lease() == lease);
        if !ours {
            return Err(TaskLost);
        }
        state.running.remove(&lease.task);
        state.answering += 1;
        Ok(state.broker)
    }

    /// A task's answer is on its way, or kept for a broker that is away.
    fn answered(&self) {
        let mut state = self.state();
        state.answering -= 1;
        if state.is_idle() && self.draining.load(Ordering::Relaxed) {
            self.idle.notify_waiters();
        }
    }

    fn owe(&self, lease: Lease, answer: FromWorker) {
        self.state().owed.push((lease, answer));
    }

    /// Answers a task, waiting for room; kept for a broker that is away.
    pub(super) async fn settle(
        &self,
        lease: Lease,
        answer: FromWorker,
        begun: Option<Instant>,
    ) -> Result<(), TaskLost> {
        self.measure(begun, &answer);
        let broker = self.finish(lease)?;
        let mut unsent = Unsent { link: self, lease, armed: true };
        let sent = match broker {
            // Its frames are shared, not copied.
            Some(broker) => self.router.send(broker, encode_from_worker(answer.clone())).await.is_ok(),
            None => false,
        };
        unsent.armed = false;
        if !sent {
            self.owe(lease, answer);
        }
        Ok(())
    }

    /// Answers a task without waiting.
    pub(super) fn settle_now(&self, lease: Lease, answer: FromWorker) {
        if let Ok(broker) = self.finish(lease) {
            self.send_or_owe(broker, lease, answer);
            self.answered();
        }
    }

    fn send_or_owe(&self, broker: Option<PeerId>, lease: Lease, answer: FromWorker) {
        let sent = broker.map(|broker| self.router.try_send(broker, encode_from_worker(answer.clone())));
        if !matches!(sent, Some(Ok(()))) {
            self.owe(lease, answer);
        }
    }

    /// Gets no new tasks.
    pub(super) fn stop(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.say(FromWorker::Drain);
    }

    /// Waits for the tasks that run, and takes its leave.
    pub(super) async fn finish_all(&self) {
        loop {
            let idle = self.idle.notified();
            if self.state().is_idle() {
                break;
            }
            idle.await;
        }
        self.say(FromWorker::Bye);
    }

    fn say(&self, said: FromWorker) {
        if let Some(broker) = self.broker() {
            // No room: what is on its way says as well that we are there.
            let _ = self.router.try_send(broker, encode_from_worker(said));
        }
    }

    /// Answers that could not be sent before.
    fn pay(&self) {
        let (broker, owed) = {
            let mut state = self.state();
            (state.broker, std::mem::take(&mut state.owed))
        };
        for (lease, answer) in owed {
            // What is dropped here may be the last of a handler's result.
            let _ = caught(|| self.send_or_owe(broker, lease, answer));
        }
    }
}

/// A task that is among those that run no longer, and whose answer waits for room. Whoever gave the answer may wait no
/// more: then the task is released, for nobody else would ever speak of it.
struct Unsent<'a> {
    link: &'a Link,
    lease: Lease,
    armed: bool,
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        if self.armed {
            let released = FromWorker::Nack(self.lease, Nack::Release);
            self.link.send_or_owe(self.link.broker(), self.lease, released);
        }
        self.link.answered();
    }
}

/// Reads what the broker says, and says that we are there. Its own task, on a thread that no handler blocks.
pub(super) struct Io {
    link: Arc<Link>,
    endpoint: Endpoint,
    hello: WorkerHello,
    names: Names,
    heartbeat: Duration,
    liveness: u32,
    heard: Instant,
    /// When the clock was looked at last.
    ticked: Instant,
}

impl Io {
    pub(super) fn new(link: Arc<Link>, endpoint: Endpoint, hello: WorkerHello) -> Self {
        Self {
            link,
            endpoint,
            hello,
            names: Names::default(),
            heartbeat: HEARTBEAT,
            liveness: LIVENESS,
            heard: Instant::now(),
            ticked: Instant::now(),
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut events = Vec::with_capacity(BATCH);
        let mut tasks = Vec::new();
        let mut beat = self.beat();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                received = self.link.router.recv_events(&mut events, BATCH) => {
                    if received.is_err() {
                        break;
                    }
                    let interval = self.heartbeat;
                    for event in events.drain(..) {
                        self.event(event, &mut tasks);
                    }
                    self.link.shelf.put(&mut tasks);
                    if interval != self.heartbeat {
                        beat = self.beat();
                    }
                }
                _ = beat.tick() => self.tick().await,
            }
        }
        // What tasks have answered is still written.
        self.link.router.close().await;
    }

    fn beat(&self) -> tokio::time::Interval {
        let mut beat = interval_at(Instant::now() + self.heartbeat, self.heartbeat);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat
    }

    fn event(&mut self, event: RouterEvent, tasks: &mut Vec<Task>) {
        match event {
            RouterEvent::Connected(broker) => {
                self.heard = Instant::now();
                self.names = Names::default();
                self.link.state().broker = broker.peer();
                self.say_hello();
            }
            RouterEvent::Disconnected(broker) => {
                let mut state = self.link.state();
                // The next connection may have been heard of already.
                if state.broker == broker.peer() {
                    state.broker = None;
                }
            }
            RouterEvent::Message(from, message) => {
                if self.link.broker() == from.peer() {
                    self.heard = Instant::now();
                    self.message(message, tasks);
                }
            }
        }
    }

    /// Introduces the worker, with what it still runs.
    fn say_hello(&self) {
        let mut hello = self.hello.clone();
        {
            let mut state = self.link.state();
            state.meter.restart();
            hello.prefetch = state.meter.prefetch;
            let owed = state.owed.iter().map(|(lease, _)| *lease);
            hello.running = state.running.values().map(Job::lease).chain(owed).collect();
        }
        self.link.say(FromWorker::Hello(hello));
        self.link.pay();
        if self.link.draining.load(Ordering::Relaxed) {
            self.link.say(FromWorker::Drain);
        }
    }

    fn message(&mut self, message: Message, tasks: &mut Vec<Task>) {
        let said = parse(message).and_then(|parsed| decode_to_worker(parsed, &mut self.names));
        match said {
            Ok(ToWorker::Task { lease, queue, budget, redelivered, trace, body }) => {
                tasks.push(self.task(Given { lease, queue, body, budget, redelivered, trace }));
            }
            Ok(ToWorker::Cancel(lease)) => {
                let job = self.link.state().running.get(&lease.task).cloned();
                if let Some(job) = job.filter(|job| job.lease() == lease) {
                    job.cancel();
                }
            }
            Ok(ToWorker::Welcome { heartbeat, liveness }) => {
                self.heartbeat = heartbeat.clamp(Duration::from_millis(10), Duration::from_secs(3600));
                self.liveness = liveness.max(1);
            }
            Ok(ToWorker::Heartbeat) => {}
            Ok(ToWorker::Pong) => self.link.measured(),
            Ok(ToWorker::Rejoin) => self.say_hello(),
            Err(error) => tracing::debug!(%error, "a broker says what makes no sense"),
        }
    }

    fn task(&self, given: Given) -> Task {
        let job = Job::new(given, Origin::Broker(self.link.clone()));
        self.link.state().running.insert(job.lease().task, job.clone());
        Task::new(job, self.link.clone())
    }

    /// Says that we are there; gives up a broker that does not.
    async fn tick(&mut self) {
        self.link.pay();
        self.link.say(FromWorker::Heartbeat);
        if self.ticked.elapsed() > self.heartbeat * 2 {
            // It was us who were away, and what was said meanwhile is still to be read.
            self.heard = Instant::now();
        }
        self.ticked = Instant::now();
        let silence = self.heartbeat * self.liveness * 2;
        if self.link.broker().is_some() && self.heard.elapsed() > silence {
            tracing::debug!(endpoint = %self.endpoint, "the broker is silent: connecting anew");
            self.heard = Instant::now();
            let _ = self.link.router.disconnect(&self.endpoint);
            let _ = self.link.router.connect(&self.endpoint).await;
        }
    }
}

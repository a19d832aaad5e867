//! The scheduler behind its lock, and the task that tells it the time.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::message::{Frame, Message};
use crate::pool::policy::Policy;
use crate::pool::protocol::{FromClient, RequestId, Session, SubmitOptions, ToClient, ToWorker};
use crate::pool::request::CallError;
use crate::pool::scheduler::{Action, Config, Event, Scheduler};
use crate::pool::time::Time;

/// A call that waits.
pub(super) type Caller = oneshot::Sender<Result<Message, CallError>>;

#[derive(Debug)]
pub(super) struct Driver {
    state: Mutex<DriverState>,
    start: Instant,
    /// The next deadline has changed.
    rearm: Notify,
    /// A queue that was full has room.
    room: Notify,
    /// A task has ended.
    ended: Notify,
    pub(super) tracker: TaskTracker,
    pub(super) cancel: CancellationToken,
}

#[derive(Debug)]
struct DriverState {
    scheduler: Scheduler,
    out: Vec<Action>,
    /// Each queue has a client of its own, so that a full one stops its own submitters only.
    clients: HashMap<Frame, Session>,
    stopped: HashSet<Session>,
    waiters: HashMap<RequestId, Caller>,
    /// What a worker was given and has not taken is bounded by its credit.
    workers: HashMap<Session, mpsc::UnboundedSender<ToWorker>>,
    next: u64,
    deadline: Option<Time>,
}

impl Driver {
    pub(super) fn new(policy: Policy) -> Self {
        let never = std::time::Duration::from_secs(365 * 24 * 3600);
        // Workers of the same process do not fall silent.
        let config = Config { policy, seed: fastrand::u64(..), heartbeat: never, ..Config::default() };
        let state = DriverState {
            scheduler: Scheduler::new(config),
            out: Vec::new(),
            clients: HashMap::new(),
            stopped: HashSet::new(),
            waiters: HashMap::new(),
            workers: HashMap::new(),
            next: 0,
            deadline: None,
        };
        Self {
            state: Mutex::new(state),
            start: Instant::now(),
            rearm: Notify::new(),
            room: Notify::new(),
            ended: Notify::new(),
            tracker: TaskTracker::new(),
            cancel: CancellationToken::new(),
        }
    }

    pub(super) fn on(&self, event: Event) {
        let mut state = self.lock();
        self.handle(&mut state, event);
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&Scheduler) -> T) -> T {
        read(&self.lock().scheduler)
    }

    /// A worker comes: its session, and what it will be told.
    pub(super) fn join(&self) -> (Session, mpsc::UnboundedReceiver<ToWorker>) {
        let (told, tells) = mpsc::unbounded_channel();
        let mut state = self.lock();
        let session = state.session();
        state.workers.insert(session, told);
        (session, tells)
    }

    pub(super) fn leave(&self, session: Session) {
        let mut state = self.lock();
        state.workers.remove(&session);
        self.handle(&mut state, Event::Lost(session));
    }

    /// Submits a task once its queue has room.
    pub(super) async fn submit(
        &self,
        queue: Frame,
        body: Message,
        options: SubmitOptions,
        waiter: Caller,
    ) -> Option<(Session, RequestId)> {
        loop {
            let room = self.room.notified();
            {
                let mut state = self.lock();
                if self.cancel.is_cancelled() {
                    return None;
                }
                let session = state.client(&queue);
                if !state.stopped.contains(&session) {
                    state.next += 1;
                    let id = state.next;
                    state.waiters.insert(id, waiter);
                    let said = FromClient::Submit { id, queue, options, body };
                    self.handle(&mut state, Event::Client(session, said));
                    return Some((session, id));
                }
            }
            tokio::select! {
                () = room => {}
                () = self.cancel.cancelled() => return None,
            }
        }
    }

    /// Nobody waits for this call any more.
    pub(super) fn abandon(&self, session: Session, id: RequestId) {
        let mut state = self.lock();
        if state.waiters.remove(&id).is_some() {
            self.handle(&mut state, Event::Client(session, FromClient::Cancel { id }));
        }
    }

    pub(super) async fn until_empty(&self) {
        loop {
            let ended = self.ended.notified();
            let totals = self.read(Scheduler::totals);
            if totals.waiting == 0 && totals.in_flight == 0 {
                return;
            }
            tokio::select! {
                () = ended => {}
                () = self.cancel.cancelled() => return,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, DriverState> {
        // What panicked under the lock was not a user's code; the state is as good as it was.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Time {
        Time::after(self.start.elapsed())
    }

    fn handle(&self, state: &mut DriverState, event: Event) {
        let mut out = std::mem::take(&mut state.out);
        let before = state.scheduler.totals().ended;
        state.scheduler.on(self.now(), event, &mut out);
        for action in out.drain(..) {
            state.act(action, &self.room);
        }
        state.out = out;
        if state.scheduler.totals().ended != before {
            self.ended.notify_waiters();
        }
        let deadline = state.scheduler.next_deadline();
        if deadline != state.deadline {
            state.deadline = deadline;
            self.rearm.notify_one();
        }
    }
}

impl DriverState {
    fn session(&mut self) -> Session {
        self.next += 1;
        Session(self.next)
    }

    fn client(&mut self, queue: &Frame) -> Session {
        if let Some(session) = self.clients.get(queue) {
            return *session;
        }
        let session = self.session();
        self.clients.insert(queue.clone(), session);
        session
    }

    fn act(&mut self, action: Action, room: &Notify) {
        match action {
            Action::ToWorker(session, said) => {
                if let Some(worker) = self.workers.get(&session) {
                    // One that has just ended is about to be lost, and its tasks go to others.
                    let _ = worker.send(said);
                }
            }
            Action::ToClient(_, said) => self.answer(said),
            Action::StopReading(session) => {
                self.stopped.insert(session);
            }
            Action::ResumeReading(session) => {
                self.stopped.remove(&session);
                room.notify_waiters();
            }
        }
    }

    fn answer(&mut self, said: ToClient) {
        let (id, answer) = match said {
            ToClient::Result { id, body } => (id, Ok(body)),
            ToClient::Accept { id } => (id, Ok(Message::new())),
            ToClient::Reject { id, reason, retry_after } => {
                (id, Err(CallError::Rejected { reason, retry_after }))
            }
            ToClient::Failed { id, reason, text } => (id, Err(CallError::failed(reason, &text))),
            ToClient::Partial { .. } | ToClient::Status { .. } => return,
        };
        if let Some(waiter) = self.waiters.remove(&id) {
            // Nobody may be waiting any more.
            let _ = waiter.send(answer);
        }
    }
}

/// Tells the scheduler when a deadline has come.
pub(super) async fn keep_time(driver: Arc<Driver>) {
    loop {
        let deadline = driver.lock().deadline;
        let sleep = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(driver.start + deadline.since_start()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = driver.cancel.cancelled() => break,
            () = driver.rearm.notified() => {}
            () = sleep => driver.on(Event::Tick),
        }
    }
    // Calls that still wait learn of the end by their senders' ends.
    driver.lock().waiters.clear();
}

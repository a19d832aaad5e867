//! What a client's callers and its reading task share: which tasks are open, and with which broker.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

use super::replies::Inlet;
use crate::message::{Frame, Message};
use crate::patterns::{PeerId, Router};
use crate::pool::caught::caught;
use crate::pool::protocol::{FromClient, RejectReason, RequestId, SubmitOptions, ToClient};
use crate::pool::request::CallError;
use crate::pool::wire::{Naming, encode_from_client};

/// What waits for a result.
#[derive(Debug)]
pub(super) enum ReplyTo {
    /// The result.
    Result(oneshot::Sender<Result<Message, CallError>>),
    /// That it was accepted.
    Accept(oneshot::Sender<Result<Message, CallError>>),
    /// Every part.
    Parts(Inlet),
}

/// A task that is not answered yet, with all that it takes to submit it again.
#[derive(Debug)]
pub(super) struct Open {
    queue: Frame,
    options: SubmitOptions,
    body: Message,
    since: Instant,
    reply_to: ReplyTo,
    /// The broker that it was submitted to last.
    at: Option<PeerId>,
}

/// The broker that gets the tasks, and which queues it knows by number.
#[derive(Debug)]
struct CurrentBroker {
    peer: PeerId,
    naming: Naming,
}

#[derive(Debug, Default)]
struct CallState {
    next: RequestId,
    broker: Option<CurrentBroker>,
    /// Brokers in reserve.
    others: VecDeque<PeerId>,
    /// Brokers that shut down: they take nothing more, and finish what they have.
    leaving: Vec<PeerId>,
    /// In the order of submission.
    open: BTreeMap<RequestId, Open>,
    asked: HashMap<RequestId, Vec<oneshot::Sender<Frame>>>,
    /// The broker is not read: somebody does not read the parts of an answer.
    paused: bool,
    closed: bool,
}

#[derive(Debug)]
pub(super) struct Calls {
    pub(super) router: Router,
    name: Frame,
    /// One permit for each open task.
    pub(super) window: Semaphore,
    state: Mutex<CallState>,
}

impl Calls {
    pub(super) fn new(router: Router, name: Frame, window: usize) -> Self {
        Self { router, name, window: Semaphore::new(window), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, CallState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Submits a task; without a broker, as soon as there is one.
    pub(super) fn open(&self, mut open: Open) -> Result<RequestId, CallError> {
        let mut state = self.state();
        if state.closed {
            return Err(CallError::Closed);
        }
        state.next += 1;
        let id = state.next;
        if let Some(broker) = &mut state.broker {
            // Under the lock, so that a queue's name goes ahead of its number.
            submit(&self.router, broker, id, &mut open);
        }
        state.open.insert(id, open);
        Ok(id)
    }

    /// Nobody waits for it any more.
    pub(super) fn abandon(&self, id: RequestId) {
        let Some(open) = self.state().open.remove(&id) else { return };
        self.window.add_permits(1);
        if let Some(at) = open.at {
            let said = encode_from_client(FromClient::Cancel { id }, &mut Naming::default());
            let _ = self.router.try_send(at, said);
        }
    }

    /// Says something that is not to be repeated.
    pub(super) fn say(&self, said: FromClient) {
        send(&self.router, &mut self.state(), said);
    }

    pub(super) fn ask(&self, id: RequestId, answer: oneshot::Sender<Frame>) {
        let mut state = self.state();
        if state.broker.is_some() && !state.closed {
            state.asked.entry(id).or_default().push(answer);
            send(&self.router, &mut state, FromClient::Status { id });
        }
    }

    /// A broker is there.
    pub(super) fn connected(&self, peer: PeerId) {
        let mut naming = Naming::default();
        let hello = encode_from_client(FromClient::Hello { client: self.name.clone() }, &mut naming);
        let _ = self.router.try_send(peer, hello);
        let mut state = self.state();
        if state.broker.is_some() {
            state.others.push_back(peer);
        } else {
            self.take_up(&mut state, peer);
        }
    }

    /// A broker is gone.
    pub(super) fn disconnected(&self, peer: PeerId) {
        let mut state = self.state();
        state.others.retain(|&other| other != peer);
        state.leaving.retain(|&other| other != peer);
        if state.broker.as_ref().is_some_and(|broker| broker.peer == peer) {
            state.broker = None;
            state.paused = false;
            // They are asked of a broker, not about a task that another one could know.
            state.asked.clear();
            if let Some(next) = state.others.pop_front() {
                self.take_up(&mut state, next);
            }
        } else {
            self.submit_lost(&mut state);
        }
    }

    /// This broker gets the tasks from here on, those first that were not answered.
    fn take_up(&self, state: &mut CallState, peer: PeerId) {
        state.broker = Some(CurrentBroker { peer, naming: Naming::default() });
        self.submit_lost(state);
    }

    /// Submits the tasks that no broker has any more.
    fn submit_lost(&self, state: &mut CallState) {
        let CallState { broker: Some(broker), leaving, open, .. } = state else { return };
        for (id, open) in open {
            if !open.at.is_some_and(|at| at == broker.peer || leaving.contains(&at)) {
                submit(&self.router, broker, *id, open);
            }
        }
    }

    /// A broker that shuts down has not taken a task: says whether another one gets it, and what comes after it.
    fn take_elsewhere(&self, state: &mut CallState, id: RequestId) -> bool {
        let Some(open) = state.open.get_mut(&id) else { return false };
        let left = state.broker.as_ref().map(|broker| broker.peer).filter(|&peer| open.at == Some(peer));
        if left.is_some() && state.others.is_empty() {
            return false;
        }
        open.at = None;
        let Some(left) = left else {
            self.submit_lost(state);
            return true;
        };
        if std::mem::take(&mut state.paused) {
            self.router.resume(left);
        }
        state.leaving.push(left);
        if let Some(next) = state.others.pop_front() {
            self.take_up(state, next);
        }
        true
    }

    /// Takes in what brokers have said; what there is to tell callers is told after the lock.
    pub(super) fn take_in(&self, said: &mut Vec<ToClient>) {
        let mut ended = Vec::with_capacity(said.len());
        {
            let mut state = self.state();
            let mut parts = false;
            for said in said.drain(..) {
                parts |= matches!(said, ToClient::Partial { .. });
                if let ToClient::Reject { id, reason: RejectReason::ShuttingDown, .. } = said
                    && self.take_elsewhere(&mut state, id)
                {
                    continue;
                }
                if let Some(end) = state.take_in(said) {
                    ended.push(end);
                }
            }
            if parts
                && !state.paused
                && let Some(broker) = &state.broker
                && state.open.values().any(Open::is_behind)
            {
                self.router.pause(broker.peer);
                state.paused = true;
            }
        }
        self.window.add_permits(ended.len());
        for (Open { reply_to, body, options, .. }, result) in ended {
            // It may be the last of what is the user's.
            let _ = caught(|| drop((body, options)));
            match reply_to {
                // Whoever waited may have gone meanwhile.
                ReplyTo::Result(caller) | ReplyTo::Accept(caller) => drop(caller.send(result)),
                ReplyTo::Parts(inlet) => inlet.end(result),
            }
        }
    }

    /// The parts of an answer have been read.
    pub(super) fn caught_up(&self) {
        let mut state = self.state();
        if state.paused && !state.open.values().any(Open::is_behind) {
            state.paused = false;
            if let Some(broker) = &state.broker {
                self.router.resume(broker.peer);
            }
        }
    }

    pub(super) fn close(&self) {
        let open = {
            let mut state = self.state();
            state.closed = true;
            state.asked.clear();
            std::mem::take(&mut state.open)
        };
        // Their callers find that nobody will answer.
        drop(open);
        self.window.close();
    }
}

impl CallState {
    fn take_in(&mut self, said: ToClient) -> Option<(Open, Result<Message, CallError>)> {
        let (id, result) = match said {
            ToClient::Result { id, body } => (id, Ok(body)),
            ToClient::Failed { id, reason, text } => (id, Err(CallError::failed(reason, &text))),
            ToClient::Reject { id, reason, retry_after } => {
                (id, Err(CallError::Rejected { reason, retry_after }))
            }
            ToClient::Accept { id } => {
                let accepts =
                    self.open.get(&id).is_some_and(|open| matches!(open.reply_to, ReplyTo::Accept(_)));
                if !accepts {
                    return None;
                }
                (id, Ok(Message::new()))
            }
            ToClient::Partial { id, body } => {
                if let Some(Open { reply_to: ReplyTo::Parts(inlet), .. }) = self.open.get(&id) {
                    inlet.part(body);
                }
                return None;
            }
            ToClient::Status { id, text } => {
                for answer in self.asked.remove(&id).into_iter().flatten() {
                    let _ = answer.send(text.clone());
                }
                return None;
            }
        };
        self.open.remove(&id).map(|open| (open, result))
    }
}

impl Open {
    /// Begun now.
    pub(super) fn new(queue: Frame, options: SubmitOptions, body: Message, reply_to: ReplyTo) -> Self {
        Self { queue, options, body, since: Instant::now(), reply_to, at: None }
    }

    fn is_behind(&self) -> bool {
        matches!(&self.reply_to, ReplyTo::Parts(inlet) if inlet.is_behind())
    }
}

/// Submits a task, the first time or again. Its broker may be gone already: then it is submitted to the next.
fn submit(router: &Router, broker: &mut CurrentBroker, id: RequestId, open: &mut Open) {
    let mut options = open.options.clone();
    options.budget = options.budget.map(|budget| budget.saturating_sub(open.since.elapsed()));
    let (queue, body) = (open.queue.clone(), open.body.clone());
    let said = FromClient::Submit { id, queue, options, body };
    let _ = router.try_send(broker.peer, encode_from_client(said, &mut broker.naming));
    open.at = Some(broker.peer);
}

fn send(router: &Router, state: &mut CallState, said: FromClient) {
    if let Some(broker) = &mut state.broker {
        let _ = router.try_send(broker.peer, encode_from_client(said, &mut broker.naming));
    }
}

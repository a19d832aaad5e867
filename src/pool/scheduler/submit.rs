//! What clients say: submissions and their admission, cancellations, questions.

use std::time::Duration;

use super::Action;
use super::Scheduler;
use super::clients::{Client, OPERATOR};
use super::links::{Ix, Side};
use super::memory::{Answer, Known};
use super::queues::Room;
use super::task::{End, Extra, Place, Task};
use crate::message::{Frame, Message};
use crate::pool::policy::LEVELS;
use crate::pool::protocol::{
    FailReason, FromClient, MAX_NAME, RejectReason, RequestId, Session, SubmitOptions, ToClient,
};
use crate::pool::time::Time;
use crate::pool::trace::Trace;

const MAX_TAGS: usize = 16;
/// Requests that may wait for one task, beside the one that it was made for.
const MAX_OTHERS: usize = 1 << 16;
/// While there are fewer tasks, a new one keeps the room that its body has in front, for the header that it goes out with,
/// and the buffer that it was read into: it will be gone soon.
const SOON: usize = 4096;

/// A submission.
#[derive(Debug)]
struct Request {
    session: Session,
    client: Ix,
    id: RequestId,
    queue: Ix,
    options: SubmitOptions,
    body: Message,
}

impl Scheduler {
    pub(super) fn on_client(&mut self, session: Session, said: FromClient) {
        match said {
            FromClient::Hello { client } => self.clients.says_hello(session, client, &mut self.wheel),
            FromClient::Submit { id, queue, options, body } => {
                let client = self.clients.of(session);
                self.submit(session, client, id, &queue, options, body);
            }
            FromClient::Nonsense { id } => self.reject(session, id, RejectReason::Invalid, Duration::ZERO),
            FromClient::Cancel { id } => self.cancel(session, id),
            FromClient::Status { id } => {
                let text = self.status(session, id).into();
                self.tell_client(session, ToClient::Status { id, text });
            }
        }
    }

    fn submit(
        &mut self,
        session: Session,
        client: Ix,
        id: RequestId,
        queue: &Frame,
        mut options: SubmitOptions,
        body: Message,
    ) {
        if let Some(known) = self.memory.request(client, id) {
            self.repeat(session, client, id, &options, known);
            return;
        }
        if self.shutting_down {
            self.reject(session, id, RejectReason::ShuttingDown, Duration::ZERO);
            return;
        }
        if !is_valid(queue, &mut options) {
            self.reject(session, id, RejectReason::Invalid, Duration::ZERO);
            return;
        }
        if let Some(queues) = self.queues.topic(queue) {
            self.publish(session, client, id, &queues, options, body);
            return;
        }
        let Some(queue_ix) = self.queue_for(queue) else {
            self.reject(session, id, RejectReason::UnknownQueue, Duration::ZERO);
            return;
        };
        if let Some(name) = &options.dedup
            && let Some(known) = self.memory.named(queue_ix, name)
        {
            self.repeat(session, client, id, &options, known);
            return;
        }
        if self.admit(session, id, &[queue_ix], &options.tags, body.footprint()) {
            self.accept(Request { session, client, id, queue: queue_ix, options, body });
            self.dispatch(queue_ix);
        }
    }

    /// The queue of this name, made if that is allowed.
    pub(super) fn queue_for(&mut self, name: &Frame) -> Option<Ix> {
        if self.config.on_demand { self.queues.named(name) } else { self.queues.find(name) }
    }

    /// A submission to a topic is one to each of its queues, or is refused by all. Nobody could tell whose result is
    /// meant, so there is none.
    fn publish(
        &mut self,
        session: Session,
        client: Ix,
        id: RequestId,
        queues: &[Ix],
        mut options: SubmitOptions,
        body: Message,
    ) {
        if !options.no_reply {
            self.reject(session, id, RejectReason::Invalid, Duration::ZERO);
            return;
        }
        let knows =
            |queue: &Ix| options.dedup.as_ref().is_some_and(|name| self.memory.named(*queue, name).is_some());
        let (known, fresh): (Vec<Ix>, Vec<Ix>) = queues.iter().copied().partition(knows);
        if !self.admit(session, id, &fresh, &options.tags, body.footprint()) {
            return;
        }
        if std::mem::take(&mut options.ack) {
            self.tell_client(session, ToClient::Accept { id });
        }
        for queue in known {
            if let Some(queue) = self.queues.get_mut(queue) {
                queue.repeated();
            }
        }
        for queue in fresh {
            let (options, body) = (options.clone(), body.clone());
            self.accept(Request { session, client, id, queue, options, body });
            self.dispatch(queue);
        }
        // Its id stands for none of them: whoever repeats it is known, and whoever cancels it cancels nothing.
        self.remember(client, id, None, Answer::None, true);
    }

    fn reject(&mut self, session: Session, id: RequestId, reason: RejectReason, retry_after: Duration) {
        self.tell_client(session, ToClient::Reject { id, reason, retry_after });
    }

    /// The class of tasks with these tags, and in it the workers that have them.
    fn class_for(&mut self, queue_ix: Ix, tags: Vec<Frame>) -> Option<u16> {
        if tags.is_empty() {
            return Some(0);
        }
        let queue = self.queues.get_mut(queue_ix)?;
        if let Some(class) = queue.find_class(&tags) {
            return Some(class);
        }
        let class = queue.make_class(tags);
        let members: Vec<Ix> = queue.workers().collect();
        for worker in members {
            self.join_class(worker, queue_ix, class);
        }
        Some(class)
    }

    /// Whether each of these queues takes a task of so many bytes that needs these tags. If one does not, the client is
    /// told, and nothing else has happened; if all do, there is room in all of them from now on.
    fn admit(
        &mut self,
        session: Session,
        id: RequestId,
        queues: &[Ix],
        tags: &[Frame],
        bytes: usize,
    ) -> bool {
        let full = self.tasks.taken_with(queues.len(), bytes) > self.config.max_memory;
        for ix in queues {
            let Some(queue) = self.queues.get_mut(*ix) else { return false };
            if !queue.may_need(tags) {
                self.reject(session, id, RejectReason::Invalid, Duration::ZERO);
                return false;
            }
            if full || queue.room(bytes) == Room::None {
                let after = queue.refused();
                self.reject(session, id, RejectReason::QueueFull, after);
                return false;
            }
        }
        for ix in queues {
            self.make_room(session, *ix, bytes);
        }
        true
    }

    /// A queue has room again for those whom it had stopped.
    pub(super) fn let_go_on(&mut self, sessions: &[Session]) {
        for session in sessions {
            if self.clients.go_on(*session) {
                self.out.push(Action::ResumeReading(*session));
            }
        }
    }

    /// What it takes that a queue has room for one more.
    fn make_room(&mut self, session: Session, queue_ix: Ix, bytes: usize) {
        let Some(queue) = self.queues.get_mut(queue_ix) else { return };
        match queue.room(bytes) {
            Room::Free | Room::None => {}
            Room::Stop => {
                if queue.stop(session) && self.clients.stop(session) {
                    self.out.push(Action::StopReading(session));
                }
            }
            Room::Drop => {
                while let Some(queue) = self.queues.get(queue_ix)
                    && queue.is_full(bytes)
                    && let Some(oldest) = self.queues.oldest(&self.tasks, queue)
                {
                    self.end_waiting_task(oldest, End::Failed(FailReason::Dropped));
                }
            }
        }
    }

    fn accept(&mut self, request: Request) {
        let Request { session, client, id, queue: queue_ix, mut options, mut body } = request;
        let now = self.now;
        let Some(class) = self.class_for(queue_ix, std::mem::take(&mut options.tags)) else { return };
        if self.tasks.slab.len() >= SOON {
            body.shrink();
            body.detach();
        }
        let Some(queue) = self.queues.get_mut(queue_ix) else { return };
        queue.accepted();
        self.totals.accepted += 1;
        let policy = queue.policy();
        let budget = options.budget.or(policy.ttl);
        let (key, dedup) = (options.key.map(|key| *key), options.dedup.map(|name| *name));
        let named = dedup.clone();
        let extra =
            (key.is_some() || dedup.is_some()).then(|| Box::new(Extra { key, dedup, ..Extra::default() }));
        let ix = self.tasks.insert(Task {
            body,
            extra,
            request: id,
            submitted: now,
            deadline: budget.map_or(Time::MAX, |budget| now + budget),
            client,
            queue: queue_ix,
            class,
            level: options.priority.unwrap_or(policy.priority).min(LEVELS - 1),
            no_reply: options.no_reply,
            ..Task::default()
        });
        let number = self.tasks.id(ix).0;
        if let Some(parent) = options.trace
            && let Some(task) = self.tasks.get_mut(ix)
        {
            task.extra().trace = Some(Trace::accepted(parent, queue.name(), number));
        }
        tracing::trace!(task = number, queue = ?queue.name(), "accepted");
        if client != OPERATOR {
            self.memory.add_request(client, id, ix);
        }
        if let Some(name) = named {
            self.memory.add_named(queue_ix, name, ix);
        }
        self.clients.own(client, &mut self.tasks, ix);
        if options.ack {
            self.tell_client(session, ToClient::Accept { id });
        }
        self.begin_waiting(ix);
        if options.delay > Duration::ZERO {
            self.put_aside(ix, Place::Delayed, options.delay);
        } else {
            self.queues.line_up(&mut self.tasks, ix, Side::Back);
            self.arm(ix);
        }
    }

    /// A task that was submitted before: who asks now gets its answer, then or now.
    fn repeat(&mut self, session: Session, client: Ix, id: RequestId, options: &SubmitOptions, known: Known) {
        if let Known::Task(ix) = known
            && !options.no_reply
            && self.is_crowded(ix)
            && self.memory.request(client, id).is_none()
        {
            let Some(task) = self.tasks.get(ix) else { return };
            if let Some(queue) = self.queues.get_mut(task.queue) {
                let after = queue.refused();
                self.reject(session, id, RejectReason::QueueFull, after);
            }
            return;
        }
        if options.ack {
            self.tell_client(session, ToClient::Accept { id });
        }
        match known {
            Known::Task(ix) => {
                let Some(task) = self.tasks.get_mut(ix) else { return };
                let queue = task.queue;
                let same = task.client == client && task.request == id;
                let new = !same && self.memory.request(client, id).is_none();
                if new && !options.no_reply {
                    task.extra().others.push((client, id));
                    self.memory.add_request(client, id, ix);
                    self.clients.mention(client);
                }
                if let Some(queue) = self.queues.get_mut(queue) {
                    queue.repeated();
                }
            }
            Known::Ended(number) => {
                let gone = || Answer::Failed(FailReason::Forgotten, Frame::new());
                let answer = self.memory.answer(number).cloned().unwrap_or_else(gone);
                if !options.no_reply {
                    self.tell_answer(client, id, answer);
                }
            }
        }
    }

    /// Whether as many wait for the answer of this task as may.
    fn is_crowded(&self, ix: Ix) -> bool {
        let extra = self.tasks.get(ix).and_then(|task| task.extra.as_ref());
        extra.is_some_and(|extra| extra.others.len() >= MAX_OTHERS)
    }

    /// Puts back what had been given up: a new task that nobody waits for.
    pub(super) fn revive(&mut self, queue: Ix, letter: super::DeadLetter) {
        let super::DeadLetter { body, key, priority, tags, .. } = letter;
        let key = key.map(Box::new);
        let options =
            SubmitOptions { no_reply: true, key, priority: Some(priority), tags, ..SubmitOptions::default() };
        let session = Session(u64::MAX);
        self.accept(Request { session, client: OPERATOR, id: 0, queue, options, body });
    }

    fn cancel(&mut self, session: Session, id: RequestId) {
        // What has never been, or has ended meanwhile, is nothing to cancel.
        let Some(client) = self.clients.find(session) else { return };
        let Some(Known::Task(ix)) = self.memory.request(client, id) else { return };
        let Some(task) = self.tasks.get_mut(ix) else { return };
        let end = End::Failed(FailReason::Cancelled);
        let (queue, in_flight) = (task.queue, task.in_flight());
        if task.client != client || task.request != id {
            // One of several who wait for it: the others still do.
            task.extra().others.retain(|other| *other != (client, id));
            self.memory.remove_request(client, id);
            self.tell_answer(client, id, Answer::Failed(FailReason::Cancelled, Frame::new()));
            self.clients.unmention(client);
        } else if let Some(heir) = self.heir(ix) {
            self.hand_over(ix, heir);
        } else if in_flight {
            self.revoke(ix, end);
        } else {
            self.end_waiting_task(ix, end);
            self.dispatch(queue);
        }
    }

    /// Takes one out of those who wait for a task beside its owner: the first who is there, or may come back.
    fn heir(&mut self, ix: Ix) -> Option<(Ix, RequestId)> {
        let others = &mut self.tasks.get_mut(ix)?.extra.as_mut()?.others;
        let clients = &self.clients;
        let waits = |(client, _): &(Ix, RequestId)| clients.get(*client).is_some_and(Client::may_be_told);
        let first = others.iter().position(waits)?;
        Some(others.remove(first))
    }

    /// The owner of a task wants it no more, but somebody else does, who owns it from now on.
    fn hand_over(&mut self, ix: Ix, (heir, request): (Ix, RequestId)) {
        let Some(task) = self.tasks.get_mut(ix) else { return };
        let told = !std::mem::take(&mut task.no_reply);
        let owner = std::mem::replace(&mut task.client, heir);
        let old = std::mem::replace(&mut task.request, request);
        self.clients.disown(owner, &mut self.tasks, ix);
        self.clients.own(heir, &mut self.tasks, ix);
        self.memory.remove_request(owner, old);
        if told {
            self.tell_answer(owner, old, Answer::Failed(FailReason::Cancelled, Frame::new()));
        }
        self.clients.unmention(heir);
        self.clients.forget(owner);
    }

    /// Cancels what a client that is gone was waiting for: not what somebody else waits for, too, and not what nobody
    /// was to be told of.
    pub(super) fn cancel_all(&mut self, client: Ix) {
        let Some(owner) = self.clients.get(client) else { return };
        for ix in owner.tasks(&self.tasks) {
            // It may have expired while those before it were cancelled.
            let Some(task) = self.tasks.peek(ix) else { continue };
            let wanted = task.no_reply || task.extra.as_ref().is_some_and(|extra| !extra.others.is_empty());
            let (queue, in_flight) = (task.queue, task.in_flight());
            let end = End::Failed(FailReason::Cancelled);
            match (wanted, in_flight) {
                (true, _) => {}
                (false, true) => self.revoke(ix, end),
                (false, false) => {
                    self.end_waiting_task(ix, end);
                    self.dispatch(queue);
                }
            }
        }
    }
}

/// Whether it makes sense; puts the tags in order.
fn is_valid(queue: &Frame, options: &mut SubmitOptions) -> bool {
    options.tags.sort_unstable_by(|a, b| a.as_ref().cmp(b.as_ref()));
    options.tags.dedup();
    let names = options.tags.iter().chain(options.key.as_deref()).chain(options.dedup.as_deref());
    options.priority.is_none_or(|priority| priority < LEVELS)
        && options.tags.len() <= MAX_TAGS
        && std::iter::once(queue).chain(names).all(|name| (1..=MAX_NAME).contains(&name.len()))
}

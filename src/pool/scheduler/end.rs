//! How tasks end: the client is told, the dead are kept, names and results are remembered.

use super::Scheduler;
use super::clients::OPERATOR;
use super::links::{Ix, NIL};
use super::memory::Answer;
use super::queues::DeadLetter;
use super::task::{End, Place};
use crate::message::{Frame, Message};
use crate::pool::protocol::{FailReason, Lease, RequestId, ToClient, ToWorker};

impl Scheduler {
    /// Ends a task that waits.
    pub(super) fn end_waiting_task(&mut self, ix: Ix, end: End) {
        self.end_waiting(ix);
        self.conclude(ix, end, None);
        self.remove(ix);
    }

    /// Ends a task that a worker has. The worker is told, and keeps credit and key until it answers.
    pub(super) fn revoke(&mut self, ix: Ix, end: End) {
        let lease = self.lease(ix);
        let Some(task) = self.tasks.get_mut(ix) else { return };
        if task.place == Place::Revoked {
            return;
        }
        task.place = Place::Revoked;
        let worker = task.worker;
        self.totals.in_flight -= 1;
        if let Some(session) = self.workers.get(worker).map(|worker| worker.session()) {
            self.tell_worker(session, ToWorker::Cancel(lease));
        }
        self.conclude(ix, end, None);
    }

    /// Ends a task that its worker has given back with a result.
    pub(super) fn finish(&mut self, ix: Ix, body: Message) {
        self.conclude(ix, End::Done, Some(body));
        self.remove(ix);
    }

    /// Gives up a task that is nowhere: not waiting, and with no worker.
    pub(super) fn bury(&mut self, ix: Ix, reason: FailReason) {
        let now = self.now;
        let Some(task) = self.tasks.get_mut(ix) else { return };
        let Some(queue) = self.queues.get_mut(task.queue) else { return };
        task.body.detach();
        let letter = DeadLetter {
            body: task.body.clone(),
            key: task.key().cloned(),
            priority: task.level,
            tags: queue.class_of(task).map(|class| class.tags().to_vec()).unwrap_or_default(),
            reason,
            error: task.extra.as_ref().map(|extra| extra.error.clone()).unwrap_or_default(),
            worker: task.extra.as_ref().map(|extra| extra.failed_on.clone()).unwrap_or_default(),
            starts: u32::from(task.starts),
            crashes: u32::from(task.crashes),
            submitted: task.submitted,
            died: now,
        };
        tracing::debug!(queue = ?queue.name(), ?reason, error = ?letter.error, worker = ?letter.worker, "dead letter");
        queue.bury(letter);
        self.conclude(ix, End::Failed(reason), None);
        self.remove(ix);
    }

    /// Ends a task that is nowhere, without a dead letter.
    pub(super) fn lose(&mut self, ix: Ix) {
        self.conclude(ix, End::Failed(FailReason::Lost), None);
        self.remove(ix);
    }

    pub(super) fn lease(&self, ix: Ix) -> Lease {
        let attempt = self.tasks.get(ix).map_or(0, |task| task.attempt);
        Lease { task: self.tasks.id(ix), attempt }
    }

    /// The end, as far as clients are concerned.
    fn conclude(&mut self, ix: Ix, end: End, body: Option<Message>) {
        let (now, id) = (self.now, self.tasks.id(ix));
        let Some(task) = self.tasks.get_mut(ix) else { return };
        self.wheel.cancel(&mut task.timer);
        if let Some(trace) = task.extra.as_mut().and_then(|extra| extra.trace.take()) {
            trace.ended(end);
        }
        let (client, request, no_reply) = (task.client, task.request, task.no_reply);
        let (dedup, others, error) = match &mut task.extra {
            None => (None, Vec::new(), Frame::new()),
            Some(extra) => {
                (extra.dedup.take(), std::mem::take(&mut extra.others), std::mem::take(&mut extra.error))
            }
        };
        let queue_ix = task.queue;
        // It belongs to nobody from here on.
        task.client = NIL;
        if let Some(queue) = self.queues.get_mut(queue_ix) {
            queue.ended(now, end);
            tracing::trace!(task = id.0, queue = ?queue.name(), ?end, "ended");
        }
        self.totals.ended += 1;
        let answer = match (end, body) {
            (End::Failed(reason), _) => Answer::Failed(reason, error),
            (End::Done, Some(body)) => Answer::Result(body),
            (End::Done, None) => Answer::None,
        };
        for (other, request) in others {
            self.memory.remove_request(other, request);
            self.tell_answer(other, request, answer.clone());
            self.clients.unmention(other);
        }
        self.clients.disown(client, &mut self.tasks, ix);
        let dedup = dedup.map(|name| Box::new((queue_ix, name)));
        self.remember(client, request, dedup, answer, no_reply);
        self.clients.forget(client);
    }

    /// Tells the owner, and keeps the answer if it could be asked for again.
    pub(super) fn remember(
        &mut self,
        client: Ix,
        request: RequestId,
        dedup: Option<Box<(Ix, Frame)>>,
        answer: Answer,
        no_reply: bool,
    ) {
        if client == OPERATOR {
            return;
        }
        let named = self.clients.get(client).is_some_and(|client| client.has_name());
        if !named && dedup.is_none() {
            self.memory.remove_request(client, request);
            if !no_reply {
                self.tell_answer(client, request, answer);
            }
            return;
        }
        // The copy is kept: what came from the worker may have room in front, for the header that it goes out with.
        let keep = if no_reply && dedup.is_none() { Answer::None } else { answer.clone() };
        if !no_reply {
            self.tell_answer(client, request, answer);
        }
        self.clients.mention(client);
        self.memory.end(self.now, (client, request), dedup, keep);
        if self.memory.is_overfull() {
            self.forget();
        } else {
            self.memory.forget_later(self.now, &mut self.wheel);
        }
    }

    /// Forgets the names and results of tasks that are too old or too many.
    pub(super) fn forget(&mut self) {
        while let Some(forgotten) = self.memory.forget(self.now) {
            self.totals.forgotten += u64::from(forgotten.early);
            if let Some(client) = forgotten.client {
                self.clients.unmention(client);
            }
        }
        self.memory.forget_later(self.now, &mut self.wheel);
    }

    pub(super) fn tell_answer(&mut self, client: Ix, id: RequestId, answer: Answer) {
        // One that is away has not read it; it may ask again when it is back.
        let Some(session) = self.clients.get(client).and_then(|client| client.session()) else { return };
        match answer {
            Answer::Result(body) => self.tell_client(session, ToClient::Result { id, body }),
            Answer::Failed(reason, text) => self.tell_client(session, ToClient::Failed { id, reason, text }),
            Answer::None => {}
        }
    }

    /// The last of a task: its key goes to the next one, its place to another.
    pub(super) fn remove(&mut self, ix: Ix) {
        self.queues.forget(&mut self.tasks, ix);
        self.tasks.remove(ix);
    }
}

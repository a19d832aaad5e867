//! The scheduler, driven by hand: a rig with a clock of its own.

mod audit;
mod cost;
mod delivery;
mod explain;
mod flow;
mod memory;
mod order;
mod presence;
mod rest;
mod sim;

use std::time::Duration;

use super::memory::Known;
use super::{Action, Admin, Config, Event, Explanation, Scheduler};
use crate::message::{Frame, Message};
use crate::pool::policy::Policy;
use crate::pool::protocol::{
    FromClient, FromWorker, Lease, Nack, RequestId, Session, SubmitOptions, ToClient, ToWorker, WorkerHello,
};
use crate::pool::time::Time;

/// A scheduler and its clock. Heartbeats are an hour apart, so that they are in nobody's way.
pub(super) struct Rig {
    pub(super) scheduler: Scheduler,
    pub(super) now: Time,
    pub(super) out: Vec<Action>,
    sessions: u64,
    requests: RequestId,
}

/// A worker's task, as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) to: Session,
    pub(super) lease: Lease,
    pub(super) body: String,
    pub(super) budget: Option<Duration>,
    pub(super) redelivered: bool,
}

pub(super) const QUEUE: &str = "q";

impl Rig {
    pub(super) fn new(policy: Policy) -> Self {
        Self::with(Config { policy, heartbeat: Duration::from_secs(3600), ..Config::default() })
    }

    pub(super) fn with(config: Config) -> Self {
        let scheduler = Scheduler::new(config);
        Self { scheduler, now: Time::ZERO, out: Vec::new(), sessions: 0, requests: 0 }
    }

    pub(super) fn on(&mut self, event: Event) {
        self.scheduler.on(self.now, event, &mut self.out);
        assert_eq!(self.scheduler.totals().conservation_error(), 0);
    }

    pub(super) fn admin(&mut self, admin: Admin) {
        self.on(Event::Admin(admin));
    }

    pub(super) fn session(&mut self) -> Session {
        self.sessions += 1;
        Session(self.sessions)
    }

    pub(super) fn worker(&mut self, name: &str, capacity: u32) -> Session {
        self.hello(WorkerHello { name: name.into(), capacity, ..hello() })
    }

    pub(super) fn hello(&mut self, hello: WorkerHello) -> Session {
        let session = self.session();
        self.on(Event::Worker(session, FromWorker::Hello(hello)));
        session
    }

    pub(super) fn client(&mut self, name: &str) -> Session {
        let session = self.session();
        self.on(Event::Client(session, FromClient::Hello { client: name.into() }));
        session
    }

    pub(super) fn submit(&mut self, client: Session, body: &str) -> RequestId {
        self.submit_with(client, body, SubmitOptions::default())
    }

    pub(super) fn submit_with(&mut self, client: Session, body: &str, options: SubmitOptions) -> RequestId {
        self.requests += 1;
        let id = self.requests;
        self.submit_as(client, id, body, options);
        id
    }

    pub(super) fn submit_as(&mut self, client: Session, id: RequestId, body: &str, options: SubmitOptions) {
        let body = Message::from(body);
        self.on(Event::Client(client, FromClient::Submit { id, queue: QUEUE.into(), options, body }));
    }

    /// Fire and forget, to any queue or topic.
    pub(super) fn publish(&mut self, client: Session, to: &str, body: &str, options: SubmitOptions) {
        self.requests += 1;
        let options = SubmitOptions { no_reply: true, ..options };
        let (id, queue, body) = (self.requests, to.into(), body.into());
        self.on(Event::Client(client, FromClient::Submit { id, queue, options, body }));
    }

    pub(super) fn say(&mut self, worker: Session, said: FromWorker) {
        self.on(Event::Worker(worker, said));
    }

    pub(super) fn done(&mut self, given: &Given) {
        let body = Message::from(format!("{} done", given.body));
        self.say(given.to, FromWorker::Done(given.lease, body));
    }

    pub(super) fn nack(&mut self, given: &Given, nack: Nack) {
        self.say(given.to, FromWorker::Nack(given.lease, nack));
    }

    /// Lets time pass, with all that is due in it.
    pub(super) fn pass(&mut self, duration: Duration) {
        let target = self.now + duration;
        while let Some(due) = self.scheduler.next_deadline().filter(|due| *due <= target) {
            self.now = self.now.max(due);
            self.on(Event::Tick);
        }
        self.now = target;
        self.on(Event::Tick);
    }

    /// The tasks that were given since the last look.
    pub(super) fn given(&mut self) -> Vec<Given> {
        let (tasks, others) = std::mem::take(&mut self.out)
            .into_iter()
            .partition(|action| matches!(action, Action::ToWorker(_, ToWorker::Task { .. })));
        self.out = others;
        let given = |action| match action {
            Action::ToWorker(to, ToWorker::Task { lease, budget, redelivered, body, .. }) => {
                let body = body.to_str().unwrap().to_owned();
                Given { to, lease, body, budget, redelivered }
            }
            other => panic!("{other:?}"),
        };
        Vec::into_iter(tasks).map(given).collect()
    }

    /// The one task that was given since the last look.
    pub(super) fn one(&mut self) -> Given {
        let mut given = self.given();
        assert_eq!(given.len(), 1, "{given:?}");
        given.remove(0)
    }

    /// The bodies that were given since the last look.
    pub(super) fn bodies(&mut self) -> Vec<String> {
        self.given().into_iter().map(|given| given.body).collect()
    }

    /// What clients were told since the last look; the rest is forgotten.
    pub(super) fn told(&mut self) -> Vec<(Session, ToClient)> {
        let told = |action| match action {
            Action::ToClient(session, said) => Some((session, said)),
            _ => None,
        };
        std::mem::take(&mut self.out).into_iter().filter_map(told).collect()
    }

    /// As text, for comparing.
    pub(super) fn told_text(&mut self) -> Vec<String> {
        let text = |said| match said {
            ToClient::Accept { id } => format!("accept {id}"),
            ToClient::Reject { id, reason, .. } => format!("reject {id} {reason:?}"),
            ToClient::Partial { id, body } => format!("partial {id} {}", body.to_str().unwrap()),
            ToClient::Result { id, body } => format!("result {id} {}", body.to_str().unwrap()),
            ToClient::Failed { id, reason, .. } => format!("failed {id} {reason:?}"),
            ToClient::Status { id, text } => format!("status {id} {}", String::from_utf8_lossy(&text)),
        };
        self.told().into_iter().map(|(_, said)| text(said)).collect()
    }

    pub(super) fn explain(&self, client: Session, id: RequestId) -> Explanation {
        let client = self.scheduler.clients.find(client).expect("the client is known");
        let known = self.scheduler.memory.request(client, id);
        let Some(Known::Task(ix)) = known else { panic!("the task has ended: {known:?}") };
        self.scheduler.explain(self.scheduler.tasks.id(ix))
    }
}

pub(super) fn hello() -> WorkerHello {
    WorkerHello {
        name: "w".into(),
        queues: vec![QUEUE.into()],
        capacity: 1,
        weight: 1.0,
        ..WorkerHello::default()
    }
}

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn key(key: &str) -> SubmitOptions {
    SubmitOptions { key: Some(Box::new(Frame::from(key))), ..SubmitOptions::default() }
}

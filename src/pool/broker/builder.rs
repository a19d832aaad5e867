//! How a broker is told what to be.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::driver::Driver;
use super::handle::Broker;
use crate::endpoint::{Endpoint, EndpointError};
use crate::error::{BindError, OptionError};
use crate::message::Frame;
use crate::pool::policy::Policy;
use crate::pool::scheduler::{Admin, Config, Event, Scheduler};
use crate::pool::time::Time;
use crate::pool::wire::Door;
use crate::socket::Router;

/// What a [`Broker`] is made of; from [`Broker::builder`].
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until `start`"]
pub struct BrokerBuilder {
    endpoints: Vec<(Door, String)>,
    queues: Vec<(Frame, Policy)>,
    config: Config,
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An endpoint could not be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// An option has a value that it cannot have.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// It has no endpoint.
    #[error("nothing to bind: give the broker an endpoint")]
    NoEndpoint,
}

impl BrokerBuilder {
    /// Where clients and workers connect to: native ones, and those of Majordomo 0.1 and 0.2. May be called several
    /// times; port 0 takes any, see [`Broker::endpoints`].
    pub fn bind(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoints.push((Door::Main, endpoint.into()));
        self
    }

    /// Where clients connect to that know no pool: each request of a REQ is a task of `queue`.
    pub fn plain_clients(mut self, endpoint: impl Into<String>, queue: impl Into<Frame>) -> Self {
        self.endpoints.push((Door::PlainClients(queue.into()), endpoint.into()));
        self
    }

    /// Where workers connect to that know no pool: a REQ that says `READY`, then answers one task of `queue` after the
    /// other, each with the address that came with it.
    pub fn plain_workers(mut self, endpoint: impl Into<String>, queue: impl Into<Frame>) -> Self {
        self.endpoints.push((Door::PlainWorkers(queue.into()), endpoint.into()));
        self
    }

    /// A queue with rules of its own.
    pub fn queue(mut self, name: impl Into<Frame>, policy: Policy) -> Self {
        self.queues.push((name.into(), policy));
        self
    }

    /// The rules of queues that have none of their own. Default: [`Policy::default`].
    pub fn default_policy(mut self, policy: Policy) -> Self {
        self.config.policy = policy;
        self
    }

    /// Whether a queue that was not configured is made when a client or worker names it. Default: yes.
    pub fn queues_on_demand(mut self, on: bool) -> Self {
        self.config.on_demand = on;
        self
    }

    /// How often workers and broker say that they are there, and after how many silent intervals a worker is lost;
    /// after one it gets no new tasks. Default: 2 s, 3. A worker whose process ends is noticed at once, without this;
    /// it is for those that freeze, and for networks that vanish. Below 1 s, a busy machine looks like a dead one.
    pub fn heartbeat(mut self, interval: Duration, liveness: u32) -> Self {
        self.config.heartbeat = interval;
        self.config.liveness = liveness;
        self
    }

    /// How long the tasks of a client that left are kept for it to come back. Default: 10 s.
    pub fn client_grace(mut self, grace: Duration) -> Self {
        self.config.client_grace = grace;
        self
    }

    /// Binds the endpoints, and starts.
    ///
    /// # Errors
    ///
    /// If an endpoint cannot be bound, or there is none.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, nothing has started.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn start(self) -> Result<Broker, StartError> {
        let Self { endpoints, queues, mut config } = self;
        if endpoints.is_empty() {
            return Err(StartError::NoEndpoint);
        }
        if config.heartbeat.is_zero() || config.liveness == 0 {
            let problem = "the interval and the number of intervals must be above zero";
            return Err(OptionError { option: "heartbeat", problem }.into());
        }
        let (doors, bound) = open(endpoints).await?;
        config.seed = fastrand::u64(..);
        let heartbeat = config.heartbeat;
        let mut scheduler = Scheduler::new(config);
        let mut actions = Vec::new();
        for (name, policy) in queues {
            let admin = Admin::SetPolicy(name, Box::new(policy));
            scheduler.on(Time::ZERO, Event::Admin(admin), &mut actions);
        }
        let (commands, receiver) = mpsc::unbounded_channel();
        let (end, ended) = oneshot::channel();
        tokio::spawn(Driver::new(scheduler, doors, receiver, heartbeat).run(end));
        Ok(Broker::new(commands, ended, bound))
    }
}

/// One socket for the main endpoints, and one for each of the others.
async fn open(endpoints: Vec<(Door, String)>) -> Result<(Vec<(Door, Router)>, Vec<Endpoint>), StartError> {
    let router = || Router::builder().notify(true).mandatory(true).build();
    let mut doors = vec![(Door::Main, router()?)];
    let mut bound = Vec::new();
    for (door, endpoint) in endpoints {
        let endpoint: Endpoint =
            endpoint.as_str().try_into().map_err(|error: EndpointError| BindError::from(error))?;
        if door != Door::Main {
            doors.push((door.clone(), router()?));
        }
        let place = if door == Door::Main { doors.first() } else { doors.last() };
        let Some((_, router)) = place else { continue };
        bound.push(router.bind(&endpoint).await?);
    }
    Ok((doors, bound))
}

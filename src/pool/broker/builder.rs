//! How a broker is told what to be.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::driver::Driver;
use super::handle::Broker;
use crate::endpoint::{Endpoint, EndpointError};
use crate::error::{BindError, OptionError};
use crate::message::Frame;
use crate::patterns::Router;
use crate::pool::policy::Policy;
use crate::pool::scheduler::{Admin, Config, Event, Scheduler};
use crate::pool::time::Time;
use crate::pool::wire::Door;

/// Results that may wait for one client, in bytes, unless set.
const MAX_BACKLOG: usize = 256 << 20;

/// What a [`Broker`] is made of; from [`Broker::builder`].
///
/// ```
/// use std::time::Duration;
/// use sinew::pool::{Broker, Overflow, Policy, StrategyName};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let broker = Broker::builder()
///     .bind("tcp://127.0.0.1:0")
///     .default_policy(Policy::default().max_len(10_000).overflow(Overflow::Block))
///     .queue("billing", Policy::default().strategy(StrategyName::OrderedKey))
///     .topic("orders", ["billing", "shipping"]) // the workers of either see all orders
///     .heartbeat(Duration::from_millis(500), 4)
///     .start()
///     .await?;
/// # broker.shut_down(Duration::ZERO).await;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until `start`"]
pub struct BrokerBuilder {
    endpoints: Vec<(Door, String)>,
    queues: Vec<(Frame, Policy)>,
    topics: Vec<(Frame, Vec<Frame>)>,
    config: Config,
    max_backlog: Option<usize>,
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

    /// A topic: what is submitted to it goes to each of these queues, so that the workers of each see all of it. All of
    /// them take it, or none. It has no result, so it can be [submitted](crate::pool::Client::submit), but not called;
    /// its ticket stands for none of its tasks, and cancels nothing. A name that is that of a queue, too, is a topic.
    pub fn topic<Q: Into<Frame>>(
        mut self,
        name: impl Into<Frame>,
        queues: impl IntoIterator<Item = Q>,
    ) -> Self {
        self.topics.push((name.into(), queues.into_iter().map(Into::into).collect()));
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

    /// What all its tasks may take together, in bytes: their bodies, and 256 for each. What comes on top of it is refused
    /// as if its queue were full, whatever that one does when it overflows. Default: 4 GiB.
    pub fn max_memory(mut self, bytes: usize) -> Self {
        self.config.max_memory = bytes;
        self
    }

    /// How many bytes of results may wait for one client that does not read them. From a 64th of it on, the client
    /// is not read either; with more than this its connection is ended, and counted. Default: 256 MiB.
    pub fn max_backlog(mut self, bytes: usize) -> Self {
        self.max_backlog = Some(bytes);
        self
    }

    /// Binds the endpoints, and starts.
    ///
    /// # Errors
    ///
    /// If an endpoint cannot be bound, or there is none, or a [heartbeat](Self::heartbeat) of zero was asked for.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, nothing has started.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn start(self) -> Result<Broker, StartError> {
        let Self { endpoints, queues, topics, mut config, max_backlog } = self;
        let max_backlog = max_backlog.unwrap_or(MAX_BACKLOG);
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
        let queues = queues.into_iter().map(|(name, policy)| Admin::SetPolicy(name, Box::new(policy)));
        let topics = topics.into_iter().map(|(name, queues)| Admin::SetTopic(name, queues));
        for admin in queues.chain(topics) {
            scheduler.on(Time::ZERO, Event::Admin(admin), &mut actions);
        }
        let (commands, receiver) = mpsc::unbounded_channel();
        let (end, ended) = oneshot::channel();
        tokio::spawn(Driver::new(scheduler, doors, receiver, heartbeat, max_backlog).run(end));
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

//! The client: submits tasks, and waits for what becomes of them.
//!
//! A call costs two messages: one out, one back. It is written by its caller's task, straight into the connection's
//! queue; one task for all calls reads the answers and wakes whoever waits. What is not answered yet is remembered
//! here, and submitted again, under the same id, when the connection breaks: to the same broker, which knows the id
//! and does not begin anew, or to another.

mod call;
mod io;
mod replies;
mod state;

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use replies::Replies;

use crate::endpoint::{Endpoint, EndpointError};
use crate::error::ConnectError;
use crate::message::{Frame, Message};
use crate::patterns::Router;
use crate::pool::protocol::{FromClient, RequestId};
use crate::pool::request::{Call, CallError, Stream, Submit};
use crate::socket::Closed;
use state::Calls;

/// Tasks that may be open at a time; more wait for one to end. It bounds what is remembered for a broker that is away.
const WINDOW: usize = 16 * 1024;

/// Submits tasks to a broker. A clone is the same client.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::time::Duration;
/// # use sinew::pool::{Broker, Client, Worker};
/// # let broker = Broker::builder().bind("tcp://127.0.0.1:0").start().await?;
/// # let mut worker = Worker::connect(broker.endpoints()).queue("greet").pull().await?;
/// # tokio::spawn(async move {
/// #     while let Ok(task) = worker.recv().await { task.done("hello").await.unwrap(); }
/// # });
/// let client = Client::connect(broker.endpoints()).await?;
/// // A question and its answer.
/// let answer = client.call("greet", "world").deadline(Duration::from_secs(2)).await?;
/// assert_eq!(answer, "hello");
/// // Fire and forget: returns when the broker has taken it.
/// client.submit("greet", "whoever").priority(7).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    calls: Arc<Calls>,
    /// Ends the reading task with the last clone.
    _reading: Arc<DropGuard>,
}

/// What a task is to be called later on; from [`Client::submit`].
///
/// ```
/// # use sinew::pool::{CallError, Client};
/// # async fn order(client: &Client) -> Result<(), CallError> {
/// let ticket = client.submit("orders", "a book").await?;
/// println!("{}", client.status(ticket).await?); // "no worker serves the queue", say
/// client.cancel(ticket);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(RequestId);

/// A connection was not set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// An endpoint is malformed.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// An endpoint cannot be connected to.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No endpoint was given.
    #[error("nothing to connect to: give at least one broker")]
    NoBroker,
    /// The system has no room for another thread.
    #[error("no thread for the worker's connections")]
    Thread(#[from] std::io::Error),
}

impl Client {
    /// Connects to brokers. The first one that answers gets all tasks; when it is lost, or says nothing for 6 s, another
    /// one gets those that are not answered; when it shuts down, those that come then. Returns at once: what is called
    /// meanwhile waits for the connection.
    ///
    /// # Errors
    ///
    /// If an endpoint is malformed, or one that is only for binding, or there is none.
    ///
    /// # Cancel safety
    ///
    /// It never waits, so it is never cancelled half-way.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn connect<E>(brokers: impl IntoIterator<Item = E>) -> Result<Self, JoinError>
    where
        E: TryInto<Endpoint>,
        EndpointError: From<E::Error>,
    {
        let router = crate::pool::socket::unbounded();
        let mut any = false;
        for broker in brokers {
            let endpoint = broker.try_into().map_err(EndpointError::from)?;
            router.connect::<Endpoint>(endpoint).await?;
            any = true;
        }
        if !any {
            return Err(JoinError::NoBroker);
        }
        Ok(Self::over(router))
    }

    fn over(router: Router) -> Self {
        // Unlike that of any other client, so that brokers can tell them apart.
        let name = format!("{:032x}", fastrand::u128(..));
        let calls = Arc::new(Calls::new(router, name.into(), WINDOW));
        let stop = CancellationToken::new();
        tokio::spawn(io::read(calls.clone(), stop.clone()));
        Self { calls, _reading: Arc::new(stop.drop_guard()) }
    }

    /// Has a task done, and returns its result. For a remote procedure, send its name and its parameters as frames:
    /// `client.call("service", ["method", "parameters"])`.
    ///
    /// Await it, or set more first: see [`Call`].
    pub fn call(&self, queue: impl Into<Frame>, body: impl Into<Message>) -> Call<'_> {
        Call::new(self, queue.into(), body.into())
    }

    /// Submits a task whose result is of no interest; returns when the broker has accepted it, which is long before it
    /// is done.
    ///
    /// Await it, or set more first: see [`Submit`].
    pub fn submit(&self, queue: impl Into<Frame>, body: impl Into<Message>) -> Submit<'_> {
        Submit::new(self, queue.into(), body.into())
    }

    /// Has a task done that answers in several parts.
    ///
    /// Await it, or set more first: see [`Stream`].
    pub fn stream(&self, queue: impl Into<Frame>, body: impl Into<Message>) -> Stream<'_> {
        Stream::new(self, queue.into(), body.into())
    }

    /// Cancels a task that was submitted. One that has begun is told to its worker, which may or may not stop.
    pub fn cancel(&self, ticket: Ticket) {
        self.calls.say(FromClient::Cancel { id: ticket.0 });
    }

    /// Where a submitted task stands, in words: what it waits for, or who runs it.
    ///
    /// # Errors
    ///
    /// [`CallError::Closed`] if no broker is connected or it is lost meanwhile, or if the client is closed.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, nothing has happened.
    pub async fn status(&self, ticket: Ticket) -> Result<String, CallError> {
        let (answer, answered) = oneshot::channel();
        self.calls.ask(ticket.0, answer);
        let text = answered.await.map_err(|_| CallError::Closed)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Waits until a broker is connected.
    ///
    /// # Errors
    ///
    /// If the client is closed.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, nothing has happened.
    pub async fn wait_for_broker(&self) -> Result<(), CallError> {
        self.calls.router.wait_for_peers(1).await.map_err(|_| CallError::Closed)
    }

    /// Closes the client, all its clones included: what waits for a result gets [`CallError::Closed`], and what was
    /// accepted into the queue to the broker is still written.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, it goes on closing.
    pub async fn close(&self) -> Closed {
        self.calls.close();
        self.calls.router.close().await
    }
}

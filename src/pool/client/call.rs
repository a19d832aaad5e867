//! What can be asked of a client: each is set up step by step, then awaited.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::replies::{self, Replies};
use super::state::{Open, Shared, Waiter};
use super::{CallError, Client, Ticket};
use crate::message::{Frame, Message};
use crate::pool::protocol::{FailReason, RequestId, SubmitOptions};

/// What all of them can be told.
macro_rules! options {
    () => {
        /// How long it is of use. It is told to the worker, and a task that is not begun by then never is; without an
        /// answer by then, there is an error. Default: for ever.
        pub fn deadline(mut self, after: Duration) -> Self {
            self.options.budget = Some(after);
            self
        }

        /// From 0 to 9, 9 first. Default: its queue's, which is 4 unless set.
        pub fn priority(mut self, priority: u8) -> Self {
            self.options.priority = Some(priority);
            self
        }

        /// What it is about: strategies that keep an order, or send the same to the same worker, go by it.
        pub fn key(mut self, key: impl Into<Frame>) -> Self {
            self.options.key = Some(key.into());
            self
        }

        /// A name for it: submitted again under the same name, by whomever, it is the same task.
        pub fn dedup(mut self, name: impl Into<Frame>) -> Self {
            self.options.dedup = Some(name.into());
            self
        }

        /// Not before this time has passed.
        pub fn delay(mut self, delay: Duration) -> Self {
            self.options.delay = delay;
            self
        }

        /// Only for workers that have all of these tags.
        pub fn tags<T: Into<Frame>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
            self.options.tags = tags.into_iter().map(Into::into).collect();
            self
        }
    };
}

macro_rules! request {
    ($(#[$doc:meta])* $name:ident => $output:ty) => {
        $(#[$doc])*
        #[derive(Debug)]
        #[must_use = "nothing is submitted until it is awaited"]
        pub struct $name<'a> {
            client: &'a Client,
            queue: Frame,
            body: Message,
            options: SubmitOptions,
        }

        impl<'a> $name<'a> {
            pub(super) fn new(client: &'a Client, queue: Frame, body: Message) -> Self {
                Self { client, queue, body, options: SubmitOptions::default() }
            }

            options!();
        }

        impl<'a> IntoFuture for $name<'a> {
            type Output = Result<$output, CallError>;
            type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

            fn into_future(self) -> Self::IntoFuture {
                Box::pin(self.run())
            }
        }
    };
}

request! {
    /// A call, before it is awaited; from [`Client::call`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the task is cancelled, if the broker can still be told. It may run nevertheless.
    Call => Message
}

request! {
    /// A task whose result is of no interest, before it is awaited; from [`Client::submit`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the task may be accepted or not. It is not cancelled.
    Submit => Ticket
}

request! {
    /// A call with an answer in several parts, before it is awaited; from [`Client::stream`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing was submitted.
    Stream => Replies
}

impl Call<'_> {
    async fn run(self) -> Result<Message, CallError> {
        let Self { client, queue, body, options } = self;
        let budget = options.budget;
        let (answer, answered) = oneshot::channel();
        let permit = client.shared.window.acquire().await.map_err(|_| CallError::Closed)?;
        let since = Instant::now();
        let id = client.shared.open(Open { queue, options, body, since, waiter: Waiter::Result(answer) })?;
        // It comes back with the answer.
        permit.forget();
        let guard = Guard { shared: &client.shared, id, armed: true };
        guard.answer(answered, budget).await
    }
}

impl Submit<'_> {
    async fn run(self) -> Result<Ticket, CallError> {
        let Self { client, queue, body, mut options } = self;
        (options.ack, options.no_reply) = (true, true);
        let (accept, accepted) = oneshot::channel();
        let permit = client.shared.window.acquire().await.map_err(|_| CallError::Closed)?;
        let since = Instant::now();
        let id = client.shared.open(Open { queue, options, body, since, waiter: Waiter::Accept(accept) })?;
        permit.forget();
        accepted.await.map_err(|_| CallError::Closed)??;
        Ok(Ticket(id))
    }
}

impl Stream<'_> {
    async fn run(self) -> Result<Replies, CallError> {
        let Self { client, queue, body, options } = self;
        let (inlet, replies) = replies::channel();
        let permit = client.shared.window.acquire().await.map_err(|_| CallError::Closed)?;
        let since = Instant::now();
        let id = client.shared.open(Open { queue, options, body, since, waiter: Waiter::Parts(inlet) })?;
        permit.forget();
        Ok(replies(client.shared.clone(), id))
    }
}

/// Cancels a task that nobody waits for any more.
struct Guard<'a> {
    shared: &'a Arc<Shared>,
    id: RequestId,
    armed: bool,
}

impl Guard<'_> {
    async fn answer(
        mut self,
        answered: oneshot::Receiver<Result<Message, CallError>>,
        budget: Option<Duration>,
    ) -> Result<Message, CallError> {
        let answer = match budget {
            None => answered.await,
            Some(budget) => match tokio::time::timeout(budget, answered).await {
                Ok(answer) => answer,
                Err(_) => return Err(CallError::Failed { reason: FailReason::Expired, text: String::new() }),
            },
        };
        self.armed = false;
        answer.map_err(|_| CallError::Closed)?
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.shared.abandon(self.id);
        }
    }
}

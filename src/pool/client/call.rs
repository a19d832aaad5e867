//! What becomes of a request to a client when it is awaited.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::replies::{self, Replies};
use super::state::{Calls, Open, ReplyTo};
use super::{Client, Ticket};
use crate::message::Message;
use crate::pool::protocol::{FailReason, RequestId};
use crate::pool::request::{Call, CallError, Stream, Submit, awaited};

awaited!(Client: Call => Message, Submit => Ticket, Stream => Replies);

impl Call<'_, Client> {
    async fn run(self) -> Result<Message, CallError> {
        let Self { pool: client, queue, body, options } = self;
        let budget = options.budget;
        let (answer, answered) = oneshot::channel();
        let permit = client.calls.window.acquire().await.map_err(|_| CallError::Closed)?;
        let id = client.calls.open(Open::new(queue, options, body, ReplyTo::Result(answer)))?;
        // It comes back with the answer.
        permit.forget();
        let guard = Guard { calls: &client.calls, id, armed: true };
        guard.answer(answered, budget).await
    }
}

impl Submit<'_, Client> {
    async fn run(self) -> Result<Ticket, CallError> {
        let Self { pool: client, queue, body, mut options } = self;
        (options.ack, options.no_reply) = (true, true);
        let (accept, accepted) = oneshot::channel();
        let permit = client.calls.window.acquire().await.map_err(|_| CallError::Closed)?;
        let id = client.calls.open(Open::new(queue, options, body, ReplyTo::Accept(accept)))?;
        permit.forget();
        accepted.await.map_err(|_| CallError::Closed)??;
        Ok(Ticket(id))
    }
}

impl Stream<'_, Client> {
    async fn run(self) -> Result<Replies, CallError> {
        let Self { pool: client, queue, body, options } = self;
        let (inlet, replies) = replies::channel();
        let permit = client.calls.window.acquire().await.map_err(|_| CallError::Closed)?;
        let id = client.calls.open(Open::new(queue, options, body, ReplyTo::Parts(inlet)))?;
        permit.forget();
        Ok(replies(client.calls.clone(), id))
    }
}

/// Cancels a task that nobody waits for any more.
struct Guard<'a> {
    calls: &'a Arc<Calls>,
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
                Err(_) => return Err(CallError::failed(FailReason::Expired, b"")),
            },
        };
        self.armed = false;
        answer.map_err(|_| CallError::Closed)?
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.calls.abandon(self.id);
        }
    }
}

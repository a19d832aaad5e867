//! What becomes of a request to a local pool when it is awaited.

use tokio::sync::oneshot;

use super::LocalPool;
use super::driver::Driver;
use crate::message::{Frame, Message};
use crate::pool::protocol::{RequestId, Session, SubmitOptions};
use crate::pool::request::{Call, CallError, Submit, awaited};

awaited!(LocalPool: Call => Message, Submit => ());

impl Call<'_, LocalPool> {
    async fn run(self) -> Result<Message, CallError> {
        let Self { pool, queue, body, options } = self;
        answer(&pool.driver, queue, body, options).await
    }
}

impl Submit<'_, LocalPool> {
    async fn run(self) -> Result<(), CallError> {
        let Self { pool, queue, body, mut options } = self;
        (options.ack, options.no_reply) = (true, true);
        answer(&pool.driver, queue, body, options).await.map(drop)
    }
}

async fn answer(
    driver: &Driver,
    queue: Frame,
    body: Message,
    options: SubmitOptions,
) -> Result<Message, CallError> {
    let (waiter, answer) = oneshot::channel();
    // So that the last of it is dropped here, and not under the pool's lock: that may run code of the user's.
    let _kept = body.clone();
    let submitted = driver.submit(queue, body, options, waiter).await;
    let (session, id) = submitted.ok_or(CallError::Closed)?;
    let _abandon = Abandon { driver, session, id };
    answer.await.unwrap_or(Err(CallError::Closed))
}

/// Cancels the task if it has not been answered.
struct Abandon<'a> {
    driver: &'a Driver,
    session: Session,
    id: RequestId,
}

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.driver.abandon(self.session, self.id);
    }
}

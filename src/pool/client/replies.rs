//! An answer in several parts.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::state::Calls;
use crate::message::Message;
use crate::pool::protocol::RequestId;
use crate::pool::request::CallError;

/// Parts that may wait to be read; from here on the broker is not read.
const BEHIND: usize = 1024;

/// The parts of an answer, in order; the last one is the result itself. From [`Client::stream`](super::Client::stream).
/// Also a [`Stream`](futures_core::Stream).
///
/// ```
/// # use sinew::pool::{CallError, Replies};
/// async fn last(mut replies: Replies) -> Result<Option<sinew::Message>, CallError> {
///     let mut last = None;
///     while let Some(part) = replies.next().await {
///         last = Some(part?);
///     }
///     Ok(last)
/// }
/// # let _ = last;
/// ```
///
/// If they are not read, the client reads nothing more from the broker, until they are. Dropped before its end, it
/// cancels the task.
#[derive(Debug)]
#[must_use = "dropped before its end, it cancels the task"]
pub struct Replies {
    calls: Arc<Calls>,
    id: RequestId,
    queue: Arc<Mutex<PartQueue>>,
}

/// The reading task's end.
#[derive(Debug)]
pub(super) struct Inlet(Arc<Mutex<PartQueue>>);

#[derive(Debug, Default)]
struct PartQueue {
    parts: VecDeque<Result<Message, CallError>>,
    ended: bool,
    reader: Option<Waker>,
}

fn lock(queue: &Mutex<PartQueue>) -> MutexGuard<'_, PartQueue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn channel() -> (Inlet, impl FnOnce(Arc<Calls>, RequestId) -> Replies) {
    let queue = Arc::new(Mutex::new(PartQueue::default()));
    (Inlet(queue.clone()), move |calls, id| Replies { calls, id, queue })
}

impl Inlet {
    pub(super) fn part(&self, body: Message) {
        self.push(Ok(body), false);
    }

    pub(super) fn end(self, result: Result<Message, CallError>) {
        self.push(result, true);
    }

    fn push(&self, part: Result<Message, CallError>, last: bool) {
        let mut queue = lock(&self.0);
        queue.parts.push_back(part);
        queue.ended |= last;
        if let Some(reader) = queue.reader.take() {
            drop(queue);
            reader.wake();
        }
    }

    pub(super) fn is_behind(&self) -> bool {
        lock(&self.0).parts.len() >= BEHIND
    }
}

/// A client that closes ends its answers.
impl Drop for Inlet {
    fn drop(&mut self) {
        if !lock(&self.0).ended {
            self.push(Err(CallError::Closed), true);
        }
    }
}

impl Replies {
    /// The next part; `None` after the last.
    ///
    /// # Errors
    ///
    /// If the task comes to nothing; there is no further part then.
    ///
    /// # Cancel safety
    ///
    /// Cancelled before it is ready, no part was taken.
    pub async fn next(&mut self) -> Option<Result<Message, CallError>> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Message, CallError>>> {
        let mut queue = lock(&self.queue);
        let Some(part) = queue.parts.pop_front() else {
            if queue.ended {
                return Poll::Ready(None);
            }
            queue.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let caught_up = queue.parts.len() == BEHIND / 2;
        drop(queue);
        if caught_up {
            self.calls.caught_up();
        }
        Poll::Ready(Some(part))
    }
}

impl futures_core::Stream for Replies {
    type Item = Result<Message, CallError>;

    fn poll_next(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx)
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        if !lock(&self.queue).ended {
            self.calls.abandon(self.id);
        }
        lock(&self.queue).parts.clear();
        self.calls.caught_up();
    }
}

//! What can be asked of a pool, over the network or in this process: each is set up step by step, then awaited.

use std::time::Duration;

use crate::message::{Frame, Message};
use crate::pool::client::Client;
use crate::pool::protocol::{FailReason, RejectReason, SubmitOptions};
use crate::pool::trace;

/// A task that has no result.
///
/// ```
/// use std::time::Duration;
/// use sinew::pool::{CallError, FailReason, RejectReason};
///
/// /// Whether, and after which time, it is worth asking again.
/// fn again(error: &CallError) -> Option<Duration> {
///     match error {
///         CallError::Rejected { reason: RejectReason::QueueFull, retry_after } => Some(*retry_after),
///         CallError::Failed { reason: FailReason::Lost, .. } => Some(Duration::ZERO),
///         _ => None,
///     }
/// }
/// # assert_eq!(again(&CallError::Closed), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// It was not accepted.
    #[error("not accepted: {reason:?}")]
    Rejected {
        /// Why.
        reason: RejectReason,
        /// When to try again.
        retry_after: Duration,
    },
    /// It was accepted, and came to nothing.
    #[error("failed: {reason:?}: {text}")]
    Failed {
        /// Why.
        reason: FailReason,
        /// What the worker said.
        text: String,
    },
    /// The client, or the pool, is closed.
    #[error("closed")]
    Closed,
}

impl CallError {
    pub(super) fn failed(reason: FailReason, text: &[u8]) -> Self {
        Self::Failed { reason, text: String::from_utf8_lossy(text).into_owned() }
    }
}

macro_rules! request {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        #[must_use = "nothing is submitted until it is awaited"]
        pub struct $name<'a, P = Client> {
            pub(super) pool: &'a P,
            pub(super) queue: Frame,
            pub(super) body: Message,
            pub(super) options: SubmitOptions,
        }

        impl<'a, P> $name<'a, P> {
            pub(super) fn new(pool: &'a P, queue: Frame, body: Message) -> Self {
                Self { pool, queue, body, options: SubmitOptions::default() }
            }

            /// How long it is of use, to the millisecond. It is told to the worker, and a task that is not begun by
            /// then never is; without an answer by then, there is an error. Default: that of its queue
            /// ([`Policy::ttl`](crate::pool::Policy::ttl)), which is for ever unless set.
            pub fn deadline(mut self, after: Duration) -> Self {
                self.options.budget = Some(after);
                self
            }

            /// From 0 to 9, 9 first; above, it is rejected as invalid. Default: its queue's, which is 4 unless set.
            pub fn priority(mut self, priority: u8) -> Self {
                self.options.priority = Some(priority);
                self
            }

            /// What it is about: strategies that keep an order, or send the same to the same worker, go by it, and so
            /// does a queue's limit for each key. Up to 255 bytes. Default: none.
            pub fn key(mut self, key: impl Into<Frame>) -> Self {
                self.options.key = Some(Box::new(key.into()));
                self
            }

            /// A name for it, up to 255 bytes: submitted again to the same queue under the same name, by whomever,
            /// within 10 minutes of its end, it is the same task. Default: none.
            pub fn dedup(mut self, name: impl Into<Frame>) -> Self {
                self.options.dedup = Some(Box::new(name.into()));
                self
            }

            /// Not before this time has passed, to the millisecond. Default: at once.
            pub fn delay(mut self, delay: Duration) -> Self {
                self.options.delay = delay;
                self
            }

            /// Only for workers that have all of these tags: up to 16, of up to 255 bytes each; a queue knows up to 64
            /// different sets of them. Default: none.
            pub fn tags<T: Into<Frame>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
                self.options.tags = tags.into_iter().map(Into::into).collect();
                self
            }

            /// The trace that it belongs to, as a `traceparent` of W3C Trace Context (version 00); what is none is not
            /// sent. Default: a new one if somebody listens to `tracing` at level DEBUG for `sinew::pool::task`, else
            /// none.
            pub fn traceparent(mut self, parent: &str) -> Self {
                self.options.trace = trace::parse(parent.as_bytes());
                self
            }
        }
    };
}

request! {
    /// A call, before it is awaited; from [`Client::call`] or [`LocalPool::call`](crate::pool::local::LocalPool::call).
    /// Awaited, it gives the result.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use sinew::pool::Client;
    /// # async fn resize(client: &Client) -> Result<(), sinew::pool::CallError> {
    /// let call = client.call("resize", "photo.png").deadline(Duration::from_secs(2)).priority(7).key("user-42");
    /// let small = call.await?;
    /// # drop(small);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If its queue refuses it, it comes to nothing, or whom it was asked of is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the task is cancelled, if the broker can still be told. It may run nevertheless.
    Call
}

request! {
    /// A task whose result is of no interest, before it is awaited; from [`Client::submit`] or
    /// [`LocalPool::submit`](crate::pool::local::LocalPool::submit). Awaited, it is accepted.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use sinew::pool::Client;
    /// # async fn order(client: &Client) -> Result<(), sinew::pool::CallError> {
    /// let ticket = client.submit("orders", "a book").dedup("order-991").delay(Duration::from_secs(300)).await?;
    /// client.cancel(ticket);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If its queue refuses it, or whom it was asked of is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the task may be accepted or not.
    Submit
}

request! {
    /// A call with an answer in several parts, before it is awaited; from [`Client::stream`]. Awaited, it is on its
    /// way, and gives its [`Replies`](crate::pool::Replies).
    ///
    /// ```
    /// # use sinew::pool::Client;
    /// # async fn report(client: &Client) -> Result<(), sinew::pool::CallError> {
    /// let mut parts = client.stream("report", "2026").await?;
    /// while let Some(part) = parts.next().await {
    ///     println!("{:?}", part?);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If the client is closed. That its queue refuses it is the first of its replies.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing was submitted.
    Stream
}

/// Lets requests of `$pool` be awaited; each has a method `run`.
macro_rules! awaited {
    ($pool:ty: $($name:ident => $output:ty),+) => {$(
        impl<'a> IntoFuture for $name<'a, $pool> {
            type Output = Result<$output, CallError>;
            type IntoFuture = std::pin::Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

            fn into_future(mut self) -> Self::IntoFuture {
                let span = crate::pool::trace::submit(&mut self.options, &self.queue);
                if span.is_none() {
                    return Box::pin(self.run());
                }
                Box::pin(tracing::Instrument::instrument(self.run(), span))
            }
        }
    )+};
}
pub(super) use awaited;

//! Code of a user's that runs in a task of ours: a panic in it ends what it was for, and nothing else.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use crate::message::Frame;

/// What it gives, or what it said when it panicked. What it leaves half-done then is its own.
pub(super) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, Frame> {
    catch_unwind(AssertUnwindSafe(run)).map_err(said)
}

/// The same of a future; its drop belongs to it.
pub(super) async fn caught_future<F: Future>(future: F) -> Result<F::Output, Frame> {
    let mut future = pin!(Some(future));
    let outcome = std::future::poll_fn(|cx| {
        let poll = || future.as_mut().as_pin_mut().map_or(Poll::Pending, |future| future.poll(cx));
        match caught(poll) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    });
    let outcome = outcome.await;
    caught(|| future.set(None)).and(outcome)
}

/// The words of a panic.
pub(super) fn said(panic: Box<dyn Any + Send>) -> Frame {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let said = Frame::from(text.unwrap_or("panic"));
    // It is a user's, too, and may panic when it is dropped.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(panic))).map_err(std::mem::forget);
    said
}

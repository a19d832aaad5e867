//! Properties of real sockets under random scripts: limits hold at every step (P5), nothing is lost
//! unseen (P9), messages are whole (P3), shares are fair (P6, P7), and a routing id names one
//! connection (P12).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says why and stops")]

#[path = "../support/mod.rs"]
mod support;

mod conservation;
mod fan_out;
mod once;
mod routing_ids;
mod turns;

use std::pin::pin;
use std::task::Poll;

use proptest::prelude::*;
use sinew::Message;
use tokio::task::yield_now;

use crate::support::{MEDIA, Medium, within};

fn medium() -> impl Strategy<Value = Medium> {
    prop::sample::select(&MEDIA[..])
}

/// So many cases, or `PROPTEST_CASES`.
fn cases(cases: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(cases);
    ProptestConfig { failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::with_cases(cases) }
}

/// Runs `test` on a runtime of its own.
fn run<T>(threads: bool, test: impl Future<Output = T>) -> T {
    let mut builder = if threads {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2);
        builder
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    builder.enable_all().build().unwrap().block_on(test)
}

async fn rest(turns: usize) {
    for _ in 0..turns {
        yield_now().await;
    }
}

/// Waits until `there` says so; on the clock of the others, whatever they wait for.
async fn until(what: &str, there: impl Fn() -> bool) {
    within(what, async {
        while !there() {
            yield_now().await;
        }
    })
    .await;
}

/// Polls `future` at most `polls` times, then drops it.
async fn poll<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..polls {
        let polled = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        yield_now().await;
    }
    None
}

/// A message that says whose and which it is.
trait Pair {
    fn to_str_pair(&self) -> (u32, u32);
}

impl Pair for Message {
    fn to_str_pair(&self) -> (u32, u32) {
        let text = std::str::from_utf8(self.first()).unwrap();
        let (id, n) = text.split_once(' ').unwrap();
        (id.parse().unwrap(), n.parse().unwrap())
    }
}

//! The pool over real sockets: what clients and workers are promised, and that no task is lost whoever dies.
//!
//! No test sleeps or waits without a limit. Handlers that stand for work wait by the clock, for that is what work does.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says why and stops")]

mod balance;
mod calls;
mod chaos;
mod edge;
mod hostile;
mod kit;
mod loss;
mod panics;
mod raw;
#[path = "../support/mod.rs"]
mod support;
mod trace;
mod workers;

//! The conformance kit: what the wire and each socket must do, clause by clause.
//!
//! A test is named after the clause that it pins, as are those elsewhere: `a` to `c` are of ZMTP and libzmq's behaviour,
//! `d` of the limits. The tests are where a clause is told; a comment that says A3.5 means those named `a3_5`. No test sleeps, waits longer than ten seconds for anything, or needs another to have run.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says why and stops")]

mod kit;
#[path = "../support/mod.rs"]
mod support;

mod auto_traits;
mod commands;
mod framing;
mod greeting;
mod heartbeat;
mod limits;
mod locks;
mod monitor;
mod pair;
mod pipeline;
mod proxy;
mod pubsub;
mod queues;
mod raw;
mod ready;
mod ready_to_receive;
mod reconnect;
mod reqrep;
#[cfg(target_os = "linux")]
mod resources;
mod router;
mod transports;
mod xpub;

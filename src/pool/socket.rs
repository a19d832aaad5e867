//! The socket of a client or a worker.
//!
//! A ROUTER, too: it says which connection a message came by and when that connection ended, in order with its
//! messages, and what it had not written for one is not written to the next. Whoever connects anew begins anew.

use std::time::Duration;

use crate::patterns::{Router, RouterBuilder};

/// After how much silence a client asks whether its broker is there, and after how much more it gives it up. A worker has
/// heartbeats of its own, at the pace of its broker.
const HEARTBEAT: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(4));

/// For a client: what is on its way is limited by what may be open at a time, so nothing waits for room while it holds
/// a lock.
pub(crate) fn unbounded() -> Router {
    let (interval, timeout) = HEARTBEAT;
    let builder = builder().send_hwm(0).send_hwm_bytes(0).heartbeat(Some(interval), timeout);
    builder.build().unwrap_or_default()
}

/// For a worker: whoever sends parts of an answer waits for room.
pub(crate) fn bounded() -> Router {
    builder().build().unwrap_or_default()
}

fn builder() -> RouterBuilder {
    Router::builder()
        .notify(true)
        .immediate(true)
        .mandatory(true)
        .reconnect_interval(Duration::from_millis(20))
        .reconnect_max(Duration::from_secs(1))
}

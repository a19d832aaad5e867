//! What the integration tests share.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::expect_used, reason = "a test that cannot go on says why and stops")]

pub(crate) mod raw_peer;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// No test waits longer than this for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// Awaits `future`, or panics with `what` was awaited. For the real clock: a paused one would jump
/// to the deadline while the other end's bytes are under way.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: nothing for {DEADLINE:?}"),
    }
}

/// A path for an `ipc://` endpoint that no other test uses, nor this one on another call.
pub(crate) fn ipc_path() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("sinew-{}-{next}.sock", std::process::id()))
}

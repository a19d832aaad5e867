//! What the integration tests share.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says why and stops")]

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

/// Lets time pass, as tokio tells it. What has a deadline hears of it only if the test began with such a pass, before
/// the sockets were made: until then their deadlines are the system's, and no timers of tokio's.
pub(crate) async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// A path for an `ipc://` endpoint that no other test uses, nor this one on another call.
pub(crate) fn ipc_path() -> PathBuf {
    std::env::temp_dir().join(format!("sinew-{}-{}.sock", std::process::id(), next()))
}

/// A transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Medium {
    Tcp,
    Ipc,
    Inproc,
}

pub(crate) const MEDIA: [Medium; 3] = [Medium::Tcp, Medium::Ipc, Medium::Inproc];

impl Medium {
    /// An endpoint to bind that nobody else has.
    pub(crate) fn any(self) -> String {
        match self {
            Self::Tcp => "tcp://127.0.0.1:0".into(),
            Self::Ipc => "ipc://*".into(),
            Self::Inproc => inproc(),
        }
    }

    /// An endpoint that is known before it is bound, and that nobody else binds.
    pub(crate) fn known(self) -> String {
        match self {
            Self::Tcp => unused_tcp(),
            Self::Ipc => format!("ipc://{}", ipc_path().display()),
            Self::Inproc => inproc(),
        }
    }
}

/// An inproc name that no other test uses.
pub(crate) fn inproc() -> String {
    format!("inproc://test-{}", next())
}

fn next() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A port that is free and stays so: on a loopback address that only this call has.
pub(crate) fn unused_tcp() -> String {
    let [.., a, b] = next().to_be_bytes();
    let process = u8::try_from(std::process::id() % 250).unwrap() + 2;
    let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::new(127, process, a, b), 0)).unwrap();
    format!("tcp://{}", listener.local_addr().unwrap())
}

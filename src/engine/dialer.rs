//! Connecting to one endpoint, for ever: the connection's task is also the one that renews it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::backoff::Backoff;
use super::connection::{self, Ready};
use super::site::Site;
use crate::clock::{sleep, sleep_until};
use crate::endpoint::Address;
use crate::monitor::{DisconnectReason, DropReason, EventKind};
use crate::pipe::WireBuf;
use crate::proto::HandshakeError;
use crate::routing::PeerKey;
use crate::socket::Pipe;
use crate::transport::{self, Stream};

/// Connects to `address` and carries the traffic; connects anew when that ends, until told to
/// stop. `key` is the pipe made at connect; without one, each connection gets its own (C6.6).
pub(super) async fn dial(site: Arc<Site>, address: Address, key: Option<PeerKey>) {
    let end = Dialer { site: &site, address, key }.run().await;
    let core = &site.core;
    // A socket that closes counts what is left itself.
    if let Some(key) = key
        && !core.is_closed()
    {
        core.left(key);
        let reason = if end == Stop::Told { DropReason::Linger } else { DropReason::Disconnect };
        core.depart(key, false, reason);
    }
    site.stop.cancel();
    core.forget_stopped();
    if end == Stop::GaveUp {
        site.emit(None, EventKind::GaveUp);
    }
}

/// Why a connection is over.
enum Outcome {
    /// The socket did not take the peer.
    Refused,
    /// It was established, and has ended.
    Ended(DisconnectReason),
}

/// Whether one of the two sides has found a fault with the other: the next attempt will hardly be better.
const fn is_refusal(outcome: &Outcome) -> bool {
    use DisconnectReason::{Protocol, Rejected};
    matches!(outcome, Outcome::Refused | Outcome::Ended(Protocol(_) | Rejected { .. }))
}

struct Dialer<'a> {
    site: &'a Site,
    address: Address,
    key: Option<PeerKey>,
}

/// Why there is no further attempt.
#[derive(PartialEq, Eq)]
enum Stop {
    /// The endpoint or its peer was disconnected, or the socket closed.
    Told,
    /// The peer's answer would not change, or reconnecting is off.
    GaveUp,
}

/// Why an attempt to connect came to nothing.
enum Failure {
    /// Another may do better.
    Passing,
    /// It would be answered the same.
    Lasting,
}

impl Dialer<'_> {
    async fn run(&self) -> Stop {
        let reconnect = self.site.options.reconnect_plan();
        let mut backoff = reconnect.map(|reconnect| Backoff::new(reconnect.interval, reconnect.max));
        let mut first = true;
        loop {
            let attempt = tokio::select! {
                biased;
                () = self.told() => return Stop::Told,
                attempt = self.attempt() => attempt,
            };
            match attempt {
                Ok((stream, ready)) => {
                    if !first {
                        self.site.core.tally.reconnects.fetch_add(1, Ordering::Relaxed);
                    }
                    first = false;
                    let begun = Instant::now();
                    let outcome = self.carry(stream, ready).await;
                    // Also where only the peer was disconnected, or another took its name over: its pipe is closed.
                    if matches!(outcome, Outcome::Ended(DisconnectReason::ClosedByUs)) {
                        return Stop::Told;
                    }
                    // Only a connection that stood resets it: a peer that accepts and hangs up, or shakes
                    // hands and refuses us then, would be hammered otherwise (C6.3).
                    if let Some(backoff) = backoff.as_mut().filter(|_| !is_refusal(&outcome)) {
                        backoff.stood(begun.elapsed());
                    }
                }
                Err(Failure::Lasting) => return Stop::GaveUp,
                Err(Failure::Passing) => {}
            }
            let Some(backoff) = &mut backoff else { return Stop::GaveUp };
            let delay = backoff.next(fastrand::f64());
            tokio::select! {
                biased;
                () = self.told() => return Stop::Told,
                () = self.wait(delay) => {}
            }
        }
    }

    async fn wait(&self, delay: std::time::Duration) {
        self.site.emit(None, EventKind::Retrying(delay));
        sleep(delay).await;
    }

    /// Connects and shakes hands once.
    async fn attempt(&self) -> Result<(Arc<Stream>, Ready), Failure> {
        let site = self.site;
        site.emit(None, EventKind::Connecting);
        let stream = transport::connect(&self.address, &site.options.transport).await.map_err(|error| {
            site.emit(None, EventKind::ConnectFailed(error.into()));
            Failure::Passing
        })?;
        site.emit(None, EventKind::Connected);
        let ready = connection::handshake(site, &stream).await.map_err(|error: HandshakeError| {
            let failure = if error.is_permanent() { Failure::Lasting } else { Failure::Passing };
            site.emit(None, EventKind::HandshakeFailed(error));
            failure
        })?;
        Ok((Arc::new(stream), ready))
    }

    /// Carries one connection's traffic; says how it ended.
    async fn carry(&self, stream: Arc<Stream>, ready: Ready) -> Outcome {
        let core = &self.site.core;
        let info = ready.info.clone();
        let pipe = self.key.map_or_else(|| core.wire_pipe(), Pipe::Made);
        let Some(key) = connection::admit(self.site, &stream, pipe, &info) else {
            if let Some(key) = self.key {
                core.interrupted(key, WireBuf::default());
            }
            return Outcome::Refused;
        };
        let mut unwritten = WireBuf::default();
        let reason = connection::run(self.site, stream, key, ready, &mut unwritten).await;
        if self.key.is_some() {
            core.interrupted(key, unwritten);
        } else {
            connection::gone(core, key, &reason);
        }
        connection::report_end(self.site, &info, reason.clone());
        Outcome::Ended(reason)
    }

    /// Resolves when the endpoint is to be given up: told to stop, and nothing left to deliver or
    /// linger over (C5.2).
    async fn told(&self) {
        self.site.stop.cancelled().await;
        loop {
            let hurried = self.site.core.hurried.notified();
            let unsent = self.key.and_then(|key| {
                let outbox = self.site.core.outbox.lock();
                outbox.pipes.get(key).filter(|pipe| pipe.level().messages > 0)?.closing()
            });
            let Some(deadline) = unsent else { return };
            tokio::select! {
                () = sleep_until(deadline) => return,
                () = hurried => {}
            }
        }
    }
}

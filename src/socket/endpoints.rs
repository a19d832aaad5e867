//! Where a socket is bound and what it connects to, until `close`.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Core, inproc};
use crate::clock::FOR_EVER;
use crate::endpoint::{Endpoint, Target};
use crate::error::UnknownEndpoint;
use crate::monitor::DropReason;
use crate::pipe::Deferred;
use crate::routing::PeerKey;

/// The endpoints of one socket.
#[derive(Debug, Default)]
pub(crate) struct Endpoints {
    list: Vec<Entry>,
}

/// One bound or connected endpoint.
#[derive(Debug)]
struct Entry {
    endpoint: Endpoint,
    /// Tells it from another entry for the same endpoint: each has an `Arc` of its own.
    name: Arc<str>,
    bound: bool,
    /// Ends the listener or the dialer.
    stop: CancellationToken,
    /// The peers that came through it.
    peers: HashSet<PeerKey>,
}

/// How a socket ended; from `close`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closed {
    /// Messages that were accepted and not handed to the operating system, or to an inproc peer,
    /// when linger ran out. What was handed over may still be lost: see the
    /// [promises](crate#what-it-promises).
    pub undelivered: usize,
    /// Messages of peers behind connections that had come and were not received when it was closed. Those of inproc
    /// peers are dropped by their sender, and counted there.
    pub unread: usize,
}

impl Core {
    /// Whether the socket is connected there already, and a second connection would have no use (B0.8).
    pub(crate) fn is_connected(&self, endpoint: &Endpoint) -> bool {
        self.pattern.connects_once && self.endpoints.lock().find(endpoint, false).is_some()
    }

    /// Whether it is closing, or closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.outbox.lock().is_closed()
    }

    /// Notes an endpoint; what it gives back ends the listener or the dialer.
    pub(crate) fn add(&self, endpoint: &Endpoint, name: &Arc<str>, bound: bool) -> CancellationToken {
        let stop = CancellationToken::new();
        let entry = Entry {
            endpoint: endpoint.clone(),
            name: name.clone(),
            bound,
            stop: stop.clone(),
            peers: HashSet::new(),
        };
        self.endpoints.lock().list.push(entry);
        // `close` may have run since it was asked; it stops what it finds, and this was not there.
        if self.outbox.lock().is_closed() {
            stop.cancel();
        }
        stop
    }

    /// Notes that a peer came through an endpoint; says whether the socket still has it.
    pub(crate) fn belongs(&self, name: &Arc<str>, key: PeerKey) -> bool {
        let mut endpoints = self.endpoints.lock();
        let entry = endpoints.list.iter_mut().find(|entry| Arc::ptr_eq(&entry.name, name));
        entry.map(|entry| entry.peers.insert(key)).is_some()
    }

    /// Notes that a peer came in over inproc, where a name is bound once.
    pub(crate) fn came_in(&self, name: &str, key: PeerKey) {
        let mut endpoints = self.endpoints.lock();
        if let Some(entry) = endpoints.list.iter_mut().find(|entry| entry.bound && *entry.name == *name) {
            entry.peers.insert(key);
        }
    }

    /// Notes that a peer is gone.
    pub(crate) fn left(&self, key: PeerKey) {
        self.endpoints.lock().list.iter_mut().any(|entry| entry.peers.remove(&key));
    }

    /// Forgets an inproc peer. A connecting socket's endpoint goes with it, and can be connected to anew (D3.3).
    pub(crate) fn unlinked(&self, key: PeerKey) {
        self.endpoints.lock().list.retain_mut(|entry| !entry.peers.remove(&key) || entry.bound);
    }

    /// Forgets the endpoints that came to nothing, so that they can be connected to anew (C6.7).
    pub(crate) fn forget_stopped(&self) {
        self.endpoints.lock().list.retain(|entry| !entry.stop.is_cancelled());
    }

    /// Stops listening, and ends the connections that came that way (C5.6).
    pub(crate) fn unbind(&self, endpoint: &Endpoint) -> Result<(), UnknownEndpoint> {
        self.remove(endpoint, true)
    }

    /// Ends a connection; what is queued for it is written first, within linger (C5.5).
    pub(crate) fn disconnect(&self, endpoint: &Endpoint) -> Result<(), UnknownEndpoint> {
        self.remove(endpoint, false)
    }

    fn remove(&self, endpoint: &Endpoint, bound: bool) -> Result<(), UnknownEndpoint> {
        let entry = {
            let mut endpoints = self.endpoints.lock();
            let at = endpoints.find(endpoint, bound).ok_or_else(|| UnknownEndpoint(endpoint.clone()))?;
            endpoints.list.remove(at)
        };
        self.leave_name(&entry);
        let deadline = self.linger_deadline();
        for key in entry.peers {
            self.close_peer(&entry.endpoint, key, deadline, !bound);
        }
        // After the pipes: a dialer that is told to stop asks its pipe how long to linger.
        entry.stop.cancel();
        Ok(())
    }

    /// Over inproc: frees the name, or waits for it no longer.
    fn leave_name(&self, entry: &Entry) {
        match entry.endpoint.target() {
            Target::Inproc(name) if entry.bound => inproc::unbind(self, name),
            Target::Inproc(name) => inproc::stop_waiting(self, name, &entry.peers),
            Target::Network(_) => {}
        }
    }

    /// Ends one peer: over inproc at once, even one that is yet to be met; else its connection task
    /// flushes and ends.
    fn close_peer(&self, endpoint: &Endpoint, key: PeerKey, deadline: Instant, discard: bool) {
        if inproc::unlink(self, key, discard) || matches!(endpoint.target(), Target::Inproc(_)) {
            self.depart(key, discard, DropReason::Linger);
            return;
        }
        let mut later = Deferred::new();
        self.outbox.lock().close_pipe(key, deadline, &mut later);
        if discard {
            self.inbox.lock().discard(key, &mut later);
        }
        later.run();
    }

    /// Ends one peer, with whatever is queued for it.
    pub(crate) fn drop_peer(&self, key: PeerKey) {
        if inproc::unlink(self, key, false) {
            self.depart(key, false, DropReason::Linger);
            return;
        }
        let mut later = Deferred::new();
        self.outbox.lock().close_pipe(key, Instant::now(), &mut later);
        later.run();
    }

    fn linger_deadline(&self) -> Instant {
        let linger = self.options.linger.unwrap_or(Some(self.pattern.linger));
        Instant::now() + linger.unwrap_or(FOR_EVER).min(FOR_EVER)
    }

    /// The runtime that carries a task of this socket has ended, and with it whatever could bring or take messages.
    pub(crate) fn runtime_ended(&self) {
        self.runtime_ended.store(true, Ordering::Release);
        self.close_by(Instant::now());
    }

    /// Begins to close: no more binding, connecting, sending or receiving. The tasks flush what is
    /// queued, within linger, and end. Never blocks; a second call does nothing.
    pub(crate) fn begin_close(&self) {
        if !self.is_closed() {
            self.close_by(self.linger_deadline());
        }
    }

    /// As [`begin_close`](Self::begin_close), but lingers until `deadline` at most, though it is closing already.
    pub(crate) fn close_by(&self, deadline: Instant) {
        let deadline = deadline.min(self.linger_deadline());
        let mut later = Deferred::new();
        let again = {
            let mut outbox = self.outbox.lock();
            let again = outbox.is_closed();
            outbox.close(deadline, &mut later);
            again
        };
        later.run();
        self.hurried.notify_waiters();
        if again {
            return;
        }
        let mut later = Deferred::new();
        let entries = std::mem::take(&mut self.endpoints.lock().list);
        for entry in entries {
            entry.stop.cancel();
            self.leave_name(&entry);
        }
        inproc::unlink_all(self);
        self.inbox.lock().close(&mut later);
        later.run();
        self.tasks.close();
    }

    /// Waits for the tasks to end; says what was left.
    pub(crate) async fn closed(&self) -> Closed {
        self.begin_close();
        self.tasks.wait().await;
        let unread = self.inbox.lock().left;
        let mut outbox = self.outbox.lock();
        let undelivered = outbox.queued();
        outbox.counters.lost(DropReason::Linger, undelivered);
        let pipes = std::mem::take(&mut outbox.pipes);
        // Whoever asks again is told the same.
        outbox.undelivered += undelivered;
        let undelivered = outbox.undelivered;
        drop(outbox);
        drop(pipes);
        Closed { undelivered, unread }
    }
}

impl Endpoints {
    fn find(&self, endpoint: &Endpoint, bound: bool) -> Option<usize> {
        self.list.iter().position(|entry| entry.bound == bound && entry.endpoint == *endpoint)
    }
}

//! Where a socket is bound and what it connects to, from `bind` to `close`.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::core::Core;
use super::handle::Closed;
use crate::endpoint::{Endpoint, Target};
use crate::engine::{self, inproc};
use crate::error::{BindError, ConnectError, UnknownEndpoint};
use crate::monitor::{DropReason, EventKind};
use crate::options::FOR_EVER;
use crate::pipe::{InPipe, OutPipe, PeerKey, Wakes};
use crate::proto::SocketType;
use crate::transport::Listener;

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

impl Core {
    /// Binds; gives back the endpoint as bound.
    pub(crate) async fn bind(self: &Arc<Self>, endpoint: Endpoint) -> Result<Endpoint, BindError> {
        if self.outbox.lock().is_closed() {
            return Err(BindError::Closed);
        }
        match endpoint.target() {
            Target::Inproc(name) => {
                // First, so that the peers which it links at once find where they belong.
                let stop = self.add(&endpoint, &endpoint.to_string().into(), true);
                inproc::bind(self, name, &endpoint).inspect_err(|_| {
                    stop.cancel();
                    self.forget_stopped();
                })?;
                if self.outbox.lock().is_closed() {
                    inproc::unbind(self, name);
                    return Err(BindError::Closed);
                }
                Ok(endpoint)
            }
            Target::Network(address) => {
                let (listener, bound) = Listener::bind(address, &self.options.transport).await?;
                let name: Arc<str> = bound.to_string().into();
                let stop = self.add(&bound, &name, true);
                if stop.is_cancelled() {
                    self.forget_stopped();
                    return Err(BindError::Closed);
                }
                self.events.emit(&name, None, EventKind::Listening);
                self.tasks.spawn(engine::listen(self.clone(), listener, name, stop));
                Ok(bound)
            }
        }
    }

    /// Connects, now or when the peer appears.
    pub(crate) fn connect(self: &Arc<Self>, endpoint: &Endpoint, name_it: &[u8]) -> Result<(), ConnectError> {
        if self.outbox.lock().is_closed() {
            return Err(ConnectError::Closed);
        }
        if self.connects_once() && self.endpoints.lock().find(endpoint, false).is_some() {
            return Ok(());
        }
        endpoint.check_connect()?;
        let name: Arc<str> = endpoint.to_string().into();
        match endpoint.target() {
            Target::Inproc(inproc) => {
                let key = inproc::connect(self, inproc, &name, name_it)?;
                self.add(endpoint, &name, false);
                self.belongs(&name, key);
                // Whoever bound the name, or closed, just now did not find it yet.
                if !self.outbox.lock().pipes.contains_key(key) {
                    self.unlinked(key);
                }
            }
            Target::Network(address) => {
                let early = !self.options.immediate || !name_it.is_empty();
                let key = early.then(|| self.expect_connection(&name, name_it)).transpose()?;
                let stop = self.add(endpoint, &name, false);
                if let Some(key) = key {
                    self.belongs(&name, key);
                }
                self.tasks.spawn(engine::dial(self.clone(), address.clone(), name, key, stop));
            }
        }
        Ok(())
    }

    fn expect_connection(&self, name: &Arc<str>, name_it: &[u8]) -> Result<PeerKey, ConnectError> {
        let conflate = self.options.conflate;
        let (out, inp) = (OutPipe::wire(conflate), InPipe::new(conflate));
        self.expect(name, out, inp, name_it).map_err(ConnectError::Refused)
    }

    /// For these types a second connection to the same endpoint has no use (B0.8).
    const fn connects_once(&self) -> bool {
        matches!(self.kind, SocketType::Dealer | SocketType::Sub | SocketType::Pub | SocketType::Req)
    }

    fn add(&self, endpoint: &Endpoint, name: &Arc<str>, bound: bool) -> CancellationToken {
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
        let mut wakes = Wakes::new();
        self.outbox.lock().close_pipe(key, deadline, &mut wakes);
        if discard {
            self.inbox.lock().discard(key, &mut wakes);
        }
        wakes.fire();
    }

    /// Ends one peer, with whatever is queued for it.
    pub(crate) fn drop_peer(&self, key: PeerKey) {
        if inproc::unlink(self, key, false) {
            self.depart(key, false, DropReason::Linger);
            return;
        }
        let mut wakes = Wakes::new();
        self.outbox.lock().close_pipe(key, Instant::now(), &mut wakes);
        wakes.fire();
    }

    fn linger_deadline(&self) -> Instant {
        Instant::now() + self.options.linger(self.kind).unwrap_or(FOR_EVER).min(FOR_EVER)
    }

    /// Begins to close: no more binding, connecting, sending or receiving. The tasks flush what is
    /// queued, within linger, and end. Never blocks; a second call does nothing.
    pub(crate) fn begin_close(&self) {
        let deadline = self.linger_deadline();
        let mut wakes = Wakes::new();
        {
            let mut outbox = self.outbox.lock();
            if outbox.is_closed() {
                return;
            }
            outbox.close(deadline, &mut wakes);
        }
        let entries = std::mem::take(&mut self.endpoints.lock().list);
        for entry in entries {
            entry.stop.cancel();
            self.leave_name(&entry);
        }
        inproc::unlink_all(self);
        self.inbox.lock().close(&mut wakes);
        wakes.fire();
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
        outbox.pipes.clear();
        // Whoever asks again is told the same.
        outbox.undelivered += undelivered;
        Closed { undelivered: outbox.undelivered, unread }
    }
}

impl Endpoints {
    fn find(&self, endpoint: &Endpoint, bound: bool) -> Option<usize> {
        self.list.iter().position(|entry| entry.bound == bound && entry.endpoint == *endpoint)
    }
}

//! Peers in the same process: no bytes, no handshake and no task. Two pipes of two sockets are
//! linked, and the receiver pulls from the sender's outbox.

use std::collections::HashSet;
use std::sync::Arc;
use std::task::Wake;

use tokio::time::Instant;

use super::context::Name;
use super::{Core, Pipe};
use crate::endpoint::Endpoint;
use crate::error::{BindError, ConnectError};
use crate::message::Frame;
use crate::monitor::{DropReason, PeerInfo};
use crate::pipe::{Deferred, InPipe, Inbox, Level, OutPipe, Pull};
use crate::routing::PeerKey;
use crate::sync::{Arc as SyncArc, Mutex};

/// Takes a name, and links the sockets that have been waiting for it.
pub(crate) fn bind(core: &Arc<Core>, name: &str, endpoint: &Endpoint) -> Result<(), BindError> {
    // Held to the end, so that a socket connecting meanwhile either waits here or finds us.
    let mut names = core.context.names();
    let waiting = match names.get_mut(name) {
        Some(Name::Bound(other)) if other.strong_count() > 0 => {
            return Err(BindError::AddressInUse { endpoint: endpoint.clone() });
        }
        Some(Name::Awaited(waiting)) => std::mem::take(waiting),
        _ => Vec::new(),
    };
    names.insert(name.into(), Name::Bound(Arc::downgrade(core)));
    let mut failed = Vec::new();
    for (connecter, key) in waiting {
        if let Some(connecter) = connecter.upgrade()
            && !is_ending(&connecter, key)
            && let Err(error) = link(&connecter, key, core, name)
        {
            failed.push((connecter, key, error));
        }
    }
    drop(names);
    for (connecter, key, error) in failed {
        tracing::warn!(name, %error, "an inproc peer that was waiting cannot be connected");
        connecter.depart(key, false, DropReason::Disconnect);
        connecter.unlinked(key);
    }
    Ok(())
}

/// Connects to a name, or waits for somebody to bind it; messages queue meanwhile (D3.2).
pub(crate) fn connect(
    core: &Arc<Core>,
    name: &str,
    endpoint: &Arc<str>,
    name_it: &[u8],
) -> Result<PeerKey, ConnectError> {
    let mut names = core.context.names();
    let conflate = core.specific.conflate;
    let out = OutPipe::inproc(conflate);
    let inp = InPipe::new(conflate);
    let key = core.expect(endpoint, out, inp, name_it).map_err(ConnectError::Refused)?;
    let bound = match names.get(name) {
        Some(Name::Bound(bound)) => bound.upgrade(),
        _ => None,
    };
    match bound {
        Some(bound) => link(core, key, &bound, name).inspect_err(|_| {
            core.depart(key, true, DropReason::Disconnect);
        })?,
        None => match names.entry(name.into()).or_insert_with(|| Name::Awaited(Vec::new())) {
            Name::Awaited(waiting) => {
                waiting.retain(|(waiter, _)| waiter.strong_count() > 0);
                waiting.push((Arc::downgrade(core), key));
            }
            dead @ Name::Bound(_) => *dead = Name::Awaited(vec![(Arc::downgrade(core), key)]),
        },
    }
    Ok(key)
}

/// Frees a name.
pub(crate) fn unbind(core: &Core, name: &str) {
    let mut names = core.context.names();
    if let Some(Name::Bound(bound)) = names.get(name)
        && std::ptr::eq(bound.as_ptr(), core)
    {
        names.remove(name);
    }
}

/// Waits for a name no longer.
pub(crate) fn stop_waiting(core: &Core, name: &str, keys: &HashSet<PeerKey>) {
    let mut names = core.context.names();
    if let Some(Name::Awaited(waiting)) = names.get_mut(name) {
        waiting.retain(|(waiter, key)| !std::ptr::eq(waiter.as_ptr(), core) || !keys.contains(key));
        if waiting.is_empty() {
            names.remove(name);
        }
    }
}

/// Joins `a`'s pipe, made when it connected, with a new one of `b`.
fn link(a: &Arc<Core>, a_key: PeerKey, b: &Arc<Core>, name: &str) -> Result<(), ConnectError> {
    let (ours, theirs) = (a.pattern.socket_type, b.pattern.socket_type);
    // A10.1: libzmq does not check this over inproc.
    if !a.pattern.peers.contains(&theirs) {
        return Err(ConnectError::Incompatible { ours, theirs });
    }
    let endpoint: Arc<str> = format!("inproc://{name}").into();
    let pipe = Pipe::New(
        OutPipe::inproc(a.specific.conflate || b.specific.conflate),
        InPipe::new(b.specific.conflate),
    );
    let b_key = b.admit(&endpoint, &info(a, &endpoint), pipe).map_err(ConnectError::Refused)?;
    b.came_in(&endpoint, b_key);
    let pull = |core: &Core, key| Pull { outbox: core.outbox.clone(), key, consumed: Level::default() };
    let mut later = Deferred::new();
    a.inbox.lock().link(a_key, pull(b, b_key), Activate::waker(a, a_key), &mut later);
    b.inbox.lock().link(b_key, pull(a, a_key), Activate::waker(b, b_key), &mut later);
    a.set_remote(a_key, b, b_key);
    b.set_remote(b_key, a, a_key);
    // Whoever changed its mark just now did not find the other yet.
    a.inbox.lock().peer_mark(a_key, &mut later);
    b.inbox.lock().peer_mark(b_key, &mut later);
    later.run();
    if let Err(refused) = a.admit(&endpoint, &info(b, &endpoint), Pipe::Made(a_key)) {
        b.left(b_key);
        b.depart(b_key, true, DropReason::Disconnect);
        return Err(ConnectError::Refused(refused));
    }
    b.came_in(&endpoint, b_key);
    a.replay_to(b, b_key);
    b.replay_to(a, a_key);
    // A side that was closed or disconnected meanwhile may not have seen the other yet.
    if is_ending(a, a_key) && unlink(b, b_key, false) {
        b.left(b_key);
        b.depart(b_key, false, DropReason::Disconnect);
    }
    if is_ending(b, b_key) && unlink(a, a_key, false) {
        a.depart(a_key, false, DropReason::Disconnect);
    }
    Ok(())
}

/// Whether a pipe has been closed, or its socket.
fn is_ending(core: &Core, key: PeerKey) -> bool {
    let outbox = core.outbox.lock();
    outbox.is_closed() || outbox.pipes.get(key).is_none_or(|pipe| pipe.closing().is_some())
}

/// Ends the link of one pipe: the peer keeps what we sent it, and learns that we are gone; what it
/// sent us is kept, too, or lost if `discard`. Says whether the pipe was an inproc one that is linked.
pub(crate) fn unlink(core: &Core, key: PeerKey, discard: bool) -> bool {
    let remote = core.peers.lock().get_mut(key).and_then(|entry| entry.remote.take());
    let Some((remote, remote_key)) = remote else { return false };
    let mut later = Deferred::new();
    core.outbox.lock().close_pipe(key, Instant::now(), &mut later);
    core.unsubscribe_all(key, &mut later);
    // Each end fetches what the other has queued for it, before that goes.
    {
        let mut inbox = core.inbox.lock();
        if discard {
            inbox.discard(key, &mut later);
        } else {
            inbox.end(key, &mut later);
        }
    }
    if let Some(entry) = remote.peers.lock().get_mut(remote_key) {
        entry.remote = None;
    }
    remote.depart(remote_key, false, DropReason::Disconnect);
    remote.unlinked(remote_key);
    core.unlinked(key);
    later.run();
    true
}

/// Ends all links of a socket that closes.
pub(crate) fn unlink_all(core: &Core) {
    let keys: Vec<PeerKey> = core.peers.lock().keys().collect();
    for key in keys {
        if unlink(core, key, true) {
            core.depart(key, true, DropReason::Linger);
        }
    }
}

/// A peer in this process, described as if by a handshake.
fn info(core: &Core, endpoint: &Arc<str>) -> Arc<PeerInfo> {
    let routing_id = if core.pattern.announces_routing_id { &core.specific.routing_id[..] } else { &[] };
    Arc::new(PeerInfo {
        address: endpoint.clone(),
        socket_type: Some(core.pattern.socket_type),
        routing_id: Frame::copy_from_slice(routing_id),
        metadata: core.options.connection.metadata.clone(),
    })
}

/// Deferred an inproc receiver: its pipe has something to pull.
struct Activate {
    inbox: SyncArc<Mutex<Inbox>>,
    key: PeerKey,
}

impl Activate {
    fn waker(core: &Arc<Core>, key: PeerKey) -> std::task::Waker {
        Arc::new(Self { inbox: core.inbox.clone(), key }).into()
    }
}

impl Wake for Activate {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut later = Deferred::new();
        self.inbox.lock().activate(self.key, 1, &mut later);
        later.run();
    }
}

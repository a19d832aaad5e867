//! The verbs of any socket type in one form, for the proxy: a ROUTER's messages have the routing id in front.

use super::core::{Core, Offer, Take, Turn};
use super::rep::DELIMITER;
use super::router::RoutingId;
use super::{publish, push, rep, router, xsub};
use crate::message::Message;
use crate::pipe::{PeerKey, Popped, Wakes};
use crate::proto::SocketType;

/// Whether the type receives.
pub(crate) const fn receives(kind: SocketType) -> bool {
    !matches!(kind, SocketType::Push | SocketType::Pub)
}

/// Whether the type sends.
pub(crate) const fn sends(kind: SocketType) -> bool {
    !matches!(kind, SocketType::Pull | SocketType::Sub)
}

/// Offers a message as the type's `send` does.
pub(crate) fn offer(core: &Core) -> impl Offer {
    move |outbox, message, wakes| match core.kind {
        SocketType::Pub | SocketType::XPub => publish::offer(core)(outbox, message, wakes),
        SocketType::XSub => xsub::offer(core)(outbox, message, wakes),
        SocketType::Rep => rep::offer(core)(outbox, message, wakes),
        SocketType::Router => {
            // Nothing but an address is dropped.
            let Some(id) = message.pop_front() else { return Ok(()) };
            let to = RoutingId::from(id);
            let offered = router::offer(core, &to)(outbox, message, wakes);
            if offered.is_err() {
                message.push_front(to);
            }
            offered
        }
        _ => push::offer(core)(outbox, message, wakes),
    }
}

/// Takes a message as the type's `recv` does, with the pipe that it came from.
pub(crate) fn take(core: &Core) -> impl Take<(PeerKey, Message)> {
    move |inbox, (from, message), wakes| {
        if core.kind == SocketType::Rep {
            // Between a request and its reply it waits, where `recv` fails.
            if matches!(*core.turn.lock(), Turn::MustReply { .. }) && !inbox.is_closed() {
                return None;
            }
            let received = rep::take(core)(inbox, message, wakes)?;
            if let Turn::MustReply { peer, .. } = &*core.turn.lock() {
                *from = *peer;
            }
            return Some(received);
        }
        loop {
            if let Popped::Message(peer) = inbox.pop(message, wakes)? {
                if core.kind == SocketType::Router {
                    message
                        .push_front(inbox.get(peer).and_then(|pipe| pipe.id.as_deref()).unwrap_or_default());
                }
                *from = peer;
                return Some(Ok(()));
            }
        }
    }
}

/// After a message was offered: a REP that has replied receives again.
pub(crate) fn offered(core: &Core) {
    if core.kind == SocketType::Rep {
        core.wake_receivers();
    }
}

/// Undoes a `take`.
pub(crate) fn put_back(core: &Core, from: PeerKey, mut message: Message) {
    match core.kind {
        SocketType::Router => drop(message.pop_front()),
        SocketType::Rep => {
            if let Turn::MustReply { envelope, .. } = std::mem::take(&mut *core.turn.lock()) {
                let envelope = if envelope.is_empty() { &DELIMITER[..] } else { &envelope };
                envelope.iter().rev().for_each(|frame| message.push_front(frame.clone()));
            }
        }
        _ => {}
    }
    let mut wakes = Wakes::new();
    core.inbox.lock().unpop(from, message, &mut wakes);
    wakes.fire();
}

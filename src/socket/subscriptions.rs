//! What a SUB or XSUB has subscribed to, and telling its publishers.

use std::sync::Arc;

use super::{Core, Tally};
use crate::message::{Frame, Message};
use crate::pipe::{Control, Deferred, Refusal};
use crate::proto::{ProtocolError, Received};
use crate::routing::PeerKey;

/// What a frame says that goes from a subscriber to a publisher: 1 or 0 and a topic, or anything else. Every frame of a
/// message may be a subscription, or the first only (B5.16).
pub(crate) fn as_subscription(frame: &Frame, index: usize, only_first: bool) -> Option<(bool, &[u8])> {
    match frame.split_first() {
        Some((&what @ (0 | 1), topic)) if index == 0 || !only_first => Some((what == 1, topic)),
        _ => None,
    }
}

/// Hands the subscriptions in a message to `each`; gives back what else is in it.
pub(super) fn set_apart<E>(
    message: &Message,
    only_first: bool,
    mut each: impl FnMut(bool, &[u8]) -> Result<(), E>,
) -> Result<Option<Message>, E> {
    let mut rest: Option<Message> = None;
    for (index, frame) in message.frames().enumerate() {
        match (as_subscription(frame, index, only_first), &mut rest) {
            (Some((subscribe, topic)), _) => each(subscribe, topic)?,
            (None, Some(rest)) => rest.push_back(frame),
            (None, rest) => *rest = Some(frame.clone().into()),
        }
    }
    Ok(rest)
}

/// Messages to a publisher are subscriptions in the old form (A7.2), or a user's (B5.5), which an XPUB's application gets;
/// an error is a limit that the peer exceeds.
pub(crate) fn upstream(core: &Core, key: PeerKey, batch: &mut Received) -> Result<(), ProtocolError> {
    let mut user = Vec::new();
    let within = batch.try_for_each(|message| {
        let rest = set_apart(&message, core.specific.only_first_subscribe, |subscribe, topic| {
            // What came before it is received before it.
            core.insert(key, std::mem::take(&mut user));
            core.subscribed(key, subscribe, topic)
        })?;
        if core.pattern.hears_subscriptions {
            user.extend(rest);
        } else {
            Tally::count(&core.tally.unexpected, usize::from(rest.is_some()));
        }
        Ok(())
    });
    *batch = Received::default();
    core.insert(key, user);
    within
}

impl Core {
    /// Subscribes once more; every subscription is passed on (A7.4). A group is joined once: says whether it was not yet.
    pub(crate) fn subscribe(&self, topic: &Frame) -> bool {
        // A copy of our own: it is dropped under locks, where nobody's code may run.
        let topic = Frame::copy_from_slice(topic);
        let mut later = Deferred::new();
        let mut subscriptions = self.subscriptions.lock();
        let count = subscriptions.entry(topic.clone()).or_default();
        if *count > 0 && self.pattern.groups {
            return false;
        }
        *count += 1;
        if *count == 1
            && let Some(filter) = &mut self.inbox.lock().filter
        {
            filter.insert(&topic);
        }
        self.tell_publishers(&Control { subscribe: true, topic }, &mut later);
        drop(subscriptions);
        later.run();
        true
    }

    /// Takes one subscription back; the last one of a topic is passed on, or any if `verbose`. Says whether there was one.
    pub(crate) fn unsubscribe(&self, topic: &Frame, verbose: bool) -> bool {
        let mut later = Deferred::new();
        let mut subscriptions = self.subscriptions.lock();
        let known = subscriptions.get_mut(topic);
        let (held, last) = (known.is_some(), known.as_ref().is_some_and(|count| **count == 1));
        match known {
            Some(_) if last => drop(subscriptions.remove(topic)),
            Some(count) => *count -= 1,
            None if !verbose => return false,
            None => {}
        }
        if last && let Some(filter) = &mut self.inbox.lock().filter {
            filter.remove(topic);
        }
        if last || verbose {
            self.tell_publishers(&Control { subscribe: false, topic: topic.clone() }, &mut later);
        }
        drop(subscriptions);
        later.run();
        held
    }

    /// XSUB: a message with subscriptions in it, which are recorded and passed on (B6.3). The rest goes to all
    /// publishers as a message.
    pub(crate) fn forward(&self, message: &Message) {
        let pattern = &self.specific;
        let Ok(rest) = set_apart(message, pattern.only_first_subscribe, |subscribe, topic| {
            if subscribe {
                self.subscribe(&topic.into());
            } else {
                self.unsubscribe(&topic.into(), pattern.verbose_unsubscribe);
            }
            Ok::<_, std::convert::Infallible>(())
        });
        if let Some(rest) = rest {
            let mut later = Deferred::new();
            {
                let mut outbox = self.outbox.lock();
                // Somebody whose turn is over does not wait here: subscribing is no asynchronous act.
                if outbox.publish(&rest, None, false, &mut later) == Err(Refusal::Yield) {
                    let _ = outbox.publish(&rest, None, false, &mut later);
                }
            }
            let copies = later.take_copies();
            later.run();
            if let Some(copies) = copies {
                self.finish(copies, &rest);
            }
        }
    }

    /// Called with `subscriptions` locked, so that publishers see changes in their order.
    fn tell_publishers(&self, control: &Control, later: &mut Deferred) {
        let peers: Vec<_> = {
            let peers = self.peers.lock();
            peers.iter().map(|(key, entry)| (key, entry.remote.clone())).collect()
        };
        for (key, remote) in peers {
            match remote {
                Some((publisher, key)) => {
                    publisher.note_subscription(key, control.subscribe, &control.topic, later);
                }
                None => {
                    if let Some(pipe) = self.outbox.lock().pipes.get_mut(key) {
                        pipe.control(control.clone(), later);
                    }
                }
            }
        }
    }

    /// Over inproc: tells a new publisher everything.
    pub(crate) fn replay_to(&self, publisher: &Arc<Self>, key: PeerKey) {
        let mut later = Deferred::new();
        for topic in self.subscriptions.lock().keys() {
            publisher.note_subscription(key, true, topic, &mut later);
        }
        later.run();
    }

    pub(crate) fn set_remote(&self, key: PeerKey, remote: &Arc<Self>, remote_key: PeerKey) {
        if let Some(entry) = self.peers.lock().get_mut(key) {
            entry.remote = Some((remote.clone(), remote_key));
        }
    }
}

//! What a SUB or XSUB has subscribed to, and telling its publishers.

use std::sync::Arc;

use super::core::Core;
use crate::message::{Frame, Message};
use crate::pipe::{Control, PeerKey, Wakes};

impl Core {
    /// Subscribes once more; every subscription is passed on (A7.4).
    pub(crate) fn subscribe(&self, topic: Frame) {
        let mut wakes = Wakes::new();
        let mut subscriptions = self.subscriptions.lock();
        let count = subscriptions.entry(topic.clone()).or_default();
        *count += 1;
        if *count == 1
            && let Some(filter) = &mut self.inbox.lock().filter
        {
            filter.topics.insert(&topic, ());
        }
        self.tell_publishers(&Control { subscribe: true, topic }, &mut wakes);
        drop(subscriptions);
        wakes.fire();
    }

    /// Takes one subscription back; the last one of a topic is passed on, or any if `verbose`.
    pub(crate) fn unsubscribe(&self, topic: &Frame, verbose: bool) {
        let mut wakes = Wakes::new();
        let mut subscriptions = self.subscriptions.lock();
        let known = subscriptions.get_mut(topic);
        let last = known.as_ref().is_some_and(|count| **count == 1);
        match known {
            Some(_) if last => drop(subscriptions.remove(topic)),
            Some(count) => *count -= 1,
            None if !verbose => return,
            None => {}
        }
        if last && let Some(filter) = &mut self.inbox.lock().filter {
            filter.topics.remove(topic, ());
        }
        if last || verbose {
            self.tell_publishers(&Control { subscribe: false, topic: topic.clone() }, &mut wakes);
        }
        drop(subscriptions);
        wakes.fire();
    }

    /// XSUB: a message that is a subscription: 1 or 0, and the topic (B6.3).
    pub(crate) fn forward(&self, message: &Message) {
        if let Some((&what, topic)) = message.first().split_first() {
            match what {
                0 => self.unsubscribe(&topic.into(), self.options.pattern.verbose_unsubscribe),
                _ => self.subscribe(topic.into()),
            }
        }
    }

    /// Called with `subscriptions` locked, so that publishers see changes in their order.
    fn tell_publishers(&self, control: &Control, wakes: &mut Wakes) {
        let peers: Vec<_> = {
            let peers = self.peers.lock();
            peers.iter().map(|(key, entry)| (key, entry.remote.clone())).collect()
        };
        for (key, remote) in peers {
            match remote {
                Some((publisher, key)) => {
                    publisher.note_subscription(key, control.subscribe, &control.topic, wakes);
                }
                None => {
                    if let Some(pipe) = self.outbox.lock().pipes.get_mut(key) {
                        pipe.control(control.clone(), wakes);
                    }
                }
            }
        }
    }

    /// Over inproc: tells a new publisher everything.
    pub(crate) fn replay_to(&self, publisher: &Arc<Self>, key: PeerKey) {
        let mut wakes = Wakes::new();
        for topic in self.subscriptions.lock().keys() {
            publisher.note_subscription(key, true, topic, &mut wakes);
        }
        wakes.fire();
    }

    pub(crate) fn set_remote(&self, key: PeerKey, remote: &Arc<Self>, remote_key: PeerKey) {
        if let Some(entry) = self.peers.lock().get_mut(key) {
            entry.remote = Some((remote.clone(), remote_key));
        }
    }
}

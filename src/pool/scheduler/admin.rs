//! What operators want.

use super::Scheduler;
use super::event::Admin;
use super::links::Ix;
use super::task::End;
use crate::message::Frame;
use crate::pool::protocol::FailReason;

impl Scheduler {
    pub(super) fn on_admin(&mut self, admin: Admin) {
        let with = |scheduler: &mut Self, name: &Frame| scheduler.queue_named(name, true);
        match admin {
            Admin::Pause(name) => {
                let ix = with(self, &name);
                self.set_paused(ix, true);
            }
            Admin::Resume(name) => {
                let ix = with(self, &name);
                self.set_paused(ix, false);
            }
            Admin::SetPolicy(name, policy) => {
                if let Some(ix) = with(self, &name) {
                    self.set_policy(ix, *policy);
                }
            }
            Admin::SetTopic(name, queues) => {
                let mut groups: Vec<Ix> = Vec::with_capacity(queues.len());
                for queue in queues.iter().filter_map(|queue| with(self, queue)) {
                    // Named twice, it is one of them all the same.
                    if !groups.contains(&queue) {
                        groups.push(queue);
                    }
                }
                if groups.is_empty() {
                    self.topics.remove(&name);
                } else {
                    self.topics.insert(name, groups.into());
                }
            }
            Admin::Purge(name) => {
                if let Some(ix) = with(self, &name) {
                    self.purge(ix);
                }
            }
            Admin::RetryDead(name, most) => {
                if let Some(ix) = with(self, &name) {
                    self.retry_dead(ix, most);
                }
            }
            Admin::PurgeDead(name) => {
                let ix = with(self, &name);
                if let Some(queue) = ix.and_then(|ix| self.queue_mut(ix)) {
                    queue.dead.clear();
                }
            }
            Admin::ShutDown => self.shutting_down = true,
        }
    }

    fn set_paused(&mut self, ix: Option<Ix>, paused: bool) {
        if let Some(ix) = ix
            && let Some(queue) = self.queue_mut(ix)
        {
            queue.paused = paused;
            self.dispatch(ix);
        }
    }

    fn set_policy(&mut self, ix: Ix, policy: crate::pool::policy::Policy) {
        let Some(queue) = self.queues.get_mut(ix as usize) else { return };
        queue.set_policy(policy);
        self.wheel.cancel(&mut queue.gate_timer);
        let (classes, keys) = (queue.classes.len(), queue.keys.all());
        let stopped = if queue.has_room() { std::mem::take(&mut queue.stopped) } else { Vec::new() };
        self.resume_clients(&stopped);
        for class in (0..classes).filter_map(|class| u16::try_from(class).ok()) {
            self.unpark_all(ix, class);
        }
        for key in keys {
            self.wake_key(ix, key);
        }
        self.dispatch(ix);
    }

    /// Ends all that waits in a queue.
    fn purge(&mut self, queue: Ix) {
        let waiting = |(index, task): (usize, &super::task::Task)| {
            (task.queue == queue && !task.in_flight()).then_some(Ix::try_from(index).ok()).flatten()
        };
        let tasks: Vec<Ix> = self.tasks.slab.iter().filter_map(waiting).collect();
        for ix in tasks {
            // Those behind its key come up meanwhile; they are in the list, too.
            self.end_waiting_task(ix, End::Failed(FailReason::Purged));
        }
        self.dispatch(queue);
    }

    fn retry_dead(&mut self, ix: Ix, most: usize) {
        for _ in 0..most {
            let Some(letter) = self.queue_mut(ix).and_then(|queue| queue.dead.pop()) else { break };
            self.revive(ix, letter);
        }
        self.dispatch(ix);
    }
}

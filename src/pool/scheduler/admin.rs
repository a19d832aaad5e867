//! What operators want.

use super::Scheduler;
use super::event::Admin;
use super::links::Ix;
use super::task::End;
use crate::message::Frame;
use crate::pool::policy::Policy;
use crate::pool::protocol::FailReason;

impl Scheduler {
    pub(super) fn on_admin(&mut self, admin: Admin) {
        match admin {
            Admin::Pause(name) => self.set_paused(&name, true),
            Admin::Resume(name) => self.set_paused(&name, false),
            Admin::SetPolicy(name, policy) => {
                if let Some(ix) = self.queues.named(&name) {
                    self.set_policy(ix, *policy);
                }
            }
            Admin::SetTopic(name, queues) => {
                let mut found: Vec<Ix> = Vec::with_capacity(queues.len());
                for queue in queues.iter().filter_map(|queue| self.queues.named(queue)) {
                    // Named twice, it is one of them all the same.
                    if !found.contains(&queue) {
                        found.push(queue);
                    }
                }
                self.queues.set_topic(name, found);
            }
            Admin::Purge(name) => {
                if let Some(ix) = self.queues.named(&name) {
                    self.purge(ix);
                }
            }
            Admin::RetryDead(name, most) => {
                if let Some(ix) = self.queues.named(&name) {
                    self.retry_dead(ix, most);
                }
            }
            Admin::PurgeDead(name) => {
                let ix = self.queues.named(&name);
                if let Some(queue) = ix.and_then(|ix| self.queues.get_mut(ix)) {
                    queue.clear_dead();
                }
            }
            Admin::ShutDown => self.shutting_down = true,
        }
    }

    fn set_paused(&mut self, name: &Frame, paused: bool) {
        if let Some(ix) = self.queues.named(name)
            && let Some(queue) = self.queues.get_mut(ix)
        {
            queue.set_paused(paused);
            self.dispatch(ix);
        }
    }

    fn set_policy(&mut self, ix: Ix, policy: Policy) {
        self.queues.set_policy(&mut self.tasks, &mut self.wheel, ix, policy);
        let go_on = self.queues.get_mut(ix).map(|queue| queue.let_go_on()).unwrap_or_default();
        self.let_go_on(&go_on);
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
            let Some(letter) = self.queues.get_mut(ix).and_then(|queue| queue.take_dead()) else { break };
            self.revive(ix, letter);
        }
        self.dispatch(ix);
    }
}

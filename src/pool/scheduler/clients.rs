//! Who submits tasks.

use slab::Slab;

use super::links::{Ix, List, NIL, at, at_mut, insert};
use crate::message::Frame;
use crate::pool::protocol::Session;

/// A client: one that has told its name outlives its connections, for a while.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) name: Option<Frame>,
    pub(super) session: Option<Session>,
    /// Its tasks that have not ended, by `Task::mates`.
    pub(super) tasks: List<1>,
    /// Entries elsewhere that name it: it is not forgotten before them.
    pub(super) mentions: u32,
    /// Queues that have stopped it.
    pub(super) stops: u32,
    /// Set while it is away.
    pub(super) timer: Ix,
    /// The mean time that a worker has for a task of it, in nanoseconds; 0 is unknown.
    pub(super) service: f64,
}

impl Client {
    /// It is there, or has not been away for long.
    pub(super) fn may_be_told(&self) -> bool {
        self.session.is_some() || self.timer != NIL
    }
}

/// The client that retried dead letters belong to: nobody, who never leaves.
pub(super) const OPERATOR: Ix = 0;

#[derive(Debug)]
pub(super) struct Clients(Slab<Client>);

impl Clients {
    pub(super) fn new() -> Self {
        let mut clients = Self(Slab::new());
        let operator = clients.insert(None, None);
        debug_assert_eq!(operator, OPERATOR);
        clients
    }

    pub(super) fn insert(&mut self, name: Option<Frame>, session: Option<Session>) -> Ix {
        let (tasks, timer) = (List::default(), NIL);
        insert(&mut self.0, Client { name, session, tasks, mentions: 0, stops: 0, timer, service: 0.0 })
    }

    pub(super) fn get(&self, ix: Ix) -> Option<&Client> {
        at(&self.0, ix)
    }

    pub(super) fn get_mut(&mut self, ix: Ix) -> Option<&mut Client> {
        at_mut(&mut self.0, ix)
    }

    /// Takes out the client if nothing is left that concerns it.
    pub(super) fn forget(&mut self, ix: Ix) -> Option<Client> {
        let client = self.get(ix)?;
        let idle = client.session.is_none()
            && client.tasks.is_empty()
            && client.mentions == 0
            && client.timer == NIL
            && ix != OPERATOR;
        if idle { self.0.try_remove(ix as usize) } else { None }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len() - 1
    }
}

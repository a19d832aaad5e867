//! Who submits tasks.

use std::collections::HashMap;
use std::time::Duration;

use foldhash::fast::RandomState;
use slab::Slab;

use super::links::{Ix, List, NIL, Side, at, at_mut, insert, one_less};
use super::mean::Mean;
use super::task::Tasks;
use super::wheel::{Timer, Wheel};
use crate::message::Frame;
use crate::pool::protocol::Session;
use crate::pool::time::Time;

/// A client: one that has told its name outlives its connections, for a while.
#[derive(Debug)]
pub(super) struct Client {
    name: Option<Frame>,
    session: Option<Session>,
    /// Its tasks that have not ended, by `Task::mates`.
    tasks: List<1>,
    /// Entries elsewhere that name it: it is not forgotten before them.
    mentions: u32,
    /// Queues that have stopped it.
    stops: u32,
    /// Set while it is away.
    timer: Ix,
    /// How long a worker has a task of it.
    service: Mean,
}

impl Client {
    /// How it can be told something now.
    pub(super) const fn session(&self) -> Option<Session> {
        self.session
    }

    /// It may come back under another session.
    pub(super) const fn has_name(&self) -> bool {
        self.name.is_some()
    }

    pub(super) const fn service(&self) -> Mean {
        self.service
    }

    /// It is there, or has not been away for long.
    pub(super) fn may_be_told(&self) -> bool {
        self.session.is_some() || self.timer != NIL
    }

    pub(super) fn tasks(&self, tasks: &Tasks) -> Vec<Ix> {
        self.tasks.iter(&tasks.slab).collect()
    }
}

/// The client that retried dead letters belong to: nobody, who never leaves.
pub(super) const OPERATOR: Ix = 0;

/// All clients.
#[derive(Debug)]
pub(super) struct Clients {
    slab: Slab<Client>,
    by_session: HashMap<Session, Ix, RandomState>,
    by_name: HashMap<Frame, Ix, RandomState>,
}

impl Clients {
    pub(super) fn new() -> Self {
        let mut clients =
            Self { slab: Slab::new(), by_session: HashMap::default(), by_name: HashMap::default() };
        let operator = clients.insert(None, None);
        debug_assert_eq!(operator, OPERATOR);
        clients
    }

    fn insert(&mut self, name: Option<Frame>, session: Option<Session>) -> Ix {
        let (tasks, timer, service) = (List::default(), NIL, Mean::default());
        insert(&mut self.slab, Client { name, session, tasks, mentions: 0, stops: 0, timer, service })
    }

    pub(super) fn get(&self, ix: Ix) -> Option<&Client> {
        at(&self.slab, ix)
    }

    /// Who has said something under this session.
    pub(super) fn find(&self, session: Session) -> Option<Ix> {
        self.by_session.get(&session).copied()
    }

    /// The client of a session, made if this is the first that is heard of it.
    pub(super) fn of(&mut self, session: Session) -> Ix {
        if let Some(ix) = self.find(session) {
            return ix;
        }
        let ix = self.insert(None, Some(session));
        self.by_session.insert(session, ix);
        ix
    }

    /// A client tells its name, and is from now on who it was under that name. One that has submitted under no name
    /// keeps none.
    pub(super) fn says_hello(&mut self, session: Session, name: Frame, wheel: &mut Wheel) {
        if let Some(old) = self.find(session) {
            let Some(client) = at_mut(&mut self.slab, old) else { return };
            if !client.tasks.is_empty() || client.mentions > 0 || client.has_name() {
                tracing::debug!(client = ?name, "says its name too late, or again");
                return;
            }
            client.session = None;
            self.by_session.remove(&session);
            self.forget(old);
        }
        let ix = match self.by_name.get(&name) {
            Some(ix) => *ix,
            None => {
                let ix = self.insert(Some(name.clone()), None);
                self.by_name.insert(name, ix);
                ix
            }
        };
        self.by_session.insert(session, ix);
        if let Some(client) = at_mut(&mut self.slab, ix) {
            wheel.cancel(&mut client.timer);
            (client.session, client.stops) = (Some(session), 0);
        }
    }

    /// Its connection has ended, if it was a client's; it may come back until then.
    pub(super) fn lost(&mut self, session: Session, until: Time, wheel: &mut Wheel) {
        let Some(ix) = self.by_session.remove(&session) else { return };
        // It may be back under another session already.
        if let Some(client) = at_mut(&mut self.slab, ix)
            && client.session == Some(session)
        {
            (client.session, client.stops) = (None, 0);
            client.timer = wheel.set(until, Timer::Client(ix));
        }
    }

    /// It has not come back.
    pub(super) fn is_away(&mut self, ix: Ix) {
        if let Some(client) = at_mut(&mut self.slab, ix) {
            client.timer = NIL;
        }
    }

    /// It has one more task.
    pub(super) fn own(&mut self, ix: Ix, tasks: &mut Tasks, task: Ix) {
        if let Some(client) = at_mut(&mut self.slab, ix) {
            client.tasks.push(Side::Back, &mut tasks.slab, task);
        }
    }

    /// A task of it has ended, or is another's.
    pub(super) fn disown(&mut self, ix: Ix, tasks: &mut Tasks, task: Ix) {
        if let Some(client) = at_mut(&mut self.slab, ix) {
            client.tasks.remove(&mut tasks.slab, task);
        }
    }

    /// A worker has had a task of it for so long.
    pub(super) fn measured(&mut self, ix: Ix, took: Duration) {
        if let Some(client) = at_mut(&mut self.slab, ix) {
            client.service.add(took);
        }
    }

    /// One more queue stops it. Whether it is the first.
    pub(super) fn stop(&mut self, session: Session) -> bool {
        let Some(client) = self.find(session).and_then(|ix| at_mut(&mut self.slab, ix)) else { return false };
        client.stops += 1;
        client.stops == 1
    }

    /// A queue that had stopped it has room. Whether it was the last; not, if it has left meanwhile.
    pub(super) fn go_on(&mut self, session: Session) -> bool {
        let Some(client) = self.find(session).and_then(|ix| at_mut(&mut self.slab, ix)) else { return false };
        client.stops = client.stops.saturating_sub(1);
        client.stops == 0
    }

    /// Something names it from now on.
    pub(super) fn mention(&mut self, ix: Ix) {
        if let Some(client) = at_mut(&mut self.slab, ix) {
            client.mentions += 1;
        }
    }

    pub(super) fn unmention(&mut self, ix: Ix) {
        if let Some(client) = at_mut(&mut self.slab, ix) {
            one_less(&mut client.mentions);
        }
        self.forget(ix);
    }

    /// Forgets a client if nothing is left that concerns it, and it is not forgotten yet.
    pub(super) fn forget(&mut self, ix: Ix) {
        let Some(client) = self.slab.get(ix as usize) else { return };
        let idle = !client.may_be_told() && client.tasks.is_empty() && client.mentions == 0;
        if idle
            && ix != OPERATOR
            && let Some(name) = self.slab.remove(ix as usize).name
        {
            self.by_name.remove(&name);
        }
    }

    /// What is kept of all of them.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.slab.len() - 1 + self.by_session.len() + self.by_name.len()
    }
}

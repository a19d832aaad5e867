//! Whose turn it is among the clients of a queue: priority levels, and deficit round robin within each.
//!
//! A *flow* is what one client has waiting on one level. The flows of a level take turns, and pay for each task what a
//! task of theirs usually costs in worker time, so that a client with slow tasks is held back as is one with many.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use slab::Slab;

use crate::pool::policy::LEVELS;
use crate::pool::scheduler::links::{Ix, Linked, Links, List, NIL, Side, at, at_mut, insert, one_less};
use crate::pool::scheduler::task::Tasks;

/// What a flow may spend each time it is its turn: 16 units, the cost of an average task.
const QUANTUM: i32 = 16;

/// The dearest task costs so many turns. Each round passes over a flow in debt, so this bounds the work.
const DEAREST: f64 = 8.0;

/// Whose a flow is: of this queue, class of tasks, level and client.
type Owner = (Ix, u16, u8, Ix);

/// The tasks of one client that wait on one level.
#[derive(Debug)]
pub(super) struct Flow {
    owner: Owner,
    pub(super) tasks: List,
    /// With workers. The flow lasts until they are done, so that its debt is not forgiven.
    in_flight: u32,
    balance: i32,
    links: Links,
}

impl Linked for Flow {
    fn links(&mut self, _: usize) -> &mut Links {
        &mut self.links
    }

    fn next(&self, _: usize) -> Ix {
        self.links.next()
    }
}

/// All flows of all queues: one that comes lies where the last one went, which is still in the processor's caches.
///
/// A queue remembers one of its flows itself (`lone`), as long as that lasts; the others are in the table. So a queue
/// with one flow needs no table.
#[derive(Debug, Default)]
pub(super) struct Flows {
    slab: Slab<Flow>,
    by_owner: HashMap<Owner, Ix, RandomState>,
}

impl Flows {
    fn of(&mut self, lone: &mut Ix, owner: Owner) -> Ix {
        if *lone != NIL && at(&self.slab, *lone).is_some_and(|flow| flow.owner == owner) {
            return *lone;
        }
        if let Some(ix) = self.by_owner.get(&owner) {
            return *ix;
        }
        let (tasks, links) = (List::default(), Links::NONE);
        let ix = insert(&mut self.slab, Flow { owner, tasks, in_flight: 0, balance: QUANTUM, links });
        if *lone == NIL {
            *lone = ix;
        } else {
            self.by_owner.insert(owner, ix);
        }
        ix
    }

    /// A task of the flow, if it is of one, goes to a worker, and is charged for: `cost` 1 is an average one.
    pub(super) fn charge(&mut self, flow: Ix, cost: f64) {
        if flow != NIL
            && let Some(flow) = at_mut(&mut self.slab, flow)
        {
            flow.in_flight += 1;
            flow.balance -= (cost.clamp(1.0 / f64::from(QUANTUM), DEAREST) * f64::from(QUANTUM)) as i32;
        }
    }

    /// A task of the flow is no longer with a worker.
    pub(super) fn discharge(&mut self, lone: &mut Ix, flow: Ix) {
        if flow != NIL
            && let Some(known) = at_mut(&mut self.slab, flow)
        {
            one_less(&mut known.in_flight);
            self.forget_if_idle(lone, flow);
        }
    }

    fn forget_if_idle(&mut self, lone: &mut Ix, ix: Ix) {
        if let Some(flow) = at(&self.slab, ix)
            && flow.in_flight == 0
            && flow.tasks.is_empty()
        {
            if *lone == ix {
                *lone = NIL;
            } else {
                self.by_owner.remove(&flow.owner);
            }
            self.slab.remove(ix as usize);
        }
    }
}

/// The levels of one class of tasks.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Levels {
    /// Bit n: level n has tasks.
    filled: u16,
    /// The flows that have tasks, in the order of their turns.
    rings: [List; LEVELS as usize],
}

impl Levels {
    pub(super) const fn filled(&self) -> u16 {
        self.filled
    }

    /// Puts a task in, and tells it its flow; `lone` is the queue's.
    pub(super) fn push(&mut self, flows: &mut Flows, lone: &mut Ix, tasks: &mut Tasks, ix: Ix, side: Side) {
        let Some(task) = tasks.get_mut(ix) else { return };
        let level = task.level;
        task.flow = flows.of(lone, (task.queue, task.class, level, task.client));
        let flow_ix = task.flow;
        let Some(flow) = at_mut(&mut flows.slab, flow_ix) else { return };
        let first = flow.tasks.is_empty();
        flow.tasks.push(side, &mut tasks.slab, ix);
        if first && let Some(ring) = self.rings.get_mut(usize::from(level)) {
            ring.push(Side::Back, &mut flows.slab, flow_ix);
            self.filled |= 1 << level;
        }
    }

    /// Takes a task out, wherever it is.
    pub(super) fn remove(&mut self, flows: &mut Flows, lone: &mut Ix, tasks: &mut Tasks, ix: Ix) {
        let Some(task) = tasks.get_mut(ix) else { return };
        let (level, flow_ix) = (task.level, std::mem::replace(&mut task.flow, NIL));
        let Some(flow) = at_mut(&mut flows.slab, flow_ix) else { return };
        flow.tasks.remove(&mut tasks.slab, ix);
        if flow.tasks.is_empty()
            && let Some(ring) = self.rings.get_mut(usize::from(level))
        {
            ring.remove(&mut flows.slab, flow_ix);
            if ring.is_empty() {
                self.filled &= !(1 << level);
            }
            flows.forget_if_idle(lone, flow_ix);
        }
    }

    /// The task whose turn it is on a level, which stays where it is.
    pub(super) fn front(&mut self, flows: &mut Flows, level: u8) -> Option<Ix> {
        let ring = self.rings.get_mut(usize::from(level))?;
        loop {
            let flow = at_mut(&mut flows.slab, ring.front()?)?;
            if flow.balance > 0 {
                return flow.tasks.front();
            }
            flow.balance += QUANTUM;
            ring.rotate(&mut flows.slab);
        }
    }

    /// The first task of each flow, of all levels.
    pub(super) fn heads<'a>(&'a self, flows: &'a Flows) -> impl Iterator<Item = Ix> + 'a {
        let flows_of = |ring: &List| ring.iter(&flows.slab);
        self.rings.iter().flat_map(flows_of).filter_map(|flow| at(&flows.slab, flow)?.tasks.front())
    }
}

/// Which level goes next: each twice as often as the one below, or always the highest.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Drain {
    now: u64,
    /// When each level is next, in steps of the highest one.
    due: [u64; LEVELS as usize],
}

impl Drain {
    /// Of the levels whose bits are set.
    pub(super) fn choose(&self, filled: u16, strict: bool) -> Option<u8> {
        let levels = (0..LEVELS).rev().filter(|level| filled & 1 << level != 0);
        if strict { levels.max() } else { levels.min_by_key(|level| self.due(*level)) }
    }

    /// A task of this level went.
    pub(super) fn advance(&mut self, level: u8) {
        let due = self.due(level);
        self.now = self.now.max(due);
        if let Some(next) = self.due.get_mut(usize::from(level)) {
            *next = due + stride(level);
        }
    }

    /// A level that had nothing does not catch up.
    fn due(&self, level: u8) -> u64 {
        let due = self.due.get(usize::from(level)).copied().unwrap_or(0);
        due.max((self.now + 1).saturating_sub(stride(level)))
    }
}

const fn stride(level: u8) -> u64 {
    1 << (LEVELS - 1 - level)
}

//! One task, from acceptance to its end.
//!
//! ```text
//!   submit -> Delayed --.                         .--> Backoff, Deferred --.
//!                       v                         |                        |
//!             KeyWait -> Ready -> Leased -> Running -> the end             |
//!                        ^  | ^                |                           |
//!                Parked <'  | '----------------+---------------------------'
//!                   Solo <--'                  '-> Revoked: has ended, but a worker may still be at it
//! ```

use slab::Slab;

use super::config::OVERHEAD;
use super::links::{Ix, Linked, Links, NIL, at, at_mut, insert};
use crate::message::{Frame, Message};
use crate::pool::protocol::{FailReason, Lease, RequestId, TaskId};
use crate::pool::time::Time;
use crate::pool::trace::Trace;

/// Where a task is. In all but the delays it is in exactly one list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Submitted for later.
    Delayed,
    /// Failed; waits to be tried again.
    Backoff,
    /// Its worker did not want it yet.
    Deferred,
    /// Behind other tasks of its key.
    KeyWait,
    /// In its flow: any worker with the right tags may have it.
    Ready,
    /// For one worker, which has no room: `Task::worker` is its seat.
    Parked,
    /// Took a worker down: waits for one that has nothing else.
    Solo,
    /// With a worker, as far as known not begun.
    Leased,
    /// With a worker, begun.
    Running,
    /// Has ended while a worker had it. It stays until the worker is done with it, for its credit and its key.
    Revoked,
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    Failed(FailReason),
}

/// What few tasks have.
#[derive(Debug, Default)]
pub(super) struct Extra {
    pub(super) key: Option<Frame>,
    pub(super) dedup: Option<Frame>,
    /// Of the last failure, for the dead letter.
    pub(super) error: Frame,
    /// Who had it then.
    pub(super) failed_on: Frame,
    /// Others who asked for the same task by its name, and want the same answer.
    pub(super) others: Vec<(Ix, RequestId)>,
    pub(super) trace: Option<Box<Trace>>,
}

/// Ordered by size: there may be millions.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) body: Message,
    pub(super) extra: Option<Box<Extra>>,
    pub(super) request: RequestId,
    pub(super) submitted: Time,
    /// `Time::MAX`: none.
    pub(super) deadline: Time,
    /// With a worker: since when. Delayed: until when.
    pub(super) moment: Time,
    pub(super) client: Ix,
    pub(super) queue: Ix,
    /// With a worker: the worker. Parked: the seat.
    pub(super) worker: Ix,
    /// The flow that its worker's time is charged to; [`NIL`] until it is ready.
    pub(super) flow: Ix,
    /// Its key in the queue's table; [`NIL`] if that is not limited.
    pub(super) key: Ix,
    pub(super) links: Links,
    /// Among the tasks of its client.
    pub(super) mates: Links,
    pub(super) timer: Ix,
    /// Tells it from others in the same place.
    pub(super) serial: u32,
    pub(super) attempt: u32,
    pub(super) starts: u16,
    pub(super) class: u16,
    pub(super) crashes: u8,
    pub(super) level: u8,
    pub(super) place: Place,
    pub(super) no_reply: bool,
    /// It counts against the limit of its key.
    pub(super) holds_key: bool,
    /// This attempt counts as a start.
    pub(super) begun: bool,
    /// A worker was lost with it, which may have begun it without having said so.
    pub(super) was_out: bool,
    /// This attempt counts as a crash, because the worker's connection ended: not if the worker is back with it.
    pub(super) worker_lost: bool,
}

impl Task {
    pub(super) const fn in_flight(&self) -> bool {
        matches!(self.place, Place::Leased | Place::Running | Place::Revoked)
    }

    pub(super) fn key(&self) -> Option<&Frame> {
        self.extra.as_ref()?.key.as_ref()
    }

    pub(super) fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// It was begun; counted once for each attempt.
    pub(super) fn begin(&mut self) {
        if !self.begun {
            self.begun = true;
            self.starts = self.starts.saturating_add(1);
        }
    }
}

impl Linked for Task {
    fn links(&mut self, kind: usize) -> &mut Links {
        if kind == 0 { &mut self.links } else { &mut self.mates }
    }

    fn next(&self, kind: usize) -> Ix {
        if kind == 0 { self.links.next() } else { self.mates.next() }
    }
}

/// All tasks.
#[derive(Debug)]
pub(super) struct Tasks {
    pub(super) slab: Slab<Task>,
    serial: u32,
    /// What they take, in bytes; see [`Config::max_memory`](super::Config::max_memory).
    taken: usize,
    /// Makes the ids of two lives of a broker different, so that a worker's answer to the last life means nothing.
    salt: u64,
}

impl Tasks {
    pub(super) fn new(salt: u64) -> Self {
        Self { slab: Slab::new(), serial: 0, taken: 0, salt }
    }

    pub(super) fn insert(&mut self, mut task: Task) -> Ix {
        self.serial = self.serial.wrapping_add(1);
        task.serial = self.serial;
        self.taken += task.body.footprint() + OVERHEAD;
        insert(&mut self.slab, task)
    }

    pub(super) fn get(&self, ix: Ix) -> Option<&Task> {
        at(&self.slab, ix)
    }

    pub(super) fn get_mut(&mut self, ix: Ix) -> Option<&mut Task> {
        at_mut(&mut self.slab, ix)
    }

    pub(super) fn remove(&mut self, ix: Ix) {
        let Some(task) = self.get(ix) else { return };
        self.taken -= task.body.footprint() + OVERHEAD;
        self.slab.remove(ix as usize);
    }

    /// One that may have ended meanwhile.
    pub(super) fn peek(&self, ix: Ix) -> Option<&Task> {
        self.slab.get(ix as usize)
    }

    /// What so many more of this size would make all of them take.
    pub(super) fn taken_with(&self, count: usize, bytes: usize) -> usize {
        self.taken.saturating_add((bytes + OVERHEAD).saturating_mul(count))
    }

    #[cfg(test)]
    pub(super) const fn taken(&self) -> usize {
        self.taken
    }

    /// The name of the task there.
    pub(super) fn id(&self, ix: Ix) -> TaskId {
        let serial = self.peek(ix).map_or(0, |task| task.serial);
        TaskId((u64::from(serial) << 32 | u64::from(ix)) ^ self.salt)
    }

    /// Where the task of this name is, if it has not ended.
    pub(super) fn find(&self, id: TaskId) -> Option<Ix> {
        let plain = id.0 ^ self.salt;
        let ix = plain as u32;
        self.peek(ix).filter(|task| task.serial == (plain >> 32) as u32).map(|_| ix)
    }

    /// Where the task of this lease is, if `worker` holds it.
    pub(super) fn held(&self, worker: Ix, lease: Lease) -> Option<Ix> {
        let ix = self.find(lease.task)?;
        let task = self.get(ix)?;
        (task.in_flight() && task.worker == worker && task.attempt == lease.attempt).then_some(ix)
    }
}

impl Default for Task {
    fn default() -> Self {
        Self {
            body: Message::new(),
            extra: None,
            request: 0,
            submitted: Time::ZERO,
            deadline: Time::MAX,
            moment: Time::ZERO,
            client: NIL,
            queue: NIL,
            worker: NIL,
            flow: NIL,
            key: NIL,
            links: Links::NONE,
            mates: Links::NONE,
            timer: NIL,
            serial: 0,
            attempt: 0,
            starts: 0,
            class: 0,
            crashes: 0,
            level: 0,
            place: Place::Ready,
            no_reply: false,
            holds_key: false,
            begun: false,
            was_out: false,
            worker_lost: false,
        }
    }
}

//! What is counted: for each queue, since it was made.

use super::task::End;
use crate::pool::protocol::FailReason;

/// What happened to the tasks of a queue since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Taken in. Each of them is waiting, with a worker, or in one of the ends below.
    pub accepted: u64,
    /// Refused.
    pub rejected: u64,
    /// Submitted again under the name of one that was known.
    pub repeated: u64,
    /// Given to a worker, as often as that happened.
    pub dispatched: u64,
    /// Taken back from a worker that did not finish it: lost, failed, or not willing.
    pub redelivered: u64,
    /// Ended: done.
    pub done: u64,
    /// Ended: a worker rejected it.
    pub rejected_by_worker: u64,
    /// Ended: it failed too often.
    pub exhausted: u64,
    /// Ended: it crashed too many workers.
    pub crashed: u64,
    /// Ended: its deadline passed.
    pub expired: u64,
    /// Ended: cancelled, or its client is gone.
    pub cancelled: u64,
    /// Ended: at most once, and its worker was lost or failed.
    pub lost: u64,
    /// Ended: the oldest in a full queue.
    pub dropped: u64,
    /// Ended: an operator removed it.
    pub purged: u64,
}

impl Counters {
    pub(super) fn ended(&mut self, end: End) {
        let counter = match end {
            End::Done => &mut self.done,
            End::Failed(FailReason::Rejected) => &mut self.rejected_by_worker,
            End::Failed(FailReason::Exhausted) => &mut self.exhausted,
            End::Failed(FailReason::Crashed) => &mut self.crashed,
            End::Failed(FailReason::Expired) => &mut self.expired,
            End::Failed(FailReason::Cancelled) => &mut self.cancelled,
            End::Failed(FailReason::Lost | FailReason::Forgotten) => &mut self.lost,
            End::Failed(FailReason::Dropped) => &mut self.dropped,
            End::Failed(FailReason::Purged) => &mut self.purged,
        };
        *counter += 1;
    }

    /// How many have ended, one way or another.
    #[must_use]
    pub const fn ended_total(&self) -> u64 {
        self.done
            + self.rejected_by_worker
            + self.exhausted
            + self.crashed
            + self.expired
            + self.cancelled
            + self.lost
            + self.dropped
            + self.purged
    }
}

/// What is counted for all queues together. The gauges go up and down with each task on its way, at other places than
/// the counters of the queues, so that they can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Totals {
    /// Tasks that were taken in.
    pub accepted: u64,
    /// Tasks that have ended.
    pub ended: u64,
    /// Tasks that wait now.
    pub waiting: u64,
    /// Tasks that are with workers now, and have not ended otherwise.
    pub in_flight: u64,
    /// Answers under a lease that was not, or no longer, the worker's.
    pub stale: u64,
    /// Answers to tasks that had been cancelled or had expired meanwhile.
    pub too_late: u64,
    /// Workers that fell silent and were given up.
    pub silent: u64,
    /// Names or results that were forgotten before their time, for want of room.
    pub forgotten: u64,
}

impl Totals {
    /// `accepted - (ended + waiting + in flight)`: other than 0, a task was lost or counted twice.
    #[must_use]
    pub const fn conservation_error(&self) -> i64 {
        self.accepted.wrapping_sub(self.ended + self.waiting + self.in_flight).cast_signed()
    }
}

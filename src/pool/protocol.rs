//! What the parties of a pool say to each other, whatever carries it: SWP, Majordomo, or a call within the process.
//!
//! The scheduler speaks only these types. Codecs turn frames into them and back; they keep no state of a task.

use std::sync::Arc;
use std::time::Duration;

use crate::message::{Frame, Message};

/// The longest name of a queue, a client, a worker, a key, a task or a tag, in bytes.
pub(crate) const MAX_NAME: usize = 255;

/// One connection of a client or worker to the broker. Never reused, so what is late for one that left meets nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Session(pub(crate) u64);

/// The broker's name for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TaskId(pub(crate) u64);

/// A task in the hands of one worker: the attempt is the fencing token, and grows with each dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    pub(crate) task: TaskId,
    pub(crate) attempt: u32,
}

/// The `traceparent` of a task, if it is valid.
pub(crate) type Parent = Arc<str>;

/// A client's name for a task: unique among the tasks of that client.
pub(crate) type RequestId = u64;

/// From a client.
#[derive(Debug, Clone)]
#[allow(
    clippy::large_enum_variant,
    reason = "most are the large one, and a box would be an allocation for each task"
)]
pub(crate) enum FromClient {
    /// Who it is, across reconnects; its request ids deduplicate under this name. Optional, first.
    Hello {
        client: Frame,
    },
    Submit {
        id: RequestId,
        queue: Frame,
        options: SubmitOptions,
        body: Message,
    },
    /// A submission that makes no sense; answered by `ToClient::Reject`.
    Nonsense {
        id: RequestId,
    },
    Cancel {
        id: RequestId,
    },
    /// Where a task stands; answered by `ToClient::Status`.
    Status {
        id: RequestId,
    },
}

/// To a client. Request ids are the client's own.
#[derive(Debug, Clone)]
pub(crate) enum ToClient {
    /// Only if `SubmitOptions::ack` asked for it.
    Accept {
        id: RequestId,
    },
    Reject {
        id: RequestId,
        reason: RejectReason,
        retry_after: Duration,
    },
    Partial {
        id: RequestId,
        body: Message,
    },
    Result {
        id: RequestId,
        body: Message,
    },
    Failed {
        id: RequestId,
        reason: FailReason,
        text: Frame,
    },
    Status {
        id: RequestId,
        text: Frame,
    },
}

/// From a worker.
#[derive(Debug, Clone)]
pub(crate) enum FromWorker {
    Hello(WorkerHello),
    /// More tasks, or fewer, may be outstanding by this many. Fewer takes effect as tasks end.
    Credit(i32),
    Started(Lease),
    Partial(Lease, Message),
    /// Acknowledges, carries the result, and gives one credit back.
    Done(Lease, Message),
    Nack(Lease, Nack),
    Heartbeat,
    /// Asks for `ToWorker::Pong`, to know how long the way is.
    Ping,
    /// Finishes what it has; gets nothing more. Unstarted tasks come back as `Nack::Release`.
    Drain,
    Bye,
}

/// To a worker.
#[derive(Debug, Clone)]
#[allow(
    clippy::large_enum_variant,
    reason = "most are the large one, and a box would be an allocation for each task"
)]
pub(crate) enum ToWorker {
    Welcome {
        heartbeat: Duration,
        liveness: u32,
    },
    /// `budget` is what is left of the deadline; `redelivered`: some worker may have begun it before.
    Task {
        lease: Lease,
        queue: Frame,
        budget: Option<Duration>,
        redelivered: bool,
        trace: Option<Parent>,
        body: Message,
    },
    Cancel(Lease),
    Heartbeat,
    /// Answers `FromWorker::Ping`.
    Pong,
    /// The broker does not know it (any more): it says Hello again.
    Rejoin,
}

/// How a worker introduces itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct WorkerHello {
    pub(crate) name: Frame,
    pub(crate) queues: Vec<Frame>,
    /// How many tasks it runs at a time; also its first credit, together with `prefetch`.
    pub(crate) capacity: u32,
    pub(crate) prefetch: u32,
    pub(crate) tags: Vec<Frame>,
    /// Its share under weighted strategies; 1 is usual, and is taken for what is no positive number.
    pub(crate) weight: f64,
    /// What it still runs from before a reconnect.
    pub(crate) running: Vec<Lease>,
    /// Where it connects from, for people to read. No codec knows it: who does the I/O fills it in.
    pub(crate) address: Frame,
}

/// What a client asks for one task.
#[derive(Debug, Clone, Default)]
pub(crate) struct SubmitOptions {
    /// Answer `Accept` once it is queued.
    pub(crate) ack: bool,
    /// No `Result`: fire and forget.
    pub(crate) no_reply: bool,
    /// 0 to 9, 9 first; the queue's default if `None`.
    pub(crate) priority: Option<u8>,
    /// What keys hash, order and exclusion go by. Boxed, and so is the next: most tasks have neither, and options are
    /// moved often.
    pub(crate) key: Option<Box<Frame>>,
    /// A repeated submission under this name is the same task.
    pub(crate) dedup: Option<Box<Frame>>,
    /// Not before.
    pub(crate) delay: Duration,
    /// Of no use after.
    pub(crate) budget: Option<Duration>,
    /// Workers need all of these tags.
    pub(crate) tags: Vec<Frame>,
    /// The `traceparent` of its trace, if it has one.
    pub(crate) trace: Option<Parent>,
}

/// Why a worker gives a task back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Nack {
    /// It failed; again later, by the queue's back-off if no delay is given.
    Retry { delay: Option<Duration>, error: Frame },
    /// It will never work: to the dead-letter queue.
    Reject { error: Frame },
    /// It was not begun; not an attempt.
    Release,
    /// Not now; not an attempt.
    Defer { delay: Duration },
    /// The handler panicked.
    Crash { error: Frame },
}

/// Why a task was not accepted. Each has a code on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectReason {
    /// The queue is at its limit: again after the time given.
    QueueFull,
    /// No such queue, and none is made on demand.
    UnknownQueue,
    /// The broker is shutting down.
    ShuttingDown,
    /// The request makes no sense: a priority above 9, a name too long.
    Invalid,
}

/// Why an accepted task ended without a result. Each has a code on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailReason {
    /// A worker rejected it.
    Rejected,
    /// It failed as often as its queue allows.
    Exhausted,
    /// It crashed too many workers.
    Crashed,
    /// Its deadline passed before it was done.
    Expired,
    /// It was cancelled.
    Cancelled,
    /// At most once: its worker was lost, or failed.
    Lost,
    /// Its queue was full, and it was the oldest there.
    Dropped,
    /// An operator removed it.
    Purged,
    /// It was done before, under this name; its result is no longer kept.
    Forgotten,
}

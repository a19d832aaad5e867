//! What goes into the scheduler and what comes out.

use std::time::Duration;

use crate::message::Frame;
use crate::pool::policy::Policy;
use crate::pool::protocol::{FromClient, FromWorker, Session, ToClient, ToWorker};

/// What happened.
#[derive(Debug, Clone)]
#[allow(
    clippy::large_enum_variant,
    reason = "most are the large one, and a box would be an allocation for each task"
)]
pub(crate) enum Event {
    /// A client said something. Its first words make the session a client's.
    Client(Session, FromClient),
    /// A worker said something. `Hello` makes the session a worker's; anything else before it is answered `Rejoin`.
    Worker(Session, FromWorker),
    /// The connection has ended, after all its messages.
    Lost(Session),
    /// No room to write to this session: no new tasks for it.
    Congested(Session),
    /// There is room again.
    Writable(Session),
    /// Time has passed.
    Tick,
    /// The driver was away for so long after its deadline, before this moment: whoever was silent meanwhile was not
    /// listened to.
    Late(Duration),
    /// An operator wants something.
    Admin(Admin),
}

/// What an operator wants. Queues are named; one that does not exist is made.
#[derive(Debug, Clone)]
pub(crate) enum Admin {
    /// Nothing more of this queue goes to workers. What is with them already goes on.
    Pause(Frame),
    Resume(Frame),
    /// Its rules from now on. What waits stays, even above a lower limit.
    SetPolicy(Frame, Box<Policy>),
    /// What is submitted under this name goes to each of these queues from now on; to none of them, it is a queue again.
    SetTopic(Frame, Vec<Frame>),
    /// Drops what waits; clients are told `Purged`.
    Purge(Frame),
    /// Puts up to so many dead letters back into their queue, oldest first, with a clean record.
    RetryDead(Frame, usize),
    /// Forgets the dead letters.
    PurgeDead(Frame),
    /// Refuses new tasks; those that were accepted go on.
    ShutDown,
}

/// What to do.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    ToClient(Session, ToClient),
    ToWorker(Session, ToWorker),
    /// Read no more from this client: a queue with `Overflow::Block` is full.
    StopReading(Session),
    ResumeReading(Session),
}

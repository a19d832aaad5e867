//! The worker pool: tasks spread over workers by a broker that loses none.
//!
//! A client submits a task to a *queue*. A worker that serves the queue and has *credit* gets it under a *lease*; its
//! answer ends the task, and what becomes of a worker that does not answer is the [`Policy`] of the queue: again on
//! another worker, up to a limit, then to the queue's dead letters. Nothing is lost without a trace: what is refused,
//! dropped or given up is told to the client and counted.
//!
//! One scheduler decides all of it, and has neither clock nor I/O: the same code serves a broker, the pool within one
//! process, and a simulator that replays a million events.
//!
//! Stands on the public sockets only.
//!
#![doc = include_str!("../../docs/pool.md")]

mod broker;
mod caught;
mod client;
mod job;
pub mod local;
mod policy;
mod protocol;
mod request;
mod scheduler;
mod socket;
mod strategy;
mod time;
mod trace;
mod wire;
mod worker;

pub use broker::{Broker, BrokerBuilder, BrokerEnded, BrokerFigures, StartError};
pub use client::{Client, JoinError, Replies, Ticket};
pub use job::{Failure, Job, TaskLost};
pub use policy::{Delivery, Overflow, Policy, Rate, Retry};
pub use protocol::{FailReason, RejectReason};
pub use request::{Call, CallError, Stream, Submit};
pub use scheduler::{Availability, Counters, DeadLetter, Explanation, QueueFigures, Totals, WorkerFigures};
pub use strategy::{Candidates, Member, Seat, Strategy, StrategyName, TaskInfo, UnknownStrategy};
pub use time::Time;
pub use worker::{Prefetch, PullWorker, Task, Worker, WorkerBuilder};

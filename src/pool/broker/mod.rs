//! The broker: sockets in front, the scheduler behind, one task in between.
//!
//! ```text
//!  clients, workers  <->  Router  <->  Dialect  <->  Scheduler
//!                         pipes, marks    frames      decisions
//! ```
//!
//! Owns the connections and what each speaks; decides nothing about tasks. It never waits for a peer: what one has no
//! room for waits in a queue of that peer, and a client that does not read is not read either.

mod builder;
mod driver;
mod handle;
mod mmi;
mod outgoing;
mod peers;

pub use builder::{BrokerBuilder, StartError};
pub use handle::{Broker, BrokerEnded, BrokerFigures};

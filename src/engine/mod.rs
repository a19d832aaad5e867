//! The tasks of a socket: one for each listener, each endpoint it connects to, and each accepted
//! connection. A connection's task reads, writes and keeps its timers; everything else happens in the
//! pipes.
//!
//! ```text
//!  bind, connect -> listener, dialer -> connection (handshake, admission, end)
//!                                           |
//!                                        session ---- lockstep: the waker of either half, in the task's place
//!                                        /     \
//!                                   reader     writer
//!                                  (open)       (seal)      record: between clear frames and the medium
//! ```
//!
//! Every task is tracked by its socket and ends with it: a listener at once, a connection when its
//! pipe is flushed or linger runs out.

mod backoff;
mod connection;
mod dialer;
mod listener;
mod lockstep;
mod pending;
mod read_buffer;
mod reader;
mod record;
mod session;
mod site;
mod spent;
mod writer;

pub(crate) use site::{Expect, bind, connect};
#[cfg(sinew_bench)]
pub(crate) use writer::{Medium, Writer};

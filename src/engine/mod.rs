//! The tasks of a socket: one for each listener, each endpoint it connects to, and each accepted
//! connection. A connection's task reads, writes and keeps its timers; everything else happens in the
//! pipes. In lockstep, who sends does the writing in its place, and the waker of its readiness the reading.
//!
//! Every task is tracked by its socket and ends with it: a listener at once, a connection when its
//! pipe is flushed or linger runs out.

mod backoff;
mod connection;
mod dialer;
pub(crate) mod inproc;
mod listener;
mod pending;
mod read_buffer;
mod reader;
mod session;
mod spent;

pub(crate) use dialer::dial;
pub(crate) use listener::listen;

//! The worker pool: tasks spread over workers by a broker that loses none.
//!
//! Stands on the public sockets only.

mod protocol;

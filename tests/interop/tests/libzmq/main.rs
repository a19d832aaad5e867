//! Sinew against libzmq itself, both in one process: what is pinned is that neither side can tell which of the
//! two it talks to. Each module says which promise it is about; [`driver`] is what they share.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on says why and stops")]

mod drafts;
mod driver;
mod ffi;
mod flow;
mod pairs;
mod pubsub;
mod reconnect;
mod reqrep;

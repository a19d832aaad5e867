//! One socket, whatever its type: its state ([`Core`]), what happens to it, and what it needs to know of its type
//! ([`Pattern`]). Owns peers, endpoints and subscriptions, and the waiting of senders and receivers; knows neither the
//! types nor how bytes come and go. Peers of the same process are linked here ([`inproc`]), because nothing else is
//! between them.

mod context;
mod core;
mod endpoints;
pub(crate) mod inproc;
mod pattern;
mod peers;
mod recv;
mod send;
mod subscriptions;

pub use context::Context;
pub(crate) use core::{Conversation, Core, Tally};
pub use endpoints::Closed;
pub(crate) use pattern::{LINGER, Pattern, RawReceive, RawSend, keep};
pub(crate) use peers::{PeerEntry, Pipe};
pub(crate) use recv::{Take, Taken, next_message};
pub(crate) use send::{FanOut, Offer, step};
pub(crate) use subscriptions::{as_subscription, upstream};

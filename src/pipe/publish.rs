//! A message for several peers: who gets a copy, and the copies, of many not all under one hold of the lock.

use slotmap::SlotMap;

use super::out_pipe::OutPipe;
use super::outbox::{OutCounters, wire_size};
use super::{Deferred, Outbox, Refusal, STEP, WireBuf};
use crate::message::Message;
use crate::routing::{PeerKey, Route};

/// The copies of one message that are yet to be made.
#[derive(Debug)]
pub(crate) struct Copies {
    peers: Vec<PeerKey>,
    encoded: WireBuf,
}

/// What publishing needs besides the pipes.
#[derive(Debug, Default)]
pub(super) struct Publishing {
    /// Peers of the message being published; kept to reuse its memory.
    matched: Vec<PeerKey>,
    /// Marks the pipes in `matched`, so that overlapping subscriptions give one copy (B5.1).
    stamp: u64,
    /// The message, encoded once for all.
    encoded: WireBuf,
    /// Copies made so far.
    copies: usize,
}

impl Outbox {
    /// Sends a copy to every peer that the message matches (`invert`: does not match). A full peer
    /// misses it, counted, or where the route waits for all, nobody gets it then (B5.12). With `only`, no other peer does.
    /// The copies for many peers are left to [`copy_on`](Self::copy_on), but not where all were found to have room: others
    /// could take it meanwhile.
    pub(crate) fn publish(
        &mut self,
        message: &Message,
        only: Option<PeerKey>,
        invert: bool,
        later: &mut Deferred,
    ) -> Result<(), Refusal> {
        self.turn()?;
        self.select(message, invert);
        if let Some(only) = only {
            self.publishing.matched.retain(|key| *key == only);
        }
        let size = wire_size(&[], message);
        self.spend(size);
        let waits_for_all = self.waits_for_all();
        if waits_for_all && self.block_full(size) {
            return Err(Refusal::Full);
        }
        self.publishing.encoded.clear();
        self.publishing.encoded.push(message.frames());
        if self.publishing.matched.is_empty() {
            self.counters.dropped_no_peer += 1;
        }
        if self.publishing.matched.len() > STEP && !waits_for_all {
            self.leave(STEP, later);
        }
        self.publishing.copies = self.publishing.copies.wrapping_add(self.publishing.matched.len());
        for at in 0..self.publishing.matched.len() {
            let key = self.publishing.matched[at];
            if !copy(&mut self.pipes, &mut self.counters, key, &self.publishing.encoded, message, size, later)
            {
                self.found_full(key, later);
            }
        }
        self.publishing.encoded.release(later);
        Ok(())
    }

    /// Leaves the copies from that one on to [`copy_on`](Self::copy_on).
    #[cold]
    fn leave(&mut self, from: usize, later: &mut Deferred) {
        let mut encoded = WireBuf::default();
        encoded.extend(&self.publishing.encoded);
        later.copy(Copies { peers: self.publishing.matched.split_off(from), encoded });
    }

    /// Makes some of the copies; says whether there are more. Who publishes meanwhile may be ahead with some peers and
    /// behind with others: nobody has said which comes first.
    pub(crate) fn copy_on(&mut self, copies: &mut Copies, message: &Message, later: &mut Deferred) -> bool {
        let size = wire_size(&[], message);
        let rest = copies.peers.len().saturating_sub(STEP);
        for key in copies.peers.drain(rest..) {
            if !copy(&mut self.pipes, &mut self.counters, key, &copies.encoded, message, size, later) {
                self.found_full(key, later);
            }
        }
        rest > 0
    }

    /// A pipe misses a copy.
    fn found_full(&mut self, key: PeerKey, later: &mut Deferred) {
        self.counters.full += 1;
        if let Some(pipe) = self.pipes.get_mut(key) {
            pipe.full += 1;
        }
        self.miss(key, later);
    }

    /// Copies made so far, of all messages.
    pub(crate) const fn copies(&self) -> usize {
        self.publishing.copies
    }

    /// Collects the peers of a message, each once.
    fn select(&mut self, message: &Message, invert: bool) {
        self.publishing.stamp += 1;
        self.publishing.matched.clear();
        let Self { pipes, route, publishing, .. } = self;
        let Publishing { matched, stamp, .. } = publishing;
        if let Route::Fan(fan) = route {
            fan.matches(message.first(), |key| {
                if let Some(pipe) = pipes.get_mut(key)
                    && pipe.stamp != *stamp
                    && pipe.closing.is_none()
                {
                    pipe.stamp = *stamp;
                    matched.push(key);
                }
            });
        }
        if invert || matches!(route, Route::All) {
            matched.clear();
            let others = pipes.iter().filter(|(_, pipe)| pipe.stamp != *stamp && pipe.closing.is_none());
            matched.extend(others.map(|(key, _)| key));
        }
    }

    /// Marks the full ones among the selected peers, to be woken when they have room.
    fn block_full(&mut self, size: usize) -> bool {
        let mut any = false;
        for key in &self.publishing.matched {
            if let Some(pipe) = self.pipes.get_mut(*key)
                && !pipe.has_room(size)
            {
                pipe.block();
                self.counters.full += 1;
                any = true;
            }
        }
        any
    }
}

/// Makes a copy for one peer, if it is still there; says whether it had room. (Publishing to one subscriber takes 620
/// instructions instead of the 650 with calls for this and for [`OutPipe::push_copy`].)
#[allow(clippy::inline_always, reason = "the figure above")]
#[inline(always)]
fn copy(
    pipes: &mut SlotMap<PeerKey, OutPipe>,
    counters: &mut OutCounters,
    key: PeerKey,
    encoded: &WireBuf,
    message: &Message,
    size: usize,
    later: &mut Deferred,
) -> bool {
    let Some(pipe) = pipes.get_mut(key) else { return true };
    let room = pipe.has_room(size);
    if room {
        counters.dropped_full += pipe.push_copy(encoded, message, size, later);
        pipe.wake(later);
    }
    room
}

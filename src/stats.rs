//! What has happened so far, in numbers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::monitor::PeerInfo;
use crate::pipe::STEP;
use crate::routing::PeerKey;
use crate::socket::{Core, PeerEntry};

/// The counters of one socket; see [`Push::stats`](crate::Push::stats).
///
/// Everything that a socket accepted is in one place: `sent`, `queued`, or one of the `dropped` counters.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use sinew::Pub;
/// let publisher = Pub::new();
/// publisher.send("nobody listens").await.unwrap();
/// assert_eq!(publisher.stats().dropped.no_route, 1);
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Messages handed to the operating system, or consumed by an inproc peer.
    pub sent: u64,
    /// Messages accepted and neither sent nor dropped yet.
    pub queued: u64,
    /// Messages received by the application.
    pub received: u64,
    /// Messages of peers that wait to be received, as the high-water marks count them: what a connection has read ahead
    /// of a full queue is left out.
    pub unread: u64,
    /// Messages dropped, by reason.
    pub dropped: Dropped,
    /// How often a peer's outbound queue was found full.
    pub high_water_hits: u64,
    /// Connections made again after a loss.
    pub reconnects: u64,
    /// Peers turned away: failed handshakes, and limits.
    pub refused: u64,
    /// The peers, those still to be met included.
    pub peers: Vec<PeerStats>,
}

/// Messages dropped, by reason; of fan-out, one for each copy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// The peer's queue was at its high-water mark, or a newer message took their place (`conflate`).
    pub high_water_mark: u64,
    /// They were queued for, or half-way to, a peer that went away.
    pub disconnect: u64,
    /// Linger ran out.
    pub linger: u64,
    /// Nobody was there to take them.
    pub no_route: u64,
    /// Received and unread when the socket was closed, or disconnected from the peer.
    pub unread: u64,
    /// Received, but not what this socket receives: a malformed envelope, a late reply, data to a socket that only
    /// sends.
    pub unexpected: u64,
}

/// The counters of one peer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerStats {
    /// The endpoint of ours that it belongs to.
    pub endpoint: Arc<str>,
    /// Its address; `None` while it is still to be met.
    pub address: Option<Arc<str>>,
    /// The routing id that it announced; empty if none.
    pub routing_id: crate::Frame,
    /// Messages handed to the operating system, or consumed by an inproc peer.
    pub sent: u64,
    /// Messages accepted for it and neither sent nor dropped yet.
    pub queued: u64,
    /// Bytes of those.
    pub queued_bytes: u64,
    /// Messages of it that the application has received.
    pub received: u64,
    /// Messages of it that wait to be received, as the high-water mark counts them.
    pub unread: u64,
    /// Messages for it that were dropped.
    pub dropped: u64,
    /// How often its queue was found full.
    pub high_water_hits: u64,
}

impl Core {
    /// A snapshot of the counters.
    pub(crate) fn stats(&self) -> Stats {
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let mut stats = Stats {
            reconnects: load(&self.tally.reconnects),
            refused: load(&self.tally.refused),
            ..Stats::default()
        };
        stats.dropped.unexpected = load(&self.tally.unexpected);
        let peers: Vec<_> = self.peers.lock().iter().map(|(key, entry)| (key, entry.clone())).collect();
        stats.peers = Vec::with_capacity(peers.len());
        self.totals(&mut stats);
        for some in peers.chunks(STEP) {
            self.peer_stats(some, &mut stats.peers);
        }
        stats
    }

    fn totals(&self, stats: &mut Stats) {
        let inbox = self.inbox.lock();
        stats.received = inbox.received;
        stats.unread = number(inbox.unread());
        let unread = number(inbox.dropped);
        let outbox = self.outbox.lock();
        stats.sent = outbox.counters.sent;
        stats.queued = number(outbox.queued());
        stats.high_water_hits = outbox.counters.full;
        stats.dropped = Dropped {
            high_water_mark: outbox.counters.dropped_full + inbox.conflated,
            disconnect: outbox.counters.dropped_disconnect,
            linger: outbox.counters.dropped_linger,
            no_route: outbox.counters.dropped_no_peer,
            unread,
            unexpected: stats.dropped.unexpected,
        };
    }

    /// One lock after the other, as everywhere: `inbox`, then `outbox`.
    fn peer_stats(&self, peers: &[(PeerKey, PeerEntry)], stats: &mut Vec<PeerStats>) {
        let inbox = self.inbox.lock();
        let outbox = self.outbox.lock();
        for (key, PeerEntry { endpoint, info, .. }) in peers {
            let (out, inp) = (outbox.pipes.get(*key), inbox.get(*key));
            stats.push(PeerStats {
                endpoint: endpoint.clone(),
                address: info.as_ref().map(|info: &Arc<PeerInfo>| info.address.clone()),
                routing_id: info.as_ref().map(|info| info.routing_id.clone()).unwrap_or_default(),
                sent: out.map_or(0, |pipe| pipe.sent),
                queued: out.map_or(0, |pipe| number(pipe.level().messages)),
                queued_bytes: out.map_or(0, |pipe| number(pipe.level().bytes)),
                received: inp.map_or(0, |pipe| pipe.received),
                unread: inp.map_or(0, |pipe| number(pipe.counted())),
                dropped: out.map_or(0, |pipe| pipe.dropped),
                high_water_hits: out.map_or(0, |pipe| pipe.full),
            });
        }
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

//! What all socket types share: the state of one socket, and what wakes whom.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::Wake;

use slotmap::SecondaryMap;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use super::endpoints::Endpoints;
use super::peers::PeerEntry;
use super::{Context, Pattern};
use crate::message::Frame;
use crate::monitor::Events;
use crate::options::{Options, TypeOptions};
use crate::pipe::{Deferred, Filter, Hwm, Inbox, Outbox};
use crate::routing::PeerKey;
use crate::sync::{Arc as SyncArc, Mutex};

/// One socket, whatever its type: shared by its handles and its tasks. What is particular to the type is in `pattern`.
///
/// Locks are taken in this order and never the other way round: `subscriptions`, `inbox` (and over
/// inproc, the peer's outbox), `outbox`; `peers` and `endpoints` are taken alone. None is held
/// across an await, a system call or a wake-up, or for longer than a caller or a peer likes.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) pattern: &'static Pattern,
    pub(crate) context: Context,
    pub(crate) options: Options,
    /// What only some types can be told.
    pub(crate) specific: TypeOptions,
    pub(crate) outbox: SyncArc<Mutex<Outbox>>,
    pub(crate) inbox: SyncArc<Mutex<Inbox>>,
    /// SUB, XSUB: the topics subscribed to, with how often (A7.4).
    pub(crate) subscriptions: Mutex<HashMap<Frame, usize>>,
    pub(crate) peers: Mutex<SecondaryMap<PeerKey, PeerEntry>>,
    pub(crate) endpoints: Mutex<Endpoints>,
    pub(crate) events: Events,
    /// Every task of the socket: listeners, dialers, connections.
    pub(crate) tasks: TaskTracker,
    pub(crate) tally: Tally,
    /// REQ, REP, XPUB: what the next call depends on. A leaf: no lock is taken under it.
    pub(crate) conversation: Mutex<Conversation>,
    /// The end of linger has changed.
    pub(crate) hurried: Notify,
    /// The runtime that carried it has ended.
    pub(crate) runtime_ended: AtomicBool,
}

/// Where a conversation stands.
#[derive(Debug, Default, Clone)]
pub(crate) enum Conversation {
    #[default]
    Idle,
    /// REQ: this peer has the request of this number, and with `correlate` marks its reply with it. If the
    /// peer is lost, only a reply that is there already can still be received.
    AwaitReply { peer: PeerKey, exchange: u32, lost: bool },
    /// REP: the reply goes to this peer, behind this envelope; an empty one stands for the delimiter alone.
    MustReply { peer: PeerKey, envelope: Vec<Frame> },
    /// XPUB: whose subscription was received last (B5.13).
    Subscriber(PeerKey),
}

/// Tells the monitors of peers that have begun to miss messages, in place of a task: whoever sends is under the
/// outbox's lock, and wakes it after that.
struct Reporter(Weak<Core>);

impl Wake for Reporter {
    fn wake(self: Arc<Self>) {
        let Some(core) = self.0.upgrade() else { return };
        let missing = core.outbox.lock().take_missing();
        for key in missing {
            core.report_missing(key);
        }
    }
}

/// What is counted outside the boxes' locks.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) reconnects: AtomicU64,
    pub(crate) unexpected: AtomicU64,
    pub(crate) refused: AtomicU64,
    /// The numbers of requests.
    requests: AtomicU32,
}

impl Tally {
    /// The number of the next request; the first is random (B1.2).
    pub(crate) fn next_request(&self) -> u32 {
        let _ = self.requests.compare_exchange(0, fastrand::u32(..), Ordering::Relaxed, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn count(counter: &AtomicU64, by: usize) {
        counter.fetch_add(u64::try_from(by).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Core {
    pub(crate) fn new(
        pattern: &'static Pattern,
        context: Context,
        options: Options,
        specific: TypeOptions,
    ) -> Arc<Self> {
        let mut topics = HashMap::new();
        for topic in &specific.topics {
            let count = topics.entry(topic.clone()).or_default();
            // A group is joined once.
            *count = if pattern.groups { 1 } else { *count + 1 };
        }
        let send_mark = options.send_mark();
        let filter =
            pattern.filters.then(|| Filter::new(&specific.topics, pattern.groups, specific.invert_matching));
        let mut outbox = Outbox::new((pattern.route)(&specific), send_mark, send_mark.turn());
        let mut inbox = Inbox::new(options.recv_mark(), specific.announce, filter);
        inbox.open_envelopes = pattern.lockstep;
        let core = Arc::new_cyclic(|core| Self {
            pattern,
            outbox: {
                outbox.reporter = Some(Arc::new(Reporter(core.clone())).into());
                SyncArc::new(Mutex::new(outbox))
            },
            inbox: SyncArc::new(Mutex::new(inbox)),
            subscriptions: Mutex::new(topics),
            peers: Mutex::default(),
            endpoints: Mutex::default(),
            events: Events::default(),
            tasks: TaskTracker::new(),
            tally: Tally::default(),
            conversation: Mutex::default(),
            hurried: Notify::new(),
            runtime_ended: AtomicBool::new(false),
            context,
            options,
            specific,
        });
        core.context.enter(&core);
        core
    }

    /// The peer whose subscription the application received last, unless it has published since.
    pub(crate) fn newest_subscriber(&self) -> Option<PeerKey> {
        match *self.conversation.lock() {
            Conversation::Subscriber(peer) => Some(peer),
            _ => None,
        }
    }

    /// Drops what is unread: replies that nobody waits for any more.
    pub(crate) fn drop_unread(&self) {
        let mut later = Deferred::new();
        let dropped = self.inbox.lock().clear(&mut later);
        later.run();
        Tally::count(&self.tally.unexpected, dropped);
    }

    /// Has all receivers look again, at something other than a message.
    pub(crate) fn wake_receivers(&self) {
        let mut later = Deferred::new();
        self.inbox.lock().wake_all(&mut later);
        later.run();
    }

    /// Changes the mark of what is queued for each peer.
    pub(crate) fn set_send_hwm(&self, messages: usize) {
        let mut later = Deferred::new();
        self.outbox.lock().set_mark(Hwm::new(messages, self.options.send_hwm_bytes), &mut later);
        // Over inproc the receiver gives credit by halves of the sum.
        let remotes: Vec<_> = self.peers.lock().values().filter_map(|entry| entry.remote.clone()).collect();
        for (remote, key) in remotes {
            remote.inbox.lock().peer_mark(key, &mut later);
        }
        later.run();
    }

    /// Changes the mark of what each peer has sent and is unread.
    pub(crate) fn set_recv_hwm(&self, messages: usize) {
        let mut later = Deferred::new();
        self.inbox.lock().set_mark(Hwm::new(messages, self.options.recv_hwm_bytes), &mut later);
        later.run();
    }
}

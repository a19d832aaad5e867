//! What holds for all queues.

use std::time::Duration;

use crate::pool::policy::Policy;

/// What a task takes beside its payload, roughly, in bytes.
pub(crate) const OVERHEAD: usize = 256;

/// What holds for all queues.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Of everything random; also keeps the task ids of two lives of a broker apart.
    pub(crate) seed: u64,
    /// The rules of a queue that has none of its own.
    pub(crate) policy: Policy,
    /// Whether a queue that nobody configured is made when it is named. On.
    pub(crate) on_demand: bool,
    /// 10,000.
    pub(crate) max_queues: usize,
    /// What all tasks together may take, in bytes: their bodies, and [`OVERHEAD`] for each. 4 GiB.
    pub(crate) max_memory: usize,
    /// How often workers and broker say that they are there: 2 s.
    pub(crate) heartbeat: Duration,
    /// After so many silent intervals a worker is lost: 3. After one it gets no new tasks.
    pub(crate) liveness: u32,
    /// How long the tasks of a client that left are kept, for it to come back: 10 s.
    pub(crate) client_grace: Duration,
    /// How long a task that ended is known by its name: 10 min.
    pub(crate) dedup_window: Duration,
    /// How many tasks that ended are known by their names: 262,144. The oldest is forgotten first.
    pub(crate) dedup_entries: usize,
    /// How long a result is kept for a client that asks again: 1 min.
    pub(crate) result_ttl: Duration,
    /// The bytes of kept results: 64 MiB. The oldest is forgotten first.
    pub(crate) result_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 0,
            policy: Policy::default(),
            on_demand: true,
            max_queues: 10_000,
            max_memory: 4 << 30,
            heartbeat: Duration::from_secs(2),
            liveness: 3,
            client_grace: Duration::from_secs(10),
            dedup_window: Duration::from_secs(600),
            dedup_entries: 1 << 18,
            result_ttl: Duration::from_secs(60),
            result_bytes: 64 << 20,
        }
    }
}

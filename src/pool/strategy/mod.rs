//! Which worker gets the next task, where several could take it.
//!
//! A strategy sees the workers of one queue as [`Candidates`]: who is there, who can take a task now, and how each has
//! done so far. It keeps what it needs to answer without looking at all of them, told of each change by the methods of
//! [`Strategy`]. It has no clock and no thread; what is random in it comes from a seed.

mod bits;
mod candidates;
mod consistent_hash;
mod custom;
mod estimate;
mod exclusive;
mod hash_shard;
mod heap;
mod least_loaded;
mod least_response_time;
mod lru;
mod ordered_key;
mod random;
mod round_robin;
#[cfg(test)]
pub(crate) mod tests;
mod weighted;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub use candidates::{Candidates, Member, Seat, TaskInfo};

/// Chooses a worker for a task.
///
/// One that panics is used no more: from then on, any available worker gets the next task.
///
/// Only [`Strategy::pick`] must be written; the other methods tell what changed, for strategies that keep an order of
/// their own. One instance serves the tasks of one queue that need the same tags.
///
/// ```
/// use sinew::pool::{Candidates, Policy, Seat, Strategy, TaskInfo};
///
/// /// The worker with the most room.
/// #[derive(Debug)]
/// struct MostRoom;
///
/// impl Strategy for MostRoom {
///     fn pick(&mut self, workers: &Candidates, _task: &TaskInfo<'_>) -> Option<Seat> {
///         let room = |seat: &Seat| {
///             workers.get(*seat).map(|worker| worker.capacity().saturating_sub(worker.in_flight()))
///         };
///         workers.available().iter().copied().max_by_key(room)
///     }
/// }
///
/// let policy = Policy::default().custom_strategy(|_seed| Box::new(MostRoom));
/// # let _ = policy;
/// ```
pub trait Strategy: fmt::Debug + Send {
    /// The worker that `task` goes to. Called only while at least one is available.
    ///
    /// One that is not available keeps the task for itself: it waits for that worker, or until that worker leaves.
    /// `None` keeps the task at the head of its queue until another worker becomes available. A seat where nobody sits
    /// counts as `None`.
    fn pick(&mut self, workers: &Candidates, task: &TaskInfo<'_>) -> Option<Seat>;

    /// A worker joined. It is not available yet.
    fn joined(&mut self, workers: &Candidates, seat: Seat) {
        let _ = (workers, seat);
    }

    /// A worker left; it was made unavailable before. Its seat may be given to another one.
    fn left(&mut self, workers: &Candidates, seat: Seat) {
        let _ = (workers, seat);
    }

    /// A worker can take tasks from now on.
    fn available(&mut self, workers: &Candidates, seat: Seat) {
        let _ = (workers, seat);
    }

    /// A worker can take no more tasks for now.
    fn unavailable(&mut self, workers: &Candidates, seat: Seat) {
        let _ = (workers, seat);
    }

    /// A worker has more or fewer tasks than before, of this queue or of another.
    fn loaded(&mut self, workers: &Candidates, seat: Seat) {
        let _ = (workers, seat);
    }
}

/// Makes the instances of a strategy: one for each kind of task of each queue.
#[derive(Clone)]
pub(crate) enum Chooser {
    Named(StrategyName),
    Custom(Arc<dyn Fn(u64) -> Box<dyn Strategy> + Send + Sync>),
}

impl Chooser {
    pub(crate) fn make(&self, seed: u64) -> Box<dyn Strategy> {
        match self {
            Self::Named(name) => name.make(seed),
            Self::Custom(make) => Box::new(custom::Custom::new(|| make(seed))),
        }
    }

    pub(crate) fn is(&self, wanted: StrategyName) -> bool {
        matches!(self, Self::Named(name) if *name == wanted)
    }
}

impl fmt::Debug for Chooser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => fmt::Debug::fmt(name, f),
            Self::Custom(_) => f.write_str("Custom"),
        }
    }
}

/// A strategy by its name.
///
/// ```
/// use sinew::pool::{Policy, StrategyName, UnknownStrategy};
///
/// let name: StrategyName = "least_response_time".parse()?;
/// assert_eq!(name, StrategyName::LeastResponseTime);
/// let policy = Policy::default().strategy(name);
/// # drop(policy);
/// # Ok::<_, UnknownStrategy>(())
/// ```
///
/// It decides only while several workers have credit. While all are busy, tasks wait in their queue, and the next
/// credit that comes back takes the next task, whatever the strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum StrategyName {
    /// `lru`, the default: the worker that has been idle for longest.
    #[default]
    Lru,
    /// `round_robin`: in the order of their seats, skipping who cannot take a task now.
    RoundRobin,
    /// `random`: any, with equal chances.
    Random,
    /// `weighted`: in proportion to their weights, evenly spread over time.
    Weighted,
    /// `least_loaded`: the least `(in flight + 1) / (capacity * weight)`, oldest idle first among equals.
    LeastLoaded,
    /// `least_response_time`: the least `response time * (in flight + 1) / weight`, where a failure counts as slow.
    LeastResponseTime,
    /// `p2c`: the less loaded of two taken at random.
    P2c,
    /// `consistent_hash`: by key; few keys move when workers come and go, and none gets more than 1.25 times its part.
    ConsistentHash,
    /// `hash_shard`: by key, strictly; tasks wait for their worker. Moves more keys than `consistent_hash`.
    HashShard,
    /// `ordered_key`: one task of a key at a time, in order, on the key's last worker if it can take it.
    OrderedKey,
    /// `exclusive`: all to one worker, the heaviest, then the oldest; to the next one when it leaves.
    Exclusive,
}

impl StrategyName {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Lru,
        Self::RoundRobin,
        Self::Random,
        Self::Weighted,
        Self::LeastLoaded,
        Self::LeastResponseTime,
        Self::P2c,
        Self::ConsistentHash,
        Self::HashShard,
        Self::OrderedKey,
        Self::Exclusive,
    ];

    fn make(self, seed: u64) -> Box<dyn Strategy> {
        match self {
            Self::Lru => Box::<lru::Lru>::default(),
            Self::RoundRobin => Box::<round_robin::RoundRobin>::default(),
            Self::Random => Box::new(random::Random::new(seed)),
            Self::Weighted => Box::<weighted::Weighted>::default(),
            Self::LeastLoaded => Box::<least_loaded::LeastLoaded>::default(),
            Self::LeastResponseTime => Box::new(least_response_time::LeastResponseTime::new(seed)),
            Self::P2c => Box::new(random::TwoChoices::new(seed)),
            Self::ConsistentHash => Box::<consistent_hash::ConsistentHash>::default(),
            Self::HashShard => Box::<hash_shard::HashShard>::default(),
            Self::OrderedKey => Box::<ordered_key::OrderedKey>::default(),
            Self::Exclusive => Box::<exclusive::Exclusive>::default(),
        }
    }

    /// The name, as it is parsed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lru => "lru",
            Self::RoundRobin => "round_robin",
            Self::Random => "random",
            Self::Weighted => "weighted",
            Self::LeastLoaded => "least_loaded",
            Self::LeastResponseTime => "least_response_time",
            Self::P2c => "p2c",
            Self::ConsistentHash => "consistent_hash",
            Self::HashShard => "hash_shard",
            Self::OrderedKey => "ordered_key",
            Self::Exclusive => "exclusive",
        }
    }
}

impl fmt::Display for StrategyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for StrategyName {
    type Err = UnknownStrategy;

    fn from_str(name: &str) -> Result<Self, UnknownStrategy> {
        Self::ALL.into_iter().find(|known| known.as_str() == name).ok_or_else(|| UnknownStrategy(name.into()))
    }
}

/// No strategy has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no strategy is named {0:?}")]
pub struct UnknownStrategy(String);

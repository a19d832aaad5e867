//! Which worker gets the next task, where several could take it.

use std::fmt;
use std::str::FromStr;

/// A strategy by its name: `"least_response_time".parse::<StrategyName>()`.
///
/// It decides only while several workers have credit. While all are busy, tasks wait in their queue, and the next
/// credit that comes back takes the next task, whatever the strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum StrategyName {
    /// `lru`, the default: the worker that has been idle for longest.
    #[default]
    Lru,
    /// `round_robin`: in the order in which they joined, skipping who cannot take a task now.
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

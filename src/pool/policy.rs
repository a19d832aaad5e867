//! What a queue promises and allows: [`Policy`].

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::pool::strategy::{Chooser, Strategy, StrategyName};

/// How many priorities there are.
pub(crate) const LEVELS: u8 = 10;

/// The rules of one queue. Starts from [`Policy::default`]; each setter tells its default.
///
/// ```
/// use std::time::Duration;
/// use sinew::pool::{Overflow, Policy, Rate, StrategyName};
///
/// let policy = Policy::default()
///     .strategy(StrategyName::LeastResponseTime)
///     .rate(Rate::per_second(100.0))
///     .max_len(10_000)
///     .overflow(Overflow::Reject)
///     .ttl(Duration::from_secs(60));
/// # let _ = policy;
/// ```
#[derive(Debug, Clone)]
pub struct Policy {
    pub(crate) strategy: Chooser,
    pub(crate) delivery: Delivery,
    pub(crate) retry: Retry,
    pub(crate) rate: Option<Rate>,
    pub(crate) max_in_flight: Option<NonZeroU32>,
    pub(crate) max_in_flight_per_key: Option<NonZeroU32>,
    pub(crate) max_len: usize,
    pub(crate) max_bytes: usize,
    pub(crate) overflow: Overflow,
    pub(crate) priority: u8,
    pub(crate) strict_priority: bool,
    pub(crate) ttl: Option<Duration>,
    pub(crate) adaptive_weights: bool,
    pub(crate) dead_letters: usize,
    pub(crate) dead_letter_age: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            strategy: Chooser::Named(StrategyName::Lru),
            delivery: Delivery::AtLeastOnce,
            retry: Retry::default(),
            rate: None,
            max_in_flight: None,
            max_in_flight_per_key: None,
            max_len: 1_000_000,
            max_bytes: 1 << 30,
            overflow: Overflow::Reject,
            priority: 4,
            strict_priority: false,
            ttl: None,
            adaptive_weights: false,
            dead_letters: 10_000,
            dead_letter_age: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

impl Policy {
    /// How many tasks of one key may be out, if that is limited. Order needs them one by one.
    pub(crate) fn key_limit(&self) -> Option<u32> {
        if self.ordered() { Some(1) } else { self.max_in_flight_per_key.map(NonZeroU32::get) }
    }

    /// Whether a key is kept while its task waits to be tried again.
    pub(crate) fn ordered(&self) -> bool {
        self.strategy.is(StrategyName::OrderedKey)
    }

    /// Which worker gets a task when several could. `lru` unless set.
    #[must_use]
    pub fn strategy(mut self, strategy: StrategyName) -> Self {
        self.strategy = Chooser::Named(strategy);
        self
    }

    /// A strategy of one's own instead. `make` is called for each kind of task of each queue, with a seed for what is
    /// random in it: the same in each run that begins with the same seed.
    #[must_use]
    pub fn custom_strategy<M>(mut self, make: M) -> Self
    where
        M: Fn(u64) -> Box<dyn Strategy> + Send + Sync + 'static,
    {
        self.strategy = Chooser::Custom(Arc::new(make));
        self
    }

    /// What becomes of a task whose worker is lost. At least once unless set.
    #[must_use]
    pub const fn delivery(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    /// How often a task may fail, and how long it waits in between. [`Retry::default`] unless set.
    #[must_use]
    pub const fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// How many tasks a second go to workers. No limit unless set.
    #[must_use]
    pub const fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// How many tasks of the queue are with workers at a time; 0 is no limit, which is the default.
    #[must_use]
    pub const fn max_in_flight(mut self, tasks: u32) -> Self {
        self.max_in_flight = NonZeroU32::new(tasks);
        self
    }

    /// How many tasks of one key are with workers at a time; 0 is no limit, which is the default. 1 makes the key a
    /// lock that survives the crash of its holder.
    #[must_use]
    pub const fn max_in_flight_per_key(mut self, tasks: u32) -> Self {
        self.max_in_flight_per_key = NonZeroU32::new(tasks);
        self
    }

    /// How many tasks may wait: 1,000,000 unless set. Then [`Policy::overflow`] decides.
    #[must_use]
    pub const fn max_len(mut self, tasks: usize) -> Self {
        self.max_len = tasks;
        self
    }

    /// How many bytes of tasks may wait: 1 GiB unless set. Counted are their payload, and 80 for each frame of a body
    /// after the first. Then [`Policy::overflow`] decides.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// What happens to a task that finds the queue full. It is rejected unless set.
    #[must_use]
    pub const fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// The priority of tasks that bring none, 0 to 9; more is taken as 9. 4 unless set.
    #[must_use]
    pub const fn priority(mut self, priority: u8) -> Self {
        self.priority = if priority > 9 { 9 } else { priority };
        self
    }

    /// Whether a lower priority waits until no higher one does. Off unless set: a level gets twice as many turns as
    /// the one below it, so that none starves.
    #[must_use]
    pub const fn strict_priority(mut self, strict: bool) -> Self {
        self.strict_priority = strict;
        self
    }

    /// How long a task is of use that brings no deadline of its own. For ever unless set.
    #[must_use]
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Whether a worker's weight follows its measured speed: half as fast as the others, half the weight. Off unless
    /// set.
    #[must_use]
    pub const fn adaptive_weights(mut self, adaptive: bool) -> Self {
        self.adaptive_weights = adaptive;
        self
    }

    /// How many dead letters are kept, and for how long; the oldest goes first. 10,000 and 7 days unless set; 0 keeps
    /// none.
    #[must_use]
    pub const fn dead_letters(mut self, most: usize, age: Duration) -> Self {
        self.dead_letters = most;
        self.dead_letter_age = age;
        self
    }
}

/// What becomes of a task whose worker is lost; for [`Policy::delivery`].
///
/// ```
/// use sinew::pool::{Delivery, Policy};
///
/// let policy = Policy::default().delivery(Delivery::AtMostOnce);
/// # drop(policy);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Delivery {
    /// Another worker gets it: it may run twice.
    #[default]
    AtLeastOnce,
    /// It is over once a worker has been given it, and the client is told that it was lost: it never runs twice.
    AtMostOnce,
}

/// What happens to a task that finds its queue full; for [`Policy::overflow`].
///
/// ```
/// use sinew::pool::{Overflow, Policy};
///
/// let policy = Policy::default().max_len(1000).overflow(Overflow::Block);
/// # drop(policy);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Overflow {
    /// The client is told, with a time after which to try again.
    #[default]
    Reject,
    /// It is taken, and its client is not read from until there is room: nothing is refused, and a client may exceed
    /// the limit by what it had sent already.
    Block,
    /// It is taken, and the oldest waiting task is dropped for it, counted, and its client told. What is delayed, or
    /// waits for its key, is not dropped: where all others would not be enough, the new one is rejected instead.
    DropOldest,
}

/// A rate with bursts; for [`Policy::rate`].
///
/// ```
/// use sinew::pool::{Policy, Rate};
///
/// // 50 a second, or up to 10 at once after a pause.
/// let policy = Policy::default().rate(Rate::per_second(50.0).burst(10));
/// # drop(policy);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Between two tasks.
    pub(crate) interval: Duration,
    /// How many may go at once after a pause.
    pub(crate) burst: u32,
}

impl Rate {
    /// So many tasks a second, one at a time; one that goes up to 5 ms late does not make the next ones late. What is no
    /// positive number is taken as one in 292 years.
    #[must_use]
    pub fn per_second(tasks: f64) -> Self {
        let seconds = if tasks > 0.0 { 1.0 / tasks } else { f64::INFINITY };
        let interval = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_nanos(u64::MAX / 2));
        Self { interval: interval.min(Duration::from_nanos(u64::MAX / 2)), burst: 1 }
    }

    /// How many may go at once after a pause: 1 unless set, and at least that.
    #[must_use]
    pub fn burst(mut self, tasks: u32) -> Self {
        self.burst = tasks.max(1);
        self
    }
}

/// How often a task may fail, and how long it waits in between; for [`Policy::retry`]. Starts from [`Retry::default`].
///
/// ```
/// use std::time::Duration;
/// use sinew::pool::{Policy, Retry};
///
/// let retry = Retry::default().max_starts(8).immediate(0).backoff(Duration::from_secs(5), Duration::from_secs(600));
/// let policy = Policy::default().retry(retry);
/// # drop(policy);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    pub(crate) max_starts: u32,
    pub(crate) max_crashes: u32,
    pub(crate) immediate: u32,
    pub(crate) base: Duration,
    pub(crate) cap: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_starts: 5,
            max_crashes: 3,
            immediate: 1,
            base: Duration::from_secs(1),
            cap: Duration::from_secs(300),
        }
    }
}

impl Retry {
    /// How often a task is begun before it is given up: 5 unless set, and at least once. What was handed to a worker
    /// and not begun does not count.
    #[must_use]
    pub fn max_starts(mut self, starts: u32) -> Self {
        self.max_starts = starts.max(1);
        self
    }

    /// How many workers it may take down before it is given up: 3 unless set, and at least one. After the first, it
    /// runs alone on its worker.
    #[must_use]
    pub fn max_crashes(mut self, crashes: u32) -> Self {
        self.max_crashes = crashes.max(1);
        self
    }

    /// How many times it is tried again at once, before it waits: 1 unless set.
    #[must_use]
    pub const fn immediate(mut self, times: u32) -> Self {
        self.immediate = times;
        self
    }

    /// The bounds of the waits: any time up to `base`, doubled each time, up to `cap`. 1 s and 5 min unless set.
    #[must_use]
    pub const fn backoff(mut self, base: Duration, cap: Duration) -> Self {
        self.base = base;
        self.cap = cap;
        self
    }
}

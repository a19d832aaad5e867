//! What can be set on a socket: one value for what all types share, a part of it that belongs to a connection, and what
//! only some types have. Defaults and limits are here, once; the setters, which tell them, are in `setters`.

mod connection;
mod setters;
mod specific;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::error::OptionError;
use crate::pipe::Hwm;

pub use connection::ConnectionOptions;
pub(crate) use connection::Heartbeat;
pub(crate) use setters::{connection_setters, receiving_setters, sending_setters, setter, shared_setters};
pub(crate) use specific::TypeOptions;
pub use specific::Verbosity;

/// What sockets of all types can be told: one value, cloned as often as needed, that any builder takes.
///
/// Setters may be called in any order, and on a builder itself as well; [`build`](crate::PushBuilder::build) checks the
/// whole.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sinew::Error> {
/// use std::time::Duration;
/// use sinew::{Options, Pull, Push};
/// let wan = Options::new().heartbeat(Duration::from_secs(10), Duration::from_secs(20)).reconnect_max(Duration::from_secs(30)).linger(None);
/// let (push, pull) = (Push::builder().options(&wan).build()?, Pull::builder().options(&wan).build()?);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "it does nothing until a builder takes it"]
pub struct Options {
    /// 0: no limit, here and in the marks below.
    pub(crate) send_hwm: usize,
    pub(crate) recv_hwm: usize,
    pub(crate) send_hwm_bytes: usize,
    pub(crate) recv_hwm_bytes: usize,
    /// Outer `None`: the type's default. Inner `None`: for ever.
    pub(crate) linger: Option<Option<Duration>>,
    pub(crate) immediate: bool,
    /// 0: no limit.
    pub(crate) max_connections: usize,
    pub(crate) connection: Arc<ConnectionOptions>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            send_hwm: 1000,
            recv_hwm: 1000,
            send_hwm_bytes: 16 << 20,
            recv_hwm_bytes: 16 << 20,
            linger: None,
            immediate: false,
            max_connections: default_max_connections(),
            connection: Arc::default(),
        }
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    connection_setters!();
    shared_setters!();
    sending_setters!();
    receiving_setters!();

    pub(crate) fn set_shared(&mut self, set: impl Fn(&mut Self)) {
        set(self);
    }

    pub(crate) fn set_connection(&mut self, set: impl Fn(&mut ConnectionOptions)) {
        set(Arc::make_mut(&mut self.connection));
    }

    pub(crate) const fn send_mark(&self) -> Hwm {
        Hwm::new(self.send_hwm, self.send_hwm_bytes)
    }

    pub(crate) const fn recv_mark(&self) -> Hwm {
        Hwm::new(self.recv_hwm, self.recv_hwm_bytes)
    }

    /// Whether one more peer may come to these.
    pub(crate) const fn admits(&self, present: usize) -> bool {
        self.max_connections == 0 || present < self.max_connections
    }

    /// Checks what setters could not.
    pub(crate) fn check(&self) -> Result<(), OptionError> {
        self.connection.check()
    }
}

/// What was set on a builder itself: it holds whatever the builder takes for all options, before it or after.
#[derive(Clone, Default)]
pub(crate) struct Overrides(Vec<Override>);

type Override = Arc<dyn Fn(&mut Options) + Send + Sync>;

impl Overrides {
    pub(crate) fn push(&mut self, set: impl Fn(&mut Options) + Send + Sync + 'static) {
        self.0.push(Arc::new(set));
    }

    pub(crate) fn over(&self, mut options: Options) -> Options {
        self.0.iter().for_each(|set| set(&mut options));
        options
    }
}

impl std::fmt::Debug for Overrides {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.over(Options::default()))
    }
}

/// A limit of 0 is none.
pub(crate) const fn limit(value: usize) -> usize {
    if value == 0 { usize::MAX } else { value }
}

/// 16,384, but at most half of the file descriptors this process may open.
fn default_max_connections() -> usize {
    static DEFAULT: OnceLock<usize> = OnceLock::new();
    *DEFAULT.get_or_init(|| {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
        let soft = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
        soft.map_or(16_384, |soft| (soft / 2).clamp(1, 16_384))
    })
}

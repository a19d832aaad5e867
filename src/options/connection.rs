//! What belongs to a connection.

use std::time::Duration;

use bytes::Bytes;

use super::{connection_setters, limit};
use crate::clock::FOR_EVER;
use crate::error::OptionError;
use crate::proto::{Limits, metadata};
use crate::transport::TransportOptions;

/// What belongs to a connection, and so may differ from endpoint to endpoint of one socket: given to `bind_with` or
/// `connect_with`, it takes the place of the socket's own for the connections of that endpoint.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sinew::Error> {
/// use std::time::Duration;
/// use sinew::{ConnectionOptions, Router};
/// let strangers = ConnectionOptions::new().max_message_size(64 << 10).handshake_timeout(Duration::from_secs(2));
/// let router = Router::new();
/// router.bind_with("tcp://127.0.0.1:0", &strangers).await?;
/// router.bind("tcp://127.0.0.1:0").await?; // as the socket's own options say
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "it does nothing until `bind_with` or `connect_with` takes it"]
pub struct ConnectionOptions {
    pub(crate) metadata: Vec<(String, Bytes)>,
    pub(crate) reconnect: bool,
    pub(crate) reconnect_interval: Duration,
    pub(crate) reconnect_max: Duration,
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) heartbeat_timeout: Duration,
    pub(crate) heartbeat_ttl: Option<Duration>,
    pub(crate) handshake_timeout: Duration,
    pub(crate) progress_timeout: Option<Duration>,
    /// 0: no limit, here and below.
    pub(crate) max_message_size: usize,
    pub(crate) max_parts: usize,
    pub(crate) max_handshake_frame: usize,
    pub(crate) max_pending_handshakes: usize,
    pub(crate) transport: TransportOptions,
}

/// How a silent peer is found out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heartbeat {
    /// After so much silence it is asked, and then again each time.
    pub(crate) interval: Duration,
    /// After so much silence it is given up.
    pub(crate) patience: Duration,
    /// Sent with each PING, for the peer to do likewise; zero for nothing.
    pub(crate) ttl: Duration,
}

/// How a lost or refused connection is tried again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reconnect {
    pub(crate) interval: Duration,
    pub(crate) max: Duration,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            metadata: Vec::new(),
            reconnect: true,
            reconnect_interval: Duration::from_millis(100),
            reconnect_max: Duration::from_secs(2),
            heartbeat: Some(Duration::from_secs(30)),
            heartbeat_timeout: Duration::from_secs(60),
            heartbeat_ttl: None,
            handshake_timeout: Duration::from_secs(10),
            progress_timeout: Some(Duration::from_secs(60)),
            max_message_size: 64 << 20,
            max_parts: 4096,
            max_handshake_frame: 64 << 10,
            max_pending_handshakes: 128,
            transport: TransportOptions::default(),
        }
    }
}

impl ConnectionOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    connection_setters!();

    fn set_connection(&mut self, set: impl Fn(&mut Self)) {
        set(self);
    }

    pub(crate) fn heartbeat_plan(&self) -> Option<Heartbeat> {
        let interval = self.heartbeat?.min(FOR_EVER);
        let timeout = self.heartbeat_timeout.min(FOR_EVER);
        let ttl = self.heartbeat_ttl.unwrap_or_default();
        Some(Heartbeat { interval, patience: interval + timeout, ttl })
    }

    pub(crate) fn reconnect_plan(&self) -> Option<Reconnect> {
        let interval = self.reconnect_interval;
        self.reconnect.then(|| Reconnect { interval, max: self.reconnect_max.max(interval) })
    }

    /// What one peer may make us hold, with commands of at most so many bytes.
    pub(crate) fn limits(&self, max_command: usize) -> Limits {
        let (max_message_size, max_parts) = (limit(self.max_message_size), limit(self.max_parts));
        Limits { max_message_size, max_parts, max_command }
    }

    /// Checks what setters could not.
    pub(crate) fn check(&self) -> Result<(), OptionError> {
        let fail = |option, problem| Err(OptionError { option, problem });
        if self.heartbeat.is_some_and(|interval| interval.is_zero() || self.heartbeat_timeout.is_zero()) {
            return fail("heartbeat", "interval and timeout must be above zero; `None` turns heartbeats off");
        }
        if self
            .metadata
            .iter()
            .any(|(name, _)| !name.starts_with("X-") || !metadata::is_name(name.as_bytes()))
        {
            return fail(
                "metadata",
                "a name begins with `X-` and has 3 to 255 of the characters A-Z a-z 0-9 - _ . +",
            );
        }
        if self.handshake_timeout.is_zero() {
            return fail(
                "handshake_timeout",
                "must be above zero: a silent peer would hold its place for ever",
            );
        }
        if self.progress_timeout.is_some_and(|timeout| timeout.is_zero()) {
            return fail("progress_timeout", "must be above zero; `None` waits for ever");
        }
        if self.reconnect && self.reconnect_interval.is_zero() {
            return fail(
                "reconnect_interval",
                "must be above zero; `reconnect(false)` turns reconnecting off",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a9_a_longer_interval_or_timeout_never_means_less_patience() {
        let ms = Duration::from_millis;
        let patience = |interval, timeout| {
            let options = ConnectionOptions::new().heartbeat(ms(interval), ms(timeout));
            options.heartbeat_plan().map(|heartbeat| heartbeat.patience)
        };
        for (interval, timeout) in [(500, 499), (500, 500), (500, 501), (501, 500), (1, 90_000)] {
            assert_eq!(patience(interval, timeout), Some(ms(interval + timeout)));
        }
        assert_eq!(
            ConnectionOptions::new().heartbeat_plan().map(|heartbeat| heartbeat.patience),
            Some(ms(90_000))
        );
    }
}

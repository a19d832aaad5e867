//! Accepting connections on one endpoint.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::Handle;

use super::connection;
use super::pending::{Pending, Place};
use super::site::Site;
use crate::clock::sleep;
use crate::monitor::{EventKind, PeerInfo, Refused};
use crate::options::limit;
use crate::pipe::WireBuf;
use crate::proto::HandshakeError;
use crate::transport::{Listener, Stream};

/// Accepts until told to stop, each connection in a task of its own.
pub(super) async fn listen(site: Arc<Site>, listener: Listener) {
    let pending = Pending::new(limit(site.options.max_pending_handshakes));
    let mut acceptor = Acceptor::new(listener);
    let runtime = Handle::current();
    loop {
        let accepted = tokio::select! {
            biased;
            () = site.stop.cancelled() => break,
            accepted = async { pending.room().await; acceptor.accept().await } => accepted,
        };
        match accepted {
            Ok(stream) => {
                let place = pending.enter(stream.source());
                let (shared, stream) = (site.clone(), Arc::new(stream));
                site.spawn(&runtime, move || accepted_connection(shared, stream, place));
            }
            Err(error) => {
                site.emit(None, EventKind::AcceptFailed(error.into()));
                tokio::select! {
                    () = site.stop.cancelled() => break,
                    () = sleep(acceptor.back_off()) => {}
                }
            }
        }
    }
    // First: whoever hears of it may bind the endpoint anew.
    drop(acceptor);
    site.emit(None, EventKind::ListenerClosed);
}

/// Shakes hands with a peer that connected, and carries its traffic.
async fn accepted_connection(site: Arc<Site>, stream: Arc<Stream>, place: Place) {
    let core = &site.core;
    let stranger = Arc::new(PeerInfo::stranger(&stream.peer().to_string()));
    site.emit(Some(&stranger), EventKind::Accepted);
    let shaken = tokio::select! {
        biased;
        () = site.stop.cancelled() => return,
        () = place.evicted.cancelled() => {
            core.tally.refused.fetch_add(1, Ordering::Relaxed);
            site.emit(Some(&stranger), EventKind::Refused(Refused::TooManyHandshakes));
            return;
        }
        shaken = connection::handshake(&site, &stream) => shaken,
    };
    drop(place);
    let ready = match shaken {
        Ok(ready) => ready,
        Err(error) => {
            core.tally.refused.fetch_add(u64::from(error != HandshakeError::Closed), Ordering::Relaxed);
            site.emit(Some(&stranger), EventKind::HandshakeFailed(error));
            return;
        }
    };
    let info = ready.info.clone();
    let Some(key) = connection::admit(&site, &stream, core.wire_pipe(), &info) else { return };
    // Nobody will connect to this peer again.
    let mut unwritten = WireBuf::default();
    let reason = connection::run(&site, stream, key, ready, &mut unwritten).await;
    connection::gone(core, key, &reason);
    connection::report_end(&site, &info, reason);
}

/// A listener that survives running out of file descriptors (D5).
struct Acceptor {
    listener: Listener,
    /// Given up for a moment to accept and close a connection for which there is no descriptor:
    /// left in the backlog, it would make the listener readable for ever.
    reserve: Option<File>,
    failures: u32,
}

impl Acceptor {
    fn new(listener: Listener) -> Self {
        Self { listener, reserve: reserve(), failures: 0 }
    }

    async fn accept(&mut self) -> io::Result<Stream> {
        let accepted = self.listener.accept().await;
        match &accepted {
            Ok(_) => self.failures = 0,
            Err(_) => {
                self.failures += 1;
                if self.reserve.take().is_some() {
                    // Whatever this accepts is dropped, which tells the peer at once.
                    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
                    drop(self.listener.poll_accept(&mut cx));
                }
                self.reserve = reserve();
            }
        }
        accepted
    }

    /// 10 ms, doubling up to 1 s.
    fn back_off(&self) -> Duration {
        Duration::from_millis(10 << self.failures.saturating_sub(1).min(7)).min(Duration::from_secs(1))
    }
}

fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<F>(_: fn(Arc<Site>, Arc<Stream>, Place) -> F) -> usize {
        size_of::<F>()
    }

    /// An idle peer costs little, and most of that is this.
    #[test]
    fn the_task_of_a_connection_takes_less_than_a_kibibyte_and_a_quarter() {
        let size = size(accepted_connection);
        assert!(size < 1280, "{size}");
    }
}

//! One endpoint of a socket as the tasks behind it see it; binding and connecting, which start them.

use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{dialer, listener};
use crate::endpoint::{Address, Endpoint, Target};
use crate::error::{BindError, ConnectError};
use crate::monitor::{EventKind, PeerInfo};
use crate::options::ConnectionOptions;
use crate::pipe::{InPipe, OutPipe};
use crate::routing::PeerKey;
use crate::socket::{Core, inproc};
use crate::transport::Listener;

/// What the tasks of one endpoint share.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) core: Arc<Core>,
    /// The endpoint; each has an `Arc` of its own, see [`Core::belongs`].
    pub(super) name: Arc<str>,
    pub(super) options: Arc<ConnectionOptions>,
    /// Ends the listener or the dialer.
    pub(super) stop: CancellationToken,
}

impl Site {
    pub(super) fn emit(&self, peer: Option<&Arc<PeerInfo>>, kind: EventKind) {
        self.core.events.emit(&self.name, peer, kind);
    }

    /// Runs a task of the socket, which is made within: given as a future it would be held twice, as an argument and as what
    /// is awaited. Where its runtime ends first, the socket learns of that.
    pub(super) fn spawn<F>(&self, runtime: &Handle, task: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let unfinished = Unfinished(Arc::downgrade(&self.core));
        let task = async move {
            task().await;
            unfinished.finish();
        };
        self.core.tasks.spawn_on(task, runtime);
    }
}

/// A task that has not come to its end.
struct Unfinished(Weak<Core>);

impl Unfinished {
    fn finish(mut self) {
        self.0 = Weak::new();
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(core) = self.0.upgrade().filter(|_| !std::thread::panicking()) {
            core.runtime_ended();
        }
    }
}

/// Binds; gives back the endpoint as bound.
pub(crate) async fn bind(
    core: &Arc<Core>,
    endpoint: Endpoint,
    options: Option<&ConnectionOptions>,
) -> Result<Endpoint, BindError> {
    let options = connection_options(core, options)?;
    if core.is_closed() {
        return Err(BindError::Closed);
    }
    match endpoint.target() {
        Target::Inproc(name) => {
            // First, so that the peers which it links at once find where they belong.
            let stop = core.add(&endpoint, &endpoint.to_string().into(), true);
            inproc::bind(core, name, &endpoint).inspect_err(|_| {
                stop.cancel();
                core.forget_stopped();
            })?;
            if core.is_closed() {
                inproc::unbind(core, name);
                return Err(BindError::Closed);
            }
            Ok(endpoint)
        }
        Target::Network(address) => {
            let runtime = core.context.runtime().ok_or(BindError::NoRuntime)?;
            bind_network(core, address, options, &runtime).await
        }
    }
}

async fn bind_network(
    core: &Arc<Core>,
    address: &Address,
    options: Arc<ConnectionOptions>,
    runtime: &Handle,
) -> Result<Endpoint, BindError> {
    let (listener, bound) = within(runtime, Listener::bind(address, &options.transport)).await?;
    let name: Arc<str> = bound.to_string().into();
    let stop = core.add(&bound, &name, true);
    if stop.is_cancelled() {
        core.forget_stopped();
        return Err(BindError::Closed);
    }
    let site = Arc::new(Site { core: core.clone(), name, options, stop });
    site.emit(None, EventKind::Listening);
    let shared = site.clone();
    site.spawn(runtime, move || listener::listen(shared, listener));
    Ok(bound)
}

/// Whether a peer has a pipe before its connection is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect<'a> {
    /// Unless the socket is told not to queue for peers that are away.
    AsOptionsSay,
    #[cfg(feature = "draft")]
    Always,
    /// Always, and with this routing id.
    Named(&'a [u8]),
}

/// Connects, now or when the peer appears. Gives back the pipe, if there is one yet.
pub(crate) fn connect(
    core: &Arc<Core>,
    endpoint: &Endpoint,
    options: Option<&ConnectionOptions>,
    expect: Expect<'_>,
) -> Result<Option<PeerKey>, ConnectError> {
    let options = connection_options(core, options)?;
    if core.is_closed() {
        return Err(ConnectError::Closed);
    }
    if core.is_connected(endpoint) {
        return Ok(None);
    }
    let name_it = if let Expect::Named(name) = expect { name } else { b"" };
    endpoint.check_connect()?;
    let name: Arc<str> = endpoint.to_string().into();
    match endpoint.target() {
        Target::Inproc(inproc) => {
            let key = inproc::connect(core, inproc, &name, name_it)?;
            core.add(endpoint, &name, false);
            core.belongs(&name, key);
            // Whoever bound the name, or closed, just now did not find it yet.
            if !core.outbox.lock().pipes.contains_key(key) {
                core.unlinked(key);
            }
            Ok(Some(key))
        }
        Target::Network(address) => {
            let runtime = core.context.runtime().ok_or(ConnectError::NoRuntime)?;
            let early = !core.options.immediate || expect != Expect::AsOptionsSay;
            let key = early.then(|| expect_connection(core, &name, name_it)).transpose()?;
            let stop = core.add(endpoint, &name, false);
            if let Some(key) = key {
                core.belongs(&name, key);
            }
            let site = Arc::new(Site { core: core.clone(), name, options, stop });
            let (shared, address) = (site.clone(), address.clone());
            site.spawn(&runtime, move || dialer::dial(shared, address, key));
            Ok(key)
        }
    }
}

fn expect_connection(core: &Core, name: &Arc<str>, name_it: &[u8]) -> Result<PeerKey, ConnectError> {
    let conflate = core.specific.conflate;
    let (out, inp) = (OutPipe::wire(conflate), InPipe::new(conflate));
    core.expect(name, out, inp, name_it).map_err(ConnectError::Refused)
}

/// Those of the endpoint, or the socket's.
fn connection_options(
    core: &Core,
    own: Option<&ConnectionOptions>,
) -> Result<Arc<ConnectionOptions>, crate::OptionError> {
    let Some(own) = own else { return Ok(core.options.connection.clone()) };
    own.check()?;
    Ok(Arc::new(own.clone()))
}

/// Runs a future as if on that runtime, whoever polls it: its sockets and timers are the runtime's.
async fn within<F: Future>(runtime: &Handle, future: F) -> F::Output {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| {
        let _entered = runtime.enter();
        Pin::as_mut(&mut future).poll(cx)
    })
    .await
}

#[cfg(all(test, not(sinew_loom)))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

    use std::sync::Arc;

    #[tokio::test]
    async fn a_task_that_has_ended_holds_on_to_nothing() {
        let pull = crate::Pull::new();
        let core = pull.handle.core.clone();
        let before = Arc::weak_count(&core);
        for _ in 0..3 {
            let endpoint = pull.bind("tcp://127.0.0.1:0").await.unwrap();
            pull.unbind(endpoint).unwrap();
        }
        core.tasks.close();
        core.tasks.wait().await;
        assert_eq!(Arc::weak_count(&core), before);
        assert!(!core.is_closed());
    }
}

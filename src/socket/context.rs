//! What sockets share: names of `inproc://`, a runtime, and an end.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::Core;
use super::endpoints::Closed;
use crate::routing::PeerKey;

/// A name space for `inproc://` endpoints, the runtime that carries connections, and one end for all its sockets.
/// libzmq: `zmq_ctx_new`.
///
/// Sockets share one process-wide context unless their builder is given another; two contexts can
/// use the same inproc names without meeting. It holds no threads.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sinew::Error> {
/// use sinew::{Context, Pull};
/// let context = Context::new();
/// let a = Pull::builder().context(&context).build()?;
/// let b = Pull::new();
/// a.bind("inproc://jobs").await?;
/// b.bind("inproc://jobs").await?; // another name space
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Context(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    names: Mutex<Names>,
    sockets: Mutex<Vec<Weak<Core>>>,
    runtime: Option<Handle>,
}

/// Who is bound to a name, and who waits for that.
pub(crate) type Names = HashMap<Box<str>, Name>;

/// One inproc name.
#[derive(Debug)]
pub(crate) enum Name {
    Bound(Weak<Core>),
    /// Sockets that connected before anybody bound (D3.2).
    Awaited(Vec<(Weak<Core>, PeerKey)>),
}

static DEFAULT: LazyLock<Context> = LazyLock::new(Context::new);

impl Context {
    /// A context of its own, whose connections are carried by the runtime on which `bind` or `connect` is called.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// A context of its own, whose connections are carried by this runtime: its sockets can be bound and connected
    /// where there is none, in a thread without a runtime or on another executor.
    ///
    /// ```
    /// use sinew::{Context, Pull};
    /// let runtime = tokio::runtime::Runtime::new().unwrap();
    /// let context = Context::on(runtime.handle());
    /// let pull = Pull::builder().context(&context).build().unwrap();
    /// futures::executor::block_on(pull.bind("tcp://127.0.0.1:0")).unwrap();
    /// ```
    #[must_use]
    pub fn on(runtime: &Handle) -> Self {
        Self(Arc::new(Shared { runtime: Some(runtime.clone()), ..Shared::default() }))
    }

    /// Closes all sockets that were made in this context, as their `close` does, but none of them lingers for longer than
    /// `linger`; says what was left, of all together. Sockets that are made later are not touched. libzmq:
    /// `zmq_ctx_term`, which waits for the application to close them.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the sockets go on closing.
    #[allow(clippy::must_use_candidate, reason = "closing has an effect of its own")]
    pub async fn shutdown(&self, linger: Duration) -> Closed {
        let deadline = Instant::now() + linger.min(crate::clock::FOR_EVER);
        let sockets: Vec<_> = self.sockets().iter().filter_map(Weak::upgrade).collect();
        for core in &sockets {
            core.close_by(deadline);
        }
        let mut all = Closed { undelivered: 0, unread: 0 };
        for core in sockets {
            let Closed { undelivered, unread } = core.closed().await;
            all = Closed { undelivered: all.undelivered + undelivered, unread: all.unread + unread };
        }
        all
    }

    pub(crate) fn names(&self) -> MutexGuard<'_, Names> {
        self.0.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sockets(&self) -> MutexGuard<'_, Vec<Weak<Core>>> {
        self.0.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A socket of this context.
    pub(super) fn enter(&self, core: &Arc<Core>) {
        let mut sockets = self.sockets();
        // Those that are gone are forgotten when the list would grow.
        if sockets.len() == sockets.capacity() {
            sockets.retain(|socket| socket.strong_count() > 0);
        }
        sockets.push(Arc::downgrade(core));
    }

    /// The runtime that carries connections: the one that was given, or the one that this is called on.
    pub(crate) fn runtime(&self) -> Option<Handle> {
        self.0.runtime.clone().or_else(|| Handle::try_current().ok())
    }
}

impl Default for Context {
    /// The one that sockets share by default.
    fn default() -> Self {
        DEFAULT.clone()
    }
}

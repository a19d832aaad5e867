//! The name space of `inproc://`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use crate::pipe::PeerKey;
use crate::socket::Core;

/// A name space for `inproc://` endpoints. libzmq: `zmq_ctx_new`.
///
/// Sockets share one process-wide context unless their builder is given another; two contexts can
/// use the same inproc names without meeting. It holds no threads and needs no end.
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
pub struct Context(Arc<Mutex<Names>>);

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
    /// A name space of its own.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn names(&self) -> MutexGuard<'_, Names> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Context {
    /// The one that sockets share by default.
    fn default() -> Self {
        DEFAULT.clone()
    }
}

//! What the socket types have in common, for code that is to work with several of them.

use std::fmt::Debug;
use std::sync::Arc;

use crate::engine::{self, Expect};
use crate::error::{
    BindError, ConnectError, Error, OptionError, RecvError, SendError, SocketClosed, UnknownEndpoint,
};
use crate::socket::Core;
use crate::{
    Closed, ConnectionOptions, Context, Endpoint, EndpointError, Monitor, Options, SocketType, Stats,
};

/// What only types of this crate can have.
#[allow(unnameable_types, reason = "sealed: nobody outside can call it or implement it")]
pub trait Sealed {
    /// A socket with what all types can be told.
    fn with(context: Context, options: Options) -> Self
    where
        Self: Sized;

    /// What it shares with its clones.
    #[allow(private_interfaces, reason = "sealed: nobody outside can call it")]
    fn core(&self) -> &Arc<Core>;
}

/// A socket of any type: its life, without what it sends or receives. Each type has these as methods of its own, where
/// they are described; the trait is for code that is generic over types, and sealed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sinew::Error> {
/// use sinew::{Context, Error, Message, Options, Pull, Push, Receiving, Sending};
///
/// /// Passes one message from a socket of the one type to one of the other.
/// async fn over<S: Sending<Item = Message>, R: Receiving<Item = Message>>(at: &str) -> Result<Message, Error> {
///     let (from, to) = (S::with_options(&Context::default(), &Options::new())?, R::default());
///     let endpoint = to.bind(at).await?;
///     from.connect(&endpoint).await?;
///     from.send("hello").await?;
///     to.recv_ready().await?;
///     Ok(to.try_recv()?)
/// }
/// assert_eq!(over::<Push, Pull>("tcp://127.0.0.1:0").await?, "hello");
/// # Ok(()) }
/// ```
pub trait Socket: Sealed + Clone + Debug + Default + Send + Sync + Unpin + 'static {
    /// The type, as its peers are told.
    const TYPE: SocketType;

    /// A socket in a context, with options that all types have.
    ///
    /// # Errors
    ///
    /// If an option has a value that it cannot have.
    fn with_options(context: &Context, options: &Options) -> Result<Self, OptionError> {
        options.check()?;
        Ok(Self::with(context.clone(), options.clone()))
    }

    /// Accepts peers at `endpoint`; see [`Push::bind`](crate::Push::bind).
    fn bind<E>(&self, endpoint: E) -> impl Future<Output = Result<Endpoint, BindError>> + Send
    where
        E: TryInto<Endpoint>,
        EndpointError: From<E::Error>,
    {
        let endpoint = endpoint.try_into().map_err(EndpointError::from);
        async move { engine::bind(self.core(), endpoint?, None).await }
    }

    /// As [`bind`](Self::bind), with options of their own for the connections of this endpoint.
    fn bind_with<E>(
        &self,
        endpoint: E,
        options: &ConnectionOptions,
    ) -> impl Future<Output = Result<Endpoint, BindError>> + Send
    where
        E: TryInto<Endpoint>,
        EndpointError: From<E::Error>,
    {
        let endpoint = endpoint.try_into().map_err(EndpointError::from);
        async move { engine::bind(self.core(), endpoint?, Some(options)).await }
    }

    /// Connects to `endpoint` in the background; see [`Push::connect`](crate::Push::connect).
    fn connect<E>(&self, endpoint: E) -> impl Future<Output = Result<(), ConnectError>> + Send
    where
        E: TryInto<Endpoint>,
        EndpointError: From<E::Error>,
    {
        let endpoint = endpoint.try_into().map_err(EndpointError::from);
        async move { engine::connect(self.core(), &endpoint?, None, Expect::AsOptionsSay).map(drop) }
    }

    /// As [`connect`](Self::connect), with options of their own for the connections of this endpoint.
    fn connect_with<E>(
        &self,
        endpoint: E,
        options: &ConnectionOptions,
    ) -> impl Future<Output = Result<(), ConnectError>> + Send
    where
        E: TryInto<Endpoint>,
        EndpointError: From<E::Error>,
    {
        let endpoint = endpoint.try_into().map_err(EndpointError::from);
        async move { engine::connect(self.core(), &endpoint?, Some(options), Expect::AsOptionsSay).map(drop) }
    }

    /// Stops accepting peers there; see [`Push::unbind`](crate::Push::unbind).
    ///
    /// # Errors
    ///
    /// If the socket is not bound there.
    fn unbind<E>(&self, endpoint: E) -> Result<(), Error>
    where
        E: TryInto<Endpoint>,
        EndpointError: From<E::Error>,
    {
        end(endpoint, |endpoint| self.core().unbind(endpoint))
    }

    /// Ends the connection there; see [`Push::disconnect`](crate::Push::disconnect).
    ///
    /// # Errors
    ///
    /// If the socket is not connected there.
    fn disconnect<E>(&self, endpoint: E) -> Result<(), Error>
    where
        E: TryInto<Endpoint>,
        EndpointError: From<E::Error>,
    {
        end(endpoint, |endpoint| self.core().disconnect(endpoint))
    }

    /// What happens on the connections from here on.
    #[must_use]
    fn monitor(&self) -> Monitor {
        self.core().events.subscribe()
    }

    /// The counters, of the socket and of each peer.
    #[must_use]
    fn stats(&self) -> Stats {
        self.core().stats()
    }

    /// Waits until `count` peers are connected; see [`Push::wait_for_peers`](crate::Push::wait_for_peers).
    fn wait_for_peers(&self, count: usize) -> impl Future<Output = Result<(), SocketClosed>> + Send {
        self.core().outbox_ready(move |outbox| outbox.live() >= count)
    }

    /// Closes the socket, all its clones included; see [`Push::close`](crate::Push::close).
    fn close(&self) -> impl Future<Output = Closed> + Send {
        self.core().closed()
    }
}

fn end<E>(endpoint: E, end: impl FnOnce(&Endpoint) -> Result<(), UnknownEndpoint>) -> Result<(), Error>
where
    E: TryInto<Endpoint>,
    EndpointError: From<E::Error>,
{
    Ok(end(&endpoint.try_into().map_err(EndpointError::from)?)?)
}

/// A socket that sends.
pub trait Sending: Socket {
    /// A message, or for types whose caller says whom it is for, that and a message.
    type Item: Send;

    /// Sends, waiting for room or for a peer as this type does; see [`Push::send`](crate::Push::send).
    fn send(&self, item: impl Into<Self::Item>) -> impl Future<Output = Result<(), SendError>> + Send;

    /// Sends if that is possible at once.
    ///
    /// # Errors
    ///
    /// [`Full`](crate::SendErrorKind::Full) or [`NoPeer`](crate::SendErrorKind::NoPeer), or as this type says. The message
    /// is in the error.
    fn try_send(&self, item: impl Into<Self::Item>) -> Result<(), SendError>;

    /// Waits until a message could be sent. Another clone may still be faster.
    fn send_ready(&self) -> impl Future<Output = Result<(), SocketClosed>> + Send {
        self.core().outbox_ready(crate::pipe::Outbox::has_room)
    }
}

/// A socket that receives.
pub trait Receiving: Socket {
    /// A message, or for types that tell whom it is from, that and a message.
    type Item: Send;

    /// Receives the next one; see [`Pull::recv`](crate::Pull::recv).
    fn recv(&self) -> impl Future<Output = Result<Self::Item, RecvError>> + Send;

    /// Receives if one is there.
    ///
    /// # Errors
    ///
    /// [`Empty`](RecvError::Empty), or as this type says.
    fn try_recv(&self) -> Result<Self::Item, RecvError>;

    /// Receives what is there, at most `max`, and waits only for the first; see
    /// [`Pull::recv_many`](crate::Pull::recv_many).
    fn recv_many(
        &self,
        into: &mut Vec<Self::Item>,
        max: usize,
    ) -> impl Future<Output = Result<usize, RecvError>> + Send;

    /// Waits until `recv` would not wait. Another clone may still be faster.
    fn recv_ready(&self) -> impl Future<Output = Result<(), RecvError>> + Send {
        self.core().recv_ready()
    }
}

//! What can go wrong for the caller. A peer's fault is never among it: that closes the one
//! connection and goes to the [monitor](crate::Monitor).

use std::convert::Infallible;
use std::fmt;
use std::io;

use crate::endpoint::{Endpoint, EndpointError};
use crate::message::Message;
use crate::proto::SocketType;

/// A message was not sent; it comes back in the error.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use sinew::{Push, SendErrorKind};
/// let push = Push::new();
/// let error = push.try_send("hello").unwrap_err();
/// assert_eq!(error.kind(), SendErrorKind::NoPeer);
/// assert_eq!(error.into_message(), "hello");
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SendError {
    kind: SendErrorKind,
    // In a box, so that the results of the verbs stay small.
    message: Box<Message>,
}

/// Why a message was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SendErrorKind {
    /// Every peer that could take it is at its high-water mark. libzmq: `EAGAIN`.
    #[error("no room: every peer is at its high-water mark; await `send`, or raise `send_hwm`")]
    Full,
    /// There is no peer to take it. libzmq: `EAGAIN`.
    #[error("no peer is connected; `connect` or `bind` first, or await `send`")]
    NoPeer,
    /// No peer has the routing id that it names. libzmq: `EHOSTUNREACH`.
    #[error("no peer has this routing id")]
    Unroutable,
    /// A REQ sends again only after the reply, a REP only after a request. libzmq: `EFSM`.
    #[error("not this socket's turn to send: receive first")]
    OutOfTurn,
    /// The runtime that carried the socket's connections has ended.
    #[error("the runtime that carried this socket has ended: nothing is sent or received any more")]
    RuntimeEnded,
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
}

impl SendError {
    pub(crate) fn new(kind: SendErrorKind, message: Message) -> Self {
        Self { kind, message: Box::new(message) }
    }

    /// Why it was not sent.
    #[must_use]
    pub const fn kind(&self) -> SendErrorKind {
        self.kind
    }

    /// The message, as it was given.
    #[must_use]
    pub fn into_message(self) -> Message {
        *self.message
    }
}

impl fmt::Debug for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SendError({:?})", self.kind)
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for SendError {}

/// Nothing was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
#[repr(align(16))]
pub enum RecvError {
    /// No message, or no task, is there; only from the `try_` methods. libzmq: `EAGAIN`.
    #[error("nothing is there")]
    Empty,
    /// A REP receives again only after its reply, a REQ only after a request; or another request of a relaxed REQ has
    /// taken the place of this one. libzmq: `EFSM`.
    #[error("not this socket's turn to receive: send first")]
    OutOfTurn,
    /// The peer that had the request is gone; send the request again. libzmq waits for ever.
    #[error("the peer that had the request is gone; send the request again")]
    PeerLost,
    /// No reply, or no task, came in time.
    #[error("nothing came within the timeout")]
    Timeout,
    /// The runtime that carried the socket's connections has ended.
    #[error("the runtime that carried this socket has ended: nothing is sent or received any more")]
    RuntimeEnded,
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
}

/// A request got no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The request was not sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The request was sent, but no reply came.
    #[error(transparent)]
    Recv(#[from] RecvError),
}

/// Why a socket could not bind.
///
/// # Examples
///
/// ```
/// use sinew::{BindError, Endpoint, EndpointError};
///
/// let error: BindError = "tcp://*:70000".parse::<Endpoint>().unwrap_err().into();
/// assert!(matches!(error, BindError::Endpoint(EndpointError::BadPort { .. })));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The endpoint does not parse, or is not one to bind. libzmq: `EINVAL`, `EPROTONOSUPPORT`.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Another socket has it: a port, a path that somebody answers on, an inproc name. libzmq: `EADDRINUSE`.
    #[error("`{endpoint}` is in use: close the socket that holds it, or choose another")]
    AddressInUse {
        /// The endpoint that was to be bound.
        endpoint: Endpoint,
    },
    /// Something other than a socket has the path of an ipc endpoint; it is left alone. libzmq removes it.
    #[error("`{endpoint}` names a file that is not a socket: remove it, or choose another path")]
    NotASocket {
        /// The endpoint that was to be bound.
        endpoint: Endpoint,
    },
    /// The address belongs to another machine. libzmq: `EADDRNOTAVAIL`.
    #[error("`{endpoint}` is no address of this machine: bind one of its own, or `*` for all of them")]
    NotLocal {
        /// The endpoint that was to be bound.
        endpoint: Endpoint,
    },
    /// The host is neither a network interface nor a name that resolves. libzmq: `ENODEV`.
    #[error(
        "`{endpoint}` names no interface of this machine: use an interface or an address of it, or `*` for all"
    )]
    NoSuchInterface {
        /// The endpoint that was to be bound.
        endpoint: Endpoint,
    },
    /// The operating system refused for another reason.
    #[error("cannot bind `{endpoint}`")]
    Io {
        /// The endpoint that was to be bound.
        endpoint: Endpoint,
        /// What the operating system said.
        source: io::Error,
    },
    /// An option given for this endpoint has a value that it cannot have. libzmq: `EINVAL`.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// There is no tokio runtime here that could carry connections.
    #[error(
        "no tokio runtime here: call it from one, or build the socket in a `Context::on` a runtime's handle"
    )]
    NoRuntime,
    /// The socket is closed. libzmq: `ENOTSOCK`, `ETERM`.
    #[error("the socket is closed: bind before closing it, or make a new one")]
    Closed,
}

/// A connection was not set up. The network has no say in this: connecting goes on in the background.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The endpoint is malformed, or of a form that cannot be connected to. libzmq: `EINVAL`.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The inproc endpoint belongs to a socket type that ours does not talk to.
    #[error("a {ours} cannot talk to a {theirs}")]
    Incompatible {
        /// The connecting socket's type.
        ours: SocketType,
        /// The bound socket's type.
        theirs: SocketType,
    },
    /// The routing id given to the peer is not 1 to 255 bytes that do not begin with zero.
    #[error("a routing id is 1 to 255 bytes and does not begin with a zero byte")]
    RoutingId,
    /// This socket, or the peer at the inproc endpoint, takes no further peer, or none of that routing id.
    #[error("refused: {0}")]
    Refused(crate::monitor::Refused),
    /// An option given for this endpoint has a value that it cannot have. libzmq: `EINVAL`.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// There is no tokio runtime here that could carry connections.
    #[error(
        "no tokio runtime here: call it from one, or build the socket in a `Context::on` a runtime's handle"
    )]
    NoRuntime,
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
}

/// The socket is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
#[error("the socket is closed")]
pub struct SocketClosed;

/// There is no such endpoint on this socket. libzmq: `ENOENT`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not an endpoint of this socket; give the one that `bind` returned or `connect` was given")]
pub struct UnknownEndpoint(pub(crate) String);

/// An option has a value that it cannot have. libzmq: `EINVAL`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{option}: {problem}")]
pub struct OptionError {
    pub(crate) option: &'static str,
    pub(crate) problem: &'static str,
}

impl From<Infallible> for BindError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<Infallible> for ConnectError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Any error of this crate, for programs that pass them all up with `?`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant is the error that it wraps")]
pub enum Error {
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Recv(#[from] RecvError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    UnknownEndpoint(#[from] UnknownEndpoint),
    #[error(transparent)]
    Closed(#[from] SocketClosed),
    #[error(transparent)]
    Option(#[from] OptionError),
}

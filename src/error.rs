//! What can go wrong for the caller. A peer's fault is never among it: that closes the one
//! connection and goes to the [monitor](crate::Monitor).

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::sync::Arc;

use crate::endpoint::{Endpoint, EndpointError};
use crate::message::Message;
use crate::monitor::Refused;
use crate::proto::SocketType;

/// A message was not sent; it comes back in the error.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use sinew::{Push, SendErrorKind};
/// let push = Push::new();
/// let error = push.try_send("hello").unwrap_err();
/// assert_eq!(error.kind(), SendErrorKind::NoPeer);
/// assert_eq!(error.message(), "hello");
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
    #[error("no peer has this routing id: it has left, or is yet to come; `notify` tells of both")]
    Unroutable,
    /// A REQ sends again only after the reply, a REP only after a request. libzmq: `EFSM`.
    #[error("not this socket's turn to send: receive first")]
    OutOfTurn,
    /// The runtime that carried the socket's connections has ended.
    #[error("the runtime that carried this socket has ended: nothing is sent or received any more")]
    RuntimeEnded,
    /// The socket is closed.
    #[error("the socket is closed; make a new one to send")]
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
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The message, as it was given, by value.
    #[must_use]
    pub fn into_message(self) -> Message {
        *self.message
    }

    /// Why it was not sent, and the message.
    #[must_use]
    pub fn into_parts(self) -> (SendErrorKind, Message) {
        (self.kind, *self.message)
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

impl StdError for SendError {}

/// Nothing was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
#[repr(align(16))]
pub enum RecvError {
    /// No message, or no task, is there; only from the `try_` methods. libzmq: `EAGAIN`.
    #[error("nothing is there; await `recv`, or try again later")]
    Empty,
    /// A REP receives again only after its reply, a REQ only after a request; or another request of a relaxed REQ has
    /// taken the place of this one. libzmq: `EFSM`.
    #[error("not this socket's turn to receive: send first")]
    OutOfTurn,
    /// The peer that had the request is gone; send the request again. libzmq waits for ever.
    #[error("the peer that had the request is gone; send the request again")]
    PeerLost,
    /// No reply, or no task, came in time.
    #[error("nothing came within the timeout; ask again, or allow more time")]
    Timeout,
    /// The runtime that carried the socket's connections has ended.
    #[error("the runtime that carried this socket has ended: nothing is sent or received any more")]
    RuntimeEnded,
    /// The socket is closed.
    #[error("the socket is closed; make a new one to receive")]
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
    #[error("cannot bind `{endpoint}`: {}", Gist(source))]
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
    #[error("a {ours} cannot talk to a {theirs}; connect to a socket of a type that matches")]
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
    #[error(transparent)]
    Refused(#[from] Refused),
    /// An option given for this endpoint has a value that it cannot have. libzmq: `EINVAL`.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// There is no tokio runtime here that could carry connections.
    #[error(
        "no tokio runtime here: call it from one, or build the socket in a `Context::on` a runtime's handle"
    )]
    NoRuntime,
    /// The socket is closed.
    #[error("the socket is closed: connect before closing it, or make a new one")]
    Closed,
}

/// The socket is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
#[error("the socket is closed; make a new one")]
pub struct SocketClosed;

/// There is no such endpoint on this socket. libzmq: `ENOENT`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an endpoint of this socket; give the one that `bind` returned or `connect` was given")]
pub struct UnknownEndpoint(pub(crate) Endpoint);

impl UnknownEndpoint {
    /// The endpoint that was asked for.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.0
    }
}

/// An option has a value that it cannot have. libzmq: `EINVAL`.
///
/// ```
/// use std::time::Duration;
/// let error = sinew::Push::builder().handshake_timeout(Duration::ZERO).build().unwrap_err();
/// assert_eq!(error.option(), "handshake_timeout");
/// assert!(error.problem().starts_with("must be above zero"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{option}: {problem}")]
pub struct OptionError {
    pub(crate) option: &'static str,
    pub(crate) problem: &'static str,
}

impl OptionError {
    /// The option, by the name of its setter.
    #[must_use]
    pub const fn option(&self) -> &'static str {
        self.option
    }

    /// What its value has to be.
    #[must_use]
    pub const fn problem(&self) -> &'static str {
        self.problem
    }
}

/// What the operating system said of a connection: an [`io::Error`] that can be cloned. Equal to one of the same kind and
/// number.
#[derive(Clone)]
pub struct IoError(Arc<io::Error>);

impl Deref for IoError {
    type Target = io::Error;

    fn deref(&self) -> &io::Error {
        &self.0
    }
}

impl From<io::Error> for IoError {
    fn from(error: io::Error) -> Self {
        Self(Arc::new(error))
    }
}

impl PartialEq for IoError {
    fn eq(&self, other: &Self) -> bool {
        (self.kind(), self.raw_os_error()) == (other.kind(), other.raw_os_error())
    }
}

impl Eq for IoError {}

impl fmt::Debug for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for IoError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

/// The words of an error, and what helps. Without its number, which is in the error itself.
struct Gist<'a>(&'a io::Error);

impl Gist<'_> {
    fn words(error: &dyn StdError) -> String {
        let mut words = error.to_string();
        words.truncate(words.find(" (os error ").unwrap_or(words.len()));
        words
    }
}

impl fmt::Display for Gist<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let help = match self.0.kind() {
            io::ErrorKind::PermissionDenied => {
                "; it takes privileges, or a port from 1024 on, or a path that this user may write to"
            }
            io::ErrorKind::NotFound => "; make the directory first",
            _ => "",
        };
        write!(f, "{}{help}", Self::words(self.0))
    }
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

/// Any error of a socket, for programs that pass them all up with `?`.
///
/// Its `Debug` is for people: what has happened, and its causes, because that is what a program prints whose `main`
/// returns one.
///
/// ```
/// let error = sinew::Error::from("tcp://localhost".parse::<sinew::Endpoint>().unwrap_err());
/// assert!(format!("{error:?}").starts_with("tcp endpoint without a port: write `tcp://host:port`"));
/// ```
#[derive(thiserror::Error)]
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

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            // Some tell their cause, or its gist, themselves.
            if !said.contains(&Gist::words(error)) {
                said.push_str(": ");
                said.push_str(&error.to_string());
            }
            cause = error.source();
        }
        f.write_str(&said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        "inproc://app".parse().unwrap()
    }

    fn no_bind(source: io::Error) -> BindError {
        BindError::Io { endpoint: "tcp://*:80".parse().unwrap(), source }
    }

    #[cfg(unix)]
    #[test]
    fn whoever_cannot_bind_reads_why_once_and_programs_get_the_cause() {
        let error = no_bind(io::Error::from_raw_os_error(13));
        let text = "cannot bind `tcp://*:80`: Permission denied; it takes privileges, or a port from 1024 on";
        assert!(error.to_string().starts_with(text), "{error}");
        let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
        assert_eq!(cause.and_then(io::Error::raw_os_error), Some(13));
        let error = Error::from(error);
        assert_eq!(format!("{error:?}"), error.to_string());
        assert_eq!(
            Error::from(no_bind(io::Error::from_raw_os_error(24))).to_string(),
            "cannot bind `tcp://*:80`: Too many open files"
        );
    }

    #[derive(Debug, thiserror::Error)]
    #[error("the disk")]
    struct Outer(#[source] fmt::Error);

    #[test]
    fn causes_of_causes_are_told_too() {
        let error = Error::from(no_bind(io::Error::other(Outer(fmt::Error))));
        let cause = fmt::Error.to_string();
        assert_eq!(format!("{error:?}"), format!("cannot bind `tcp://*:80`: the disk: {cause}"));
    }

    #[test]
    fn errors_of_the_system_are_equal_by_kind_and_number_and_stay_what_they_are() {
        let refused = || IoError::from(io::Error::from(io::ErrorKind::ConnectionRefused));
        assert_eq!(refused(), refused().clone());
        assert_ne!(refused(), io::Error::from(io::ErrorKind::TimedOut).into());
        let [file, process] = [2, 3].map(|number| IoError::from(io::Error::from_raw_os_error(number)));
        assert_ne!(file, process);
        assert_eq!(
            (file.raw_os_error(), file.to_string()),
            (Some(2), io::Error::from_raw_os_error(2).to_string())
        );
        let nested = IoError::from(io::Error::other(Outer(fmt::Error)));
        assert_eq!(nested.source().unwrap().to_string(), fmt::Error.to_string());
    }

    #[test]
    fn an_error_gives_its_parts() {
        let error = UnknownEndpoint(endpoint());
        assert_eq!(error.endpoint(), &endpoint());
        assert!(error.to_string().starts_with("`inproc://app` is not an endpoint of this socket"));
        let error = OptionError { option: "linger", problem: "must be so" };
        assert_eq!((error.option(), error.problem()), ("linger", "must be so"));
        let error = SendError::new(SendErrorKind::Full, ["a", "b"].into());
        assert_eq!(error.message(), &["a", "b"]);
        assert_eq!(error.into_parts(), (SendErrorKind::Full, ["a", "b"].into()));
    }
}

//! The media: byte streams between two sockets, over TCP and Unix domain sockets.
//!
//! Owns the operating system's sockets and their options. Knows no frame, no message and no socket type; retries
//! nothing and keeps no timer but the connect timeout. `inproc` has no byte stream, so it is not here: the functions
//! take an [`Address`], which excludes it by type.
//!
//! ```text
//! bind(&Address)    -> Listener, Endpoint as bound     accept() -> Stream
//! connect(&Address) -> Stream                          try_read_buf, try_write_vectored
//! ```

#[cfg(all(unix, feature = "ipc"))]
mod ipc;
mod tcp;

use std::io::{self, IoSlice};
use std::net::{IpAddr, Shutdown};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
#[cfg(all(unix, feature = "ipc"))]
use tokio::net::UnixStream;

use crate::endpoint::{Address, Endpoint};
use crate::error::BindError;

impl BindError {
    fn io(address: &Address, source: io::Error) -> Self {
        let endpoint = address.into();
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::AddressInUse { endpoint },
            io::ErrorKind::AddrNotAvailable => Self::NotLocal { endpoint },
            _ => Self::Io { endpoint, source },
        }
    }
}

/// What the operating system is asked for; `None` leaves its own default.
#[derive(Clone, Debug)]
pub(crate) struct TransportOptions {
    /// libzmq: `ZMQ_TCP_KEEPALIVE`
    pub(crate) tcp_keepalive: Option<Keepalive>,
    /// `SO_SNDBUF`. libzmq: `ZMQ_SNDBUF`
    pub(crate) send_buffer: Option<usize>,
    /// `SO_RCVBUF`. libzmq: `ZMQ_RCVBUF`
    pub(crate) recv_buffer: Option<usize>,
    /// `IP_TOS`, `IPV6_TCLASS`. libzmq: `ZMQ_TOS`
    pub(crate) tos: Option<u32>,
    /// `SO_BINDTODEVICE`, Linux only. libzmq: `ZMQ_BINDTODEVICE`
    pub(crate) bind_to_device: Option<String>,
    /// `TCP_USER_TIMEOUT`, Linux only. libzmq: `ZMQ_TCP_MAXRT`
    pub(crate) user_timeout: Option<Duration>,
    /// Connections that wait for `accept`; 100. libzmq: `ZMQ_BACKLOG`
    pub(crate) backlog: u32,
    /// `*` means `[::]` and `0.0.0.0`, and the resolver's order of addresses stands. Off, `*` means `0.0.0.0` and IPv4
    /// goes first. Literal addresses work either way. libzmq: `ZMQ_IPV6`
    pub(crate) ipv6: bool,
    /// Bounds the resolution, and then each attempt to connect to one address. libzmq: `ZMQ_CONNECT_TIMEOUT`
    pub(crate) connect_timeout: Option<Duration>,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            tcp_keepalive: None,
            send_buffer: None,
            recv_buffer: None,
            tos: None,
            bind_to_device: None,
            user_timeout: None,
            backlog: 4096,
            ipv6: false,
            connect_timeout: None,
        }
    }
}

/// How TCP probes an idle peer; what is not set is the system's value. libzmq: `ZMQ_TCP_KEEPALIVE_*`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keepalive {
    pub(crate) idle: Option<Duration>,
    pub(crate) interval: Option<Duration>,
    pub(crate) count: Option<u32>,
}

impl Keepalive {
    /// The system's values.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// After how much silence the first probe goes. libzmq: `ZMQ_TCP_KEEPALIVE_IDLE`.
    #[must_use]
    pub fn idle(self, idle: Duration) -> Self {
        Self { idle: Some(idle), ..self }
    }

    /// The time between two probes. libzmq: `ZMQ_TCP_KEEPALIVE_INTVL`.
    #[must_use]
    pub fn interval(self, interval: Duration) -> Self {
        Self { interval: Some(interval), ..self }
    }

    /// After how many probes without an answer the peer is given up. libzmq: `ZMQ_TCP_KEEPALIVE_CNT`.
    #[must_use]
    pub fn count(self, count: u32) -> Self {
        Self { count: Some(count), ..self }
    }
}

/// Connects once: resolves the name anew and tries each of its addresses in turn.
///
/// # Errors
///
/// The first address's, when none answers; `InvalidInput` around an [`EndpointError`] for one that is not to connect.
///
/// # Cancel safety
///
/// Dropping the future closes what it had opened.
pub(crate) async fn connect(address: &Address, options: &TransportOptions) -> io::Result<Stream> {
    address.check_connect().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    match address {
        Address::Tcp(tcp) => {
            let stream = tcp::connect(tcp, options).await?;
            let peer = stream.peer_addr()?;
            Stream::tcp(stream, peer.into())
        }
        #[cfg(all(unix, feature = "ipc"))]
        Address::Ipc(ipc) => Stream::unix(ipc::connect(ipc).await?, address.into(), options),
    }
}

/// What accepts connections. Dropping it stops that, and removes the file of an `ipc://*` (D2.3, D2.5).
#[derive(Debug)]
pub(crate) struct Listener {
    medium: Medium,
    options: TransportOptions,
}

#[derive(Debug)]
enum Medium {
    Tcp(tokio::net::TcpListener),
    #[cfg(all(unix, feature = "ipc"))]
    Ipc(ipc::Listener, Endpoint),
}

impl Listener {
    /// Binds, and gives back the endpoint as bound: the real port or path in place of a wildcard (D0.2).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future unbinds what it had bound.
    pub(crate) async fn bind(
        address: &Address,
        options: &TransportOptions,
    ) -> Result<(Self, Endpoint), BindError> {
        address.check_bind()?;
        let (medium, bound) = match address {
            Address::Tcp(tcp) => {
                let (listener, bound) = tcp::bind(address, tcp, options).await?;
                (Medium::Tcp(listener), bound.into())
            }
            #[cfg(all(unix, feature = "ipc"))]
            Address::Ipc(ipc) => {
                let (listener, bound) = ipc::bind(address, ipc, options).await?;
                let bound: Endpoint = Address::Ipc(bound).into();
                (Medium::Ipc(listener, bound.clone()), bound)
            }
        };
        Ok((Self { medium, options: options.clone() }, bound))
    }

    /// The next connection.
    ///
    /// # Errors
    ///
    /// Those of the listener, such as having no file descriptor left: they pass, so wait and call again. A
    /// connection that its peer has already left is no error; the next one is given instead.
    ///
    /// # Cancel safety
    ///
    /// No connection is lost when the future is dropped.
    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        std::future::poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// [`accept`](Self::accept) as a poll; only the last waker is remembered.
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        loop {
            let accepted = match &self.medium {
                Medium::Tcp(listener) => {
                    let (stream, peer) = std::task::ready!(listener.poll_accept(cx))?;
                    tcp::tune(&SockRef::from(&stream), peer.is_ipv6(), &self.options)
                        .and_then(|()| tcp::unpace(&stream))
                        .and_then(|()| Stream::tcp(stream, peer.into()))
                }
                #[cfg(all(unix, feature = "ipc"))]
                Medium::Ipc(listener, bound) => {
                    let stream = std::task::ready!(listener.poll_accept(cx))?;
                    Stream::unix(stream, bound.clone(), &self.options)
                }
            };
            // The options worked on the listener, so what fails here is the one connection: it is gone already.
            match accepted {
                Ok(stream) => return Poll::Ready(Ok(stream)),
                Err(error) => tracing::debug!(%error, "dropped a connection while accepting it"),
            }
        }
    }
}

/// A connected byte stream: readiness by poll, for the one task that waits for it; transfer without waiting, reads by
/// that task, writes by whoever holds the connection's `Writer`.
#[derive(Debug)]
pub(crate) struct Stream {
    io: Io,
    peer: Endpoint,
}

#[derive(Debug)]
enum Io {
    Tcp(TcpStream),
    #[cfg(all(unix, feature = "ipc"))]
    Unix(UnixStream),
}

/// Calls the same method of either kind of socket.
macro_rules! either {
    ($stream:ident, $io:ident => $call:expr) => {
        match &$stream.io {
            Io::Tcp($io) => $call,
            #[cfg(all(unix, feature = "ipc"))]
            Io::Unix($io) => $call,
        }
    };
}

impl Stream {
    fn tcp(stream: TcpStream, peer: Endpoint) -> io::Result<Self> {
        Ok(Self { io: Io::Tcp(stream), peer })
    }

    /// A connecting Unix socket has no name of its own: both ends go by the listener's.
    #[cfg(all(unix, feature = "ipc"))]
    fn unix(stream: UnixStream, endpoint: Endpoint, options: &TransportOptions) -> io::Result<Self> {
        set_buffers(&SockRef::from(&stream), options)?;
        Ok(Self { io: Io::Unix(stream), peer: endpoint })
    }

    /// The other end: its address and port, or the path.
    pub(crate) fn peer(&self) -> &Endpoint {
        &self.peer
    }

    /// The address that a limit per source counts; none over ipc.
    pub(crate) fn source(&self) -> Option<IpAddr> {
        match &self.io {
            Io::Tcp(stream) => stream.peer_addr().ok().map(|peer| peer.ip()),
            #[cfg(all(unix, feature = "ipc"))]
            Io::Unix(_) => None,
        }
    }

    /// Whether the kernel still delivers what was written when the socket is closed before the peer has read it.
    pub(crate) const fn outlives_close(&self) -> bool {
        matches!(self.io, Io::Tcp(_))
    }

    /// Ready when [`try_read_buf`](Self::try_read_buf) may have something to say, an end or an error included.
    #[inline]
    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, io => io.poll_read_ready(cx))
    }

    /// Whether the peer is known to send nothing any more; what it sent before may still be unread.
    pub(crate) fn is_read_closed(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let ready = either!(self, io => std::pin::pin!(io.ready(Interest::READABLE)).poll(&mut cx));
        matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed())
    }

    /// Ready when [`try_write_vectored`](Self::try_write_vectored) may find room, or an error.
    #[inline]
    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, io => io.poll_write_ready(cx))
    }

    /// Appends what has arrived to `buf`, at most `room` bytes; 0 is the end. Never more than its spare capacity:
    /// reserve it first.
    ///
    /// A read that does not fill it has emptied the socket, so it ends the readiness, too, as tokio's own reads do:
    /// asking the kernel once more would cost as much as the read.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when nothing has arrived: poll for readiness.
    #[inline]
    pub(crate) fn try_read_buf(&self, buf: &mut BytesMut, room: usize) -> io::Result<usize> {
        let mut partial = None;
        let read = || {
            let room = room.min(buf.capacity() - buf.len());
            let count = either!(self, io => io.try_read_buf(&mut buf.limit(room)))?;
            if 0 < count && count < room {
                // Here readiness is given up only if no news came since before the read.
                partial = Some(count);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(count)
        };
        let whole = either!(self, io => io.try_io(Interest::READABLE, read));
        partial.map_or(whole, Ok)
    }

    /// Writes from the start of `bufs` what the kernel has room for.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when there is no room: poll for readiness.
    #[inline]
    pub(crate) fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        // The kernel takes one slice for less.
        match bufs {
            [buf] => either!(self, io => io.try_write(buf)),
            _ => either!(self, io => io.try_write_vectored(bufs)),
        }
    }

    /// Ends the writing half: the peer reads the end after what was written. Does not wait.
    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        either!(self, io => SockRef::from(io).shutdown(Shutdown::Write))
    }
}

fn set_buffers(socket: &SockRef<'_>, options: &TransportOptions) -> io::Result<()> {
    if let Some(size) = options.send_buffer {
        socket.set_send_buffer_size(size)?;
    }
    if let Some(size) = options.recv_buffer {
        socket.set_recv_buffer_size(size)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Target;
    use std::future::poll_fn;

    pub(super) fn address(text: &str) -> Address {
        network(&text.parse().unwrap())
    }

    pub(super) fn network(endpoint: &Endpoint) -> Address {
        match endpoint.target() {
            Target::Network(address) => address.clone(),
            Target::Inproc(name) => panic!("{name} is inproc"),
        }
    }

    pub(super) async fn bind(text: &str) -> Result<(Listener, Endpoint), BindError> {
        Listener::bind(&address(text), &TransportOptions::default()).await
    }

    pub(super) async fn connect(text: &str) -> io::Result<Stream> {
        super::connect(&address(text), &TransportOptions::default()).await
    }

    /// Binds, connects to what was bound, and moves bytes and the end both ways.
    pub(super) async fn exchange(listener: &Listener, bound: &Endpoint) {
        let dialed = connect(&bound.to_string()).await.unwrap();
        let accepted = listener.accept().await.unwrap();
        for (from, to) in [(&dialed, &accepted), (&accepted, &dialed)] {
            poll_fn(|cx| from.poll_write_ready(cx)).await.unwrap();
            assert_eq!(from.try_write_vectored(&[IoSlice::new(b"one "), IoSlice::new(b"two")]).unwrap(), 7);
            from.shutdown_write().unwrap();
            assert_eq!(read_to_end(to).await, "one two");
        }
    }

    async fn read_to_end(stream: &Stream) -> BytesMut {
        let mut buf = BytesMut::with_capacity(64);
        loop {
            poll_fn(|cx| stream.poll_read_ready(cx)).await.unwrap();
            match stream.try_read_buf(&mut buf, usize::MAX) {
                Ok(0) => return buf,
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
    }

    #[tokio::test]
    async fn reading_nothing_would_block() {
        let (listener, bound) = bind("tcp://127.0.0.1:*").await.unwrap();
        let dialed = connect(&bound.to_string()).await.unwrap();
        let _accepted = listener.accept().await.unwrap();
        let error = dialed.try_read_buf(&mut BytesMut::with_capacity(8), 8).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[tokio::test]
    async fn a_dropped_accept_loses_no_connection() {
        let (listener, bound) = bind("tcp://127.0.0.1:*").await.unwrap();
        {
            let mut accept = std::pin::pin!(listener.accept());
            assert!(poll_fn(|cx| Poll::Ready(accept.as_mut().poll(cx).is_pending())).await);
        }
        let dialed = connect(&bound.to_string()).await.unwrap();
        dialed.shutdown_write().unwrap();
        assert_eq!(read_to_end(&listener.accept().await.unwrap()).await, "");
    }

    #[tokio::test]
    async fn what_is_not_to_connect_or_to_bind_is_refused() {
        let error = connect("tcp://*:1").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let cause = error.into_inner().unwrap().downcast::<crate::EndpointError>().unwrap();
        assert!(matches!(*cause, crate::EndpointError::WildcardConnect { .. }));
        let error = bind("tcp://lo:0;127.0.0.1:1").await.unwrap_err();
        assert!(matches!(error, BindError::Endpoint(crate::EndpointError::SourceBind { .. })));
    }
}

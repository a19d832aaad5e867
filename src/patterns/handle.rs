//! The life of a socket, the same for every type.

use std::sync::Arc;
use std::task::{Context, Poll};

use crate::error::SendError;
use crate::message::Message;
use crate::pipe::{Refusal, Slot};
use crate::socket::{Core, Offer};

/// What a socket value holds: a share of the socket, and its own places in the queues of those who
/// wait (for `Stream` and `Sink`, which keep theirs between polls). `To` is whom a message is for, where that is said.
#[derive(Debug)]
pub(crate) struct Handle<To = ()> {
    pub(crate) core: Arc<Core>,
    pub(crate) receiving: Slot,
    pub(crate) sending: Slot,
    /// Accepted by `Sink::start_send`, and not yet by a pipe.
    pub(crate) outgoing: Option<(To, Message)>,
    /// It waits because the sender's turn was over, and other tasks have not run since.
    turn_is_over: bool,
    life: Arc<Life>,
}

/// Shared by all handles; the socket closes with the last of them.
#[derive(Debug)]
struct Life(Arc<Core>);

impl Drop for Life {
    fn drop(&mut self) {
        self.0.begin_close();
    }
}

impl<To> Handle<To> {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        let life = Arc::new(Life(core.clone()));
        Self {
            core,
            receiving: Slot::bystander(),
            sending: Slot::bystander(),
            outgoing: None,
            turn_is_over: false,
            life,
        }
    }

    /// Passes the message of `Sink::start_send` on; ready when the place for it is free.
    pub(crate) fn poll_outgoing(
        &mut self,
        cx: &Context<'_>,
        offer: impl Offer,
    ) -> Poll<Result<(), SendError>> {
        if std::mem::take(&mut self.turn_is_over) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some((to, mut message)) = self.outgoing.take() else { return Poll::Ready(Ok(())) };
        let polled = self.core.poll_send(cx, &mut self.sending, &mut message, &offer);
        if polled.is_pending() {
            self.outgoing = Some((to, message));
        }
        polled
    }

    /// Sends at once, or keeps the message for the next `poll_outgoing`.
    pub(crate) fn start_send(
        &mut self,
        to: To,
        mut message: Message,
        offer: impl Offer,
    ) -> Result<(), SendError> {
        match self.core.offer_once(&mut message, &offer) {
            Ok(()) => return Ok(()),
            Err(Refusal::Yield) => self.turn_is_over = true,
            Err(Refusal::Full | Refusal::PeerFull(_) | Refusal::NoPeer) => {}
            Err(refusal) => return self.core.refused(refusal, message),
        }
        self.outgoing = Some((to, message));
        Ok(())
    }
}

impl<To> Clone for Handle<To> {
    fn clone(&self) -> Self {
        Self {
            core: self.core.clone(),
            receiving: Slot::bystander(),
            sending: Slot::bystander(),
            outgoing: None,
            turn_is_over: false,
            life: self.life.clone(),
        }
    }
}

impl<To> Drop for Handle<To> {
    fn drop(&mut self) {
        self.core.forget_receiver(&mut self.receiving);
        self.core.forget_sender(&mut self.sending);
    }
}

/// Gives a socket type its life: from `new` to `close`.
macro_rules! lifecycle {
    ($socket:ident, $builder:ident, $pattern:ident) => {
        impl $socket {
            /// A socket with the default options.
            #[must_use]
            pub fn new() -> Self {
                Self::from_options(
                    crate::Context::default(),
                    crate::Options::default(),
                    crate::options::TypeOptions::default(),
                )
            }

            /// Options for a socket of this type.
            pub fn builder() -> $builder {
                $builder::default()
            }

            fn from_options(
                context: crate::Context,
                options: crate::Options,
                specific: crate::options::TypeOptions,
            ) -> Self {
                let core = crate::socket::Core::new(&$pattern, context, options, specific);
                Self { handle: crate::patterns::handle::Handle::new(core) }
            }

            /// Accepts peers at `endpoint`; gives it back as bound, with the real port or path in
            /// place of a wildcard. libzmq: `zmq_bind`, `ZMQ_LAST_ENDPOINT`.
            ///
            /// # Errors
            ///
            /// If the endpoint is malformed, in use, or not of this machine, or the socket is closed; outside a
            /// tokio runtime, unless the socket's [`Context`](crate::Context) has one.
            ///
            /// # Cancel safety
            ///
            /// Cancelled before it is ready, nothing is bound.
            pub async fn bind<E>(&self, endpoint: E) -> Result<crate::Endpoint, crate::BindError>
            where
                E: TryInto<crate::Endpoint>,
                crate::EndpointError: From<E::Error>,
            {
                let endpoint = endpoint.try_into().map_err(crate::EndpointError::from)?;
                crate::engine::bind(&self.handle.core, endpoint, None).await
            }

            /// As [`bind`](Self::bind), with options of their own for the connections of this endpoint.
            ///
            /// # Errors
            ///
            /// As [`bind`](Self::bind), and if an option has a value that it cannot have.
            ///
            /// # Cancel safety
            ///
            /// Cancelled before it is ready, nothing is bound.
            pub async fn bind_with<E>(
                &self,
                endpoint: E,
                options: &crate::ConnectionOptions,
            ) -> Result<crate::Endpoint, crate::BindError>
            where
                E: TryInto<crate::Endpoint>,
                crate::EndpointError: From<E::Error>,
            {
                let endpoint = endpoint.try_into().map_err(crate::EndpointError::from)?;
                crate::engine::bind(&self.handle.core, endpoint, Some(options)).await
            }

            /// Connects to `endpoint` in the background: returns at once, resolves the name anew
            /// for each attempt, and reconnects for ever. libzmq: `zmq_connect`.
            ///
            /// # Errors
            ///
            /// If the endpoint is malformed or one that is only for binding, or the socket is
            /// closed; outside a tokio runtime, unless the socket's [`Context`](crate::Context) has one. Over
            /// inproc, also if the peer is of a type that does not match.
            ///
            /// # Cancel safety
            ///
            /// It never waits, so it is never cancelled half-way.
            #[allow(clippy::unused_async, reason = "part of the asynchronous half of the API, as `bind` is")]
            pub async fn connect<E>(&self, endpoint: E) -> Result<(), crate::ConnectError>
            where
                E: TryInto<crate::Endpoint>,
                crate::EndpointError: From<E::Error>,
            {
                let endpoint = endpoint.try_into().map_err(crate::EndpointError::from)?;
                crate::engine::connect(
                    &self.handle.core,
                    &endpoint,
                    None,
                    crate::engine::Expect::AsOptionsSay,
                )
                .map(drop)
            }

            /// As [`connect`](Self::connect), with options of their own for the connections of this endpoint.
            ///
            /// # Errors
            ///
            /// As [`connect`](Self::connect), and if an option has a value that it cannot have.
            ///
            /// # Cancel safety
            ///
            /// It never waits, so it is never cancelled half-way.
            #[allow(clippy::unused_async, reason = "part of the asynchronous half of the API, as `bind` is")]
            pub async fn connect_with<E>(
                &self,
                endpoint: E,
                options: &crate::ConnectionOptions,
            ) -> Result<(), crate::ConnectError>
            where
                E: TryInto<crate::Endpoint>,
                crate::EndpointError: From<E::Error>,
            {
                let endpoint = endpoint.try_into().map_err(crate::EndpointError::from)?;
                crate::engine::connect(
                    &self.handle.core,
                    &endpoint,
                    Some(options),
                    crate::engine::Expect::AsOptionsSay,
                )
                .map(drop)
            }

            /// Stops accepting peers at `endpoint`, and ends the connections that came that way
            /// once what is queued for them is written, within linger. libzmq: `zmq_unbind`.
            ///
            /// # Errors
            ///
            /// If the socket is not bound there. Give the endpoint that [`bind`](Self::bind) returned.
            pub fn unbind<E>(&self, endpoint: E) -> Result<(), crate::Error>
            where
                E: TryInto<crate::Endpoint>,
                crate::EndpointError: From<E::Error>,
            {
                let endpoint = endpoint.try_into().map_err(crate::EndpointError::from)?;
                Ok(self.handle.core.unbind(&endpoint)?)
            }

            /// Ends the connection to `endpoint` once what is queued for it is written, within
            /// linger. What it sent and is unread is dropped. libzmq: `zmq_disconnect`.
            ///
            /// # Errors
            ///
            /// If the socket is not connected there.
            pub fn disconnect<E>(&self, endpoint: E) -> Result<(), crate::Error>
            where
                E: TryInto<crate::Endpoint>,
                crate::EndpointError: From<E::Error>,
            {
                let endpoint = endpoint.try_into().map_err(crate::EndpointError::from)?;
                Ok(self.handle.core.disconnect(&endpoint)?)
            }

            /// What happens on the connections from here on. libzmq: `zmq_socket_monitor`.
            ///
            /// Inproc peers come and go without an event.
            #[must_use]
            pub fn monitor(&self) -> crate::Monitor {
                self.handle.core.events.subscribe()
            }

            /// The counters, of the socket and of each peer.
            #[must_use]
            pub fn stats(&self) -> crate::Stats {
                self.handle.core.stats()
            }

            /// Waits until `count` peers are connected, handshake included: no sleep is needed
            /// before the first message.
            ///
            /// # Errors
            ///
            /// If the socket is closed.
            ///
            /// # Cancel safety
            ///
            /// Cancelled, nothing has happened.
            pub async fn wait_for_peers(&self, count: usize) -> Result<(), crate::SocketClosed> {
                self.handle.core.outbox_ready(|outbox| outbox.live() >= count).await
            }

            /// Closes the socket, all its clones included: nothing more is received, and what is
            /// queued is written within the linger time. libzmq: `zmq_close`, but this reports
            /// what was lost.
            ///
            /// Dropping the last clone does the same in the background, as long as the runtime
            /// lives. It never blocks.
            ///
            /// # Cancel safety
            ///
            /// Cancelled, the socket goes on closing; a second call waits for the same end.
            #[allow(clippy::must_use_candidate, reason = "closing has an effect of its own")]
            pub async fn close(&self) -> crate::Closed {
                self.handle.core.closed().await
            }
        }

        impl Default for $socket {
            fn default() -> Self {
                Self::new()
            }
        }

        impl crate::patterns::traits::Sealed for $socket {
            fn with(context: crate::Context, options: crate::Options) -> Self {
                Self::from_options(context, options, crate::options::TypeOptions::default())
            }

            #[allow(private_interfaces, reason = "sealed: nobody outside can call it")]
            fn core(&self) -> &std::sync::Arc<crate::socket::Core> {
                &self.handle.core
            }
        }

        impl crate::Socket for $socket {
            const TYPE: crate::SocketType = $pattern.socket_type;
        }
    };
}
pub(crate) use lifecycle;

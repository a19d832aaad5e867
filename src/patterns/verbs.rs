//! The verbs of a socket type: macros for what sends, and one for what receives.

/// Gives a socket type its sending verbs. `$offer` makes, from a reference to the core, the step that
/// offers a message to the outbox. An `$item` becomes a message.
macro_rules! sends {
    ($socket:ident, $item:ty, $offer:path) => {
        crate::patterns::marks::send_mark!($socket);

        impl $socket {
            /// Sends a message, waiting for room or for a peer as this type does. libzmq: `zmq_send`.
            ///
            /// `Ok` means: accepted into a bounded queue. It does not mean delivered.
            ///
            /// # Errors
            ///
            /// If the socket is closed, or as this type says. The message is in the error.
            ///
            /// # Cancel safety
            ///
            /// Cancelled before it is ready, nothing was sent, and the message is dropped with the
            /// future. To keep it, await [`send_ready`](Self::send_ready) and use
            /// [`try_send`](Self::try_send).
            #[inline]
            pub fn send(
                &self,
                message: impl Into<$item>,
            ) -> impl Future<Output = Result<(), crate::SendError>> + Send {
                let core = &*self.handle.core;
                core.send(crate::Message::from(message.into()), $offer(core))
            }

            /// Sends a message if that is possible at once. libzmq: `ZMQ_DONTWAIT`.
            ///
            /// # Errors
            ///
            /// [`Full`](crate::SendErrorKind::Full) or [`NoPeer`](crate::SendErrorKind::NoPeer), or as
            /// [`send`](Self::send). The message is in the error.
            #[inline]
            pub fn try_send(&self, message: impl Into<$item>) -> Result<(), crate::SendError> {
                let core = &*self.handle.core;
                core.try_send(crate::Message::from(message.into()), $offer(core))
            }
        }

        crate::patterns::verbs::send_ready!($socket);
        crate::patterns::verbs::sink!($socket, $item, message => ((), message), (core, _to) => $offer(core));

        impl crate::Sending for $socket {
            type Item = $item;

            fn send(
                &self,
                item: impl Into<$item>,
            ) -> impl Future<Output = Result<(), crate::SendError>> + Send {
                Self::send(self, item)
            }

            fn try_send(&self, item: impl Into<$item>) -> Result<(), crate::SendError> {
                Self::try_send(self, item)
            }
        }
    };
}

/// As [`sends`], for a type whose caller says whom a message is for: `$offer` gets that, too.
macro_rules! sends_to {
    ($socket:ident, $to:ty, $item:ty, $offer:path) => {
        crate::patterns::marks::send_mark!($socket);

        impl $socket {
            /// Sends a message to whom it is for, waiting for room as this type does. libzmq: `zmq_send`.
            ///
            /// `Ok` means: accepted into a bounded queue. It does not mean delivered.
            ///
            /// # Errors
            ///
            /// If the socket is closed, or as this type says. The message is in the error.
            ///
            /// # Cancel safety
            ///
            /// Cancelled before it is ready, nothing was sent.
            #[inline]
            pub fn send(
                &self,
                to: impl Into<$to>,
                message: impl Into<$item>,
            ) -> impl Future<Output = Result<(), crate::SendError>> + Send {
                let core = &*self.handle.core;
                core.send(crate::Message::from(message.into()), $offer(core, to.into()))
            }

            /// Sends a message if that is possible at once. libzmq: `ZMQ_DONTWAIT`.
            ///
            /// # Errors
            ///
            /// [`Full`](crate::SendErrorKind::Full), or as [`send`](Self::send). The message is in the error.
            pub fn try_send(
                &self,
                to: impl Into<$to>,
                message: impl Into<$item>,
            ) -> Result<(), crate::SendError> {
                let core = &*self.handle.core;
                core.try_send(crate::Message::from(message.into()), $offer(core, to.into()))
            }
        }

        crate::patterns::verbs::sink!($socket, ($to, $item), item => item, (core, to) => $offer(core, to));

        impl crate::Sending for $socket {
            type Item = ($to, $item);

            fn send(
                &self,
                item: impl Into<($to, $item)>,
            ) -> impl Future<Output = Result<(), crate::SendError>> + Send {
                let (to, message) = item.into();
                Self::send(self, to, message)
            }

            fn try_send(&self, item: impl Into<($to, $item)>) -> Result<(), crate::SendError> {
                let (to, message) = item.into();
                Self::try_send(self, to, message)
            }
        }
    };
}

/// Waiting for room, where it is the same for all messages.
macro_rules! send_ready {
    ($socket:ident) => {
        impl $socket {
            /// Waits until a message could be sent. Another clone may still be faster.
            ///
            /// # Errors
            ///
            /// If the socket is closed.
            ///
            /// # Cancel safety
            ///
            /// Cancelled, nothing has happened.
            pub async fn send_ready(&self) -> Result<(), crate::SocketClosed> {
                self.handle.core.outbox_ready(crate::pipe::Outbox::has_room).await
            }
        }
    };
}

/// Sending many, for types that send whole messages.
macro_rules! sends_many {
    ($socket:ident, $offer:path) => {
        impl $socket {
            /// Sends messages from the front of `messages` until none is left, many under one lock.
            ///
            /// # Errors
            ///
            /// As [`send`](Self::send). The message in question is in the error, those behind it
            /// are left in `messages`.
            ///
            /// # Cancel safety
            ///
            /// Cancelled, what was not sent is left in `messages`.
            pub async fn send_many(
                &self,
                messages: &mut std::collections::VecDeque<crate::Message>,
            ) -> Result<(), crate::SendError> {
                let core = &*self.handle.core;
                core.send_many(messages, $offer(core)).await
            }
        }
    };
}

/// A `Sink` of what is sent: `$split` makes of an item whom it is for, and a message.
macro_rules! sink {
    ($socket:ident, $item:ty, $given:ident => $split:expr, ($core:ident, $to:ident) => $offer:expr) => {
        /// Each clone has one place for a message on its way: `start_send` fills it, and `poll_ready`,
        /// `poll_flush` and `poll_close` pass it on. `poll_close` does not close the socket.
        impl futures_sink::Sink<$item> for $socket {
            type Error = crate::SendError;

            fn poll_ready(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Result<(), Self::Error>> {
                self.poll_flush(cx)
            }

            fn start_send(mut self: std::pin::Pin<&mut Self>, $given: $item) -> Result<(), Self::Error> {
                let ($to, message) = $split;
                let shared = self.handle.core.clone();
                let ($core, to) = (&*shared, $to.clone());
                self.handle.start_send(to, message.into(), $offer)
            }

            fn poll_flush(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Result<(), Self::Error>> {
                // Not even the offer is made: a REQ's drops what is unread.
                let Some((to, _)) = &self.handle.outgoing else { return std::task::Poll::Ready(Ok(())) };
                let ($to, shared) = (to.clone(), self.handle.core.clone());
                let $core = &*shared;
                self.handle.poll_outgoing(cx, $offer)
            }

            fn poll_close(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Result<(), Self::Error>> {
                self.poll_flush(cx)
            }
        }
    };
}

/// Gives a socket type its receiving verbs. `$take` makes, from a reference to the core, the step that
/// takes an `$item` from the inbox.
macro_rules! receives {
    ($socket:ident, $item:ty, $take:path) => {
        crate::patterns::marks::recv_mark!($socket);

        impl $socket {
            /// Receives the next message, one per peer and turn. libzmq: `zmq_recv`.
            ///
            /// # Errors
            ///
            /// If the socket is closed, or as this type says. A peer's fault is never an error
            /// here: it closes that one connection, see [`monitor`](Self::monitor).
            ///
            /// # Cancel safety
            ///
            /// Cancelled before it is ready, no message was taken.
            #[inline]
            pub fn recv(&self) -> impl Future<Output = Result<$item, crate::RecvError>> + Send {
                let core = &*self.handle.core;
                core.recv($take(core))
            }

            /// Receives a message if one is there. libzmq: `ZMQ_DONTWAIT`.
            ///
            /// # Errors
            ///
            /// [`Empty`](crate::RecvError::Empty), or as [`recv`](Self::recv).
            #[inline]
            pub fn try_recv(&self) -> Result<$item, crate::RecvError> {
                let core = &*self.handle.core;
                core.try_recv($take(core))
            }

            /// Receives what is there, at most `max`, and waits only for the first; appends to
            /// `into` and says how many. One lock for all of them.
            ///
            /// # Errors
            ///
            /// As [`recv`](Self::recv).
            ///
            /// # Cancel safety
            ///
            /// Cancelled before it is ready, no message was taken.
            pub async fn recv_many(
                &self,
                into: &mut Vec<$item>,
                max: usize,
            ) -> Result<usize, crate::RecvError> {
                let core = &*self.handle.core;
                core.recv_many(into, max, $take(core)).await
            }

            /// Waits until [`recv`](Self::recv) would not wait. Another clone may still be faster. libzmq: `ZMQ_POLLIN`.
            ///
            /// # Errors
            ///
            /// If the socket is closed.
            ///
            /// # Cancel safety
            ///
            /// Cancelled, nothing has happened.
            pub async fn recv_ready(&self) -> Result<(), crate::RecvError> {
                self.handle.core.recv_ready().await
            }
        }

        impl crate::Receiving for $socket {
            type Item = $item;

            fn recv(&self) -> impl Future<Output = Result<$item, crate::RecvError>> + Send {
                Self::recv(self)
            }

            fn try_recv(&self) -> Result<$item, crate::RecvError> {
                Self::try_recv(self)
            }

            fn recv_many(
                &self,
                into: &mut Vec<$item>,
                max: usize,
            ) -> impl Future<Output = Result<usize, crate::RecvError>> + Send {
                Self::recv_many(self, into, max)
            }
        }

        /// Ends when the socket is closed.
        impl futures_core::Stream for $socket {
            type Item = Result<$item, crate::RecvError>;

            fn poll_next(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Self::Item>> {
                let core = self.handle.core.clone();
                let received = core.poll_recv(cx, &mut self.handle.receiving, &mut $take(&core));
                received.map(|result| Some(result).filter(|result| *result != Err(crate::RecvError::Closed)))
            }
        }
    };
}

pub(crate) use {receives, send_ready, sends, sends_many, sends_to, sink};

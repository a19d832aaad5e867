//! The verbs of a socket type: one macro for what sends, one for what receives.

/// Gives a socket type its sending verbs. `$offer` makes, from a reference to the core, the step that
/// offers a message to the outbox.
macro_rules! sends {
    ($socket:ident, $offer:path) => {
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
                message: impl Into<crate::Message>,
            ) -> impl Future<Output = Result<(), crate::SendError>> + Send {
                let core = &*self.handle.core;
                core.send(message.into(), $offer(core))
            }

            /// Sends a message if that is possible at once. libzmq: `ZMQ_DONTWAIT`.
            ///
            /// # Errors
            ///
            /// [`Full`](crate::SendErrorKind::Full) or [`NoPeer`](crate::SendErrorKind::NoPeer), or as
            /// [`send`](Self::send). The message is in the error.
            #[inline]
            pub fn try_send(&self, message: impl Into<crate::Message>) -> Result<(), crate::SendError> {
                let core = &*self.handle.core;
                core.try_send(message.into(), $offer(core))
            }

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

        /// Each clone has one place for a message on its way: `start_send` fills it, and `poll_ready`,
        /// `poll_flush` and `poll_close` pass it on. `poll_close` does not close the socket.
        impl futures_sink::Sink<crate::Message> for $socket {
            type Error = crate::SendError;

            fn poll_ready(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Result<(), Self::Error>> {
                self.poll_flush(cx)
            }

            fn start_send(
                mut self: std::pin::Pin<&mut Self>,
                message: crate::Message,
            ) -> Result<(), Self::Error> {
                let core = self.handle.core.clone();
                self.handle.start_send(message, $offer(&core))
            }

            fn poll_flush(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Result<(), Self::Error>> {
                // Not even the offer is made: a REQ's drops what is unread.
                if self.handle.outgoing.is_none() {
                    return std::task::Poll::Ready(Ok(()));
                }
                let core = self.handle.core.clone();
                self.handle.poll_outgoing(cx, $offer(&core))
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

pub(crate) use {receives, sends};

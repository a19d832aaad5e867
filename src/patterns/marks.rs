//! The high-water marks of a live socket, which may be changed at any time (C4).

/// Lets a socket type that sends change its mark.
macro_rules! send_mark {
    ($socket:ident) => {
        impl $socket {
            /// Changes the [`send_hwm`](Self::builder) of a live socket, for the peers that it has and those to come.
            /// A higher one lets a waiting `send` go on; a lower one drops nothing, and sends wait until they are
            /// under it. libzmq: `ZMQ_SNDHWM`, set at any time.
            pub fn set_send_hwm(&self, messages: usize) {
                self.handle.core.set_send_hwm(messages);
            }
        }
    };
}

/// Lets a socket type that receives change its mark.
macro_rules! recv_mark {
    ($socket:ident) => {
        impl $socket {
            /// Changes the [`recv_hwm`](Self::builder) of a live socket, for the peers that it has and those to come.
            /// A lower one drops nothing: no more is read of a peer until it is under it. libzmq: `ZMQ_RCVHWM`, set at
            /// any time.
            pub fn set_recv_hwm(&self, messages: usize) {
                self.handle.core.set_recv_hwm(messages);
            }
        }
    };
}
pub(crate) use {recv_mark, send_mark};

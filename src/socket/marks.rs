//! The high-water marks of a live socket, which may be changed at any time (C4).

use super::core::Core;
use crate::pipe::{Hwm, Wakes};

impl Core {
    /// Changes the mark of what is queued for each peer.
    pub(crate) fn set_send_hwm(&self, messages: usize) {
        let mut wakes = Wakes::new();
        self.outbox.lock().set_mark(Hwm::new(messages, self.options.send_hwm_bytes), &mut wakes);
        // Over inproc the receiver gives credit by halves of the sum.
        let remotes: Vec<_> = self.peers.lock().values().filter_map(|entry| entry.remote.clone()).collect();
        for (remote, key) in remotes {
            remote.inbox.lock().peer_mark(key, &mut wakes);
        }
        wakes.fire();
    }

    /// Changes the mark of what each peer has sent and is unread.
    pub(crate) fn set_recv_hwm(&self, messages: usize) {
        let mut wakes = Wakes::new();
        self.inbox.lock().set_mark(Hwm::new(messages, self.options.recv_hwm_bytes), &mut wakes);
        wakes.fire();
    }
}

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

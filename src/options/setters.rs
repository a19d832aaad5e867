//! The setters, each written once, for all that have them: a value with the options, and every builder. `set_connection`,
//! `set_shared` and `set_specific` lead to where an option lies: a value is changed at once, a builder keeps in mind what
//! is set on it (see `Overrides`).
//!
//! Whatever can be absent takes a value or `None`, and `None` means none: never, or no limit.

/// One setter.
macro_rules! setter {
    ($(#[$doc:meta])* $name:ident($arg:ident: $type:ty) => $part:ident, $($place:ident).+ = $value:expr) => {
        $(#[$doc])*
        pub fn $name(mut self, $arg: $type) -> Self {
            let value = $value;
            self.$part(move |part| part.$($place).+ = Clone::clone(&value));
            self
        }
    };
}

/// What belongs to a connection.
macro_rules! connection_setters {
    () => {
        crate::options::setter! {
            /// The first pause before connecting again; it doubles with each failure, up to
            /// [`reconnect_max`](Self::reconnect_max), with random jitter. Default: 100 ms.
            ///
            /// libzmq: `ZMQ_RECONNECT_IVL`
            reconnect_interval(interval: std::time::Duration) => set_connection, reconnect_interval = interval
        }
        crate::options::setter! {
            /// The longest pause before connecting again; shorter than the first, it is as long. Default: 2 s.
            ///
            /// libzmq: `ZMQ_RECONNECT_IVL_MAX`
            reconnect_max(max: std::time::Duration) => set_connection, reconnect_max = max
        }
        crate::options::setter! {
            /// Whether to connect again after a failure or a loss. Default: yes.
            ///
            /// libzmq: `ZMQ_RECONNECT_IVL` of -1 turns it off
            reconnect(on: bool) => set_connection, reconnect = on
        }
        /// After how much silence a peer is sent a PING, every `interval`, and how long after the first PING it is given
        /// up if it stays silent: so it is always asked before. Any byte counts as a sign of life, so a busy
        /// connection has no heartbeats. `None`: never. Default: 30 s and 60 s, which is 90 s after the last byte, for
        /// peers of ZMTP 3.1 and above (libzmq: never).
        ///
        /// libzmq: `ZMQ_HEARTBEAT_IVL`, `ZMQ_HEARTBEAT_TIMEOUT`
        pub fn heartbeat(
            mut self,
            interval: impl Into<Option<std::time::Duration>>,
            timeout: std::time::Duration,
        ) -> Self {
            let interval = interval.into();
            self.set_connection(move |part| (part.heartbeat, part.heartbeat_timeout) = (interval, timeout));
            self
        }
        crate::options::setter! {
            /// What the peer is asked to do likewise: to give us up after this much silence. At most 65.5 s, in tenths
            /// of a second; `None` for nothing. Needs [`heartbeat`](Self::heartbeat). Default: nothing.
            ///
            /// libzmq: `ZMQ_HEARTBEAT_TTL`
            heartbeat_ttl(ttl: impl Into<Option<std::time::Duration>>) => set_connection, heartbeat_ttl = ttl.into()
        }
        crate::options::setter! {
            /// The time from the connection to the end of the handshake, for both sides; absolute,
            /// however slowly bytes trickle in. Default: 10 s (libzmq: 30 s).
            ///
            /// libzmq: `ZMQ_HANDSHAKE_IVL`
            handshake_timeout(timeout: std::time::Duration) => set_connection, handshake_timeout =
                timeout.min(crate::clock::FOR_EVER)
        }
        crate::options::setter! {
            /// How long a peer may stop in the middle of a message, without a byte, before its connection is closed;
            /// `None`: for ever. It does not run while this side is not reading. Default: 60 s (libzmq: for ever).
            progress_timeout(timeout: impl Into<Option<std::time::Duration>>) => set_connection, progress_timeout =
                Option::map(timeout.into(), |timeout| timeout.min(crate::clock::FOR_EVER))
        }
        crate::options::setter! {
            /// The largest message that a peer may send, in bytes; each part of a multipart message
            /// counts 64 more. A peer that sends a larger one is disconnected when its header
            /// arrives. `None` or 0: no limit. Default: 64 MiB (libzmq: none, and per frame).
            ///
            /// libzmq: `ZMQ_MAXMSGSIZE`
            max_message_size(bytes: impl Into<Option<usize>>) => set_connection, max_message_size =
                bytes.into().unwrap_or(0)
        }
        crate::options::setter! {
            /// The most parts that a message of a peer may have; `None` or 0: no limit. Default: 4,096 (libzmq: no limit).
            max_parts(parts: impl Into<Option<usize>>) => set_connection, max_parts = parts.into().unwrap_or(0)
        }
        crate::options::setter! {
            /// The largest handshake command that a peer may send, in bytes; `None` or 0: no limit. Default: 64 KiB.
            max_handshake_frame(bytes: impl Into<Option<usize>>) => set_connection, max_handshake_frame =
                bytes.into().unwrap_or(0)
        }
        crate::options::setter! {
            /// Handshakes in progress on one listener; `None` or 0: no limit. One source address gets an eighth of them,
            /// unless it is the loopback; when all are taken, the oldest of the busiest source
            /// gives way to the newcomer. Default: 128.
            max_pending_handshakes(count: impl Into<Option<usize>>) => set_connection, max_pending_handshakes =
                count.into().unwrap_or(0)
        }
        /// A property that every peer is told in the handshake; the name begins with `X-`. May be given several times.
        ///
        /// libzmq: `ZMQ_METADATA`
        pub fn metadata(mut self, name: impl Into<String>, value: impl Into<bytes::Bytes>) -> Self {
            let property = (name.into(), value.into());
            self.set_connection(move |part| part.metadata.push(property.clone()));
            self
        }
        crate::options::setter! {
            /// Whether `tcp://*` means IPv6 as well, and names are resolved to IPv6 addresses first.
            /// Default: no. Literal IPv6 addresses work either way.
            ///
            /// libzmq: `ZMQ_IPV6`
            ipv6(on: bool) => set_connection, transport.ipv6 = on
        }
        crate::options::setter! {
            /// Connections that wait to be accepted, per listener. Default: 4096, or the system's limit if that is less.
            ///
            /// libzmq: `ZMQ_BACKLOG`, which is 100: when more connect at once, the system lets each of the rest try
            /// again after 1, 3 and 7 seconds.
            backlog(connections: u32) => set_connection, transport.backlog = connections
        }
        crate::options::setter! {
            /// The time for one attempt to connect; `None`: the system's. Default: `None`.
            ///
            /// libzmq: `ZMQ_CONNECT_TIMEOUT`
            connect_timeout(timeout: impl Into<Option<std::time::Duration>>) => set_connection,
                transport.connect_timeout = timeout.into()
        }
        crate::options::setter! {
            /// The kernel's send buffer of each connection, in bytes; `None`: the system's. Default: `None`.
            ///
            /// libzmq: `ZMQ_SNDBUF`
            send_buffer(bytes: impl Into<Option<usize>>) => set_connection, transport.send_buffer = bytes.into()
        }
        crate::options::setter! {
            /// The kernel's receive buffer of each connection, in bytes; `None`: the system's. Default: `None`.
            ///
            /// libzmq: `ZMQ_RCVBUF`
            recv_buffer(bytes: impl Into<Option<usize>>) => set_connection, transport.recv_buffer = bytes.into()
        }
        crate::options::setter! {
            /// The type of service of each packet; `None`: the system's. Default: `None`.
            ///
            /// libzmq: `ZMQ_TOS`
            tos(tos: impl Into<Option<u32>>) => set_connection, transport.tos = tos.into()
        }
        crate::options::setter! {
            /// The network interface that all traffic goes through; `None`: any. Linux only; needs privileges. Default:
            /// `None`.
            ///
            /// libzmq: `ZMQ_BINDTODEVICE`
            bind_to_device(name: impl Into<Option<String>>) => set_connection, transport.bind_to_device = name.into()
        }
        crate::options::setter! {
            /// How long sent bytes may stay unacknowledged before TCP gives the connection up; it
            /// also ends connections whose peer has stopped reading. `None`: the system's. Linux only. Default: `None`.
            ///
            /// libzmq: `ZMQ_TCP_MAXRT`
            tcp_user_timeout(timeout: impl Into<Option<std::time::Duration>>) => set_connection,
                transport.user_timeout = timeout.into()
        }
        crate::options::setter! {
            /// How TCP probes an idle peer; `None`: not at all. Default: `None`.
            ///
            /// libzmq: `ZMQ_TCP_KEEPALIVE`
            tcp_keepalive(keepalive: impl Into<Option<crate::Keepalive>>) => set_connection,
                transport.tcp_keepalive = keepalive.into()
        }
    };
}

/// What belongs to a socket of any type.
macro_rules! shared_setters {
    () => {
        crate::options::setter! {
            /// How long `close`, and dropping the last clone, goes on writing what is queued;
            /// `None`: for ever. Default: 5 s, or nothing for a SUB and XSUB. libzmq lingers for
            /// ever by default, which hangs programs at their end; not at all would lose the last
            /// messages of every program that sends and exits. 5 s cover a reconnect.
            ///
            /// libzmq: `ZMQ_LINGER`
            linger(linger: impl Into<Option<std::time::Duration>>) => set_shared, linger = Some(linger.into())
        }
        crate::options::setter! {
            /// Whether an endpoint takes messages only while its connection is up. Default: no, it
            /// queues from `connect` on, and its share waits while the peer is away.
            ///
            /// libzmq: `ZMQ_IMMEDIATE`
            immediate(on: bool) => set_shared, immediate = on
        }
        crate::options::setter! {
            /// Peers at a time, those included of which messages are still unread; `None` or 0: no limit. Default: 16,384,
            /// but at most half of the file descriptors that the process may open.
            max_connections(count: impl Into<Option<usize>>) => set_shared, max_connections =
                count.into().unwrap_or(0)
        }
    };
}

/// What belongs to a socket that sends.
macro_rules! sending_setters {
    () => {
        crate::options::setter! {
            /// Messages that may be queued for each peer; `None` or 0: no limit. Exact: what is being written
            /// counts until the kernel has it. `set_send_hwm` changes it later. Default: 1000.
            ///
            /// libzmq: `ZMQ_SNDHWM`
            send_hwm(messages: impl Into<Option<usize>>) => set_shared, send_hwm = messages.into().unwrap_or(0)
        }
        crate::options::setter! {
            /// Bytes that may be queued for each peer, whichever limit is reached first; `None` or 0: no limit.
            /// One message always fits. Default: 16 MiB (libzmq: no limit).
            send_hwm_bytes(bytes: impl Into<Option<usize>>) => set_shared, send_hwm_bytes = bytes.into().unwrap_or(0)
        }
    };
}

/// What belongs to a socket that receives.
macro_rules! receiving_setters {
    () => {
        crate::options::setter! {
            /// Messages of each peer that may wait to be received; `None` or 0: no limit. A full queue stops
            /// reading that peer, which slows it down; like the kernel's buffers, the connection's
            /// hold some bytes more, 320 KiB at most. `set_recv_hwm` changes it later. Default: 1000.
            ///
            /// libzmq: `ZMQ_RCVHWM`
            recv_hwm(messages: impl Into<Option<usize>>) => set_shared, recv_hwm = messages.into().unwrap_or(0)
        }
        crate::options::setter! {
            /// Bytes of each peer that may wait to be received, whichever limit is reached first;
            /// `None` or 0: no limit. One message always fits. Default: 16 MiB (libzmq: no limit).
            recv_hwm_bytes(bytes: impl Into<Option<usize>>) => set_shared, recv_hwm_bytes = bytes.into().unwrap_or(0)
        }
    };
}

pub(crate) use {connection_setters, receiving_setters, sending_setters, setter, shared_setters};

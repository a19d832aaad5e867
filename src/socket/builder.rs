//! The setters, each written once; a builder is made of those that its type has.

use crate::error::OptionError;
use crate::options::Options;
use crate::proto::metadata;

/// Checks what setters could not: builders fail loudly, before use.
pub(crate) fn check(options: &Options) -> Result<(), OptionError> {
    let fail = |option, problem| Err(OptionError { option, problem });
    if options.heartbeat.is_some_and(|heartbeat| heartbeat.interval.is_zero() || heartbeat.timeout.is_zero())
    {
        return fail("heartbeat", "interval and timeout must be above zero; `None` turns heartbeats off");
    }
    if !options.routing_id.is_empty() && !metadata::is_identity(&options.routing_id) {
        return fail("routing_id", "must be 1 to 255 bytes and not begin with a zero byte");
    }
    if options.metadata.iter().any(|(name, _)| !name.starts_with("X-") || !metadata::is_name(name.as_bytes()))
    {
        return fail(
            "metadata",
            "a name begins with `X-` and has 3 to 255 of the characters A-Z a-z 0-9 - _ . +",
        );
    }
    if options.handshake_timeout.is_zero() {
        return fail("handshake_timeout", "must be above zero: a silent peer would hold its place for ever");
    }
    if options.progress_timeout.is_some_and(|timeout| timeout.is_zero()) {
        return fail("progress_timeout", "must be above zero; `None` waits for ever");
    }
    if options.max_parts == 0 {
        return fail("max_parts", "must be at least 1");
    }
    if options.reconnect.is_some_and(|reconnect| reconnect.interval.is_zero()) {
        return fail("reconnect_interval", "must be above zero; `reconnect(false)` turns reconnecting off");
    }
    Ok(())
}

/// A builder with the setters that every type has, and those of the given groups.
macro_rules! builder {
    ($(#[$doc:meta])* $builder:ident => $socket:ident, [$($group:ident),*]) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default)]
        #[must_use = "a builder does nothing until `build`"]
        pub struct $builder {
            options: crate::options::Options,
        }

        impl $builder {
            /// Makes the socket.
            ///
            /// # Errors
            ///
            /// If an option has a value that it cannot have.
            pub fn build(self) -> Result<$socket, crate::OptionError> {
                crate::socket::builder::check(&self.options)?;
                Ok($socket::from_options(self.options))
            }

            crate::socket::builder::common!();
            $($group!();)*
        }
    };
}

/// One setter.
macro_rules! set {
    ($(#[$doc:meta])* $name:ident($arg:ident: $type:ty) => $($place:ident).+ = $value:expr) => {
        $(#[$doc])*
        pub fn $name(mut self, $arg: $type) -> Self {
            self.options.$($place).+ = $value;
            self
        }
    };
}

macro_rules! common {
    () => {
        crate::socket::builder::set! {
            /// The name space for `inproc://`. Default: one for the whole process.
            context(context: &crate::Context) => context = context.clone()
        }
        crate::socket::builder::set! {
            /// How long `close`, and dropping the last clone, goes on writing what is queued;
            /// `None`: for ever. Default: 5 s, or nothing for a SUB and XSUB. libzmq lingers for
            /// ever by default, which hangs programs at their end; not at all would lose the last
            /// messages of every program that sends and exits. 5 s cover a reconnect.
            ///
            /// libzmq: `ZMQ_LINGER`
            linger(linger: impl Into<Option<std::time::Duration>>) => linger = Some(linger.into())
        }
        crate::socket::builder::set! {
            /// Whether an endpoint takes messages only while its connection is up. Default: no, it
            /// queues from `connect` on, and its share waits while the peer is away.
            ///
            /// libzmq: `ZMQ_IMMEDIATE`
            immediate(on: bool) => immediate = on
        }
        /// The first pause before connecting again; it doubles with each failure, up to
        /// [`reconnect_max`](Self::reconnect_max), with random jitter. Default: 100 ms.
        ///
        /// libzmq: `ZMQ_RECONNECT_IVL`
        pub fn reconnect_interval(mut self, interval: std::time::Duration) -> Self {
            let reconnect = self.options.reconnect.get_or_insert_default();
            reconnect.interval = interval;
            reconnect.max = reconnect.max.max(interval);
            self
        }
        /// The longest pause before connecting again. Default: 2 s.
        ///
        /// libzmq: `ZMQ_RECONNECT_IVL_MAX`
        pub fn reconnect_max(mut self, max: std::time::Duration) -> Self {
            self.options.reconnect.get_or_insert_default().max = max;
            self
        }
        /// Whether to connect again after a failure or a loss. Default: yes.
        ///
        /// libzmq: `ZMQ_RECONNECT_IVL` of -1 turns it off
        pub fn reconnect(mut self, on: bool) -> Self {
            self.options.reconnect = if on { Some(self.options.reconnect.unwrap_or_default()) } else { None };
            self
        }
        /// After how much silence a peer is sent a PING, every `interval`, and after how much it is given up. Any
        /// byte counts as a sign of life, so a busy connection has no heartbeats. `None`: never. Default: 30 s and
        /// 90 s, for peers of ZMTP 3.1 and above (libzmq: never). A timeout that is not longer
        /// than the interval counts from the PING, as libzmq's does: a peer is always asked before it is given up.
        ///
        /// libzmq: `ZMQ_HEARTBEAT_IVL`, `ZMQ_HEARTBEAT_TIMEOUT`
        pub fn heartbeat(
            mut self,
            interval: Option<std::time::Duration>,
            timeout: std::time::Duration,
        ) -> Self {
            let ttl = self.options.heartbeat.map(|heartbeat| heartbeat.ttl).unwrap_or_default();
            self.options.heartbeat = interval.map(|interval| {
                let [interval, timeout] = [interval, timeout].map(|limit| limit.min(crate::options::FOR_EVER));
                let from_ping = !timeout.is_zero() && timeout <= interval;
                let timeout = if from_ping { interval + timeout } else { timeout };
                crate::options::Heartbeat { interval, timeout, ttl }
            });
            self
        }
        /// What the peer is asked to do likewise: to give us up after this much silence. At most 65.5 s, in tenths
        /// of a second; zero for nothing. Needs [`heartbeat`](Self::heartbeat). Default: nothing.
        ///
        /// libzmq: `ZMQ_HEARTBEAT_TTL`
        pub fn heartbeat_ttl(mut self, ttl: std::time::Duration) -> Self {
            if let Some(heartbeat) = &mut self.options.heartbeat {
                heartbeat.ttl = ttl;
            }
            self
        }
        crate::socket::builder::set! {
            /// The time from the connection to the end of the handshake, for both sides; absolute,
            /// however slowly bytes trickle in. Default: 10 s (libzmq: 30 s).
            ///
            /// libzmq: `ZMQ_HANDSHAKE_IVL`
            handshake_timeout(timeout: std::time::Duration) => handshake_timeout = timeout.min(crate::options::FOR_EVER)
        }
        crate::socket::builder::set! {
            /// How long a peer may stop in the middle of a message, without a byte, before its connection is closed;
            /// `None`: for ever. It does not run while this side is not reading. Default: 60 s (libzmq: for ever).
            progress_timeout(timeout: impl Into<Option<std::time::Duration>>) => progress_timeout =
                Option::map(timeout.into(), |timeout| timeout.min(crate::options::FOR_EVER))
        }
        crate::socket::builder::set! {
            /// The largest message that a peer may send, in bytes; each part of a multipart message
            /// counts 64 more. A peer that sends a larger one is disconnected when its header
            /// arrives. `usize::MAX`: no limit. Default: 64 MiB (libzmq: none, and per frame).
            ///
            /// libzmq: `ZMQ_MAXMSGSIZE`
            max_message_size(bytes: usize) => max_message_size = bytes
        }
        crate::socket::builder::set! {
            /// The most parts that a message of a peer may have. Default: 4,096 (libzmq: no limit).
            max_parts(parts: usize) => max_parts = parts
        }
        crate::socket::builder::set! {
            /// The largest handshake command that a peer may send, in bytes. Default: 64 KiB.
            max_handshake_frame(bytes: usize) => max_handshake_frame = bytes
        }
        crate::socket::builder::set! {
            /// Handshakes in progress on one listener. One source address gets an eighth of them,
            /// unless it is the loopback; when all are taken, the oldest of the busiest source
            /// gives way to the newcomer. Default: 128.
            max_pending_handshakes(count: usize) => max_pending_handshakes = count
        }
        crate::socket::builder::set! {
            /// Peers at a time, those included of which messages are still unread. Default: 16,384,
            /// but at most half of the file descriptors that the process may open.
            max_connections(count: usize) => max_connections = count
        }
        /// A property that every peer is told in the handshake; the name begins with `X-`.
        ///
        /// libzmq: `ZMQ_METADATA`
        pub fn metadata(mut self, name: impl Into<String>, value: impl Into<bytes::Bytes>) -> Self {
            self.options.metadata.push((name.into(), value.into()));
            self
        }
        crate::socket::builder::set! {
            /// Whether `tcp://*` means IPv6 as well, and names are resolved to IPv6 addresses first.
            /// Default: no. Literal IPv6 addresses work either way.
            ///
            /// libzmq: `ZMQ_IPV6`
            ipv6(on: bool) => transport.ipv6 = on
        }
        crate::socket::builder::set! {
            /// Connections that wait to be accepted, per listener. Default: 4096, or the system's limit if that is less.
            ///
            /// libzmq: `ZMQ_BACKLOG`, which is 100: when more connect at once, the system lets each of the rest try
            /// again after 1, 3 and 7 seconds.
            backlog(connections: u32) => transport.backlog = connections
        }
        crate::socket::builder::set! {
            /// The time for one attempt to connect. Default: the system's.
            ///
            /// libzmq: `ZMQ_CONNECT_TIMEOUT`
            connect_timeout(timeout: std::time::Duration) => transport.connect_timeout = Some(timeout)
        }
        crate::socket::builder::set! {
            /// The kernel's send buffer of each connection, in bytes. Default: the system's.
            ///
            /// libzmq: `ZMQ_SNDBUF`
            send_buffer(bytes: usize) => transport.send_buffer = Some(bytes)
        }
        crate::socket::builder::set! {
            /// The kernel's receive buffer of each connection, in bytes. Default: the system's.
            ///
            /// libzmq: `ZMQ_RCVBUF`
            recv_buffer(bytes: usize) => transport.recv_buffer = Some(bytes)
        }
        crate::socket::builder::set! {
            /// The type of service of each packet. Default: the system's.
            ///
            /// libzmq: `ZMQ_TOS`
            tos(tos: u32) => transport.tos = Some(tos)
        }
        crate::socket::builder::set! {
            /// The network interface that all traffic goes through. Linux only; needs privileges.
            ///
            /// libzmq: `ZMQ_BINDTODEVICE`
            bind_to_device(name: impl Into<String>) => transport.bind_to_device = Some(name.into())
        }
        crate::socket::builder::set! {
            /// How long sent bytes may stay unacknowledged before TCP gives the connection up; it
            /// also ends connections whose peer has stopped reading. Linux only. Default: the system's.
            ///
            /// libzmq: `ZMQ_TCP_MAXRT`
            tcp_user_timeout(timeout: std::time::Duration) => transport.user_timeout = Some(timeout)
        }
        /// Has TCP probe an idle peer after `idle`, every `interval`, and give it up after `count`
        /// probes; `None` is the system's value. Default: off.
        ///
        /// libzmq: `ZMQ_TCP_KEEPALIVE`, `_IDLE`, `_INTVL`, `_CNT`
        pub fn tcp_keepalive(
            mut self,
            idle: Option<std::time::Duration>,
            interval: Option<std::time::Duration>,
            count: Option<u32>,
        ) -> Self {
            self.options.transport.tcp_keepalive =
                Some(crate::transport::Keepalive { idle, interval, count });
            self
        }
    };
}

macro_rules! sending {
    () => {
        crate::socket::builder::set! {
            /// Messages that may be queued for each peer; 0: no limit. Exact: what is being written
            /// counts until the kernel has it. `set_send_hwm` changes it later. Default: 1000.
            ///
            /// libzmq: `ZMQ_SNDHWM`
            send_hwm(messages: usize) => send_hwm = messages
        }
        crate::socket::builder::set! {
            /// Bytes that may be queued for each peer, whichever limit is reached first; 0: no limit.
            /// One message always fits. Default: 16 MiB (libzmq: no limit).
            send_hwm_bytes(bytes: usize) => send_hwm_bytes = bytes
        }
    };
}

macro_rules! receiving {
    () => {
        crate::socket::builder::set! {
            /// Messages of each peer that may wait to be received; 0: no limit. A full queue stops
            /// reading that peer, which slows it down; like the kernel's buffers, the connection's
            /// hold some bytes more, 320 KiB at most. `set_recv_hwm` changes it later. Default: 1000.
            ///
            /// libzmq: `ZMQ_RCVHWM`
            recv_hwm(messages: usize) => recv_hwm = messages
        }
        crate::socket::builder::set! {
            /// Bytes of each peer that may wait to be received, whichever limit is reached first;
            /// 0: no limit. One message always fits. Default: 16 MiB (libzmq: no limit).
            recv_hwm_bytes(bytes: usize) => recv_hwm_bytes = bytes
        }
    };
}

macro_rules! conflating {
    () => {
        crate::socket::builder::set! {
            /// Whether only the newest message of each peer is kept, whole, and the high-water
            /// marks do not apply. Default: no.
            ///
            /// libzmq: `ZMQ_CONFLATE`
            conflate(on: bool) => conflate = on
        }
    };
}

macro_rules! identified {
    () => {
        crate::socket::builder::set! {
            /// The name by which a ROUTER knows this socket: 1 to 255 bytes, the first not zero.
            /// Default: none, and the ROUTER makes one up.
            ///
            /// libzmq: `ZMQ_ROUTING_ID`
            routing_id(id: impl Into<bytes::Bytes>) => routing_id = id.into()
        }
    };
}

macro_rules! probing {
    () => {
        crate::socket::builder::set! {
            /// Whether every connection opens with an empty message, so that a ROUTER learns of
            /// this socket before it has something to say. Default: no.
            ///
            /// libzmq: `ZMQ_PROBE_ROUTER`
            probe_router(on: bool) => pattern.probe_router = on
        }
    };
}

macro_rules! greeting {
    () => {
        /// A message that opens every connection, sent before any other; none if it is empty. Default: none.
        ///
        /// libzmq: `ZMQ_HELLO_MSG`
        pub fn hello(mut self, message: impl Into<bytes::Bytes>) -> Self {
            self.options.pattern.hello = Some(message.into()).filter(|message| !message.is_empty());
            self
        }
    };
}

pub(crate) use {builder, common, conflating, greeting, identified, probing, receiving, sending, set};

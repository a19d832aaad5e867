//! TCP: names to addresses, socket options, and the order in which addresses are tried.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::pin::pin;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{BindError, Keepalive, TransportOptions, set_buffers};
use crate::clock::{Elapsed, timeout};
use crate::endpoint::{Address, Host, TcpAddress};

/// Listens on the first address of the host that this machine has; gives the address back with its real port.
pub(super) async fn bind(
    address: &Address,
    tcp: &TcpAddress,
    options: &TransportOptions,
) -> Result<(TcpListener, SocketAddr), BindError> {
    let no_such_interface = || BindError::NoSuchInterface { endpoint: address.into() };
    let mut candidates = resolve(&tcp.host, tcp.port, Side::Local, options)
        .await
        .map_err(|_| no_such_interface())?
        .into_iter();
    let mut candidate = candidates.next().ok_or_else(no_such_interface)?;
    loop {
        let error = match listen(candidate, options) {
            Ok(bound) => return Ok(bound),
            Err(error) => error,
        };
        // Only a family that the host lacks is passed over (D1.5): a taken port must not become another address.
        candidate = match candidates.next() {
            Some(next) if is_absent(candidate, &error) => next,
            _ => return Err(BindError::io(address, error)),
        };
    }
}

/// Tries each address of the host in turn, from the source address if there is one.
pub(super) async fn connect(address: &TcpAddress, options: &TransportOptions) -> io::Result<TcpStream> {
    let sources = match &address.source {
        Some((host, port)) => Some(resolve(host, *port, Side::Local, options).await?),
        None => None,
    };
    let targets = resolve(&address.host, address.port, Side::Remote, options).await?;
    connect_any(&targets, sources.as_deref(), options).await
}

/// Sets what belongs to a connection. A listener gets it too: to fail at `bind`, and for what must precede `listen`.
pub(super) fn tune(socket: &SockRef<'_>, ipv6: bool, options: &TransportOptions) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    set_buffers(socket, options)?;
    if let Some(keepalive) = &options.tcp_keepalive {
        socket.set_tcp_keepalive(&keepalive_params(keepalive))?;
    }
    if let Some(tos) = options.tos {
        set_tos(socket, ipv6, tos)?;
    }
    if let Some(timeout) = options.user_timeout {
        set_user_timeout(socket, timeout)?;
    }
    Ok(())
}

/// Within one machine no network can be congested, but where BBR is the system's default it paces such a connection
/// all the same, with a timer for every 64 KiB. Without it 256 B go at 10.6 M/s instead of 8.4, 8 KiB at 6.8 GB/s
/// instead of 3.8, 1 MiB at 9.4 instead of 4.0. Reno is in every Linux, and free to use.
#[cfg(target_os = "linux")]
pub(super) fn unpace(stream: &TcpStream) -> io::Result<()> {
    if is_within_the_machine(stream.local_addr()?.ip(), stream.peer_addr()?.ip()) {
        // Where a system refuses it, it is only slower.
        _ = SockRef::from(stream).set_tcp_congestion(b"reno");
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn is_within_the_machine(local: IpAddr, peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback() || peer == local
}

#[cfg(not(target_os = "linux"))]
pub(super) fn unpace(_: &TcpStream) -> io::Result<()> {
    Ok(())
}

fn listen(address: SocketAddr, options: &TransportOptions) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = open(address, options)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // On Windows the option lets a second socket steal the port.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    let listener = TcpListener::from_std(socket.into())?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

async fn connect_any(
    targets: &[SocketAddr],
    sources: Option<&[SocketAddr]>,
    options: &TransportOptions,
) -> io::Result<TcpStream> {
    let mut first_error = None;
    for target in targets {
        let attempt = connect_one(reachable(*target), sources, options);
        match within(options.connect_timeout, attempt).await {
            Ok(stream) => return Ok(stream),
            Err(error) => _ = first_error.get_or_insert(error),
        }
    }
    Err(first_error
        .unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host name has no address")))
}

async fn connect_one(
    target: SocketAddr,
    sources: Option<&[SocketAddr]>,
    options: &TransportOptions,
) -> io::Result<TcpStream> {
    let socket = open(target, options)?;
    if let Some(sources) = sources {
        let source = sources.iter().find(|source| source.is_ipv6() == target.is_ipv6()).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                "the source has no address of the target's family",
            )
        })?;
        // D1.4; on Windows the option would share the port with its present owner.
        #[cfg(not(windows))]
        socket.set_reuse_address(true)?;
        socket.bind(&(*source).into())?;
    }
    let stream = TcpSocket::from_std_stream(socket.into()).connect(target).await?;
    refuse_self(&stream)?;
    unpace(&stream)?;
    Ok(stream)
}

/// A1.9: an ephemeral source port that equals the target's makes TCP connect the socket to itself.
fn refuse_self(stream: &TcpStream) -> io::Result<()> {
    if stream.local_addr()? != stream.peer_addr()? {
        return Ok(());
    }
    // Without this the closed connection holds the port in TIME_WAIT against the listener that is meant to take it.
    SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
    Err(io::Error::new(
        io::ErrorKind::ConnectionRefused,
        "the socket connected to itself: nobody listens there",
    ))
}

fn open(address: SocketAddr, options: &TransportOptions) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    tune(&SockRef::from(&socket), address.is_ipv6(), options)?;
    if let Some(device) = &options.bind_to_device {
        bind_device(&socket, device)?;
    }
    Ok(socket)
}

/// Whose names a host is looked up among.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    /// Interfaces first, then host names.
    Local,
    Remote,
}

/// The addresses of a host, best first.
async fn resolve(
    host: &Host,
    port: u16,
    side: Side,
    options: &TransportOptions,
) -> io::Result<Vec<SocketAddr>> {
    let mut found = match host {
        Host::Any => vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()],
        Host::Ip(ip) => vec![(*ip, port).into()],
        Host::Zoned(ip, zone) => vec![SocketAddrV6::new(*ip, port, 0, zone_index(zone)?).into()],
        Host::Name(name) => {
            let local = if side == Side::Local { interface(name, port, options.ipv6)? } else { Vec::new() };
            if local.is_empty() {
                within(options.connect_timeout, tokio::net::lookup_host((name.as_str(), port)))
                    .await?
                    .collect()
            } else {
                local
            }
        }
    };
    if !options.ipv6 {
        // The sort is stable: within a family the resolver's order stands.
        found.sort_by_key(SocketAddr::is_ipv6);
    }
    Ok(found)
}

/// The addresses of a network interface; a link-local one comes last, because peers rarely mean it.
fn interface(name: &str, port: u16, ipv6: bool) -> io::Result<Vec<SocketAddr>> {
    let mut found: Vec<SocketAddr> = if_addrs::get_if_addrs()?
        .into_iter()
        .filter(|interface| interface.name == name)
        .map(|interface| match interface.ip() {
            IpAddr::V6(ip) if ip.is_unicast_link_local() => {
                SocketAddrV6::new(ip, port, 0, interface.index.unwrap_or(0)).into()
            }
            ip => (ip, port).into(),
        })
        .collect();
    found.sort_by_key(|address| match address {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => 2,
        _ if address.is_ipv6() == ipv6 => 0,
        _ => 1,
    });
    Ok(found)
}

fn zone_index(zone: &str) -> io::Result<u32> {
    if let Ok(index) = zone.parse() {
        return Ok(index);
    }
    let interfaces = if_addrs::get_if_addrs()?;
    let named = interfaces.into_iter().find(|interface| interface.name == zone);
    named
        .and_then(|interface| interface.index)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the IPv6 zone names no interface"))
}

/// D1.7: `0.0.0.0` and `[::]` are what `bind` gave back. Linux takes them for the loopback; other systems refuse.
fn reachable(mut target: SocketAddr) -> SocketAddr {
    match target.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => target.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => target.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    target
}

/// Does this machine lack the address, or its whole family? The error of the latter has no name in `std`.
fn is_absent(address: SocketAddr, error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || Socket::new(Domain::for_address(address), Type::STREAM, None).is_err()
}

async fn within<T>(limit: Option<Duration>, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match limit {
        Some(limit) => {
            let in_time = timeout(limit, pin!(work)).await;
            in_time.unwrap_or_else(|Elapsed| Err(io::ErrorKind::TimedOut.into()))
        }
        None => work.await,
    }
}

fn keepalive_params(keepalive: &Keepalive) -> TcpKeepalive {
    let mut params = TcpKeepalive::new();
    if let Some(idle) = keepalive.idle {
        params = params.with_time(idle);
    }
    // OpenBSD and its like have only one value, for the whole system.
    #[cfg(any(
        target_os = "linux",
        target_os = "android",
        target_vendor = "apple",
        target_os = "freebsd",
        windows
    ))]
    {
        if let Some(interval) = keepalive.interval {
            params = params.with_interval(interval);
        }
        if let Some(count) = keepalive.count {
            params = params.with_retries(count);
        }
    }
    params
}

fn set_tos(socket: &SockRef<'_>, ipv6: bool, tos: u32) -> io::Result<()> {
    if !ipv6 {
        return socket.set_tos_v4(tos);
    }
    // IPv4 peers of a dual-stack socket; a system may refuse it on a socket of IPv6.
    _ = socket.set_tos_v4(tos);
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "macos", target_os = "freebsd"))]
    socket.set_tclass_v6(tos)?;
    Ok(())
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn set_user_timeout(socket: &SockRef<'_>, timeout: Duration) -> io::Result<()> {
    socket.set_tcp_user_timeout(Some(timeout))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn set_user_timeout(_: &SockRef<'_>, _: Duration) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux has TCP_USER_TIMEOUT: leave the option out"))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn bind_device(socket: &Socket, device: &str) -> io::Result<()> {
    socket.bind_device(Some(device.as_bytes()))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn bind_device(_: &Socket, _: &str) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux has SO_BINDTODEVICE: leave the option out"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{address, bind, connect, exchange, network};
    use super::super::{Io, Listener, Stream, connect as connect_with};
    use super::*;
    use crate::endpoint::Endpoint;

    fn ip(endpoint: &Endpoint) -> IpAddr {
        match network(endpoint) {
            Address::Tcp(TcpAddress { host: Host::Ip(ip), .. }) => ip,
            other => panic!("{other} has no numeric host"),
        }
    }

    async fn has_ipv6() -> bool {
        let found = bind("tcp://[::1]:*").await.is_ok();
        if !found {
            eprintln!("SKIPPED: this machine has no IPv6 loopback");
        }
        found
    }

    fn socket(stream: &Stream) -> SockRef<'_> {
        match &stream.io {
            Io::Tcp(io) => SockRef::from(io),
            #[cfg(all(unix, feature = "ipc"))]
            Io::Unix(io) => SockRef::from(io),
        }
    }

    #[tokio::test]
    async fn d1_1_wildcard_ports_come_back_as_real_ones() {
        for text in ["tcp://127.0.0.1:0", "tcp://127.0.0.1:*", "tcp://localhost:*", "tcp://*:*"] {
            let (listener, bound) = bind(text).await.unwrap();
            assert!(bound.port().is_some(), "{text}");
            exchange_on_loopback(&listener, &bound).await;
        }
    }

    /// The ends of a connection to `0.0.0.0` go by the loopback.
    async fn exchange_on_loopback(listener: &Listener, bound: &Endpoint) {
        exchange(listener, &format!("tcp://127.0.0.1:{}", bound.port().unwrap()).parse().unwrap()).await;
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn d1_1_an_interface_goes_by_its_name() {
        let (listener, bound) = bind("tcp://lo:*").await.unwrap();
        assert_eq!(ip(&bound), Ipv4Addr::LOCALHOST);
        exchange(&listener, &bound).await;
    }

    #[tokio::test]
    async fn d1_1_names_that_are_nothing_here() {
        // A label of more than 63 bytes fails without a question to the DNS.
        for host in ["x".repeat(64), "[fe80::1%nosuch0]".to_owned()] {
            let error = bind(&format!("tcp://{host}:*")).await.unwrap_err();
            assert!(matches!(error, BindError::NoSuchInterface { .. }), "{error:?}");
        }
        // RFC 5737: never the address of a machine.
        let error = bind("tcp://203.0.113.1:*").await.unwrap_err();
        assert!(matches!(error, BindError::NotLocal { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn a_port_in_use_is_not_another_address() {
        let (_listener, bound) = bind("tcp://127.0.0.1:*").await.unwrap();
        for host in ["127.0.0.1", "localhost", "*"] {
            let error = bind(&format!("tcp://{host}:{}", bound.port().unwrap())).await.unwrap_err();
            assert!(matches!(error, BindError::AddressInUse { .. }), "{host}: {error:?}");
        }
    }

    #[tokio::test]
    async fn a_port_is_free_after_close() {
        let (listener, bound) = bind("tcp://127.0.0.1:*").await.unwrap();
        exchange(&listener, &bound).await;
        drop(listener);
        assert_eq!(bind(&bound.to_string()).await.unwrap().1, bound);
    }

    #[tokio::test]
    async fn d1_5_ipv6_in_all_forms() {
        if !has_ipv6().await {
            return;
        }
        for text in ["tcp://[::1]:*", "tcp://[0:0::1]:0", "tcp://::1:*"] {
            let (listener, bound) = bind(text).await.unwrap();
            assert_eq!(ip(&bound), Ipv6Addr::LOCALHOST);
            exchange(&listener, &bound).await;
        }
    }

    #[tokio::test]
    async fn d1_5_any_is_dual_stack_when_asked() {
        let options = TransportOptions { ipv6: true, ..Default::default() };
        let (listener, bound) = Listener::bind(&address("tcp://*:*"), &options).await.unwrap();
        assert_eq!(ip(&bound).is_ipv6(), has_ipv6().await);
        let port = bound.port().unwrap();
        let _v4 = connect(&format!("tcp://127.0.0.1:{port}")).await.unwrap();
        listener.accept().await.unwrap();
    }

    #[tokio::test]
    async fn d1_5_every_address_of_a_name_is_tried() {
        let (_listener, bound) = bind("tcp://127.0.0.1:*").await.unwrap();
        let alive = SocketAddr::from(([127, 0, 0, 1], bound.port().unwrap()));
        let (_held, dead) = held_port();
        let options = TransportOptions::default();
        let stream = connect_any(&[dead, alive], None, &options).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), alive);
        let error = connect_any(&[dead], None, &options).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = connect_any(&[], None, &options).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    /// Bound and not listening: the port refuses, and cannot become another test's meanwhile.
    fn held_port() -> (Socket, SocketAddr) {
        let held = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        held.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = held.local_addr().unwrap().as_socket().unwrap();
        (held, address)
    }

    #[tokio::test]
    async fn d1_7_connecting_to_the_wildcard_address_that_was_bound() {
        let (listener, bound) = bind("tcp://*:*").await.unwrap();
        assert_eq!(ip(&bound), Ipv4Addr::UNSPECIFIED);
        exchange(&listener, &bound).await;
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn d1_4_the_source_address_is_what_the_peer_sees() {
        let (listener, bound) = bind("tcp://127.0.0.1:*").await.unwrap();
        let port = bound.port().unwrap();
        for (source, seen) in [("127.0.0.2", [127, 0, 0, 2]), ("lo", [127, 0, 0, 1]), ("*", [127, 0, 0, 1])] {
            let _dialed = connect(&format!("tcp://{source}:*;127.0.0.1:{port}")).await.unwrap();
            assert_eq!(ip(listener.accept().await.unwrap().peer()), IpAddr::from(seen), "{source}");
        }
        let error = connect(&format!("tcp://[::1]:*;127.0.0.1:{port}")).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[tokio::test]
    async fn nobody_listens() {
        let (_held, dead) = held_port();
        let error = connect(&Endpoint::from(dead).to_string()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a1_9_a_socket_connected_to_itself_is_refused_and_frees_the_port() {
        // No other test listens on this address.
        let (listener, bound) = bind("tcp://127.77.0.1:*").await.unwrap();
        drop(listener);
        let port = bound.port().unwrap();
        let error = connect(&format!("tcp://127.77.0.1:{port};127.77.0.1:{port}")).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(error.to_string().contains("itself"), "{error}");
        std::net::TcpListener::bind(("127.77.0.1", port)).unwrap();
    }

    #[tokio::test]
    async fn c6_11_an_attempt_ends_with_the_connect_timeout() {
        let error = within(Some(Duration::from_millis(1)), std::future::pending::<io::Result<()>>()).await;
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn d1_6_both_ends_get_the_options() {
        let options = TransportOptions {
            tcp_keepalive: Some(Keepalive {
                idle: Some(Duration::from_secs(31)),
                interval: Some(Duration::from_secs(7)),
                count: Some(3),
            }),
            send_buffer: Some(20_000),
            recv_buffer: Some(30_000),
            tos: Some(0x28),
            user_timeout: Some(Duration::from_secs(9)),
            ..Default::default()
        };
        let (listener, bound) = Listener::bind(&address("tcp://127.0.0.1:*"), &options).await.unwrap();
        let dialed = connect_with(&network(&bound), &options).await.unwrap();
        let accepted = listener.accept().await.unwrap();
        for socket in [socket(&dialed), socket(&accepted)] {
            assert!(socket.tcp_nodelay().unwrap());
            assert!(socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(31));
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(7));
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
            // Linux doubles what it is asked for.
            assert_eq!(socket.send_buffer_size().unwrap(), 40_000);
            assert_eq!(socket.recv_buffer_size().unwrap(), 60_000);
            assert_eq!(socket.tos_v4().unwrap(), 0x28);
            assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(9)));
        }
        let plain = connect(&bound.to_string()).await.unwrap();
        assert!(socket(&plain).tcp_nodelay().unwrap() && !socket(&plain).keepalive().unwrap());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_within_the_machine() {
        for (local, peer, within) in [
            ("127.0.0.1", "127.0.0.2", true),
            ("::1", "::1", true),
            ("::ffff:127.0.0.1", "::ffff:127.0.0.1", true),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
            ("2001:db8::1", "2001:db8::2", false),
        ] {
            let ip = |text: &str| text.parse().unwrap();
            assert_eq!(is_within_the_machine(ip(local), ip(peer)), within, "{local} {peer}");
        }
    }

    /// Without `unpace` it fails where Reno is not the system's default, which is nearly everywhere.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn both_ends_of_a_connection_within_the_machine_go_unpaced() {
        for host in ["127.0.0.1", "*"] {
            let (listener, bound) = bind(&format!("tcp://{host}:*")).await.unwrap();
            let dialed = connect(&bound.to_string()).await.unwrap();
            let accepted = listener.accept().await.unwrap();
            for stream in [&dialed, &accepted] {
                assert!(socket(stream).tcp_congestion().unwrap().starts_with(b"reno"));
            }
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_unknown_device_fails_at_bind() {
        let options = TransportOptions { bind_to_device: Some("nosuch0".to_owned()), ..Default::default() };
        let error = Listener::bind(&address("tcp://127.0.0.1:*"), &options).await.unwrap_err();
        assert!(matches!(error, BindError::Io { .. }), "{error:?}");
    }
}

//! Endpoints: the addresses that sockets bind and connect to.
//!
//! Owns the text form and nothing else: no name is resolved and no socket is opened here. What an address means to the
//! operating system is the business of `transport`.
//!
//! Parsing accepts the union of what `bind` and `connect` accept; [`Address::check_bind`] and
//! [`Endpoint::check_connect`] tell the two apart.

use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// The address of a socket: what `bind` and `connect` take, and what `bind` gives back.
///
/// | Text | Legal for | Meaning |
/// | --- | --- | --- |
/// | `tcp://10.0.0.1:5555`, `tcp://[::1]:5555` | both | a numeric address |
/// | `tcp://[fe80::1%eth0]:5555` | both | a link-local address and its zone, by name or index |
/// | `tcp://db.example:5555` | both | a host name, resolved anew on each attempt to connect |
/// | `tcp://eth0:5555` | `bind` | the address of a network interface |
/// | `tcp://*:5555` | `bind` | every interface |
/// | `tcp://127.0.0.1:*`, `tcp://127.0.0.1:0` | `bind` | any free port |
/// | `tcp://eth1:0;db.example:5555` | `connect` | leave from this local address or interface, and port |
/// | `ipc:///run/app.sock`, `ipc://app.sock` | both | a Unix domain socket, by absolute or relative path |
/// | `ipc://@app` | both | a name in the abstract namespace of Linux |
/// | `ipc://*` | `bind` | a fresh socket file in a private directory |
/// | `inproc://name` | both | another socket of the same context; the name is compared byte by byte |
///
/// Displays as the canonical text: a wildcard port as `*`, an IPv6 address in brackets. Two endpoints are equal when
/// their canonical texts are; nothing is resolved to find out.
///
/// Over tcp nothing waits to be sent together (`TCP_NODELAY`). On Linux, what stays within the machine uses Reno as its
/// congestion control, because a system's default of BBR would pace it.
///
/// # Examples
///
/// ```
/// use sinew::Endpoint;
///
/// let endpoint: Endpoint = "tcp://127.0.0.1:0".parse()?;
/// assert_eq!(endpoint.to_string(), "tcp://127.0.0.1:*");
/// assert_eq!(endpoint.port(), None);
/// assert!("localhost:5555".parse::<Endpoint>().is_err());
/// # Ok::<(), sinew::EndpointError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint(Target);

impl Endpoint {
    /// The name of the transport: `tcp`, `ipc` or `inproc`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sinew::Endpoint;
    /// let endpoint: Endpoint = "inproc://jobs".parse()?;
    /// assert_eq!(endpoint.scheme(), "inproc");
    /// # Ok::<(), sinew::EndpointError>(())
    /// ```
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        match &self.0 {
            Target::Inproc(_) => "inproc",
            Target::Network(Address::Tcp(_)) => "tcp",
            #[cfg(all(unix, feature = "ipc"))]
            Target::Network(Address::Ipc(_)) => "ipc",
        }
    }

    /// The TCP port; `None` for a wildcard port and for the other transports.
    ///
    /// After binding to any free port, the endpoint that `bind` returned knows which one it became.
    ///
    /// # Examples
    ///
    /// ```
    /// # use sinew::Endpoint;
    /// let endpoint: Endpoint = "tcp://[::1]:5555".parse()?;
    /// assert_eq!(endpoint.port(), Some(5555));
    /// # Ok::<(), sinew::EndpointError>(())
    /// ```
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match &self.0 {
            Target::Network(Address::Tcp(address)) if address.port != 0 => Some(address.port),
            _ => None,
        }
    }

    /// Refuses what only `bind` understands: wildcards.
    pub(crate) fn check_connect(&self) -> Result<(), EndpointError> {
        match &self.0 {
            Target::Network(address) => address.check_connect(),
            Target::Inproc(_) => Ok(()),
        }
    }

    /// Who carries this endpoint: the network, or the context's own table of names.
    pub(crate) fn target(&self) -> &Target {
        &self.0
    }
}

/// Why a text is not an [`Endpoint`], or why an endpoint does not serve this operation.
///
/// # Examples
///
/// ```
/// use sinew::{Endpoint, EndpointError};
///
/// let error = "tcp://localhost".parse::<Endpoint>().unwrap_err();
/// assert_eq!(error, EndpointError::MissingPort);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// The text does not start with `scheme://`. libzmq: `EINVAL`.
    #[error(
        "an endpoint starts with its transport: write `tcp://host:port`, `ipc://path` or `inproc://name`"
    )]
    MissingScheme,
    /// Sinew does not speak this transport; schemes are lower case. libzmq: `EPROTONOSUPPORT`.
    #[error("unknown transport `{scheme}`: use `tcp`, `ipc` or `inproc`")]
    UnknownScheme {
        /// What stood before `://`.
        scheme: String,
    },
    /// Sinew speaks this transport, but not in this build. libzmq: `EPROTONOSUPPORT`.
    #[error("this build has no `{scheme}`: it takes a unix system and the cargo feature `{scheme}`")]
    UnsupportedScheme {
        /// The transport that was left out.
        scheme: &'static str,
    },
    /// Nothing follows `scheme://`. libzmq: `EINVAL`.
    #[error("`{scheme}://` names nothing: write an address after it")]
    EmptyAddress {
        /// The transport that was named.
        scheme: &'static str,
    },
    /// A TCP endpoint without a host. libzmq: `EINVAL`.
    #[error(
        "tcp endpoint without a host: write `tcp://host:port`, or `tcp://*:port` to bind every interface"
    )]
    EmptyHost,
    /// Neither a numeric address nor a name. libzmq: `EINVAL`.
    #[error("`{host}` is no host: use a name, an IPv4 address, or an IPv6 address in brackets")]
    BadHost {
        /// The text in the place of the host.
        host: String,
    },
    /// An IPv6 zone that cannot be: empty, zero, or too large. libzmq: `EINVAL`.
    #[error("`%{zone}` is not an IPv6 zone: use the name of an interface or its index, from 1")]
    BadZone {
        /// What stood after `%`.
        zone: String,
    },
    /// A TCP endpoint without a port. libzmq: `EINVAL`.
    #[error("tcp endpoint without a port: write `tcp://host:port`, or `tcp://host:*` to bind any free port")]
    MissingPort,
    /// Not a number from 0 to 65535. libzmq takes some of these for another port.
    #[error("`{port}` is not a port: use a number up to 65535, or `*` to bind any free port")]
    BadPort {
        /// The text in the place of the port.
        port: String,
    },
    /// The path of a Unix domain socket does not fit into its address. libzmq: `ENAMETOOLONG`.
    #[error("ipc path of {length} bytes: the system takes at most {max}; use a shorter or a relative path")]
    PathTooLong {
        /// The length of the path in bytes.
        length: usize,
        /// The longest path that the system takes.
        max: usize,
    },
    /// A NUL byte in an ipc path or name.
    #[error("ipc path with a NUL byte: remove it, or write `ipc://@name` for an abstract name")]
    NulInPath,
    /// `ipc://@` without a name. libzmq: `EINVAL`.
    #[error("`ipc://@` names nothing: write an abstract name after the `@`")]
    EmptyAbstractName,
    /// Only Linux has abstract names.
    #[error("this system has no abstract names: use a path, as in `ipc:///tmp/name`")]
    AbstractUnsupported,
    /// `*`, or port 0, in an endpoint to connect to. libzmq: `EINVAL`.
    #[error("`{endpoint}` is only for binding: connect to the endpoint that `bind` returned")]
    WildcardConnect {
        /// The endpoint that was to be connected.
        endpoint: Endpoint,
    },
    /// A source address (`SRC;`) in an endpoint to bind.
    #[error("`{endpoint}` has a source address, which is only for connecting: remove what precedes the `;`")]
    SourceBind {
        /// The endpoint that was to be bound.
        endpoint: Endpoint,
    },
}

/// Lets an [`Endpoint`] be passed where anything that converts into one is taken.
impl From<Infallible> for EndpointError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let (scheme, address) = text.split_once("://").ok_or(EndpointError::MissingScheme)?;
        let scheme = match scheme {
            "tcp" => "tcp",
            "ipc" => "ipc",
            "inproc" => "inproc",
            "" => return Err(EndpointError::MissingScheme),
            _ => {
                return Err(EndpointError::UnknownScheme { scheme: scheme.to_owned() });
            }
        };
        if address.is_empty() {
            return Err(EndpointError::EmptyAddress { scheme });
        }
        Ok(Self(match scheme {
            "tcp" => Target::Network(Address::Tcp(parse_tcp(address)?)),
            "ipc" => Target::Network(parse_ipc(address)?),
            _ => Target::Inproc(address.to_owned()),
        }))
    }
}

impl TryFrom<&str> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: &str) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: String) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl TryFrom<&String> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: &String) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl From<&Self> for Endpoint {
    fn from(endpoint: &Self) -> Self {
        endpoint.clone()
    }
}

impl From<Address> for Endpoint {
    fn from(address: Address) -> Self {
        Self(Target::Network(address))
    }
}

impl From<&Address> for Endpoint {
    fn from(address: &Address) -> Self {
        address.clone().into()
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        let host = match address {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => Host::Zoned(*v6.ip(), v6.scope_id().to_string()),
            _ => Host::Ip(address.ip()),
        };
        Address::Tcp(TcpAddress { source: None, host, port: address.port() }).into()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Target::Inproc(name) => write!(f, "inproc://{name}"),
            Target::Network(address) => address.fmt(f),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

/// Who carries an endpoint. The split keeps `inproc` out of the transports by type.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    Network(Address),
    Inproc(String),
}

/// An endpoint that the operating system carries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Address {
    Tcp(TcpAddress),
    #[cfg(all(unix, feature = "ipc"))]
    Ipc(IpcAddress),
}

impl Address {
    /// Refuses what only `connect` understands.
    pub(crate) fn check_bind(&self) -> Result<(), EndpointError> {
        match self {
            Self::Tcp(TcpAddress { source: Some(_), .. }) => {
                Err(EndpointError::SourceBind { endpoint: self.into() })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn check_connect(&self) -> Result<(), EndpointError> {
        let wildcard = match self {
            Self::Tcp(address) => address.host == Host::Any || address.port == 0,
            #[cfg(all(unix, feature = "ipc"))]
            Self::Ipc(address) => *address == IpcAddress::Wildcard,
        };
        if wildcard { Err(EndpointError::WildcardConnect { endpoint: self.into() }) } else { Ok(()) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(TcpAddress { source, host, port }) => {
                f.write_str("tcp://")?;
                if let Some((host, port)) = source {
                    write!(f, "{host}:{};", Port(*port))?;
                }
                write!(f, "{host}:{}", Port(*port))
            }
            #[cfg(all(unix, feature = "ipc"))]
            Self::Ipc(IpcAddress::Path(path)) => write!(f, "ipc://{path}"),
            #[cfg(all(unix, feature = "ipc"))]
            Self::Ipc(IpcAddress::Abstract(name)) => write!(f, "ipc://@{name}"),
            #[cfg(all(unix, feature = "ipc"))]
            Self::Ipc(IpcAddress::Wildcard) => f.write_str("ipc://*"),
        }
    }
}

/// `[SRC;]HOST:PORT`; port 0 is the wildcard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TcpAddress {
    pub(crate) source: Option<(Host, u16)>,
    pub(crate) host: Host,
    pub(crate) port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    /// `*`
    Any,
    Ip(IpAddr),
    /// The zone is the name of an interface, or its index in decimal.
    Zoned(Ipv6Addr, String),
    /// A host or an interface: only the system can tell.
    Name(String),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Zoned(ip, zone) => write!(f, "[{ip}%{zone}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// The address of a Unix domain socket.
#[cfg(all(unix, feature = "ipc"))]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum IpcAddress {
    Path(String),
    /// Without the leading `@` or NUL.
    Abstract(String),
    Wildcard,
}

#[cfg(all(unix, feature = "ipc"))]
impl FromStr for IpcAddress {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if text == "*" {
            return Ok(Self::Wildcard);
        }
        if text.len() > PATH_MAX {
            return Err(EndpointError::PathTooLong { length: text.len(), max: PATH_MAX });
        }
        if text.contains('\0') {
            return Err(EndpointError::NulInPath);
        }
        match text.strip_prefix('@') {
            None => Ok(Self::Path(text.to_owned())),
            Some("") => Err(EndpointError::EmptyAbstractName),
            Some(_) if !cfg!(any(target_os = "linux", target_os = "android")) => {
                Err(EndpointError::AbstractUnsupported)
            }
            Some(name) => Ok(Self::Abstract(name.to_owned())),
        }
    }
}

struct Port(u16);

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { f.write_str("*") } else { self.0.fmt(f) }
    }
}

#[cfg(all(unix, feature = "ipc"))]
fn parse_ipc(text: &str) -> Result<Address, EndpointError> {
    text.parse().map(Address::Ipc)
}

#[cfg(not(all(unix, feature = "ipc")))]
fn parse_ipc(_: &str) -> Result<Address, EndpointError> {
    Err(EndpointError::UnsupportedScheme { scheme: "ipc" })
}

fn parse_tcp(text: &str) -> Result<TcpAddress, EndpointError> {
    let (source, target) = match text.rsplit_once(';') {
        Some((source, target)) => (Some(parse_host_port(source)?), target),
        None => (None, text),
    };
    let (host, port) = parse_host_port(target)?;
    Ok(TcpAddress { source, host, port })
}

fn parse_host_port(text: &str) -> Result<(Host, u16), EndpointError> {
    // The last colon is the port's, so that IPv6 also parses without brackets, as in libzmq; but `[::1]` has no port.
    let (host, port) =
        text.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).ok_or(EndpointError::MissingPort)?;
    Ok((parse_host(host)?, parse_port(port)?))
}

fn parse_port(text: &str) -> Result<u16, EndpointError> {
    match text {
        "" => return Err(EndpointError::MissingPort),
        "*" => Some(0),
        // `u16::from_str` alone would take `+80`.
        _ if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
    .ok_or_else(|| EndpointError::BadPort { port: text.to_owned() })
}

fn parse_host(text: &str) -> Result<Host, EndpointError> {
    let bad = || EndpointError::BadHost { host: text.to_owned() };
    match text {
        "" => return Err(EndpointError::EmptyHost),
        "*" => return Ok(Host::Any),
        _ => {}
    }
    let bracketed = text.strip_prefix('[');
    let inner = match bracketed {
        Some(rest) => rest.strip_suffix(']').ok_or_else(bad)?,
        None => text,
    };
    if let Some((ip, zone)) = inner.split_once('%') {
        return Ok(Host::Zoned(ip.parse().map_err(|_| bad())?, parse_zone(zone)?));
    }
    match inner.parse() {
        Ok(ip) => Ok(Host::Ip(ip)),
        Err(_) if bracketed.is_none() && is_name(inner) => Ok(Host::Name(inner.to_owned())),
        Err(_) => Err(bad()),
    }
}

fn parse_zone(text: &str) -> Result<String, EndpointError> {
    let index = text.bytes().all(|byte| byte.is_ascii_digit());
    let zone = match text.parse::<u32>() {
        Ok(0) => None,
        Ok(number) if index => Some(number.to_string()),
        _ if index || !is_name_text(text) => None,
        _ => Some(text.to_owned()),
    };
    zone.ok_or_else(|| EndpointError::BadZone { zone: text.to_owned() })
}

/// The resolver would read `1.2.3` as 1.2.0.3 and ask the DNS for `256.1.1.1`: digits alone are no name.
fn is_name(text: &str) -> bool {
    is_name_text(text) && !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Generous, because interface names are: only what would make an endpoint ambiguous is refused.
fn is_name_text(text: &str) -> bool {
    !text.is_empty()
        && !text.chars().any(|c| c.is_whitespace() || c.is_control() || "/\\*[]%;:@?#+".contains(c))
}

/// `sun_path` less its closing NUL. libzmq counts the `@` of an abstract name too.
#[cfg(all(unix, feature = "ipc"))]
const PATH_MAX: usize = if cfg!(any(target_os = "linux", target_os = "android")) { 107 } else { 103 };

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Endpoint, EndpointError> {
        text.parse()
    }

    fn address(text: &str) -> Address {
        match parse(text).unwrap().0 {
            Target::Network(address) => address,
            Target::Inproc(name) => panic!("{name} is inproc"),
        }
    }

    fn canonical(texts: &[&str]) {
        for text in texts {
            let endpoint = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(endpoint.to_string(), *text);
        }
    }

    fn refused(error: &EndpointError, texts: &[&str]) {
        for text in texts {
            assert_eq!(parse(text).as_ref(), Err(error), "{text}");
        }
    }

    /// Each of `parts` is what is wrong with the endpoint that it makes of the template.
    fn refused_for(error: fn(String) -> EndpointError, template: &str, parts: &[&str]) {
        for part in parts {
            let text = template.replace('$', part);
            assert_eq!(parse(&text), Err(error((*part).to_owned())), "{text}");
        }
    }

    #[test]
    fn d0_1_scheme_and_address_are_both_there_and_known() {
        use EndpointError as E;
        let unknown = |scheme| E::UnknownScheme { scheme };
        refused(&E::MissingScheme, &["", "://a:1", "localhost:5555", "tcp:/localhost:5555"]);
        refused_for(unknown, "$://localhost:1234", &["invalid", "TCP", "udp", " tcp"]);
        refused(&E::EmptyAddress { scheme: "tcp" }, &["tcp://"]);
        refused(&E::EmptyAddress { scheme: "ipc" }, &["ipc://"]);
        refused(&E::EmptyAddress { scheme: "inproc" }, &["inproc://"]);
    }

    #[test]
    fn d1_1_wildcards_interfaces_and_addresses() {
        canonical(&["tcp://*:5555", "tcp://*:*", "tcp://[::]:*", "tcp://127.0.0.1:*"]);
        canonical(&["tcp://eth0:1", "tcp://eth0.100:1", "tcp://br-1_a:1", "tcp://[::1]:1"]);
        assert_eq!(parse("tcp://127.0.0.1:0"), parse("tcp://127.0.0.1:*"));
        let missing = ["1.2.3.4", "localhost:", "[::1]", "[1.2.3.4:5]", "[1.2.3.4:*]"];
        for address in missing {
            refused(&EndpointError::MissingPort, &[&format!("tcp://{address}")]);
        }
    }

    #[test]
    fn d1_2_hosts() {
        canonical(&["tcp://localhost:1234", "tcp://a-b_c.example.:80", "tcp://bücher.example:80"]);
        canonical(&["tcp://255.255.255.255:1", "tcp://[::ffff:11.22.33.44]:55"]);
        canonical(&["tcp://[fe80::1%eth0]:80", "tcp://[fe80::1%2]:80"]);
        for (text, host) in [
            ("abcd:1234::1:0:234:80", "[abcd:1234::1:0:234]"),
            ("[0:0:0:0:0:0:0:1]:80", "[::1]"),
            ("[192.168.1.1]:80", "192.168.1.1"),
            ("3000:4:5::1:234%02:80", "[3000:4:5::1:234%2]"),
        ] {
            assert_eq!(parse(&format!("tcp://{text}")), parse(&format!("tcp://{host}:80")));
            canonical(&[&format!("tcp://{host}:80")]);
        }
        refused(&EndpointError::EmptyHost, &["tcp://:5555", "tcp://:invalid"]);
    }

    #[test]
    fn d1_2_what_is_no_host() {
        let host = |host| EndpointError::BadHost { host };
        refused_for(host, "tcp://$:1234", &["in val id", "a/b", "a?b", "a@b", "a\u{0}", "**"]);
        refused_for(host, "tcp://$:80", &["1.2.128.129]", "[1.2.128.129", "[1.2.128].129"]);
        refused_for(host, "tcp://$:]5555", &["[192.168.1.1"]);
        refused_for(host, "tcp://$:234", &["[abcd:1234::1:]0", "[localhost]", "[]", "1:2:3"]);
        // The resolver would find some address for these.
        refused_for(host, "tcp://$:80", &["1.2.3", "256.1.1.1", "1", "1.2.3.4%eth0"]);
        let zone = |zone| EndpointError::BadZone { zone };
        refused_for(zone, "tcp://[fe80::1%$]:80", &["0", "", "99999999999", "a%b", "+1 "]);
    }

    #[test]
    fn d1_3_ports_are_strict() {
        canonical(&["tcp://a:1", "tcp://a:65535"]);
        assert_eq!(parse("tcp://a:00080"), parse("tcp://a:80"));
        let port = |port| EndpointError::BadPort { port };
        let parts = ["70000", "65536", "567bad", "55x", "bad", "invalid", "+55", "-1", " 80", "80/"];
        refused_for(port, "tcp://a:$", &parts);
    }

    #[test]
    fn d1_4_source_addresses() {
        canonical(&["tcp://127.0.0.1:*;localhost:1234", "tcp://localhost:5555;localhost:1235"]);
        canonical(&["tcp://lo:5555;[::1]:1235", "tcp://*:*;a:1", "tcp://[fe80::1%2]:7;a:1"]);
        refused(&EndpointError::MissingPort, &["tcp://;a:1", "tcp://eth0;a:1", "tcp://lo:0;"]);
        let host = |host| EndpointError::BadHost { host };
        refused_for(host, "tcp://$:1;c:1", &["a:1;b"]);
    }

    #[test]
    fn d3_1_inproc_names_are_exact() {
        canonical(&["inproc://a", "inproc://*; A:b/ ", "inproc://inproc://"]);
        assert_ne!(parse("inproc://a"), parse("inproc://A"));
    }

    #[cfg(all(unix, feature = "ipc"))]
    #[test]
    fn ipc_texts() {
        let long = |length| format!("ipc://{}", "x".repeat(length));
        for text in ["ipc:///tmp/a b", "ipc://relative", "ipc://*", "ipc://*x", "ipc:///ü", &long(PATH_MAX)]
        {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        let too_long = EndpointError::PathTooLong { length: PATH_MAX + 1, max: PATH_MAX };
        assert_eq!(parse(&long(PATH_MAX + 1)), Err(too_long), "D2.1");
        assert_eq!(parse("ipc://a\0b"), Err(EndpointError::NulInPath));
        assert_eq!(parse("ipc://@"), Err(EndpointError::EmptyAbstractName), "D2.2");
    }

    #[cfg(not(all(unix, feature = "ipc")))]
    #[test]
    fn ipc_is_an_error_where_it_is_left_out() {
        assert_eq!(parse("ipc:///tmp/a"), Err(EndpointError::UnsupportedScheme { scheme: "ipc" }));
    }

    #[test]
    fn d1_2_wildcards_are_only_for_bind() {
        for text in ["tcp://*:1", "tcp://*:*", "tcp://192.168.0.200:*", "tcp://127.0.0.1:0"] {
            assert_eq!(address(text).check_bind(), Ok(()));
            let endpoint = parse(text).unwrap();
            assert_eq!(address(text).check_connect(), Err(EndpointError::WildcardConnect { endpoint }));
        }
        assert_eq!(address("tcp://0.0.0.0:1").check_connect(), Ok(()), "D1.7");
    }

    #[test]
    fn d1_4_a_source_address_is_only_for_connect() {
        let text = "tcp://lo:*;a:1";
        assert_eq!(address(text).check_connect(), Ok(()));
        let endpoint = parse(text).unwrap();
        assert_eq!(address(text).check_bind(), Err(EndpointError::SourceBind { endpoint }));
    }

    #[test]
    fn converts_from_what_people_hold() {
        fn take<E>(endpoint: impl TryInto<Endpoint, Error = E>) -> Result<Endpoint, EndpointError>
        where
            EndpointError: From<E>,
        {
            Ok(endpoint.try_into()?)
        }
        let owned = String::from("inproc://a");
        let endpoint = take("inproc://a").unwrap();
        assert_eq!(take(&owned).unwrap(), endpoint);
        assert_eq!(take(owned).unwrap(), endpoint);
        assert_eq!(take(&endpoint).unwrap(), endpoint);
        assert_eq!(take(endpoint.clone()).unwrap(), endpoint);
    }

    fn host() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
            any::<Ipv6Addr>().prop_map(|ip| format!("[{ip}]")),
            (any::<Ipv6Addr>(), "[a-z][a-z0-9]{0,5}|[1-9]").prop_map(|(ip, zone)| format!("{ip}%{zone}")),
            "[a-z][a-z0-9-]{0,9}(\\.[a-z]{2,4})?",
            Just("*".to_owned()),
        ]
    }

    proptest! {
        #[test]
        fn display_round_trips(source in proptest::option::of((host(), any::<u16>())), host in host(), port: u16) {
            let source = source.map_or_else(String::new, |(host, port)| format!("{host}:{port};"));
            let endpoint = parse(&format!("tcp://{source}{host}:{port}")).unwrap();
            prop_assert_eq!(parse(&endpoint.to_string()), Ok(endpoint));
        }

        #[test]
        fn any_text_is_refused_or_round_trips(scheme in "tcp|ipc|inproc", text in "[a0-9:;%*@. \\[\\]]{0,20}|\\PC*") {
            if let Ok(endpoint) = parse(&format!("{scheme}://{text}")) {
                prop_assert_eq!(parse(&endpoint.to_string()), Ok(endpoint));
            }
        }
    }
}

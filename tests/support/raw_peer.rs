//! A peer that the test plays by hand: raw ZMTP over a socket, written from the specification and
//! sharing nothing with the library, so that it can also say what the library never would.
//!
//! Whatever does not happen within [`super::DEADLINE`] panics and names what was awaited.

use std::fmt::Debug;
use std::io;
#[cfg(unix)]
use std::path::{Path, PathBuf};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

use super::within;

pub(crate) const MORE: u8 = 1;
pub(crate) const LONG: u8 = 2;
pub(crate) const COMMAND: u8 = 4;

/// More than any test sends: a length beyond it is a stream out of step.
const FRAME_MAX: u64 = 1 << 28;

/// One end of a connection. The other end is the library, or another `RawPeer`.
#[derive(Debug)]
pub(crate) struct RawPeer {
    io: Box<dyn Io>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// As on the wire, with [`LONG`].
    pub(crate) flags: u8,
    pub(crate) body: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub(crate) raw: [u8; 64],
    pub(crate) major: u8,
    pub(crate) minor: u8,
    /// Without its padding.
    pub(crate) mechanism: String,
    pub(crate) as_server: bool,
}

/// The metadata of a READY, in the order of the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Properties(pub(crate) Vec<(String, Vec<u8>)>);

impl Properties {
    /// The first one of this name, whatever its case.
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        let mut named = self.0.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.as_slice())
    }
}

/// # Opening and closing
impl RawPeer {
    /// Connects to `tcp://127.0.0.1:port` or `ipc://path`.
    pub(crate) async fn connect(endpoint: &str) -> Self {
        let what = format!("raw peer: connect to {endpoint}");
        let opened = within(&what, async {
            if let Some(address) = endpoint.strip_prefix("tcp://") {
                return TcpStream::connect(address).await.map(Self::new);
            }
            #[cfg(unix)]
            if let Some(path) = endpoint.strip_prefix("ipc://") {
                return UnixStream::connect(path).await.map(Self::new);
            }
            panic!("{what}: neither tcp:// nor ipc://");
        });
        opened.await.unwrap_or_else(|e| panic!("{what}: {e}"))
    }

    /// Drops a TCP connection with a reset instead of an end; a Unix one just closes.
    pub(crate) fn reset(self) {
        self.io.reset_on_drop();
    }

    /// Ends what this side sends, and goes on receiving.
    pub(crate) async fn finish(&mut self) {
        let shutdown = within("raw peer: shutdown", self.io.shutdown());
        shutdown.await.expect("raw peer: shutdown");
    }

    /// Waits until the other side closes or resets; returns what it sent before.
    pub(crate) async fn expect_closed(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let end = within("raw peer: the other side to close", self.io.read_to_end(&mut bytes));
        match end.await {
            Err(e) if !is_gone(&e) => panic!("raw peer: the other side to close: {e}"),
            _ => bytes,
        }
    }

    fn new(io: impl Io + 'static) -> Self {
        Self { io: Box::new(io) }
    }
}

/// # Bytes
impl RawPeer {
    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) {
        let write = within("raw peer: send", self.io.write_all(bytes));
        write.await.unwrap_or_else(|e| panic!("raw peer: send {} bytes: {e}", bytes.len()));
    }

    /// Writes what there is room for at once; says how much.
    pub(crate) async fn send_some(&mut self, bytes: &[u8]) -> usize {
        match futures::poll!(std::pin::pin!(self.io.write(bytes))) {
            std::task::Poll::Ready(written) => written.expect("raw peer: send"),
            std::task::Poll::Pending => 0,
        }
    }

    pub(crate) async fn recv_raw(&mut self, count: usize) -> Vec<u8> {
        self.expect(&format!("{count} bytes"), count).await
    }

    async fn expect(&mut self, what: &str, count: usize) -> Vec<u8> {
        let what = format!("raw peer: receive {what}");
        let mut bytes = Vec::with_capacity(count.min(1 << 16));
        let mut io = (&mut self.io).take(count as u64);
        let read = within(&what, io.read_to_end(&mut bytes)).await;
        if let Err(e) = read {
            panic!("{what}: {e} after {bytes:02x?}");
        }
        let begin = &bytes[..bytes.len().min(256)];
        assert_eq!(bytes.len(), count, "{what}: closed after {begin:02x?}");
        bytes
    }
}

/// # The handshake, NULL
impl RawPeer {
    /// Greeting and READY both ways; returns the other side's properties.
    pub(crate) async fn handshake(&mut self, socket_type: &str, minor: u8) -> Properties {
        self.greeting(minor).await;
        self.ready(socket_type, None, &[]).await;
        self.recv_greeting().await;
        self.recv_ready().await
    }

    /// Sends a greeting of ZMTP 3.`minor` with NULL. Another one: [`greeting_bytes`].
    pub(crate) async fn greeting(&mut self, minor: u8) {
        self.send_raw(&greeting_bytes(minor, "NULL", false)).await;
    }

    pub(crate) async fn recv_greeting(&mut self) -> Greeting {
        let bytes = self.expect("a greeting", 64).await;
        let raw: [u8; 64] = bytes.try_into().expect("64 bytes were asked for");
        assert_eq!((raw[0], raw[9] & 1), (0xFF, 1), "not a greeting: {raw:02x?}");
        let mechanism = raw[12..32].split(|&byte| byte == 0).next();
        Greeting {
            raw,
            major: raw[10],
            minor: raw[11],
            mechanism: String::from_utf8_lossy(mechanism.unwrap_or_default()).into_owned(),
            as_server: raw[32] == 1,
        }
    }

    /// Sends READY with `Socket-Type`, then `Identity` if given, then the others.
    pub(crate) async fn ready(
        &mut self,
        socket_type: &str,
        identity: Option<&[u8]>,
        others: &[(&str, &[u8])],
    ) {
        let mut properties = vec![("Socket-Type", socket_type.as_bytes())];
        properties.extend(identity.map(|identity| ("Identity", identity)));
        properties.extend(others);
        self.send_command("READY", &metadata_bytes(&properties)).await;
    }

    pub(crate) async fn recv_ready(&mut self) -> Properties {
        let (name, data) = self.recv_command().await;
        assert_eq!(name, "READY", "{}", String::from_utf8_lossy(&data));
        let properties = parse_metadata(&data);
        Properties(properties.unwrap_or_else(|| panic!("malformed metadata: {data:02x?}")))
    }
}

/// # Frames
impl RawPeer {
    /// Sends one frame; [`LONG`] is added if the body needs it, and obeyed if it does not.
    pub(crate) async fn send_frame(&mut self, flags: u8, body: &[u8]) {
        self.send_raw(&frame_bytes(flags, body)).await;
    }

    pub(crate) async fn send_msg(&mut self, frames: &[&[u8]]) {
        let Some((last, first)) = frames.split_last() else {
            panic!("a message has a frame");
        };
        let mut bytes = Vec::new();
        for body in first {
            bytes.extend(frame_bytes(MORE, body));
        }
        bytes.extend(frame_bytes(0, last));
        self.send_raw(&bytes).await;
    }

    pub(crate) async fn send_command(&mut self, name: &str, data: &[u8]) {
        self.send_frame(COMMAND, &command_body(name, data)).await;
    }

    pub(crate) async fn recv_frame(&mut self) -> Frame {
        let flags = self.expect("the flags of a frame", 1).await[0];
        let width = if flags & LONG == 0 { 1 } else { 8 };
        let size = self.expect("the size of a frame", width).await;
        let size = size.iter().fold(0, |size, &b| size << 8 | u64::from(b));
        assert!(size <= FRAME_MAX, "flags {flags:#04x}, size {size}");
        let body = self.expect("the body of a frame", size as usize).await;
        Frame { flags, body }
    }

    /// One message; a command instead of one of its frames is an error.
    pub(crate) async fn recv_msg(&mut self) -> Vec<Vec<u8>> {
        self.recv_msg_past(&[]).await
    }

    /// One message, past the commands of these names.
    pub(crate) async fn recv_msg_past(&mut self, names: &[&str]) -> Vec<Vec<u8>> {
        let message = async {
            let mut frames = Vec::new();
            loop {
                let frame = self.recv_frame().await;
                if frame.flags & COMMAND == 0 {
                    frames.push(frame.body);
                    if frame.flags & MORE == 0 {
                        return frames;
                    }
                } else {
                    let (name, data) = parse_command(&frame);
                    let known = names.contains(&name.as_str());
                    assert!(known, "{name} {data:02x?} where a message was due");
                }
            }
        };
        within("raw peer: receive a message", message).await
    }

    /// One command, its name and what follows it; a frame of a message instead is an error.
    pub(crate) async fn recv_command(&mut self) -> (String, Vec<u8>) {
        let frame = self.recv_frame().await;
        assert!(frame.flags & COMMAND != 0, "{frame:02x?} where a command was due");
        parse_command(&frame)
    }

    /// Sends a PING and awaits its PONG: what was sent before has been read, and was answered by
    /// nothing.
    pub(crate) async fn settle(&mut self) {
        let context = b"settle";
        self.send_command("PING", &[&[0, 0], &context[..]].concat()).await;
        let answer = self.recv_command().await;
        assert_eq!(answer, ("PONG".to_owned(), context.to_vec()));
    }
}

/// Accepts what becomes a [`RawPeer`].
#[derive(Debug)]
pub(crate) enum RawListener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener, PathBuf),
}

impl RawListener {
    /// A free port of 127.0.0.1.
    pub(crate) async fn bind() -> Self {
        let bind = within("raw listener: bind", TcpListener::bind("127.0.0.1:0"));
        Self::Tcp(bind.await.expect("raw listener: bind"))
    }

    #[cfg(unix)]
    pub(crate) fn bind_ipc(path: &Path) -> Self {
        let listener = UnixListener::bind(path).expect("raw listener: bind");
        Self::Unix(listener, path.to_owned())
    }

    /// What to connect to.
    pub(crate) fn endpoint(&self) -> String {
        match self {
            Self::Tcp(listener) => {
                let address = listener.local_addr().expect("raw listener: its address");
                format!("tcp://{address}")
            }
            #[cfg(unix)]
            Self::Unix(_, path) => format!("ipc://{}", path.display()),
        }
    }

    pub(crate) async fn accept(&self) -> RawPeer {
        let accept = within("raw listener: accept", async {
            match self {
                Self::Tcp(listener) => listener.accept().await.map(|(io, _)| RawPeer::new(io)),
                #[cfg(unix)]
                Self::Unix(listener, _) => listener.accept().await.map(|(io, _)| RawPeer::new(io)),
            }
        });
        accept.await.expect("raw listener: accept")
    }
}

#[cfg(unix)]
impl Drop for RawListener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

pub(crate) fn greeting_bytes(minor: u8, mechanism: &str, as_server: bool) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes[0] = 0xFF;
    bytes[9] = 0x7F;
    bytes[10] = 3;
    bytes[11] = minor;
    bytes[12..12 + mechanism.len()].copy_from_slice(mechanism.as_bytes());
    bytes[32] = u8::from(as_server);
    bytes
}

pub(crate) fn frame_bytes(flags: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = match u8::try_from(body.len()) {
        Ok(size) if flags & LONG == 0 => vec![flags, size],
        _ => [&[flags | LONG][..], &(body.len() as u64).to_be_bytes()].concat(),
    };
    bytes.extend_from_slice(body);
    bytes
}

pub(crate) fn command_body(name: &str, data: &[u8]) -> Vec<u8> {
    let len = u8::try_from(name.len()).expect("a command's name is short");
    [&[len], name.as_bytes(), data].concat()
}

pub(crate) fn metadata_bytes(properties: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in properties {
        bytes.push(u8::try_from(name.len()).expect("a property's name is short"));
        bytes.extend_from_slice(name.as_bytes());
        let len = u32::try_from(value.len()).expect("a property's value is not that long");
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(value);
    }
    bytes
}

fn parse_metadata(mut data: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut properties = Vec::new();
    while let Some((&len, rest)) = data.split_first() {
        let (name, rest) = rest.split_at_checked(usize::from(len))?;
        let (len, rest) = rest.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
        properties.push((String::from_utf8(name.to_vec()).ok()?, value.to_vec()));
        data = rest;
    }
    Some(properties)
}

fn parse_command(frame: &Frame) -> (String, Vec<u8>) {
    let name_first = frame.body.split_first();
    let split = name_first.and_then(|(&len, rest)| rest.split_at_checked(usize::from(len)));
    let (name, data) = split.unwrap_or_else(|| panic!("malformed command: {frame:02x?}"));
    (String::from_utf8_lossy(name).into_owned(), data.to_vec())
}

/// What a close looks like when unread bytes were thrown away with it.
fn is_gone(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe
    )
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send + Debug {
    fn reset_on_drop(&self);
}

impl Io for TcpStream {
    fn reset_on_drop(&self) {
        self.set_zero_linger().expect("raw peer: SO_LINGER");
    }
}

#[cfg(unix)]
impl Io for UnixStream {
    fn reset_on_drop(&self) {}
}

//! From the first byte to the first message: greeting, mechanism, and whether the two sockets
//! match.

use bytes::{Buf, Bytes, BytesMut};

use super::frame::Header;
use super::mechanism::{Mechanism, Progress, Security};
use super::metadata::Metadata;
use super::{HandshakeError, ProtocolError, SocketType, command, greeting};

/// What our side brings to a handshake.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The type of our socket.
    pub(crate) socket_type: SocketType,
    /// Which types of sockets it may talk to.
    pub(crate) peers: &'static [SocketType],
    /// Our identity; empty for none. `None`: our type announces none.
    pub(crate) identity: Option<Bytes>,
    /// What the application tells its peers; names begin with `X-`.
    pub(crate) properties: Vec<(String, Bytes)>,
    /// The largest command body a peer may send.
    pub(crate) max_handshake_frame: usize,
    /// The security mechanism.
    pub(crate) security: Security,
}

/// The peer, once both sides are ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    /// The minor version of ZMTP 3 to speak: 0 or 1.
    pub(crate) minor: u8,
    /// The type of its socket.
    pub(crate) socket_type: SocketType,
    /// Its identity; empty where it has none.
    pub(crate) identity: Bytes,
    /// What its application tells us.
    pub(crate) properties: Vec<(String, Bytes)>,
}

/// One side of the handshake of one connection.
#[derive(Debug)]
pub(crate) struct Handshake {
    socket_type: SocketType,
    peers: &'static [SocketType],
    max_frame: usize,
    mechanism: Box<dyn Mechanism>,
    output: Vec<u8>,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Greeting,
    Commands { minor: u8 },
    Done,
    Failed(HandshakeError),
}

impl Handshake {
    /// Begins; the greeting is ready to be written.
    pub(crate) fn new(config: Config) -> Self {
        let Config { socket_type, peers, identity, properties, max_handshake_frame, security } = config;
        let mut metadata = Vec::new();
        Metadata { socket_type, identity, properties }.put(&mut metadata);
        let mechanism = security.mechanism(metadata);
        let output = greeting::encode(mechanism.name(), mechanism.is_server()).to_vec();
        let phase = Phase::Greeting;
        Self { socket_type, peers, max_frame: max_handshake_frame, mechanism, output, phase }
    }

    /// Takes what it can from `buf`. With the peer it returns, the handshake is over, and what is
    /// left in `buf` is traffic. After an error [`output`](Self::output) may hold an ERROR command
    /// to be written before the connection is closed.
    pub(crate) fn input(&mut self, buf: &mut BytesMut) -> Result<Option<Peer>, HandshakeError> {
        let result = self.advance(buf);
        match &result {
            Ok(None) => {}
            Ok(Some(_)) => self.phase = Phase::Done,
            Err(error) => self.phase = Phase::Failed(error.clone()),
        }
        result
    }

    /// The bytes to be written; the caller takes them out.
    pub(crate) const fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    fn advance(&mut self, buf: &mut BytesMut) -> Result<Option<Peer>, HandshakeError> {
        loop {
            match &self.phase {
                Phase::Greeting => {
                    let Some(minor) = greeting::parse(buf, self.mechanism.name())? else {
                        return Ok(None);
                    };
                    buf.advance(greeting::LEN);
                    self.mechanism.start(&mut self.output);
                    self.phase = Phase::Commands { minor };
                }
                &Phase::Commands { minor } => {
                    let Some(body) = self.next_command(buf)? else {
                        return Ok(None);
                    };
                    if let Some(Metadata { socket_type, identity, properties }) = self.on_command(&body)? {
                        let identity = identity.unwrap_or_default();
                        return Ok(Some(Peer { minor, socket_type, identity, properties }));
                    }
                }
                Phase::Done => return Ok(None),
                Phase::Failed(error) => return Err(error.clone()),
            }
        }
    }

    /// The body of the next command. What is wrong with its frame shows as soon as the header is
    /// there, so that no more than the limit is ever waited for.
    fn next_command(&self, buf: &mut BytesMut) -> Result<Option<BytesMut>, ProtocolError> {
        let Some(header) = Header::parse(buf)? else {
            return Ok(None);
        };
        if !header.command {
            return Err(ProtocolError::MessageInHandshake);
        }
        let (size, limit) = (header.len, self.max_frame);
        if size > limit {
            return Err(ProtocolError::OversizedCommand { size, limit });
        }
        if header.split(buf).is_none() {
            return Ok(None);
        }
        buf.advance(header.header_len);
        Ok(Some(buf.split_to(size)))
    }

    /// Takes a command; what is wrong with it is answered with an ERROR.
    fn on_command(&mut self, body: &[u8]) -> Result<Option<Metadata>, HandshakeError> {
        let (name, data) = command::split(body)?;
        if name == command::ERROR {
            let reason = String::from_utf8_lossy(command::reason(data)?).into_owned();
            return Err(HandshakeError::Rejected { reason });
        }
        let result =
            self.mechanism.on_command(name, data, &mut self.output).and_then(|progress| self.check(progress));
        if let Err(HandshakeError::Protocol(fault)) = &result {
            command::put_error(&mut self.output, &fault.to_string());
        }
        result
    }

    fn check(&self, progress: Progress) -> Result<Option<Metadata>, HandshakeError> {
        let Progress::Done(metadata) = progress else {
            return Ok(None);
        };
        let (ours, theirs) = (self.socket_type, metadata.socket_type);
        if !self.peers.contains(&theirs) {
            return Err(ProtocolError::IncompatibleSocket { ours, theirs }.into());
        }
        Ok(Some(metadata))
    }
}

#[cfg(test)]
mod tests {
    use ProtocolError::*;

    use super::*;
    use crate::proto::frame::{COMMAND, put_header};
    use crate::proto::tests::{ALL, peers};
    const MAX_FRAME: usize = 1000;

    fn side(socket_type: SocketType) -> Handshake {
        Handshake::new(Config {
            socket_type,
            peers: peers(socket_type),
            identity: socket_type.has_identity().then(Bytes::new),
            properties: Vec::new(),
            max_handshake_frame: MAX_FRAME,
            security: Security::Null,
        })
    }

    /// A side that has the peer's greeting and has written its own greeting and READY.
    fn greeted(socket_type: SocketType, minor: u8) -> Handshake {
        let mut side = side(socket_type);
        let mut greeting = greeting::encode("NULL", false);
        greeting[11] = minor;
        assert_eq!(side.input(&mut BytesMut::from(&greeting[..])), Ok(None));
        side.output().clear();
        side
    }

    fn ready(metadata: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        command::put_ready(&mut out, metadata);
        out
    }

    const PULL: &[u8] = b"\x0BSocket-Type\0\0\0\x04PULL";

    #[test]
    fn a5_1_greeting_at_once_and_ready_as_soon_as_the_greeting_is_accepted() {
        let mut side = side(SocketType::XPub);
        let greeting = greeting::encode("NULL", false);
        assert_eq!(std::mem::take(side.output()), greeting);
        assert_eq!(side.input(&mut BytesMut::from(&greeting[..63])), Ok(None));
        assert_eq!(side.output(), b"");
        assert_eq!(side.input(&mut BytesMut::from(&greeting[..])), Ok(None));
        // 26 bytes of body, as libzmq's XPUB sends.
        assert_eq!(side.output(), b"\x04\x1A\x05READY\x0BSocket-Type\0\0\0\x04XPUB");
    }

    #[test]
    fn a5_2_the_whole_ready_of_a_dealer() {
        let mut side = side(SocketType::Dealer);
        side.output().clear();
        let greeting = greeting::encode("NULL", false);
        assert_eq!(side.input(&mut BytesMut::from(&greeting[..])), Ok(None));
        let expected = b"\x04\x29\x05READY\x0BSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\0";
        assert_eq!(side.output(), expected);
    }

    #[test]
    fn a2_the_peer_s_minor_version_is_reported() {
        for (theirs, spoken) in [(0, 0), (1, 1), (2, 1)] {
            let mut buf = BytesMut::from(&ready(PULL)[..]);
            let peer = greeted(SocketType::Push, theirs).input(&mut buf).unwrap().unwrap();
            assert_eq!(peer.minor, spoken);
        }
    }

    #[test]
    fn a1_4_traffic_after_the_handshake_stays_in_the_buffer() {
        let mut bytes = greeting::encode("NULL", false).to_vec();
        bytes.extend(ready(PULL));
        bytes.extend(b"\x00\x01a");
        let mut buf = BytesMut::from(&bytes[..]);
        let mut side = side(SocketType::Push);
        let peer =
            Peer { minor: 1, socket_type: SocketType::Pull, identity: Bytes::new(), properties: Vec::new() };
        assert_eq!(side.input(&mut buf), Ok(Some(peer)));
        assert_eq!(buf, b"\x00\x01a"[..]);
        assert_eq!(side.input(&mut buf), Ok(None));
        assert_eq!(buf, b"\x00\x01a"[..]);
    }

    #[test]
    fn a10_1_every_pair_of_types_is_checked_at_both_ends() {
        for &ours in ALL {
            for &theirs in ALL {
                let mut side = greeted(ours, 1);
                let mut metadata = Vec::new();
                let (identity, properties) = (None, Vec::new());
                Metadata { socket_type: theirs, identity, properties }.put(&mut metadata);
                let result = side.input(&mut BytesMut::from(&ready(&metadata)[..]));
                if peers(ours).contains(&theirs) {
                    assert_eq!(result.unwrap().unwrap().socket_type, theirs);
                    assert_eq!(side.output(), b"");
                } else {
                    assert_eq!(result, Err(IncompatibleSocket { ours, theirs }.into()));
                    let reason = format!("{ours} cannot talk to {theirs}");
                    let mut error = Vec::new();
                    command::put_error(&mut error, &reason);
                    assert_eq!(*side.output(), error);
                }
            }
        }
    }

    #[test]
    fn a6_1_error_of_the_peer_is_its_rejection() {
        let cases: [(&[u8], &str); 3] = [
            (b"\x04\x07\x05ERROR\x00", ""),
            (b"\x04\x0A\x05ERROR\x03400", "400"),
            (b"\x04\x08\x05ERROR\x01\xFF", "\u{FFFD}"),
        ];
        for (bytes, reason) in cases {
            let mut side = greeted(SocketType::Push, 1);
            let error = HandshakeError::Rejected { reason: reason.into() };
            assert_eq!(side.input(&mut bytes.into()), Err(error.clone()));
            assert_eq!(side.output(), b"");
            // Sticky, even where a good READY follows.
            assert_eq!(side.input(&mut BytesMut::from(&ready(PULL)[..])), Err(error));
        }
    }

    #[test]
    fn d10_d21_a_wrong_frame_is_refused_before_its_body_is_there() {
        let cases: [(&[u8], ProtocolError); 11] = [
            (b"\x04\xFF", UnexpectedCommand),
            (b"\x00\x01", MessageInHandshake),
            (b"\x01\x01", MessageInHandshake),
            (b"\x02\0\0\0\0\0\0\0\x01", MessageInHandshake),
            (b"\x05", CommandWithMore),
            (b"\x07", CommandWithMore),
            (b"\x0C", ReservedFlags { flags: 0x0C }),
            (b"\xFF", ReservedFlags { flags: 0xFF }),
            (b"\x06\0\0\0\0\0\0\x03\xE9", OversizedCommand { size: 1001, limit: MAX_FRAME }),
            (
                b"\x06\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
                OversizedCommand { size: usize::MAX >> 1, limit: MAX_FRAME },
            ),
            (b"\x06\x80\0\0\0\0\0\0\0", FrameSizeOutOfRange),
        ];
        for (bytes, error) in &cases[1..] {
            let result = greeted(SocketType::Push, 1).input(&mut (*bytes).into());
            assert_eq!(result, Err((*error).into()), "{}", bytes.escape_ascii());
        }
        // A frame of exactly the limit, and one of legal form, are waited for.
        for bytes in [cases[0].0, b"\x06\0\0\0\0\0\0\x03\xE8"] {
            assert_eq!(greeted(SocketType::Push, 1).input(&mut bytes.into()), Ok(None));
        }
    }

    /// Property lists that a PUSH may not accept.
    fn malformed_lists() -> Vec<(Vec<u8>, ProtocolError)> {
        let socket_type = |name: &[u8]| {
            let len = u8::try_from(name.len()).unwrap();
            [b"\x0BSocket-Type\0\0\0", &[len][..], name].concat()
        };
        let push = |property: &[u8]| [PULL, property].concat();
        let identity = |value: &[u8]| {
            let len = u32::try_from(value.len()).unwrap().to_be_bytes();
            push(&[b"\x08Identity", &len[..], value].concat())
        };
        let (ours, theirs) = (SocketType::Push, SocketType::Push);
        let many: Vec<u8> =
            (b'A'..b'A' + 65).flat_map(|i| [2, b'a' + (i & 15), b'a' + (i >> 4), 0, 0, 0, 0]).collect();
        vec![
            // Socket-Type
            (vec![], MissingSocketType),
            (b"\x01a\0\0\0\0".to_vec(), MissingSocketType),
            (b"\x0ASocketType\0\0\0\x04PULL".to_vec(), MissingSocketType),
            (socket_type(b""), UnknownSocketType),
            (socket_type(b"pull"), UnknownSocketType),
            (socket_type(b"PULL\0"), UnknownSocketType),
            (socket_type(b"PUL"), UnknownSocketType),
            (socket_type(b"STREAM"), UnknownSocketType),
            (socket_type(b"GATHERER"), UnknownSocketType),
            (socket_type(b"PUSH"), IncompatibleSocket { ours, theirs }),
            // Lengths
            (push(b"\x00"), MalformedMetadata),
            (push(b"\x00\0\0\0\0"), MalformedMetadata),
            (push(b"\x01"), MalformedMetadata),
            (push(b"\x02a\0\0\0\0"), MalformedMetadata),
            (push(b"\xFFa"), MalformedMetadata),
            (push(b"\x01a"), MalformedMetadata),
            (push(b"\x01a\0"), MalformedMetadata),
            (push(b"\x01a\0\0\0"), MalformedMetadata),
            (push(b"\x01a\0\0\0\x01"), MalformedMetadata),
            (push(b"\x01a\0\0\0\x03ab"), MalformedMetadata),
            (push(b"\x01a\x7F\xFF\xFF\xFF"), MalformedMetadata),
            (push(b"\x01a\x80\0\0\0"), MalformedMetadata),
            (push(b"\x01a\xFF\xFF\xFF\xFF"), MalformedMetadata),
            (push(b"\x01a\0\0\0\0\x01"), MalformedMetadata),
            (b"\x0BSocket-Type\0\0\0\x05PULL".to_vec(), MalformedMetadata),
            (b"\x0BSocket-Type\0\0\0\x03SUBS".to_vec(), MalformedMetadata),
            (b"\x0BSocket-Type".to_vec(), MalformedMetadata),
            // Names
            (push(b"\x01 \0\0\0\0"), MalformedMetadata),
            (push(b"\x02a\0\0\0\0\0"), MalformedMetadata),
            (push(b"\x01\xE9\0\0\0\0"), MalformedMetadata),
            (push(b"\x03a:b\0\0\0\0"), MalformedMetadata),
            // Duplicates
            (push(PULL), DuplicateProperty),
            (push(b"\x0BSOCKET-TYPE\0\0\0\x04PULL"), DuplicateProperty),
            (push(b"\x03X-a\0\0\0\0\x03x-A\0\0\0\x01b"), DuplicateProperty),
            (push(b"\x08Identity\0\0\0\0\x08identity\0\0\0\0"), DuplicateProperty),
            (many, TooManyProperties { limit: 64 }),
            // Identity
            (identity(b"\0"), MalformedIdentity),
            (identity(b"\0abcd"), MalformedIdentity),
            (identity(&[b'a'; 256]), MalformedIdentity),
        ]
    }

    /// Bodies of command frames that no handshake of a PUSH may accept.
    fn malformed_bodies() -> Vec<(Vec<u8>, ProtocolError)> {
        let commands: [(&[u8], ProtocolError); 14] = [
            (b"", MalformedCommand),
            (b"\x00", MalformedCommand),
            (b"\x00READY", MalformedCommand),
            (b"\x06READY", MalformedCommand),
            (b"\xFFREADY", MalformedCommand),
            (b"\x04READY", UnexpectedCommand),
            (b"\x05ready", UnexpectedCommand),
            (b"\x04PING\0\0", UnexpectedCommand),
            (b"\x09SUBSCRIBE", UnexpectedCommand),
            (b"\x05HELLO\x01a\x01b", UnexpectedCommand),
            (b"\x07WELCOME", UnexpectedCommand),
            (b"\x05ERROR", MalformedError),
            (b"\x05ERROR\x04400", MalformedError),
            (b"\x05ERROR\x02400", MalformedError),
        ];
        let ready = |(list, error): (Vec<u8>, _)| ([b"\x05READY", &list[..]].concat(), error);
        let commands = commands.map(|(body, error)| (body.to_vec(), error));
        malformed_lists().into_iter().map(ready).chain(commands).collect()
    }

    #[test]
    fn d11_malformed_commands_are_refused_in_any_chunking() {
        let bodies = malformed_bodies();
        assert!(bodies.len() >= 41);
        for (body, error) in bodies {
            let mut frame = Vec::new();
            put_header(&mut frame, COMMAND, body.len());
            frame.extend(&body);
            for chunk in [1, 7, frame.len()] {
                let mut side = greeted(SocketType::Push, 1);
                let mut buf = BytesMut::new();
                let mut result = Ok(None);
                for bytes in frame.chunks(chunk) {
                    assert_eq!(result, Ok(None), "{}", body.escape_ascii());
                    buf.extend_from_slice(bytes);
                    result = side.input(&mut buf);
                }
                assert_eq!(result, Err(error.into()), "{}", body.escape_ascii());
                // A6.5: the peer is told why, unless it cannot even name a command.
                let told = !matches!(error, MalformedCommand | MalformedError);
                assert_eq!(side.output().starts_with(b"\x04"), told, "{}", body.escape_ascii());
            }
        }
    }
}

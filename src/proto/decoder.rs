//! Traffic after the handshake: frames in, whole messages and commands out.

use bytes::{Buf, Bytes, BytesMut};

use super::frame::Header;
use super::{Command, ProtocolError, Received};

/// What one peer may make us hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Payload bytes of a message, plus [`PART_COST`] for each part if it has several.
    pub(crate) max_message_size: usize,
    /// Parts of a message.
    pub(crate) max_parts: usize,
    /// Bytes of a command body.
    pub(crate) max_command: usize,
}

/// Why [`Decoder::decode`] came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// All that is there has been taken, but for a message or command that has only begun.
    NeedMore,
    /// A command; more of anything may follow.
    Command(Command),
}

/// Reads the traffic of one connection: checks every header, cuts whole messages off in the form
/// they came in, and sets commands apart. The receiver opens the messages, see [`Received`].
///
/// It never reserves memory by a size that the wire claims. The caller grows the input buffer as
/// bytes arrive, for which [`needed`](Self::needed) is a hint and no order.
#[derive(Debug)]
pub(crate) struct Decoder {
    limits: Limits,
    /// Bytes of the input that are checked: frames of the unfinished message.
    checked: usize,
    /// The frames of the unfinished message that came before a command (A3.5).
    begun: Vec<Bytes>,
    /// How many frames the unfinished message has, and what they count against the limit.
    parts: usize,
    size: usize,
    needed: usize,
    failed: Option<ProtocolError>,
}

impl Decoder {
    pub(crate) const fn new(limits: Limits) -> Self {
        Self { limits, checked: 0, begun: Vec::new(), parts: 0, size: 0, needed: 0, failed: None }
    }

    /// Takes frames from `input` and adds the whole messages to `out`, up to the next command. Messages
    /// before an error are good; after it every call fails alike.
    pub(crate) fn decode(
        &mut self,
        input: &mut BytesMut,
        out: &mut Received,
    ) -> Result<Decoded, ProtocolError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let result = self.run(input, out);
        self.failed = result.as_ref().err().copied();
        result
    }

    /// How many bytes the frame that has begun lacks, at least; 0 between frames.
    pub(crate) const fn needed(&self) -> usize {
        self.needed
    }

    /// Whether a message or command has begun of which `input` lacks the end, once all that is there is decoded.
    pub(crate) fn is_midway(&self, input: &BytesMut) -> bool {
        self.parts > 0 || !input.is_empty()
    }

    fn run(&mut self, input: &mut BytesMut, out: &mut Received) -> Result<Decoded, ProtocolError> {
        self.needed = 0;
        let mut run = Run { messages: 0, end: 0 };
        let stop = self.messages(input, &mut run);
        if run.messages > 0 {
            for block in self.begun.drain(..) {
                out.push(block, 0);
            }
            out.push(input.split_to(run.end).freeze(), run.messages);
            self.checked = self.checked.saturating_sub(run.end);
        }
        match stop? {
            Stop::Missing(bytes) => {
                self.needed = bytes;
                Ok(Decoded::NeedMore)
            }
            Stop::Command(header) => {
                if self.checked > 0 {
                    self.begun.push(input.split_to(self.checked).freeze());
                    self.checked = 0;
                }
                input.advance(header.header_len);
                let body = input.split_to(header.len).freeze();
                Ok(Decoded::Command(Command::parse(&body)?))
            }
        }
    }

    /// Checks the message frames in `input`, and says what ended that.
    fn messages(&mut self, input: &[u8], run: &mut Run) -> Result<Stop, ProtocolError> {
        let mut rest = input.get(self.checked..).unwrap_or_default();
        loop {
            let Some(header) = Header::parse(rest)? else {
                return Ok(Stop::Missing(usize::from(!rest.is_empty())));
            };
            if header.command {
                return self.command(header, rest);
            }
            let size = self.size_with(header)?;
            let Some((_, tail)) = header.split(rest) else {
                return Ok(Stop::missing(header, rest));
            };
            rest = tail;
            self.checked = input.len().saturating_sub(rest.len());
            if header.more {
                self.parts = self.parts.saturating_add(1);
                self.size = size;
            } else {
                self.parts = 0;
                self.size = 0;
                run.messages = run.messages.saturating_add(1);
                run.end = self.checked;
            }
        }
    }

    /// What the message counts with this frame, if the limits allow it. Seen at the header, before
    /// a byte of the body is waited for.
    #[inline]
    fn size_with(&self, header: Header) -> Result<usize, ProtocolError> {
        let mut size = header.len;
        if header.more || self.parts > 0 {
            let limit = self.limits.max_parts;
            if self.parts >= limit {
                return Err(ProtocolError::TooManyParts { limit });
            }
            size = size.saturating_add(self.size).saturating_add(PART_COST);
        }
        let limit = self.limits.max_message_size;
        if size > limit {
            return Err(ProtocolError::OversizedMessage { size, limit });
        }
        Ok(size)
    }

    fn command(&self, header: Header, input: &[u8]) -> Result<Stop, ProtocolError> {
        let (size, limit) = (header.len, self.limits.max_command);
        if size > limit {
            return Err(ProtocolError::OversizedCommand { size, limit });
        }
        Ok(match header.split(input) {
            None => Stop::missing(header, input),
            Some(_) => Stop::Command(header),
        })
    }
}

/// The messages of one call.
struct Run {
    messages: usize,
    /// Where the last one ends in the input.
    end: usize,
}

/// What ends a run of messages.
enum Stop {
    /// So many bytes are missing from the next frame, at least; 0 where there is none.
    Missing(usize),
    Command(Header),
}

impl Stop {
    const fn missing(header: Header, input: &[u8]) -> Self {
        Self::Missing(header.frame_len().saturating_sub(input.len()))
    }
}

/// What a part counts besides its payload, so that empty parts are not free.
const PART_COST: usize = 64;

#[cfg(test)]
mod tests {
    use ProtocolError::*;

    use super::*;
    use crate::message::Message;
    use crate::proto::{command, frame};

    const LIMITS: Limits = Limits { max_message_size: 1000, max_parts: 4, max_command: 100 };

    /// Everything that comes out of `wire`, given at once.
    fn decode(limits: Limits, wire: &[u8]) -> (Vec<Message>, usize, Result<(), ProtocolError>) {
        let mut decoder = Decoder::new(limits);
        let (mut input, mut out, mut commands) = (BytesMut::from(wire), Received::default(), 0);
        let result = loop {
            match decoder.decode(&mut input, &mut out) {
                Ok(Decoded::Command(_)) => commands += 1,
                Ok(_) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        (out.collect(), commands, result)
    }

    fn peek(out: &Received) -> Vec<Message> {
        out.clone().collect()
    }

    /// A message on the wire.
    fn encode(parts: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for (i, part) in parts.iter().enumerate() {
            let more = if i + 1 < parts.len() { frame::MORE } else { 0 };
            frame::put_header(&mut out, more, part.len());
            out.extend_from_slice(part);
        }
        out
    }

    fn ok(messages: &[&[&[u8]]]) -> (Vec<Message>, usize, Result<(), ProtocolError>) {
        (messages.iter().map(|parts| parts.iter().copied().collect()).collect(), 0, Ok(()))
    }

    #[test]
    fn a3_golden_messages() {
        assert_eq!(decode(LIMITS, b"\0\x05hello"), ok(&[&[b"hello"]]));
        assert_eq!(decode(LIMITS, b"\x02\0\0\0\0\0\0\0\x02hi"), ok(&[&[b"hi"]]));
        assert_eq!(decode(LIMITS, b"\x01\x01a\x01\0\0\x01b\0\0"), ok(&[&[b"a", b"", b"b"], &[b""]]));
        assert_eq!(decode(LIMITS, b"\x03\0\0\0\0\0\0\0\x01a\0\x01b"), ok(&[&[b"a", b"b"]]));
    }

    #[test]
    fn a3_bodies_of_every_size_around_the_boundaries() {
        for len in [0, 1, 77, 78, 79, 254, 255, 256, 999, 1000] {
            let body = vec![7; len];
            let wire = [encode(&[&body]), encode(&[b"next"])].concat();
            assert_eq!(decode(LIMITS, &wire), ok(&[&[&body], &[b"next"]]));
        }
    }

    #[test]
    fn large_bodies_are_not_copied() {
        let body = [7; 500];
        let mut input = BytesMut::from(&encode(&[&body, &body])[..]);
        let range = input.as_ptr_range();
        let mut out = Received::default();
        Decoder::new(Limits { max_message_size: usize::MAX, ..LIMITS }).decode(&mut input, &mut out).unwrap();
        for frame in out.next().unwrap().frames() {
            assert_eq!(*frame, &body);
            assert!(range.contains(&frame.as_ptr()));
        }
    }

    #[test]
    fn a3_5_commands_between_parts_leave_the_message_alone() {
        let mut wire = b"\x01\x01a".to_vec();
        command::put_ping(&mut wire, 0, b"cx");
        wire.extend(b"\x01\x01b");
        command::put_pong(&mut wire, b"");
        wire.extend(b"\0\x01c");
        let (messages, commands, result) = decode(LIMITS, &wire);
        assert_eq!((messages, result), (vec![Message::from(["a", "b", "c"])], Ok(())));
        assert_eq!(commands, 2);
    }

    #[test]
    fn commands_come_in_their_place_between_messages() {
        let mut wire = BytesMut::from(&b"\0\x01a\x04\x0A\x09SUBSCRIBE\x04\x08\x06CANCELt\0\x01b"[..]);
        let (mut decoder, mut out) = (Decoder::new(LIMITS), Received::default());
        let mut next = |out: &mut _| decoder.decode(&mut wire, out);
        assert_eq!(next(&mut out), Ok(Decoded::Command(Command::Subscribe(Bytes::new()))));
        assert_eq!(peek(&out), ["a"]);
        assert_eq!(next(&mut out), Ok(Decoded::Command(Command::Cancel(Bytes::from_static(b"t")))));
        assert_eq!(peek(&out), ["a"]);
        assert_eq!(next(&mut out), Ok(Decoded::NeedMore));
        assert_eq!(peek(&out), ["a", "b"]);
    }

    #[test]
    fn d7_d8_d9_limits_are_applied_at_the_header() {
        let big = |size| OversizedMessage { size, limit: 1000 };
        let cases: [(&[u8], ProtocolError); 12] = [
            (b"\x02\0\0\0\0\0\0\x03\xE9", big(1001)),
            (b"\x02\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", big(usize::MAX >> 1)),
            (b"\x02\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", FrameSizeOutOfRange),
            // A part counts 64 more, from the first on.
            (b"\x03\0\0\0\0\0\0\x03\xA9", big(1001)),
            (b"\x01\0\x03\0\0\0\0\0\0\x03\x69", big(1001)),
            (b"\x01\x01a\x02\0\0\0\0\0\0\x03\x68", big(1001)),
            (b"\x01\0\x02\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", big((usize::MAX >> 1) + 128)),
            (b"\x01\0\x01\0\x01\0\x01\0\x01\0", TooManyParts { limit: 4 }),
            (b"\x01\0\x01\0\x01\0\x01\0\0\0", TooManyParts { limit: 4 }),
            (b"\x01\0\x01\0\x01\0\x01\0\x01\xFF", TooManyParts { limit: 4 }),
            (b"\x04\x65", OversizedCommand { size: 101, limit: 100 }),
            (b"\x06\0\0\0\0\0\0\0\x65", OversizedCommand { size: 101, limit: 100 }),
        ];
        for (wire, error) in cases {
            assert_eq!(decode(LIMITS, wire), (vec![], 0, Err(error)), "{}", wire.escape_ascii());
        }
    }

    #[test]
    fn d8_what_is_exactly_at_the_limits_passes() {
        let (a, b) = ([7; 500], [8; 1000 - 500 - 128]);
        assert_eq!(decode(LIMITS, &encode(&[&a, &b])), ok(&[&[&a, &b]]));
        let four: &[&[u8]] = &[b"", b"", b"", b""];
        assert_eq!(decode(LIMITS, &encode(four).repeat(3)), ok(&[four; 3]));
        assert_eq!(decode(LIMITS, b"\x04\x64"), ok(&[]));
        let none = Limits { max_message_size: usize::MAX, max_parts: usize::MAX, max_command: 0 };
        assert_eq!(
            decode(none, &[&b"\x01\0"[..], &b"\x03\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF"[..]].concat()),
            ok(&[])
        );
        assert_eq!(decode(none, &b"\x01\0".repeat(5000)), ok(&[]));
    }

    #[test]
    fn d20_d21_malformed_traffic_ends_it_and_the_error_stays() {
        let cases: [(&[u8], ProtocolError); 9] = [
            (b"\x05", CommandWithMore),
            (b"\x07\0", CommandWithMore),
            (b"\x08\0", ReservedFlags { flags: 8 }),
            (b"\x80", ReservedFlags { flags: 0x80 }),
            (b"\x04\0", MalformedCommand),
            (b"\x04\x02\x02a", MalformedCommand),
            (b"\x04\x05\x04PING", MalformedPing),
            (b"\x04\x06\x05READY", HandshakeCommandInTraffic),
            (b"\x04\x0A\x05ERROR\x04400", MalformedError),
        ];
        for (wire, error) in cases {
            // What came before is good; what comes after is not looked at.
            let before = b"\0\x01a\x01\x01b";
            let mut input = BytesMut::from(&[&before[..], wire].concat()[..]);
            let (mut decoder, mut out) = (Decoder::new(LIMITS), Received::default());
            assert_eq!(decoder.decode(&mut input, &mut out), Err(error), "{}", wire.escape_ascii());
            assert_eq!(peek(&out), ["a"]);
            let mut good = BytesMut::from(&b"\0\x01c"[..]);
            assert_eq!(decoder.decode(&mut good, &mut out), Err(error));
            assert_eq!(peek(&out), ["a"]);
        }
    }

    #[test]
    fn needed_tells_what_has_begun() {
        let (mut decoder, mut out) = (Decoder::new(LIMITS), Received::default());
        let mut input = BytesMut::new();
        let mut feed = |bytes: &[u8]| {
            input.extend_from_slice(bytes);
            assert_eq!(decoder.decode(&mut input, &mut out), Ok(Decoded::NeedMore));
            decoder.needed()
        };
        assert_eq!(feed(b""), 0);
        assert_eq!(feed(b"\x01"), 1);
        assert_eq!(feed(b"\x03"), 3);
        assert_eq!(feed(b"ab"), 1);
        assert_eq!(feed(b"c"), 0);
        assert_eq!(feed(b"\x02\0\0\0\0\0\0\x01"), 1);
        assert_eq!(feed(b"\x00"), 256);
        assert_eq!(feed(&[7; 256]), 0);
        assert_eq!(feed(b"\x04\x05\x04"), 4);
        input.extend_from_slice(b"PONG");
        let ignored = Ok(Decoded::Command(Command::Ignored));
        assert_eq!(decoder.decode(&mut input, &mut out), ignored);
        assert_eq!(decoder.needed(), 0);
    }

    #[test]
    fn t12_a_message_cut_at_any_byte_is_not_there() {
        let first: &[&[u8]] = &[b"whole", b"message"];
        let second: &[&[u8]] = &[b"id", b"", &[7; 300]];
        let (head, tail) = (encode(first), encode(second));
        for cut in 0..tail.len() {
            let wire = [&head[..], &tail[..cut]].concat();
            assert_eq!(decode(LIMITS, &wire), ok(&[first]), "{cut}");
        }
        assert_eq!(decode(LIMITS, &[head, tail].concat()), ok(&[first, second]));
    }

    #[test]
    fn d9_empty_parts_wait_in_two_bytes_each() {
        let limits = Limits { max_message_size: usize::MAX, max_parts: 4096, max_command: 0 };
        let mut input = BytesMut::from(&[&b"\x01\0".repeat(4095)[..], b"\0\0"].concat()[..]);
        let mut out = Received::default();
        assert_eq!(Decoder::new(limits).decode(&mut input, &mut out), Ok(Decoded::NeedMore));
        assert_eq!((out.len(), out.bytes()), (1, 8192));
        assert_eq!(out.next().unwrap().frame_count(), 4096);
        assert_eq!((out.len(), out.bytes()), (0, 0));
    }
}

//! Commands: how a body names one, what traffic may bring, and how ours are written.

use bytes::Bytes;

use super::{ProtocolError, frame};

/// A command that a peer may send once the handshake is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Send me what begins with this topic.
    Subscribe(Bytes),
    /// Send it no longer.
    Cancel(Bytes),
    /// Send me what is for this group.
    Join(Bytes),
    /// Send it no longer.
    Leave(Bytes),
    /// Show that you are alive.
    Ping {
        /// Give me up after this many tenths of a second of silence; 0 is never.
        ttl_ds: u16,
        /// To be echoed in the PONG.
        context: Bytes,
    },
    /// It ends the connection, and says why.
    Error(Bytes),
    /// A PONG, or a command we do not know: a sign of life, nothing more.
    Ignored,
}

impl Command {
    /// Reads the body of a command frame.
    pub(crate) fn parse(body: &Bytes) -> Result<Self, ProtocolError> {
        let (name, data) = split(body)?;
        Ok(match name {
            b"SUBSCRIBE" => Self::Subscribe(body.slice_ref(data)),
            b"CANCEL" => Self::Cancel(body.slice_ref(data)),
            b"JOIN" => Self::Join(group(body, data)?),
            b"LEAVE" => Self::Leave(group(body, data)?),
            b"PING" => {
                let (ttl, context) = data.split_first_chunk().ok_or(ProtocolError::MalformedPing)?;
                // A9.2: libzmq cuts a longer context off, so that is an answer peers know.
                let context = context.get(..MAX_CONTEXT).unwrap_or(context);
                Self::Ping { ttl_ds: u16::from_be_bytes(*ttl), context: body.slice_ref(context) }
            }
            ERROR => Self::Error(body.slice_ref(reason(data)?)),
            READY | b"HELLO" | b"WELCOME" | b"INITIATE" => {
                return Err(ProtocolError::HandshakeCommandInTraffic);
            }
            _ => Self::Ignored,
        })
    }
}

/// The longest name of a group (48/RADIO-DISH).
pub(crate) const MAX_GROUP: usize = 255;

fn group(body: &Bytes, data: &[u8]) -> Result<Bytes, ProtocolError> {
    let (size, limit) = (data.len(), MAX_GROUP);
    if size > limit { Err(ProtocolError::OversizedTopic { size, limit }) } else { Ok(body.slice_ref(data)) }
}

/// The name and the data of a command.
pub(crate) fn split(body: &[u8]) -> Result<(&[u8], &[u8]), ProtocolError> {
    // 37/ZMTP: command-name = OCTET 1*255command-name-char
    body.split_first()
        .and_then(|(&len, rest)| rest.split_at_checked(len.into()))
        .filter(|(name, _)| !name.is_empty())
        .ok_or(ProtocolError::MalformedCommand)
}

/// The reason in the data of an ERROR.
pub(crate) fn reason(data: &[u8]) -> Result<&[u8], ProtocolError> {
    data.split_first()
        .filter(|(len, reason)| usize::from(**len) == reason.len())
        .map(|(_, reason)| reason)
        .ok_or(ProtocolError::MalformedError)
}

/// Appends a READY with a list of properties.
pub(crate) fn put_ready(out: &mut Vec<u8>, metadata: &[u8]) {
    put(out, READY, &[metadata]);
}

/// Appends an ERROR; the reason is cut at 255 bytes.
pub(crate) fn put_error(out: &mut Vec<u8>, reason: &str) {
    let len = u8::try_from(reason.len()).unwrap_or(u8::MAX);
    let reason = reason.as_bytes().get(..len.into()).unwrap_or_default();
    put(out, ERROR, &[&[len], reason]);
}

/// Appends a subscription, in the form that a peer of 3.`minor` reads.
pub(crate) fn put_subscribe(out: &mut Vec<u8>, topic: &[u8], minor: u8) {
    match minor {
        0 => put_message(out, 1, topic),
        _ => put(out, b"SUBSCRIBE", &[topic]),
    }
}

/// Appends the end of a subscription, in the form that a peer of 3.`minor` reads.
pub(crate) fn put_cancel(out: &mut Vec<u8>, topic: &[u8], minor: u8) {
    match minor {
        0 => put_message(out, 0, topic),
        _ => put(out, b"CANCEL", &[topic]),
    }
}

/// Appends the joining of a group.
pub(crate) fn put_join(out: &mut Vec<u8>, group: &[u8]) {
    put(out, b"JOIN", &[group]);
}

/// Appends the leaving of a group.
pub(crate) fn put_leave(out: &mut Vec<u8>, group: &[u8]) {
    put(out, b"LEAVE", &[group]);
}

/// Appends a PING.
pub(crate) fn put_ping(out: &mut Vec<u8>, ttl_ds: u16, context: &[u8]) {
    put(out, b"PING", &[&ttl_ds.to_be_bytes(), context]);
}

/// Appends the answer to a PING of that context.
pub(crate) fn put_pong(out: &mut Vec<u8>, context: &[u8]) {
    put(out, b"PONG", &[context]);
}

pub(crate) const READY: &[u8] = b"READY";
pub(crate) const ERROR: &[u8] = b"ERROR";
const MAX_CONTEXT: usize = 16;

/// Appends a command frame. Names are our own and short.
fn put(out: &mut Vec<u8>, name: &[u8], data: &[&[u8]]) {
    let len = data.iter().fold(name.len().saturating_add(1), |len, part| len.saturating_add(part.len()));
    frame::put_header(out, frame::COMMAND, len);
    out.push(u8::try_from(name.len()).unwrap_or_default());
    out.extend_from_slice(name);
    data.iter().for_each(|part| out.extend_from_slice(part));
}

/// Appends a message of one frame: `first`, then the topic.
fn put_message(out: &mut Vec<u8>, first: u8, topic: &[u8]) {
    frame::put_header(out, 0, topic.len().saturating_add(1));
    out.push(first);
    out.extend_from_slice(topic);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out);
        out
    }

    fn parse(body: &[u8]) -> Result<Command, ProtocolError> {
        Command::parse(&Bytes::copy_from_slice(body))
    }

    #[test]
    fn a7_golden_subscriptions_for_both_minor_versions() {
        let subscribe = |minor| encoded(|out| put_subscribe(out, b"news", minor));
        let cancel = |minor| encoded(|out| put_cancel(out, b"news", minor));
        assert_eq!(subscribe(1), b"\x04\x0E\x09SUBSCRIBEnews");
        assert_eq!(cancel(1), b"\x04\x0B\x06CANCELnews");
        assert_eq!(subscribe(0), b"\x00\x05\x01news");
        assert_eq!(cancel(0), b"\x00\x05\x00news");
    }

    #[test]
    fn a3_1_the_form_follows_the_final_size_of_a_subscription() {
        // Where libzmq desynchronises a 3.0 peer: 255 bytes of topic are 256 of body.
        for (minor, longest) in [(0, 254), (1, 245)] {
            let short = encoded(|out| put_subscribe(out, &vec![b'a'; longest], minor));
            let long = encoded(|out| put_subscribe(out, &vec![b'a'; longest + 1], minor));
            assert_eq!(short[1], 255);
            assert_eq!(short.len(), 257);
            assert_eq!(long[..9], [long[0], 0, 0, 0, 0, 0, 0, 1, 0]);
            assert_eq!(long[0] & frame::LONG, frame::LONG);
            assert_eq!(long.len(), 265);
        }
    }

    #[test]
    fn golden_groups_of_a_radio_and_a_dish() {
        assert_eq!(encoded(|out| put_join(out, b"news")), b"\x04\x09\x04JOINnews");
        assert_eq!(encoded(|out| put_leave(out, b"news")), b"\x04\x0A\x05LEAVEnews");
        assert_eq!(encoded(|out| put_join(out, b"")), b"\x04\x05\x04JOIN");
        let longest = encoded(|out| put_join(out, &[b'a'; MAX_GROUP]));
        assert_eq!(longest[..14], *b"\x06\0\0\0\0\0\0\x01\x04\x04JOIN");
        assert_eq!(parse(b"\x04JOINa"), Ok(Command::Join(Bytes::from_static(b"a"))));
        assert_eq!(parse(b"\x05LEAVE"), Ok(Command::Leave(Bytes::new())));
        let size = MAX_GROUP + 1;
        let error = ProtocolError::OversizedTopic { size, limit: MAX_GROUP };
        assert_eq!(parse(&[b"\x04JOIN", &[b'a'; 256][..]].concat()), Err(error));
        assert_eq!(parse(&[b"\x05LEAVE", &[b'a'; 256][..]].concat()), Err(error));
    }

    #[test]
    fn a9_golden_heartbeats() {
        assert_eq!(encoded(|out| put_ping(out, 655, b"")), b"\x04\x07\x04PING\x02\x8F");
        assert_eq!(encoded(|out| put_ping(out, 1, b"cx")), b"\x04\x09\x04PING\x00\x01cx");
        assert_eq!(encoded(|out| put_pong(out, b"cx")), b"\x04\x07\x04PONGcx");
    }

    #[test]
    fn a6_golden_error_and_its_longest_reason() {
        assert_eq!(encoded(|out| put_error(out, "400")), b"\x04\x0A\x05ERROR\x03400");
        let long = encoded(|out| put_error(out, &"x".repeat(300)));
        assert_eq!(long[..9], [6, 0, 0, 0, 0, 0, 0, 1, 6]);
        assert_eq!(long[15], 255);
        assert_eq!(long.len(), 9 + 6 + 1 + 255);
    }

    #[test]
    fn a4_commands_of_traffic() {
        let ping =
            |ttl_ds, context: &'static [u8]| Command::Ping { ttl_ds, context: Bytes::from_static(context) };
        let cases: [(&[u8], Command); 11] = [
            (b"\x09SUBSCRIBE", Command::Subscribe(Bytes::new())),
            (b"\x09SUBSCRIBE\x00a", Command::Subscribe(Bytes::from_static(b"\x00a"))),
            (b"\x06CANCELa", Command::Cancel(Bytes::from_static(b"a"))),
            (b"\x04PING\x02\x90", ping(656, b"")),
            (b"\x04PING\x00\x000123456789abcdef", ping(0, b"0123456789abcdef")),
            // A9.2
            (b"\x04PING\x00\x000123456789abcdefg", ping(0, b"0123456789abcdef")),
            (b"\x04PONG", Command::Ignored),
            (b"\x04PONG01234567890123456789", Command::Ignored),
            (b"\x05ERROR\x03400", Command::Error(Bytes::from_static(b"400"))),
            // A4.2, A4.3
            (b"\x04JUMPgroup", Command::Ignored),
            (b"\x01\xFF", Command::Ignored),
        ];
        for (body, expected) in cases {
            assert_eq!(parse(body), Ok(expected), "{}", body.escape_ascii());
        }
    }

    #[test]
    fn a4_malformed_commands_of_traffic() {
        use ProtocolError::*;
        let cases: [(&[u8], ProtocolError); 13] = [
            (b"", MalformedCommand),
            (b"\x00", MalformedCommand),
            (b"\x00PING", MalformedCommand),
            (b"\x05PING", MalformedCommand),
            (b"\xFFSUBSCRIBE", MalformedCommand),
            // A9.3
            (b"\x04PING", MalformedPing),
            (b"\x04PING\x00", MalformedPing),
            // D20
            (b"\x05READY", HandshakeCommandInTraffic),
            (b"\x05READYjunk", HandshakeCommandInTraffic),
            (b"\x05ERROR\x04400", MalformedError),
            (b"\x05HELLO", HandshakeCommandInTraffic),
            (b"\x07WELCOME", HandshakeCommandInTraffic),
            (b"\x08INITIATE", HandshakeCommandInTraffic),
        ];
        for (body, error) in cases {
            assert_eq!(parse(body), Err(error), "{}", body.escape_ascii());
        }
    }

    #[test]
    fn a6_6_reason_must_fill_the_body() {
        assert_eq!(reason(b"\x00"), Ok(&b""[..]));
        assert_eq!(reason(b"\x03400"), Ok(&b"400"[..]));
        for data in [&b""[..], b"\x01", b"\x04400", b"\x02400", b"\xFF"] {
            assert_eq!(reason(data), Err(ProtocolError::MalformedError), "{}", data.escape_ascii());
        }
    }
}

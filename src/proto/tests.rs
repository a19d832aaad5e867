//! Properties of the whole protocol: two sides of a handshake, and traffic, under any chunking.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;

use SocketType::*;

use super::Peer;
use super::*;
use crate::{Frame, Message};

pub(super) const ALL: &[SocketType] = SocketType::ALL;

/// Some rule of who may be whose peer: the real one is the sockets'.
pub(super) fn peers(ours: SocketType) -> &'static [SocketType] {
    match ours {
        Push => &[Pull],
        Pull => &[Push],
        XPub => &[Sub, XSub],
        _ => ALL,
    }
}

const LIMITS: Limits = Limits { max_message_size: 2000, max_parts: 6, max_command: 300 };

#[derive(Debug, Clone, PartialEq)]
enum Event {
    Message(Message),
    Command(Command),
    Error(ProtocolError),
}

/// What comes out of `wire` where it arrives in pieces of these sizes, taken in turn.
fn events(wire: &[u8], chunks: &[usize]) -> Vec<Event> {
    let mut decoder = Decoder::new(LIMITS);
    let (mut input, mut out, mut events) = (BytesMut::new(), Received::default(), Vec::new());
    for chunk in pieces(wire, chunks) {
        input.extend_from_slice(chunk);
        loop {
            let result = decoder.decode(&mut input, &mut out);
            events.extend(out.by_ref().map(Event::Message));
            match result {
                Ok(Decoded::NeedMore) => break,
                Ok(Decoded::Command(command)) => events.push(Event::Command(command)),
                Err(error) => {
                    events.push(Event::Error(error));
                    return events;
                }
            }
        }
        assert!(decoder.needed() == 0 || !input.is_empty());
    }
    events
}

fn pieces<'a>(mut wire: &'a [u8], chunks: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut chunks = chunks.iter().copied().cycle();
    std::iter::from_fn(move || {
        let (piece, rest) = wire.split_at(chunks.next()?.min(wire.len()));
        wire = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

fn put(out: &mut Vec<u8>, event: &Event) {
    match event {
        Event::Message(message) => {
            let count = message.frame_count();
            for (i, part) in message.frames().enumerate() {
                frame::put_header(out, u8::from(i + 1 < count), part.len());
                out.extend_from_slice(part);
            }
        }
        Event::Command(Command::Subscribe(topic)) => command::put_subscribe(out, topic, 1),
        Event::Command(Command::Cancel(topic)) => command::put_cancel(out, topic, 1),
        Event::Command(Command::Ping { ttl_ds, context }) => command::put_ping(out, *ttl_ds, context),
        Event::Command(Command::Error(reason)) => {
            command::put_error(out, std::str::from_utf8(reason).unwrap())
        }
        Event::Command(Command::Join(group)) => command::put_join(out, group),
        Event::Command(Command::Leave(group)) => command::put_leave(out, group),
        Event::Command(Command::Ignored) => command::put_pong(out, b"context"),
        Event::Error(_) => out.push(0xFF),
    }
}

fn payload() -> impl Strategy<Value = Bytes> {
    prop_oneof![0..10_usize, 76..81_usize, 253..258_usize]
        .prop_flat_map(|len| vec(any::<u8>(), len).prop_map(Bytes::from))
}

fn event() -> impl Strategy<Value = Event> {
    let message =
        vec(payload(), 1..6).prop_map(|parts| Event::Message(parts.into_iter().map(Frame::from).collect()));
    let ping = (any::<u16>(), vec(any::<u8>(), 0..=16))
        .prop_map(|(ttl_ds, context)| Command::Ping { ttl_ds, context: context.into() });
    let command = prop_oneof![
        payload().prop_map(Command::Subscribe),
        payload().prop_map(Command::Cancel),
        ping,
        vec(any::<u8>(), 0..=command::MAX_GROUP).prop_map(|group| Command::Join(group.into())),
        vec(any::<u8>(), 0..=command::MAX_GROUP).prop_map(|group| Command::Leave(group.into())),
        "[ -~]{0,255}".prop_map(|reason| Command::Error(reason.into())),
        Just(Command::Ignored),
    ];
    prop_oneof![3 => message, 1 => command.prop_map(Event::Command)]
}

/// Bytes that look like traffic more often than chance would have it.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => 0..8_u8, 1 => any::<u8>()];
    let piece = prop_oneof![
        vec(byte, 0..12),
        event().prop_map(|event| {
            let mut out = Vec::new();
            put(&mut out, &event);
            out
        }),
    ];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn chunks() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![1..4_usize, 1..600_usize], 1..10)
}

fn config() -> impl Strategy<Value = Config> {
    let identity = vec(1..=u8::MAX, 0..=255).prop_map(Bytes::from);
    let properties = proptest::collection::btree_map("x-[a-z0-9_.+-]{0,20}", payload(), 0..20);
    (proptest::sample::select(ALL), identity, properties).prop_map(|(socket_type, identity, properties)| {
        Config {
            socket_type,
            peers: peers(socket_type),
            identity: socket_type.has_identity().then_some(identity),
            properties: properties.into_iter().collect(),
            max_handshake_frame: 64 * 1024,
            security: Security::Null,
        }
    })
}

/// What a handshake makes of `wire`: its result, what it wrote, and what it left.
fn shake(
    config: Config,
    wire: &[u8],
    chunks: &[usize],
) -> (Result<Option<Peer>, HandshakeError>, Vec<u8>, Vec<u8>) {
    let mut side = Handshake::new(config);
    let mut buf = BytesMut::new();
    let mut result = Ok(None);
    for piece in pieces(wire, chunks) {
        buf.extend_from_slice(piece);
        if result == Ok(None) {
            result = side.input(&mut buf);
        }
    }
    if let Err(error) = &result {
        assert_eq!(side.input(&mut buf).as_ref(), Err(error), "sticky");
    }
    (result, side.output().clone(), buf.to_vec())
}

fn said_by(config: &Config) -> Vec<u8> {
    let mut side = Handshake::new(config.clone());
    let mut greeting = BytesMut::from(&side.output()[..]);
    assert_eq!(side.input(&mut greeting), Ok(None));
    std::mem::take(side.output())
}

proptest! {
    #[test]
    fn p1_p2_traffic_round_trips_in_any_chunking(
        sent in vec(event(), 0..12), chunks in chunks(),
    ) {
        let mut wire = Vec::new();
        sent.iter().for_each(|event| put(&mut wire, event));
        prop_assert_eq!(events(&wire, &chunks), sent);
    }

    #[test]
    fn p2_noise_gives_the_same_events_in_any_chunking(
        wire in noise(), chunks in chunks(),
    ) {
        prop_assert_eq!(events(&wire, &chunks), events(&wire, &[usize::MAX]));
    }

    #[test]
    fn p3_a_cut_loses_only_the_message_it_hits(sent in vec(event(), 1..6), cut in any::<prop::sample::Index>()) {
        let (mut wire, mut ends) = (Vec::new(), Vec::new());
        for event in &sent {
            put(&mut wire, event);
            ends.push(wire.len());
        }
        let cut = cut.index(wire.len() + 1);
        let whole = ends.iter().filter(|&&end| end <= cut).count();
        prop_assert_eq!(&events(&wire[..cut], &[usize::MAX]), &sent[..whole]);
    }

    #[test]
    fn handshakes_tell_each_side_what_the_other_is(
        ours in config(), theirs in config(), chunks in chunks(), traffic in vec(any::<u8>(), 0..20),
    ) {
        let wire = [said_by(&theirs), traffic.clone()].concat();
        let (result, said, left) = shake(ours.clone(), &wire, &chunks);
        if ours.peers.contains(&theirs.socket_type) {
            let identity = theirs.identity.unwrap_or_default();
            let Config { socket_type, properties, .. } = theirs;
            prop_assert_eq!(result, Ok(Some(Peer { minor: 1, socket_type, identity, properties })));
            prop_assert_eq!(left, traffic);
            prop_assert_eq!(said, said_by(&ours));
        } else {
            let (ours, theirs) = (ours.socket_type, theirs.socket_type);
            prop_assert_eq!(result, Err(ProtocolError::IncompatibleSocket { ours, theirs }.into()));
        }
    }

    #[test]
    fn p2_a_damaged_handshake_ends_alike_in_any_chunking(
        ours in config(), theirs in config(), chunks in chunks(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..3), cut in any::<prop::sample::Index>(),
    ) {
        let mut wire = said_by(&theirs);
        for (at, byte) in damage {
            let at = at.index(wire.len());
            wire[at] = byte;
        }
        wire.truncate(cut.index(wire.len() * 2));
        prop_assert_eq!(shake(ours.clone(), &wire, &chunks), shake(ours, &wire, &[usize::MAX]));
    }
}

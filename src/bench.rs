//! The parts as `benches/parts` measures them: `RUSTFLAGS="--cfg sinew_bench" cargo bench`. No part of the API; it
//! exists under that flag only.

#![allow(missing_docs, clippy::must_use_candidate, reason = "for our own benches")]

use std::io::{self, IoSlice};
use std::task::Waker;

use bytes::BytesMut;

use crate::engine::{Medium, Writer};
use crate::message::Message;
use crate::pipe::{Deferred, Hwm, InPipe, Inbox, OutPipe, Outbox, Refusal, WireBuf};
use crate::proto::{Decoder, Limits, Received};
use crate::routing::{FanOut, PeerKey, Rotation, Route, Trie};
use crate::sync::{Arc, Mutex};

const UNLIMITED: Hwm = Hwm::new(0, 0);
/// As a socket with the default mark has it.
const TURN: usize = 500;

/// Frames messages.
#[derive(Debug, Default)]
pub struct Encoder(WireBuf);

impl Encoder {
    pub fn encode(&mut self, message: &Message) {
        self.0.push(message.frames());
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// The way out: messages sent to peers, and taken by their connections.
#[derive(Debug)]
pub struct Out {
    outbox: Arc<Mutex<Outbox>>,
    peers: Vec<PeerKey>,
    writers: Vec<Writer<Sink>>,
}

impl Out {
    /// A PUSH.
    pub fn balance(peers: usize) -> Self {
        Self::new(Route::Balance(Rotation::default()), peers)
    }

    /// A PUB whose peers all have subscribed to `topic`.
    pub fn publish(peers: usize, topic: &[u8]) -> Self {
        let out = Self::new(Route::Fan(Box::new(FanOut::new(false, false))), peers);
        for &peer in &out.peers {
            if let Some(fan) = out.outbox.lock().fan() {
                fan.subscribe(topic, peer);
            }
        }
        out
    }

    fn new(route: Route, peers: usize) -> Self {
        let mut outbox = Outbox::new(route, UNLIMITED, TURN);
        let mut later = Deferred::new();
        let peers: Vec<_> = (0..peers).map(|_| outbox.attach(OutPipe::wire(false), &mut later)).collect();
        later.run();
        let outbox = Arc::new(Mutex::new(outbox));
        let writers = peers.iter().map(|&peer| Writer::new(Arc::new(Sink), peer, None)).collect();
        Self { outbox, peers, writers }
    }

    /// As `try_send` does it; the end of a turn is the start of the next.
    pub fn send(&self, mut message: Message) {
        loop {
            let mut later = Deferred::new();
            let mut outbox = self.outbox.lock();
            let sent = if matches!(outbox.route, Route::Fan(_)) {
                outbox.publish(&message, None, false, &mut later)
            } else {
                outbox.balance(&[], &mut message, &mut later).map(drop)
            };
            drop(outbox);
            later.run();
            if sent != Err(Refusal::Yield) {
                return;
            }
        }
    }

    /// Every connection takes what is queued for it, and has written it.
    pub fn write(&mut self) {
        for writer in &mut self.writers {
            writer.fetch(&self.outbox, None, Waker::noop());
            // The sink takes everything.
            let _ = writer.write();
            writer.fetch(&self.outbox, None, Waker::noop());
        }
    }
}

/// A kernel that takes everything.
#[derive(Debug)]
struct Sink;

impl Medium for Sink {
    fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(bufs.iter().map(|buf| buf.len()).sum())
    }
}

/// The way in: what was read, decoded, handed over and received.
#[derive(Debug)]
pub struct In {
    inbox: Mutex<Inbox>,
    peer: PeerKey,
    decoder: Decoder,
    input: BytesMut,
}

impl Default for In {
    fn default() -> Self {
        let out = Out::balance(1);
        let peer = out.peers.first().copied().unwrap_or_default();
        let mut inbox = Inbox::new(UNLIMITED, false, None);
        inbox.attach(peer, InPipe::new(false));
        let limits = Limits { max_message_size: 64 << 20, max_parts: 4096, max_command: 64 << 10 };
        Self { inbox: Mutex::new(inbox), peer, decoder: Decoder::new(limits), input: BytesMut::new() }
    }
}

impl In {
    /// Decodes what was read; says how many messages that were.
    pub fn decode(&mut self, wire: &[u8]) -> usize {
        self.received(wire).len()
    }

    /// Hands over what was read.
    pub fn read(&mut self, wire: &[u8]) {
        let mut received = self.received(wire);
        let mut later = Deferred::new();
        self.inbox.lock().deliver(self.peer, &mut received, &mut later);
        later.run();
    }

    /// As `try_recv` does it.
    pub fn recv(&self) -> Option<Message> {
        let (mut message, mut later) = (Message::new(), Deferred::new());
        let popped = self.inbox.lock().pop(&mut message, &mut later);
        later.run();
        popped.map(|_| message)
    }

    fn received(&mut self, wire: &[u8]) -> Received {
        let mut received = Received::default();
        self.input.extend_from_slice(wire);
        // What the benches give it is good.
        let _ = self.decoder.decode(&mut self.input, &mut received);
        received
    }
}

/// The subscriptions of a publisher.
#[derive(Debug, Default)]
pub struct Topics(Trie<usize>);

impl Topics {
    pub fn insert(&mut self, topic: &[u8], peer: usize) {
        self.0.insert(topic, peer);
    }

    /// How many peers get a message of this topic.
    pub fn matches(&self, topic: &[u8]) -> usize {
        let mut count = 0;
        self.0.matches(topic, |_| count += 1);
        count
    }
}

//! Who is connected, under which session, and what each speaks.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use foldhash::fast::FixedState;
use slab::Slab;

use crate::message::{Frame, Message};
use crate::patterns::PeerId;
use crate::pool::protocol::Session;
use crate::pool::time::Time;
use crate::pool::wire::{Dialect, Door};

/// One connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    /// Which of the broker's sockets it is connected to.
    pub(super) door: usize,
    pub(super) session: Session,
    pub(super) dialect: Dialect,
    /// Its address, for people to read.
    pub(super) address: Frame,
    /// What there was no room for at the socket, in order.
    pub(super) backlog: VecDeque<Message>,
    /// What that takes, in bytes; and how much of it this peer alone is to blame for, in messages.
    pub(super) owed: usize,
    pub(super) replies: u32,
    /// It did not read for so long that its connection is being ended.
    pub(super) cut_off: bool,
    /// Somebody waits for room at the socket.
    pub(super) waiting: bool,
    /// It is not read from, because it does not read.
    pub(super) lagging: bool,
    /// It is not read from, because a queue is full.
    pub(super) stopped: bool,
    /// A worker that cannot be relied on to be heard: when it was, and how many tasks it has.
    pub(super) heard: Time,
    pub(super) busy: u32,
}

/// All connections, by session and by the socket's name for them.
#[derive(Debug, Default)]
pub(super) struct Peers {
    slots: Slab<Peer>,
    /// One table for each socket.
    by_id: Vec<HashMap<PeerId, usize, FixedState>>,
    /// Makes sessions that no other connection has had.
    generation: u32,
}

/// A session is the place in `slots`, in its lower half, and a generation.
fn place(session: Session) -> usize {
    #[allow(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
    let place = session.0 as u32;
    place as usize
}

impl Peers {
    pub(super) fn with_doors(count: usize) -> Self {
        Self { by_id: (0..count).map(|_| HashMap::default()).collect(), ..Self::default() }
    }

    fn session(&mut self, place: usize) -> Session {
        self.generation = self.generation.wrapping_add(1);
        Session(u64::from(self.generation) << 32 | u64::try_from(place).unwrap_or(u64::MAX))
    }

    pub(super) fn insert(&mut self, door: usize, id: PeerId, address: Frame, kind: &Door, now: Time) {
        let place = self.slots.vacant_key();
        let session = self.session(place);
        self.slots.insert(Peer {
            id,
            door,
            session,
            dialect: Dialect::new(kind),
            address,
            backlog: VecDeque::new(),
            owed: 0,
            replies: 0,
            cut_off: false,
            waiting: false,
            lagging: false,
            stopped: false,
            heard: now,
            busy: 0,
        });
        if let Some(table) = self.by_id.get_mut(door) {
            table.insert(id, place);
        }
    }

    pub(super) fn remove(&mut self, door: usize, id: PeerId) -> Option<Peer> {
        let place = self.by_id.get_mut(door)?.remove(&id)?;
        self.slots.try_remove(place)
    }

    /// The one that a socket names.
    pub(super) fn at(&mut self, door: usize, id: PeerId) -> Option<&mut Peer> {
        let place = *self.by_id.get(door)?.get(&id)?;
        self.slots.get_mut(place)
    }

    /// The one that a session names, if it is still there.
    pub(super) fn get(&mut self, session: Session) -> Option<&mut Peer> {
        self.slots.get_mut(place(session)).filter(|peer| peer.session == session)
    }

    /// The connection goes on, as somebody new.
    pub(super) fn renew(&mut self, old: Session, kind: &Door) {
        let session = self.session(place(old));
        if let Some(peer) = self.get(old) {
            peer.session = session;
            peer.dialect = Dialect::new(kind);
            peer.busy = 0;
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.slots.iter().map(|(_, peer)| peer)
    }

    /// Nobody was listened to for so long.
    pub(super) fn excuse(&mut self, time: Duration) {
        for (_, peer) in &mut self.slots {
            peer.heard = peer.heard + time;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }
}

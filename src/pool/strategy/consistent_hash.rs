//! `consistent_hash`: a key stays with its worker, and few keys move when workers come and go.

use std::hash::BuildHasher;

use foldhash::quality::FixedState;

use super::{Candidates, Seat, Strategy, TaskInfo};

/// No worker gets more than this times its part of the tasks in flight.
const BOUND: f64 = 1.25;

/// Up to so many workers, each is asked how much it wants the key.
const RENDEZVOUS: usize = 64;

/// Places in the table per worker, at least: a key finds a taken one after so many steps, on average.
const SPARSE: usize = 2;

/// Steps of a walk before it settles for anyone: one in four to eight places is taken, so it gets that far only while
/// nearly all are busy.
const STEPS: u64 = 128;

/// By rendezvous up to 64 workers: each key has an order of all workers, by a hash of both names, and goes to the first
/// one in it that can take it and is below its bound. With more workers, the order is that in which a walk through a
/// sparse table, begun anew for each key, meets them. Either way a worker that leaves gives up its own keys only, and
/// one that joins takes its part from all others. Crossing 64 workers, or doubling the table, moves most keys, once.
#[derive(Debug, Default)]
pub(super) struct ConsistentHash {
    members: Vec<(Seat, u64)>,
    /// Empty while rendezvous is used; else a power of two of places.
    table: Vec<Option<Seat>>,
}

impl ConsistentHash {
    fn by_rendezvous(&self, key: u64, mut fits: impl FnMut(Seat) -> bool) -> Option<Seat> {
        let fitting = self.members.iter().filter(|(seat, _)| fits(*seat));
        fitting.max_by_key(|(seat, name)| (mix(key ^ name), *seat)).map(|(seat, _)| *seat)
    }

    fn by_walk(&self, key: u64, mut fits: impl FnMut(Seat) -> bool) -> Option<Seat> {
        let mask = self.table.len() - 1;
        let mut steps = (0..STEPS).map(|step| mix(key.wrapping_add(step)) as usize & mask);
        steps.find_map(|place| self.table.get(place).copied().flatten().filter(|seat| fits(*seat)))
    }

    fn find(&self, key: u64, fits: impl FnMut(Seat) -> bool) -> Option<Seat> {
        if self.table.is_empty() { self.by_rendezvous(key, fits) } else { self.by_walk(key, fits) }
    }

    /// Gives a member its place: the first free one of a walk that its name begins.
    fn place(&mut self, seat: Seat, name: u64) {
        let mask = self.table.len() - 1;
        let free = (0..u64::MAX)
            .map(|step| mix(name.wrapping_add(step)) as usize & mask)
            .find(|place| self.table.get(*place).is_some_and(Option::is_none));
        if let Some(place) = free.and_then(|place| self.table.get_mut(place)) {
            *place = Some(seat);
        }
    }

    fn rebuild(&mut self) {
        let places = (self.members.len() * 2 * SPARSE).next_power_of_two();
        self.table.clear();
        self.table.resize(places, None);
        for (seat, name) in self.members.clone() {
            self.place(seat, name);
        }
    }
}

impl Strategy for ConsistentHash {
    fn pick(&mut self, workers: &Candidates, task: &TaskInfo<'_>) -> Option<Seat> {
        let key = task.key().map_or_else(|| mix(task.id()), hash);
        let part = (workers.in_flight() + 1) as f64 / workers.len().max(1) as f64;
        let bound = (BOUND * part).ceil() as u32;
        let below = |seat| workers.get(seat).is_some_and(|worker| worker.in_flight() < bound);
        self.find(key, |seat| workers.is_available(seat) && below(seat))
            .or_else(|| self.find(key, |seat| workers.is_available(seat)))
            .or_else(|| {
                let available = workers.available();
                available.get(key as usize % available.len().max(1)).copied()
            })
    }

    fn joined(&mut self, workers: &Candidates, seat: Seat) {
        let mut name = workers.get(seat).map_or(0, |worker| hash(worker.name()));
        // Namesakes would want the same keys.
        while self.members.iter().any(|(_, other)| *other == name) {
            name = mix(name.wrapping_add(1));
        }
        self.members.push((seat, name));
        if self.members.len() * SPARSE > self.table.len() && self.members.len() > RENDEZVOUS {
            self.rebuild();
        } else if !self.table.is_empty() {
            self.place(seat, name);
        }
    }

    fn left(&mut self, _: &Candidates, seat: Seat) {
        self.members.retain(|(other, _)| *other != seat);
        for place in &mut self.table {
            *place = place.filter(|other| *other != seat);
        }
        // Well below, so that one worker who comes and goes does not move all keys each time.
        if self.members.len() < RENDEZVOUS / 2 {
            self.table.clear();
        }
    }
}

/// The same in every run.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    FixedState::with_seed(0).hash_one(bytes)
}

/// Spreads a number over all bits: the finaliser of splitmix64.
const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

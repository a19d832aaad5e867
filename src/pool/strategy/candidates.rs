//! The workers of a queue, as a strategy sees them.

use std::time::Duration;

use slab::Slab;

use super::estimate::{Peak, Quantile};
use crate::message::Frame;
use crate::pool::time::{Time, nanos};

/// The place of a worker among the [`Candidates`]: a small number, given to another worker after this one has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seat(u32);

impl Seat {
    /// As an index into one's own tables: the lowest free one is given out first.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    pub(crate) const fn raw(self) -> u32 {
        self.0
    }

    pub(crate) fn new(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }
}

/// What a strategy may know of a task.
#[derive(Debug, Clone, Copy)]
pub struct TaskInfo<'a> {
    pub(crate) id: u64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) last: Option<Seat>,
}

impl<'a> TaskInfo<'a> {
    /// A number that no other waiting task has.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// Its key, if it was given one.
    #[must_use]
    pub const fn key(&self) -> Option<&'a [u8]> {
        self.key
    }

    /// Who was given the last task of this key, as far as that is known: in queues that limit or order keys, while tasks
    /// of the key are there.
    #[must_use]
    pub const fn last(&self) -> Option<Seat> {
        self.last
    }
}

/// One worker. In one line of the processor's caches, not across two.
#[derive(Debug)]
#[repr(align(64))]
pub struct Member {
    pub(crate) worker: u32,
    /// Apart: it is not looked at for each task.
    name: Box<Frame>,
    capacity: u32,
    weight: f64,
    in_flight: u32,
    /// Its place in `Candidates::available`.
    position: Option<u32>,
    response: Peak,
    /// Tasks per nanosecond of work; 0 is unknown.
    speed: f64,
}

impl Member {
    /// What it calls itself.
    #[must_use]
    pub fn name(&self) -> &Frame {
        &self.name
    }

    /// How many tasks it runs at a time; at least 1.
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.capacity
    }

    /// How many tasks it has, of all queues.
    #[must_use]
    pub const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// The weight that it joined with; above 0.
    #[must_use]
    pub const fn weight(&self) -> f64 {
        self.weight
    }
}

/// The workers of a queue that have the tags its tasks need.
#[derive(Debug, Default)]
pub struct Candidates {
    members: Slab<Member>,
    available: Vec<Seat>,
    in_flight: u64,
    adaptive: bool,
    now: Time,
    /// Sum and number of the speeds that are known.
    speeds: f64,
    measured: u32,
    typical: Quantile<50>,
    slow: Quantile<99>,
}

impl Candidates {
    /// Who can take a task now, in no particular order.
    #[must_use]
    pub fn available(&self) -> &[Seat] {
        &self.available
    }

    /// Whether this one can take a task now.
    #[must_use]
    pub fn is_available(&self, seat: Seat) -> bool {
        self.get(seat).is_some_and(|member| member.position.is_some())
    }

    /// All seats that are taken, lowest first.
    pub fn seats(&self) -> impl Iterator<Item = Seat> + '_ {
        self.members.iter().map(|(index, _)| Seat::new(index))
    }

    /// How many workers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The worker on this seat.
    #[must_use]
    pub fn get(&self, seat: Seat) -> Option<&Member> {
        self.members.get(seat.index())
    }

    /// How many tasks all of them have.
    #[must_use]
    pub const fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// What it should get in proportion to others: the weight that it joined with, times its speed relative to the
    /// mean if the queue adapts weights. Above 0; 1 for nobody.
    #[must_use]
    pub fn weight(&self, seat: Seat) -> f64 {
        let Some(member) = self.get(seat) else { return 1.0 };
        if !self.adaptive || member.speed <= 0.0 || self.measured == 0 {
            return member.weight;
        }
        let mean = self.speeds / f64::from(self.measured);
        member.weight * (member.speed / mean).clamp(0.01, 100.0)
    }

    /// How long it takes for one task: the worst of late, fading over 10 s; what is usual in this queue if it has not
    /// answered yet. Failures count as slow.
    #[must_use]
    pub fn response_time(&self, seat: Seat) -> Duration {
        Duration::from_nanos(self.response_nanos(seat) as u64)
    }

    pub(super) fn response_nanos(&self, seat: Seat) -> f64 {
        let peak = self.get(seat).and_then(|member| member.response.at(self.now));
        peak.unwrap_or_else(|| self.typical.value()).max(1.0)
    }

    pub(crate) fn set_adaptive(&mut self, adaptive: bool) {
        self.adaptive = adaptive;
    }

    pub(crate) fn set_now(&mut self, now: Time) {
        self.now = now;
    }

    pub(crate) fn join(&mut self, worker: u32, name: Frame, capacity: u32, weight: f64) -> Seat {
        let weight = if weight.is_finite() && weight > 0.0 { weight.clamp(1e-6, 1e6) } else { 1.0 };
        let member = Member {
            worker,
            name: Box::new(name),
            capacity: capacity.max(1),
            weight,
            in_flight: 0,
            position: None,
            response: Peak::default(),
            speed: 0.0,
        };
        Seat::new(self.members.insert(member))
    }

    pub(crate) fn leave(&mut self, seat: Seat) {
        self.set_available(seat, false);
        if let Some(member) = self.members.try_remove(seat.index()) {
            self.in_flight = self.in_flight.saturating_sub(u64::from(member.in_flight));
            self.forget_speed(member.speed);
        }
    }

    /// Returns whether that changed anything.
    pub(crate) fn set_available(&mut self, seat: Seat, available: bool) -> bool {
        let end = Seat::new(self.available.len());
        let Some(member) = self.members.get_mut(seat.index()) else { return false };
        if member.position.is_some() == available {
            return false;
        }
        if available {
            member.position = Some(end.0);
            self.available.push(seat);
        } else if let Some(position) = member.position.take() {
            self.available.swap_remove(position as usize);
            if let Some(moved) = self.available.get(position as usize)
                && let Some(member) = self.members.get_mut(moved.index())
            {
                member.position = Some(position);
            }
        }
        true
    }

    pub(crate) fn set_in_flight(&mut self, seat: Seat, tasks: u32) {
        if let Some(member) = self.members.get_mut(seat.index()) {
            self.in_flight = (self.in_flight + u64::from(tasks)).saturating_sub(u64::from(member.in_flight));
            member.in_flight = tasks;
        }
    }

    /// A worker answered a task after `took`.
    pub(crate) fn answered(&mut self, seat: Seat, took: Duration, well: bool) {
        let took = nanos(took).max(1) as f64;
        let counted = if well { took } else { took.max(self.slow.value()) };
        if well {
            self.typical.add(took);
            self.slow.add(took);
        }
        let now = self.now;
        let Some(member) = self.members.get_mut(seat.index()) else { return };
        member.response.add(now, counted);
        if well {
            let old = member.speed;
            // Of the mean time, not of the mean speed: a few fast ones would outweigh the slow ones.
            let mean = if old > 0.0 { (1.0 / old) * 0.95 + took * 0.05 } else { took };
            let new = 1.0 / mean;
            member.speed = new;
            self.forget_speed(old);
            self.speeds += new;
            self.measured += 1;
        }
    }

    fn forget_speed(&mut self, speed: f64) {
        if speed > 0.0 {
            self.measured = self.measured.saturating_sub(1);
            self.speeds = if self.measured == 0 { 0.0 } else { (self.speeds - speed).max(f64::MIN_POSITIVE) };
        }
    }
}

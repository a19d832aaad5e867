//! `lru`: the worker that has been idle for longest.

use super::{Candidates, Seat, Strategy, TaskInfo};

/// A list of the available, oldest first, linked through a table. A worker goes to its end when it becomes available,
/// and when it is given a task and stays available.
#[derive(Debug, Default)]
pub(super) struct Lru {
    links: Vec<Neighbours>,
    ends: Neighbours,
}

/// Indices plus one, so that the default is none; of the ends, the last and the first.
#[derive(Debug, Default, Clone, Copy)]
struct Neighbours {
    prev: u32,
    next: u32,
}

impl Lru {
    /// The one at the head.
    pub(super) fn first(&self) -> Option<usize> {
        Some(self.ends.next.checked_sub(1)? as usize)
    }

    /// Sends it to the end.
    pub(super) fn touch(&mut self, index: usize) {
        self.remove(index);
        self.push(index);
    }

    fn push(&mut self, index: usize) {
        if self.links.len() <= index {
            self.links.resize(index + 1, Neighbours::default());
        }
        let (last, number) = (self.ends.prev, index as u32 + 1);
        self.join(last, number);
        self.join(number, 0);
    }

    fn remove(&mut self, index: usize) {
        let Some(link) = self.links.get_mut(index) else { return };
        let Neighbours { prev, next } = std::mem::take(link);
        // Alone in the list, or in none: only the ends can tell.
        if prev == 0 && next == 0 && self.ends.next != index as u32 + 1 {
            return;
        }
        self.join(prev, next);
    }

    fn join(&mut self, prev: u32, next: u32) {
        self.link(prev).next = next;
        self.link(next).prev = prev;
    }

    fn link(&mut self, number: u32) -> &mut Neighbours {
        match number.checked_sub(1).and_then(|index| self.links.get_mut(index as usize)) {
            Some(link) => link,
            None => &mut self.ends,
        }
    }
}

impl Strategy for Lru {
    fn pick(&mut self, _: &Candidates, _: &TaskInfo<'_>) -> Option<Seat> {
        let first = self.first()?;
        self.touch(first);
        Some(Seat::new(first))
    }

    fn available(&mut self, _: &Candidates, seat: Seat) {
        self.touch(seat.index());
    }

    fn unavailable(&mut self, _: &Candidates, seat: Seat) {
        self.remove(seat.index());
    }
}

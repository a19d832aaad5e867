//! Doubly linked lists whose links lie in their members: putting in and taking out, anywhere, costs no allocation.

use slab::Slab;

/// The place of a member in its slab.
pub(super) type Ix = u32;

/// No member.
pub(super) const NIL: Ix = Ix::MAX;

/// Neighbours in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Links {
    prev: Ix,
    next: Ix,
}

impl Links {
    pub(super) const NONE: Self = Self { prev: NIL, next: NIL };

    pub(super) const fn next(self) -> Ix {
        self.next
    }
}

/// What can be in a list; in several kinds of lists at once, if it has links for each.
pub(super) trait Linked {
    fn links(&mut self, kind: usize) -> &mut Links;
    fn next(&self, kind: usize) -> Ix;
}

/// A list of members of one slab. A member is in at most one list of a kind; that is on the caller.
#[derive(Debug, Clone, Copy)]
pub(super) struct List<const KIND: usize = 0> {
    head: Ix,
    tail: Ix,
}

impl<const KIND: usize> Default for List<KIND> {
    fn default() -> Self {
        Self { head: NIL, tail: NIL }
    }
}

/// Where something joins those that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Front,
    Back,
}

impl<const KIND: usize> List<KIND> {
    pub(super) fn push<T: Linked>(&mut self, side: Side, members: &mut Slab<T>, ix: Ix) {
        let links = match side {
            Side::Front => Links { prev: NIL, next: self.head },
            Side::Back => Links { prev: self.tail, next: NIL },
        };
        self.link(members, ix, links);
    }

    pub(super) fn pop_front<T: Linked>(&mut self, members: &mut Slab<T>) -> Option<Ix> {
        let head = self.front()?;
        self.remove(members, head);
        Some(head)
    }

    pub(super) fn remove<T: Linked>(&mut self, members: &mut Slab<T>, ix: Ix) {
        let Some(member) = at_mut(members, ix) else { return };
        let Links { prev, next } = std::mem::replace(member.links(KIND), Links::NONE);
        self.join(members, prev, next);
    }

    /// Its first member becomes its last.
    pub(super) fn rotate<T: Linked>(&mut self, members: &mut Slab<T>) {
        if self.head != self.tail
            && let Some(head) = self.pop_front(members)
        {
            self.push(Side::Back, members, head);
        }
    }

    pub(super) const fn front(&self) -> Option<Ix> {
        if self.head == NIL { None } else { Some(self.head) }
    }

    pub(super) const fn back(&self) -> Option<Ix> {
        if self.tail == NIL { None } else { Some(self.tail) }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.head == NIL
    }

    /// The members, first to last.
    pub(super) fn iter<'a, T: Linked>(
        &self,
        members: &'a Slab<T>,
    ) -> impl Iterator<Item = Ix> + use<'a, T, KIND> {
        std::iter::successors(self.front(), |ix| {
            at(members, *ix).map(|member| member.next(KIND)).filter(|next| *next != NIL)
        })
    }

    fn link<T: Linked>(&mut self, members: &mut Slab<T>, ix: Ix, links: Links) {
        let Some(member) = at_mut(members, ix) else { return };
        *member.links(KIND) = links;
        self.join(members, links.prev, ix);
        self.join(members, ix, links.next);
    }

    /// Makes `next` the one after `prev`, where either may be the end.
    fn join<T: Linked>(&mut self, members: &mut Slab<T>, prev: Ix, next: Ix) {
        if prev == NIL {
            self.head = next;
        } else if let Some(member) = at_mut(members, prev) {
            member.links(KIND).next = next;
        }
        if next == NIL {
            self.tail = prev;
        } else if let Some(member) = at_mut(members, next) {
            member.links(KIND).prev = prev;
        }
    }
}

/// What has to be there. Where it is not, the scheduler contradicts itself: a debug build stops, others leave out what
/// cannot be done.
#[track_caller]
pub(super) fn there<T>(found: Option<T>) -> Option<T> {
    debug_assert!(found.is_some(), "what has to be there is not");
    found
}

/// One fewer of what there has to be one of.
#[track_caller]
pub(super) fn one_less(count: &mut u32) {
    debug_assert!(*count > 0, "what has to be there is not");
    *count = count.saturating_sub(1);
}

/// A member that has to be there.
#[track_caller]
pub(super) fn at<T>(members: &Slab<T>, ix: Ix) -> Option<&T> {
    there(members.get(ix as usize))
}

/// A member that has to be there.
#[track_caller]
pub(super) fn at_mut<T>(members: &mut Slab<T>, ix: Ix) -> Option<&mut T> {
    there(members.get_mut(ix as usize))
}

/// Puts `member` into the slab, which never comes to hold 4 billion of what is 30 bytes and more.
pub(super) fn insert<T>(members: &mut Slab<T>, member: T) -> Ix {
    Ix::try_from(members.insert(member)).unwrap_or(NIL)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    struct Node(Links);

    impl Linked for Node {
        fn links(&mut self, _: usize) -> &mut Links {
            &mut self.0
        }

        fn next(&self, _: usize) -> Ix {
            self.0.next
        }
    }

    proptest! {
        /// A list does what a deque does.
        #[test]
        fn behaves_like_a_deque(steps in proptest::collection::vec((0..5_u8, 0..20_usize), 1..200)) {
            let mut nodes: Slab<Node> = Slab::new();
            let (mut list, mut model) = (List::<0>::default(), VecDeque::new());
            for (what, which) in steps {
                match what {
                    0 | 1 => {
                        let ix = insert(&mut nodes, Node(Links::NONE));
                        if what == 0 {
                            list.push(Side::Back, &mut nodes, ix);
                            model.push_back(ix);
                        } else {
                            list.push(Side::Front, &mut nodes, ix);
                            model.push_front(ix);
                        }
                    }
                    2 => {
                        let ix = list.pop_front(&mut nodes);
                        prop_assert_eq!(ix, model.pop_front());
                        ix.map(|ix| nodes.remove(ix as usize));
                    }
                    3 => {
                        list.rotate(&mut nodes);
                        if !model.is_empty() {
                            model.rotate_left(1);
                        }
                    }
                    _ => {
                        if let Some(ix) = model.remove(which) {
                            list.remove(&mut nodes, ix);
                            nodes.remove(ix as usize);
                        }
                    }
                }
                prop_assert_eq!(list.iter(&nodes).collect::<Vec<_>>(), Vec::from(model.clone()));
                prop_assert_eq!((list.front(), list.back()), (model.front().copied(), model.back().copied()));
            }
        }
    }
}

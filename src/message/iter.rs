//! A message's frames, one after the other.

use std::iter::{Chain, FusedIterator, Once, once};
use std::slice;

use super::{Frame, Message};

/// The frames of a [`Message`] in order; from [`Message::frames`] and `&message`.
#[derive(Debug, Clone)]
pub struct Frames<'a>(Chain<Once<&'a Frame>, slice::Iter<'a, Frame>>);

/// The frames of a [`Message`] in order, by value; from `message`.
#[derive(Debug)]
pub struct IntoFrames(Chain<Once<Frame>, thin_vec::IntoIter<Frame>>);

impl<'a> Frames<'a> {
    #[inline]
    pub(super) fn new(first: &'a Frame, rest: &'a [Frame]) -> Self {
        Self(once(first).chain(rest))
    }
}

macro_rules! iterates {
    ([$($generic:tt)*] $frames:ty, $frame:ty) => {
        impl<$($generic)*> Iterator for $frames {
            type Item = $frame;

            #[inline]
            fn next(&mut self) -> Option<$frame> {
                self.0.next()
            }

            #[inline]
            fn size_hint(&self) -> (usize, Option<usize>) {
                self.0.size_hint()
            }

            #[inline]
            fn fold<B, F: FnMut(B, $frame) -> B>(self, start: B, step: F) -> B {
                self.0.fold(start, step)
            }
        }

        impl<$($generic)*> DoubleEndedIterator for $frames {
            #[inline]
            fn next_back(&mut self) -> Option<$frame> {
                self.0.next_back()
            }
        }

        impl<$($generic)*> ExactSizeIterator for $frames {}

        impl<$($generic)*> FusedIterator for $frames {}
    };
}
iterates!(['a] Frames<'a>, &'a Frame);
iterates!([] IntoFrames, Frame);

impl<'a> IntoIterator for &'a Message {
    type Item = &'a Frame;
    type IntoIter = Frames<'a>;

    #[inline]
    fn into_iter(self) -> Frames<'a> {
        self.frames()
    }
}

impl IntoIterator for Message {
    type Item = Frame;
    type IntoIter = IntoFrames;

    #[inline]
    fn into_iter(self) -> IntoFrames {
        IntoFrames(once(self.first).chain(self.rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_in_order_from_both_ends_and_are_counted() {
        let message = Message::from(["a", "b", "c"]);
        let mut frames = (&message).into_iter();
        assert_eq!(frames.len(), 3);
        assert_eq!((frames.next().unwrap(), frames.next_back().unwrap()), (&message[0], &message[2]));
        assert_eq!(frames.len(), 1);
        let mut owned = message.clone().into_iter();
        assert_eq!((owned.next_back().unwrap(), owned.len()), (message[2].clone(), 2));
        assert_eq!(owned.collect::<Vec<_>>(), ["a", "b"]);
        let mut seen = Vec::new();
        for frame in &message {
            seen.push(frame.to_str().unwrap());
        }
        assert_eq!(seen, ["a", "b", "c"]);
        assert_eq!(Message::new().into_iter().len(), 1);
    }
}

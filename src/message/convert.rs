//! What becomes a message, and what one is compared with.

use bytes::Bytes;
use thin_vec::ThinVec;

use super::{Frame, Message};

impl From<Frame> for Message {
    #[inline]
    fn from(first: Frame) -> Self {
        Self { first, rest: ThinVec::new() }
    }
}

impl From<&Self> for Message {
    fn from(message: &Self) -> Self {
        message.clone()
    }
}

macro_rules! one_frame {
    ($([$($generic:tt)*] $payload:ty),*) => {$(
        impl<$($generic)*> From<$payload> for Message {
            #[inline]
            fn from(payload: $payload) -> Self {
                Frame::from(payload).into()
            }
        }
    )*};
}
one_frame!([] &str, [] String, [] &String, [] &[u8], [const N: usize] [u8; N], [const N: usize] &[u8; N]);
one_frame!([] Vec<u8>, [] &Vec<u8>, [] Bytes, [] &Bytes, [] &Frame);

impl<F: Into<Frame>, const N: usize> From<[F; N]> for Message {
    /// # Panics
    ///
    /// Does not compile where `N` is 0: a message has at least one frame.
    fn from(frames: [F; N]) -> Self {
        const { assert!(N > 0, "a message has at least one frame") };
        frames.into_iter().collect()
    }
}

impl<F: Into<Frame>> From<Vec<F>> for Message {
    /// The frames in order; a message of one empty frame where there are none.
    fn from(frames: Vec<F>) -> Self {
        frames.into_iter().collect()
    }
}

impl<F: Clone + Into<Frame>> From<&[F]> for Message {
    /// The frames in order; a message of one empty frame where there are none.
    fn from(frames: &[F]) -> Self {
        frames.iter().cloned().collect()
    }
}

impl<F: Clone + Into<Frame>, const N: usize> From<&[F; N]> for Message {
    /// The frames in order; a message of one empty frame where there are none.
    fn from(frames: &[F; N]) -> Self {
        frames.as_slice().into()
    }
}

impl<F: Clone + Into<Frame>> From<&Vec<F>> for Message {
    /// The frames in order; a message of one empty frame where there are none.
    fn from(frames: &Vec<F>) -> Self {
        frames.as_slice().into()
    }
}

impl<F: Into<Frame>> FromIterator<F> for Message {
    /// The frames in order; a message of one empty frame where there are none.
    fn from_iter<I: IntoIterator<Item = F>>(frames: I) -> Self {
        let mut frames = frames.into_iter().map(Into::into);
        let first = frames.next().unwrap_or_default();
        Self { first, rest: frames.collect() }
    }
}

impl<F: Into<Frame>> Extend<F> for Message {
    /// Adds frames at the end.
    fn extend<I: IntoIterator<Item = F>>(&mut self, frames: I) {
        self.rest.extend(frames.into_iter().map(Into::into));
    }
}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<&T> for Message {
    fn eq(&self, other: &&T) -> bool {
        self.rest.is_empty() && self.first == *other
    }
}

/// The other payloads that a message of one frame equals, and the same from their side.
macro_rules! equals_one {
    ($($other:ty),*) => {$(
        impl PartialEq<$other> for Message {
            fn eq(&self, other: &$other) -> bool {
                self.rest.is_empty() && self.first == *other
            }
        }
        equals_one!(=> $other);
    )*};
    ($(=> $other:ty),*) => {$(
        impl PartialEq<Message> for $other {
            fn eq(&self, other: &Message) -> bool {
                other == self
            }
        }
    )*};
}
equals_one!([u8], str, String, Vec<u8>, Bytes, Frame);
equals_one!(=> &[u8], => &str);

/// The rows of payloads that it equals, frame by frame, and the same from their side.
macro_rules! equals_each {
    ($([$($generic:tt)*] $others:ty),*) => {$(
        impl<T, $($generic)*> PartialEq<$others> for Message
        where
            Frame: PartialEq<T>,
        {
            fn eq(&self, others: &$others) -> bool {
                self.frames().eq(others)
            }
        }

        impl<T, $($generic)*> PartialEq<Message> for $others
        where
            Frame: PartialEq<T>,
        {
            fn eq(&self, other: &Message) -> bool {
                other == self
            }
        }
    )*};
}
equals_each!([const N: usize] [T; N], [] [T], [] Vec<T>);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn payloads<T: From<&'static str>>() -> Vec<T> {
        ["a", "", "c"].map(T::from).into()
    }

    /// By value and by reference, whole and as an iterator.
    fn is_multipart<T>(payloads: Vec<T>)
    where
        T: Clone + Into<Frame>,
    {
        let expected = ["a", "", "c"];
        let array: [T; 3] = payloads.clone().try_into().ok().unwrap();
        assert_eq!(Message::from(&payloads), expected);
        assert_eq!(Message::from(&payloads[..]), expected);
        assert_eq!(Message::from(&array), expected);
        assert_eq!(Message::from(array), expected);
        assert_eq!(payloads.iter().cloned().collect::<Message>(), expected);
        let mut extended = Message::from(["a"]);
        extended.extend(payloads[1..].iter().cloned());
        assert_eq!(extended, expected);
        assert_eq!(Message::from(payloads), expected);
    }

    #[test]
    fn several_payloads_of_one_kind_are_a_frame_each() {
        is_multipart(payloads::<Frame>());
        is_multipart(payloads::<&str>());
        is_multipart(payloads::<String>());
        is_multipart(payloads::<Vec<u8>>());
        is_multipart(payloads::<Bytes>());
        is_multipart(vec![&b"a"[..], b"", b"c"]);
        assert_eq!(Message::from([*b"ab", *b"cd"]), ["ab", "cd"]);
    }

    #[test]
    fn bytes_and_text_are_one_frame_however_they_are_held() {
        let (text, bytes) = (String::from("abc"), Bytes::from("abc"));
        let vec = text.clone().into_bytes();
        for message in [
            Message::from("abc"),
            (&text).into(),
            vec[..].into(),
            (&vec).into(),
            (&bytes).into(),
            b"abc".into(),
            (*b"abc").into(),
            text.into(),
            vec.into(),
            bytes.into(),
        ] {
            assert_eq!((message.frame_count(), message.first()), (1, &Frame::from("abc")));
        }
    }

    #[test]
    fn no_payloads_are_one_empty_frame() {
        let none: [&str; 0] = [];
        let empty = [
            Message::from(Vec::<String>::new()),
            Message::from(&none),
            Message::from(&none[..]),
            Message::from_iter(none),
            Message::from(Vec::<u8>::new()),
        ];
        for message in empty {
            assert_eq!((message.frame_count(), message), (1, Message::new()));
        }
        assert_eq!(Message::from_frames(Vec::new()), None);
    }

    /// Each equals the other, whichever stands first.
    fn same<A: PartialEq<B> + ?Sized, B: PartialEq<A> + ?Sized>(one: &A, other: &B) {
        assert!(one == other);
        assert!(other == one);
    }

    #[test]
    fn messages_compare_with_payloads_from_either_side() {
        let (one, two) = (Message::from("a"), Message::from(["a", "b"]));
        same(&one, "a");
        same(&one, &"a");
        same(&one, &b"a"[..]);
        same(&one, &&b"a"[..]);
        same(&one, &String::from("a"));
        same(&one, &b"a".to_vec());
        same(&one, &Bytes::from("a"));
        same(&one, one.first());
        same(&two, &["a", "b"]);
        same(&two, &["a", "b"][..]);
        same(&two, &["a", "b"].map(String::from).to_vec());
        for other in [&["a"][..], &["a", "c"], &["a", "b", "c"], &[]] {
            assert!(two != *other);
        }
        assert!(one != two && two != "a" && two != "ab" && one != b"a"[1..]);
        let longer = Message::from("aa");
        assert!(one < two && two < longer);
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 1..9)) {
            let message = Message::from(&payloads);
            prop_assert_eq!(&message, &payloads);
            let frames = message.clone().into_frames();
            prop_assert_eq!(Message::from_frames(frames.clone()), Some(message.clone()));
            prop_assert_eq!(&Message::from(frames), &message);
            prop_assert_eq!(message.frames().collect::<Message>(), message.clone());
            prop_assert_eq!(message.clone().into_iter().collect::<Message>(), message);
        }
    }
}

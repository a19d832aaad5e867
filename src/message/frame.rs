//! One frame of a message.

use std::cmp::Ordering;
use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Deref;

use bytes::Bytes;

/// Payloads up to this size live inside the frame itself: they cost no reference count on either
/// side and never pin the read buffer that they came in.
const INLINE: usize = 64;
/// A frame up to here may take many times its size of a buffer that it was read into; a larger one has at least a quarter
/// of it.
#[cfg(feature = "pool")]
const DETACHED: usize = 32 * 1024;

/// A payload in place. Aligned, and the size behind it, so that moving a message reads it in the same pieces as it
/// was written in: pieces that overlap cannot be forwarded from the store buffer and stall the move.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
struct Inline {
    data: [u8; INLINE],
    /// The size of the payload plus one; the zero that this never is tells a shared payload.
    size: NonZeroUsize,
}

impl Inline {
    const EMPTY: Self = Self { data: [0; INLINE], size: NonZeroUsize::MIN };

    /// The first `len` bytes of `data`, if so many are allowed.
    #[inline]
    fn new(data: [u8; INLINE], len: usize) -> Option<Self> {
        (len <= INLINE).then(|| Self { data, size: NonZeroUsize::MIN.saturating_add(len) })
    }

    #[inline]
    fn len(&self) -> usize {
        self.size.get() - 1
    }
}

/// One frame of a message: any bytes, possibly none.
///
/// Cheap to clone: small payloads are copied in place, larger ones are reference-counted
/// [`Bytes`]. It dereferences to `[u8]`.
///
/// It is made of text or bytes, compares with them from either side, and is ordered and hashed as its bytes are: a map
/// with frames as keys is asked by `[u8]`.
///
/// ```
/// use sinew::Frame;
/// let frame = Frame::from("hello");
/// assert_eq!(&frame[..2], b"he");
/// assert_eq!(frame, "hello");
/// assert_eq!(frame.to_str(), Ok("hello"));
/// assert!(frame < Frame::from("world"));
/// ```
#[derive(Clone)]
pub struct Frame(Repr);

#[derive(Clone)]
enum Repr {
    Inline(Inline),
    Shared(Bytes),
}

impl Frame {
    /// An empty frame.
    #[must_use]
    pub const fn new() -> Self {
        Self(Repr::Inline(Inline::EMPTY))
    }

    /// A frame holding a copy of `bytes`.
    #[must_use]
    #[inline]
    pub fn copy_from_slice(bytes: &[u8]) -> Self {
        Self::inline(bytes).unwrap_or_else(|| Self(Repr::Shared(Bytes::copy_from_slice(bytes))))
    }

    /// A frame in place, if `bytes` is small enough for one.
    #[inline]
    pub(crate) fn inline(bytes: &[u8]) -> Option<Self> {
        let mut data = [0; INLINE];
        data.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Inline::new(data, bytes.len()).map(|inline| Self(Repr::Inline(inline)))
    }

    /// Becomes the first `len` bytes of `from`, in place; `false` if they do not fit. A copy of known
    /// size is a few instructions where one of variable size is a call, so what follows the payload
    /// is copied along, unseen, where there is enough of it.
    #[inline]
    pub(crate) fn set_inline(&mut self, from: &[u8], len: usize) -> bool {
        let mut data = [0; INLINE];
        match from.first_chunk::<INLINE>() {
            Some(chunk) => data = *chunk,
            None => match data.get_mut(..from.len()) {
                Some(place) => place.copy_from_slice(from),
                None => return false,
            },
        }
        let Some(inline) = Inline::new(data, len) else { return false };
        self.0 = Repr::Inline(inline);
        true
    }

    /// Appends the payload to `out`.
    #[inline]
    pub(crate) fn append_to(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Repr::Inline(inline) => {
                let end = out.len() + inline.len();
                // As in `set_inline`: all of it, then cut.
                out.extend_from_slice(&inline.data);
                out.truncate(end);
            }
            Repr::Shared(bytes) => out.extend_from_slice(bytes),
        }
    }

    /// The payload as text.
    ///
    /// # Errors
    ///
    /// If the bytes are not UTF-8.
    pub fn to_str(&self) -> Result<&str, std::str::Utf8Error> {
        std::str::from_utf8(self)
    }

    /// The payload as [`Bytes`]: free for a large payload, one allocation for a small one.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Repr::Inline(..) => Bytes::copy_from_slice(&self),
            Repr::Shared(bytes) => bytes,
        }
    }

    /// Copies it, if it is small for the buffer that it may hold on to.
    #[cfg(feature = "pool")]
    pub(super) fn detach(&mut self) {
        if (INLINE + 1..=DETACHED).contains(&self.len()) {
            *self = Self::copy_from_slice(self);
        }
    }

    /// The payload, if it is held by reference count.
    #[inline]
    pub(crate) fn shared(&self) -> Option<&Bytes> {
        match &self.0 {
            Repr::Inline(..) => None,
            Repr::Shared(bytes) => Some(bytes),
        }
    }
}

impl Deref for Frame {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline(inline) => inline.data.get(..inline.len()).unwrap_or_default(),
            Repr::Shared(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Default for Frame {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Frame {}

impl PartialOrd for Frame {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Frame {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl std::hash::Hash for Frame {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl std::borrow::Borrow<[u8]> for Frame {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<&T> for Frame {
    fn eq(&self, other: &&T) -> bool {
        **self == *other.as_ref()
    }
}

/// The other types of bytes that it equals, and the same from their side.
macro_rules! equals {
    ($([$($generic:tt)*] $other:ty),*) => {$(
        impl<$($generic)*> PartialEq<$other> for Frame {
            fn eq(&self, other: &$other) -> bool {
                *self == other
            }
        }
        equals!(=> [$($generic)*] $other);
    )*};
    ($(=> [$($generic:tt)*] $other:ty),*) => {$(
        impl<$($generic)*> PartialEq<Frame> for $other {
            fn eq(&self, other: &Frame) -> bool {
                other == self
            }
        }
    )*};
}
equals!([] [u8], [const N: usize] [u8; N], [] str, [] String, [] Vec<u8>, [] Bytes);
// What `&T` is above; for their side the compiler wants each of them by name.
equals!(=> [] &[u8], => [const N: usize] &[u8; N], => [] &str, => [] &String, => [] &Vec<u8>, => [] &Bytes);

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

impl From<Bytes> for Frame {
    fn from(bytes: Bytes) -> Self {
        Self(Repr::Shared(bytes))
    }
}

impl From<Vec<u8>> for Frame {
    fn from(bytes: Vec<u8>) -> Self {
        Self::inline(&bytes).unwrap_or_else(|| Self(Repr::Shared(bytes.into())))
    }
}

impl From<String> for Frame {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&Bytes> for Frame {
    fn from(bytes: &Bytes) -> Self {
        bytes.clone().into()
    }
}

/// What is copied.
macro_rules! copied {
    ($([$($generic:tt)*] $payload:ty),*) => {$(
        impl<$($generic)*> From<$payload> for Frame {
            #[inline]
            fn from(payload: $payload) -> Self {
                Self::copy_from_slice(payload.as_ref())
            }
        }
    )*};
}
copied!([] &str, [] &String, [] &[u8], [] &Vec<u8>, [const N: usize] [u8; N], [const N: usize] &[u8; N]);

impl From<&Self> for Frame {
    fn from(frame: &Self) -> Self {
        frame.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_size_around_the_inline_limit_hold_their_bytes() {
        for len in [0, 1, INLINE - 1, INLINE, INLINE + 1, 1000] {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
            for frame in
                [Frame::from(&bytes[..]), Frame::from(bytes.clone()), Frame::from(Bytes::from(bytes.clone()))]
            {
                assert_eq!(frame, &bytes);
                assert_eq!(frame.into_bytes(), bytes);
            }
        }
    }

    /// Each equals the other, whichever stands first.
    fn same<A: PartialEq<B> + ?Sized, B: PartialEq<A> + ?Sized>(one: &A, other: &B) {
        assert!(one == other);
        assert!(other == one);
    }

    #[test]
    fn frames_compare_with_bytes_and_text_from_either_side() {
        for text in ["hello", &"x".repeat(INLINE + 1)] {
            let frame = Frame::from(text);
            let (string, vec, bytes) =
                (text.to_owned(), text.as_bytes().to_vec(), Bytes::copy_from_slice(&frame));
            same(&frame, text);
            same(&frame, &text);
            same(&frame, text.as_bytes());
            same(&frame, &text.as_bytes());
            same(&frame, &string);
            same(&frame, &&string);
            same(&frame, &vec);
            same(&frame, &&vec);
            same(&frame, &bytes);
            same(&frame, &&bytes);
            assert!(frame != "other" && frame != text.as_bytes()[1..]);
        }
        same(&Frame::from(*b"hello"), b"hello");
        same(&Frame::from(b"hello"), &b"hello");
    }

    #[test]
    fn frames_are_ordered_as_their_bytes_and_found_by_them() {
        let long = "m".repeat(INLINE + 1);
        let mut frames = ["z", &long, "", "m", "a\u{ff}", "a"].map(Frame::from);
        frames.sort();
        assert_eq!(frames, ["", "a", "a\u{ff}", "m", &long, "z"].map(Frame::from));
        // In place or by reference makes no difference.
        assert_eq!(Frame::from("m").cmp(&Frame::from(Bytes::from("m"))), Ordering::Equal);
        let numbers: std::collections::BTreeMap<_, _> = frames.into_iter().zip(0..).collect();
        assert_eq!(numbers.get(&b"m"[..]), Some(&3));
    }

    #[test]
    fn text_is_given_back_as_it_was_and_what_is_none_is_an_error() {
        assert_eq!(Frame::from("grüße").to_str(), Ok("grüße"));
        assert!(Frame::from(&[0xff]).to_str().is_err());
    }
}

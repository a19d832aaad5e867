//! The unit of everything: a [`Message`] of one or more [`Frame`]s.

mod convert;
mod frame;
mod iter;

use std::fmt;
use std::ops::Index;

use thin_vec::ThinVec;

pub use frame::Frame;
pub use iter::{Frames, IntoFrames};

/// One or more frames that travel together: they arrive all, in order, or not at all.
///
/// What is one payload converts into a message of one frame: `&str`, `String`, `&[u8]`, `[u8; N]`, `Vec<u8>`, [`Bytes`],
/// [`Frame`]. Several of one kind convert into a multipart message: an array, a slice or a vector of them by `from` and
/// `into`, an iterator by `collect`. So a `Vec<u8>` is one payload, and a `Vec<Vec<u8>>` has one for each frame.
///
/// A message has at least one frame, so of no payloads at all becomes one empty frame, as of `""` (an array without any
/// does not compile). [`from_frames`](Self::from_frames) tells the two apart.
///
/// ```
/// use sinew::{Frame, Message};
/// let one = Message::from("hello");
/// assert_eq!(one, "hello");
///
/// let mut two = Message::from(["header", "body"]);
/// assert_eq!(two.frame_count(), 2);
/// assert_eq!(two[1], "body");
/// two.push_front("envelope");
/// assert_eq!(two.pop_front().unwrap(), "envelope");
///
/// let payloads: Vec<String> = vec!["a".into(), "b".into()];
/// assert_eq!(Message::from(payloads), ["a", "b"]);
/// let mut numbers: Message = (1..3).map(|number| number.to_string()).collect();
/// numbers.extend(["3"]);
/// assert_eq!(numbers, ["1", "2", "3"]);
/// for frame in &numbers {
///     println!("{}", frame.to_str()?);
/// }
/// let frames: Vec<Frame> = numbers.into_iter().collect();
/// assert_eq!(frames, ["1", "2", "3"]);
/// # Ok::<(), std::str::Utf8Error>(())
/// ```
///
/// [`Bytes`]: bytes::Bytes
#[derive(Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct Message {
    first: Frame,
    /// A thin vector, because the three words of a plain one are written singly and moved in pairs, which stalls
    /// as above.
    rest: ThinVec<Frame>,
}

impl Clone for Message {
    #[inline]
    fn clone(&self) -> Self {
        // Cloning even an empty vector is a call.
        let rest = if self.rest.is_empty() { ThinVec::new() } else { self.rest.clone() };
        Self { first: self.first.clone(), rest }
    }
}

impl Message {
    /// A message of one empty frame.
    #[must_use]
    pub const fn new() -> Self {
        Self { first: Frame::new(), rest: ThinVec::new() }
    }

    /// How many frames it has; at least one.
    #[must_use]
    #[inline]
    pub fn frame_count(&self) -> usize {
        self.rest.len() + 1
    }

    /// The payload bytes of all frames together.
    #[must_use]
    pub fn size(&self) -> usize {
        self.frames().map(|frame| frame.len()).sum()
    }

    /// What it takes, for limits on memory: its payload, and the place of each frame after the first, so that many
    /// empty ones are not nothing. The first lies in the message.
    #[inline]
    #[cfg(feature = "pool")]
    pub(crate) fn footprint(&self) -> usize {
        if self.rest.is_empty() {
            return self.first.len();
        }
        self.size() + self.rest.len() * size_of::<Frame>()
    }

    /// The frames in order.
    #[inline]
    pub fn frames(&self) -> Frames<'_> {
        Frames::new(&self.first, &self.rest)
    }

    /// The frame at `index`, counted from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Frame> {
        match index.checked_sub(1) {
            None => Some(&self.first),
            Some(index) => self.rest.get(index),
        }
    }

    /// The first frame.
    #[must_use]
    #[inline]
    pub const fn first(&self) -> &Frame {
        &self.first
    }

    /// The last frame, which is the first one of a single-frame message.
    #[must_use]
    #[inline]
    pub fn last(&self) -> &Frame {
        self.rest.last().unwrap_or(&self.first)
    }

    /// The last frame as text: the whole of a single-frame message, the body of an addressed one.
    ///
    /// # Errors
    ///
    /// If the bytes are not UTF-8.
    pub fn to_str(&self) -> Result<&str, std::str::Utf8Error> {
        self.last().to_str()
    }

    /// Adds a frame at the end.
    pub fn push_back(&mut self, frame: impl Into<Frame>) {
        self.rest.push(frame.into());
    }

    /// Adds a frame in front, as an address or a delimiter is.
    pub fn push_front(&mut self, frame: impl Into<Frame>) {
        let old = std::mem::replace(&mut self.first, frame.into());
        self.rest.insert(0, old);
    }

    /// Takes the first frame off; `None` where it is the only one, which stays.
    pub fn pop_front(&mut self) -> Option<Frame> {
        if self.rest.is_empty() {
            return None;
        }
        let next = self.rest.remove(0);
        Some(std::mem::replace(&mut self.first, next))
    }

    /// The frames as a vector.
    #[must_use]
    pub fn into_frames(self) -> Vec<Frame> {
        self.into_iter().collect()
    }

    /// The first frame of what becomes another message.
    #[inline]
    pub(crate) fn start(&mut self) -> &mut Frame {
        self.rest.clear();
        &mut self.first
    }

    /// A message of the given frames; `None` where there are none.
    #[must_use]
    pub fn from_frames(frames: Vec<Frame>) -> Option<Self> {
        let mut frames = frames.into_iter();
        let first = frames.next()?;
        Some(Self { first, rest: frames.collect() })
    }

    /// Gives back the memory of frames that were taken off.
    #[cfg(feature = "pool")]
    pub(crate) fn shrink(&mut self) {
        if self.rest.is_empty() {
            self.rest = ThinVec::new();
        }
    }

    /// Copies small frames, so that they do not hold on to all that was read together with them: for a message that is
    /// kept for longer than that.
    #[cfg(feature = "pool")]
    pub(crate) fn detach(&mut self) {
        std::iter::once(&mut self.first).chain(&mut self.rest).for_each(Frame::detach);
    }

    /// Takes the first `count` frames off; the caller knows that more than `count` are there.
    pub(crate) fn drop_front(&mut self, count: usize) {
        if let Some(index) = count.checked_sub(1)
            && let Some(frame) = self.rest.get_mut(index)
        {
            self.first = std::mem::take(frame);
            self.rest.drain(..count);
        }
    }
}

impl Index<usize> for Message {
    type Output = Frame;

    /// The frame at `index`.
    ///
    /// # Panics
    ///
    /// Where `index` is not below [`Message::frame_count`]; [`Message::get`] does not.
    #[allow(clippy::expect_used, reason = "indexing panics by contract")]
    fn index(&self, index: usize) -> &Frame {
        self.get(index).expect("frame index within the message")
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.frames()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_80_bytes_and_a_message_96() {
        assert_eq!((size_of::<Frame>(), size_of::<Message>()), (80, 96));
    }

    #[test]
    fn fronts_come_off_in_order() {
        let mut message = Message::from(["a", "b", "c"]);
        message.drop_front(2);
        assert_eq!(message, "c");
        assert_eq!(message.pop_front(), None);
        assert_eq!(message, "c");
    }
}

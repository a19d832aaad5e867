//! What a RADIO sends to and a DISH joins.

use crate::message::Frame;
use crate::proto::command::MAX_GROUP;

/// The name of a group: 0 to 255 bytes, none of them zero. What a [`Radio`](crate::Radio) sends to it reaches each
/// [`Dish`](crate::Dish) that has joined a group of exactly that name.
///
/// ```
/// use sinew::Group;
/// let news: Group = "news".try_into()?;
/// assert_eq!(news.as_ref(), b"news");
/// assert!(Group::try_from("x".repeat(256)).is_err());
/// # Ok::<(), sinew::GroupError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group(Frame);

/// This is no name of a group. libzmq: `EINVAL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of a group is 0 to 255 bytes, none of them zero")]
#[non_exhaustive]
pub struct GroupError;

impl Group {
    /// The name as a frame.
    #[must_use]
    pub const fn as_frame(&self) -> &Frame {
        &self.0
    }

    /// A name that a peer has sent.
    pub(super) const fn received(name: Frame) -> Self {
        Self(name)
    }
}

impl AsRef<[u8]> for Group {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&Self> for Group {
    fn from(group: &Self) -> Self {
        group.clone()
    }
}

macro_rules! named_by {
    ($($name:ty),*) => {$(
        impl TryFrom<$name> for Group {
            type Error = GroupError;

            fn try_from(name: $name) -> Result<Self, GroupError> {
                let name: &[u8] = name.as_ref();
                // A zero byte would end the name for libzmq, and a longer one ends its RADIO.
                if name.len() > MAX_GROUP || name.contains(&0) {
                    return Err(GroupError);
                }
                Ok(Self(Frame::copy_from_slice(name)))
            }
        }
    )*};
}
named_by!(&str, String, &[u8], Vec<u8>, bytes::Bytes, Frame);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_at_most_255_bytes_and_none_is_zero() {
        assert!(Group::try_from(&[b'a'; 255][..]).is_ok());
        assert!(Group::try_from("").is_ok());
        assert_eq!(Group::try_from(&[b'a'; 256][..]), Err(GroupError));
        assert_eq!(Group::try_from("a\0"), Err(GroupError));
    }
}

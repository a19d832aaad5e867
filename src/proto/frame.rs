//! Frame headers: one byte of flags and the size of the body. The hottest code of the library.

use super::ProtocolError;

/// More frames of the same message follow.
pub(crate) const MORE: u8 = 1;
/// The size takes eight bytes.
pub(crate) const LONG: u8 = 2;
/// The frame is a command, not part of a message.
pub(crate) const COMMAND: u8 = 4;

/// What a frame's first two or nine bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// More frames of the same message follow.
    pub(crate) more: bool,
    /// The frame is a command.
    pub(crate) command: bool,
    /// The size of the body.
    pub(crate) len: usize,
    /// The size of the header itself.
    pub(crate) header_len: usize,
}

impl Header {
    /// Reads the header at the start of `input`; `None` while bytes of it are missing.
    #[inline]
    pub(crate) fn parse(input: &[u8]) -> Result<Option<Self>, ProtocolError> {
        match *input {
            [flags @ (0 | MORE | COMMAND), len, ..] => Ok(Some(Self::new(flags, usize::from(len), 2))),
            [flags, ..] => Self::parse_rare(flags, input),
            [] => Ok(None),
        }
    }

    /// The body of the frame at the start of `input` and what follows it, if all of it is there.
    #[inline]
    pub(crate) fn split<'a>(&self, input: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        input.get(self.header_len..)?.split_at_checked(self.len)
    }

    /// The size of the whole frame.
    #[inline]
    pub(crate) const fn frame_len(&self) -> usize {
        self.header_len.saturating_add(self.len)
    }

    #[inline]
    const fn new(flags: u8, len: usize, header_len: usize) -> Self {
        Self { more: flags & MORE != 0, command: flags & COMMAND != 0, len, header_len }
    }

    /// Long headers, unfinished ones and wrong ones.
    #[inline(never)]
    fn parse_rare(flags: u8, input: &[u8]) -> Result<Option<Self>, ProtocolError> {
        if flags & !(MORE | LONG | COMMAND) != 0 {
            return Err(ProtocolError::ReservedFlags { flags });
        }
        if flags & MORE != 0 && flags & COMMAND != 0 {
            return Err(ProtocolError::CommandWithMore);
        }
        let Some((_, size)) = input.split_first_chunk::<1>().filter(|_| flags & LONG != 0) else {
            return Ok(None);
        };
        let Some(size) = size.first_chunk::<8>() else {
            return Ok(None);
        };
        // 37/ZMTP "Framing": a size is at most 2^63-1, so it is never negative.
        let len =
            usize::try_from(i64::from_be_bytes(*size)).map_err(|_| ProtocolError::FrameSizeOutOfRange)?;
        Ok(Some(Self::new(flags, len, 9)))
    }
}

/// The frames in `input`, each as header and body; what is not a whole frame ends it.
pub(crate) fn split_all(mut input: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let header = Header::parse(input).ok().flatten()?;
        let (body, rest) = header.split(input)?;
        let header = input.get(..header.header_len)?;
        input = rest;
        Some((header, body))
    })
}

/// Appends the header of a body of `len` bytes, in the short form where it fits.
#[inline]
pub(crate) fn put_header(out: &mut Vec<u8>, flags: u8, len: usize) {
    match u8::try_from(len) {
        Ok(len) => out.extend_from_slice(&[flags, len]),
        Err(_) => {
            let [a, b, c, d, e, f, g, h] = (len as u64).to_be_bytes();
            out.extend_from_slice(&[flags | LONG, a, b, c, d, e, f, g, h]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(flags: u8, len: usize) -> Vec<u8> {
        let mut out = Vec::new();
        put_header(&mut out, flags, len);
        out
    }

    #[test]
    fn a3_1_short_form_up_to_255() {
        assert_eq!(header(0, 0), [0, 0]);
        assert_eq!(header(MORE, 255), [1, 255]);
        assert_eq!(header(COMMAND, 7), [4, 7]);
    }

    #[test]
    fn a3_1_long_form_from_256() {
        assert_eq!(header(0, 256), [2, 0, 0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(header(MORE, 0x0102_0304), [3, 0, 0, 0, 0, 1, 2, 3, 4]);
        assert_eq!(header(COMMAND, 65_536), [6, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn a3_every_header_reads_back_and_every_prefix_of_it_waits() {
        for flags in [0, MORE, COMMAND] {
            for len in [0, 1, 254, 255, 256, 65_535, usize::MAX >> 1] {
                let bytes = header(flags, len);
                let (more, command) = (flags == MORE, flags == COMMAND);
                let expected = Header { more, command, len, header_len: bytes.len() };
                assert_eq!(Header::parse(&bytes), Ok(Some(expected)));
                for end in 0..bytes.len() {
                    assert_eq!(Header::parse(&bytes[..end]), Ok(None));
                }
            }
        }
    }

    #[test]
    fn a3_2_long_form_of_a_short_size_is_read() {
        let header = Header::parse(&[2, 0, 0, 0, 0, 0, 0, 0, 5]).unwrap().unwrap();
        assert_eq!((header.len, header.header_len, header.frame_len()), (5, 9, 14));
    }

    #[test]
    fn a3_3_size_with_the_top_bit_is_refused() {
        for first in [0x80, 0xFF] {
            let error = Err(ProtocolError::FrameSizeOutOfRange);
            assert_eq!(Header::parse(&[2, first, 0, 0, 0, 0, 0, 0, 0]), error);
        }
    }

    #[test]
    fn d21_wrong_flags_are_refused_on_the_first_byte() {
        for flags in 0..=u8::MAX {
            let expected = match flags {
                0 | 1 | 2 | 3 | 4 | 6 => Ok(None),
                5 | 7 => Err(ProtocolError::CommandWithMore),
                _ => Err(ProtocolError::ReservedFlags { flags }),
            };
            assert_eq!(Header::parse(&[flags]), expected);
            let long = [flags, 0, 0, 0, 0, 0, 0, 0, 1];
            assert_eq!(Header::parse(&long).err(), expected.err());
        }
    }

    #[test]
    fn a_body_splits_off_only_when_it_is_whole() {
        let header = Header::parse(&[0, 2]).unwrap().unwrap();
        assert_eq!(header.split(&[0, 2, 7]), None);
        assert_eq!(header.split(&[0, 2, 7, 8, 9]), Some((&[7, 8][..], &[9][..])));
    }
}

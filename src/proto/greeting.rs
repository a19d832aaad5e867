//! The 64 bytes that open a connection, in both directions.

use super::ProtocolError;

/// The length of a greeting.
pub(crate) const LEN: usize = 64;

/// Our greeting. It is sent whole, at once: a peer may wait for any part of it before it goes on.
pub(crate) fn encode(mechanism: &str, as_server: bool) -> [u8; LEN] {
    let mut greeting = [0; LEN];
    greeting[0] = 0xFF;
    greeting[SIGNATURE_END] = 0x7F;
    greeting[MAJOR] = 3;
    greeting[MINOR] = 1;
    greeting[MECHANISM..AS_SERVER].copy_from_slice(&padded(mechanism));
    greeting[AS_SERVER] = u8::from(as_server);
    greeting
}

/// Reads the peer's greeting: the 3.x minor version to speak, or `None` while bytes are missing.
/// Refuses it at the first byte that rules the peer out.
pub(crate) fn parse(input: &[u8], mechanism: &str) -> Result<Option<u8>, ProtocolError> {
    // 37/ZMTP "Version Negotiation": these bits tell a versioned peer; the padding between them
    // may hold anything.
    if input.first().is_some_and(|&byte| byte != 0xFF)
        || input.get(SIGNATURE_END).is_some_and(|byte| byte & 1 == 0)
    {
        return Err(ProtocolError::NotZmtp);
    }
    if let Some(&major) = input.get(MAJOR).filter(|&&major| major < 3) {
        return Err(ProtocolError::VersionTooOld { major });
    }
    let theirs = input.get(MECHANISM..).unwrap_or_default();
    if theirs.iter().zip(&padded(mechanism)).any(|(theirs, ours)| theirs != ours) {
        return Err(ProtocolError::MechanismMismatch);
    }
    // The as-server byte is not looked at: libzmq's servers send 0.
    Ok(input.first_chunk::<LEN>().map(|greeting| match greeting[MAJOR] {
        3 => greeting[MINOR].min(1),
        _ => 1,
    }))
}

const SIGNATURE_END: usize = 9;
const MAJOR: usize = 10;
const MINOR: usize = 11;
const MECHANISM: usize = 12;
const AS_SERVER: usize = 32;

/// The mechanism's name as the greeting holds it.
fn padded(mechanism: &str) -> [u8; AS_SERVER - MECHANISM] {
    let mut field = [0; AS_SERVER - MECHANISM];
    field.iter_mut().zip(mechanism.bytes()).for_each(|(byte, name)| *byte = name);
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(changes: &[(usize, u8)]) -> [u8; LEN] {
        let mut greeting = encode("NULL", false);
        for &(at, byte) in changes {
            greeting[at] = byte;
        }
        greeting
    }

    #[test]
    fn a1_golden_bytes() {
        let mut expected = b"\xFF\0\0\0\0\0\0\0\0\x7F\x03\x01NULL".to_vec();
        expected.resize(LEN, 0);
        assert_eq!(encode("NULL", false), *expected);
        expected[12..17].copy_from_slice(b"PLAIN");
        expected[32] = 1;
        assert_eq!(encode("PLAIN", true), *expected);
    }

    #[test]
    fn a1_3_every_prefix_waits_for_the_rest() {
        let greeting = greeting(&[]);
        for end in 0..LEN {
            assert_eq!(parse(&greeting[..end], "NULL"), Ok(None), "{end}");
        }
        assert_eq!(parse(&greeting, "NULL"), Ok(Some(1)));
    }

    #[test]
    fn a2_versions_from_3_0_are_spoken_at_most_as_3_1() {
        for (major, minor, speak) in [(3, 0, 0), (3, 1, 1), (3, 9, 1), (4, 0, 1), (255, 255, 1)] {
            let greeting = greeting(&[(MAJOR, major), (MINOR, minor)]);
            assert_eq!(parse(&greeting, "NULL"), Ok(Some(speak)), "{major}.{minor}");
        }
    }

    #[test]
    fn a1_what_must_not_be_validated_is_not() {
        // libzmq puts identity_len + 1 into the padding, and any byte with bit 0 ends it.
        let odd = [(1, 0x7F), (8, 4), (9, 1), (32, 1), (33, 7), (63, 9)];
        assert_eq!(parse(&greeting(&odd), "NULL"), Ok(Some(1)));
    }

    #[test]
    fn d6_the_first_wrong_byte_is_refused_before_the_next_is_seen() {
        use ProtocolError::*;
        let cases = [
            (0, 0x16, NotZmtp),
            (0, b'G', NotZmtp),
            (9, 0, NotZmtp),
            (9, 0x7E, NotZmtp),
            (10, 0, VersionTooOld { major: 0 }),
            (10, 1, VersionTooOld { major: 1 }),
            (10, 2, VersionTooOld { major: 2 }),
            (12, b'n', MechanismMismatch),
            (15, 0, MechanismMismatch),
            (16, b'S', MechanismMismatch),
            (31, 1, MechanismMismatch),
        ];
        for (at, byte, error) in cases {
            let bytes = greeting(&[(at, byte)]);
            assert_eq!(parse(&bytes[..at], "NULL"), Ok(None), "{at}");
            for end in at + 1..=LEN {
                assert_eq!(parse(&bytes[..end], "NULL"), Err(error), "{at} {end}");
            }
        }
    }
}

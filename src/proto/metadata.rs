//! The property list that each side of a handshake sends: socket type, identity, and the
//! application's own.

use bytes::Bytes;

use super::{ProtocolError, SocketType};

/// What a peer tells about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// The type of its socket.
    pub(crate) socket_type: SocketType,
    /// Its identity, which may be empty; `None` where it announces none.
    pub(crate) identity: Option<Bytes>,
    /// All other properties, in their order and spelling.
    pub(crate) properties: Vec<(String, Bytes)>,
}

impl Metadata {
    /// Reads a property list.
    pub(crate) fn parse(mut list: &[u8]) -> Result<Self, ProtocolError> {
        let (mut socket_type, mut identity, mut properties) = (None, None, Vec::new());
        let mut names: Vec<&[u8]> = Vec::new();
        while !list.is_empty() {
            let (name, value, rest) = property(list).ok_or(ProtocolError::MalformedMetadata)?;
            list = rest;
            if names.len() == MAX_PROPERTIES {
                return Err(ProtocolError::TooManyProperties { limit: MAX_PROPERTIES });
            }
            // 37/ZMTP "Metadata": names are case-insensitive.
            if names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                return Err(ProtocolError::DuplicateProperty);
            }
            names.push(name);
            if name.eq_ignore_ascii_case(SOCKET_TYPE) {
                let kind = SocketType::from_name(value).ok_or(ProtocolError::UnknownSocketType)?;
                socket_type = Some(kind);
            } else if name.eq_ignore_ascii_case(IDENTITY) {
                identity = Some(value).filter(|value| is_identity(value));
                identity.ok_or(ProtocolError::MalformedIdentity)?;
            } else {
                let name = name.iter().copied().map(char::from).collect();
                properties.push((name, Bytes::copy_from_slice(value)));
            }
        }
        let socket_type = socket_type.ok_or(ProtocolError::MissingSocketType)?;
        let identity = identity.filter(|_| socket_type.has_identity()).map(Bytes::copy_from_slice);
        Ok(Self { socket_type, identity, properties })
    }

    /// Appends the property list that says this. What breaks the rules of [`is_name`] and
    /// [`is_identity`] was refused when the socket was configured, and is left out here.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_property(out, SOCKET_TYPE, self.socket_type.name().as_bytes());
        if let Some(identity) = &self.identity {
            put_property(out, IDENTITY, identity);
        }
        for (name, value) in &self.properties {
            put_property(out, name.as_bytes(), value);
        }
    }
}

/// Whether a property may have this name.
pub(crate) fn is_name(name: &[u8]) -> bool {
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(byte);
    (1..=255).contains(&name.len()) && name.iter().all(legal)
}

/// Whether a socket may have this identity; the empty one is none.
pub(crate) fn is_identity(identity: &[u8]) -> bool {
    identity.len() <= 255 && identity.first() != Some(&0)
}

const SOCKET_TYPE: &[u8] = b"Socket-Type";
const IDENTITY: &[u8] = b"Identity";
const MAX_PROPERTIES: usize = 64;

/// The name and the value of the first property, and the rest of the list.
fn property(list: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (&len, rest) = list.split_first()?;
    let (name, rest) = rest.split_at_checked(len.into()).filter(|(name, _)| is_name(name))?;
    let (len, rest) = rest.split_first_chunk()?;
    // 37/ZMTP "Metadata": a value is at most 2^31-1 bytes, so its length is never negative.
    let len = usize::try_from(i32::from_be_bytes(*len)).ok()?;
    let (value, rest) = rest.split_at_checked(len)?;
    Some((name, value, rest))
}

fn put_property(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    if let (Ok(name_len), Ok(value_len)) = (u8::try_from(name.len()), i32::try_from(value.len())) {
        out.push(name_len);
        out.extend_from_slice(name);
        out.extend_from_slice(&value_len.to_be_bytes());
        out.extend_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(socket_type: SocketType, identity: &'static [u8]) -> Metadata {
        let identity = socket_type.has_identity().then(|| Bytes::from_static(identity));
        Metadata { socket_type, identity, properties: Vec::new() }
    }

    fn list(metadata: &Metadata) -> Vec<u8> {
        let mut out = Vec::new();
        metadata.put(&mut out);
        out
    }

    #[test]
    fn a5_2_golden_lists() {
        let identity: &[u8] = b"\x0BSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\x02me";
        assert_eq!(list(&metadata(SocketType::Dealer, b"me")), identity);
        // An empty identity is sent by the types that have one, and none by those that have not.
        let empty: &[u8] = b"\x0BSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\0";
        assert_eq!(list(&metadata(SocketType::Dealer, b"")), empty);
        assert_eq!(list(&metadata(SocketType::XPub, b"me")), b"\x0BSocket-Type\0\0\0\x04XPUB");
        let mut own = metadata(SocketType::Pull, b"");
        own.properties.push(("X-Rack".into(), Bytes::from_static(b"7")));
        assert_eq!(list(&own), b"\x0BSocket-Type\0\0\0\x04PULL\x06X-Rack\0\0\0\x017");
        assert_eq!(Metadata::parse(&list(&own)), Ok(own));
    }

    #[test]
    fn a5_4_names_are_matched_in_any_case_and_order() {
        let parsed = Metadata::parse(b"\x08IDENTITY\0\0\0\x01a\x0Bsocket-type\0\0\0\x03REQ");
        assert_eq!(parsed, Ok(metadata(SocketType::Req, b"a")));
    }

    #[test]
    fn a5_7_identity_of_a_type_without_one_is_ignored() {
        let parsed = Metadata::parse(b"\x0BSocket-Type\0\0\0\x04PUSH\x08Identity\0\0\0\x01a");
        assert_eq!(parsed, Ok(metadata(SocketType::Push, b"")));
    }

    #[test]
    fn a5_7_the_longest_identity_is_accepted() {
        let mut expected = metadata(SocketType::Dealer, b"");
        expected.identity = Some(vec![1; 255].into());
        assert_eq!(Metadata::parse(&list(&expected)), Ok(expected));
    }

    #[test]
    fn d10_64_properties_are_accepted_and_65_are_not() {
        let mut sent = metadata(SocketType::Pull, b"");
        sent.properties = (1..MAX_PROPERTIES).map(|i| (format!("X-{i}"), Bytes::new())).collect();
        assert_eq!(Metadata::parse(&list(&sent)), Ok(sent.clone()));
        sent.properties.push(("X-0".into(), Bytes::new()));
        let error = ProtocolError::TooManyProperties { limit: MAX_PROPERTIES };
        assert_eq!(Metadata::parse(&list(&sent)), Err(error));
    }
}

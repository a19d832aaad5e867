//! What a peer can do wrong: one variant for each way, so that a test or a monitor names it.

use super::SocketType;

/// A peer broke the protocol. Its connection is closed; no other is touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The first bytes are not a ZMTP greeting.
    #[error("not a ZMTP peer")]
    NotZmtp,
    /// The greeting is of a version before 3.0.
    #[error("peer speaks ZMTP {major}, older than 3.0")]
    VersionTooOld {
        /// The major version it announced.
        major: u8,
    },
    /// The greeting names another security mechanism than ours.
    #[error("peer uses another security mechanism")]
    MechanismMismatch,
    /// A frame has reserved flag bits set.
    #[error("reserved bits set in frame flags {flags:#04x}")]
    ReservedFlags {
        /// The whole flags byte.
        flags: u8,
    },
    /// A command frame says that more frames follow.
    #[error("command frame with the MORE flag")]
    CommandWithMore,
    /// A frame size above 2^63-1, or above what this machine can address.
    #[error("frame size out of range")]
    FrameSizeOutOfRange,
    /// A message, so far, above the size limit.
    #[error("message of {size} bytes exceeds the limit of {limit}")]
    OversizedMessage {
        /// Its payload bytes, plus 64 for each part if it has several.
        size: usize,
        /// The limit it exceeded.
        limit: usize,
    },
    /// A multipart message of too many parts.
    #[error("message of more than {limit} parts")]
    TooManyParts {
        /// The limit it exceeded.
        limit: usize,
    },
    /// A command above the size limit.
    #[error("command of {size} bytes exceeds the limit of {limit}")]
    OversizedCommand {
        /// The size of its body.
        size: usize,
        /// The limit it exceeded.
        limit: usize,
    },
    /// A command without a name, or with a name longer than itself.
    #[error("malformed command name")]
    MalformedCommand,
    /// A message frame before the handshake was complete.
    #[error("message before the end of the handshake")]
    MessageInHandshake,
    /// A command that has no place at this step of the handshake.
    #[error("unexpected command in the handshake")]
    UnexpectedCommand,
    /// A handshake command after the handshake was complete.
    #[error("handshake command after the handshake")]
    HandshakeCommandInTraffic,
    /// A property list that does not parse.
    #[error("malformed metadata")]
    MalformedMetadata,
    /// A property given twice.
    #[error("duplicate metadata property")]
    DuplicateProperty,
    /// A property list of too many entries.
    #[error("more than {limit} metadata properties")]
    TooManyProperties {
        /// The limit it exceeded.
        limit: usize,
    },
    /// An identity longer than 255 bytes, or one that begins with a zero byte.
    #[error("malformed identity")]
    MalformedIdentity,
    /// Metadata without a socket type.
    #[error("no socket type in metadata")]
    MissingSocketType,
    /// A socket type that Sinew does not have.
    #[error("unknown socket type")]
    UnknownSocketType,
    /// A socket type that ours cannot talk to.
    #[error("{ours} cannot talk to {theirs}")]
    IncompatibleSocket {
        /// The type of our socket.
        ours: SocketType,
        /// The type of the peer's.
        theirs: SocketType,
    },
    /// A topic above the limit of a publisher.
    #[error("topic of {size} bytes exceeds the limit of {limit}")]
    OversizedTopic {
        /// Its length.
        size: usize,
        /// The limit it exceeded.
        limit: usize,
    },
    /// More topics than a publisher lets one peer have.
    #[error("more than {limit} subscriptions")]
    TooManySubscriptions {
        /// The limit it exceeded.
        limit: usize,
    },
    /// Topics that are together above the limit of a publisher.
    #[error("subscriptions of more than {limit} bytes")]
    OversizedSubscriptions {
        /// The limit it exceeded.
        limit: usize,
    },
    /// A PING too short to hold its time to live.
    #[error("malformed PING")]
    MalformedPing,
    /// An ERROR whose reason does not fill its body.
    #[error("malformed ERROR")]
    MalformedError,
}

/// Why a connection did not get through its handshake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The peer broke the protocol, or does not match this socket.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The peer refused us.
    #[error("rejected by the peer: {reason:?}")]
    Rejected {
        /// The peer's own words, at most 255 bytes of them; what is not UTF-8 is replaced.
        reason: String,
    },
    /// It took longer than the handshake timeout.
    #[error("handshake timed out")]
    Timeout,
    /// The connection ended before the handshake did.
    #[error("connection closed during the handshake")]
    Closed,
}

impl HandshakeError {
    /// Whether connecting again cannot help: somebody has to change a configuration first.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        match self {
            Self::Rejected { .. } => true,
            Self::Protocol(error) => matches!(
                error,
                ProtocolError::MechanismMismatch
                    | ProtocolError::UnknownSocketType
                    | ProtocolError::IncompatibleSocket { .. }
            ),
            Self::Timeout | Self::Closed => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c6_9_only_refusals_and_mismatches_are_permanent() {
        let (ours, theirs) = (SocketType::Push, SocketType::Push);
        let permanent = [
            HandshakeError::Rejected { reason: String::new() },
            ProtocolError::MechanismMismatch.into(),
            ProtocolError::UnknownSocketType.into(),
            ProtocolError::IncompatibleSocket { ours, theirs }.into(),
        ];
        let passing = [
            HandshakeError::Timeout,
            HandshakeError::Closed,
            ProtocolError::NotZmtp.into(),
            ProtocolError::MalformedMetadata.into(),
            ProtocolError::OversizedCommand { size: 2, limit: 1 }.into(),
        ];
        assert!(permanent.iter().all(HandshakeError::is_permanent));
        assert!(!passing.iter().any(HandshakeError::is_permanent));
    }

    #[test]
    fn a_reason_from_the_wire_cannot_forge_log_lines() {
        let error = HandshakeError::Rejected { reason: "no\n\x1b[31m".into() };
        assert_eq!(error.to_string(), r#"rejected by the peer: "no\n\u{1b}[31m""#);
    }
}

//! Security mechanisms: what is said between the greeting and the first message.

mod null;

use std::fmt;

use super::HandshakeError;
use super::metadata::Metadata;

/// The mechanism that a socket is configured to use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Security {
    /// Neither authentication nor encryption.
    #[default]
    Null,
}

impl Security {
    /// The mechanism for one connection; `metadata` is the property list of our side.
    pub(crate) fn mechanism(self, metadata: Vec<u8>) -> Box<dyn Mechanism> {
        match self {
            Self::Null => Box::new(null::Null::new(metadata)),
        }
    }
}

/// One side of one connection's security handshake.
///
/// A mechanism that also encrypts adds its record layer to [`Progress::Done`]: what waits in a queue stays whole frames in
/// the clear and survives a reconnect, so the connection's writer seals what it takes, and its reader opens what it has read
/// before the decoder counts it.
pub(crate) trait Mechanism: fmt::Debug + Send {
    /// Its name in the greeting.
    fn name(&self) -> &'static str;

    /// Whether the greeting says that we are its server.
    fn is_server(&self) -> bool;

    /// Appends what this side says without being asked, once the peer's greeting is accepted.
    fn start(&mut self, out: &mut Vec<u8>);

    /// Takes the peer's next command, ERROR excepted, and appends the answer to it.
    fn on_command(&mut self, name: &[u8], data: &[u8], out: &mut Vec<u8>)
    -> Result<Progress, HandshakeError>;
}

/// How far a mechanism has come.
#[derive(Debug)]
pub(crate) enum Progress {
    /// The peer has to say more.
    #[allow(dead_code, reason = "for mechanisms of more than one step")]
    Continue,
    /// The peer is who it should be, and this is what it said of itself.
    Done(Metadata),
}

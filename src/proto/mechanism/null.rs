//! NULL: both sides say READY at once, and that is all.

use super::{Mechanism, Progress};
use crate::proto::metadata::Metadata;
use crate::proto::{HandshakeError, ProtocolError, command};

/// The mechanism without security.
#[derive(Debug)]
pub(super) struct Null {
    metadata: Vec<u8>,
}

impl Null {
    pub(super) const fn new(metadata: Vec<u8>) -> Self {
        Self { metadata }
    }
}

impl Mechanism for Null {
    fn name(&self) -> &'static str {
        "NULL"
    }

    fn is_server(&self) -> bool {
        false
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        command::put_ready(out, &self.metadata);
    }

    fn on_command(&mut self, name: &[u8], data: &[u8], _: &mut Vec<u8>) -> Result<Progress, HandshakeError> {
        if name != command::READY {
            return Err(ProtocolError::UnexpectedCommand.into());
        }
        Ok(Progress::Done(Metadata::parse(data)?))
    }
}

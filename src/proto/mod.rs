//! ZMTP 3.1 without I/O: bytes in, messages and commands out.
//!
//! ```text
//!  Handshake: greeting -> mechanism -> Peer        Decoder: frames -> Message | Command
//!       |          |          |                        |               |
//!   handshake  greeting  mechanism/, metadata       decoder         command
//!       +----------+----------+------ frame, error -----+--------------+
//! ```
//!
//! It knows no runtime, socket, clock or random number: the engine brings bytes and time. Nothing
//! a peer sends can panic, recurse, or reserve memory beyond what has arrived.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

pub(crate) mod command;
mod decoder;
mod error;
pub(crate) mod frame;
mod greeting;
mod handshake;
pub(crate) mod heartbeat;
mod mechanism;
pub(crate) mod metadata;
mod received;
mod socket_type;

pub(crate) use command::Command;
pub(crate) use decoder::{Decoded, Decoder, Limits};
pub use error::{HandshakeError, ProtocolError};
pub(crate) use handshake::{Config, Handshake, Peer};
pub(crate) use mechanism::Security;
pub(crate) use received::Received;
pub use socket_type::SocketType;

#[cfg(test)]
mod tests;

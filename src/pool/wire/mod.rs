//! Frames into the pool's vocabulary and back: SWP/1, Majordomo, and the plain workers and clients of load-balancing
//! brokers. Owns the formats and what a connection has agreed on; knows no task, no socket and no clock.
//!
//! ```text
//!  SWP/1     [header, 24 bytes] [metadata, if flagged] [body]...
//!  Majordomo ([empty]) [MDPC01|MDPC02|MDPW01|MDPW02] ...
//!  plain     [empty] [READY | body]...
//! ```
//!
//! Whatever a peer sends is decoded or named as a [`WireError`]; nothing here panics or believes a length.

mod client;
mod dialect;
mod header;
mod mdp;
mod meta;
mod names;
mod plain;
#[cfg(test)]
mod tests;
mod worker;

pub(crate) use client::{decode_to_client, encode_from_client};
pub(crate) use dialect::{Dialect, Door, Said};
pub(crate) use names::{Names, Naming};
pub(crate) use worker::{decode_to_worker, encode_from_worker};

use std::time::Duration;

use crate::message::{Frame, Message};
use crate::pool::protocol::{MAX_NAME, Parent};
use header::{Header, flag};

/// Why a message of a peer makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    #[error("it does not begin with a header that is known")]
    NoHeader,
    #[error("a command that this side does not get")]
    BadCommand,
    #[error("the metadata is missing or malformed")]
    BadMeta,
    #[error("the metadata is too long")]
    MetaTooLong,
    #[error("a name is empty or longer than 255 bytes")]
    BadName,
    #[error("a number that stands for no queue")]
    BadHandle,
    #[error("a code that is not known")]
    BadCode,
    #[error("a frame is missing")]
    Truncated,
}

/// A message of SWP/1, taken apart.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) header: Header,
    pub(crate) meta: Option<Frame>,
    pub(crate) body: Message,
}

/// Takes a message apart; an absent body is an empty one.
pub(crate) fn parse(mut message: Message) -> Result<Parsed, WireError> {
    let header = Header::decode(message.first()).ok_or(WireError::NoHeader)?;
    let fronts = if header.has(flag::META) { 2 } else { 1 };
    let meta = match header.has(flag::META) {
        true => Some(message.get(1).cloned().ok_or(WireError::BadMeta)?),
        false => None,
    };
    if message.frame_count() > fronts {
        message.drop_front(fronts);
    } else {
        message = Message::new();
    }
    Ok(Parsed { header, meta, body: message })
}

/// Puts a message together. The body's frames move, they are not copied.
fn assemble(header: Header, meta: Option<Frame>, mut body: Message) -> Message {
    let header = header.flag(flag::META, meta.is_some());
    if let Some(meta) = meta {
        body.push_front(meta);
    }
    body.push_front(header.encode());
    body
}

/// A message of a header and metadata.
fn with_meta(header: Header, meta: Frame) -> Message {
    let mut message = Message::from(meta);
    message.push_front(header.flag(flag::META, true).encode());
    message
}

/// A message that is its header alone.
fn bare(header: Header) -> Message {
    header.encode().into()
}

/// Whole milliseconds, rounded up, so that what is left is never cut to nothing.
fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

fn duration(millis: u32) -> Duration {
    Duration::from_millis(millis.into())
}

/// A trace that makes no sense is as good as none.
fn trace(parent: Option<meta::Blob>) -> Option<Parent> {
    parent.and_then(|parent| crate::pool::trace::parse(&parent.0))
}

/// Names that are sent must be names that are taken.
fn check(name: &Frame) -> Result<(), WireError> {
    if name.is_empty() || name.len() > MAX_NAME { Err(WireError::BadName) } else { Ok(()) }
}

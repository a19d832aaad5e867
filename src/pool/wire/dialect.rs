//! Which language one peer speaks, found by its first message, and what it has agreed on so far.

use super::header::{Header, command};
use super::names::{Names, Naming};
use super::{WireError, client, mdp, parse, plain, worker};
use crate::message::{Frame, Message};
use crate::pool::protocol::{FromClient, FromWorker, ToClient, ToWorker};

/// Where a peer came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Door {
    /// Its first message tells what it is.
    Main,
    /// All are clients that know no pool, of this queue.
    PlainClients(Frame),
    /// All are workers that know no pool, of this queue.
    PlainWorkers(Frame),
}

/// What one peer speaks.
#[derive(Debug)]
pub(crate) enum Dialect {
    Unknown,
    SwpClient(Names),
    SwpWorker(Naming),
    MdpClient(mdp::Client),
    MdpWorker(mdp::Style),
    PlainClient(plain::Client),
    PlainWorker(Frame),
}

/// What a peer said.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "made and taken apart in place, once for each message")]
pub(crate) enum Said {
    Client(FromClient),
    Worker(FromWorker),
}

impl Dialect {
    pub(crate) fn new(door: &Door) -> Self {
        match door {
            Door::Main => Self::Unknown,
            Door::PlainClients(queue) => Self::PlainClient(plain::Client::new(queue.clone())),
            Door::PlainWorkers(queue) => Self::PlainWorker(queue.clone()),
        }
    }

    /// Whether it is a worker that cannot be relied on to say that it is there: many answer no one while they work.
    pub(crate) const fn is_mute(&self) -> bool {
        matches!(self, Self::MdpWorker(_) | Self::PlainWorker(_))
    }

    pub(crate) fn decode(&mut self, message: Message) -> Result<Said, WireError> {
        if matches!(self, Self::Unknown) {
            *self = Self::detect(&message)?;
        }
        Ok(match self {
            Self::Unknown => return Err(WireError::NoHeader),
            Self::SwpClient(names) => Said::Client(client::decode_from_client(parse(message)?, names)?),
            Self::SwpWorker(_) => Said::Worker(worker::decode_from_worker(parse(message)?)?),
            Self::MdpClient(client) => Said::Client(client.decode(message)?),
            Self::MdpWorker(_) => Said::Worker(mdp::decode_from_worker(message)?),
            Self::PlainClient(client) => Said::Client(client.decode(message)),
            Self::PlainWorker(queue) => Said::Worker(plain::decode_from_worker(queue, message)?),
        })
    }

    fn detect(message: &Message) -> Result<Self, WireError> {
        if let Some((side, style)) = mdp::detect(message) {
            return Ok(match side {
                mdp::Side::Client => Self::MdpClient(mdp::Client::new(style)),
                mdp::Side::Worker => Self::MdpWorker(style),
            });
        }
        match Header::decode(message.first()).ok_or(WireError::NoHeader)?.command {
            command::CLIENT_HELLO..=command::STATUS => Ok(Self::SwpClient(Names::default())),
            command::WORKER_HELLO..=command::BYE => Ok(Self::SwpWorker(Naming::default())),
            _ => Err(WireError::BadCommand),
        }
    }

    /// `None` where the peer's language has no words for it.
    pub(crate) fn encode_to_client(&mut self, said: ToClient) -> Option<Message> {
        match self {
            Self::SwpClient(_) => Some(client::encode_to_client(said)),
            Self::MdpClient(client) => client.encode(said),
            Self::PlainClient(client) => client.encode(said),
            Self::Unknown | Self::SwpWorker(_) | Self::MdpWorker(_) | Self::PlainWorker(_) => None,
        }
    }

    /// `None` where the peer's language has no words for it.
    pub(crate) fn encode_to_worker(&mut self, said: ToWorker) -> Option<Message> {
        match self {
            Self::SwpWorker(naming) => Some(worker::encode_to_worker(said, naming)),
            Self::MdpWorker(style) => mdp::encode_to_worker(*style, said),
            Self::PlainWorker(_) => plain::encode_to_worker(said),
            Self::Unknown | Self::SwpClient(_) | Self::MdpClient(_) | Self::PlainClient(_) => None,
        }
    }
}

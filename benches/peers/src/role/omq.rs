//! omq-tokio: `Socket::new`, which runs on the caller's runtime.

use omq_tokio::{Endpoint, Message, Options, Socket, SocketType};

use super::generic;
use crate::perf::{Outcome, Role};

pub(super) struct Peer(Socket);

pub(super) fn kind(role: Role) -> SocketType {
    match role {
        Role::Pull | Role::Inproc => SocketType::Pull,
        Role::Push => SocketType::Push,
        Role::Rep => SocketType::Rep,
        Role::Req => SocketType::Req,
        Role::Pub => SocketType::Pub,
        Role::Sub => SocketType::Sub,
        Role::Router => SocketType::Router,
        Role::Dealer => SocketType::Dealer,
    }
}

pub(super) fn options(hwm: u32) -> Options {
    Options::default().send_hwm(hwm).recv_hwm(hwm)
}

impl generic::Peer for Peer {
    type Context = ();
    type Message = Message;

    fn context() -> Outcome<()> {
        Ok(())
    }

    fn message(payload: Vec<u8>) -> Message {
        Message::from_slice(&payload)
    }

    async fn open((): &(), role: Role, hwm: u32) -> Outcome<Self> {
        Ok(Self(Socket::new(kind(role), options(hwm))))
    }

    async fn bind(&mut self, endpoint: &str) -> Outcome<String> {
        Ok(self.0.bind(endpoint.parse::<Endpoint>()?).await?.to_string())
    }

    async fn connect(&mut self, endpoint: &str) -> Outcome {
        Ok(self.0.connect(endpoint.parse::<Endpoint>()?).await?)
    }

    async fn subscribe(&mut self, topic: &str) -> Outcome {
        Ok(self.0.subscribe(topic.to_string()).await?)
    }

    async fn send(&mut self, message: Message) -> Outcome {
        Ok(self.0.send(message).await?)
    }

    async fn recv(&mut self) -> Outcome<Message> {
        Ok(self.0.recv().await?)
    }
}

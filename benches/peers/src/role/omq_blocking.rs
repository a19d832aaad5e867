//! omq-tokio without an asynchronous caller: blocking sockets of a context, which has an I/O thread of its own.

use omq_tokio::blocking::Socket;
use omq_tokio::{Context, Endpoint, Message};

use super::{generic, omq};
use crate::perf::{Outcome, Role};

pub(super) struct Peer(Socket);

impl generic::Peer for Peer {
    const BLOCKING: bool = true;
    type Context = Context;
    type Message = Message;

    fn context() -> Outcome<Context> {
        Ok(Context::new())
    }

    fn message(payload: Vec<u8>) -> Message {
        Message::from_slice(&payload)
    }

    async fn open(context: &Context, role: Role, hwm: u32) -> Outcome<Self> {
        Ok(Self(context.blocking_socket(omq::kind(role), omq::options(hwm))))
    }

    async fn bind(&mut self, endpoint: &str) -> Outcome<String> {
        Ok(self.0.bind(endpoint.parse::<Endpoint>()?)?.to_string())
    }

    async fn connect(&mut self, endpoint: &str) -> Outcome {
        Ok(self.0.connect(endpoint.parse::<Endpoint>()?)?)
    }

    async fn subscribe(&mut self, topic: &str) -> Outcome {
        Ok(self.0.subscribe(topic.to_string())?)
    }

    async fn send(&mut self, message: Message) -> Outcome {
        Ok(self.0.send(message)?)
    }

    async fn recv(&mut self) -> Outcome<Message> {
        Ok(self.0.recv()?)
    }
}

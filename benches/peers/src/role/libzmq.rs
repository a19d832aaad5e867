//! libzmq, by the crate `zmq`: blocking calls, and I/O on a thread of its own.

use zmq::{Context, Message, SNDMORE, Socket, SocketType};

use super::generic::{self, SILENCE};
use crate::perf::{Outcome, Role};

pub(super) struct Peer {
    socket: Socket,
    /// What was received, and used again: libzmq's own way.
    buffer: Message,
}

impl generic::Peer for Peer {
    const BLOCKING: bool = true;
    type Context = Context;
    type Message = Vec<u8>;

    fn context() -> Outcome<Context> {
        Ok(Context::new())
    }

    fn message(payload: Vec<u8>) -> Vec<u8> {
        payload
    }

    async fn open(context: &Context, role: Role, hwm: u32) -> Outcome<Self> {
        let kind = match role {
            Role::Pull | Role::Inproc => SocketType::PULL,
            Role::Push => SocketType::PUSH,
            Role::Rep => SocketType::REP,
            Role::Req => SocketType::REQ,
            Role::Pub => SocketType::PUB,
            Role::Sub => SocketType::SUB,
            Role::Router => SocketType::ROUTER,
            Role::Dealer => SocketType::DEALER,
        };
        let socket = context.socket(kind)?;
        let hwm = i32::try_from(hwm)?;
        socket.set_sndhwm(hwm)?;
        socket.set_rcvhwm(hwm)?;
        // Its receivers cannot be ended from another thread. The first message may take as long as a sender waits.
        let silence = i32::try_from(SILENCE.as_millis())? * 2;
        socket.set_rcvtimeo(if role == Role::Pull || role == Role::Sub { silence } else { -1 })?;
        Ok(Self { socket, buffer: Message::new() })
    }

    async fn bind(&mut self, endpoint: &str) -> Outcome<String> {
        self.socket.bind(&endpoint.replace(":0", ":*"))?;
        self.socket.get_last_endpoint()?.map_err(|_| "an endpoint that is not UTF-8".into())
    }

    async fn connect(&mut self, endpoint: &str) -> Outcome {
        Ok(self.socket.connect(endpoint)?)
    }

    async fn subscribe(&mut self, topic: &str) -> Outcome {
        Ok(self.socket.set_subscribe(topic.as_bytes())?)
    }

    async fn send(&mut self, message: Vec<u8>) -> Outcome {
        Ok(self.socket.send(&message[..], 0)?)
    }

    async fn recv(&mut self) -> Outcome<Vec<u8>> {
        self.socket.recv(&mut self.buffer, 0)?;
        Ok(Vec::new())
    }

    async fn echo(&mut self) -> Outcome {
        loop {
            let mut part = Message::new();
            self.socket.recv(&mut part, 0)?;
            let more = part.get_more();
            self.socket.send(part, if more { SNDMORE } else { 0 })?;
            if !more {
                return Ok(());
            }
        }
    }
}

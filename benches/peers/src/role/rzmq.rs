//! rzmq: its standard mode, on tokio. With `TCP_CORK` it was slower by a factor of eight here; io_uring is another job.

use rzmq::socket::options::{LAST_ENDPOINT, MAX_CONNECTIONS, RCVHWM, SNDHWM, SUBSCRIBE};
use rzmq::{Context, Msg, Socket, SocketType};

use super::generic;
use crate::perf::{Outcome, Role};

pub(super) struct Peer {
    socket: Socket,
    routes: bool,
}

impl generic::Peer for Peer {
    type Context = Context;
    type Message = Msg;

    fn context() -> Outcome<Context> {
        Ok(Context::new()?)
    }

    fn message(payload: Vec<u8>) -> Msg {
        Msg::from_vec(payload)
    }

    async fn open(context: &Context, role: Role, hwm: u32) -> Outcome<Self> {
        let kind = match role {
            Role::Pull | Role::Inproc => SocketType::Pull,
            Role::Push => SocketType::Push,
            Role::Rep => SocketType::Rep,
            Role::Req => SocketType::Req,
            Role::Pub => SocketType::Pub,
            Role::Sub => SocketType::Sub,
            Role::Router => SocketType::Router,
            Role::Dealer => SocketType::Dealer,
        };
        let socket = context.socket(kind)?;
        let hwm = i32::try_from(hwm)?;
        socket.set_option(SNDHWM, hwm).await?;
        socket.set_option(RCVHWM, hwm).await?;
        // Else it stops accepting at 1024.
        socket.set_option(MAX_CONNECTIONS, 20_000).await?;
        Ok(Self { socket, routes: role == Role::Router })
    }

    async fn bind(&mut self, endpoint: &str) -> Outcome<String> {
        self.socket.bind(endpoint).await?;
        if endpoint.starts_with("inproc") {
            return Ok(endpoint.into());
        }
        Ok(String::from_utf8(self.socket.get_option(LAST_ENDPOINT).await?)?)
    }

    async fn connect(&mut self, endpoint: &str) -> Outcome {
        Ok(self.socket.connect(endpoint).await?)
    }

    async fn subscribe(&mut self, topic: &str) -> Outcome {
        Ok(self.socket.set_option(SUBSCRIBE, topic).await?)
    }

    async fn send(&mut self, message: Msg) -> Outcome {
        Ok(self.socket.send(message).await?)
    }

    async fn recv(&mut self) -> Outcome<Msg> {
        Ok(self.socket.recv().await?)
    }

    async fn echo(&mut self) -> Outcome {
        if self.routes {
            let frames = self.socket.recv_multipart().await?;
            return Ok(self.socket.send_multipart(frames).await?);
        }
        let message = self.recv().await?;
        self.send(message).await
    }
}

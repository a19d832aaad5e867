//! The crate `zeromq`. It has no high-water marks; its queues have a length of their own.

use zeromq::{
    DealerSocket, PubSocket, PullSocket, PushSocket, RepSocket, ReqSocket, RouterSocket, Socket, SocketRecv,
    SocketSend, SubSocket, ZmqMessage,
};

use super::generic;
use crate::perf::{Outcome, Role};

pub(super) enum Peer {
    Pull(PullSocket),
    Push(PushSocket),
    Rep(RepSocket),
    Req(ReqSocket),
    Pub(PubSocket),
    Sub(SubSocket),
    Router(RouterSocket),
    Dealer(DealerSocket),
}

/// Calls a verb of whichever it is, among those that have it.
macro_rules! either {
    ($peer:expr, [$($kind:ident),+], $socket:ident => $call:expr) => {
        match $peer {
            $(Peer::$kind($socket) => Ok($call),)+
            #[allow(unreachable_patterns, reason = "some verbs are of all types")]
            _ => Err("no verb of this socket type"),
        }
    };
}

impl generic::Peer for Peer {
    type Context = ();
    type Message = ZmqMessage;

    fn context() -> Outcome<()> {
        Ok(())
    }

    fn message(payload: Vec<u8>) -> ZmqMessage {
        payload.into()
    }

    async fn open((): &(), role: Role, _hwm: u32) -> Outcome<Self> {
        Ok(match role {
            Role::Pull => Self::Pull(PullSocket::new()),
            Role::Push => Self::Push(PushSocket::new()),
            Role::Rep => Self::Rep(RepSocket::new()),
            Role::Req => Self::Req(ReqSocket::new()),
            Role::Pub => Self::Pub(PubSocket::new()),
            Role::Sub => Self::Sub(SubSocket::new()),
            Role::Router => Self::Router(RouterSocket::new()),
            Role::Dealer => Self::Dealer(DealerSocket::new()),
            Role::Inproc => return Err("it has no inproc".into()),
        })
    }

    async fn bind(&mut self, endpoint: &str) -> Outcome<String> {
        let bound = either!(self, [Pull, Push, Rep, Req, Pub, Sub, Router, Dealer], socket => {
            socket.bind(endpoint).await?
        })?;
        Ok(bound.to_string())
    }

    async fn connect(&mut self, endpoint: &str) -> Outcome {
        Ok(either!(self, [Pull, Push, Rep, Req, Pub, Sub, Router, Dealer], socket => {
            socket.connect(endpoint).await?;
        })?)
    }

    async fn subscribe(&mut self, topic: &str) -> Outcome {
        Ok(either!(self, [Sub], socket => socket.subscribe(topic).await?)?)
    }

    async fn send(&mut self, message: ZmqMessage) -> Outcome {
        Ok(either!(self, [Push, Rep, Req, Pub, Router, Dealer], socket => socket.send(message).await?)?)
    }

    async fn recv(&mut self) -> Outcome<ZmqMessage> {
        Ok(either!(self, [Pull, Rep, Req, Sub, Router, Dealer], socket => socket.recv().await?)?)
    }
}

// The README's links are to files beside it, which are not there from here; of two definitions the first counts.
//! [examples]: https://docs.rs/crate/sinew/latest/source/examples/
//! [Cargo.toml]: https://docs.rs/crate/sinew/latest/source/Cargo.toml
//! [docs/pool.md]: pool/index.html
//! [docs/benchmarks]: https://docs.rs/crate/sinew/latest/source/docs/benchmarks/README.md
//! [ARCHITECTURE.md]: https://docs.rs/crate/sinew/latest/source/ARCHITECTURE.md
//! [CONTRIBUTING.md]: https://docs.rs/crate/sinew/latest/source/CONTRIBUTING.md
//! [CHANGELOG.md]: https://docs.rs/crate/sinew/latest/source/CHANGELOG.md
//! [MIT]: https://docs.rs/crate/sinew/latest/source/LICENSE-MIT
//! [Apache-2.0]: https://docs.rs/crate/sinew/latest/source/LICENSE-APACHE
//!
#![doc = include_str!("../README.md")]

#[cfg(sinew_bench)]
#[doc(hidden)]
pub mod bench;
mod clock;
mod endpoint;
mod engine;
mod error;
mod message;
mod monitor;
mod options;
mod patterns;
mod pipe;
#[cfg(feature = "pool")]
pub mod pool;
mod proto;
mod proxy;
mod routing;
mod socket;
mod stats;
mod sync;
mod transport;

pub use endpoint::{Endpoint, EndpointError};
pub use error::{
    BindError, ConnectError, Error, IoError, OptionError, RecvError, RequestError, SendError, SendErrorKind,
    SocketClosed, UnknownEndpoint,
};
pub use message::{Frame, Frames, IntoFrames, Message};
pub use monitor::{DisconnectReason, DropReason, Event, EventKind, Monitor, PeerInfo, Refused};
pub use options::{ConnectionOptions, Options, Verbosity};
#[cfg(feature = "draft")]
pub use patterns::{
    Channel, ChannelBuilder, Client, ClientBuilder, Dish, DishBuilder, Gather, GatherBuilder, Group,
    GroupError, Peer, PeerBuilder, Radio, RadioBuilder, Scatter, ScatterBuilder, Server, ServerBuilder,
};
pub use patterns::{
    Dealer, DealerBuilder, Pair, PairBuilder, PeerId, Pub, PubBuilder, Pull, PullBuilder, Push, PushBuilder,
    Receiving, Rep, RepBuilder, Req, ReqBuilder, Router, RouterBuilder, RouterEvent, RoutingId, Sending,
    Socket, Sub, SubBuilder, XPub, XPubBuilder, XSub, XSubBuilder,
};
pub use proto::{HandshakeError, ProtocolError, SocketType};
pub use proxy::{Capture, Device, proxy};
pub use socket::{Closed, Context};
pub use stats::{Dropped, PeerStats, Stats};
pub use transport::Keepalive;

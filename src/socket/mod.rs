//! The sockets people meet: one type each, with the verbs that type has.
//!
//! A type is a page: what it may be told (its builder), whom a message goes to (`offer`, run on the
//! outbox), and what it receives (`take`, run on the inbox). The rest is shared: the life of a
//! socket and the verbs are written once, as macros over these two, because a doc page per type
//! is worth more to the reader than a generic one.

mod builder;
mod core;
mod dealer;
pub(crate) mod device;
mod endpoints;
mod handle;
mod marks;
mod pair;
mod peers;
mod publish;
mod pull;
mod push;
mod rep;
mod req;
mod router;
mod subscribe;
mod subscriptions;
mod verbs;
mod xpub;
mod xsub;

pub(crate) use core::Core;
pub(crate) use peers::Pipe;

pub use dealer::{Dealer, DealerBuilder};
pub use handle::Closed;
pub use pair::{Pair, PairBuilder};
pub use publish::{Pub, PubBuilder};
pub use pull::{Pull, PullBuilder};
pub use push::{Push, PushBuilder};
pub use rep::{Rep, RepBuilder};
pub use req::{Req, ReqBuilder};
pub use router::{PeerId, Router, RouterBuilder, RouterEvent, RoutingId};
pub use subscribe::{Sub, SubBuilder};
pub use xpub::{XPub, XPubBuilder};
pub use xsub::{XSub, XSubBuilder};

//! `sinew perf`: one side of a measurement, as libzmq's `local_thr`, `remote_thr`, `local_lat` and `remote_lat`.
//!
//! The roles use the library as its README does: sockets with `send` and `recv`, one message a call. Nothing here
//! may know more of it than a user can.

pub(crate) mod payload;
mod pipeline;
mod pubsub;
mod reqrep;
pub(crate) mod router;
mod socket;
pub(crate) mod tally;

use std::error::Error;

use clap::ValueEnum;
use tokio::runtime::{Builder, Runtime};

/// What a role ends with: any error, for a person to read.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Measure: run one role here, and its counterpart in another process.
#[derive(clap::Args, Debug, Clone)]
#[command(long_about = LONG_ABOUT)]
pub(crate) struct Args {
    /// What this process is.
    pub(crate) role: Role,
    /// Where the two meet: tcp://127.0.0.1:5555, ipc:///tmp/perf, or inproc://any-name for the role inproc.
    pub(crate) endpoint: String,
    /// Payload bytes of a message.
    pub(crate) size: usize,
    /// Messages, requests or round trips, over all sockets of the process together. For pub: messages published; for
    /// sub: messages published that each socket should get.
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: u64,
    /// A role that connects: sockets in this process, each with a task. A pub or push that binds: peers to wait for
    /// before it sends. No meaning for other roles that bind.
    #[arg(value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) sockets: u32,
    /// The tokio runtime: ct, current_thread; mt, multi_thread with 2 workers.
    #[arg(long, value_enum, default_value_t = Flavor::Mt)]
    pub(crate) runtime: Flavor,
    /// With mt, run the role in the main task, which is not on a worker, instead of a spawned one, which is.
    #[arg(long)]
    pub(crate) main: bool,
    /// High-water mark in messages, of sending and receiving; 0: unlimited. Lifts the marks in bytes, which libzmq does
    /// not have. Default: the library's.
    #[arg(long, value_name = "MESSAGES")]
    pub(crate) hwm: Option<usize>,
    /// For pub and sub: that many topics, dealt out to the subscribers, so that each message has one taker. Default: all
    /// subscribe to everything.
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    pub(crate) topics: usize,
    /// Bind a role that would connect.
    #[arg(long, conflicts_with = "connect")]
    pub(crate) bind: bool,
    /// Connect a role that would bind.
    #[arg(long)]
    pub(crate) connect: bool,
}

const LONG_ABOUT: &str = "\
Measure: run one role here, and its counterpart in another process. pull, rep, pub and router bind, push, req, sub and \
dealer connect; inproc is both a push and a pull, on two threads.

  sinew perf pull   tcp://127.0.0.1:5555 64 10000000
  sinew perf push   tcp://127.0.0.1:5555 64 10000000

  sinew perf pub    tcp://127.0.0.1:5555 64 1000000 8        8 subscribers to wait for
  sinew perf sub    tcp://127.0.0.1:5555 64 1000000 8        8 sockets

  sinew perf router tcp://127.0.0.1:5555 64 1000000          echoes
  sinew perf dealer tcp://127.0.0.1:5555 64 1000000 8        8 sockets, each with 64 requests in flight

  sinew perf rep    tcp://127.0.0.1:5555 64 100000
  sinew perf req    tcp://127.0.0.1:5555 64 100000

  sinew perf inproc inproc://x 64 10000000

Who receives prints one line:

  got=10000000 of=10000000 secs=1.021 rate=9791180 MBps=626.6 cpu_ns=101.3

Time runs from the first message on, without it. rate: messages a second; MBps: million payload bytes a second; \
cpu_ns: nanoseconds of CPU, user and system, that this process spent on a message. A req prints its round trips \
instead:

  n=100000 p50=24.1us p99=40.8us p999=76.0us

Who sends prints such a line on the error output, with what its close left undelivered. After 3 s of silence a \
receiver ends with what it has got; until the first message it waits for ever, \
and a push waits for ever for a pull to take its messages.";

/// What this process is.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Receives; binds.
    Pull,
    /// Sends; connects.
    Push,
    /// Replies with what it was asked; binds.
    Rep,
    /// Asks, one request at a time; connects.
    Req,
    /// Publishes; binds.
    Pub,
    /// Subscribes; connects.
    Sub,
    /// Sends back what it receives; binds.
    Router,
    /// Keeps 64 requests in flight; connects.
    Dealer,
    /// A push and a pull in this process.
    Inproc,
}

/// The tokio runtime of a process.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavor {
    /// current_thread
    Ct,
    /// multi_thread with 2 workers
    Mt,
}

/// Runs one role until it has what it waits for.
pub(crate) fn run(args: Args) -> Outcome {
    args.check()?;
    let runtime = args.runtime.start()?;
    let task = args.runtime == Flavor::Mt && !args.main;
    if task { runtime.block_on(runtime.spawn(role(args)))? } else { runtime.block_on(role(args)) }
}

async fn role(args: Args) -> Outcome {
    match args.role {
        Role::Pull => pipeline::pull(&args).await,
        Role::Push => pipeline::push(&args).await,
        Role::Inproc => pipeline::inproc(&args).await,
        Role::Pub => pubsub::publish(&args).await,
        Role::Sub => pubsub::subscribe(&args).await,
        Role::Rep => reqrep::rep(&args).await,
        Role::Req => reqrep::req(&args).await,
        Role::Router => router::echo(&args).await,
        Role::Dealer => router::ask(&args).await,
    }
}

impl Args {
    /// Whether this role binds its one socket.
    pub(crate) fn binds(&self) -> bool {
        let binds = matches!(self.role, Role::Pull | Role::Rep | Role::Pub | Role::Router);
        self.bind || (binds && !self.connect)
    }

    fn check(&self) -> Outcome {
        if (self.role == Role::Inproc) != self.endpoint.starts_with("inproc://") {
            return Err("inproc:// is for the role inproc, which has both its sockets in one process".into());
        }
        if self.sockets > 1 && matches!(self.role, Role::Req | Role::Inproc) {
            return Err("req and inproc take no N: it is one requester, or one pair".into());
        }
        if self.topics > 0 && !matches!(self.role, Role::Pub | Role::Sub) {
            return Err("--topics is for pub and sub".into());
        }
        if self.topics > 0 && self.size < payload::TOPIC {
            return Err(format!("with --topics a message has {} bytes or more", payload::TOPIC).into());
        }
        Ok(())
    }
}

impl Flavor {
    /// A runtime of this kind.
    pub(crate) fn start(self) -> std::io::Result<Runtime> {
        match self {
            Self::Ct => Builder::new_current_thread().enable_all().build(),
            Self::Mt => Builder::new_multi_thread().worker_threads(2).enable_all().build(),
        }
    }
}

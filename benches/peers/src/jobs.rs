//! What is measured, and who takes part.

pub(crate) use crate::role::Library;

/// One row of the table.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) shape: Shape,
    pub(crate) transport: Transport,
    pub(crate) size: usize,
    /// Sockets on the side that has several.
    pub(crate) sockets: u32,
    pub(crate) topics: usize,
    pub(crate) hwm: usize,
    /// Messages of a run, at least and at most.
    pub(crate) count: (u64, u64),
    /// The cores of who binds and of who connects.
    pub(crate) cores: Option<(usize, usize)>,
    pub(crate) unit: Unit,
}

/// Who talks to whom, and what is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Many PUSH, or one, to a PULL that binds.
    PushPull,
    /// A PUSH that binds, to many PULL.
    PushToMany,
    PubSub,
    RouterDealer,
    ReqRep,
    Inproc,
    /// Memory of a PULL with silent peers.
    Idle,
    /// Heap allocations from PUSH to PULL, both processes together.
    Allocations,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Ipc,
    Inproc,
}

/// What a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Messages a second, told in millions.
    Rate,
    /// The median round trip.
    Micros,
    /// Of resident memory, for each peer.
    KiB,
    /// Of the heap, for each message.
    Allocations,
}

/// One column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    /// Columns of one title are one in the table, which shows the best of them.
    pub(crate) title: &'static str,
    pub(crate) library: Library,
    pub(crate) runtime: &'static str,
}

pub(crate) fn columns() -> impl Iterator<Item = Column> {
    use Library::{Libzmq, Omq, OmqBlocking, Rzmq, Sinew, Tcp16, Tcp64, Tcp256, Zeromq};
    [
        ("sinew-ct", "sinew ct", Sinew, "ct"),
        ("sinew-mt", "sinew mt", Sinew, "mt"),
        ("libzmq", "libzmq", Libzmq, "ct"),
        ("omq-ct", "omq ct", Omq, "ct"),
        ("omq-mt", "omq mt", Omq, "mt"),
        ("omq-blocking", "omq blocking", OmqBlocking, "ct"),
        ("zeromq-ct", "zeromq ct", Zeromq, "ct"),
        ("zeromq-mt", "zeromq mt", Zeromq, "mt"),
        ("rzmq-ct", "rzmq ct", Rzmq, "ct"),
        ("rzmq-mt", "rzmq mt", Rzmq, "mt"),
        ("tcp-16", "plain TCP", Tcp16, "ct"),
        ("tcp-64", "plain TCP", Tcp64, "ct"),
        ("tcp-256", "plain TCP", Tcp256, "ct"),
    ]
    .into_iter()
    .map(|(name, title, library, runtime)| Column { name, title, library, runtime })
}

impl Job {
    /// Whether this column can do it.
    pub(crate) fn is_for(&self, column: &Column) -> bool {
        match column.library {
            // A write has one message there, whatever it could hold.
            Library::Tcp16 => self.is_for_tcp(),
            Library::Tcp64 | Library::Tcp256 => self.is_for_tcp() && self.shape == Shape::PushPull,
            // A blocking receiver does not see that the others have the rest.
            Library::OmqBlocking => self.topics == 0 && self.shape != Shape::PushToMany,
            Library::Zeromq => self.transport != Transport::Inproc,
            // Its allocations are not Rust's.
            Library::Libzmq => self.shape != Shape::Allocations,
            _ => true,
        }
    }

    fn is_for_tcp(&self) -> bool {
        let shape = matches!(self.shape, Shape::PushPull | Shape::ReqRep);
        shape && self.transport == Transport::Tcp && self.sockets == 1
    }

    const fn new(shape: Shape, transport: Transport, size: usize) -> Self {
        Self {
            name: String::new(),
            title: String::new(),
            shape,
            transport,
            size,
            sockets: 1,
            topics: 0,
            hwm: 1000,
            count: (20_000, 100_000_000),
            cores: None,
            unit: Unit::Rate,
        }
    }

    fn named(self, name: impl Into<String>, title: impl Into<String>) -> Self {
        Self { name: name.into(), title: title.into(), ..self }
    }
}

/// Names begin with the family, so that a prefix selects one.
pub(crate) fn all() -> Vec<Job> {
    use Transport::{Inproc, Ipc, Tcp};
    let mut jobs = Vec::new();
    for (transport, sizes) in [
        (Tcp, &[16, 64, 256, 1 << 10, 8 << 10, 64 << 10, 1 << 20][..]),
        (Ipc, &[64, 1 << 10, 64 << 10]),
        (Inproc, &[64]),
    ] {
        for &size in sizes {
            let (shape, short) = match transport {
                Tcp => (Shape::PushPull, "tcp"),
                Ipc => (Shape::PushPull, "ipc"),
                Inproc => (Shape::Inproc, "inproc"),
            };
            let least = (20_000_000 / size as u64).clamp(100, 20_000);
            let job = Job { count: (least, 100_000_000), ..Job::new(shape, transport, size) };
            jobs.push(
                job.named(format!("push-{short}-{size}"), format!("PUSH to PULL, {short}, {}", bytes(size))),
            );
        }
    }
    // As many as the marks hold: what is lost is what a library cannot keep.
    for (sockets, most) in [(1, 1_000_000), (8, 500_000), (64, 100_000)] {
        let job = Job { sockets, hwm: 1_000_000, count: (10_000, most), ..Job::new(Shape::PubSub, Tcp, 64) };
        jobs.push(job.named(format!("pub-{sockets}"), format!("PUB to {sockets} SUB, delivered, 64 B")));
    }
    for topics in [10, 100_000] {
        let job = Job {
            sockets: 8,
            topics,
            hwm: 1_000_000,
            count: (10_000, 1_000_000),
            ..Job::new(Shape::PubSub, Tcp, 64)
        };
        jobs.push(job.named(
            format!("topics-{topics}"),
            format!("PUB, {topics} topics held by 8 SUB, each message to one of them, 64 B"),
        ));
    }
    let job = Job { sockets: 8, ..Job::new(Shape::RouterDealer, Tcp, 64) };
    jobs.push(job.named("router-8", "8 DEALER with 64 requests in flight each, echoed by a ROUTER, 64 B"));
    for (name, cores) in [("one core", (0, 0)), ("a core each", (0, 1))] {
        let job = Job {
            cores: Some(cores),
            count: (2000, 1_000_000),
            unit: Unit::Micros,
            ..Job::new(Shape::ReqRep, Tcp, 64)
        };
        let short = if cores.0 == cores.1 { "req-one-core" } else { "req-two-cores" };
        jobs.push(job.named(short, format!("REQ to REP and back, p50, {name}, 64 B")));
    }
    for sockets in [8, 1000] {
        // Four times what fits under the marks: otherwise a sender that never lets others run has sent all of it when
        // the first message arrives, and its part is not measured.
        let count = (4000 * u64::from(sockets), 100_000_000);
        let job = Job { sockets, count, ..Job::new(Shape::PushPull, Tcp, 64) };
        jobs.push(job.named(format!("fan-in-{sockets}"), format!("{sockets} PUSH to a PULL, 64 B")));
        let job = Job { sockets, count, ..Job::new(Shape::PushToMany, Tcp, 64) };
        jobs.push(job.named(format!("fan-out-{sockets}"), format!("A PUSH to {sockets} PULL, 64 B")));
    }
    for size in [64, 8 << 10] {
        let job = Job {
            count: (50_000, 50_000),
            unit: Unit::Allocations,
            ..Job::new(Shape::Allocations, Tcp, size)
        };
        let title = format!("PUSH to PULL, both processes, {}", bytes(size));
        jobs.push(job.named(format!("allocations-{size}"), title));
    }
    let job = Job { sockets: 10_000, unit: Unit::KiB, ..Job::new(Shape::Idle, Tcp, 64) };
    jobs.push(job.named("idle", "A PULL with 10,000 silent peers, resident memory a peer"));
    jobs
}

fn bytes(size: usize) -> String {
    match size {
        1_048_576.. => format!("{} MiB", size >> 20),
        1024.. => format!("{} KiB", size >> 10),
        _ => format!("{size} B"),
    }
}

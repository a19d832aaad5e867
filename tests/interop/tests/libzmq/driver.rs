//! One libzmq socket on a thread of its own, and one of ours behind the same verbs: what every test here is
//! made of. Nothing hangs: libzmq's calls time out, every wait of ours is bounded, and both panic.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use sinew::{
    Dealer, Endpoint, EventKind, Message, Monitor, Pair, Pub, Pull, Push, Rep, Req, Router, Sub, XPub, XSub,
};
use tokio::sync::oneshot;

use super::ffi::{self, Type};

/// No test waits longer than this for one thing.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) type Frames = Vec<Vec<u8>>;

/// Awaits `future`, or panics with `what` was awaited.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: nothing for {DEADLINE:?}"),
    }
}

/// Which transport a test goes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Tcp,
    Ipc,
}

/// An endpoint to bind: an ephemeral port, or a path that no other test has. The file goes with it.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) endpoint: String,
    path: Option<PathBuf>,
}

impl Over {
    pub(crate) fn place(self) -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        match self {
            Self::Tcp => Place { endpoint: "tcp://127.0.0.1:*".into(), path: None },
            Self::Ipc => {
                let path = std::env::temp_dir().join(format!("sinew-zmq-{}-{next}.sock", std::process::id()));
                Place { endpoint: format!("ipc://{}", path.display()), path: Some(path) }
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // libzmq leaves the file of a named endpoint behind.
            let _ = std::fs::remove_file(path);
        }
    }
}

type Job = Box<dyn FnOnce(&mut zmq::Socket) + Send>;

/// A libzmq socket in a context and on a thread of its own.
pub(crate) struct Lib {
    jobs: mpsc::Sender<Job>,
    ended: oneshot::Receiver<()>,
    events: tokio::sync::mpsc::UnboundedReceiver<zmq::SocketEvent>,
}

impl Lib {
    pub(crate) fn new(kind: impl Into<Type>) -> Self {
        Self::with(kind, |_| Ok(()))
    }

    /// With options set before anything else happens. By default it reconnects quickly and lingers long enough.
    pub(crate) fn with(
        kind: impl Into<Type>,
        options: impl FnOnce(&zmq::Socket) -> zmq::Result<()> + Send + 'static,
    ) -> Self {
        let kind = kind.into();
        let (jobs, queue) = mpsc::channel::<Job>();
        let (end, ended) = oneshot::channel();
        let (seen, events) = tokio::sync::mpsc::unbounded_channel();
        std::thread::spawn(move || {
            // Dropped last: ending the context waits for linger.
            let _end = end;
            let context = ffi::Context::new();
            let mut socket = context.socket(kind).expect("a libzmq socket");
            let millis = i32::try_from(DEADLINE.as_millis()).expect("fits");
            socket.set_rcvtimeo(millis).expect("RCVTIMEO");
            socket.set_sndtimeo(millis).expect("SNDTIMEO");
            // A subscriber has nothing to deliver but what it has to say to a publisher that is gone.
            let subscribes = [zmq::SUB.into(), zmq::XSUB.into(), ffi::DISH].contains(&kind);
            let linger = if subscribes { 0 } else { millis / 2 };
            socket.set_linger(linger).expect("LINGER");
            socket.set_reconnect_ivl(20).expect("RECONNECT_IVL");
            options(&socket).expect("options of libzmq");
            let monitor = monitor(&context, &socket, seen);
            loop {
                match queue.recv_timeout(Duration::from_millis(5)) {
                    Ok(job) => job(&mut socket),
                    // libzmq takes a peer in, and subscribes, only within a call of its application.
                    Err(mpsc::RecvTimeoutError::Timeout) => drop(socket.get_events()),
                    Err(mpsc::RecvTimeoutError::Disconnected) => break,
                }
            }
            drop(socket);
            monitor.join().expect("the monitor's thread");
            drop(context);
        });
        Self { jobs, ended, events }
    }

    /// Does something on the socket's thread.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        what: &str,
        job: impl FnOnce(&zmq::Socket) -> zmq::Result<T> + Send + 'static,
    ) -> T {
        self.run_mut(what, |socket| job(socket)).await
    }

    /// The same, for a call of [`ffi`].
    pub(crate) async fn run_mut<T: Send + 'static>(
        &self,
        what: &str,
        job: impl FnOnce(&mut zmq::Socket) -> zmq::Result<T> + Send + 'static,
    ) -> T {
        let (answer, done) = oneshot::channel();
        let job: Job = Box::new(move |socket| drop(answer.send(job(socket))));
        self.jobs.send(job).expect("the thread of libzmq's socket lives");
        let done = within(what, done).await.expect("the thread of libzmq's socket lives");
        done.unwrap_or_else(|error| panic!("libzmq, {what}: {error}"))
    }

    /// Binds; the endpoint comes back resolved.
    pub(crate) async fn bind(&self, endpoint: &str) -> String {
        let endpoint = endpoint.to_owned();
        let bound = self.run("bind", move |socket| {
            socket.bind(&endpoint)?;
            socket.get_last_endpoint()
        });
        bound.await.expect("an endpoint is text")
    }

    pub(crate) async fn connect(&self, endpoint: &str) {
        let endpoint = endpoint.to_owned();
        self.run("connect", move |socket| socket.connect(&endpoint)).await;
    }

    pub(crate) async fn send(&self, frames: Frames) {
        self.run("send", move |socket| socket.send_multipart(frames, 0)).await;
    }

    /// As a mandatory ROUTER: sends until the peer is known.
    pub(crate) async fn send_routed(&self, frames: Frames) {
        let deadline = std::time::Instant::now() + DEADLINE;
        let send = move |socket: &zmq::Socket| {
            loop {
                match socket.send_multipart(&frames, 0) {
                    Err(zmq::Error::EHOSTUNREACH) if std::time::Instant::now() < deadline => {
                        std::thread::yield_now();
                    }
                    result => return result,
                }
            }
        };
        self.run("send to a named peer", send).await;
    }

    pub(crate) async fn recv(&self) -> Frames {
        self.run("recv", |socket| socket.recv_multipart(0)).await
    }

    /// What is there within `limit`, if anything.
    pub(crate) async fn recv_within(&self, limit: Duration) -> Option<Frames> {
        let millis = i64::try_from(limit.as_millis()).expect("fits");
        self.run("poll", move |socket| match socket.poll(zmq::POLLIN, millis)? {
            0 => Ok(None),
            _ => socket.recv_multipart(0).map(Some),
        })
        .await
    }

    pub(crate) async fn subscribe(&self, topic: &'static str) {
        self.run("subscribe", move |socket| socket.set_subscribe(topic.as_bytes())).await;
    }

    /// Waits for an event of the kind.
    pub(crate) async fn until(&mut self, event: zmq::SocketEvent) {
        let found = async {
            while let Some(next) = self.events.recv().await {
                if next == event {
                    return;
                }
            }
            panic!("libzmq's monitor ended before {event:?}");
        };
        within(&format!("libzmq's {event:?}"), found).await;
    }

    /// Closes the socket and ends its context, which waits for linger.
    pub(crate) async fn close(self) {
        drop(self.jobs);
        // An error is the sender that was dropped, which is the end.
        let _ = within("libzmq's close", self.ended).await;
    }
}

/// Passes a socket's events on until it is closed.
fn monitor(
    context: &ffi::Context,
    socket: &zmq::Socket,
    seen: tokio::sync::mpsc::UnboundedSender<zmq::SocketEvent>,
) -> std::thread::JoinHandle<()> {
    // The context is this socket's own, so the name is free.
    let endpoint = "inproc://monitor";
    socket.monitor(endpoint, i32::from(zmq::SocketEvent::ALL.to_raw())).expect("a monitor");
    let events = context.socket(zmq::PAIR).expect("a libzmq socket");
    events.connect(endpoint).expect("the monitor");
    std::thread::spawn(move || {
        while let Ok(frames) = events.recv_multipart(0) {
            let raw = u16::from_ne_bytes([frames[0][0], frames[0][1]]);
            let event = zmq::SocketEvent::from_raw(raw);
            let last = event == zmq::SocketEvent::MONITOR_STOPPED;
            // Nobody may be interested any more.
            let _ = seen.send(event);
            if last {
                return;
            }
        }
    })
}

/// A socket type, for both libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Push,
    Pull,
    Pub,
    Sub,
    XPub,
    XSub,
    Req,
    Rep,
    Dealer,
    Router,
    Pair,
}

impl Kind {
    pub(crate) const fn lib(self) -> zmq::SocketType {
        match self {
            Self::Push => zmq::PUSH,
            Self::Pull => zmq::PULL,
            Self::Pub => zmq::PUB,
            Self::Sub => zmq::SUB,
            Self::XPub => zmq::XPUB,
            Self::XSub => zmq::XSUB,
            Self::Req => zmq::REQ,
            Self::Rep => zmq::REP,
            Self::Dealer => zmq::DEALER,
            Self::Router => zmq::ROUTER,
            Self::Pair => zmq::PAIR,
        }
    }

    pub(crate) const fn sends(self) -> bool {
        !matches!(self, Self::Pull | Self::Sub)
    }

    pub(crate) const fn receives(self) -> bool {
        !matches!(self, Self::Push | Self::Pub)
    }
}

/// A socket of ours, of any type.
#[derive(Debug)]
pub(crate) enum Ours {
    Push(Push),
    Pull(Pull),
    Pub(Pub),
    Sub(Sub),
    XPub(XPub),
    XSub(XSub),
    Req(Req),
    Rep(Rep),
    Dealer(Dealer),
    Router(Router),
    Pair(Pair),
}

/// The same call on whatever it is.
macro_rules! each {
    ($ours:expr, $socket:ident => $call:expr) => {
        match $ours {
            Ours::Push($socket) => $call,
            Ours::Pull($socket) => $call,
            Ours::Pub($socket) => $call,
            Ours::Sub($socket) => $call,
            Ours::XPub($socket) => $call,
            Ours::XSub($socket) => $call,
            Ours::Req($socket) => $call,
            Ours::Rep($socket) => $call,
            Ours::Dealer($socket) => $call,
            Ours::Router($socket) => $call,
            Ours::Pair($socket) => $call,
        }
    };
}

impl Ours {
    /// Those that have one are called `id`.
    pub(crate) fn named(kind: Kind, id: &'static str) -> Self {
        match kind {
            Kind::Push => Self::Push(Push::new()),
            Kind::Pull => Self::Pull(Pull::new()),
            Kind::Pub => Self::Pub(Pub::new()),
            Kind::Sub => Self::Sub(Sub::builder().subscribe("").build().expect("options")),
            Kind::XPub => Self::XPub(XPub::new()),
            Kind::XSub => Self::XSub(XSub::new()),
            Kind::Req => Self::Req(Req::builder().routing_id(id).build().expect("options")),
            Kind::Rep => Self::Rep(Rep::new()),
            Kind::Dealer => Self::Dealer(Dealer::builder().routing_id(id).build().expect("options")),
            Kind::Router => {
                let builder = Router::builder().routing_id(id).mandatory(true);
                Self::Router(builder.build().expect("options"))
            }
            Kind::Pair => Self::Pair(Pair::new()),
        }
    }

    pub(crate) async fn bind(&self, endpoint: &str) -> Endpoint {
        each!(self, socket => within("our bind", socket.bind(endpoint)).await.expect("our bind"))
    }

    pub(crate) async fn connect(&self, endpoint: &str) {
        each!(self, socket => socket.connect(endpoint).await.expect("connect"));
    }

    pub(crate) async fn wait_for_peer(&self) {
        let what = "a peer of ours";
        each!(self, socket => within(what, socket.wait_for_peers(1)).await.expect("open"));
    }

    /// Closes; says how many messages were not delivered.
    pub(crate) async fn close(self) -> usize {
        each!(self, socket => within("our close", socket.close()).await.undelivered)
    }

    /// A ROUTER's first frame is the peer's id.
    pub(crate) async fn send(&self, frames: Frames) {
        let message: Message = frames.into_iter().collect();
        let sending = async {
            match self {
                Self::Push(socket) => socket.send(message).await,
                Self::Pub(socket) => socket.send(message).await,
                Self::XPub(socket) => socket.send(message).await,
                Self::XSub(socket) => socket.send(message).await,
                Self::Req(socket) => socket.send(message).await,
                Self::Rep(socket) => socket.send(message).await,
                Self::Dealer(socket) => socket.send(message).await,
                Self::Pair(socket) => socket.send(message).await,
                Self::Router(socket) => {
                    let mut message = message;
                    let id = message.pop_front().expect("an id and a message");
                    socket.send(id, message).await
                }
                Self::Pull(_) | Self::Sub(_) => panic!("it does not send"),
            }
        };
        within("our send", sending).await.expect("our send");
    }

    /// A ROUTER's first frame is the peer's id.
    pub(crate) async fn recv(&self) -> Frames {
        let receiving = async {
            match self {
                Self::Pull(socket) => socket.recv().await,
                Self::Sub(socket) => socket.recv().await,
                Self::XPub(socket) => socket.recv().await,
                Self::XSub(socket) => socket.recv().await,
                Self::Req(socket) => socket.recv().await,
                Self::Rep(socket) => socket.recv().await,
                Self::Dealer(socket) => socket.recv().await,
                Self::Pair(socket) => socket.recv().await,
                Self::Router(socket) => socket.recv().await.map(|(id, mut message)| {
                    message.push_front(id);
                    message
                }),
                Self::Push(_) | Self::Pub(_) => panic!("it does not receive"),
            }
        };
        frames(&within("our recv", receiving).await.expect("our recv"))
    }
}

/// A message of ours as libzmq has it.
pub(crate) fn frames(message: &Message) -> Frames {
    message.frames().map(|frame| frame.to_vec()).collect()
}

/// Reads a monitor up to the event looked for.
pub(crate) async fn until(monitor: &mut Monitor, what: &str, wanted: impl Fn(&EventKind) -> bool) {
    let found = async {
        while let Some(event) = monitor.recv().await {
            if wanted(&event.kind) {
                return;
            }
        }
        panic!("the monitor ended before {what}");
    };
    within(what, found).await;
}

pub(crate) fn is_lost(event: &EventKind) -> bool {
    matches!(event, EventKind::Disconnected(_))
}

/// The number that a message consists of.
pub(crate) fn number(frames: &Frames) -> u32 {
    assert_eq!(frames.len(), 1, "{frames:?}");
    std::str::from_utf8(&frames[0]).expect("digits").parse().expect("digits")
}

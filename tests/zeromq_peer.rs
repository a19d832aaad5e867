//! Sinew against the crate `zeromq`, which shares no code with it nor with libzmq: every pair of socket types that it
//! has, either side binding, over tcp and ipc, message for message (conformance A10), and the reconnects it supports.
//!
//! `zeromq` 0.7 announces ZMTP 3.0, so these tests also pin what a 3.0 peer gets (A2, A7.1): subscriptions in the old
//! form, and never a PING, which it would hang up on as it does on any command but READY (a heartbeat of 1 ms is set
//! here throughout, so that one would come). Where it differs from libzmq, and what had to be avoided:
//!
//! - it has no PAIR;
//! - only its SUB and XSUB reconnect, and only while they receive; none queues for a peer that is away;
//! - its PULL does not hang up when it is dropped, so the one that leaves and comes back here is a ROUTER;
//! - it removes the file of an ipc endpoint some time after it is dropped, so it is closed here instead, which waits;
//! - a message for nobody is an error and comes back, so its side sends again until the peer is there;
//! - its XPUB keeps subscriptions in a list, and tells its application of them, but drops what else comes upstream.

mod support;

use std::time::Duration;

use bytes::Bytes;
use sinew::{EventKind, Message, Monitor};
use support::{DEADLINE, within};
use zeromq::util::PeerIdentity;
use zeromq::{Socket as _, SocketRecv as _, SocketSend as _, ZmqError, ZmqMessage};

type Frames = Vec<Vec<u8>>;

/// Our routing id, and theirs.
const OURS: &str = "sinew";
const THEIRS: &str = "zeromq";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
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
}
use Kind::{Dealer, Pub, Pull, Push, Rep, Req, Router, Sub, XPub, XSub};

impl Kind {
    const fn sends(self) -> bool {
        !matches!(self, Pull | Sub | XSub)
    }

    const fn receives(self) -> bool {
        !matches!(self, Push | Pub | XPub)
    }
}

/// The enum of one library's sockets, and its bind and connect.
macro_rules! sockets {
    ($name:ident: $($variant:ident($socket:ty)),*) => {
        #[allow(clippy::large_enum_variant, reason = "there is one at a time")]
        enum $name {
            $($variant($socket)),*
        }

        impl $name {
            async fn bind(&mut self, endpoint: &str) -> String {
                match self {
                    $(Self::$variant(socket) => within("bind", socket.bind(endpoint)).await.unwrap().to_string()),*
                }
            }

            async fn connect(&mut self, endpoint: &str) {
                match self {
                    $(Self::$variant(socket) => within("connect", socket.connect(endpoint)).await.unwrap()),*
                }
            }
        }
    };
}
sockets!(Ours: Push(sinew::Push), Pull(sinew::Pull), Pub(sinew::Pub), Sub(sinew::Sub), XPub(sinew::XPub),
    XSub(sinew::XSub), Req(sinew::Req), Rep(sinew::Rep), Dealer(sinew::Dealer), Router(sinew::Router));
sockets!(Theirs: Push(zeromq::PushSocket), Pull(zeromq::PullSocket), Pub(zeromq::PubSocket), Sub(zeromq::SubSocket),
    XPub(zeromq::XPubSocket), XSub(zeromq::XSubSocket), Req(zeromq::ReqSocket), Rep(zeromq::RepSocket),
    Dealer(zeromq::DealerSocket), Router(zeromq::RouterSocket));

impl Ours {
    fn new(kind: Kind) -> Self {
        /// With heartbeats that a 3.1 peer would see, and reconnects that a test can wait for.
        macro_rules! build {
            ($socket:ident $(, $option:ident($value:expr))*) => {
                Self::$socket(
                    sinew::$socket::builder()
                        .heartbeat(Some(Duration::from_millis(1)), DEADLINE)
                        .reconnect_interval(Duration::from_millis(10))
                        .reconnect_max(Duration::from_millis(50))
                        $(.$option($value))*
                        .build()
                        .unwrap(),
                )
            };
        }
        match kind {
            Push => build!(Push),
            Pull => build!(Pull),
            Pub => build!(Pub),
            Sub => build!(Sub, subscribe("")),
            XPub => build!(XPub),
            XSub => build!(XSub),
            Req => build!(Req, routing_id(OURS)),
            Rep => build!(Rep),
            Dealer => build!(Dealer, routing_id(OURS)),
            Router => build!(Router, routing_id(OURS), mandatory(true)),
        }
    }

    async fn wait_for_peer(&self) {
        let what = "a peer of ours";
        match self {
            Self::Push(socket) => within(what, socket.wait_for_peers(1)).await.unwrap(),
            Self::Pull(socket) => within(what, socket.wait_for_peers(1)).await.unwrap(),
            Self::Pub(socket) => within(what, socket.wait_for_peers(1)).await.unwrap(),
            Self::Sub(socket) => within(what, socket.wait_for_peers(1)).await.unwrap(),
            Self::XPub(socket) => within(what, socket.wait_for_peers(1)).await.unwrap(),
            Self::XSub(socket) => within(what, socket.wait_for_peers(1)).await.unwrap(),
            Self::Req(socket) => within(what, socket.wait_for_peers(1)).await.unwrap(),
            Self::Rep(socket) => within(what, socket.wait_for_peers(1)).await.unwrap(),
            Self::Dealer(socket) => within(what, socket.wait_for_peers(1)).await.unwrap(),
            Self::Router(socket) => within(what, socket.wait_for_peers(1)).await.unwrap(),
        }
    }

    /// A ROUTER's first frame is the peer's id.
    async fn send(&self, frames: Frames) {
        let mut message: Message = frames.into_iter().collect();
        let sending = async {
            match self {
                Self::Push(socket) => socket.send(message).await,
                Self::Pub(socket) => socket.send(message).await,
                Self::XPub(socket) => socket.send(message).await,
                Self::XSub(socket) => socket.send(message).await,
                Self::Req(socket) => socket.send(message).await,
                Self::Rep(socket) => socket.send(message).await,
                Self::Dealer(socket) => socket.send(message).await,
                Self::Router(socket) => {
                    let id = message.pop_front().unwrap();
                    socket.send(id, message).await
                }
                Self::Pull(_) | Self::Sub(_) => panic!("it does not send"),
            }
        };
        within("our send", sending).await.unwrap();
    }

    /// A ROUTER's first frame is the peer's id.
    async fn recv(&self) -> Frames {
        let receiving = async {
            match self {
                Self::Pull(socket) => socket.recv().await,
                Self::Sub(socket) => socket.recv().await,
                Self::XPub(socket) => socket.recv().await,
                Self::XSub(socket) => socket.recv().await,
                Self::Req(socket) => socket.recv().await,
                Self::Rep(socket) => socket.recv().await,
                Self::Dealer(socket) => socket.recv().await,
                Self::Router(socket) => socket.recv().await.map(|(id, mut message)| {
                    message.push_front(id);
                    message
                }),
                Self::Push(_) | Self::Pub(_) => panic!("it does not receive"),
            }
        };
        let message = within("our recv", receiving).await.unwrap();
        message.frames().map(|frame| frame.to_vec()).collect()
    }
}

impl Theirs {
    fn new(kind: Kind) -> Self {
        let mut named = zeromq::SocketOptions::default();
        named.peer_identity(PeerIdentity::try_from(THEIRS.as_bytes().to_vec()).unwrap());
        match kind {
            Push => Self::Push(zeromq::PushSocket::new()),
            Pull => Self::Pull(zeromq::PullSocket::new()),
            Pub => Self::Pub(zeromq::PubSocket::new()),
            Sub => Self::Sub(zeromq::SubSocket::new()),
            XPub => Self::XPub(zeromq::XPubSocket::new()),
            XSub => Self::XSub(zeromq::XSubSocket::new()),
            Req => Self::Req(zeromq::ReqSocket::with_options(named)),
            Rep => Self::Rep(zeromq::RepSocket::new()),
            Dealer => Self::Dealer(zeromq::DealerSocket::with_options(named)),
            Router => Self::Router(zeromq::RouterSocket::with_options(named)),
        }
    }

    async fn send_once(&mut self, message: ZmqMessage) -> Result<(), ZmqError> {
        match self {
            Self::Push(socket) => socket.send(message).await,
            Self::Pub(socket) => socket.send(message).await,
            Self::XPub(socket) => socket.send(message).await,
            Self::Req(socket) => socket.send(message).await,
            Self::Rep(socket) => socket.send(message).await,
            Self::Dealer(socket) => socket.send(message).await,
            Self::Router(socket) => socket.send(message).await,
            Self::Pull(_) | Self::Sub(_) | Self::XSub(_) => panic!("it does not send"),
        }
    }

    /// Until there is somebody to take it.
    async fn send(&mut self, frames: Frames) {
        let frames: Vec<Bytes> = frames.into_iter().map(Bytes::from).collect();
        let message = ZmqMessage::try_from(frames).unwrap();
        let sending = async {
            while let Err(error) = self.send_once(message.clone()).await {
                let nobody = matches!(error, ZmqError::ReturnToSender { .. } | ZmqError::Other(_));
                assert!(nobody, "zeromq's send: {error}");
                tokio::task::yield_now().await;
            }
        };
        within("zeromq's send", sending).await;
    }

    async fn recv(&mut self) -> Frames {
        let receiving = async {
            match self {
                Self::Pull(socket) => socket.recv().await,
                Self::Sub(socket) => socket.recv().await,
                Self::XPub(socket) => socket.recv().await,
                Self::XSub(socket) => socket.recv().await,
                Self::Req(socket) => socket.recv().await,
                Self::Rep(socket) => socket.recv().await,
                Self::Dealer(socket) => socket.recv().await,
                Self::Router(socket) => socket.recv().await,
                Self::Push(_) | Self::Pub(_) => panic!("it does not receive"),
            }
        };
        let message = within("zeromq's recv", receiving).await.unwrap();
        message.into_vec().iter().map(|frame| frame.to_vec()).collect()
    }
}

/// An endpoint that nobody has.
struct Place(String);

/// One of each transport.
fn places() -> Vec<Place> {
    let mut places = vec![Place("tcp://127.0.0.1:0".to_owned())];
    if cfg!(all(unix, feature = "ipc")) {
        places.push(Place(format!("ipc://{}", support::ipc_path().display())));
    }
    places
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(path) = self.0.strip_prefix("ipc://") {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn payloads() -> Vec<Frames> {
    let large: Vec<u8> = (0..1 << 20_u32).map(|i| b'a' + (i % 23) as u8).collect();
    vec![
        vec![b"hello".to_vec()],
        vec![b"topic".to_vec(), vec![], b"body".to_vec()],
        vec![vec![]],
        vec![vec![b'x'; 255]],
        vec![vec![b'y'; 256]],
        vec![vec![b'x'; 255], vec![b'y'; 256], vec![], vec![b'z'; 70_000]],
        vec![b"small".to_vec(), large, b"small".to_vec()],
    ]
}

/// A message as a socket of this type sends it to such a peer, or receives it from there.
fn enveloped(from: Kind, to: Kind, to_name: &str, payload: &Frames) -> Frames {
    let mut frames: Frames = match (from, to) {
        (Router, Req) => vec![to_name.into(), vec![]],
        (Router, _) => vec![to_name.into()],
        (Dealer, Rep) => vec![vec![]],
        _ => vec![],
    };
    frames.extend_from_slice(payload);
    frames
}

/// Equal, and brief about it if not.
fn same(got: &Frames, wanted: &Frames, what: &str) {
    let brief = |frames: &Frames| -> Vec<(usize, Vec<u8>)> {
        frames.iter().map(|frame| (frame.len(), frame.iter().take(16).copied().collect())).collect()
    };
    assert!(got == wanted, "{what}: got {:?}, wanted {:?}", brief(got), brief(wanted));
}

/// Waits until the publisher knows of the subscription.
async fn subscribe(ours: &Ours, theirs: &mut Theirs) {
    let all = vec![vec![1]];
    match theirs {
        Theirs::Sub(socket) => within("subscribe", socket.subscribe("")).await.unwrap(),
        Theirs::XSub(socket) => within("subscribe", socket.subscribe("")).await.unwrap(),
        _ => {}
    }
    if let Ours::XSub(_) = ours {
        ours.send(all.clone()).await;
    }
    match (ours, &mut *theirs) {
        (Ours::XPub(_), _) => assert_eq!(ours.recv().await, all),
        (Ours::Pub(socket), _) => within("a subscriber", socket.wait_for_subscribers(1)).await.unwrap(),
        (_, Theirs::XPub(_)) => assert_eq!(theirs.recv().await, all),
        (_, Theirs::Pub(_)) => {
            // It cannot tell that it has been subscribed to: it speaks until it is heard.
            let (first, done) = (vec![b"first".to_vec()], vec![b"done".to_vec()]);
            let mut pause = tokio::time::interval(Duration::from_millis(1));
            let hear = ours.recv();
            tokio::pin!(hear);
            loop {
                theirs.send(first.clone()).await;
                tokio::select! {
                    heard = &mut hear => break assert_eq!(heard, first),
                    _ = pause.tick() => {}
                }
            }
            theirs.send(done.clone()).await;
            while ours.recv().await != done {}
        }
        _ => {}
    }
}

async fn talk((our_kind, their_kind): (Kind, Kind)) {
    for we_bind in [true, false] {
        for place in places() {
            println!(
                "{our_kind:?} to {their_kind:?} at {}, we {}",
                place.0,
                if we_bind { "bind" } else { "connect" }
            );
            let (mut ours, mut theirs) = (Ours::new(our_kind), Theirs::new(their_kind));
            if we_bind {
                theirs.connect(&ours.bind(&place.0).await).await;
            } else {
                ours.connect(&theirs.bind(&place.0).await).await;
            }
            ours.wait_for_peer().await;
            subscribe(&ours, &mut theirs).await;
            let we_speak = our_kind.sends() && their_kind.receives();
            let they_speak = their_kind.sends() && our_kind.receives();
            let they_first = our_kind == Rep || their_kind == Req;
            for payload in payloads() {
                for we in [!they_first, they_first] {
                    if we && we_speak {
                        ours.send(enveloped(our_kind, their_kind, THEIRS, &payload)).await;
                        let wanted = enveloped(their_kind, our_kind, OURS, &payload);
                        same(&theirs.recv().await, &wanted, "from us to zeromq");
                    }
                    if !we && they_speak {
                        theirs.send(enveloped(their_kind, our_kind, OURS, &payload)).await;
                        let wanted = enveloped(our_kind, their_kind, THEIRS, &payload);
                        same(&ours.recv().await, &wanted, "from zeromq to us");
                    }
                }
            }
        }
    }
}

/// A test for each pair: ours, and theirs.
macro_rules! pairs {
    ($($name:ident: $ours:ident, $theirs:ident;)*) => {$(
        #[tokio::test]
        async fn $name() {
            talk(($ours, $theirs)).await;
        }
    )*};
}

pairs! {
    req_rep: Req, Rep;
    rep_req: Rep, Req;
    req_router: Req, Router;
    router_req: Router, Req;
    dealer_rep: Dealer, Rep;
    rep_dealer: Rep, Dealer;
    dealer_dealer: Dealer, Dealer;
    dealer_router: Dealer, Router;
    router_dealer: Router, Dealer;
    router_router: Router, Router;
    pub_sub: Pub, Sub;
    sub_pub: Sub, Pub;
    pub_xsub: Pub, XSub;
    xsub_pub: XSub, Pub;
    xpub_sub: XPub, Sub;
    sub_xpub: Sub, XPub;
    xpub_xsub: XPub, XSub;
    xsub_xpub: XSub, XPub;
    push_pull: Push, Pull;
    pull_push: Pull, Push;
}

async fn until_lost(monitor: &mut Monitor) {
    let lost = async {
        while let Some(event) = monitor.recv().await {
            if matches!(event.kind, EventKind::Disconnected(_)) {
                return;
            }
        }
        panic!("the monitor ended");
    };
    within("a loss", lost).await;
}

fn numbered(number: u32) -> Frames {
    vec![number.to_string().into_bytes()]
}

/// C6.4: what our DEALER has queued while zeromq's ROUTER is away arrives when it is back, each message once.
#[tokio::test]
async fn our_dealer_keeps_messages_while_zeromq_is_away() {
    for place in places() {
        let mut theirs = Theirs::new(Router);
        let endpoint = theirs.bind(&place.0).await;
        let mut ours = Ours::new(Dealer);
        let Ours::Dealer(dealer) = &ours else { unreachable!("it was made so") };
        let mut monitor = dealer.monitor();
        ours.connect(&endpoint).await;
        for round in 0..3 {
            if round > 0 {
                let Theirs::Router(gone) = theirs else { unreachable!("it was made so") };
                assert!(within("zeromq's close", gone.close()).await.is_empty());
                until_lost(&mut monitor).await;
                theirs = Theirs::new(Router);
            }
            for number in 0..100 {
                ours.send(numbered(round * 100 + number)).await;
            }
            if round > 0 {
                theirs.bind(&endpoint).await;
            }
            for number in 0..100 {
                let wanted = enveloped(Router, Dealer, OURS, &numbered(round * 100 + number));
                assert_eq!(theirs.recv().await, wanted);
            }
            theirs.send(vec![OURS.into(), b"back".to_vec()]).await;
            assert_eq!(ours.recv().await, [b"back"]);
        }
    }
}

/// A7.5: our SUB tells a publisher that comes back what it wants; A7.1: in the form of ZMTP 3.0.
#[tokio::test]
async fn our_sub_resubscribes_when_zeromq_comes_back() {
    for place in places() {
        let mut theirs = Theirs::new(XPub);
        let endpoint = theirs.bind(&place.0).await;
        let ours = sinew::Sub::builder().subscribe("kept").subscribe("gone").build().unwrap();
        ours.connect(&*endpoint).await.unwrap();
        let mut both = [theirs.recv().await, theirs.recv().await];
        both.sort();
        assert_eq!(both, [[b"\x01gone"], [b"\x01kept"]]);
        ours.unsubscribe("gone");
        assert_eq!(theirs.recv().await, [b"\0gone"]);
        let mut monitor = ours.monitor();
        for _ in 0..2 {
            let Theirs::XPub(gone) = theirs else { unreachable!("it was made so") };
            assert!(within("zeromq's close", gone.close()).await.is_empty());
            until_lost(&mut monitor).await;
            theirs = Theirs::new(XPub);
            theirs.bind(&endpoint).await;
            assert_eq!(theirs.recv().await, [b"\x01kept"]);
            theirs.send(vec![b"gone".to_vec()]).await;
            theirs.send(vec![b"kept".to_vec()]).await;
            assert_eq!(within("our recv", ours.recv()).await.unwrap(), "kept");
        }
    }
}

/// zeromq's SUB is the one that reconnects: our publisher that comes back hears of its topics again.
#[tokio::test]
async fn zeromq_sub_resubscribes_when_we_come_back() {
    for place in places() {
        let mut ours = Ours::new(XPub);
        let endpoint = ours.bind(&place.0).await;
        let mut theirs = Theirs::new(Sub);
        theirs.connect(&endpoint).await;
        let Theirs::Sub(sub) = &mut theirs else { unreachable!("it was made so") };
        within("subscribe", sub.subscribe("kept")).await.unwrap();
        for _ in 0..3 {
            let publish = async {
                assert_eq!(ours.recv().await, [b"\x01kept"]);
                ours.send(vec![b"other".to_vec()]).await;
                ours.send(vec![b"kept".to_vec()]).await;
            };
            // It looks after its connections only while it receives.
            let ((), heard) = tokio::join!(publish, theirs.recv());
            assert_eq!(heard, [b"kept"]);
            let Ours::XPub(gone) = ours else { unreachable!("it was made so") };
            tokio::select! {
                _ = within("our close", gone.close()) => {}
                heard = theirs.recv() => panic!("{heard:?}"),
            }
            ours = Ours::new(XPub);
            ours.bind(&endpoint).await;
        }
    }
}

/// C5: we send and close; zeromq receives all.
#[tokio::test]
async fn our_socket_that_closes_delivers_first() {
    for drop_only in [false, true] {
        for place in places() {
            let mut theirs = Theirs::new(Pull);
            let endpoint = theirs.bind(&place.0).await;
            let ours = sinew::Push::builder().send_hwm(0).build().unwrap();
            ours.connect(&*endpoint).await.unwrap();
            for number in 0..2000_u32 {
                ours.send([number.to_string().into_bytes(), vec![b'x'; 1000]]).await.unwrap();
            }
            let closing = async {
                if !drop_only {
                    assert_eq!(within("our close", ours.close()).await.undelivered, 0);
                }
                drop(ours);
            };
            tokio::pin!(closing);
            let (mut next, mut closed) = (0_u32, false);
            while next < 2000 || !closed {
                tokio::select! {
                    () = &mut closing, if !closed => closed = true,
                    // Also when all has come: it hangs up only while it receives.
                    message = theirs.recv() => {
                        assert_eq!(message[0], next.to_string().into_bytes());
                        next += 1;
                    }
                }
            }
        }
    }
}

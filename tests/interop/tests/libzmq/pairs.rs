//! Every legal pair of socket types (conformance A10), with ours on either side, binding here and there, over tcp
//! and ipc, for each shape of message: what one sends, the other receives, frame for frame.

use super::driver::{Kind, Lib, Ours, Over, within};
use Kind::{Dealer, Pair, Pub, Pull, Push, Rep, Req, Router, Sub, XPub, XSub};

/// Our routing id, and theirs.
const OURS: &str = "sinew";
const THEIRS: &str = "libzmq";

/// What is sent: single frames and several, at the edges of the short form, and large ones.
fn payloads() -> Vec<Vec<Vec<u8>>> {
    let large: Vec<u8> = (0..10 << 20_u32).map(|i| b'a' + (i % 23) as u8).collect();
    vec![
        vec![b"hello".to_vec()],
        vec![b"topic".to_vec(), vec![], b"body".to_vec()],
        vec![vec![]],
        vec![vec![], vec![], vec![]],
        vec![vec![b'x'; 255]],
        vec![vec![b'y'; 256]],
        vec![vec![b'x'; 255], vec![b'y'; 256], vec![], vec![b'z'; 70_000]],
        (0..100_u8).map(|i| vec![b'0' + i % 10; usize::from(i)]).collect(),
        vec![large.clone()],
        vec![b"small".to_vec(), large, b"small".to_vec()],
    ]
}

/// What a socket of this type puts in front of a message to such a peer, and finds there.
fn envelope(from: Kind, to: Kind, to_name: &str) -> Vec<Vec<u8>> {
    match (from, to) {
        (Router, Req) => vec![to_name.into(), vec![]],
        (Router, _) => vec![to_name.into()],
        (Dealer, Rep) => vec![vec![]],
        _ => vec![],
    }
}

fn enveloped(from: Kind, to: Kind, to_name: &str, payload: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut frames = envelope(from, to, to_name);
    frames.extend_from_slice(payload);
    frames
}

/// The two ends, connected, and the publisher's end subscribed to.
struct Ends {
    ours: Ours,
    theirs: Lib,
    kinds: (Kind, Kind),
}

impl Ends {
    async fn meet(kinds: (Kind, Kind), over: Over, we_bind: bool) -> Self {
        let (our_kind, their_kind) = kinds;
        let ours = Ours::named(our_kind, OURS);
        let theirs = Lib::with(their_kind.lib(), move |socket| match their_kind {
            Req | Dealer => socket.set_identity(THEIRS.as_bytes()),
            Router => {
                socket.set_identity(THEIRS.as_bytes())?;
                socket.set_router_mandatory(true)
            }
            Sub => socket.set_subscribe(b""),
            _ => Ok(()),
        });
        let place = over.place();
        if we_bind {
            let bound = ours.bind(&place.endpoint).await;
            theirs.connect(&bound.to_string()).await;
        } else {
            let bound = theirs.bind(&place.endpoint).await;
            ours.connect(&bound).await;
        }
        ours.wait_for_peer().await;
        let ends = Self { ours, theirs, kinds };
        ends.subscribe().await;
        ends
    }

    /// Waits until the publisher knows of the subscription.
    async fn subscribe(&self) {
        let all = vec![vec![1]];
        match self.kinds {
            (XSub, _) => self.ours.send(all.clone()).await,
            (_, XSub) => self.theirs.send(all.clone()).await,
            _ => {}
        }
        match (&self.ours, self.kinds) {
            (_, (XPub, _)) => assert_eq!(self.ours.recv().await, all),
            (Ours::Pub(publisher), _) => {
                within("a subscriber", publisher.wait_for_subscribers(1)).await.unwrap();
            }
            (_, (_, XPub)) => assert_eq!(self.theirs.recv().await, all),
            (_, (_, Pub)) => self.first_from_lib().await,
            _ => {}
        }
    }

    /// libzmq's PUB cannot tell that it has been subscribed to: it speaks until it is heard.
    async fn first_from_lib(&self) {
        let (first, done) = (vec![b"first".to_vec()], vec![b"done".to_vec()]);
        let hear = self.ours.recv();
        tokio::pin!(hear);
        let mut pause = tokio::time::interval(std::time::Duration::from_millis(1));
        let heard = loop {
            self.theirs.send(first.clone()).await;
            tokio::select! {
                heard = &mut hear => break heard,
                _ = pause.tick() => {}
            }
        };
        assert_eq!(heard, first);
        self.theirs.send(done.clone()).await;
        while self.ours.recv().await != done {}
    }

    async fn we_say(&self, payload: &[Vec<u8>]) {
        let (ours, theirs) = self.kinds;
        self.ours.send(enveloped(ours, theirs, THEIRS, payload)).await;
        same(&self.theirs.recv().await, &enveloped(theirs, ours, OURS, payload), "from us to libzmq");
    }

    async fn they_say(&self, payload: &[Vec<u8>]) {
        let (ours, theirs) = self.kinds;
        let frames = enveloped(theirs, ours, OURS, payload);
        match theirs {
            Router => self.theirs.send_routed(frames).await,
            _ => self.theirs.send(frames).await,
        }
        same(&self.ours.recv().await, &enveloped(ours, theirs, THEIRS, payload), "from libzmq to us");
    }
}

/// Equal, and brief about it if not.
fn same(got: &[Vec<u8>], wanted: &[Vec<u8>], what: &str) {
    let brief = |frames: &[Vec<u8>]| -> Vec<(usize, Vec<u8>)> {
        frames.iter().map(|frame| (frame.len(), frame.iter().take(16).copied().collect())).collect()
    };
    assert!(got == wanted, "{what}: got {:?}, wanted {:?}", brief(got), brief(wanted));
}

async fn talk(kinds: (Kind, Kind)) {
    for over in [Over::Tcp, Over::Ipc] {
        for we_bind in [true, false] {
            println!("{kinds:?} over {over:?}, we {}", if we_bind { "bind" } else { "connect" });
            let ends = Ends::meet(kinds, over, we_bind).await;
            for payload in payloads() {
                // A message that begins with a zero or one is a subscription to a publisher; these do not.
                let (we_speak, they_speak) = match kinds {
                    // An XSUB's messages reach the application of an XPUB only.
                    (XSub, Pub) => (false, true),
                    (Pub, XSub) => (true, false),
                    (ours, theirs) => (ours.sends() && theirs.receives(), theirs.sends() && ours.receives()),
                };
                let they_first = kinds.0 == Rep || kinds.1 == Req;
                if they_speak && they_first {
                    ends.they_say(&payload).await;
                }
                if we_speak {
                    ends.we_say(&payload).await;
                }
                if they_speak && !they_first {
                    ends.they_say(&payload).await;
                }
            }
            assert_eq!(ends.ours.close().await, 0, "all was delivered");
            ends.theirs.close().await;
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
    pair_pair: Pair, Pair;
}

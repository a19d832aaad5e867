//! Sockets are shared between tasks and futures are spawned: the compiler checks that they can be.

use std::collections::VecDeque;

use sinew::{
    Context, Dealer, Endpoint, Event, Frame, Message, Monitor, Pair, Pub, Pull, Push, Rep, Req, Router,
    RouterEvent, RoutingId, SendError, Stats, Sub, XPub, XSub,
};

fn shared<T: Send + Sync + Unpin + 'static>() {}
fn spawnable<T: Send>(_: &T) {}

#[test]
fn sockets_and_values_are_send_sync_unpin() {
    macro_rules! check {
        ($($type:ty),*) => {$( shared::<$type>(); )*};
    }
    check!(Push, Pull, Pub, Sub, XPub, XSub, Req, Rep, Dealer, Router, Pair);
    check!(Context, Endpoint, Event, Frame, Message, Monitor, RouterEvent, RoutingId, SendError, Stats);
    check!(sinew::Error, sinew::BindError, sinew::ConnectError, sinew::Capture, sinew::Closed);
}

#[tokio::test]
async fn futures_of_every_verb_are_send() {
    macro_rules! life {
        ($($socket:expr),*) => {$(
            let socket = $socket;
            spawnable(&socket.bind("inproc://never"));
            spawnable(&socket.connect("inproc://never"));
            spawnable(&socket.wait_for_peers(1));
            spawnable(&socket.close());
            spawnable(&socket.monitor().recv());
        )*};
    }
    macro_rules! sends {
        ($($socket:expr),*) => {$(
            let socket = $socket;
            spawnable(&socket.send("x"));
            spawnable(&socket.send_many(&mut VecDeque::new()));
            spawnable(&socket.send_ready());
        )*};
    }
    macro_rules! receives {
        ($($socket:expr),*) => {$(
            let socket = $socket;
            spawnable(&socket.recv());
            spawnable(&socket.recv_many(&mut Vec::new(), 1));
        )*};
    }
    life!(Push::new(), Pull::new(), Pub::new(), Sub::new(), XPub::new(), XSub::new());
    life!(Req::new(), Rep::new(), Dealer::new(), Router::new(), Pair::new());
    sends!(
        Push::new(),
        Pub::new(),
        XPub::new(),
        XSub::new(),
        Req::new(),
        Rep::new(),
        Dealer::new(),
        Pair::new()
    );
    receives!(Pull::new(), Sub::new(), XPub::new(), XSub::new(), Req::new(), Rep::new(), Dealer::new());
    receives!(Router::new(), Pair::new());
    let (router, req, publisher) = (Router::new(), Req::new(), Pub::new());
    spawnable(&router.send("id", "x"));
    spawnable(&router.recv_event());
    spawnable(&req.request("x"));
    spawnable(&publisher.wait_for_subscribers(1));
    spawnable(&sinew::proxy(Pull::new(), Push::new(), None));
}

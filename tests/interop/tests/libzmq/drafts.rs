//! The draft sockets: libzmq's with each other, and ours with each of them, bound and connected.

use std::time::Duration;

use sinew::{
    Channel, Client, Dish, Endpoint, Gather, Group, Peer, Radio, Receiving, Scatter, Sending, Server, Socket,
};

use super::driver::{Lib, Over, Place, within};
use super::ffi::{self, CHANNEL, CLIENT, DISH, GATHER, Labelled, PEER, RADIO, SCATTER, SERVER, Type};

fn to(routing_id: u32, body: &str) -> Labelled {
    Labelled { routing_id, body: body.into(), ..Labelled::default() }
}

fn within_group(group: &str, body: &str) -> Labelled {
    Labelled { group: group.into(), body: body.into(), ..Labelled::default() }
}

/// What only draft sockets do.
impl Lib {
    async fn send_labelled(&self, message: Labelled) {
        self.run_mut("send", move |socket| ffi::send(socket, &message)).await;
    }

    async fn recv_labelled(&self) -> Labelled {
        self.run_mut("recv", ffi::recv).await
    }

    /// What the peer is called here; it is connected, or will be.
    async fn connect_peer(&self, endpoint: &str) -> u32 {
        let endpoint = endpoint.to_owned();
        self.run_mut("connect a PEER", move |socket| ffi::connect_peer(socket, &endpoint)).await
    }

    async fn join(&self, group: &'static str) {
        self.run_mut("join", move |socket| ffi::join(socket, group)).await;
    }

    async fn leave(&self, group: &'static str) {
        self.run_mut("leave", move |socket| ffi::leave(socket, group)).await;
    }
}

/// One that is bound, and one that is connected to it, over each transport.
async fn pairs(bound: Type, connected: Type) -> Vec<(Lib, Lib, Place)> {
    let mut pairs = Vec::new();
    for over in [Over::Tcp, Over::Ipc] {
        let (bound, connected) = (Lib::new(bound), Lib::new(connected));
        let place = over.place();
        connected.connect(&bound.bind(&place.endpoint).await).await;
        pairs.push((bound, connected, place));
    }
    pairs
}

fn frame(body: &str) -> Vec<Vec<u8>> {
    vec![body.into()]
}

#[tokio::test]
async fn libzmq_client_and_server() {
    for (server, client, _place) in pairs(SERVER, CLIENT).await {
        client.send(frame("question")).await;
        let question = server.recv_labelled().await;
        assert_ne!(question.routing_id, 0);
        assert_eq!(question, to(question.routing_id, "question"));
        server.send_labelled(to(question.routing_id, "answer")).await;
        assert_eq!(client.recv().await, frame("answer"));

        let stranger = to(question.routing_id.wrapping_add(1), "nobody");
        let refused = server.run_mut("send to nobody", move |socket| Ok(ffi::send(socket, &stranger))).await;
        assert_eq!(refused, Err(zmq::Error::EHOSTUNREACH));
        let several = client.run("send two frames", |socket| Ok(socket.send_multipart(["a", "b"], 0))).await;
        assert_eq!(several, Err(zmq::Error::EINVAL));
    }
}

#[tokio::test]
async fn libzmq_scatter_and_gather() {
    for (gather, scatter, _place) in pairs(GATHER, SCATTER).await {
        for number in ["one", "two", "three"] {
            scatter.send(frame(number)).await;
        }
        for number in ["one", "two", "three"] {
            assert_eq!(gather.recv().await, frame(number));
        }
    }
}

#[tokio::test]
async fn libzmq_channel() {
    for (left, right, _place) in pairs(CHANNEL, CHANNEL).await {
        right.send(frame("there")).await;
        assert_eq!(left.recv().await, frame("there"));
        left.send(frame("and back")).await;
        assert_eq!(right.recv().await, frame("and back"));
    }
}

#[tokio::test]
async fn libzmq_peer() {
    for over in [Over::Tcp, Over::Ipc] {
        let (left, right) = (Lib::new(PEER), Lib::new(PEER));
        let place = over.place();
        let left_is = right.connect_peer(&left.bind(&place.endpoint).await).await;
        right.send_labelled(to(left_is, "there")).await;
        let right_is = left.recv_labelled().await.routing_id;
        left.send_labelled(to(right_is, "and back")).await;
        assert_eq!(right.recv_labelled().await, to(left_is, "and back"));
    }
}

#[tokio::test]
async fn libzmq_radio_and_dish() {
    let longest: &'static str = "g".repeat(255).leak();
    for (radio, dish, _place) in pairs(RADIO, DISH).await {
        for group in ["news", longest] {
            dish.join(group).await;
            let [first, last] = ["first", "last"].map(|body| within_group(group, body));
            // A RADIO cannot tell that it has been joined: it speaks until it is heard.
            let heard = async {
                while dish.run("poll", |socket| socket.poll(zmq::POLLIN, 1)).await == 0 {
                    radio.send_labelled(first.clone()).await;
                }
            };
            within("the first message of a group", heard).await;
            radio.send_labelled(within_group("other", "not for you")).await;
            radio.send_labelled(last.clone()).await;
            let mut heard = dish.recv_labelled().await;
            while heard == first {
                heard = dish.recv_labelled().await;
            }
            assert_eq!(heard, last);
        }
        dish.leave("news").await;
        radio.send_labelled(within_group("news", "not any more")).await;
        radio.send_labelled(within_group(longest, "still")).await;
        assert_eq!(dish.recv_labelled().await, within_group(longest, "still"));
        assert_eq!(dish.recv_within(Duration::ZERO).await, None);
    }
}

/// One of ours and one of libzmq's, either of them bound, over each transport.
async fn mixed<S: Socket>(theirs: Type) -> Vec<(S, Lib, Place)> {
    let mut pairs = Vec::new();
    for over in [Over::Tcp, Over::Ipc] {
        let place = over.place();
        let (ours, lib) = (S::default(), Lib::new(theirs));
        ours.connect(&lib.bind(&place.endpoint).await).await.expect("connect");
        pairs.push((ours, lib, place));

        let place = over.place();
        let (ours, lib) = (S::default(), Lib::new(theirs));
        lib.connect(&bound(&ours, &place).await.to_string()).await;
        pairs.push((ours, lib, place));
    }
    for (ours, ..) in &pairs {
        within("a peer of ours", ours.wait_for_peers(1)).await.expect("open");
    }
    pairs
}

async fn bound(ours: &impl Socket, place: &Place) -> Endpoint {
    within("our bind", ours.bind(place.endpoint.replace(":*", ":0"))).await.expect("our bind")
}

async fn send<S: Sending>(ours: &S, item: impl Into<S::Item>) {
    within("our send", ours.send(item)).await.expect("our send");
}

async fn recv<S: Receiving>(ours: &S) -> S::Item {
    within("our recv", ours.recv()).await.expect("our recv")
}

#[tokio::test]
async fn our_client_and_their_server() {
    for (ours, lib, _place) in mixed::<Client>(SERVER).await {
        send(&ours, "question").await;
        let question = lib.recv_labelled().await;
        assert_eq!(question, to(question.routing_id, "question"));
        lib.send_labelled(to(question.routing_id, "answer")).await;
        assert_eq!(recv(&ours).await, "answer");
    }
}

#[tokio::test]
async fn our_server_and_their_client() {
    for (ours, lib, _place) in mixed::<Server>(CLIENT).await {
        lib.send(frame("question")).await;
        let (peer, question) = recv(&ours).await;
        assert_eq!(question, "question");
        send(&ours, (peer, "answer".into())).await;
        assert_eq!(lib.recv().await, frame("answer"));
    }
}

#[tokio::test]
async fn our_scatter_and_gather_and_theirs() {
    for (ours, lib, _place) in mixed::<Scatter>(GATHER).await {
        send(&ours, "task").await;
        assert_eq!(lib.recv().await, frame("task"));
    }
    for (ours, lib, _place) in mixed::<Gather>(SCATTER).await {
        lib.send(frame("result")).await;
        assert_eq!(recv(&ours).await, "result");
    }
}

#[tokio::test]
async fn our_channel_and_theirs() {
    for (ours, lib, _place) in mixed::<Channel>(CHANNEL).await {
        send(&ours, "there").await;
        assert_eq!(lib.recv().await, frame("there"));
        lib.send(frame("and back")).await;
        assert_eq!(recv(&ours).await, "and back");
    }
}

#[tokio::test]
async fn our_peer_and_theirs() {
    for over in [Over::Tcp, Over::Ipc] {
        let (ours, lib, place) = (Peer::new(), Lib::new(PEER), over.place());
        let theirs = ours.connect_peer(&lib.bind(&place.endpoint).await).await.expect("connect");
        send(&ours, (theirs, "there".into())).await;
        let we = lib.recv_labelled().await.routing_id;
        lib.send_labelled(to(we, "and back")).await;
        assert_eq!(recv(&ours).await, (theirs, "and back".into()));

        let (ours, lib, place) = (Peer::new(), Lib::new(PEER), over.place());
        let we = lib.connect_peer(&bound(&ours, &place).await.to_string()).await;
        lib.send_labelled(to(we, "there")).await;
        let (theirs, there) = recv(&ours).await;
        assert_eq!(there, "there");
        send(&ours, (theirs, "and back".into())).await;
        assert_eq!(lib.recv_labelled().await, to(we, "and back"));
    }
}

fn group(name: &str) -> Group {
    name.try_into().expect("a group")
}

#[tokio::test]
async fn our_radio_and_their_dish() {
    let longest: &'static str = "g".repeat(255).leak();
    for (ours, lib, _place) in mixed::<Radio>(DISH).await {
        for name in ["news", longest] {
            lib.join(name).await;
            within("the member", ours.wait_for_members(group(name), 1)).await.expect("open");
            send(&ours, (group("other"), "not for you".into())).await;
            send(&ours, (group(name), "hello".into())).await;
            assert_eq!(lib.recv_labelled().await, within_group(name, "hello"));
        }
    }
}

/// A DISH of libzmq hangs up at any command, and never comes back.
#[tokio::test]
async fn a_heartbeat_of_our_radio_does_not_end_their_dish() {
    let ours = Radio::builder()
        .heartbeat(Duration::from_millis(5), Duration::from_secs(20))
        .build()
        .expect("options");
    let (lib, place) = (Lib::new(DISH), Over::Tcp.place());
    lib.connect(&bound(&ours, &place).await.to_string()).await;
    lib.join("news").await;
    within("the member", ours.wait_for_members(group("news"), 1)).await.expect("open");
    tokio::time::sleep(Duration::from_millis(100)).await;
    send(&ours, (group("news"), "still there".into())).await;
    assert_eq!(lib.recv_labelled().await, within_group("news", "still there"));
}

#[tokio::test]
async fn our_dish_and_their_radio() {
    for (ours, lib, _place) in mixed::<Dish>(RADIO).await {
        assert!(ours.join(group("news")));
        // A RADIO cannot tell that it has been joined: it speaks until it is heard.
        let heard = async {
            while ours.stats().unread == 0 {
                lib.send_labelled(within_group("other", "not for you")).await;
                lib.send_labelled(within_group("news", "hello")).await;
            }
        };
        within("the first message of a group", heard).await;
        assert_eq!(recv(&ours).await, (group("news"), "hello".into()));
    }
}

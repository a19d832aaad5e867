//! libzmq's draft sockets with each other: what ours will be tested against is there, and does what they build on.

use std::time::Duration;

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

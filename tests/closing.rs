//! What a peer sent before it left is received, however long the receiver takes.

mod support;

use std::time::Duration;

use sinew::{EventKind, Pull, Push};
use support::{Medium, pass, within};

#[tokio::test]
async fn a_slow_receiver_gets_all_that_a_peer_sent_before_it_closed() {
    pass(Duration::from_millis(1)).await;
    for endpoint in [Medium::Tcp.any(), Medium::Ipc.known()] {
        let receiver = Pull::builder().recv_hwm(4).build().unwrap();
        let endpoint = receiver.bind(&endpoint).await.unwrap();
        let sender = Push::new();
        sender.connect(&endpoint).await.unwrap();
        for number in 0..50 {
            within("room", sender.send(number.to_string())).await.unwrap();
        }
        assert_eq!(within("the end of the sender", sender.close()).await.undelivered, 0);

        // Heartbeats fall due while the receiver is at its mark and reads nothing, as with a task that takes long.
        for _ in 0..4 {
            pass(Duration::from_secs(31)).await;
        }
        for number in 0..50 {
            let message = within("a message", receiver.recv()).await.unwrap();
            assert_eq!(message, &number.to_string());
        }
    }
}

#[tokio::test]
async fn b0_6_what_a_peer_sent_stays_readable_when_the_next_peer_has_come() {
    for endpoint in ["tcp://127.0.0.1:0", "inproc://b0_6"] {
        let receiver = Pull::new();
        let endpoint = receiver.bind(endpoint).await.unwrap();
        for sender_number in 0..3 {
            let sender = Push::new();
            sender.connect(&endpoint).await.unwrap();
            within("the sender", receiver.wait_for_peers(1)).await.unwrap();
            for number in 0..2 {
                sender.send(format!("{sender_number} {number}")).await.unwrap();
            }
            let mut events = receiver.monitor();
            assert_eq!(within("the end of the sender", sender.close()).await.undelivered, 0);
            // An inproc peer causes no event; it is gone when `close` returns.
            while endpoint.scheme() != "inproc" {
                let event = within("a disconnect", events.recv()).await.unwrap();
                if matches!(event.kind, EventKind::Disconnected(_)) {
                    break;
                }
            }
        }
        let mut received = Vec::new();
        for _ in 0..6 {
            let message = within("a message", receiver.recv()).await.unwrap();
            received.push(message.to_str().unwrap().to_owned());
        }
        received.sort();
        assert_eq!(received, ["0 0", "0 1", "1 0", "1 1", "2 0", "2 1"]);
    }
}

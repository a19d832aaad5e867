//! Connections that break and come back (conformance C6): with the line at rest nothing is lost; a sender that closes
//! under load delivers everything first; a receiver that does costs at most what was in flight, in one piece. Nothing
//! ever comes twice or out of order.

use std::time::Duration;

use sinew::{Monitor, Pull, Push};

use super::driver::{DEADLINE, Lib, Over, frames, is_lost, number, until, within};

/// Small queues and buffers, so that little can be in flight.
const HWM: u16 = 100;
const BUFFER: u16 = 32 * 1024;
const SIZE: usize = 1024;

/// One end of a pipeline, of either library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Ours,
    Theirs,
}

enum End {
    Push(Push, Monitor),
    Pull(Pull, Monitor),
    Lib(Lib),
}

impl End {
    fn sender(whose: Whose) -> Self {
        if whose == Whose::Theirs {
            return Self::lib(zmq::PUSH);
        }
        let builder =
            Push::builder().send_hwm(usize::from(HWM)).send_buffer(usize::from(BUFFER)).linger(DEADLINE);
        let push = builder.reconnect_interval(Duration::from_millis(10)).build().unwrap();
        let monitor = push.monitor();
        Self::Push(push, monitor)
    }

    fn receiver(whose: Whose) -> Self {
        if whose == Whose::Theirs {
            return Self::lib(zmq::PULL);
        }
        let builder = Pull::builder().recv_hwm(usize::from(HWM)).recv_buffer(usize::from(BUFFER));
        let pull = builder.reconnect_interval(Duration::from_millis(10)).build().unwrap();
        let monitor = pull.monitor();
        Self::Pull(pull, monitor)
    }

    fn lib(kind: zmq::SocketType) -> Self {
        Self::Lib(Lib::with(kind, |socket| {
            socket.set_sndhwm(HWM.into())?;
            socket.set_rcvhwm(HWM.into())?;
            socket.set_sndbuf(BUFFER.into())?;
            socket.set_rcvbuf(BUFFER.into())
        }))
    }

    async fn bind(&self, endpoint: &str) -> String {
        match self {
            Self::Push(push, _) => within("bind", push.bind(endpoint)).await.unwrap().to_string(),
            Self::Pull(pull, _) => within("bind", pull.bind(endpoint)).await.unwrap().to_string(),
            Self::Lib(lib) => lib.bind(endpoint).await,
        }
    }

    async fn connect(&self, endpoint: &str) {
        match self {
            Self::Push(push, _) => push.connect(endpoint).await.unwrap(),
            Self::Pull(pull, _) => pull.connect(endpoint).await.unwrap(),
            Self::Lib(lib) => lib.connect(endpoint).await,
        }
    }

    async fn send(&self, number: u32) {
        let mut body = format!("{number:08}").into_bytes();
        body.resize(SIZE, b'.');
        match self {
            Self::Push(push, _) => within("our send", push.send(body)).await.unwrap(),
            Self::Lib(lib) => lib.send(vec![body]).await,
            Self::Pull(..) => panic!("it does not send"),
        }
    }

    async fn recv(&self) -> u32 {
        let mut frames = match self {
            Self::Pull(pull, _) => frames(&within("our recv", pull.recv()).await.unwrap()),
            Self::Lib(lib) => lib.recv().await,
            Self::Push(..) => panic!("it does not receive"),
        };
        assert_eq!(frames[0].len(), SIZE);
        frames[0].truncate(8);
        number(&frames)
    }

    /// Waits until it knows that the other end is gone.
    async fn lost(&mut self) {
        match self {
            Self::Push(_, monitor) | Self::Pull(_, monitor) => until(monitor, "a loss", is_lost).await,
            Self::Lib(lib) => lib.until(zmq::SocketEvent::DISCONNECTED).await,
        }
    }

    /// As [`lost`](Self::lost), for a bound sender: libzmq tells its monitor before it takes the peer out.
    async fn alone(&mut self) {
        self.lost().await;
        if let Self::Lib(lib) = self {
            let deadline = std::time::Instant::now() + DEADLINE;
            let alone = move |socket: &zmq::Socket| {
                while socket.get_events()?.contains(zmq::POLLOUT) && std::time::Instant::now() < deadline {
                    std::thread::yield_now();
                }
                Ok(())
            };
            lib.run("the loss of its peer", alone).await;
        }
    }

    /// Closes, and delivers what is queued.
    async fn close(self) {
        match self {
            Self::Push(push, _) => assert_eq!(within("our close", push.close()).await.undelivered, 0),
            Self::Pull(pull, _) => drop(within("our close", pull.close()).await),
            Self::Lib(lib) => lib.close().await,
        }
    }
}

/// Who sends, and who binds.
#[derive(Debug, Clone, Copy)]
struct Case {
    sender: Whose,
    sender_binds: bool,
}

/// Every combination, over every transport.
fn cases() -> Vec<(Case, Over)> {
    let mut cases = Vec::new();
    for sender in [Whose::Ours, Whose::Theirs] {
        for sender_binds in [true, false] {
            for over in [Over::Tcp, Over::Ipc] {
                cases.push((Case { sender, sender_binds }, over));
            }
        }
    }
    cases
}

impl Case {
    fn new_sender(self) -> End {
        End::sender(self.sender)
    }

    fn new_receiver(self) -> End {
        End::receiver(if self.sender == Whose::Ours { Whose::Theirs } else { Whose::Ours })
    }

    /// Binds or connects a new end where the old one was.
    async fn open(self, end: &End, is_sender: bool, endpoint: &str) {
        if is_sender == self.sender_binds {
            end.bind(endpoint).await;
        } else {
            end.connect(endpoint).await;
        }
    }

    async fn start(self, place: &str) -> (End, End, String) {
        let (sender, receiver) = (self.new_sender(), self.new_receiver());
        let (binder, connecter) = if self.sender_binds { (&sender, &receiver) } else { (&receiver, &sender) };
        let endpoint = binder.bind(place).await;
        connecter.connect(&endpoint).await;
        (sender, receiver, endpoint)
    }
}

/// Every message of a batch is received before the other end goes, and it is known to be gone before the next is sent.
#[tokio::test]
async fn c6_4_a_receiver_that_leaves_a_line_at_rest_costs_nothing() {
    for (case, over) in cases() {
        println!("{case:?} {over:?}");
        let place = over.place();
        let (mut sender, mut receiver, endpoint) = case.start(&place.endpoint).await;
        for round in 0..4 {
            if round > 0 {
                receiver.close().await;
                // A connecting sender takes messages while nobody is there; a bound one has no peer to take them.
                if case.sender_binds {
                    sender.alone().await;
                } else {
                    sender.lost().await;
                }
                receiver = case.new_receiver();
                if case.sender_binds {
                    case.open(&receiver, false, &endpoint).await;
                }
            }
            for number in round * 50..(round + 1) * 50 {
                sender.send(number).await;
            }
            if round > 0 && !case.sender_binds {
                case.open(&receiver, false, &endpoint).await;
            }
            for number in round * 50..(round + 1) * 50 {
                assert_eq!(receiver.recv().await, number, "{case:?} {over:?}");
            }
        }
        sender.close().await;
        receiver.close().await;
    }
}

/// C5, C6: a sender that closes delivers what it has accepted, and its successor goes on from there.
#[tokio::test]
async fn a_sender_that_closes_under_load_loses_nothing() {
    for (case, over) in cases() {
        println!("{case:?} {over:?}");
        let place = over.place();
        let (mut sender, receiver, endpoint) = case.start(&place.endpoint).await;
        let sending = async {
            for number in 0..2000 {
                if number % 500 == 499 {
                    sender.close().await;
                    sender = case.new_sender();
                    case.open(&sender, true, &endpoint).await;
                }
                sender.send(number).await;
            }
            sender.close().await;
        };
        let receiving = async {
            for number in 0..2000 {
                assert_eq!(receiver.recv().await, number, "{case:?} {over:?}");
            }
        };
        tokio::join!(sending, receiving);
        receiver.close().await;
    }
}

/// C6.4, C6.5: what a dying receiver costs is in flight at that moment, and in one piece.
#[tokio::test]
async fn a_receiver_that_closes_under_load_costs_what_was_in_flight() {
    const COUNT: u32 = 8000;
    for (case, over) in cases() {
        println!("{case:?} {over:?}");
        let place = over.place();
        let (sender, mut receiver, endpoint) = case.start(&place.endpoint).await;
        let sending = async {
            for number in 0..COUNT {
                sender.send(number).await;
            }
            sender
        };
        let receiving = async {
            let (mut next, mut deaths, mut gaps) = (0, 0, Vec::new());
            while next < COUNT {
                let number = receiver.recv().await;
                assert!(number >= next, "{case:?} {over:?}: {number} after {}", next - 1);
                if number > next {
                    gaps.push(number - next);
                }
                next = number + 1;
                if deaths < 3 && next >= (deaths + 1) * 1500 {
                    deaths += 1;
                    receiver.close().await;
                    receiver = case.new_receiver();
                    case.open(&receiver, false, &endpoint).await;
                }
            }
            println!("    lost {gaps:?}");
            assert!(gaps.len() <= 3 && gaps.iter().all(|&gap| gap < 1000), "{case:?} {over:?}: {gaps:?}");
            receiver
        };
        let (sender, receiver) = tokio::join!(sending, receiving);
        sender.close().await;
        receiver.close().await;
    }
}

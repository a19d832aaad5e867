//! Our broker with the workers and clients of others: Majordomo on libzmq, in Python, and the package `majortomo`.
//!
//! Python's peers run in an environment of their own, which `.ci/run` makes; without it these tests fail, and say how.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on says why and stops")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use sinew::pool::{Broker, Client, Failure, Job, Worker};

/// No test waits longer than this for one thing.
const DEADLINE: Duration = Duration::from_secs(20);
const CALLS: usize = 50;

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: nothing for {DEADLINE:?}"),
    }
}

async fn broker() -> (Broker, String) {
    let broker = Broker::builder().bind("tcp://127.0.0.1:0").start().await.unwrap();
    let address = broker.endpoints()[0].to_string();
    (broker, address)
}

/// Asks through our client.
async fn ask(address: &str) {
    let client = Client::connect([address]).await.unwrap();
    for number in 0..CALLS {
        let answer = within("an answer", client.call("echo", number.to_string()).into_future()).await;
        assert_eq!(answer.unwrap(), &number.to_string());
    }
}

/// Answers by our worker, until dropped.
fn echo(address: &str) -> tokio::task::JoinHandle<()> {
    let worker = Worker::connect([address]).queue("echo").capacity(4);
    tokio::spawn(async move {
        let echo = |job: Job| async move { Ok::<_, Failure>(job.body().clone()) };
        worker.serve_until(std::future::pending(), echo).await.unwrap();
    })
}

fn socket(kind: zmq::SocketType, address: &str) -> zmq::Socket {
    let socket = zmq::Context::new().socket(kind).unwrap();
    socket.set_rcvtimeo(i32::try_from(DEADLINE.as_millis()).unwrap()).unwrap();
    socket.set_linger(0).unwrap();
    socket.connect(address).unwrap();
    socket
}

/// A worker on libzmq.
fn libzmq_worker(address: &str, front: Front, last: u8) -> JoinHandle<()> {
    let address = address.to_owned();
    std::thread::spawn(move || {
        let socket = socket(zmq::DEALER, &address);
        socket.send_multipart([front, &[b"\x01", b"echo"]].concat(), 0).unwrap();
        let mut answered = 0;
        while answered < CALLS {
            let request = socket.recv_multipart(0).unwrap();
            let [command, rest @ ..] = &request[front.len()..] else { panic!("{request:?}") };
            if command != b"\x02" {
                continue;
            }
            let rest: Vec<&[u8]> = rest.iter().map(Vec::as_slice).collect();
            socket.send_multipart([front, &[&[last]], &rest].concat(), 0).unwrap();
            answered += 1;
        }
        // Until the answer has been written.
        socket.set_linger(-1).unwrap();
    })
}

type Front = &'static [&'static [u8]];
/// What stands in front of all that a worker says, and the number of its last word.
const DIALECTS: [(Front, u8); 3] = [(&[b"", b"MDPW01"], 3), (&[b"MDPW02"], 4), (&[b"", b"MDPW02"], 4)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g21_libzmq_workers_of_each_dialect() {
    for (front, last) in DIALECTS {
        let (_broker, address) = broker().await;
        let worker = libzmq_worker(&address, front, last);
        ask(&address).await;
        tokio::task::spawn_blocking(|| worker.join().unwrap()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g21_libzmq_clients_of_each_dialect() {
    let cases: [(zmq::SocketType, Front, Front); 4] = [
        // A REQ adds the empty frame itself, and takes it off.
        (zmq::REQ, &[b"MDPC01", b"echo"], &[b"MDPC01", b"echo"]),
        (zmq::DEALER, &[b"", b"MDPC01", b"echo"], &[b"", b"MDPC01", b"echo"]),
        (zmq::DEALER, &[b"MDPC02", b"\x01", b"echo"], &[b"MDPC02", b"\x03", b"echo"]),
        (zmq::DEALER, &[b"", b"MDPC02", b"\x01", b"echo"], &[b"", b"MDPC02", b"\x03", b"echo"]),
    ];
    let (_broker, address) = broker().await;
    let _worker = echo(&address);
    for (kind, question, answer) in cases {
        let address = address.clone();
        let asking = move || {
            let socket = socket(kind, &address);
            for number in 0..CALLS {
                let body = number.to_string();
                socket.send_multipart([question, &[body.as_bytes()]].concat(), 0).unwrap();
                let expected = [answer, &[body.as_bytes()]].concat();
                assert_eq!(socket.recv_multipart(0).unwrap(), expected);
            }
        };
        tokio::task::spawn_blocking(asking).await.unwrap();
    }
}

/// The guide's load-balancing pattern: REQ clients and REQ workers, neither of which knows the pool.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g21_plain_libzmq_workers_and_clients() {
    let broker = Broker::builder()
        .plain_clients("tcp://127.0.0.1:0", "plain")
        .plain_workers("tcp://127.0.0.1:0", "plain")
        .start()
        .await
        .unwrap();
    let [clients_at, workers_at] = [0, 1].map(|index| broker.endpoints()[index].to_string());
    let worker = std::thread::spawn(move || {
        let socket = socket(zmq::REQ, &workers_at);
        socket.send("READY", 0).unwrap();
        for _ in 0..CALLS {
            let request = socket.recv_multipart(0).unwrap();
            let [client, empty, body] = &request[..] else { panic!("{request:?}") };
            assert!(empty.is_empty());
            socket.send_multipart([client, empty, body], 0).unwrap();
        }
        socket.set_linger(-1).unwrap();
    });
    let asking = move || {
        let socket = socket(zmq::REQ, &clients_at);
        for number in 0..CALLS {
            socket.send(&number.to_string(), 0).unwrap();
            assert_eq!(socket.recv_string(0).unwrap().unwrap(), number.to_string());
        }
    };
    tokio::task::spawn_blocking(asking).await.unwrap();
    tokio::task::spawn_blocking(|| worker.join().unwrap()).await.unwrap();
}

/// A program in Python; it ends with the test.
struct Python(Child);

impl Python {
    fn start(program: &str, address: &str) -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let made = here.join("../../target/interop-python/bin/python");
        let python = std::env::var_os("SINEW_PYTHON").map_or(made, PathBuf::from);
        let child = Command::new(&python)
            .arg(here.join("python").join(program))
            .args([address, &CALLS.to_string()])
            .stdin(Stdio::null())
            .spawn();
        Self(child.unwrap_or_else(|error| {
            panic!(
                "{}: {error}; make it: python3 -m venv target/interop-python && \
                 target/interop-python/bin/pip install pyzmq majortomo six",
                python.display()
            )
        }))
    }

    /// Until it has ended, as it should.
    async fn end(&mut self) {
        let ended = async {
            loop {
                if let Some(status) = self.0.try_wait().unwrap() {
                    return status;
                }
                tokio::task::yield_now().await;
            }
        };
        let status = within("the end of a program in Python", ended).await;
        assert!(status.success(), "{status}");
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn g21_python_workers() {
    for program in ["mdp01_worker.py", "majortomo_worker.py"] {
        let (_broker, address) = broker().await;
        let _worker = Python::start(program, &address);
        ask(&address).await;
    }
}

#[tokio::test]
async fn g21_python_clients() {
    for program in ["mdp01_client.py", "majortomo_client.py"] {
        let (_broker, address) = broker().await;
        let _worker = echo(&address);
        Python::start(program, &address).end().await;
    }
}

/// Neither of them knows that the other is not of its kind.
#[tokio::test]
async fn g21_python_clients_and_workers_of_different_versions() {
    let (_broker, address) = broker().await;
    let _worker = Python::start("majortomo_worker.py", &address);
    Python::start("mdp01_client.py", &address).end().await;
}

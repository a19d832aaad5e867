//! The same work through brokers on libzmq, each socket on a thread of its own.

use std::collections::VecDeque;
use std::time::Instant;

use zmq::{Context, DEALER, DONTWAIT, Error, POLLIN, REQ, ROUTER, Socket};

use crate::process::{Process, say};
use crate::throughput::Load;

type Outcome<T = ()> = Result<T, Error>;

/// What stands between clients and workers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Lru,
    Proxy,
}

impl Kind {
    pub(crate) fn parse(name: &str) -> Self {
        if name == Self::Lru.name() { Self::Lru } else { Self::Proxy }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Lru => "lru",
            Self::Proxy => "proxy",
        }
    }
}

fn bound(context: &Context, kind: zmq::SocketType) -> Outcome<(Socket, String)> {
    let socket = context.socket(kind)?;
    socket.bind("tcp://127.0.0.1:*")?;
    let endpoint = socket.get_last_endpoint()?.expect("an endpoint is text");
    Ok((socket, endpoint))
}

/// Says where clients and where workers connect.
pub(crate) fn broker(kind: Kind) -> Outcome {
    let context = Context::new();
    let (front, clients) = bound(&context, ROUTER)?;
    let (back, workers) = bound(&context, if matches!(kind, Kind::Lru) { ROUTER } else { DEALER })?;
    say(&format!("{clients} {workers}"));
    match kind {
        Kind::Lru => lru(&front, &back),
        Kind::Proxy => zmq::proxy(&front, &back),
    }
}

/// A message goes to the worker that has been idle for longest; while none is, clients are not read.
fn lru(front: &Socket, back: &Socket) -> Outcome {
    let mut idle: VecDeque<Vec<u8>> = VecDeque::new();
    loop {
        let mut items = [back.as_poll_item(POLLIN), front.as_poll_item(POLLIN)];
        let watched = if idle.is_empty() { 1 } else { 2 };
        zmq::poll(&mut items[..watched], -1)?;
        let (answered, asked) = (items[0].is_readable(), watched == 2 && items[1].is_readable());
        if answered {
            // The worker, nothing, and READY; or the client, nothing, and the answer.
            let mut parts = back.recv_multipart(0)?;
            let answer = parts.split_off(2);
            idle.push_back(parts.swap_remove(0));
            if answer.len() > 1 {
                front.send_multipart(answer, 0)?;
            }
        }
        if asked && let Some(worker) = idle.pop_front() {
            let mut parts = vec![worker, Vec::new()];
            parts.extend(front.recv_multipart(0)?);
            back.send_multipart(parts, 0)?;
        }
    }
}

/// Workers of the LRU broker do one task at a time, as it wants it; those of the proxy take what comes.
pub(crate) fn workers(kind: Kind, broker: &str, count: usize) -> Outcome {
    let context = Context::new();
    let serve = |socket: Socket| -> Outcome {
        socket.connect(broker)?;
        if matches!(kind, Kind::Lru) {
            socket.send("READY", 0)?;
        }
        loop {
            let parts = socket.recv_multipart(0)?;
            socket.send_multipart(parts, 0)?;
        }
    };
    std::thread::scope(|scope| {
        let socket = || context.socket(if matches!(kind, Kind::Lru) { REQ } else { DEALER });
        for _ in 0..count {
            let socket = socket()?;
            scope.spawn(move || serve(socket));
        }
        say("started");
        Ok(())
    })
}

/// The tasks that are done in a second.
pub(crate) fn measure(kind: Kind, load: Load) -> Outcome<f64> {
    let broker = Process::start(&["libzmq-broker", kind.name()]);
    let (clients, workers) = broker.address.split_once(' ').expect("two addresses");
    let _workers = Process::start(&["libzmq-worker", kind.name(), workers, &load.workers.to_string()]);
    let context = Context::new();
    let sockets: Vec<Socket> =
        (0..load.clients).map(|_| client(&context, clients, load)).collect::<Outcome<_>>()?;
    let start = Instant::now();
    std::thread::scope(|scope| {
        let each = load.tasks / load.clients;
        let running: Vec<_> =
            sockets.into_iter().map(|socket| scope.spawn(move || call(&socket, each, load))).collect();
        running.into_iter().try_for_each(|running| running.join().expect("a client that does not panic"))
    })?;
    Ok(load.tasks as f64 / start.elapsed().as_secs_f64())
}

/// One that has had an answer: all are connected.
fn client(context: &Context, broker: &str, load: Load) -> Outcome<Socket> {
    let socket = context.socket(DEALER)?;
    socket.connect(broker)?;
    call(&socket, 1, load)?;
    Ok(socket)
}

/// Keeps as many calls under way as it may.
fn call(socket: &Socket, tasks: usize, load: Load) -> Outcome {
    let body = vec![7; load.size];
    let (mut sent, mut answered) = (0, 0);
    while answered < tasks {
        while sent < tasks && sent - answered < load.depth {
            // Nothing in front, as a REQ has it.
            socket.send_multipart([&[][..], &body], 0)?;
            sent += 1;
        }
        socket.recv_multipart(0)?;
        answered += 1;
        while answered < sent && socket.recv_multipart(DONTWAIT).is_ok() {
            answered += 1;
        }
    }
    Ok(())
}

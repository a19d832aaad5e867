//! What the roles need of a socket of any type, and how they wait for the end.

use std::time::Duration;

use sinew::{Context, OptionError, Options, Socket};
use tokio::time::Instant;

use super::tally::{Tally, line};
use super::{Args, Outcome};

/// How long a receiver waits for the next message before it ends with what it has.
const SILENCE: Duration = Duration::from_secs(3);

/// How often it looks.
const TICK: Duration = Duration::from_millis(200);

/// A socket with that mark in messages, of sending and receiving, and then none in bytes; or as it is by default.
pub(crate) fn socket<S: Socket>(hwm: Option<usize>) -> Result<S, OptionError> {
    let options = Options::new();
    let options = match hwm {
        Some(hwm) => options.send_hwm(hwm).send_hwm_bytes(None).recv_hwm(hwm).recv_hwm_bytes(None),
        None => options,
    };
    S::with_options(&Context::default(), &options)
}

/// The sockets of a role: one that is bound, or as many as wanted that connect.
pub(crate) async fn open<S: Socket>(args: &Args) -> Outcome<Vec<S>> {
    if args.binds() {
        let socket = socket::<S>(args.hwm)?;
        // For who asked for any free port.
        eprintln!("bound {}", socket.bind(&*args.endpoint).await?);
        return Ok(vec![socket]);
    }
    let mut sockets = Vec::new();
    for _ in 0..args.sockets {
        let socket = socket::<S>(args.hwm)?;
        socket.connect(&*args.endpoint).await?;
        sockets.push(socket);
    }
    Ok(sockets)
}

/// Runs loops that count messages: one as it is, several in a task each.
pub(crate) async fn run_all<F>(loops: Vec<F>) -> Outcome<Vec<Tally>>
where
    F: Future<Output = Tally> + Send + 'static,
{
    if loops.len() == 1 {
        let mut tallies = Vec::new();
        for only in loops {
            tallies.push(only.await);
        }
        return Ok(tallies);
    }
    let tasks: Vec<_> = loops.into_iter().map(tokio::spawn).collect();
    let mut tallies = Vec::new();
    for task in tasks {
        tallies.push(task.await?);
    }
    Ok(tallies)
}

/// Runs the receiving loops of `sockets` until all have ended, prints the line and closes the sockets. A loop ends by
/// itself or when its socket is closed: here, after `of` messages on all of them, or after a silence.
pub(crate) async fn receive<S: Socket, F>(
    args: &Args,
    sockets: &[S],
    of: u64,
    role: impl FnMut(S) -> F,
) -> Outcome
where
    F: Future<Output = Tally> + Send + 'static,
{
    let watch = tokio::spawn(close_at_end(sockets.to_vec(), of));
    let tallies = run_all(sockets.iter().cloned().map(role).collect()).await?;
    watch.abort();
    println!("{}", line("got", &tallies, of, args.size)?);
    for socket in sockets {
        socket.close().await;
    }
    Ok(())
}

async fn close_at_end<S: Socket>(sockets: Vec<S>, of: u64) {
    let (mut seen, mut since) = (0, Instant::now());
    // Once all are there, each loop gets the time to end by itself.
    while seen == 0 || since.elapsed() < if seen < of { SILENCE } else { TICK } {
        // No timer: with one set, a runtime looks at its clock each time that it waits, and it is the socket that is
        // measured.
        let _ = tokio::task::spawn_blocking(|| std::thread::sleep(TICK)).await;
        let received = sockets.iter().map(|socket| socket.stats().received).sum();
        if received != seen {
            (seen, since) = (received, Instant::now());
        }
    }
    for socket in sockets {
        socket.close().await;
    }
}

//! What the roles need of a socket of any type, and how they wait for the end.

use std::time::Duration;

use sinew::{BindError, ConnectError, Dealer, Endpoint, OptionError, Pub, Pull, Push, Rep, Req, Router, Sub};
use tokio::time::Instant;

use super::tally::{Tally, line};
use super::{Args, Outcome};

/// How long a receiver waits for the next message before it ends with what it has.
const SILENCE: Duration = Duration::from_secs(3);

/// How often it looks.
const TICK: Duration = Duration::from_millis(200);

/// The life of a socket, of any type.
pub(crate) trait Socket: Clone + Send + Sync + Sized + 'static {
    fn open(hwm: Option<usize>) -> Result<Self, OptionError>;
    fn bind(&self, endpoint: &str) -> impl Future<Output = Result<Endpoint, BindError>> + Send;
    fn connect(&self, endpoint: &str) -> impl Future<Output = Result<(), ConnectError>> + Send;
    fn received(&self) -> u64;
    /// How many messages were left undelivered.
    fn close(&self) -> impl Future<Output = usize> + Send;
}

macro_rules! sockets {
    ($($socket:ident: $($mark:ident, $bytes:ident),+;)+) => {$(
        impl Socket for $socket {
            fn open(hwm: Option<usize>) -> Result<Self, OptionError> {
                let builder = Self::builder();
                let Some(hwm) = hwm else { return builder.build() };
                builder$(.$mark(hwm).$bytes(0))+.build()
            }

            async fn bind(&self, endpoint: &str) -> Result<Endpoint, BindError> {
                self.bind(endpoint).await
            }

            async fn connect(&self, endpoint: &str) -> Result<(), ConnectError> {
                self.connect(endpoint).await
            }

            fn received(&self) -> u64 {
                self.stats().received
            }

            async fn close(&self) -> usize {
                self.close().await.undelivered
            }
        }
    )+};
}
sockets! {
    Push: send_hwm, send_hwm_bytes;
    Pub: send_hwm, send_hwm_bytes;
    Pull: recv_hwm, recv_hwm_bytes;
    Sub: recv_hwm, recv_hwm_bytes;
    Req: send_hwm, send_hwm_bytes, recv_hwm, recv_hwm_bytes;
    Rep: send_hwm, send_hwm_bytes, recv_hwm, recv_hwm_bytes;
    Dealer: send_hwm, send_hwm_bytes, recv_hwm, recv_hwm_bytes;
    Router: send_hwm, send_hwm_bytes, recv_hwm, recv_hwm_bytes;
}

/// The sockets of a role: one that is bound, or as many as wanted that connect.
pub(crate) async fn open<S: Socket>(args: &Args) -> Outcome<Vec<S>> {
    if args.binds() {
        let socket = S::open(args.hwm)?;
        // For who asked for any free port.
        eprintln!("bound {}", socket.bind(&args.endpoint).await?);
        return Ok(vec![socket]);
    }
    let mut sockets = Vec::new();
    for _ in 0..args.sockets {
        let socket = S::open(args.hwm)?;
        socket.connect(&args.endpoint).await?;
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
        let received = sockets.iter().map(Socket::received).sum();
        if received != seen {
            (seen, since) = (received, Instant::now());
        }
    }
    for socket in sockets {
        socket.close().await;
    }
}

//! PUSH to PULL, between processes and inside one.

use std::sync::Arc;

use sinew::{Message, Pull, Push};
use tokio::sync::Barrier;

use super::payload::{expected, payload, shares};
use super::socket::{open, receive, run_all, socket};
use super::tally::{Tally, line};
use super::{Args, Flavor, Outcome};

pub(crate) async fn pull(args: &Args) -> Outcome {
    let sockets: Vec<Pull> = open(args).await?;
    let (of, limit, share) = expected(args, sockets.len() as u32);
    receive(args, &sockets, of, |pull| drain(pull, Tally::new(limit, share))).await
}

async fn drain(pull: Pull, mut tally: Tally) -> Tally {
    while tally.wants_more() && pull.recv().await.is_ok() {
        tally.count();
    }
    tally
}

pub(crate) async fn push(args: &Args) -> Outcome {
    let sockets: Vec<Push> = open(args).await?;
    let peers = if args.binds() { args.sockets as usize } else { 1 };
    let ready = Arc::new(Barrier::new(sockets.len()));
    let loops = sockets.iter().zip(shares(args.count, sockets.len() as u32)).map(|(push, share)| {
        let (push, ready, payload) = (push.clone(), ready.clone(), Message::from(payload(args.size)));
        async move {
            // All of them connected: what is measured is messages. If the socket is closed, `fill` finds out.
            let _ = push.wait_for_peers(peers).await;
            ready.wait().await;
            fill(push, payload, share).await
        }
    });
    let tallies = run_all(loops.collect()).await?;
    let mut undelivered = 0;
    for push in &sockets {
        undelivered += push.close().await.undelivered;
    }
    eprintln!("{} undelivered={undelivered}", line("sent", &tallies, args.count, args.size)?);
    Ok(())
}

/// Sends clones of one message: cheap for any size, and what a program does that has its payload at hand.
async fn fill(push: Push, payload: Message, count: u64) -> Tally {
    let mut tally = Tally::new(count, count);
    while tally.wants_more() && push.send(payload.clone()).await.is_ok() {
        tally.count();
    }
    tally
}

/// The sender is a task of the runtime with two workers, and has a thread and a runtime of its own beside one with one.
pub(crate) async fn inproc(args: &Args) -> Outcome {
    let pull: Pull = socket(args.hwm)?;
    pull.bind(&args.endpoint).await?;
    let (sender, runtime) = (send_inproc(args.clone()), args.runtime);
    let sent = match runtime {
        Flavor::Mt => tokio::spawn(sender),
        Flavor::Ct => tokio::task::spawn_blocking(move || runtime.start()?.block_on(sender)),
    };
    receive(args, &[pull], args.count, |pull| drain(pull, Tally::new(args.count, args.count))).await?;
    sent.await?
}

async fn send_inproc(args: Args) -> Outcome {
    let push: Push = socket(args.hwm)?;
    push.connect(&args.endpoint).await?;
    fill(push, payload(args.size).into(), args.count).await;
    Ok(())
}

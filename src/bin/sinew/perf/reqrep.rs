//! REQ to REP: how long a round trip takes.

use std::time::Instant;

use sinew::{Message, Rep, Req};

use super::payload::payload;
use super::socket::{open, receive};
use super::tally::{Tally, round_trips};
use super::{Args, Outcome};

pub(crate) async fn rep(args: &Args) -> Outcome {
    let sockets: Vec<Rep> = open(args).await?;
    receive(args, &sockets, args.count, |rep| reply(rep, Tally::new(args.count, args.count))).await
}

async fn reply(rep: Rep, mut tally: Tally) -> Tally {
    while tally.wants_more()
        && let Ok(request) = rep.recv().await
        && rep.send(request).await.is_ok()
    {
        tally.count();
    }
    tally
}

pub(crate) async fn req(args: &Args) -> Outcome {
    for req in open::<Req>(args).await? {
        req.wait_for_peers(1).await?;
        let request = Message::from(payload(args.size));
        let mut trips = Vec::new();
        for _ in 0..args.count {
            let start = Instant::now();
            req.request(request.clone()).await?;
            trips.push(start.elapsed());
        }
        trips.sort_unstable();
        println!("{}", round_trips(&trips));
        req.close().await;
    }
    Ok(())
}

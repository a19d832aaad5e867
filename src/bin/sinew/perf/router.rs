//! DEALERs that keep requests in flight, and the ROUTER that echoes them.

use sinew::{Dealer, Message, Router};

use super::payload::{payload, shares};
use super::socket::{open, receive};
use super::tally::Tally;
use super::{Args, Outcome};

/// Requests that a DEALER has sent and no reply to, at most.
pub(crate) const IN_FLIGHT: u64 = 64;

pub(crate) async fn echo(args: &Args) -> Outcome {
    let sockets: Vec<Router> = open(args).await?;
    receive(args, &sockets, args.count, |router| send_back(router, Tally::new(args.count, args.count))).await
}

async fn send_back(router: Router, mut tally: Tally) -> Tally {
    while tally.wants_more()
        && let Ok((id, request)) = router.recv().await
        && router.send(id, request).await.is_ok()
    {
        tally.count();
    }
    tally
}

pub(crate) async fn ask(args: &Args) -> Outcome {
    let sockets: Vec<Dealer> = open(args).await?;
    let mut shares = shares(args.count, args.sockets);
    let size = args.size;
    receive(args, &sockets, args.count, |dealer| request(dealer, size, shares.next().unwrap_or(0))).await
}

async fn request(dealer: Dealer, size: usize, count: u64) -> Tally {
    let (request, mut tally) = (Message::from(payload(size)), Tally::new(count, count));
    let mut unsent = count;
    while unsent > count.saturating_sub(IN_FLIGHT) && dealer.send(request.clone()).await.is_ok() {
        unsent -= 1;
    }
    while tally.wants_more() && dealer.recv().await.is_ok() {
        tally.count();
        if unsent > 0 && dealer.send(request.clone()).await.is_ok() {
            unsent -= 1;
        }
    }
    tally
}

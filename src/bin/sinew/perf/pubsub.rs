//! PUB to SUB. A publisher waits for its subscribers, then for nobody: what a slow one misses is not delivered.

use std::time::Duration;

use sinew::{Message, Pub, Sub};

use super::payload::{expected, payloads, topics};
use super::socket::{open, receive};
use super::tally::{Tally, line};
use super::{Args, Outcome};

pub(crate) async fn publish(args: &Args) -> Outcome {
    for publisher in open::<Pub>(args).await? {
        let messages: Vec<Message> = payloads(args).into_iter().map(Message::from).collect();
        publisher.wait_for_subscribers(args.sockets as usize).await?;
        while publisher.topic_count() < args.topics {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut tally = Tally::new(args.count, args.count);
        for message in messages.iter().cycle() {
            if !tally.wants_more() || publisher.send(message.clone()).await.is_err() {
                break;
            }
            tally.count();
        }
        let undelivered = publisher.close().await.undelivered;
        let dropped = publisher.stats().dropped.high_water_mark;
        let sent = line("sent", &[tally], args.count, args.size)?;
        eprintln!("{sent} dropped={dropped} undelivered={undelivered}");
    }
    Ok(())
}

pub(crate) async fn subscribe(args: &Args) -> Outcome {
    let sockets: Vec<Sub> = open(args).await?;
    for (sub, index) in sockets.iter().zip(0..) {
        for topic in topics(args, index) {
            sub.subscribe(topic);
        }
    }
    let (of, limit, share) = expected(args, args.sockets);
    receive(args, &sockets, of, |sub| drain(sub, Tally::new(limit, share))).await
}

async fn drain(sub: Sub, mut tally: Tally) -> Tally {
    while tally.wants_more() && sub.recv().await.is_ok() {
        tally.count();
    }
    tally
}

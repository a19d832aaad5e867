//! PUB to SUB. A publisher waits for its subscribers, then for nobody: what a slow one misses is not delivered.

use std::time::Duration;

use sinew::{Message, Pub, Sub};

use super::pipeline::payload;
use super::socket::{Socket, open, receive};
use super::tally::{Tally, line};
use super::{Args, Outcome};

/// Bytes of a topic, where there are several: a number with leading zeros.
pub(crate) const TOPIC: usize = 8;

pub(crate) async fn publish(args: &Args) -> Outcome {
    for publisher in open::<Pub>(args).await? {
        let messages = messages(args);
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
        let undelivered = Socket::close(&publisher).await;
        let dropped = publisher.stats().dropped.high_water_mark;
        let sent = line("sent", &[tally], args.count, args.size)?;
        eprintln!("{sent} dropped={dropped} undelivered={undelivered}");
    }
    Ok(())
}

/// One for each topic, or one.
fn messages(args: &Args) -> Vec<Message> {
    let of_topic = |index: usize| {
        let mut bytes = topic(index).into_bytes();
        bytes.resize(args.size, b'x');
        bytes.into()
    };
    if args.topics == 0 { vec![payload(args.size)] } else { (0..args.topics).map(of_topic).collect() }
}

fn topic(index: usize) -> String {
    format!("{index:0TOPIC$}")
}

pub(crate) async fn subscribe(args: &Args) -> Outcome {
    let sockets: Vec<Sub> = open(args).await?;
    for (index, sub) in sockets.iter().enumerate() {
        if args.topics == 0 {
            sub.subscribe("");
        }
        for index in (index..args.topics).step_by(sockets.len()) {
            sub.subscribe(topic(index));
        }
    }
    let each = u64::from(args.sockets);
    // With topics each message goes to one socket, whichever that is; without, to every socket.
    let (of, limit, share) = match (args.topics, each) {
        (0, _) => (args.count * each, args.count, args.count),
        (_, 1) => (args.count, args.count, args.count),
        _ => (args.count, u64::MAX, args.count / each),
    };
    receive(args, &sockets, of, |sub| drain(sub, Tally::new(limit, share))).await
}

async fn drain(sub: Sub, mut tally: Tally) -> Tally {
    while tally.wants_more() && sub.recv().await.is_ok() {
        tally.count();
    }
    tally
}

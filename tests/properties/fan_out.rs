//! P9 for fan-out: a copy is delivered or counted.

use proptest::prelude::*;
use sinew::{Message, Pub, Sub};
use tokio::task::yield_now;

use crate::support::within;
use crate::{Medium, cases, medium, run};

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn p9_every_copy_that_a_publisher_makes_is_delivered_or_counted(
        medium in medium(),
        threads in any::<bool>(),
        marks in (1..6usize, 1..6usize),
        // How many to publish, then how many each subscriber may receive.
        rounds in prop::collection::vec((0..20u32, 0..10usize, 0..10usize), 1..20),
    ) {
        run(threads, async {
            let publisher = Pub::builder().send_hwm(marks.0).build().unwrap();
            let addr = publisher.bind(medium.any()).await.unwrap();
            let subscribers =
                [(); 2].map(|()| Sub::builder().subscribe("a").recv_hwm(marks.1).build().unwrap());
            for subscriber in &subscribers {
                subscriber.connect(&addr).await.unwrap();
            }
            within("the subscriptions", publisher.wait_for_subscribers(2)).await.unwrap();
            let (mut next, mut unmatched) = (0u32, 0u64);
            let mut received = [Vec::new(), Vec::new()];
            for (count, first, second) in rounds {
                for _ in 0..count {
                    let topic = if next % 5 == 4 { "b" } else { "a" };
                    unmatched += u64::from(topic == "b");
                    within("publishing", publisher.send([topic.to_owned(), next.to_string()])).await.unwrap();
                    next += 1;
                }
                for (at, count) in [first, second].into_iter().enumerate() {
                    received[at].extend((0..count).map_while(|_| subscribers[at].try_recv().ok()));
                }
                for peer in publisher.stats().peers {
                    let mark = marks.0 + if medium == Medium::Inproc { marks.1 } else { 0 };
                    assert!(peer.queued <= mark as u64, "{peer:?}");
                }
            }
            within("everything to be sent and received", async {
                loop {
                    let idle = publisher.stats().queued == 0;
                    for (subscriber, received) in subscribers.iter().zip(&mut received) {
                        received.extend(std::iter::from_fn(|| subscriber.try_recv().ok()));
                    }
                    let stats = publisher.stats();
                    let total = received.iter().map(Vec::len).sum::<usize>() as u64;
                    if idle && total == stats.sent {
                        return;
                    }
                    yield_now().await;
                }
            })
            .await;
            let stats = publisher.stats();
            assert_eq!(stats.dropped.no_route, unmatched);
            let matching = u64::from(next) - unmatched;
            assert_eq!(stats.sent + stats.dropped.high_water_mark, 2 * matching, "{stats:?}");
            for peer in &stats.peers {
                assert_eq!(peer.sent + peer.dropped, matching, "{peer:?}");
            }
            for received in received {
                let order: Vec<u32> = received.iter().map(number).collect();
                assert!(order.windows(2).all(|pair| pair[0] < pair[1]), "{order:?}");
            }
        });
    }
}

fn number(message: &Message) -> u32 {
    std::str::from_utf8(&message[1]).unwrap().parse().unwrap()
}

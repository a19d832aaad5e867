//! In steady state a small message costs no heap allocation, on either side: at most one for 64 messages.
//!
//! Both sides run in this process, and no other test does, so that all that is counted is theirs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says why and stops")]

use std::alloc::System;

use sinew::{Dealer, Pub, Pull, Push, Rep, Req, Router, Sub};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const MESSAGE: [u8; 64] = [7; 64];
/// Sent before they are received: below the high-water mark, so that nothing is dropped.
const BATCH: usize = 500;
const BATCHES: usize = 40;

/// What `batch` allocates for each of its messages, once warm.
async fn count(what: &str, batch: impl AsyncFn()) {
    for _ in 0..BATCHES {
        batch().await;
    }
    let region = Region::new(ALLOCATOR);
    for _ in 0..BATCHES {
        batch().await;
    }
    let change = region.change();
    let (allocations, messages) = (change.allocations + change.reallocations, BATCHES * BATCH);
    assert!(allocations * 64 <= messages, "{what}: {allocations} allocations for {messages} messages");
}

#[tokio::test]
async fn small_messages_cost_no_allocation() {
    for inproc in [false, true] {
        let endpoint =
            |name| if inproc { format!("inproc://{name}") } else { "tcp://127.0.0.1:0".to_owned() };
        let (push, pull) = (Push::new(), Pull::new());
        push.connect(&pull.bind(&endpoint("pull")).await.unwrap()).await.unwrap();
        count("PUSH, PULL", async || {
            for _ in 0..BATCH {
                push.send(&MESSAGE).await.unwrap();
            }
            for _ in 0..BATCH {
                assert_eq!(pull.recv().await.unwrap(), &MESSAGE);
            }
        })
        .await;

        let (publisher, subscriber) = (Pub::new(), Sub::builder().subscribe("").build().unwrap());
        subscriber.connect(&publisher.bind(&endpoint("publisher")).await.unwrap()).await.unwrap();
        publisher.wait_for_subscribers(1).await.unwrap();
        count("PUB, SUB", async || {
            for _ in 0..BATCH {
                publisher.send(&MESSAGE).await.unwrap();
            }
            for _ in 0..BATCH {
                assert_eq!(subscriber.recv().await.unwrap(), &MESSAGE);
            }
        })
        .await;

        let (dealer, router) = (Dealer::new(), Router::new());
        dealer.connect(&router.bind(&endpoint("router")).await.unwrap()).await.unwrap();
        count("DEALER, ROUTER", async || {
            for _ in 0..BATCH {
                dealer.send(&MESSAGE).await.unwrap();
            }
            for _ in 0..BATCH {
                let (from, message) = router.recv().await.unwrap();
                router.send(&from, message).await.unwrap();
            }
            for _ in 0..BATCH {
                assert_eq!(dealer.recv().await.unwrap(), &MESSAGE);
            }
        })
        .await;
    }

    // Over inproc an envelope is a frame of the message, which is then one of several.
    let (req, rep) = (Req::new(), Rep::new());
    req.connect(&rep.bind("tcp://127.0.0.1:0").await.unwrap()).await.unwrap();
    count("REQ, REP", async || {
        for _ in 0..BATCH {
            req.send(&MESSAGE).await.unwrap();
            rep.send(rep.recv().await.unwrap()).await.unwrap();
            assert_eq!(req.recv().await.unwrap(), &MESSAGE);
        }
    })
    .await;
}

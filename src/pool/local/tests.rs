use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::LocalPool;
use crate::message::Message;
use crate::pool::job::Failure;
use crate::pool::policy::{Overflow, Policy, Rate, Retry};
use crate::pool::protocol::{FailReason, RejectReason};
use crate::pool::request::CallError;

const SOON: Duration = Duration::from_secs(600);

#[tokio::test(start_paused = true)]
async fn m16_a_call_gives_the_result_of_its_handler() {
    let pool = LocalPool::new(Policy::default());
    let _worker = pool.worker("echo").serve(|job| async move { Ok::<_, Failure>(job.body().clone()) });
    assert_eq!(pool.call("echo", "hello").await.unwrap(), "hello");
}

#[tokio::test(start_paused = true)]
async fn m19_submit_returns_once_it_is_queued() {
    let pool = LocalPool::new(Policy::default());
    pool.submit("later", "1").await.unwrap();
    assert_eq!(pool.totals().waiting, 1);
    let (done, count) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let seen = Arc::clone(&done);
    let _worker = pool.worker("later").serve(move |_| {
        seen.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, Failure>("") }
    });
    drop(count);
    timeout(SOON, pool.close()).await.unwrap();
    assert_eq!(done.load(Ordering::Relaxed), 1);
    assert_eq!(pool.submit("later", "2").await, Err(CallError::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_has_crashed_its_task_and_the_worker_goes_on() {
    let pool = LocalPool::new(Policy::default());
    let _worker = pool.worker("q").capacity(4).name("w").serve(|job| async move {
        assert_ne!(*job.body(), "bad", "no good");
        Ok::<_, Failure>("ok")
    });
    let failed = pool.call("q", "bad").await.unwrap_err();
    assert!(matches!(failed, CallError::Failed { reason: FailReason::Crashed, .. }), "{failed:?}");
    let dead = pool.dead_letters("q");
    assert_eq!((dead.len(), dead[0].crashes, &dead[0].worker[..]), (1, 3, &b"w"[..]));
    assert_eq!(pool.call("q", "good").await.unwrap(), "ok");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again_until_it_works() {
    let pool = LocalPool::new(Policy::default());
    let starts = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&starts);
    let _worker = pool.worker("q").serve(move |_| {
        let start = counted.fetch_add(1, Ordering::Relaxed);
        async move { if start < 3 { Err(Failure::retry("not yet")) } else { Ok("done") } }
    });
    assert_eq!(pool.call("q", "x").await.unwrap(), "done");
    assert_eq!(starts.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_cancels_its_task_and_frees_the_worker() {
    let pool = LocalPool::new(Policy::default());
    let _worker = pool.worker("q").serve(|job| async move {
        if *job.body() == "slow" {
            std::future::pending::<()>().await;
        }
        Ok::<_, Failure>("quick")
    });
    assert!(timeout(Duration::from_secs(1), pool.call("q", "slow")).await.is_err());
    assert_eq!(timeout(SOON, pool.call("q", "x")).await.unwrap().unwrap(), "quick");
    assert_eq!(pool.queues()[0].counters.cancelled, 1);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_dropped_gives_its_tasks_to_others_and_one_that_drains_finishes_them() {
    let pool = LocalPool::new(Policy::default());
    let stuck = pool.worker("q").serve(|_| std::future::pending::<Result<Message, Failure>>());
    let calling = {
        let pool = pool.clone();
        tokio::spawn(async move { pool.call("q", "x").await })
    };
    while pool.totals().in_flight == 0 {
        tokio::task::yield_now().await;
    }
    drop(stuck);
    let slow = pool.worker("q").serve(|job| async move {
        sleep(Duration::from_secs(5)).await;
        Ok::<_, Failure>(if job.is_redelivered() { "again" } else { "first" })
    });
    while pool.totals().in_flight == 0 || pool.workers().len() != 1 {
        tokio::task::yield_now().await;
    }
    timeout(SOON, slow.drain()).await.unwrap();
    assert_eq!(calling.await.unwrap().unwrap(), "again");
    assert!(pool.workers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn overflow_rejects_or_makes_submitters_wait() {
    let pool = LocalPool::new(Policy::default().max_len(1));
    pool.submit("q", "1").await.unwrap();
    let refused = pool.submit("q", "2").await.unwrap_err();
    assert!(matches!(refused, CallError::Rejected { reason: RejectReason::QueueFull, .. }));

    pool.set_policy("block", Policy::default().max_len(4).overflow(Overflow::Block));
    for _ in 0..5 {
        pool.submit("block", "x").await.unwrap();
    }
    assert!(timeout(Duration::from_secs(1), pool.submit("block", "x")).await.is_err());
    let _worker = pool.worker("block").serve(|_| async { Ok::<_, Failure>("") });
    timeout(SOON, pool.submit("block", "x")).await.unwrap().unwrap();
}

/// M7: one a second gives 60 in a minute.
#[tokio::test(start_paused = true)]
async fn m7_a_rate_is_kept() {
    let pool = LocalPool::new(Policy::default().rate(Rate::per_second(1.0)));
    let times = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&times);
    let _worker = pool.worker("q").capacity(100).serve(move |_| {
        seen.lock().unwrap().push(Instant::now());
        async { Ok::<_, Failure>("") }
    });
    for _ in 0..100 {
        pool.submit("q", "x").await.unwrap();
    }
    sleep(Duration::from_secs(60)).await;
    assert!((59..=61).contains(&times.lock().unwrap().len()));
}

#[tokio::test(start_paused = true)]
async fn deadline_delay_key_tags_priority_and_dedup_reach_the_scheduler() {
    let pool = LocalPool::new(Policy::default().retry(Retry::default().max_starts(1)));
    let expired = pool.call("q", "x").deadline(Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(expired, CallError::Failed { reason: FailReason::Expired, .. }));
    let _worker =
        pool.worker("q").tags(["gpu"]).serve(|job| async move { Ok::<_, Failure>(job.id().to_string()) });
    let begin = Instant::now();
    let first = pool.call("q", "x").dedup("one").delay(Duration::from_secs(3)).key("k").await.unwrap();
    assert!(begin.elapsed() >= Duration::from_secs(3));
    let second = pool.call("q", "y").dedup("one").tags(["gpu"]).priority(9).await.unwrap();
    assert_eq!(first, second);
    assert!(pool.call("q", "y").priority(10).await.is_err());
}

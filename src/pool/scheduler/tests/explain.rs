//! G20: twelve reasons why a task is not running, each constructed, each named.

use super::*;
use crate::pool::policy::{Rate, Retry};
use crate::pool::strategy::StrategyName;

/// A pool with one worker and one task that it has; what is submitted then, waits.
fn busy(policy: Policy, capacity: u32) -> (Rig, Session, Session, Given) {
    let mut rig = Rig::new(policy);
    let worker = rig.worker("w", capacity);
    let client = rig.client("c");
    rig.submit_with(client, "first", key("k"));
    let first = rig.one();
    (rig, client, worker, first)
}

#[test]
fn g20_01_no_workers() {
    let mut rig = Rig::new(Policy::default());
    let client = rig.client("c");
    let id = rig.submit(client, "x");
    assert_eq!(rig.explain(client, id), Explanation::NoWorkers);
}

#[test]
fn g20_02_all_full() {
    let (mut rig, client, _, _) = busy(Policy::default(), 1);
    let id = rig.submit(client, "x");
    assert_eq!(rig.explain(client, id), Explanation::NoCredit { workers: vec!["w".into()] });
}

#[test]
fn g20_03_rate_limited() {
    let (mut rig, client, _, _) = busy(Policy::default().rate(Rate::per_second(0.5)), 9);
    let id = rig.submit(client, "x");
    assert_eq!(rig.explain(client, id), Explanation::RateLimited { until: rig.now + seconds(2) });
}

#[test]
fn g20_04_key_held() {
    let (mut rig, client, _, first) = busy(Policy::default().max_in_flight_per_key(1), 9);
    rig.submit_with(client, "x", key("k"));
    let id = rig.submit_with(client, "y", key("k"));
    let held = Explanation::KeyHeld { by: first.lease.task.0, worker: Some("w".into()), ahead: 1 };
    assert_eq!(rig.explain(client, id), held);
    // The number, as one asks for it.
    let words = format!("its key is held by task {} on w, 1 ahead", first.lease.task.0);
    assert_eq!(held.at(rig.now).to_string(), words);
}

#[test]
fn g20_05_delayed() {
    let (mut rig, client, _, _) = busy(Policy::default(), 9);
    let id = rig.submit_with(client, "x", SubmitOptions { delay: seconds(9), ..SubmitOptions::default() });
    assert_eq!(rig.explain(client, id), Explanation::Delayed { until: rig.now + seconds(9) });
}

#[test]
fn g20_06_paused() {
    let (mut rig, client, _, _) = busy(Policy::default(), 9);
    rig.admin(Admin::Pause(QUEUE.into()));
    let id = rig.submit(client, "x");
    assert_eq!(rig.explain(client, id), Explanation::Paused);
    rig.admin(Admin::Resume(QUEUE.into()));
    assert_eq!(rig.bodies(), ["x"]);
}

#[test]
fn g20_07_queue_cap() {
    let (mut rig, client, _, _) = busy(Policy::default().max_in_flight(1), 9);
    let id = rig.submit(client, "x");
    assert_eq!(rig.explain(client, id), Explanation::QueueCap { in_flight: 1 });
}

#[test]
fn g20_08_tag_mismatch() {
    let (mut rig, client, _, _) = busy(Policy::default(), 9);
    let id =
        rig.submit_with(client, "x", SubmitOptions { tags: vec!["gpu".into()], ..SubmitOptions::default() });
    assert_eq!(rig.explain(client, id), Explanation::TagMismatch { tags: vec!["gpu".into()], workers: 1 });
}

#[test]
fn g20_09_backoff() {
    let (mut rig, client, _, first) = busy(Policy::default().retry(Retry::default().immediate(0)), 1);
    rig.nack(&first, Nack::Retry { delay: Some(seconds(3)), error: "no".into() });
    let until = rig.now + seconds(3);
    assert_eq!(rig.explain(client, 1), Explanation::Backoff { starts: 1, until, error: "no".into() });
}

#[test]
fn g20_10_kept_for_its_worker() {
    let policy = Policy::default().strategy(StrategyName::HashShard);
    let (mut rig, client, _, _) = busy(policy, 1);
    rig.worker("v", 50);
    let keys =
        (0..50).map(|number| rig.submit_with(client, "x", key(&number.to_string()))).collect::<Vec<_>>();
    let waits = Explanation::WaitsFor { worker: "w".into() };
    let waiting = keys.into_iter().filter(|id| rig.explain(client, *id) == waits).count();
    assert!((5..45).contains(&waiting), "{waiting}");
}

#[test]
fn g20_11_all_leaving_silent_or_congested() {
    let (mut rig, client, worker, _) = busy(Policy::default(), 9);
    rig.say(worker, FromWorker::Drain);
    let id = rig.submit(client, "x");
    assert_eq!(rig.explain(client, id), Explanation::NotTaking { workers: vec!["w".into()] });
}

#[test]
fn g20_12_must_run_alone() {
    let (mut rig, client, worker, first) = busy(Policy::default(), 2);
    rig.submit(client, "other");
    rig.one();
    rig.nack(&first, Nack::Crash { error: "bang".into() });
    let kept = Explanation::NoCredit { workers: vec!["w".into()] };
    let why = rig.explain(client, 1);
    assert!(why == Explanation::Alone { crashes: 1 } || why == kept, "{why:?}");
    let _ = worker;
}

#[test]
fn g20_running_and_ended_and_unknown() {
    let (mut rig, client, _, first) = busy(Policy::default(), 1);
    rig.pass(seconds(4));
    let running = Explanation::Running { worker: "w".into(), start: 1, since: seconds(4) };
    assert_eq!(rig.explain(client, 1), running);
    assert_eq!(running.at(rig.now).to_string(), "running on w for 4s, start 1");
    rig.done(&first);
    rig.out.clear();
    for id in [1, 99] {
        rig.on(Event::Client(client, FromClient::Status { id }));
    }
    assert_eq!(rig.told_text(), ["status 1 ended", "status 99 unknown"]);
}

//! Which task goes next: priorities, fairness, keys, delays, deadlines.

use super::*;
use crate::pool::policy::{Delivery, Retry};
use crate::pool::strategy::StrategyName;

fn priority(priority: u8) -> SubmitOptions {
    SubmitOptions { priority: Some(priority), ..SubmitOptions::default() }
}

/// Runs everything on one worker, and says in which order.
fn drain(rig: &mut Rig) -> Vec<String> {
    rig.worker("drain", 1);
    let mut bodies = Vec::new();
    while let Some(given) = rig.given().pop() {
        rig.done(&given);
        bodies.push(given.body);
    }
    bodies
}

#[test]
fn a_level_gets_twice_the_turns_of_the_one_below() {
    let mut rig = Rig::new(Policy::default());
    let client = rig.client("c");
    for _ in 0..700 {
        for level in [3, 4, 5] {
            rig.submit_with(client, &level.to_string(), priority(level));
        }
    }
    let first = &drain(&mut rig)[..700];
    let count = |level: &str| first.iter().filter(|body| *body == level).count();
    assert_eq!((count("5"), count("4"), count("3")), (400, 200, 100));
}

#[test]
fn strict_priority_lets_the_lower_wait() {
    let mut rig = Rig::new(Policy::default().strict_priority(true));
    let client = rig.client("c");
    for level in [0, 9, 4, 9, 0] {
        rig.submit_with(client, &level.to_string(), priority(level));
    }
    assert_eq!(drain(&mut rig), ["9", "9", "4", "0", "0"]);
}

/// G10: who floods waits for itself.
#[test]
fn g10_clients_take_turns_however_many_tasks_they_have() {
    let mut rig = Rig::new(Policy::default());
    let flood = rig.client("flood");
    for _ in 0..1000 {
        rig.submit(flood, "flood");
    }
    for quiet in ["a", "b", "c"] {
        let client = rig.client(quiet);
        for _ in 0..5 {
            rig.submit(client, quiet);
        }
    }
    let order = drain(&mut rig);
    let last_quiet = order.iter().rposition(|body| body != "flood").unwrap();
    assert!(last_quiet < 20, "{last_quiet}");
}

/// A client whose tasks take ten times as long gets fewer of them done, not more of the workers.
#[test]
fn g10_a_client_with_slow_tasks_pays_for_their_time() {
    let mut rig = Rig::new(Policy::default());
    let (slow, quick) = (rig.client("slow"), rig.client("quick"));
    for _ in 0..2000 {
        rig.submit(slow, "slow");
        rig.submit(quick, "quick");
    }
    rig.worker("w", 1);
    let mut time = [Duration::ZERO; 2];
    for _ in 0..1000 {
        let given = rig.one();
        let (which, takes) = if given.body == "slow" { (0, millis(50)) } else { (1, millis(10)) };
        time[which] += takes;
        rig.pass(takes);
        rig.done(&given);
    }
    let share = time[0].as_secs_f64() / (time[0] + time[1]).as_secs_f64();
    assert!((0.4..=0.65).contains(&share), "{share}; in turns it would be 0.83");
}

#[test]
fn m13_the_tasks_of_a_key_go_one_by_one_in_order_even_if_they_fail() {
    let retry = Retry::default().max_starts(100).max_crashes(100);
    let mut rig = Rig::new(Policy::default().strategy(StrategyName::OrderedKey).retry(retry));
    let mut workers = vec![rig.worker("a", 4), rig.worker("b", 4)];
    let client = rig.client("c");
    for number in 0..20 {
        rig.submit_with(client, &number.to_string(), key("k"));
    }
    let mut finished = Vec::new();
    let mut step = 0;
    while let Some(given) = {
        rig.pass(seconds(10));
        let mut given = rig.given();
        assert!(given.len() <= 1, "one at a time");
        given.pop()
    } {
        step += 1;
        match step % 4 {
            0 => {
                // Churn: its worker goes, another one comes.
                workers.retain(|worker| *worker != given.to);
                rig.on(Event::Lost(given.to));
                workers.push(rig.worker("c", 4));
            }
            1 => rig.nack(&given, Nack::Retry { delay: None, error: Frame::new() }),
            _ => {
                rig.done(&given);
                finished.push(given.body);
            }
        }
    }
    assert_eq!(finished, (0..20).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[test]
fn m13_a_key_stays_with_its_worker_while_it_can() {
    let mut rig = Rig::new(Policy::default().strategy(StrategyName::OrderedKey));
    rig.worker("a", 1);
    rig.worker("b", 1);
    let client = rig.client("c");
    for _ in 0..6 {
        rig.submit_with(client, "x", key("k"));
    }
    let mut at = std::collections::BTreeSet::new();
    while let Some(given) = rig.given().pop() {
        at.insert(given.to);
        rig.done(&given);
    }
    assert_eq!(at.len(), 1);
}

#[test]
fn a_delayed_task_waits_and_holds_nobody_up() {
    let mut rig = Rig::new(Policy::default());
    rig.worker("w", 1);
    let client = rig.client("c");
    rig.submit_with(client, "later", SubmitOptions { delay: seconds(5), ..SubmitOptions::default() });
    rig.submit(client, "now");
    let given = rig.one();
    assert_eq!(given.body, "now");
    rig.done(&given);
    rig.pass(millis(4999));
    assert!(rig.given().is_empty());
    rig.pass(millis(1));
    assert_eq!(rig.one().body, "later");
}

#[test]
fn expired_work_is_never_given_and_the_worker_gets_what_is_left() {
    let mut rig = Rig::new(Policy::default().ttl(seconds(10)));
    let client = rig.client("c");
    let short = SubmitOptions { budget: Some(seconds(2)), ..SubmitOptions::default() };
    rig.submit_with(client, "short", short.clone());
    rig.submit(client, "long");
    rig.pass(seconds(3));
    assert_eq!(rig.told_text(), ["failed 1 Expired"]);
    rig.worker("w", 1);
    let given = rig.one();
    assert_eq!((&given.body[..], given.budget), ("long", Some(seconds(7))));
    rig.done(&given);
    rig.submit_with(client, "running", short);
    let running = rig.one();
    rig.out.clear();
    rig.pass(seconds(2));
    assert!(matches!(rig.out[0], Action::ToWorker(_, ToWorker::Cancel(lease)) if lease == running.lease));
    assert_eq!(rig.told_text(), ["failed 3 Expired"]);
}

#[test]
fn tasks_with_tags_go_to_workers_that_have_them_and_hold_nobody_up() {
    let mut rig = Rig::new(Policy::default());
    let plain = rig.worker("plain", 1);
    let client = rig.client("c");
    let gpu = SubmitOptions { tags: vec!["gpu".into()], ..SubmitOptions::default() };
    rig.submit_with(client, "gpu", gpu);
    rig.submit(client, "any");
    assert_eq!(rig.one().to, plain);
    let special = rig.hello(WorkerHello { tags: vec!["eu".into(), "gpu".into()], ..hello() });
    let given = rig.one();
    assert_eq!((&given.body[..], given.to), ("gpu", special));
}

/// M20: ten more workers have their full share at once.
#[test]
fn m20_workers_that_join_get_their_share_at_once() {
    let mut rig = Rig::new(Policy::default());
    let client = rig.client("c");
    for _ in 0..10 {
        rig.worker("old", 1);
    }
    for _ in 0..1000 {
        rig.submit(client, "x");
    }
    assert_eq!(rig.given().len(), 10);
    for _ in 0..10 {
        let newcomer = rig.worker("new", 1);
        assert_eq!(rig.one().to, newcomer);
    }
}

#[test]
fn a_hash_shard_keeps_tasks_for_their_worker_until_it_leaves() {
    let mut rig = Rig::new(Policy::default().strategy(StrategyName::HashShard));
    let workers = [rig.worker("a", 1), rig.worker("b", 1)];
    let client = rig.client("c");
    rig.submit_with(client, "1", key("k"));
    let first = rig.one();
    let second = rig.submit_with(client, "2", key("k"));
    assert!(rig.given().is_empty(), "the other worker is free, and not asked");
    assert!(matches!(rig.explain(client, second), Explanation::WaitsFor { .. }));
    rig.done(&first);
    let next = rig.one();
    assert_eq!(next.to, first.to);
    rig.submit_with(client, "3", key("k"));
    assert!(rig.given().is_empty());
    rig.on(Event::Lost(first.to));
    let other = workers.into_iter().find(|worker| *worker != first.to);
    assert_eq!(Some(rig.one().to), other);
}

#[test]
fn policies_can_change_while_tasks_wait() {
    let mut rig = Rig::new(Policy::default().max_in_flight_per_key(1));
    rig.worker("w", 9);
    let client = rig.client("c");
    for body in ["1", "2", "3"] {
        rig.submit_with(client, body, key("k"));
    }
    assert_eq!(rig.bodies(), ["1"]);
    let open = Policy::default().delivery(Delivery::AtLeastOnce).retry(Retry::default());
    rig.admin(Admin::SetPolicy(QUEUE.into(), Box::new(open)));
    assert_eq!(rig.bodies(), ["2", "3"]);
}

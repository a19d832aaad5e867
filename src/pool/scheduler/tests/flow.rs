//! How much goes where: credit, caps, rates, admission.

use super::*;
use crate::pool::policy::{Overflow, Rate};
use crate::pool::protocol::RejectReason;
use crate::pool::strategy::StrategyName;

#[test]
fn m8_in_flight_never_exceeds_capacity_and_prefetch() {
    for (capacity, prefetch) in [(1, 0), (1, 1), (2, 100)] {
        let mut rig = Rig::new(Policy::default());
        rig.hello(WorkerHello { capacity, prefetch, ..hello() });
        let client = rig.client("c");
        for _ in 0..300 {
            rig.submit(client, "x");
        }
        let given = rig.given();
        assert_eq!(given.len() as u32, capacity + prefetch);
        rig.done(&given[0]);
        assert_eq!(rig.given().len(), 1);
    }
}

#[test]
fn m8_credit_can_be_given_and_taken_back() {
    let mut rig = Rig::new(Policy::default());
    let worker = rig.worker("w", 1);
    let client = rig.client("c");
    for _ in 0..20 {
        rig.submit(client, "x");
    }
    rig.say(worker, FromWorker::Credit(3));
    let given = rig.given();
    assert_eq!(given.len(), 4);
    rig.say(worker, FromWorker::Credit(-2));
    for given in &given[..2] {
        rig.done(given);
    }
    assert!(rig.given().is_empty(), "four are two too many");
    rig.done(&given[2]);
    assert_eq!(rig.given().len(), 1);
}

#[test]
fn m7_one_a_second_gives_sixty_in_a_minute() {
    let mut rig = Rig::new(Policy::default().rate(Rate::per_second(1.0)));
    rig.worker("w", 1000);
    let client = rig.client("c");
    for _ in 0..100 {
        rig.submit(client, "x");
    }
    rig.pass(seconds(60));
    let given = rig.given().len();
    assert!((59..=61).contains(&given), "{given}");
}

#[test]
fn m7_a_burst_goes_at_once_after_a_pause() {
    let mut rig = Rig::new(Policy::default().rate(Rate::per_second(10.0).burst(5)));
    rig.worker("w", 1000);
    rig.pass(seconds(100));
    let client = rig.client("c");
    for _ in 0..100 {
        rig.submit(client, "x");
    }
    assert_eq!(rig.given().len(), 5);
    rig.pass(seconds(1));
    assert_eq!(rig.given().len(), 10);
}

#[test]
fn a_queue_has_no_more_in_flight_than_its_cap() {
    let mut rig = Rig::new(Policy::default().max_in_flight(2));
    rig.worker("a", 5);
    rig.worker("b", 5);
    let client = rig.client("c");
    for _ in 0..5 {
        rig.submit(client, "x");
    }
    let given = rig.given();
    assert_eq!(given.len(), 2);
    rig.done(&given[0]);
    assert_eq!(rig.given().len(), 1);
}

#[test]
fn m12_a_key_has_no_more_in_flight_than_its_cap_and_survives_its_holder() {
    let mut rig = Rig::new(Policy::default().max_in_flight_per_key(1));
    let first = rig.worker("a", 5);
    let client = rig.client("c");
    rig.submit_with(client, "k1", key("k"));
    rig.submit_with(client, "k2", key("k"));
    rig.submit_with(client, "other", key("l"));
    assert_eq!(rig.bodies(), ["k1", "other"]);
    rig.worker("b", 5);
    assert!(rig.given().is_empty());
    rig.on(Event::Lost(first));
    // Both went down with it, and run alone now, one after the other; then it is k2's turn.
    for expected in ["k1", "other", "k2"] {
        let given = rig.one();
        assert_eq!(given.body, expected);
        rig.done(&given);
    }
}

#[test]
fn overflow_reject_says_when_to_try_again() {
    let mut rig = Rig::new(Policy::default().max_len(2));
    let client = rig.client("c");
    for _ in 0..3 {
        rig.submit(client, "x");
    }
    let told = rig.told();
    assert!(matches!(
        told[..],
        [(_, ToClient::Reject { id: 3, reason: RejectReason::QueueFull, retry_after })] if retry_after > Duration::ZERO
    ));
    assert_eq!(rig.scheduler.queues()[0].counters.rejected, 1);
}

#[test]
fn overflow_goes_by_bytes_too() {
    let mut rig = Rig::new(Policy::default().max_bytes(10));
    let client = rig.client("c");
    rig.submit(client, "more than ten bytes");
    rig.submit(client, "x");
    assert_eq!(rig.told_text(), ["reject 2 QueueFull"]);
}

#[test]
fn overflow_block_stops_that_client_only_until_there_is_room() {
    let mut rig = Rig::new(Policy::default().max_len(8).overflow(Overflow::Block));
    let (busy, quiet) = (rig.client("busy"), rig.client("quiet"));
    rig.submit(quiet, "q");
    for _ in 0..10 {
        rig.submit(busy, "b");
    }
    assert!(matches!(rig.out[..], [Action::StopReading(session)] if session == busy));
    rig.out.clear();
    let worker = rig.worker("w", 1);
    while !rig.out.iter().any(|action| matches!(action, Action::ResumeReading(_))) {
        let given = rig.one();
        rig.done(&given);
    }
    assert_eq!(rig.scheduler.totals().waiting, 6, "three quarters of eight");
    assert_eq!(rig.scheduler.totals().accepted, 11, "nothing was refused");
    let _ = worker;
}

#[test]
fn overflow_drop_oldest_tells_and_counts() {
    let mut rig = Rig::new(Policy::default().max_len(2).overflow(Overflow::DropOldest));
    let client = rig.client("c");
    for body in ["1", "2", "3"] {
        rig.submit(client, body);
    }
    assert_eq!(rig.told_text(), ["failed 1 Dropped"]);
    assert_eq!(rig.scheduler.queues()[0].counters.dropped, 1);
    rig.worker("w", 9);
    assert_eq!(rig.bodies(), ["2", "3"]);
}

#[test]
fn nonsense_is_refused() {
    let mut rig = Rig::new(Policy::default());
    let client = rig.client("c");
    rig.submit_with(client, "x", SubmitOptions { priority: Some(10), ..SubmitOptions::default() });
    rig.submit_with(client, "x", key(&"k".repeat(2000)));
    rig.admin(Admin::ShutDown);
    rig.submit(client, "x");
    assert_eq!(rig.told_text(), ["reject 1 Invalid", "reject 2 Invalid", "reject 3 ShuttingDown"]);
}

#[test]
fn a_congested_worker_gets_nothing_until_it_is_writable() {
    let mut rig = Rig::new(Policy::default());
    let worker = rig.worker("w", 5);
    let client = rig.client("c");
    rig.on(Event::Congested(worker));
    rig.submit(client, "x");
    assert!(rig.given().is_empty());
    rig.on(Event::Writable(worker));
    assert_eq!(rig.bodies(), ["x"]);
}

/// M4, G8: a worker that is half as fast gets half, within 5 s, without a word of configuration but `adaptive_weights`.
#[test]
fn m4_g8_a_worker_of_half_the_speed_gets_half_the_share() {
    let policy = Policy::default().strategy(StrategyName::Weighted).adaptive_weights(true);
    let mut rig = Rig::new(policy);
    let names = ["a", "b", "c", "slow"];
    let workers: Vec<Session> = names.map(|name| rig.worker(name, 64)).to_vec();
    let client = rig.client("c");
    let mut running: Vec<(Time, Given)> = Vec::new();
    let mut counts = [0_u32; 4];
    // 1000 tasks a second; 10 ms each, and from the first second on, 20 ms on the slow one.
    for step in 0..8000_u64 {
        rig.pass(millis(1));
        running.sort_by_key(|(end, _)| *end);
        while running.first().is_some_and(|(end, _)| *end <= rig.now) {
            let (_, given) = running.remove(0);
            rig.done(&given);
        }
        rig.submit(client, "x");
        for given in rig.given() {
            let slow = given.to == workers[3] && step > 1000;
            if step > 6000 {
                counts[workers.iter().position(|worker| *worker == given.to).unwrap()] += 1;
            }
            running.push((rig.now + millis(if slow { 20 } else { 10 }), given));
        }
        rig.out.clear();
    }
    let others = f64::from(counts[..3].iter().sum::<u32>()) / 3.0;
    let share = f64::from(counts[3]) / others;
    assert!((0.45..=0.55).contains(&share), "{share}: {counts:?}");
}

/// A timer has a tick of 1 ms, and who waits for it wakes up later still: that is made up for by the next tasks.
#[test]
fn m7_a_rate_is_kept_however_late_its_timer_is() {
    for rate in [10, 100, 300, 1000, 5000] {
        let mut rig = Rig::new(Policy::default().rate(Rate::per_second(f64::from(rate))));
        rig.worker("w", 100_000);
        let client = rig.client("c");
        for _ in 0..rate * 11 {
            rig.submit(client, "x");
        }
        let end = rig.now + seconds(10);
        let mut given = rig.given().len();
        let late = Duration::from_micros(1300);
        while let Some(due) = rig.scheduler.next_deadline().filter(|due| *due + late <= end) {
            rig.now = rig.now.max(due) + late;
            rig.on(Event::Tick);
            given += rig.given().len();
        }
        let wanted = rate as usize * 10;
        assert!((wanted * 99 / 100..=wanted + 1).contains(&given), "{given} of {wanted}");
    }
}

/// What is delayed, or waits for its key, is not in line, and cannot be dropped for another.
#[test]
fn overflow_drop_oldest_refuses_where_nothing_is_in_line() {
    let policy = Policy::default().max_len(2).overflow(Overflow::DropOldest);
    let mut rig = Rig::new(policy.clone());
    let client = rig.client("c");
    for _ in 0..3 {
        rig.submit_with(client, "later", SubmitOptions { delay: seconds(60), ..SubmitOptions::default() });
    }
    assert_eq!(rig.told_text(), ["reject 3 QueueFull"]);
    let mut rig = Rig::new(policy.strategy(StrategyName::OrderedKey));
    rig.worker("w", 1);
    let client = rig.client("c");
    for _ in 0..4 {
        rig.submit_with(client, "next", key("k"));
    }
    assert_eq!(rig.told_text(), ["reject 4 QueueFull"], "one runs, two wait for its key");
    assert_eq!(rig.scheduler.queues()[0].counters.rejected, 1);
    rig.scheduler.audit();
}

/// Whoever is dropped makes room for one that is taken.
#[test]
fn overflow_drop_oldest_drops_nobody_for_one_that_does_not_fit_anyway() {
    let mut rig = Rig::new(Policy::default().max_bytes(10).overflow(Overflow::DropOldest));
    let client = rig.client("c");
    rig.submit(client, "next");
    rig.submit_with(client, "later", SubmitOptions { delay: seconds(60), ..SubmitOptions::default() });
    rig.submit(client, "too long");
    assert_eq!(rig.told_text(), ["reject 3 QueueFull"]);
    rig.submit(client, "short");
    assert_eq!(rig.told_text(), ["failed 1 Dropped"]);
    rig.scheduler.audit();
}

/// M17: a topic of a queue that would drop its oldest for it, one that would stop its client, and one that is full.
#[test]
fn m17_what_one_queue_of_a_topic_refuses_leaves_the_others_as_they_were() {
    let policy = Policy::default().max_len(2);
    let mut rig = Rig::new(policy.clone());
    for (queue, overflow) in
        [("drops", Overflow::DropOldest), ("blocks", Overflow::Block), ("refuses", Overflow::Reject)]
    {
        rig.admin(Admin::SetPolicy(queue.into(), Box::new(policy.clone().overflow(overflow))));
    }
    // Named twice, a queue is in it once.
    let queues = ["drops", "blocks", "refuses", "drops"];
    rig.admin(Admin::SetTopic("all".into(), queues.map(Frame::from).to_vec()));
    let client = rig.client("c");
    for body in ["1", "2"] {
        rig.publish(client, "all", body, SubmitOptions::default());
    }
    let before = rig.scheduler.queues();
    rig.publish(client, "all", "3", SubmitOptions::default());
    assert!(matches!(rig.out[..], [Action::ToClient(_, ToClient::Reject { id: 3, .. })]), "{:?}", rig.out);
    rig.out.clear();
    let after = rig.scheduler.queues();
    assert_eq!(after[..2], before[..2]);
    assert_eq!((before[0].waiting, after[2].counters.rejected), (2, 1));

    // With room in the last one, all take it, each in its way.
    let worker = rig.hello(WorkerHello { queues: vec!["refuses".into()], ..hello() });
    assert_eq!(rig.one().to, worker);
    rig.publish(client, "all", "4", SubmitOptions::default());
    assert!(rig.out.iter().any(|action| matches!(action, Action::StopReading(_))));
    let counters: Vec<_> = rig.scheduler.queues().iter().map(|queue| queue.counters).collect();
    assert_eq!((counters[0].dropped, [0, 1, 2].map(|ix: usize| counters[ix].accepted)), (1, [3; 3]));
    rig.scheduler.audit();
}

/// The other reasons why all refuse: no place for one more set of tags, and the memory of all together.
#[test]
fn m17_a_topic_that_is_refused_costs_none_of_its_queues_anything() {
    let tags = |tag: &str| SubmitOptions { tags: vec![tag.into()], ..SubmitOptions::default() };
    let topic = |rig: &mut Rig, queues: &[&str]| {
        rig.admin(Admin::SetTopic("all".into(), queues.iter().map(|queue| Frame::from(*queue)).collect()));
    };
    let mut rig = Rig::new(Policy::default());
    topic(&mut rig, &["open", "crowded"]);
    let client = rig.client("c");
    for number in 1..64 {
        rig.publish(client, "crowded", "x", tags(&number.to_string()));
    }
    for number in 64..128 {
        rig.publish(client, "all", "x", tags(&number.to_string()));
    }
    assert_eq!(rig.told().len(), 64, "a queue knows so many sets of tags");
    for number in 128..191 {
        rig.publish(client, "open", "x", tags(&number.to_string()));
    }
    assert!(rig.told().is_empty(), "the other one has learned none of those");

    let mut rig = Rig::with(Config { max_memory: 2 * 256 + 100, ..Config::default() });
    topic(&mut rig, &["a", "b", "c"]);
    let client = rig.client("c");
    rig.publish(client, "all", "x", SubmitOptions::default());
    assert_eq!(rig.told_text(), ["reject 1 QueueFull"], "three take more than there is");
    assert_eq!(rig.scheduler.totals().accepted, 0);
}

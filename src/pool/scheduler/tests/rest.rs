//! Workers that give back what they get.

use super::*;
use crate::pool::strategy::StrategyName;

/// When each task came of a worker that gives all of them back, until `end`.
fn releases(rig: &mut Rig, end: Time) -> Vec<Duration> {
    let (begin, mut times) = (rig.now, Vec::new());
    while rig.now < end {
        for given in rig.given() {
            times.push(rig.now.since(begin));
            rig.nack(&given, Nack::Release);
        }
        rig.pass(millis(1));
    }
    times
}

#[test]
fn who_gives_everything_back_rests_for_longer_each_time_until_it_has_done_something() {
    let mut rig = Rig::new(Policy::default());
    rig.worker("w", 1);
    let client = rig.client("c");
    for _ in 0..2 {
        let id = rig.submit(client, "x");
        let end = rig.now + seconds(10);
        let times = releases(&mut rig, end);
        let rests: Vec<u128> =
            times.windows(2).map(|pair| pair[1].saturating_sub(pair[0]).as_millis()).collect();
        assert_eq!(rests[..8], [10, 20, 40, 80, 160, 320, 640, 1280]);
        assert!(rests[8..].iter().all(|rest| *rest == 1280), "no longer than that: {rests:?}");
        assert_eq!(rig.explain(client, id), Explanation::Resting { workers: vec!["w".into()] });
        rig.pass(seconds(2));
        let given = rig.one();
        rig.done(&given);
    }
    rig.scheduler.audit();
}

/// The releases of one round are one: whoever gives back all that it has at a time has not done so a hundred times.
#[test]
fn what_is_given_back_together_counts_once() {
    let mut rig = Rig::new(Policy::default());
    rig.worker("w", 100);
    let client = rig.client("c");
    for _ in 0..100 {
        rig.submit(client, "x");
    }
    for given in rig.given() {
        rig.nack(&given, Nack::Release);
    }
    rig.pass(millis(9));
    assert!(rig.given().is_empty());
    rig.pass(millis(1));
    assert_eq!(rig.given().len(), 100);
}

/// As it was: 138,490 deliveries in 4.7 s, and calls that expired.
#[test]
fn who_gives_everything_back_draws_no_tasks_whatever_the_strategy() {
    // Those two leave a task with one worker, whatever that does.
    let strict = [StrategyName::Exclusive, StrategyName::HashShard];
    for name in StrategyName::ALL.into_iter().filter(|name| !strict.contains(name)) {
        let mut rig = Rig::new(Policy::default().strategy(name));
        let idle = rig.worker("idle", 4);
        rig.worker("good", 1);
        let client = rig.client("c");
        let (mut deliveries, mut running) = (0, Vec::new());
        for step in 0..4700 {
            if step % 20 == 0 {
                let budget = Some(seconds(2));
                rig.submit_with(client, "x", SubmitOptions { budget, ..key(&step.to_string()) });
            }
            for given in rig.given() {
                if given.to == idle {
                    deliveries += 1;
                    rig.nack(&given, Nack::Release);
                } else {
                    running.push((rig.now + millis(10), given));
                }
            }
            rig.pass(millis(1));
            let now = rig.now;
            for (_, given) in running.extract_if(.., |(end, _)| *end <= now) {
                rig.done(&given);
            }
        }
        let counters = rig.scheduler.queues()[0].counters;
        assert_eq!(
            (counters.expired, counters.accepted - counters.done <= 2),
            (0, true),
            "{name}: {counters:?}"
        );
        assert!(deliveries <= 60, "{name}: {deliveries}");
        rig.scheduler.audit();
    }
}

#[test]
fn a_release_is_no_work() {
    let mut rig = Rig::new(Policy::default());
    rig.worker("w", 1);
    let client = rig.client("c");
    let id = rig.submit(client, "x");
    let given = rig.one();
    rig.pass(millis(3));
    rig.nack(&given, Nack::Release);
    rig.pass(seconds(1));
    let given = rig.one();
    rig.nack(&given, Nack::Defer { delay: seconds(1) });
    rig.pass(seconds(1));
    // Nor is it one to give back what was cancelled, which does not make it rest either.
    let given = rig.one();
    rig.on(Event::Client(client, FromClient::Cancel { id }));
    rig.submit(client, "y");
    rig.nack(&given, Nack::Release);
    assert_eq!(rig.one().body, "y");
    let worker = rig.scheduler.workers().remove(0);
    assert_eq!((worker.done, worker.failed, worker.released, worker.response_time), (0, 0, 1, None));
    assert_eq!(rig.scheduler.queues()[0].service_time, None);
}

#[test]
fn a_worker_rests_from_the_queue_whose_tasks_it_gives_back_and_from_no_other() {
    let mut rig = Rig::new(Policy::default());
    let (queues, tags) = (vec![QUEUE.into(), "other".into()], vec!["tag".into()]);
    rig.hello(WorkerHello { queues, tags: tags.clone(), capacity: 2, ..hello() });
    let client = rig.client("c");
    rig.submit(client, "x");
    let given = rig.one();
    rig.nack(&given, Nack::Release);
    rig.publish(client, "other", "y", SubmitOptions::default());
    let given = rig.one();
    assert_eq!(given.body, "y");
    rig.done(&given);
    assert!(rig.given().is_empty(), "that it has done another's is no answer to this queue");
    rig.submit_with(client, "z", SubmitOptions { tags, ..SubmitOptions::default() });
    assert!(rig.given().is_empty(), "the queue, not some of its tasks");
    rig.pass(millis(10));
    assert_eq!(rig.given().len(), 2);
    rig.scheduler.audit();
}

/// It is given to a worker that was kept free for it: not at once again.
#[test]
fn what_must_run_alone_and_is_given_back_is_not_given_again_at_once() {
    let mut rig = Rig::new(Policy::default());
    rig.worker("w", 1);
    let client = rig.client("c");
    rig.submit(client, "poison");
    let given = rig.one();
    rig.nack(&given, Nack::Crash { error: "bang".into() });
    let end = rig.now + seconds(5);
    let times = releases(&mut rig, end);
    assert!((8..=12).contains(&times.len()), "{times:?}");
    let given = {
        rig.pass(seconds(2));
        rig.one()
    };
    rig.done(&given);
    rig.scheduler.audit();
}

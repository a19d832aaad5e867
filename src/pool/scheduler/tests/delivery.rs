//! What becomes of tasks that fail, and of tasks whose workers do.

use super::*;
use crate::pool::policy::{Delivery, Retry};
use crate::pool::protocol::{FailReason, TaskId};

fn retry(delay: Option<Duration>) -> Nack {
    Nack::Retry { delay, error: "no luck".into() }
}

#[test]
fn m10_the_tasks_of_a_lost_worker_go_to_another_at_once_in_front_and_in_order() {
    let mut rig = Rig::new(Policy::default());
    let first = rig.hello(WorkerHello { prefetch: 3, ..hello() });
    let client = rig.client("c");
    for body in ["1", "2", "3", "4", "5"] {
        rig.submit(client, body);
    }
    assert_eq!(rig.bodies(), ["1", "2", "3", "4"]);
    rig.on(Event::Lost(first));
    rig.worker("second", 9);
    let given = rig.given();
    let bodies: Vec<&str> = given.iter().map(|given| &given.body[..]).collect();
    assert_eq!(bodies, ["1", "2", "3", "4", "5"]);
    let redelivered: Vec<bool> = given.iter().map(|given| given.redelivered).collect();
    assert_eq!(redelivered, [true, true, true, true, false]);
}

#[test]
fn m11_the_answer_of_an_older_attempt_is_refused_and_counted() {
    let mut rig = Rig::new(Policy::default());
    let first = rig.worker("first", 1);
    let client = rig.client("c");
    rig.submit(client, "x");
    let old = rig.one();
    rig.on(Event::Lost(first));
    rig.worker("second", 1);
    let new = rig.one();
    assert!(new.lease.attempt > old.lease.attempt);
    rig.out.clear();
    rig.done(&old);
    assert!(matches!(rig.out[..], [Action::ToWorker(session, ToWorker::Rejoin)] if session == first));
    rig.say(new.to, FromWorker::Done(old.lease, "forged".into()));
    assert_eq!(rig.scheduler.totals().stale, 2);
    rig.out.clear();
    rig.done(&new);
    assert_eq!(rig.told_text(), ["result 1 x done"]);
}

#[test]
fn at_most_once_is_lost_with_its_worker_and_the_client_is_told() {
    let mut rig = Rig::new(Policy::default().delivery(Delivery::AtMostOnce));
    let worker = rig.worker("w", 1);
    let client = rig.client("c");
    rig.submit(client, "x");
    rig.one();
    rig.on(Event::Lost(worker));
    assert_eq!(rig.told_text(), ["failed 1 Lost"]);
    rig.worker("w", 1);
    assert!(rig.given().is_empty());
}

#[test]
fn a_failure_is_tried_again_at_once_then_later_and_given_up_after_five_starts() {
    let mut rig = Rig::new(Policy::default());
    rig.worker("w", 1);
    let client = rig.client("c");
    let id = rig.submit(client, "x");
    let given = rig.one();
    rig.nack(&given, retry(None));
    for start in 2..5 {
        let given = rig.one();
        rig.nack(&given, retry(None));
        assert!(rig.given().is_empty(), "it waits");
        assert!(
            matches!(rig.explain(client, id), Explanation::Backoff { starts, .. } if starts == start),
            "{:?}",
            rig.explain(client, id)
        );
        rig.pass(seconds(8));
    }
    let last = rig.one();
    rig.out.clear();
    rig.nack(&last, retry(None));
    assert_eq!(rig.told_text(), ["failed 1 Exhausted"]);
    let dead = rig.scheduler.dead_letters(&QUEUE.into());
    assert_eq!((dead.len(), dead[0].starts, dead[0].reason), (1, 5, FailReason::Exhausted));
    assert_eq!((&dead[0].error[..], &dead[0].worker[..]), (&b"no luck"[..], &b"w"[..]));
}

#[test]
fn a_worker_can_say_when_to_try_again() {
    let mut rig = Rig::new(Policy::default());
    rig.worker("w", 1);
    let client = rig.client("c");
    rig.submit(client, "x");
    let given = rig.one();
    rig.nack(&given, retry(Some(seconds(30))));
    rig.pass(millis(29_999));
    assert!(rig.given().is_empty());
    rig.pass(millis(1));
    rig.one();
}

#[test]
fn release_and_defer_are_not_attempts() {
    let mut rig = Rig::new(Policy::default().retry(Retry::default().max_starts(1)));
    rig.worker("w", 1);
    let client = rig.client("c");
    let id = rig.submit(client, "x");
    for _ in 0..10 {
        let given = rig.one();
        rig.nack(&given, Nack::Release);
        rig.pass(seconds(2));
        let given = rig.one();
        rig.nack(&given, Nack::Defer { delay: seconds(1) });
        assert!(matches!(rig.explain(client, id), Explanation::Deferred { .. }));
        rig.pass(seconds(1));
    }
    let given = rig.one();
    rig.out.clear();
    rig.done(&given);
    assert_eq!(rig.told_text(), ["result 1 x done"]);
}

#[test]
fn reject_goes_to_the_dead_letters_now_and_can_be_retried_and_purged() {
    let mut rig = Rig::new(Policy::default());
    rig.worker("w", 1);
    let client = rig.client("c");
    rig.submit_with(client, "x", SubmitOptions { priority: Some(7), ..key("k") });
    let given = rig.one();
    rig.nack(&given, Nack::Reject { error: "never".into() });
    let dead = rig.scheduler.dead_letters(&QUEUE.into());
    assert_eq!((dead[0].reason, dead[0].priority), (FailReason::Rejected, 7));
    assert_eq!(dead[0].key, Some("k".into()));
    rig.admin(Admin::RetryDead(QUEUE.into(), 10));
    let given = rig.one();
    assert_eq!((&given.body[..], given.lease.attempt), ("x", 1));
    rig.nack(&given, Nack::Reject { error: "never".into() });
    rig.admin(Admin::PurgeDead(QUEUE.into()));
    assert!(rig.scheduler.dead_letters(&QUEUE.into()).is_empty());
}

#[test]
fn dead_letters_are_bounded_in_number_and_age() {
    let mut rig = Rig::new(Policy::default().dead_letters(3, seconds(60)));
    rig.worker("w", 1);
    let client = rig.client("c");
    for number in 0..5 {
        rig.submit(client, &number.to_string());
        let given = rig.one();
        rig.nack(&given, Nack::Reject { error: Frame::new() });
    }
    let kept: Vec<_> =
        rig.scheduler.dead_letters(&QUEUE.into()).into_iter().map(|letter| letter.body).collect();
    assert_eq!(kept, [Message::from("2"), Message::from("3"), Message::from("4")]);
    rig.pass(seconds(60));
    assert!(rig.scheduler.dead_letters(&QUEUE.into()).is_empty());
}

/// Starts count, not deliveries: what lay unstarted in a lost worker has all its attempts left.
#[test]
fn attempts_are_counted_by_starts() {
    let mut rig = Rig::new(Policy::default().retry(Retry::default().max_starts(1)));
    let client = rig.client("c");
    rig.submit(client, "x");
    for _ in 0..20 {
        let worker = rig.hello(WorkerHello { prefetch: 1, ..hello() });
        rig.one();
        rig.on(Event::Lost(worker));
    }
    let worker = rig.hello(WorkerHello { prefetch: 1, ..hello() });
    let given = rig.one();
    rig.say(worker, FromWorker::Started(given.lease));
    rig.out.clear();
    rig.on(Event::Lost(worker));
    assert_eq!(rig.told_text(), ["failed 1 Exhausted"]);
}

/// G16: one crashing task among 10,000, 16 prefetched: exactly it dies.
#[test]
fn g16_one_poison_task_among_ten_thousand_takes_nobody_with_it() {
    let mut rig = Rig::new(Policy::default());
    let client = rig.client("c");
    for number in 0..10_000 {
        rig.submit(client, &if number == 5000 { "poison".to_owned() } else { number.to_string() });
    }
    let join = |rig: &mut Rig| rig.hello(WorkerHello { capacity: 1, prefetch: 16, ..hello() });
    for _ in 0..4 {
        join(&mut rig);
    }
    let mut shelves = std::collections::BTreeMap::<Session, std::collections::VecDeque<Given>>::new();
    let (mut done, mut crashes) = (0, 0);
    loop {
        for given in rig.given() {
            shelves.entry(given.to).or_default().push_back(given);
        }
        let busy = shelves.iter().find(|(_, shelf)| !shelf.is_empty()).map(|(session, _)| *session);
        let Some(session) = busy else { break };
        let given = shelves.get_mut(&session).and_then(std::collections::VecDeque::pop_front).unwrap();
        rig.say(session, FromWorker::Started(given.lease));
        if given.body == "poison" {
            crashes += 1;
            if crashes > 1 {
                assert!(shelves[&session].is_empty(), "it runs alone");
            }
            shelves.remove(&session);
            rig.on(Event::Lost(session));
            join(&mut rig);
        } else {
            rig.done(&given);
            done += 1;
        }
    }
    let dead = rig.scheduler.dead_letters(&QUEUE.into());
    assert_eq!((done, crashes, dead.len()), (9999, 3, 1));
    assert_eq!((dead[0].body.clone(), dead[0].reason), (Message::from("poison"), FailReason::Crashed));
    rig.scheduler.audit();
}

#[test]
fn cancel_ends_a_waiting_task_and_tells_the_worker_of_a_running_one() {
    let mut rig = Rig::new(Policy::default());
    let worker = rig.worker("w", 1);
    let client = rig.client("c");
    let running = rig.submit(client, "running");
    let waiting = rig.submit(client, "waiting");
    let given = rig.one();
    for id in [running, waiting] {
        rig.on(Event::Client(client, FromClient::Cancel { id }));
    }
    assert!(rig.out.iter().any(|action| {
        matches!(action, Action::ToWorker(session, ToWorker::Cancel(lease)) if (*session, *lease) == (worker, given.lease))
    }));
    assert_eq!(rig.told_text(), ["failed 1 Cancelled", "failed 2 Cancelled"]);
    rig.submit(client, "next");
    assert!(rig.given().is_empty(), "its credit comes back with its answer");
    rig.done(&given);
    assert_eq!(rig.one().body, "next");
    assert_eq!(rig.scheduler.totals().too_late, 1);
}

#[test]
fn partial_results_pass_through() {
    let mut rig = Rig::new(Policy::default());
    rig.worker("w", 1);
    let client = rig.client("c");
    rig.submit(client, "x");
    let given = rig.one();
    rig.say(given.to, FromWorker::Partial(given.lease, "half".into()));
    rig.say(given.to, FromWorker::Partial(Lease { task: TaskId(999), attempt: 1 }, "not yours".into()));
    rig.done(&given);
    assert_eq!(rig.told_text(), ["partial 1 half", "result 1 x done"]);
}

/// Also where it has not been tried again at once.
#[test]
fn g16_a_task_that_took_a_worker_down_runs_alone_after_a_wait_too() {
    for policy in [Policy::default(), Policy::default().max_in_flight_per_key(1)] {
        let mut rig = Rig::new(policy);
        let client = rig.client("c");
        rig.submit_with(client, "poison", key("k"));
        let first = rig.worker("first", 1);
        rig.one();
        rig.on(Event::Lost(first));
        rig.worker("second", 2);
        let again = rig.one();
        rig.nack(&again, retry(Some(seconds(1))));
        rig.submit(client, "other");
        let other = rig.one();
        rig.pass(seconds(1));
        assert!(rig.given().is_empty(), "not beside another one");
        rig.done(&other);
        let alone = rig.one();
        assert_eq!(alone.body, "poison");
        rig.done(&alone);
        rig.scheduler.audit();
    }
}

/// What must run alone goes to another, if the worker that was kept free for it takes nothing more.
#[test]
fn g16_a_worker_that_drains_is_kept_free_no_longer() {
    let mut rig = Rig::new(Policy::default());
    let client = rig.client("c");
    let first = rig.worker("first", 1);
    rig.submit(client, "poison");
    rig.one();
    let kept = rig.worker("kept", 2);
    rig.submit(client, "long");
    assert_eq!(rig.one().to, kept);
    rig.on(Event::Lost(first));
    let other = rig.worker("other", 1);
    assert!(rig.given().is_empty(), "it waits for the one that is kept free");
    rig.say(kept, FromWorker::Drain);
    let given = rig.one();
    assert_eq!((&given.body[..], given.to), ("poison", other));
    rig.scheduler.audit();
}

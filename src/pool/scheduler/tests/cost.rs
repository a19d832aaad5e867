//! G17, G18: what a task costs. Run on a quiet machine:
//! `cargo test --release --lib cost_of -- --ignored --nocapture --test-threads 1`

use super::*;

/// Submits and finishes tasks in turn on `workers` workers and `queues` queues; the nanoseconds for each.
fn cost(workers: u32, queues: u32, rounds: u32, policy: &Policy) -> f64 {
    let config = Config { heartbeat: seconds(3600), policy: policy.clone(), ..Config::default() };
    let mut scheduler = Scheduler::new(config);
    let (mut now, mut out) = (Time::ZERO, Vec::with_capacity(1024));
    let names: Vec<Frame> = (0..queues).map(|number| format!("queue {number}").into()).collect();
    for number in 0..workers {
        let queues = vec![names[(number % queues) as usize].clone()];
        let hello = WorkerHello { name: format!("w{number}").into(), queues, ..hello() };
        scheduler.on(now, Event::Worker(Session(u64::from(number) + 1), FromWorker::Hello(hello)), &mut out);
    }
    let client = Session(0);
    let body = Message::from(&[0_u8; 64][..]);
    let mut leases = Vec::with_capacity(1024);
    let mut round = |scheduler: &mut Scheduler, id: u32| {
        now = now + Duration::from_nanos(900);
        out.clear();
        let queue = names[(id % queues) as usize].clone();
        let (id, options) = (u64::from(id), SubmitOptions::default());
        let said = FromClient::Submit { id, queue, options, body: body.clone() };
        scheduler.on(now, Event::Client(client, said), &mut out);
        for action in out.drain(..) {
            if let Action::ToWorker(session, ToWorker::Task { lease, .. }) = action {
                leases.push((session, lease));
            }
        }
        for (session, lease) in leases.drain(..) {
            scheduler.on(now, Event::Worker(session, FromWorker::Done(lease, body.clone())), &mut out);
        }
    };
    for id in 0..rounds / 4 {
        round(&mut scheduler, id);
    }
    let begin = on_cpu();
    for id in 0..rounds {
        round(&mut scheduler, id + rounds);
    }
    (on_cpu() - begin) / f64::from(rounds)
}

/// The best of several: the machine is not ours alone.
fn best(workers: u32, queues: u32, policy: &Policy) -> f64 {
    (0..5).map(|_| cost(workers, queues, 400_000, policy)).fold(f64::INFINITY, f64::min)
}

#[test]
#[ignore = "measures; needs Linux and a release build"]
fn g18_cost_of_a_task_with_few_and_with_many_workers_and_queues() {
    let policy = Policy::default();
    let few = best(10, 1, &policy);
    for (workers, queues) in [(10, 1), (1000, 1), (10_000, 1), (1000, 1000), (10_000, 1000)] {
        let cost = best(workers, queues, &policy);
        println!(
            "{workers:6} workers, {queues:4} queues: {cost:5.0} ns, {:+.0} %",
            100.0 * (cost / few - 1.0)
        );
    }
    for name in crate::pool::strategy::StrategyName::ALL {
        let policy = Policy::default().strategy(name);
        println!("{name:20} {:5.0} {:5.0} ns", best(10, 1, &policy), best(1000, 1, &policy));
    }
}

/// The nanoseconds that this thread has run, so that who else runs does not count.
fn on_cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// Resident memory, from the kernel.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
#[ignore = "measures; needs Linux and a process of its own"]
fn g17_cost_of_a_queued_task_in_memory() {
    let mut rig = Rig::new(Policy::default().max_len(2_000_000));
    let clients: Vec<Session> = (0..20).map(|number| rig.client(&number.to_string())).collect();
    let body = "x".repeat(64);
    rig.submit(clients[0], &body);
    println!("a task: {} bytes", size_of::<super::super::task::Task>());
    let before = resident();
    for number in 0..1_000_000 {
        rig.submit(clients[number % clients.len()], &body);
    }
    let used = resident() - before;
    // The payload lies in the task itself, so it is in this figure.
    println!("1,000,000 queued: {} MB, {} bytes each with 64 of payload", used >> 20, used / 1_000_000);
    assert!(used <= 350_000_000);
}

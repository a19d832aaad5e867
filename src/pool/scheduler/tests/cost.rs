//! G17, G18: what a task costs. Run on a quiet machine:
//! `cargo test --release --lib cost_of -- --ignored --nocapture --test-threads 1`

use rustix::time::{ClockId, clock_gettime};

use super::*;

/// A pool whose tasks are submitted and finished in turn.
struct Load {
    scheduler: Scheduler,
    now: Time,
    names: Vec<Frame>,
    body: Message,
    next: u64,
    out: Vec<Action>,
    leases: Vec<(Session, Lease)>,
}

impl Load {
    fn new(workers: u32, queues: u32, policy: &Policy) -> Self {
        let config = Config { heartbeat: seconds(3600), policy: policy.clone(), ..Config::default() };
        let mut load = Self {
            scheduler: Scheduler::new(config),
            now: Time::ZERO,
            names: (0..queues).map(|number| format!("queue {number}").into()).collect(),
            body: Message::from(&[0_u8; 64][..]),
            next: 0,
            out: Vec::with_capacity(1024),
            leases: Vec::with_capacity(1024),
        };
        for number in 0..workers {
            let queues = vec![load.names[(number % queues) as usize].clone()];
            let hello = WorkerHello { name: format!("w{number}").into(), queues, ..hello() };
            let said = Event::Worker(Session(u64::from(number) + 1), FromWorker::Hello(hello));
            load.scheduler.on(load.now, said, &mut load.out);
        }
        load.run(4 * workers.max(10_000));
        load
    }

    /// The nanoseconds of the processor for each task.
    fn run(&mut self, tasks: u32) -> f64 {
        let begin = clock_gettime(ClockId::ThreadCPUTime);
        for _ in 0..tasks {
            self.task();
        }
        let spent = clock_gettime(ClockId::ThreadCPUTime) - begin;
        (spent.tv_sec as f64 * 1e9 + spent.tv_nsec as f64) / f64::from(tasks)
    }

    fn task(&mut self) {
        self.now = self.now + Duration::from_nanos(900);
        self.next += 1;
        self.out.clear();
        let queue = self.names[self.next as usize % self.names.len()].clone();
        let (id, options, body) = (self.next, SubmitOptions::default(), self.body.clone());
        let said = FromClient::Submit { id, queue, options, body };
        self.scheduler.on(self.now, Event::Client(Session(0), said), &mut self.out);
        for action in self.out.drain(..) {
            if let Action::ToWorker(session, ToWorker::Task { lease, .. }) = action {
                self.leases.push((session, lease));
            }
        }
        for (session, lease) in self.leases.drain(..) {
            let said = FromWorker::Done(lease, self.body.clone());
            self.scheduler.on(self.now, Event::Worker(session, said), &mut self.out);
        }
    }
}

/// The cost of a task for each of these numbers of workers and queues: medians of many short runs in turn, for the
/// machine is not ours alone, and has slow minutes.
fn costs(sizes: &[(u32, u32)], policy: &Policy) -> Vec<f64> {
    let mut loads: Vec<Load> =
        sizes.iter().map(|(workers, queues)| Load::new(*workers, *queues, policy)).collect();
    let mut runs = vec![Vec::new(); loads.len()];
    for _ in 0..41 {
        for (load, runs) in loads.iter_mut().zip(&mut runs) {
            load.run(10_000); // what the others have put out of the caches comes back
            runs.push(load.run(40_000));
        }
    }
    let median = |mut runs: Vec<f64>| {
        runs.sort_by(f64::total_cmp);
        runs[runs.len() / 2]
    };
    runs.into_iter().map(median).collect()
}

#[test]
#[ignore = "measures; needs a release build"]
fn g18_cost_of_a_task_with_few_and_with_many_workers_and_queues() {
    let policy = Policy::default();
    let sizes = [(10, 1), (1000, 1), (10_000, 1), (1000, 1000), (10_000, 1000)];
    let costs_of_sizes = costs(&sizes, &policy);
    for ((workers, queues), cost) in sizes.iter().zip(&costs_of_sizes) {
        let growth = 100.0 * (cost / costs_of_sizes[0] - 1.0);
        println!("{workers:6} workers, {queues:4} queues: {cost:5.0} ns, {growth:+.0} %");
    }
    for name in crate::pool::strategy::StrategyName::ALL {
        let costs = costs(&[(10, 1), (1000, 1)], &Policy::default().strategy(name));
        println!("{name:20} {:5.0} {:5.0} ns", costs[0], costs[1]);
    }
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

//! What the machine takes by itself: the times that a processor stands still, which no program on it can see coming.

use std::thread;
use std::time::{Duration, Instant};

/// A clock read again and again is not late by more than this, unless the processor was away.
const AWAY: Duration = Duration::from_micros(200);
const STEP: Duration = Duration::from_micros(100);

/// Watches all processors for some seconds, with nothing else to do, and tells how long a pool would take under `load`
/// that has no latency but this.
pub(crate) fn watch(load: f64, seconds: f64) {
    let (start, time) = (Instant::now(), Duration::from_secs_f64(seconds));
    let watchers: Vec<_> = (0..thread::available_parallelism().map_or(1, usize::from))
        .map(|_| thread::spawn(move || stalls(start, time)))
        .collect();
    let stalls: Vec<Stall> = watchers.into_iter().flat_map(|watcher| watcher.join().unwrap()).collect();
    let long = stalls.iter().filter(|stall| stall.1 > Duration::from_millis(1)).count();
    let longest = stalls.iter().map(|stall| stall.1).max().unwrap_or_default();
    println!(
        "stalls: {:.1} a second of over 1 ms, {longest:?} the longest; the processors stand still for {:.2} % of the time, all added up",
        long as f64 / seconds,
        stalls.iter().map(|stall| stall.1).sum::<Duration>().as_secs_f64() / seconds * 100.0,
    );
    for (left, what) in [(0.0, "stops"), (0.5, "goes on at half its speed")] {
        println!("  p99 of a pool that {what} meanwhile: {:?}", ideal(&stalls, time, load, left));
    }
}

/// When it began, and how long it was.
type Stall = (Duration, Duration);

fn stalls(start: Instant, time: Duration) -> Vec<Stall> {
    let mut stalls = Vec::new();
    let mut last = start;
    while last - start < time {
        let now = Instant::now();
        if now - last > AWAY {
            stalls.push((last - start, now - last));
        }
        last = now;
    }
    stalls
}

/// The 99 % of a queue that is filled evenly at `load` and emptied at 1; at `left` while a processor is away.
fn ideal(stalls: &[Stall], time: Duration, load: f64, left: f64) -> Duration {
    let mut speed = vec![1.0; (time.as_micros() / STEP.as_micros()) as usize];
    for (from, long) in stalls {
        let first = (from.as_micros() / STEP.as_micros()) as usize;
        let steps = long.as_micros().div_ceil(STEP.as_micros()) as usize;
        speed.iter_mut().skip(first).take(steps).for_each(|speed| *speed = left);
    }
    let mut queued: f64 = 0.0;
    let wait = |speed: f64| {
        queued = (queued + load - speed).max(0.0);
        STEP.mul_f64(queued)
    };
    let mut waits: Vec<Duration> = speed.into_iter().map(wait).collect();
    waits.sort_unstable();
    waits[waits.len() * 99 / 100]
}

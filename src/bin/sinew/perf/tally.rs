//! Counting messages, and the line that tells of them.
//!
//! The clocks are read at the first message, at the last, and 16 times between, so that a stream that breaks off is
//! measured up to its end and not through the silence after it. Not more often: with 1,000 sockets in a process each has
//! its own marks, and 256 of them took 40 ns for each of 4,000 messages.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::Outcome;

/// How often the clocks are read between the first message and the last.
const MARKS: u64 = 16;

/// The messages of one socket.
#[derive(Debug)]
pub(crate) struct Tally {
    got: u64,
    limit: u64,
    share: u64,
    /// The message at which the clocks are read again.
    next: u64,
    first: Option<Mark>,
    last: Option<Mark>,
}

/// The clocks after so many messages.
#[derive(Debug, Clone, Copy)]
struct Mark {
    messages: u64,
    at: Instant,
    cpu: Duration,
}

impl Tally {
    /// Of at most `limit` messages, of which `share` are to be expected.
    pub(crate) fn new(limit: u64, share: u64) -> Self {
        Self { got: 0, limit, share, next: 1, first: None, last: None }
    }

    /// Whether there are messages to come.
    pub(crate) const fn wants_more(&self) -> bool {
        self.got < self.limit
    }

    /// One more.
    pub(crate) fn count(&mut self) {
        self.add(1);
    }

    /// So many more.
    pub(crate) fn add(&mut self, messages: u64) {
        self.got += messages;
        if self.got >= self.next {
            self.mark();
        }
    }

    #[cold]
    fn mark(&mut self) {
        let mark = Mark { messages: self.got, at: Instant::now(), cpu: cpu_time() };
        self.first.get_or_insert(mark);
        self.last = Some(mark);
        let end = if self.got < self.share { self.share.min(self.limit) } else { self.limit };
        self.next = (self.got + (self.share / MARKS).max(1)).min(end.max(self.got + 1));
    }
}

/// The CPU time of this process, user and system.
fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// The line for the messages of all sockets together; `verb` is `got` or `sent`.
pub(crate) fn line(verb: &str, tallies: &[Tally], of: u64, size: usize) -> Outcome<String> {
    let got: u64 = tallies.iter().map(|tally| tally.got).sum();
    let first = tallies.iter().filter_map(|tally| tally.first).min_by_key(|mark| mark.at);
    let last = tallies.iter().filter_map(|tally| tally.last).max_by_key(|mark| mark.at);
    let (Some(first), Some(last)) = (first, last) else { return Err("no message came".into()) };
    // All but the one that started the clock.
    let timed: u64 = tallies.iter().filter_map(|tally| tally.last).map(|mark| mark.messages).sum::<u64>() - 1;
    let secs = (last.at - first.at).as_secs_f64();
    let cpu = last.cpu.saturating_sub(first.cpu).as_secs_f64();
    // A single message takes no time.
    let rate = if timed > 0 { timed as f64 / secs } else { 0.0 };
    let cpu_ns = if timed > 0 { cpu * 1e9 / timed as f64 } else { 0.0 };
    let mbps = rate * size as f64 / 1e6;
    Ok(format!("{verb}={got} of={of} secs={secs:.3} rate={rate:.0} MBps={mbps:.1} cpu_ns={cpu_ns:.1}"))
}

/// The line for round trips, shortest first.
pub(crate) fn round_trips(sorted: &[Duration]) -> String {
    let at = |share: usize| {
        let index = (sorted.len() * share / 1000).min(sorted.len().saturating_sub(1));
        sorted.get(index).copied().unwrap_or_default().as_secs_f64() * 1e6
    };
    format!("n={} p50={:.1}us p99={:.1}us p999={:.1}us", sorted.len(), at(500), at(990), at(999))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_breaks_off_is_measured_up_to_its_last_mark() {
        let mut tally = Tally::new(10_000, 160);
        (0..25).for_each(|_| tally.count());
        assert!(tally.wants_more());
        let last = tally.last.map(|mark| mark.messages);
        assert_eq!((tally.got, last), (25, Some(21)));
    }

    #[test]
    fn the_last_message_is_a_mark() {
        let mut tally = Tally::new(25, 2560);
        (0..25).for_each(|_| tally.count());
        assert!(!tally.wants_more());
        assert_eq!(tally.last.map(|mark| mark.messages), Some(25));
    }

    #[test]
    fn the_last_that_is_to_be_expected_is_a_mark() {
        let mut tally = Tally::new(u64::MAX, 250);
        (0..255).for_each(|_| tally.count());
        assert_eq!(tally.last.map(|mark| mark.messages), Some(250));
    }

    #[test]
    fn several_sockets_make_one_line() {
        let mut tallies = [Tally::new(3, 3), Tally::new(3, 3), Tally::new(3, 3)];
        tallies.iter_mut().take(2).for_each(|tally| (0..3).for_each(|_| tally.count()));
        let line = line("got", &tallies, 9, 64).unwrap();
        assert!(line.starts_with("got=6 of=9 secs=0."), "{line}");
        assert!(super::line("got", &[Tally::new(3, 3)], 3, 64).is_err());
    }

    #[test]
    fn percentiles_of_round_trips() {
        let trips: Vec<_> = (1..=1000).map(Duration::from_micros).collect();
        assert_eq!(round_trips(&trips), "n=1000 p50=501.0us p99=991.0us p999=1000.0us");
        assert_eq!(round_trips(&trips[..1]), "n=1 p50=1.0us p99=1.0us p999=1.0us");
    }
}
